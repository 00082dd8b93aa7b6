"""Fitted models, and the file that a model is saved in.

The file is a zip of JSON and safetensors members: parameters alone, nothing that executes. Its
manifest has the sha256 of every other member, and the archive's comment has the sha256 of all bytes
before it, so that a single flipped byte is detected. The file has no timestamp: the same model
gives the same bytes.
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
"""The members of a model file, and the maximum size of each in bytes."""
DIGEST = 64
"""Length of a sha256 in hexadecimal."""
MAX_RATIO = 500
"""Maximum ratio of a member's size to its packed size; a codec of equal columns has 270."""
MIN_CAP = 2**20
"""A member may always unpack to this many bytes."""
MAX_EMPTY = 2**16
"""Maximum length of an axis of an empty array, which no file size bounds."""
_DAMAGED = (LookupError, NotImplementedError, OverflowError, RuntimeError, ValueError)
"""What `zipfile` raises on a damaged directory, besides its own error."""
_FOREIGN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What numpy and Arrow raise on values of a wrong type; most Arrow errors derive from them."""


@dataclass(frozen=True, eq=False)
class FittedModel:
    """A fitted model, with everything needed to draw rows and to account for the fit.

    Parameters
    ----------
    schema : Schema
    codec : Codec
    model : Model
        The engine's own model, in codes.
    ledger : Ledger
        The answers about the training rows, and their prices.
    card : Card
        What was fitted: to how many rows, by which versions, under which disclosure control.
    cautions : tuple of (kind, text)
        What a user should know about the fit; verbs warn of them. Not saved.
    sources : mapping of str to Any
        The inputs of `fit`; files among them are never overwritten. Not saved.
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
        # The bytes of a file, so that every model that can be saved can be pickled.
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
            Number of rows.
        seed : int, optional
            The same seed gives the same rows; by default rows differ in every call.
        where : mapping of str to value, optional
            Conditions that every row must meet, such as ``{"Class": "bad"}``.
        balance : float, optional
            Minimum ratio of each class to the most frequent one; see `balanced`.

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
        """Return the task of the fit, so that it can be replayed.

        Raises
        ------
        UsageError
            The model was saved by a version that did not save the whole task.
        """
        return self.card.task(self.schema, self.ledger.budget)

    def weights(
        self, balance: float | None = None, where: Mapping[str, Any] | None = None
    ) -> dict[int, float] | None:
        """Return the weight of each class to draw, by code; None for the model's own shares.

        A model of the minority that was fitted under a budget has all classes, so weights are
        needed to draw the minority alone.

        Raises
        ------
        UsageError
            `balance` is given, and `where` asks for one class.
        """
        if balance is not None:
            if self.card.target in (where or {}):
                raise UsageError(
                    f"a balance and a condition on the target {self.card.target!r} are given, and "
                    "both set the shares of classes; leave one of them out"
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
        """Return the weight of each class that balances it against the most frequent one.

        Parameters
        ----------
        ratio : float
            Minimum ratio of each class to the most frequent one; above 0, and 1 for equal
            classes.

        Returns
        -------
        dict of int to float
            By the class's code.

        Raises
        ------
        UsageError
            `ratio` is out of range, or the model has no classes to balance.
        """
        if not 0 < ratio <= 1:
            raise UsageError(f"the balance is {ratio}; expected a number above 0 and at most 1")
        shares = self.card.class_shares
        if not shares or self.card.minority:
            what = "minority classes alone" if shares else "no target of few classes"
            raise UsageError(f"the model has {what}, so there is nothing to balance")
        max_share = max(shares)
        return {c: max(share, ratio * max_share) for c, share in enumerate(shares) if share > 0}

    def save(self, path: str | Path, *, allow_rows: bool = False) -> None:
        """Save the model; see `privsynth.artefact.save`."""
        save(self, path, allow_rows=allow_rows)


def save(model: FittedModel, path: str | Path, *, allow_rows: bool = False) -> None:
    """Save a fitted model, readable by its owner alone.

    Parameters
    ----------
    model : FittedModel
    path : str or Path
        Usually ends in ``.psyn``. An existing file is replaced once the new one is complete.
    allow_rows : bool
        Whether a model that holds training rows may be saved.

    Raises
    ------
    UsageError
        The model holds training rows and `allow_rows` is false; or `path` is an input or another
        output of the fit.
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
    """Refuse a schema that is too large for a model file; called before a fit.

    Raises
    ------
    UsageError
    """
    data = _json(schema.to_dict())
    limit = min(LARGEST["schema.json"], max(MAX_RATIO * len(zlib.compress(data)), MIN_CAP))
    if len(data) > limit:
        raise UsageError(
            f"the schema takes {len(data) / 2**20:.1f} MiB, and a model file allows "
            f"{limit / 2**20:.1f} MiB for it; shorten its levels and its 'why'"
        )


def load(path: str | Path) -> FittedModel:
    """Load a fitted model; nothing in the file is executed.

    Raises
    ------
    StorageError
        The file cannot be read.
    ArtefactError
        The file is no model, is damaged or altered, or was saved by a newer privsynth.
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
    """Rebuild a pickled or copied model; it keeps `sources`, so its inputs stay protected."""
    return replace(_unpack(packed), sources=sources)


def _unpack(packed: bytes) -> FittedModel:
    members = _members(packed)
    manifest = read_json(members[MANIFEST], MANIFEST, ArtefactError)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError("is a zip file, but no privsynth model; give the file that 'fit' wrote")
    version = manifest.get("version")
    if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
        shown = version if isinstance(version, int) else type(version).__name__
        raise ArtefactError(
            f"was saved in format {shown}, and this privsynth reads up to {FORMAT_VERSION}; "
            "install a newer privsynth"
        )
    digests = manifest["sha256"]
    if not isinstance(digests, dict) or digests.keys() != members.keys() - {MANIFEST}:
        raise ArtefactError("lacks the hash of a member; fit the model anew")
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
    """Read the archive's members; check their names and sizes first."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            for name in names:
                if name not in LARGEST:
                    raise ArtefactError("has a member that no model has; do not trust this file")
            if sorted(names) != sorted(LARGEST):
                raise ArtefactError("lacks a member or has one twice; fit the model anew")
            for entry in entries:
                stored = entry.compress_type == zipfile.ZIP_STORED
                packed_as = stored or entry.compress_type == zipfile.ZIP_DEFLATED
                # Arrays are stored uncompressed, so they cannot be larger than the file.
                if (
                    entry.flag_bits & 1
                    or not packed_as
                    or (entry.filename == ARRAYS and not stored)
                ):
                    raise ArtefactError(
                        "has a member with a compression that no model has; do not trust this file"
                    )
                if entry.file_size > min(LARGEST[entry.filename], _unpacked(entry)):
                    raise ArtefactError(
                        f"member {entry.filename} is larger than any model's; do not trust it"
                    )
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
    """Read a member, up to the size that the archive states."""
    with archive.open(entry) as member:
        return member.read(entry.file_size)


def _arrays(data: bytes) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpack_arrays

    try:
        arrays = unpack_arrays(data)
    except (SafetensorError, KeyError):  # KeyError: a type that numpy lacks
        raise ArtefactError("its parameters are damaged; copy the file again or fit anew") from None
    if any(array.size == 0 and max(array.shape) > MAX_EMPTY for array in arrays.values()):
        raise ArtefactError("its parameters have a shape that no model has; fit the model anew")
    return arrays


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1).encode()
