"""The folder of a release: made beside its place, and put there when it is whole.

A model without a budget gives one folder. A model under a budget gives two in one: ``public``,
which holds the table and the guarantee, and ``restricted``, which holds all that was read off real
rows: figures, verdicts, exact counts and the hashes of the inputs.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.artefact import FittedModel
from privsynth.errors import ArtefactError, StorageError, UsageError
from privsynth.evaluation import Evaluation, Policy
from privsynth.files import beside, failure, put
from privsynth.releases.card import FORMAT, make_card, public_card
from privsynth.releases.croissant import croissant
from privsynth.releases.files import (
    CARD,
    CROISSANT,
    EVALUATION,
    NAMES,
    PUBLIC,
    PUBLIC_KEY,
    REPORT,
    RESTRICTED,
    SIGNATURE,
    SUMS,
    TABLES,
    bounded,
    json_bytes,
    parsed,
    sha256,
    sums,
)
from privsynth.releases.signature import fingerprint, private_key, public_pem
from privsynth.table import read

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["check_folder", "fill", "opened"]


def check_folder(folder: str | Path) -> None:
    """Refuse, before any work is done, a folder that a release could not be put in.

    Raises
    ------
    UsageError
        It exists and holds anything but an older release.
    StorageError
        The folder around it is missing or cannot be written to.
    """
    path = Path(folder).resolve()
    if not path.parent.is_dir():
        raise StorageError(f"{folder}: the folder around it does not exist; make it first")
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{folder}: the folder around it cannot be written to; choose another")
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{folder}: is a file; name a folder that is new or an older release")
    if any(path.iterdir()) and not _is_release(path):
        raise UsageError(
            f"{folder}: is a folder that is not empty and no older release; name another"
        )


@contextmanager
def opened(folder: str | Path) -> Iterator[Path]:
    """Return a temporary folder beside `folder`, and rename it into place on success.

    Parameters
    ----------
    folder : str or Path
        New, empty, or an older release, which is replaced whole.

    Yields
    ------
    Path
        An empty folder that its owner alone can read until it is put in its place. An error, an
        interrupt or a kill leaves the old one as it was.

    Raises
    ------
    UsageError
        `folder` holds anything else.
    StorageError
        The folder around it cannot be written to.
    """
    check_folder(folder)
    place = Path(folder).resolve()
    try:
        with beside(place) as temporary:
            yield temporary
            check_folder(folder)  # what was put there meanwhile is not ours to replace
            put(temporary, place)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise failure(folder, error) from None


def fill(
    folder: Path,
    *,
    model: FittedModel,
    model_file: str | Path | None,
    evaluation: Evaluation,
    page: str,
    policy: Policy,
    seeds: Mapping[str, int],
    inputs: Mapping[str, str | Path | None],
    salt: str,
    sign: str | Path | None = None,
    escape: bool = True,
) -> dict[str, Any]:
    """Put all that is claimed of a synthetic table beside it.

    Parameters
    ----------
    folder : Path
        As `opened` gives it; ``synthetic.csv`` or ``synthetic.parquet`` is there already.
    model : FittedModel
        What drew the table.
    model_file : str or Path, optional
        Where it is saved.
    evaluation : Evaluation
        Of the whole table.
    page : str
        The report as HTML.
    policy : Policy
        It is applied here too; whether a release that fails it is made is for the caller to say.
    seeds : mapping of str to int
        ``"sample"`` and ``"evaluate"``.
    inputs : mapping of str to path or None
        ``"train"`` and ``"holdout"``, of which salted hashes are kept.
    salt : str
        64 hexadecimal digits, such as ``secrets.token_hex(32)``. It is not written: tell the user.
        Same salt, same bytes.
    sign : str or Path, optional
        An ed25519 private key in PEM.
    escape : bool
        Whether the table was written with a ``'`` before what a spreadsheet would run as formulas;
        the card says so, since a reader must know.

    Returns
    -------
    dict
        The card; the public one where there are two.

    Raises
    ------
    UsageError
        There is not one table in the folder, or the key cannot be used.
    MissingExtraError
        `sign` is given and `cryptography` is not installed.
    """
    key = None if sign is None else private_key(sign)
    output = _output(folder, model, escape)
    about: dict[str, Any] = {
        "model_sha256": None if model_file is None else sha256(Path(model_file)),
        "output": output,
        "signed_by": None if key is None else fingerprint(key.public_key()),
    }
    # What a reader of the file will see is judged, not what JSON could not hold.
    evaluation = Evaluation.from_json(evaluation.to_json())
    files = {EVALUATION: evaluation.to_json().encode(), REPORT: page.encode()}
    judged = partial(
        make_card,
        model,
        **about,
        evaluation=evaluation,
        policy=policy,
        seeds=seeds,
        inputs=inputs,
        salt=salt,
    )
    guarantee = str(model.ledger.guarantee())
    if model.ledger.budget is None:
        files[CROISSANT] = json_bytes(croissant(output, guarantee))
        return _part(folder, files, key, judged)
    public, restricted = folder / PUBLIC, folder / RESTRICTED
    public.mkdir(mode=0o777)
    restricted.mkdir(mode=0o700)
    (folder / output["file"]).rename(public / output["file"])
    told = partial(public_card, model, **about, seed=seeds.get("sample"))
    described = {CROISSANT: json_bytes(croissant(output, guarantee, attacked=False))}
    card = _part(public, described, key, told)
    binding = {"part": RESTRICTED, "public_card": sha256(public / CARD)}
    _part(restricted, files, key, lambda digests: {**judged(digests=digests), **binding})
    for path in restricted.iterdir():
        path.chmod(0o600)
    return card


def _part(
    folder: Path,
    files: Mapping[str, bytes],
    key: Ed25519PrivateKey | None,
    card_of: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """Write the files of one part of a release, its card, the hashes of all and a signature."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    there = sorted(path.name for path in folder.iterdir() if path.is_file())
    digests = {name: sha256(folder / name) for name in there}
    card = card_of(digests=digests)
    (folder / CARD).write_bytes(json_bytes(card))
    total = sums({**digests, CARD: sha256(folder / CARD)})
    (folder / SUMS).write_bytes(total)
    if key is not None:
        (folder / SIGNATURE).write_text(key.sign(total).hex() + "\n", encoding="ascii")
        (folder / PUBLIC_KEY).write_bytes(public_pem(key.public_key()))
    return card


