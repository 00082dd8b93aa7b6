"""Training rows, and the imbalanced-learn method that draws new ones from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Floats
from privsynth.coding import Codec, Coding
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.oversample.columns import Levels, Line
from privsynth.engines.oversample.features import check_features, discrete_names, modelled
from privsynth.engines.oversample.stream import read_rows
from privsynth.engines.stored import ROUNDING, reading, stored
from privsynth.errors import ArtefactError, DataError, SamplingError
from privsynth.files.documents import text, whole
from privsynth.table import arrow_type

__all__ = ["Oversampled"]

MAX_TRIES = 20
NO_NEIGHBOUR = "Not any nei", "No samples will be generated"
"""How imbalanced-learn's errors begin where a class has no row among those of other classes."""


@dataclass(frozen=True, eq=False)
class Oversampled:
    """Training rows, and the method that draws new ones from them.

    Parameters
    ----------
    method : str
        The engine's name.
    settings : mapping of str to value
        Its hyper-parameters.
    rows : pyarrow.Table
        The modelled columns of all rows; for random over-sampling, all columns of the minority.
    labels : ndarray of int32, shape (rows,)
        The code of each row's class.
    target : int
        The target's position among the table's columns.
    name : str
        The target's name.
    discrete : tuple of str
        The columns that are not interpolated.
    prior : ndarray, shape (classes,)
        The share of each class among the rows drawn; 0 for the most frequent one.
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
            The method draws no row of a class, since it has one row, or none at the border.
        """
        class_counts = np.bincount(labels_to_draw(n, self.prior, self.target, rng, where))
        parts = [self._class_table(c, int(m), rng) for c, m in enumerate(class_counts) if m]
        table = pa.concat_tables(parts)
        return table.take(pa.array(rng.permutation(n))) if len(parts) > 1 else table

    def _class_table(self, code: int, n: int, rng: np.random.Generator) -> pa.Table:
        """Draw rows of one class."""
        class_rows = np.flatnonzero(self.labels == code)
        if self.method == "random":
            return self.rows.take(pa.array(rng.choice(class_rows, n)))
        if len(class_rows) < 2:
            raise SamplingError(
                f"{self.method} draws between rows, and a class has {len(class_rows)}; use random"
            )
        rows = self._interpolated(code, n, rng)
        columns = [
            self._levels[name].decode(rows[:, j])
            if name in self._levels
            else self._lines[name].decode(rows[:, j])
            for j, name in enumerate(self._features.column_names)
        ]
        table = pa.table(columns, schema=self._features.schema)
        label = self.rows.column(self.name).take(pa.array([int(class_rows[0])] * n, pa.int64()))
        at = self.rows.schema.get_field_index(self.name)
        return table.add_column(at, self.rows.schema.field(at), label)

    def _interpolated(self, code: int, n: int, rng: np.random.Generator) -> Floats:
        """Draw rows of one class with imbalanced-learn, repeatedly if it returns too few."""
        n_class = int((self.labels == code).sum())
        parts: list[Floats] = []
        n_drawn = 0
        for _ in range(MAX_TRIES):
            # ADASYN rounds the share of each row, and may return too few.
            total = n_class + (n - n_drawn) + (n_class if self.method == "adasyn" else 0)
            sampler = self._sampler({code: total}, n_class, rng)
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
            parts.append(rng.permutation(new)[: n - n_drawn])
            n_drawn += len(parts[-1])
            if n_drawn == n:
                return np.concatenate(parts)
        raise SamplingError(
            f"{self.method} draws no row of a class, since none of its rows lies among those of "
            "other classes; use smote or cart"
        )

    def _check_finite(self, values: Floats) -> None:
        """Refuse a column whose range overflows a float64."""
        overflows = ~np.isfinite(values).all(axis=0)
        if overflows.any():
            name = self._features.column_names[int(overflows.argmax())]
            raise DataError(
                f"column {name!r}: its numbers lie too far apart for {self.method}, which draws "
                "between them; rescale them, or use cart"
            )

    def _sampler(self, totals: dict[int, int], n_class: int, rng: np.random.Generator) -> Any:
        from imblearn import over_sampling

        seed = int(rng.integers(2**31))
        settings = dict(self.settings)
        for key in ("k_neighbors", "n_neighbors"):
            if key in settings:
                settings[key] = min(settings[key], n_class - 1)
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
    def _levels(self) -> dict[str, Levels]:
        """The columns that are not interpolated."""
        return {name: Levels.of(self.rows.column(name)) for name in self.discrete}

    @cached_property
    def _lines(self) -> dict[str, Line]:
        """The columns that are interpolated."""
        names = [name for name in self._features.column_names if name not in self._levels]
        return {name: Line.of(self.rows.column(name), name) for name in names}

    @cached_property
    def _matrix(self) -> Floats:
        """The features as numbers, one row a training row."""
        columns: dict[str, Line | Levels] = {**self._lines, **self._levels}
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
            rows = read_rows(stored(arrays, "rows", arrays["rows"].shape, np.uint8).tobytes())
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
        label = codec.codings[self.target] if self.target == codec.target else None
        if label is None or not codec.classes or label.name != self.name:
            raise ArtefactError("its rows have another target than its codec; fit the model anew")
        codings = [c for c in codec.codings if self.method == "random" or modelled(c)]
        discrete = () if self.method == "random" else discrete_names(codings, label)
        types = [(coding.name, arrow_type(coding.column.dtype)) for coding in codings]
        if (
            self.rows.schema.remove_metadata() != pa.schema(types)
            or self.discrete != discrete
            or len(self.prior) != label.size
            or not np.array_equal(label.encode(self.rows.column(self.name)), self.labels)
        ):
            raise ArtefactError("its rows are of another table than its codec; fit the model anew")
        if self.method != "random":
            self._check_features([c for c in codings if c is not label])

    def _check_features(self, features: list[Coding]) -> None:
        """Refuse features that the method cannot draw between."""
        try:
            check_features(self.method, self.rows, features, self.discrete)
        except DataError:
            raise ArtefactError(f"its rows do not suit {self.method}; fit the model anew") from None
        if not np.isfinite(self._matrix).all():
            raise ArtefactError("its rows hold a number that is not finite; fit the model anew")
