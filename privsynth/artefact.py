"""Fitted models, and the file that one is saved in.

The file is a zip of JSON and safetensors members: parameters alone, nothing that executes. Its
manifest carries the sha256 of every other member, and the archive's comment the sha256 of all
that stands before it, so that a single flipped byte is found. It carries no timestamp: same
model, same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.card import Card
from privsynth.coding import Codec
from privsynth.consistency import check_parts
from privsynth.engines import Model, Progress, engine
from privsynth.errors import (
    ArtefactError,
    PrivsynthError,
    SamplingError,
    StorageError,
    UsageError,
)
from privsynth.files import replacing
from privsynth.files.documents import read_json
from privsynth.privacy import Ledger
from privsynth.sampler import chosen_seed, rows
from privsynth.schema import Schema
from privsynth.table import check_distinct, only_places, to_frame
from privsynth.task import FitTask

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FittedModel", "check_schema", "load", "packed", "save"]

FORMAT = "privsynth-model"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ARRAYS = "params.safetensors"
LARGEST: Mapping[str, int] = {
    MANIFEST: 2**20,
    "schema.json": 2**24,
    "codec.json": 2**26,
    "ledger.json": 2**20,
    "model.json": 2**24,
    ARRAYS: 2**31,
}
"""The members of a model file, and the most bytes that each may hold."""
DIGEST = 64
MAX_RATIO = 500
"""How many times its packed size a member may have: a codec of columns all alike has 270."""
MIN_CAP = 2**20
MAX_EMPTY = 2**16
"""The most entries along an axis of an array that holds nothing, whose size no file bounds."""
_DAMAGED = (LookupError, NotImplementedError, OverflowError, RuntimeError, ValueError)
"""What `zipfile` raises on a damaged directory, beside its own error."""
_FOREIGN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What numpy and Arrow raise on values that do not fit a type: most of Arrow's errors are these."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model, with all that is needed to draw rows and to account for them.

    Parameters
    ----------
    schema : Schema
    codec : Codec
    model : Model
        The engine's own model, in codes.
    ledger : Ledger
        What was asked of the training rows.
    card : Card
        What was fitted, to how many rows, by which versions, under which disclosure control.
    cautions : tuple of (kind, text)
        What a user should know of the fit; the verbs warn of it. They are not saved.
    sources : mapping of str to Any
        What `fit` was given; nothing is written over a file among them. They are not saved.
    """

    schema: Schema
    codec: Codec
    model: Model
    ledger: Ledger
    card: Card
    cautions: Sequence[tuple[str, str]] = field(default=(), repr=False)
    sources: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __repr__(self) -> str:
        engine, target = self.card.engine, self.card.target
        aim = "" if target is None else f", target {target!r}"
        columns, guarantee = len(self.schema), self.ledger.guarantee()
        return f"FittedModel({engine}, {columns} columns{aim}, {guarantee})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The same bytes as a file's: every engine's model can be pickled if it can be saved.
        return _restored, (packed(self), only_places(self.sources))

    def sample(
        self,
        n: int,
        *,
        seed: int | None = None,
        where: Mapping[str, Any] | None = None,
        balance: float | None = None,
    ) -> Any:
        """Draw synthetic rows.

        Parameters
        ----------
        n : int
            How many.
        seed : int, optional
            Same seed, same rows; without one every call gives others.
        where : mapping of str to value, optional
            Conditions that every row is to meet, such as ``{"Class": "bad"}``.
        balance : float, optional
            The least rows of each class for each row of the most frequent one; see `balanced`.

        Returns
        -------
        pandas.DataFrame, polars.DataFrame or pyarrow.Table
            The kind of frame that the model was fitted on; pandas for a file.

        Raises
        ------
        UsageError
            `n` is below 1.
        SamplingError
            A condition cannot be met.
        """
        import pyarrow as pa

        table = pa.concat_tables(self.chunks(n, seed=seed, where=where, balance=balance))
        return to_frame(table.cast(self.codec.schema), self.card.frame)

    def chunks(
        self,
        n: int,
        *,
        seed: int | None = None,
        where: Mapping[str, Any] | None = None,
        balance: float | None = None,
        progress: Progress | None = None,
    ) -> Generator[pa.Table]:
        """Draw synthetic rows, a chunk at a time; see `sample`.

        Yields
        ------
        pyarrow.Table
        """
        return rows(
            self.codec,
            self.model,
            n,
            seed=chosen_seed(seed),
            where=where,
            classes=self.weights(balance, where),
            progress=progress,
        )

    @property
    def task(self) -> FitTask:
        """Return the task that made the model, so that it can be replayed.

        Raises
        ------
        UsageError
            The model was saved by a version that did not keep all of the task.
        """
        return self.card.task(self.schema, self.ledger.budget)

    def weights(
        self, balance: float | None = None, where: Mapping[str, Any] | None = None
    ) -> dict[int, float] | None:
        """Return the weight of each class to draw, by code; None for the model's own shares.

        A model of the minority that was fitted under a budget knows all classes.

        Raises
        ------
        UsageError
            `balance` is given, and `where` asks for one class.
        """
        if balance is not None:
            if self.card.target in (where or {}):
                raise UsageError(
                    f"a balance sets the shares of all classes, and a condition on "
                    f"{self.card.target!r} asks for one class; leave one of them out"
                )
            return self.balanced(balance)
        shares = self.card.class_shares
        if not (shares and self.card.minority and self.ledger.budget is not None):
            return None
        rare = {c: share for c, share in enumerate(shares) if share > 0}
        del rare[max(rare, key=rare.__getitem__)]
        if not rare:
            raise SamplingError("the model has one class, and no minority to draw")
        return rare

    def balanced(self, ratio: float) -> dict[int, float]:
        """Return for each class the weight that balances it against the most frequent one.

        Parameters
        ----------
        ratio : float
            The least rows of each class for each row of the most frequent one: above 0, and 1
            for equally many.

        Returns
        -------
        dict of int to float
            By the class's code.

        Raises
        ------
        UsageError
            `ratio` is out of range, or the model has no classes to be balanced.
        """
        if not 0 < ratio <= 1:
            raise UsageError(f"a balance of {ratio} was given; give one above 0, and at most 1")
        shares = self.card.class_shares
        if not shares or self.card.minority:
            what = "minority classes alone" if shares else "no target of few classes"
            raise UsageError(f"the model has {what}, so there is nothing to balance")
        most = max(shares)
        return {c: max(share, ratio * most) for c, share in enumerate(shares) if share > 0}

    def save(self, path: str | Path, *, allow_rows: bool = False) -> None:
        """Save the model; see `privsynth.artefact.save`."""
        save(self, path, allow_rows=allow_rows)


