"""A fitted Gaussian copula, and how rows are drawn from it."""

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
DRAWS_A_ROW = 1_000
MIN_DRAWS = 500_000
MAX_DRAWS = 100_000


@dataclass(frozen=True, eq=False)
class NoisyAnswers:
    """The noisy answers that a model was learnt from.

    Parameters
    ----------
    rows : float
        About how many rows there are.
    counts : tuple of Measurement
        The codes of each column, beside the target where it divides the rows.
    products : Measurement or None
        The products of scores, shape (classes, pairs), in parts (`privsynth.curator.SCORE_PARTS`)
        of theirs; None where there is one dimension at most.
    """

    rows: float
    counts: tuple[Measurement, ...]
    products: Measurement | None

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays."""
        every = [*self.counts, *([] if self.products is None else [self.products])]
        meta = {
            "rows": self.rows,
            "products": self.products is not None,
            "measured": [
                {"clique": list(m.clique), "shape": list(m.values.shape), "scale": m.scale}
                for m in every
            ],
        }
        return meta, {f"measured{i}": np.atleast_1d(m.values) for i, m in enumerate(every)}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild what `state` gave."""
        what = "release"
        every = []
        for i, entry in enumerate(meta["measured"]):
            shape = tuple(whole(size, what) for size in entry["shape"])
            values = stored(arrays, f"measured{i}", shape or (1,), np.int64).reshape(shape)
            clique = tuple(whole(j, what) for j in entry["clique"])
            every.append(Measurement(clique, values, number(entry["scale"], what)))
        products = every.pop() if flag(meta["products"], what) else None
        return cls(number(meta["rows"], what), tuple(every), products)

    def fits(self, sizes: tuple[int, ...], classes: int, pairs: int) -> bool:
        """Whether the answers are of columns of `sizes` codes and of pairs of their scores.

        Rows whose class is in doubt are counted apart, as a class that is never drawn.
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
        Codes of each column of the table.
    target : int or None
        Position of a discrete target.
    latents : tuple of Latent
    prior : ndarray, shape (classes,)
        Share of each class; a single 1 where there is no discrete target.
    order : ndarray of int32, shape (sum of latent sizes,)
        Each dimension's codes in the order of its normal score.
    shares : ndarray, shape (classes with rows, sum of latent sizes)
        Share of each code in that order, class by class.
    correlation : ndarray, shape (classes with rows, latents, latents)
        Of the latent normals.
    release : NoisyAnswers, optional
        The noisy answers that it was learnt from, under a privacy budget.
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
        """Return the model of a curator's table, given its scale."""
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
        own = [i for i, latent in enumerate(self.latents) if latent.column == column]
        if not own:
            return np.ones(1)
        weight = self.prior[self.prior > 0]
        share, *missing = (weight @ self._spans(self.shares)[i] for i in own)
        shares = np.empty(self.sizes[column])
        shares[self._spans(self.order)[own[0]]] = share * (missing[0][0] if missing else 1.0)
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
        evidence = self._conditioning(
            {j: code for j, code in conditions.items() if j != self.target}
        )
        labels, heads = self._conditioned(n, rng, conditions, evidence)
        narrow = np.min_scalar_type(len(self.prior))  # which numpy sorts by digits
        grouped = np.argsort(labels.astype(narrow), kind="stable")
        place = np.empty(n, dtype=np.intp)
        place[grouped] = np.arange(n)
        heads = heads[:, grouped]
        class_counts = np.bincount(labels, minlength=len(self.prior))
        rows = np.zeros((len(self.sizes), n), dtype=np.int32)
        end = 0
        for c, known in evidence.items():
            start, end = end, end + int(class_counts[c])
            if start < end:
                self._fill(rows[:, start:end], heads[:, start:end], c, known, conditions, rng)
        codes = np.empty((n, len(self.sizes)), dtype=np.int32, order="F")
        for j, column in enumerate(rows):
            if j in conditions:
                codes[:, j] = conditions[j]
            elif j == self.target:
                codes[:, j] = labels
            else:
                column.take(place, out=codes[:, j], mode="clip")
        return codes

    def _conditioning(self, conditions: Mapping[int, int]) -> dict[int, Conditioning]:
        """Return the conditioning of each class's latent normals."""
        if any(not 0 <= code < self.sizes[j] for j, code in conditions.items()):
            raise SamplingError("a code outside its column is asked for; ask for another value")
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
        evidence: Mapping[int, Conditioning],
    ) -> tuple[npt.NDArray[np.int32], Floats]:
        """Return each row's class and the innovations of the conditioned latents.

        Classes are proposed by their share times the bound of their evidence. What is kept then
        has the classes, and the normals inside them, of rows that meet the conditions.
        """
        by_class = {j: code for j, code in conditions.items() if j == self.target}
        width = len(next(iter(evidence.values())).latents)
        if width == 0:
            return labels_to_draw(n, self.prior, self.target, rng, by_class), np.zeros((0, n))
        asked_class = next(iter(by_class.values()), None)
        weight = np.zeros(len(self.prior))
        for c, known in evidence.items():
            if c == asked_class or asked_class is None:
                weight[c] = self.prior[c] * known.bound
        if not weight.any():
            raise SamplingError(
                "the model has no row that meets the conditions together; drop one of them"
            )
        kept: list[tuple[npt.NDArray[np.int32], Floats]] = []
        have = drawn = 0
        while have < n:
            if drawn >= MIN_DRAWS and have * DRAWS_A_ROW < drawn:
                raise SamplingError(
                    f"{have} of {drawn} draws meet the conditions together, and {n} are wanted; "
                    "ask for fewer rows or drop a condition"
                )
            rate = max(have, 1) / drawn if drawn else 1.0
            size = int(np.clip(1.1 * (n - have) / rate, 1_000, MAX_DRAWS)) if width > 1 else n
            labels = labels_to_draw(size, weight, None, rng, None)
            heads, chance = np.empty((width, size)), np.empty(size)
            for c in np.unique(labels):
                mine = np.flatnonzero(labels == c)
                heads[:, mine], chance[mine] = evidence[int(c)].draw(len(mine), rng)
            meets = np.flatnonzero(rng.random(size) < chance) if width > 1 else np.arange(size)
            kept.append((labels[meets], heads[:, meets]))
            have += len(meets)
            drawn += size
        drawn_labels = np.concatenate([labels for labels, _ in kept])
        return drawn_labels[:n], np.concatenate([heads for _, heads in kept], axis=1)[:, :n]

    def _fill(
        self,
        rows: npt.NDArray[np.int32],
        heads: Floats,
        c: int,
        known: Conditioning,
        conditions: Mapping[int, int],
        rng: np.random.Generator,
    ) -> None:
        """Write the codes of one class's rows, shape (columns, rows), except conditioned ones."""
        row = int(np.count_nonzero(self.prior[:c]))
        free = [i for i, latent in enumerate(self.latents) if latent.column not in conditions]
        both = [*known.latents, *free]
        width = len(known.latents)
        root = np.linalg.cholesky(self.correlation[row][np.ix_(both, both)])[width:]
        root = root.astype(np.float32)
        for start in range(0, rows.shape[1], ROWS_AT_ONCE):
            block = rows[:, start : start + ROWS_AT_ONCE]
            normals = np.empty((len(both), block.shape[1]), dtype=np.float32)
            normals[:width] = heads[:, start : start + ROWS_AT_ONCE]
            rng.standard_normal(out=normals[width:], dtype=np.float32)
            for i, scores in zip(free, root @ normals, strict=True):
                latent, guide = self.latents[i], self._lookups[row][i]
                if latent.presence:
                    none = guide.read(scores) == 1
                    np.copyto(block[latent.column], self.sizes[latent.column] - 1, where=none)
                else:
                    guide.read(scores, out=block[latent.column])

    def _spans(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Split an array of all dimensions' codes into one per dimension."""
        ends = np.cumsum([0, *[latent.size for latent in self.latents]]).tolist()
        return [array[..., a:b] for a, b in pairwise(ends)]

    @cached_property
    def _cuts(self) -> list[list[Floats]]:
        """The cuts of each dimension, class by class."""
        return [[bounds(share) for share in self._spans(shares)] for shares in self.shares]

    @cached_property
    def _lookups(self) -> list[list[Lookup]]:
        """The lookup of each dimension, class by class."""
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
            width, there = sum(x.size for x in latents), int((prior > 0).sum())
            model = cls(
                sizes,
                target,
                latents,
                prior,
                stored(arrays, "order", (width,), np.int32),
                stored(arrays, "shares", (there, width), np.float64),
                stored(arrays, "correlation", (there, len(latents), len(latents)), np.float64),
                NoisyAnswers.from_state(meta["release"], arrays) if "release" in meta else None,
            )
            if not model._sound():
                raise ArtefactError(
                    "the parameters of the Gaussian copula contradict each other; "
                    "fit the model anew"
                )
        return model

    def _sound(self) -> bool:
        """Whether codes, shares and correlations are all in range."""
        fits = all(latent.fits(self.sizes) for latent in self.latents)
        orders = all(
            np.array_equal(np.sort(codes), np.arange(len(codes)))
            for codes in self._spans(self.order)
        )
        sums = all(
            np.allclose(part.sum(axis=1), 1, atol=ROUNDING) for part in self._spans(self.shares)
        )
        classes = 1 if self.target is None else (*self.sizes, 0)[min(self.target, len(self.sizes))]
        if not (fits and orders and sums and (self.shares >= 0).all()):
            return False
        return classes == len(self.prior) and self._correlated()

    def _correlated(self) -> bool:
        """Whether each class has a well-conditioned correlation matrix."""
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
            raise ArtefactError("its copula is of another table than its codec; fit anew")
