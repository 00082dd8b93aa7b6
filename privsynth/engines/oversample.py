"""imbalanced-learn's over-samplers as engines: their models are training rows.

SMOTE and its family draw points on the segments between a minority row and its neighbours, so
what they give can be traced back to the rows (Ganev et al., *SMOTE and Mirrors*, ICLR 2026). They
are here to be compared with and to be attacked; none of them makes rows that may be shared.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Floats
from privsynth.coding import Codec, Coding, numbers_of, typed
from privsynth.curator import Curator
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.protocols import Progress
from privsynth.engines.stored import ROUNDING, reading, stored
from privsynth.errors import (
    ArtefactError,
    ConfigError,
    DataError,
    SamplingError,
    UsageError,
    warn,
)
from privsynth.files.documents import text, whole
from privsynth.schema import Role
from privsynth.table import arrow_type

__all__ = ["Adasyn", "BorderlineSmote", "Oversampled", "Random", "Smote", "Smotenc"]


MAX_TRIES = 20
NO_NEIGHBOUR = "Not any nei", "No samples will be generated"
"""How imbalanced-learn's errors begin where a class has no row among those of other classes."""
DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""Kinds of Arrow's messages that hold buffers."""


@dataclass(frozen=True)
class Smote:
    """SMOTE: points on the segments between minority rows that are near each other.

    Parameters
    ----------
    k_neighbors : int
        How many nearest minority rows each one is joined with.

    Notes
    -----
    Chawla, Bowyer, Hall & Kegelmeyer, *Journal of Artificial Intelligence Research* 16, 2002.
    """

    k_neighbors: int = 5

    method: ClassVar[str] = "smote"
    model: ClassVar[type[Oversampled]]

    def __post_init__(self) -> None:
        _positive(k_neighbors=self.k_neighbors)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `privsynth.engines.Synthesizer.fit`.

        Raises
        ------
        DataError
            A column is of a kind, or has gaps, that the method cannot take.
        """
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Smotenc(Smote):
    """SMOTE whose categories are the most frequent ones among the neighbours."""

    method: ClassVar[str] = "smotenc"


@dataclass(frozen=True)
class BorderlineSmote:
    """SMOTE from only those minority rows that lie among rows of other classes.

    Parameters
    ----------
    k_neighbors : int
    m_neighbors : int
        How many nearest rows of any class decide whether a row lies at the border.
    kind : {"borderline-1", "borderline-2"}

    Notes
    -----
    Han, Wang & Mao, *Borderline-SMOTE*, ICIC 2005.
    """

    k_neighbors: int = 5
    m_neighbors: int = 10
    kind: str = "borderline-1"

    method: ClassVar[str] = "borderline-smote"
    model: ClassVar[type[Oversampled]]

    def __post_init__(self) -> None:
        _positive(k_neighbors=self.k_neighbors, m_neighbors=self.m_neighbors)
        if self.kind not in ("borderline-1", "borderline-2"):
            raise ConfigError("expected kind as borderline-1 or borderline-2")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `Smote.fit`."""
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Adasyn:
    """SMOTE with more rows from where the other classes are near.

    Parameters
    ----------
    n_neighbors : int

    Notes
    -----
    He, Bai, Garcia & Li, *ADASYN*, IJCNN 2008.
    """

    n_neighbors: int = 5

    method: ClassVar[str] = "adasyn"
    model: ClassVar[type[Oversampled]]

    def __post_init__(self) -> None:
        _positive(n_neighbors=self.n_neighbors)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `Smote.fit`."""
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Random:
    """Random over-sampling: the minority rows again, drawn with replacement."""

    method: ClassVar[str] = "random"
    model: ClassVar[type[Oversampled]]

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the minority rows."""
        return _keep(self.method, {}, curator)


