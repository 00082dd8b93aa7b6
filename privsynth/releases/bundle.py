"""The folder of a release: written beside its final place, and moved there once it is complete.

It holds the table, the report, the evaluation, a card, Croissant metadata, the sha256 of each, and
a signature if a key is given. A model under a budget gets two folders inside it: ``public`` holds
the table and the guarantee, and ``restricted`` holds whatever was read off real rows (scores,
verdicts, exact counts, hashes of the inputs).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.artefact import FittedModel
from privsynth.errors import ArtefactError, StorageError, UsageError
from privsynth.evaluation import Evaluation
from privsynth.files import beside, failure, put
from privsynth.releases.card import FORMAT, Facts, Release, make_card, public_card
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
    """Check, before any work is done, that a release can be written to a folder.

    Raises
    ------
    UsageError
        It exists and holds something other than an older release.
    StorageError
        Its parent folder is missing or cannot be written to.
    """
    path = Path(folder).resolve()
    if not path.parent.is_dir():
        raise StorageError(f"{folder}: its parent folder does not exist; create it first")
    if not os.access(path.parent, os.W_OK):
        raise StorageError(f"{folder}: its parent folder cannot be written to; choose another")
    if not path.exists():
        return
    if not path.is_dir():
        raise UsageError(f"{folder}: is a file; name a new folder or an older release")
    if any(path.iterdir()) and not _is_release(path):
        raise UsageError(
            f"{folder}: is a folder that is neither empty nor an older release; name another"
        )


@contextmanager
def opened(folder: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `folder`, and rename it into place on success.

    Parameters
    ----------
    folder : str or Path
        New, empty, or an older release, which is replaced as a whole.

    Yields
    ------
    Path
        An empty folder that only its owner can read until it is moved into place. After an error,
        an interrupt or a kill the old folder is as it was.

    Raises
    ------
    UsageError
        `folder` holds something else.
    StorageError
        Its parent folder cannot be written to.
    """
    check_folder(folder)
    place = Path(folder).resolve()
    try:
        with beside(place) as temporary:
            yield temporary
            check_folder(folder)  # somebody may have written there in the meantime
            put(temporary, place)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise failure(folder, error) from None


def fill(folder: Path, release: Release) -> dict[str, Any]:
    """Write the files of a release beside its synthetic table.

    Parameters
    ----------
    folder : Path
        The folder that `opened` yields; it already holds ``synthetic.csv`` or
        ``synthetic.parquet``.
    release : Release

    Returns
    -------
    dict
        The card; the public one if there are two.

    Raises
    ------
    UsageError
        The folder does not hold exactly one table, or the key cannot be used.
    MissingExtraError
        The release is to be signed and `cryptography` is not installed.
    """
    model, key = release.model, None if release.sign is None else private_key(release.sign)
    output = _output(folder, model, release.escape)
    facts = partial(
        Facts,
        model_sha256=None if release.model_file is None else sha256(Path(release.model_file)),
        output=output,
        signed_by=None if key is None else fingerprint(key.public_key()),
    )
    # Judge what a reader of the file sees: JSON has no numbers that are not finite.
    evaluation = Evaluation.from_json(release.evaluation.to_json())
    release = replace(release, evaluation=evaluation)
    files = {EVALUATION: evaluation.to_json().encode(), REPORT: release.page.encode()}
    guarantee = str(model.ledger.guarantee())
    if model.ledger.budget is None:
        files[CROISSANT] = json_bytes(croissant(output, guarantee))
        return _write_part(folder, files, key, lambda d: make_card(release, facts(digests=d)))
    public, restricted = folder / PUBLIC, folder / RESTRICTED
    public.mkdir(mode=0o777)
    restricted.mkdir(mode=0o700)
    (folder / output["file"]).rename(public / output["file"])
    metadata = {CROISSANT: json_bytes(croissant(output, guarantee, attacked=False))}
    card = _write_part(public, metadata, key, lambda d: public_card(release, facts(digests=d)))
    binding = {"part": RESTRICTED, "public_card": sha256(public / CARD)}
    _write_part(
        restricted, files, key, lambda d: {**make_card(release, facts(digests=d)), **binding}
    )
    for path in restricted.iterdir():
        path.chmod(0o600)
    return card


def _write_part(
    folder: Path,
    files: Mapping[str, bytes],
    key: Ed25519PrivateKey | None,
    card_of: Callable[[Mapping[str, str]], dict[str, Any]],
) -> dict[str, Any]:
    """Write one part of a release: its files, its card, the hashes of all, and a signature.

    `card_of` builds the card from the sha256 of each of the other files.
    """
    for name, data in files.items():
        (folder / name).write_bytes(data)
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    digests = {name: sha256(folder / name) for name in names}
    card = card_of(digests)
    (folder / CARD).write_bytes(json_bytes(card))
    listing = sums({**digests, CARD: sha256(folder / CARD)})
    (folder / SUMS).write_bytes(listing)
    if key is not None:
        (folder / SIGNATURE).write_text(key.sign(listing).hex() + "\n", encoding="ascii")
        (folder / PUBLIC_KEY).write_bytes(public_pem(key.public_key()))
    return card


def _output(folder: Path, model: FittedModel, escape: bool) -> dict[str, Any]:
    """Describe the synthetic table in a folder, as a card does."""
    names = [name for name in TABLES if (folder / name).is_file()]
    if len(names) != 1:
        raise UsageError(
            f"a release holds one table, named {' or '.join(TABLES)}; the folder has {len(names)}"
        )
    table = folder / names[0]
    return {
        "file": names[0],
        "rows": read(table, escape=escape).n_rows,
        "escaped": escape and names[0].endswith(".csv"),
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
