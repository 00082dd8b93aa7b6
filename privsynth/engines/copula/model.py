"""A fitted Gaussian copula, and sampling from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec
from privsynth.curator import Curator, Measurement
from privsynth.engines.copula.conditioning import Conditioning
from privsynth.engines.copula.lookup import Lookup
from privsynth.engines.copula.scores import (
    FARTHEST,
    MIN_EIGENVALUE,
    Latent,
    Scale,
    bounds,
    latents_of,
)
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.stored import ROUNDING, check_sizes, reading, stored, stored_shares
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import flag, number, whole

__all__ = ["CopulaModel", "NoisyAnswers"]


ROWS_AT_ONCE = 4_096
MAX_DRAWS_PER_ROW = 1_000
PATIENCE = 500_000
"""Draws before the conditions may be found too rare, by `MAX_DRAWS_PER_ROW`."""
DRAWS_AT_ONCE = 100_000


@dataclass(frozen=True, eq=False)
class NoisyAnswers:
    """The noisy answers that a model was learnt from: its release.

    Parameters
    ----------
    rows : float
        Estimated number of rows.
    counts : tuple of Measurement
        Counts of each column's codes, jointly with the target where it divides the rows.
    products : Measurement or None
        Sums of products of scores, shape (classes, pairs), in squared parts of a score
        (`privsynth.curator.SCORE_PARTS`); None with fewer than two dimensions.
    """

    rows: float
    counts: tuple[Measurement, ...]
    products: Measurement | None

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays."""
        measurements = [*self.counts, *([] if self.products is None else [self.products])]
        meta = {
            "rows": self.rows,
            "products": self.products is not None,
            "measured": [
                {"clique": list(m.clique), "shape": list(m.values.shape), "scale": m.scale}
                for m in measurements
            ],
        }
        return meta, {f"measured{i}": np.atleast_1d(m.values) for i, m in enumerate(measurements)}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild the answers from what `state` returned."""
        what = "release"
        measurements = []
        for i, entry in enumerate(meta["measured"]):
            shape = tuple(whole(size, what) for size in entry["shape"])
            values = stored(arrays, f"measured{i}", shape or (1,), np.int64).reshape(shape)
            clique = tuple(whole(j, what) for j in entry["clique"])
            measurements.append(Measurement(clique, values, number(entry["scale"], what)))
        products = measurements.pop() if flag(meta["products"], what) else None
        return cls(number(meta["rows"], what), tuple(measurements), products)

    def fits(self, sizes: tuple[int, ...], classes: int, pairs: int) -> bool:
        """Return whether the shapes are those of columns of `sizes` codes and `pairs` of scores.

        Rows of doubtful classes may be counted as one more class, which is never drawn.
        """
        counts = all(
            m.values.shape == tuple(sizes[j] for j in m.clique if j < len(sizes))
            for m in self.counts
        )
        shapes = [(classes, pairs), (classes + 1, pairs)]
        return counts and (self.products is None or self.products.values.shape in shapes)


@dataclass(frozen=True, eq=False)
class CopulaModel:
    """A fitted Gaussian copula.

    Parameters
    ----------
    sizes : tuple of int
        Number of codes of each column of the table.
    target : int or None
        Position of a discrete target.
    latents : tuple of Latent
    prior : ndarray, shape (classes,)
        Share of each class; a single 1 where there is no discrete target.
    order : ndarray of int32, shape (sum of latent sizes,)
        Each dimension's codes, in ascending order of their normal scores.
    shares : ndarray, shape (classes with rows, sum of latent sizes)
        Share of each code in that order, class by class.
    correlation : ndarray, shape (classes with rows, latents, latents)
        Correlation of the latent normals.
    release : NoisyAnswers, optional
        What the model was learnt from, under a privacy budget.
    """

    sizes: tuple[int, ...]
    target: int | None
    latents: tuple[Latent, ...]
    prior: Floats
    order: npt.NDArray[np.int32]
    shares: Floats
    correlation: Floats
    release: NoisyAnswers | None = None

    holds_rows: ClassVar[bool] = False

    @classmethod
    def of(cls, curator: Curator, scale: Scale, shares: Floats, correlation: Floats) -> Self:
        """Return the model of a curator's table from its scale, shares and correlation."""
        codec = curator.codec
        return cls(
            sizes=codec.sizes,
            target=codec.label,
            latents=scale.latents,
            prior=scale.rows / scale.rows.sum(),
            order=np.concatenate([np.zeros(0, dtype=np.int32), *scale.order]),
            shares=shares,
            correlation=correlation,
        )

    @property
    def answers(self) -> frozenset[int]:
        """Every column; see `privsynth.engines.Model.answers`."""
        return frozenset(range(len(self.sizes)))

    @property
    def n_rows(self) -> float:
        """The noisy number of training rows, under a privacy budget."""
        return math.nan if self.release is None else self.release.rows

    def marginal(self, column: int) -> Floats:
        """Return the noisy share of each code of a column."""
        if column == self.target:
            return self.prior
        dimensions = [i for i, latent in enumerate(self.latents) if latent.column == column]
        if not dimensions:
            return np.ones(1)
        weight = self.prior[self.prior > 0]
        share, *missing = (weight @ self._spans(self.shares)[i] for i in dimensions)
        shares = np.empty(self.sizes[column])
        shares[self._spans(self.order)[dimensions[0]]] = share * (missing[0][0] if missing else 1.0)
        if missing:
            shares[-1] = missing[0][1]
        return shares

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows; see `privsynth.engines.Model.sample`.

        Raises
        ------
        SamplingError
            The model has no row that meets the conditions, or too few of its draws do.
        """
        conditions = dict(where or {})
        conditionings = self._conditioning(
            {j: code for j, code in conditions.items() if j != self.target}
        )
        labels, innovations = self._conditioned(n, rng, conditions, conditionings)
        label_type = np.min_scalar_type(len(self.prior))  # numpy radix-sorts 8 and 16 bits
        by_class = np.argsort(labels.astype(label_type), kind="stable")
        position = np.empty(n, dtype=np.intp)
        position[by_class] = np.arange(n)
        innovations = innovations[:, by_class]
        class_counts = np.bincount(labels, minlength=len(self.prior))
        rows = np.zeros((len(self.sizes), n), dtype=np.int32)
        stop = 0
        for c, conditioning in conditionings.items():
            start, stop = stop, stop + int(class_counts[c])
            if start < stop:
                span = slice(start, stop)
                self._fill(rows[:, span], innovations[:, span], c, conditioning, conditions, rng)
        codes = np.empty((n, len(self.sizes)), dtype=np.int32, order="F")
        for j, column in enumerate(rows):
            if j in conditions:
                codes[:, j] = conditions[j]
            elif j == self.target:
                codes[:, j] = labels
            else:
                column.take(position, out=codes[:, j], mode="clip")
        return codes

    def _conditioning(self, conditions: Mapping[int, int]) -> dict[int, Conditioning]:
        """Return the conditioning of the latent normals of each class."""
        if any(not 0 <= code < self.sizes[j] for j, code in conditions.items()):
            raise SamplingError("a condition names a code outside its column; give another value")
        spans = self._spans(self.order)
        latent_codes: dict[int, int] = {}
        for i, latent in enumerate(self.latents):
            code = conditions.get(latent.column)
            if code is None:
                continue
            if latent.presence:
                latent_codes[i] = int(code == latent.null)
            elif code != latent.null:
                latent_codes[i] = int(np.flatnonzero(spans[i] == code)[0])
        return {
            int(c): Conditioning.build(
                {i: self._interval(row, i, code) for i, code in latent_codes.items()},
                self.correlation[row],
            )
            for row, c in enumerate(np.flatnonzero(self.prior))
        }

    def _interval(self, row: int, latent: int, code: int) -> tuple[float, float]:
        """Return the interval of a code; a single point if its share is 0."""
        ends = np.concatenate([[-FARTHEST], self._cuts[row][latent], [FARTHEST]])
        return float(ends[code]), float(ends[code + 1])

    def _conditioned(
        self,
        n: int,
        rng: np.random.Generator,
        conditions: Mapping[int, int],
        conditionings: Mapping[int, Conditioning],
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return each row's class and the innovations of the conditioned latents.

        Rejection sampling: classes are proposed by their share times the bound of their
        conditioning, so accepted draws have the classes and normals of rows that meet the
        conditions.
        """
        target_condition = {j: code for j, code in conditions.items() if j == self.target}
        width = len(next(iter(conditionings.values())).latents)
        if width == 0:
            labels = labels_to_draw(n, self.prior, self.target, rng, target_condition)
            return labels, np.zeros((0, n))
        fixed_class = next(iter(target_condition.values()), None)
        weight = np.zeros(len(self.prior))
        for c, conditioning in conditionings.items():
            if c == fixed_class or fixed_class is None:
                weight[c] = self.prior[c] * conditioning.bound
        if not weight.any():
            raise SamplingError(
                "the model has no row that meets the conditions together; drop one of them"
            )
        kept: list[tuple[npt.NDArray[np.int32], Floats]] = []
        n_kept = n_drawn = 0
        while n_kept < n:
            if n_drawn >= PATIENCE and n_kept * MAX_DRAWS_PER_ROW < n_drawn:
                raise SamplingError(
                    f"{n_kept} of {n_drawn} draws meet the conditions together, and {n} rows are "
                    "needed; ask for fewer rows or drop a condition"
                )
            rate = max(n_kept, 1) / n_drawn if n_drawn else 1.0
            size = int(np.clip(1.1 * (n - n_kept) / rate, 1_000, DRAWS_AT_ONCE)) if width > 1 else n
            labels = labels_to_draw(size, weight, None, rng, None)
            innovations, acceptance = np.empty((width, size)), np.empty(size)
            for c in np.unique(labels):
                in_class = np.flatnonzero(labels == c)
                proposals = conditionings[int(c)].draw(len(in_class), rng)
                innovations[:, in_class], acceptance[in_class] = proposals
            if width > 1:
                accepted = np.flatnonzero(rng.random(size) < acceptance)
            else:
                accepted = np.arange(size)
            kept.append((labels[accepted], innovations[:, accepted]))
            n_kept += len(accepted)
            n_drawn += size
        all_labels = np.concatenate([labels for labels, _ in kept])
        all_innovations = np.concatenate([innovations for _, innovations in kept], axis=1)
        return all_labels[:n], all_innovations[:, :n]

    def _fill(
        self,
        rows: npt.NDArray[np.int32],
        innovations: Floats,
        c: int,
        conditioning: Conditioning,
        conditions: Mapping[int, int],
        rng: np.random.Generator,
    ) -> None:
        """Write one class's codes, shape (columns, rows), except those of conditioned columns."""
        row = int(np.count_nonzero(self.prior[:c]))
        free = [i for i, latent in enumerate(self.latents) if latent.column not in conditions]
        latents = [*conditioning.latents, *free]
        width = len(conditioning.latents)
        root = np.linalg.cholesky(self.correlation[row][np.ix_(latents, latents)])[width:]
        root = root.astype(np.float32)
        for start in range(0, rows.shape[1], ROWS_AT_ONCE):
            block = rows[:, start : start + ROWS_AT_ONCE]
            normals = np.empty((len(latents), block.shape[1]), dtype=np.float32)
            normals[:width] = innovations[:, start : start + ROWS_AT_ONCE]
            rng.standard_normal(out=normals[width:], dtype=np.float32)
            for i, values in zip(free, root @ normals, strict=True):
                latent, lookup = self.latents[i], self._lookups[row][i]
                if latent.presence:
                    absent = lookup.read(values) == 1
                    np.copyto(block[latent.column], self.sizes[latent.column] - 1, where=absent)
                else:
                    lookup.read(values, out=block[latent.column])

    def _spans(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Split the last axis, over all dimensions' codes, into one array per dimension."""
        ends = np.cumsum([0, *[latent.size for latent in self.latents]]).tolist()
        return [array[..., a:b] for a, b in pairwise(ends)]

    @cached_property
    def _cuts(self) -> list[list[Floats]]:
        """The cuts between codes, by class and dimension."""
        return [[bounds(share) for share in self._spans(shares)] for shares in self.shares]

    @cached_property
    def _lookups(self) -> list[list[Lookup]]:
        """The lookup of codes, by class and dimension."""
        spans = self._spans(self.order)
        return [
            [Lookup.build(cuts, codes) for cuts, codes in zip(row, spans, strict=True)]
            for row in self._cuts
        ]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays; see `privsynth.engines.Model.state`."""
        meta: dict[str, Any] = {
            "sizes": list(self.sizes),
            "target": self.target,
            "latents": [[x.column, x.size, x.null, x.presence, x.nominal] for x in self.latents],
            "classes": len(self.prior),
        }
        names = ("prior", "order", "shares", "correlation")
        arrays = {name: getattr(self, name) for name in names}
        if self.release is not None:
            meta["release"], measured = self.release.state()
            arrays |= measured
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        with reading("Gaussian copula"):
            sizes = tuple(whole(size, "number of codes", 1) for size in meta["sizes"])
            latents = tuple(
                Latent(
                    whole(column, "latents"),
                    whole(size, "latents", 1),
                    None if null is None else whole(null, "latents"),
                    flag(presence, "latents"),
                    flag(nominal, "latents"),
                )
                for column, size, null, presence, nominal in meta["latents"]
            )
            target = None if meta["target"] is None else whole(meta["target"], "target")
            prior = stored_shares(
                arrays, "prior", (whole(meta["classes"], "number of classes", 1),)
            )
            width, n_present = sum(x.size for x in latents), int((prior > 0).sum())
            model = cls(
                sizes,
                target,
                latents,
                prior,
                stored(arrays, "order", (width,), np.int32),
                stored(arrays, "shares", (n_present, width), np.float64),
                stored(arrays, "correlation", (n_present, len(latents), len(latents)), np.float64),
                NoisyAnswers.from_state(meta["release"], arrays) if "release" in meta else None,
            )
            if not model._sound():
                raise ArtefactError(
                    "the parameters of the Gaussian copula contradict each other; "
                    "fit the model anew"
                )
        return model

    def _sound(self) -> bool:
        """Return whether sizes, orders, shares and correlations are consistent and in range."""
        latents_fit = all(latent.fits(self.sizes) for latent in self.latents)
        orders_hold = all(
            np.array_equal(np.sort(codes), np.arange(len(codes)))
            for codes in self._spans(self.order)
        )
        sums_hold = all(
            np.allclose(part.sum(axis=1), 1, atol=ROUNDING) for part in self._spans(self.shares)
        )
        classes = 1 if self.target is None else (*self.sizes, 0)[min(self.target, len(self.sizes))]
        if not (latents_fit and orders_hold and sums_hold and (self.shares >= 0).all()):
            return False
        return classes == len(self.prior) and self._correlated()

    def _correlated(self) -> bool:
        """Return whether each class has a well-conditioned correlation matrix."""
        width = len(self.latents)
        diagonal = np.einsum("cii->ci", self.correlation)
        if not np.allclose(diagonal, 1) or not np.allclose(
            self.correlation, self.correlation.swapaxes(1, 2), atol=1e-9
        ):
            return False
        try:
            np.linalg.cholesky(self.correlation - MIN_EIGENVALUE / 100 * np.eye(width))
        except np.linalg.LinAlgError:
            return False
        return True

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        check_sizes(codec, self.sizes, self.target, optional=self.release is not None)
        pairs = len(self.latents) * (len(self.latents) - 1) // 2
        if self.latents != latents_of(codec, self.target) or (
            self.release is not None
            and not self.release.fits(self.sizes, len(self.correlation), pairs)
        ):
            raise ArtefactError(
                "its copula and its codec are of different tables; fit the model anew"
            )