def save(model: FittedModel, path: str | Path, *, allow_rows: bool = False) -> None:
    """Save a fitted model, readable by its owner alone.

    Parameters
    ----------
    model : FittedModel
    path : str or Path
        Usually ending in ``.psyn``. An old file is replaced when the new one is whole.
    allow_rows : bool
        Whether a model that *is* training rows may be saved.

    Raises
    ------
    UsageError
        The model holds training rows and `allow_rows` is not given; or `path` is a file that the
        model was fitted on, or that the fit wrote.
    StorageError
        The file cannot be written.
    """
    if model.model.holds_rows and not allow_rows:
        raise UsageError(
            f"a model of {model.card.engine} holds training rows and is not saved; "
            "use another engine, or allow it with --allow-rows"
        )
    check_distinct(model.sources, {"path": path})
    data = packed(model)
    with replacing(path, mode=0o600) as temporary:
        temporary.write_bytes(data)


def check_schema(schema: Schema) -> None:
    """Refuse, before a fit, a schema that a model file could not hold.

    Raises
    ------
    UsageError
    """
    data = _json(schema.to_dict())
    limit = min(LARGEST["schema.json"], max(MAX_RATIO * len(zlib.compress(data)), MIN_CAP))
    if len(data) > limit:
        raise UsageError(
            f"the schema takes {len(data) / 2**20:.1f} MiB, and a model file holds "
            f"{limit / 2**20:.1f} MiB of such text; shorten its levels and its 'why'"
        )


def load(path: str | Path) -> FittedModel:
    """Load a fitted model; nothing in the file is executed.

    Raises
    ------
    StorageError
        The file cannot be read.
    ArtefactError
        It is no model, is damaged or altered, or was saved by a newer privsynth.
    """
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise ArtefactError(f"{path}: is no file; give the file that 'privsynth fit' wrote")
        if Path(path).stat().st_size > sum(LARGEST.values()):
            raise ArtefactError(f"{path}: is larger than any privsynth model; check the path")
        data = Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    try:
        return _unpack(data)
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error}") from None
    except (PrivsynthError, *_FOREIGN):
        raise ArtefactError(
            f"{path}: its parts do not fit each other; fit the model anew"
        ) from None