def _output(folder: Path, model: FittedModel, escape: bool) -> dict[str, Any]:
    there = [name for name in TABLES if (folder / name).is_file()]
    if len(there) != 1:
        raise UsageError(f"a release holds one table, named {' or '.join(TABLES)}")
    table = folder / there[0]
    return {
        "file": there[0],
        "rows": read(table, escape=escape).n_rows,
        "escaped": escape and there[0].endswith(".csv"),
        "columns": [{"name": c.name, "dtype": c.dtype} for c in model.schema],
        "bytes": table.stat().st_size,
        "sha256": sha256(table),
    }


def _is_release(path: Path) -> bool:
    """Return whether a folder holds a release and nothing else, so that it may be replaced."""
    entries = {entry.name: entry for entry in path.iterdir()}
    if entries.keys() <= {PUBLIC, RESTRICTED}:
        return all(
            stat.S_ISDIR(entry.lstat().st_mode) and _is_part(entry) for entry in entries.values()
        )
    return _is_part(path)


def _is_part(path: Path) -> bool:
    try:
        for entry in path.iterdir():
            if entry.name not in NAMES or not stat.S_ISREG(entry.lstat().st_mode):
                return False
        return parsed(bounded(path / CARD), CARD).get("format") == FORMAT
    except (ArtefactError, OSError):
        return False