@dataclass(frozen=True, eq=False)
class Oversampled:
    """Training rows, and the method that makes new ones of them.

    Parameters
    ----------
    method : str
        The engine's name.
    settings : mapping of str to value
        Its hyper-parameters.
    rows : pyarrow.Table
        The columns that are modelled, of all rows; of the minority alone, and all columns, for
        random over-sampling.
    labels : ndarray of int32, shape (rows,)
        The code of each row's class.
    target : int
        The target's position among the table's columns.
    name : str
        The target's name.
    discrete : tuple of str
        The columns that are not interpolated.
    prior : ndarray, shape (classes,)
        Share of each class among what is drawn; 0 for the most frequent one.
    """

    method: str
    settings: Mapping[str, Any]
    rows: pa.Table
    labels: npt.NDArray[np.int32]
    target: int
    name: str
    discrete: tuple[str, ...]
    prior: Floats

    holds_rows: ClassVar[bool] = True

    @property
    def answers(self) -> frozenset[int]:
        """The target; see `privsynth.engines.Model.answers`."""
        return frozenset({self.target})

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> pa.Table:
        """Draw rows of the minority; see `privsynth.engines.Model.sample`.

        Raises
        ------
        SamplingError
            The method makes no row of a class: it has one row, or none at the border.
        """
        drawn = np.bincount(labels_to_draw(n, self.prior, self.target, rng, where))
        parts = [self._of(c, int(m), rng) for c, m in enumerate(drawn) if m]
        table = pa.concat_tables(parts)
        return table.take(pa.array(rng.permutation(n))) if len(parts) > 1 else table

    def _of(self, code: int, n: int, rng: np.random.Generator) -> pa.Table:
        """Draw rows of one class."""
        own = np.flatnonzero(self.labels == code)
        if self.method == "random":
            return self.rows.take(pa.array(rng.choice(own, n)))
        if len(own) < 2:
            raise SamplingError(
                f"{self.method} draws between rows, and a class has {len(own)}; use random"
            )
        rows = self._made(code, n, rng)
        columns = [
            self._levels[name].back(rows[:, j])
            if name in self._levels
            else self._lines[name].back(rows[:, j])
            for j, name in enumerate(self._features.column_names)
        ]
        table = pa.table(columns, schema=self._features.schema)
        label = self.rows.column(self.name).take(pa.array([int(own[0])] * n, pa.int64()))
        at = self.rows.schema.get_field_index(self.name)
        return table.add_column(at, self.rows.schema.field(at), label)

    def _made(self, code: int, n: int, rng: np.random.Generator) -> Floats:
        """Draw rows of one class with imbalanced-learn, repeatedly if it returns too few."""
        class_rows = int((self.labels == code).sum())
        parts: list[Floats] = []
        have = 0
        for _ in range(MAX_TRIES):
            # ADASYN rounds the share of each row, and may give fewer than it is asked for.
            requested = class_rows + (n - have) + (class_rows if self.method == "adasyn" else 0)
            sampler = self._sampler({code: requested}, class_rows, rng)
            try:
                resampled, _ = sampler.fit_resample(self._matrix, self.labels)
            except (RuntimeError, ValueError) as error:
                if not str(error).startswith(NO_NEIGHBOUR):
                    raise
                break
            new = np.asarray(resampled, dtype=np.float64)[len(self.labels) :]
            if not len(new):
                break
            self._check_finite(new)
            parts.append(rng.permutation(new)[: n - have])
            have += len(parts[-1])
            if have == n:
                return np.concatenate(parts)
        raise SamplingError(
            f"{self.method} makes no row of a class none of whose rows lies among other "
            "classes; use smote or cart"
        )

    def _check_finite(self, values: Floats) -> None:
        """Refuse a column whose range overflows a float64."""
        far = ~np.isfinite(values).all(axis=0)
        if far.any():
            name = self._features.column_names[int(far.argmax())]
            raise DataError(
                f"column {name!r}: its numbers lie too far apart for {self.method}, which draws "
                "between them; rescale them, or use cart"
            )

    def _sampler(self, totals: dict[int, int], class_rows: int, rng: np.random.Generator) -> Any:
        from imblearn import over_sampling

        seed = int(rng.integers(2**31))
        settings = dict(self.settings)
        for key in ("k_neighbors", "n_neighbors"):
            if key in settings:
                settings[key] = min(settings[key], class_rows - 1)
        if "m_neighbors" in settings:
            settings["m_neighbors"] = min(settings["m_neighbors"], len(self.labels) - 1)
        settings |= {"sampling_strategy": totals, "random_state": seed}
        discrete = [j for j, name in enumerate(self._features.column_names) if name in self._levels]
        if self.method == "smotenc" and discrete:
            return over_sampling.SMOTENC(discrete, **settings)
        make: dict[str, Callable[..., Any]] = {
            "smote": over_sampling.SMOTE,
            "smotenc": over_sampling.SMOTE,
            "borderline-smote": over_sampling.BorderlineSMOTE,
            "adasyn": over_sampling.ADASYN,
        }
        return make[self.method](**settings)

    @cached_property
    def _features(self) -> pa.Table:
        return self.rows.drop_columns([self.name])

    @cached_property
    def _levels(self) -> dict[str, _Levels]:
        """The columns that are not interpolated."""
        return {name: _Levels.of(self.rows.column(name)) for name in self.discrete}

    @cached_property
    def _lines(self) -> dict[str, _Line]:
        """The columns that are interpolated."""
        names = [name for name in self._features.column_names if name not in self._levels]
        return {name: _Line.of(self.rows.column(name), name) for name in names}

    @cached_property
    def _matrix(self) -> Floats:
        """The features as numbers, one row a training row."""
        columns: dict[str, _Line | _Levels] = {**self._lines, **self._levels}
        return np.column_stack([columns[name].floats for name in self._features.column_names])

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays: the rows are an Arrow stream, as bytes."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.rows.schema) as stream:
            stream.write_table(self.rows)
        arrays: dict[str, npt.NDArray[Any]] = {
            "rows": np.frombuffer(sink.getvalue(), dtype=np.uint8),
            "labels": self.labels,
            "prior": self.prior,
        }
        meta = {
            "method": self.method,
            "settings": dict(self.settings),
            "target": self.target,
            "name": self.name,
            "discrete": list(self.discrete),
        }
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model; see `privsynth.engines.Model.from_state`."""
        with reading("rows"):
            rows = _stream(stored(arrays, "rows", arrays["rows"].shape, np.uint8).tobytes())
            labels = stored(arrays, "labels", (rows.num_rows,), np.int32)
            prior = stored(arrays, "prior", arrays["prior"].shape, np.float64)
            name = text(meta["name"], "target")
            discrete = tuple(text(item, "discrete columns") for item in meta["discrete"])
            method, target = text(meta["method"], "method"), whole(meta["target"], "target")
            settings = {text(key, "settings"): value for key, value in meta["settings"].items()}
            sound = (
                {name, *discrete} <= set(rows.column_names)
                and rows.num_rows > 0
                and prior.ndim == 1
                and bool((prior >= 0).all())
                and 0 < prior.sum() <= 1 + ROUNDING
                and bool(((labels >= 0) & (labels < len(prior))).all())
                and bool(np.isin(np.flatnonzero(prior), labels).all())
            )
            if not sound:
                raise ArtefactError("the rows of the model do not fit it; fit the model anew")
        return cls(method, settings, rows, labels, target, name, discrete, prior)

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        aim = codec.codings[self.target] if self.target == codec.target else None
        if aim is None or not codec.classes or aim.name != self.name:
            raise ArtefactError("its rows have another target than its codec; fit the model anew")
        kept = [c for c in codec.codings if self.method == "random" or _modelled(c)]
        others = () if self.method == "random" else _discrete(kept, aim)
        types = [(coding.name, arrow_type(coding.column.dtype)) for coding in kept]
        if (
            self.rows.schema.remove_metadata() != pa.schema(types)
            or self.discrete != others
            or len(self.prior) != aim.size
            or not np.array_equal(aim.encode(self.rows.column(self.name)), self.labels)
        ):
            raise ArtefactError("its rows are of another table than its codec; fit the model anew")
        if self.method != "random":
            self._check_features([c for c in kept if c is not aim])

    def _check_features(self, features: list[Coding]) -> None:
        """Refuse features that the method cannot draw between."""
        try:
            _check(self.method, self.rows, features, self.discrete)
        except DataError:
            raise ArtefactError(f"its rows do not suit {self.method}; fit the model anew") from None
        if not np.isfinite(self._matrix).all():
            raise ArtefactError("its rows hold what is no number; fit the model anew")


def _stream(packed: bytes) -> pa.Table:
    """Read rows that were saved as an Arrow stream.

    Raises
    ------
    ArtefactError
        They are damaged, or compressed, so that they may be far larger than the file: ours never
        are.
    """
    try:
        messages = list(pa.ipc.MessageReader.open_stream(packed))
        if any(_is_compressed(message.metadata.to_pybytes()) for message in messages):
            raise ArtefactError("the rows of the model are compressed; fit it anew")
        rows = pa.ipc.open_stream(packed).read_all()
        rows.validate(full=True)
    except (OSError, pa.ArrowException, struct.error):
        raise ArtefactError("the rows of the model are damaged; fit it anew") from None
    return rows


def _is_compressed(message: bytes) -> bool:
    """Return whether a message's batch says that its buffers are compressed.

    pyarrow does not tell before it unpacks them, so the flatbuffer (Arrow's `Message.fbs`) is read
    here: a table's fields are found by their slots.
    """

    def field_at(table: int, slot: int) -> int:
        slots = table - struct.unpack_from("<i", message, table)[0]
        if 4 + 2 * slot >= struct.unpack_from("<H", message, slots)[0]:
            return 0
        offset: int = struct.unpack_from("<H", message, slots + 4 + 2 * slot)[0]
        return table + offset if offset else 0

    def followed(at: int) -> int:
        return at + int(struct.unpack_from("<I", message, at)[0])

    root = followed(0)
    kind, header = field_at(root, 1), field_at(root, 2)
    if not kind or not header or message[kind] not in (DICTIONARY_BATCH, RECORD_BATCH):
        return False
    batch = followed(header)
    if message[kind] == DICTIONARY_BATCH:
        data = field_at(batch, 1)
        if not data:
            return False
        batch = followed(data)
    return field_at(batch, 3) > 0


@dataclass(frozen=True, eq=False)
class _Levels:
    """A column of categories, as the places of its values among the distinct ones.

    Parameters
    ----------
    floats : ndarray, shape (rows,)
        The place of each row's value; one more than there are values where it is missing.
    values : pyarrow.Array
        The distinct values.
    dtype : pyarrow.DataType
        How the column is stored.
    """

    floats: Floats
    values: pa.Array
    dtype: pa.DataType

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        plain = _plain(column)
        values = plain.unique().drop_null()
        places = pc.fill_null(pc.index_in(plain, value_set=values), len(values))
        return cls(np.asarray(places, dtype=np.float64), values, column.type)

    def back(self, drawn: Floats) -> pa.Array:
        """Return the value at each place."""
        at = drawn.astype(np.int32)
        indices = pa.array(at, mask=at == len(self.values))
        if not pa.types.is_dictionary(self.dtype):
            return self.values.take(indices)
        return pa.DictionaryArray.from_arrays(indices, self.values, ordered=self.dtype.ordered)


@dataclass(frozen=True, eq=False)
class _Line:
    """A column of numbers or moments, as distances from its least value.

    Parameters
    ----------
    values : ndarray of float64 or int64, shape (rows,)
        Whole numbers and ticks are kept as integers: a float64 holds no more than 53 bits.
    dtype : pyarrow.DataType
        How the column is stored.
    """

    values: npt.NDArray[Any]
    dtype: pa.DataType

    @classmethod
    def of(cls, column: pa.ChunkedArray, name: str) -> Self:
        kind = column.type
        whole = pa.types.is_integer(kind) or pa.types.is_temporal(kind)
        try:
            values = numbers_of(column, np.dtype(np.int64 if whole else np.float64))[0]
        except pa.ArrowInvalid:
            raise DataError(
                f"column {name!r}: holds values of {kind} that cannot be read as numbers; store "
                "them as float64, or use cart"
            ) from None
        return cls(values, kind)

    @cached_property
    def floats(self) -> Floats:
        """Each row's distance from the least value; fractions are taken as they are."""
        if self.values.dtype == np.int64:
            return self._distances.astype(np.float64)
        return self.values

    @property
    def _distances(self) -> npt.NDArray[np.uint64]:
        # Wraps round, and so is exact.
        return np.asarray((self.values - self.values.min()).view(np.uint64))

    def back(self, drawn: Floats) -> pa.Array:
        """Return the values at some distances; a row's own distance returns its exact value."""
        if self.values.dtype != np.int64:
            return typed(drawn, None, self.dtype)
        exact = np.unique(self._distances)
        rounded = exact.astype(np.float64)
        at = np.minimum(np.searchsorted(rounded, drawn), len(rounded) - 1)
        near = np.clip(np.rint(drawn), 0, np.nextafter(2.0**64, 0)).astype(np.uint64)
        apart = np.where(rounded[at] == drawn, exact[at], np.minimum(near, exact[-1]))
        return typed(apart.view(np.int64) + self.values.min(), None, self.dtype)


for _recipe in (Smote, BorderlineSmote, Adasyn, Random):
    _recipe.model = Oversampled


def _keep(method: str, settings: Mapping[str, Any], curator: Curator) -> Oversampled:
    """Build the model of a method from the rows it needs."""
    codec = curator.codec
    if codec.label is None:
        raise UsageError(f"{method} draws rows of a class; name a target of few values")
    aim = codec.codings[codec.label]
    table = curator.rows()
    labels = aim.encode(table.column(aim.name).combine_chunks())
    class_counts = np.bincount(labels, minlength=aim.size)
    prior = np.where(np.arange(len(class_counts)) == class_counts.argmax(), 0, class_counts) / len(
        labels
    )
    if not prior.any():
        prior = class_counts / len(labels)
    if method == "random":
        return _random(table, labels, codec.label, aim.name, prior)
    modelled = [coding for coding in codec.codings if _modelled(coding)]
    discrete = _discrete(modelled, aim)
    _check(method, table, [c for c in modelled if c is not aim], discrete)
    _tell(method, settings, class_counts[class_counts > 0])
    rows = table.select([coding.name for coding in modelled])
    return Oversampled(method, settings, rows, labels, codec.label, aim.name, discrete, prior)


def _random(
    table: pa.Table, labels: npt.NDArray[np.int32], target: int, name: str, prior: Floats
) -> Oversampled:
    rare = prior[labels] > 0
    return Oversampled(
        "random", {}, table.filter(pa.array(rare)), labels[rare], target, name, (), prior
    )


def _modelled(coding: Coding) -> bool:
    column = coding.column
    if column.kind.surrogate or column.determined_by is not None:
        return False
    return column.role not in (Role.ID, Role.KEY)


def _discrete(modelled: list[Coding], aim: Coding) -> tuple[str, ...]:
    """Name the columns that are not interpolated."""
    return tuple(c.name for c in modelled if c is not aim and not _interpolated(c))


def _interpolated(coding: Coding) -> bool:
    stored = arrow_type(coding.column.dtype)
    return coding.column.kind.continuous and not pa.types.is_dictionary(stored)


def _check(method: str, table: pa.Table, features: list[Coding], discrete: tuple[str, ...]) -> None:
    """Refuse what a method cannot take."""
    if not features:
        raise DataError(f"{method} needs a column beside the target; give one, or use random")
    if discrete and method != "smotenc":
        raise DataError(
            f"column {discrete[0]!r} holds categories, and {method} draws between numbers; "
            "use smotenc, or cart or copula"
        )
    if method == "smotenc" and len(discrete) == len(features):
        raise DataError("smotenc needs a column of numbers, and there is none; use cart or copula")
    for coding in features:
        gaps = table.column(coding.name).null_count
        if gaps and coding.name not in discrete:
            raise DataError(
                f"column {coding.name!r} has {gaps} missing values, and {method} cannot take "
                "them; fill them, or use cart, copula or random"
            )


def _tell(method: str, settings: Mapping[str, Any], class_counts: npt.NDArray[np.intp]) -> None:
    """Warn when a class has fewer rows than the neighbours asked for."""
    neighbours = settings.get("k_neighbors", settings.get("n_neighbors", 0))
    few = int(class_counts.min())
    if 2 <= few <= neighbours:
        warn(
            f"{method}: {neighbours} neighbours are asked for and a class has {few} rows; "
            f"{few - 1} are used for it"
        )


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; give 1 or more")


def _plain(column: pa.ChunkedArray) -> pa.Array:
    values = column.combine_chunks()
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