def packed(model: FittedModel) -> bytes:
    """Return the bytes that `save` writes."""
    from safetensors.numpy import save as pack_arrays

    meta, arrays = model.model.state()
    members = {
        "schema.json": _json(model.schema.to_dict()),
        "codec.json": _json(model.codec.to_dict()),
        "ledger.json": _json(model.ledger.to_dict()),
        "model.json": _json(meta),
        ARRAYS: pack_arrays({name: np.ascontiguousarray(a) for name, a in sorted(arrays.items())}),
    }
    manifest = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "card": model.card.to_dict(),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST: _json(manifest), **members}.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o600 << 16
            entry.compress_type = zipfile.ZIP_STORED if name == ARRAYS else zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
        archive.comment = b"0" * DIGEST
    body = buffer.getvalue()[:-DIGEST]
    return body + hashlib.sha256(body).hexdigest().encode()


def _restored(packed: bytes, sources: Mapping[str, Any]) -> FittedModel:
    """Rebuild a model that was pickled or copied; nothing is written over what it was made from."""
    return replace(_unpack(packed), sources=sources)


def _unpack(packed: bytes) -> FittedModel:
    members = _members(packed)
    manifest = read_json(members[MANIFEST], MANIFEST, ArtefactError)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError("is a zip file, but no privsynth model; give the file 'fit' wrote")
    version = manifest.get("version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        shown = version if isinstance(version, int) else type(version).__name__
        raise ArtefactError(
            f"was saved in format {shown}, and this privsynth reads up to {FORMAT_VERSION}; "
            "install a newer privsynth"
        )
    digests = manifest["sha256"]
    if not isinstance(digests, dict) or digests.keys() != members.keys() - {MANIFEST}:
        raise ArtefactError("does not give the hash of each member; fit the model anew")
    for name, digest in digests.items():
        if hashlib.sha256(members[name]).hexdigest() != digest:
            raise ArtefactError(f"member {name} is damaged; copy the file again or fit anew")
    if hashlib.sha256(packed[:-DIGEST]).hexdigest().encode() != packed[-DIGEST:]:
        raise ArtefactError("is damaged or was altered; copy the file again or fit anew")
    schema_state, codec_state, ledger_state, meta = (
        read_json(members[f"{name}.json"], f"{name}.json", ArtefactError)
        for name in ("schema", "codec", "ledger", "model")
    )
    schema = Schema.from_dict(schema_state)
    codec = Codec.from_dict(schema, codec_state)
    card = Card.from_dict(manifest["card"])
    model = engine(card.engine).model.from_state(meta, _arrays(members[ARRAYS]))
    ledger = Ledger.from_dict(ledger_state)
    check_parts(schema, codec, model, ledger, card)
    return FittedModel(schema=schema, codec=codec, model=model, ledger=ledger, card=card)


def _members(packed: bytes) -> dict[str, bytes]:
    """Read the archive's members, after checking their names and sizes."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            for name in names:
                if name not in LARGEST:
                    raise ArtefactError("holds a member that no model has; do not trust this file")
            if sorted(names) != sorted(LARGEST):
                raise ArtefactError("lacks a member or has one twice; fit the model anew")
            for entry in entries:
                stored = entry.compress_type == zipfile.ZIP_STORED
                packed_as = stored or entry.compress_type == zipfile.ZIP_DEFLATED
                # Arrays are stored as they are, so that they cannot be larger than the file.
                if (
                    entry.flag_bits & 1
                    or not packed_as
                    or (entry.filename == ARRAYS and not stored)
                ):
                    raise ArtefactError("holds a member packed in a way that no model is")
                if entry.file_size > min(LARGEST[entry.filename], _unpacked(entry)):
                    raise ArtefactError(f"member {entry.filename} is larger than a model's may be")
            return {entry.filename: _bounded(archive, entry) for entry in entries}
    except ArtefactError:
        raise
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, *_DAMAGED):
        raise ArtefactError(
            "is no privsynth model, or is damaged; give the file that 'privsynth fit' wrote"
        ) from None


def _unpacked(entry: zipfile.ZipInfo) -> int:
    """Return the largest size that a member may unpack to."""
    return max(MAX_RATIO * entry.compress_size, MIN_CAP)


def _bounded(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read a member, and at most as many bytes as the archive states."""
    with archive.open(entry) as member:
        return member.read(entry.file_size)


def _arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack_arrays

    try:
        arrays = unpack_arrays(data)
    except (SafetensorError, KeyError):  # the key is a type that numpy does not have
        raise ArtefactError("its parameters are damaged; copy the file again or fit anew") from None
    if any(array.size == 0 and max(array.shape) > MAX_EMPTY for array in arrays.values()):
        raise ArtefactError("its parameters have a shape that no model has; fit the model anew")
    return arrays


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode()
