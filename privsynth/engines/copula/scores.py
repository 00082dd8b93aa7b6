"""Normal scores: the codes of a table as intervals of latent normals.

An interval's probability is the share of its code; its score is the mean of the normal inside it.
Correlations are learnt from sums of products of scores alone, which add up over batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Codec
from privsynth.curator import CodeScores, Curator

__all__ = [
    "FARTHEST",
    "Latent",
    "Moments",
    "Scale",
    "bounds",
    "latents_of",
    "positive",
    "solve",
    "steady",
    "waves",
]


SWEEPS = 2
TERMS = 40
HALVINGS = 24
FARTHEST = 12.0
"""Normals are clipped to this distance from 0; it is the outer end of the outermost codes."""

NEAR_ONE = 0.995
MIN_EIGENVALUE = 1e-3


@dataclass(frozen=True)
class Latent:
    """One latent dimension: the values of a column, or their presence.

    Parameters
    ----------
    column : int
        Position in the codes.
    size : int
        Number of codes of the dimension.
    null : int or None
        The column's code of null, if its values and their presence are two dimensions.
    presence : bool
        Whether this dimension is the presence: 0 for a value, 1 for null.
    nominal : bool
        Whether the order of its codes has no meaning of its own.
    """

    column: int
    size: int
    null: int | None = None
    presence: bool = False
    nominal: bool = False

    def counts(self, marginal: npt.NDArray[Any]) -> Floats:
        """Count the rows of each code of the dimension, given the counts of the column's codes.

        Parameters
        ----------
        marginal : ndarray, shape (classes, codes of the column)

        Returns
        -------
        ndarray, shape (classes, size)
        """
        if self.presence:
            return np.stack([marginal[:, :-1].sum(axis=1), marginal[:, -1]], axis=1).astype(float)
        return np.asarray(marginal[:, : self.size], dtype=np.float64)

    def table(self, values: Floats) -> Floats:
        """Expand values per code of the dimension to the column's codes; 0 for codes it lacks.

        Parameters
        ----------
        values : ndarray, shape (classes, size)

        Returns
        -------
        ndarray, shape (classes, codes of the column)
        """
        if self.null is None:
            return values
        if self.presence:
            return np.concatenate([np.repeat(values[:, :1], self.null, 1), values[:, 1:]], axis=1)
        return np.pad(values, ((0, 0), (0, 1)))

    def fits(self, sizes: tuple[int, ...]) -> bool:
        """Return whether a table whose columns have `sizes` codes can have this dimension."""
        if not 0 <= self.column < len(sizes):
            return False
        if self.null is None:
            return self.size == sizes[self.column] and not self.presence
        return self.null == sizes[self.column] - 1 and self.size == (
            2 if self.presence else self.null
        )


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of pairs of dimensions, class by class.

    Parameters
    ----------
    covariance : ndarray, shape (classes, latents, latents)
        Of the scores, which are 0 where a value is missing.
    both : ndarray, shape (classes, latents, latents)
        Rows that have both values.
    """

    covariance: Floats
    both: Floats


@dataclass(frozen=True, eq=False)
class Scale:
    """The latent dimensions of a table, and the rows of each of their codes.

    Parameters
    ----------
    latents : tuple of Latent
    rows : ndarray, shape (classes,)
        Rows of each class; a single count where there is no discrete target.
    order : tuple of ndarray of int32, shape (size,) each
        The codes of each dimension, in ascending order of their scores.
    counts : tuple of ndarray, shape (classes, size) each
        Rows of each code, in that order.
    """

    latents: tuple[Latent, ...]
    rows: npt.NDArray[np.int64]
    order: tuple[npt.NDArray[np.int32], ...]
    counts: tuple[Floats, ...]

    @classmethod
    def learn(cls, curator: Curator) -> Self:
        """Count every column by class and order nominal levels.

        Parameters
        ----------
        curator : Curator
            Answers one-way counts by class, and sums of scores by nominal level.

        Returns
        -------
        Scale

        Notes
        -----
        Nominal levels are ordered along the axis on which the means of all other scores, within
        classes, vary most: one step of alternating least squares optimal scaling (Gifi, *Nonlinear
        Multivariate Analysis*, 1990) for all columns at once. Two sweeps suffice: further ones
        changed results on adult, bank_marketing, nass_cds and vehicle_fraud less than the seed.
        """
        codec = curator.codec
        latents = latents_of(codec, codec.label)
        by = () if codec.label is None else (codec.label,)
        columns = [latent.column for latent in latents]
        first, *marginals = curator.exact_marginals([by, *[(*by, j) for j in columns]])
        counts = tuple(
            latent.counts(marginal.reshape(first.size, -1))
            for latent, marginal in zip(latents, marginals, strict=True)
        )
        scale = cls(
            latents,
            first.ravel(),
            tuple(np.arange(latent.size, dtype=np.int32) for latent in latents),
            counts,
        )
        nominal = [j for j, latent in enumerate(latents) if latent.nominal and latent.size > 2]
        for _ in range(SWEEPS if nominal else 0):
            sums = curator.sums(scale._centred(), [latents[j].column for j in nominal])
            scale = scale._rearranged(dict(zip(nominal, sums, strict=True)))
        return scale

    def _centred(self) -> list[CodeScores]:
        """Return the scores by the whole table's shares, less their mean in each class."""
        scores = []
        for latent, codes, counts in zip(self.latents, self.order, self.counts, strict=True):
            means = scores_of(counts.sum(axis=0, keepdims=True))
            inner = (counts @ means[0])[:, None] / np.maximum(self.rows, 1)[:, None]
            values = np.empty_like(counts)
            values[:, codes] = means
            scores.append((latent.column, latent.table(values) - inner))
        return scores

    def _rearranged(self, sums: dict[int, Floats]) -> Self:
        """Order the levels of nominal dimensions by their relation to the other dimensions."""
        order, counts = list(self.order), list(self.counts)
        for j, sums_by_level in sums.items():
            ranked = np.empty(len(sums_by_level))
            ranked[order[j]] = counts[j].sum(axis=0)
            weighted = sums_by_level / np.sqrt(np.maximum(ranked, 1))[:, None]
            weighted[:, j] = 0.0
            axis = np.linalg.eigh(weighted.T @ weighted)[1][:, -1]
            position = weighted @ axis / np.sqrt(np.maximum(ranked, 1))
            position *= np.sign(position[np.argmax(np.abs(position))]) or 1.0
            inverse = np.argsort(order[j], kind="stable")
            order[j] = np.argsort(position, kind="stable").astype(np.int32)
            counts[j] = counts[j][:, inverse][:, order[j]]
        return type(self)(self.latents, self.rows, tuple(order), tuple(counts))

    def scores(self) -> list[CodeScores]:
        """Return the score of each code in each class: the mean of the normal in its interval.

        A presence is scored 0 and 1, so that sums of products also count the rows in which both of
        two columns have a value.
        """
        return [
            (
                latent.column,
                latent.table(np.broadcast_to([0.0, 1.0], counts.shape))
                if latent.presence
                else latent.table(scores_of(counts)[:, np.argsort(codes, kind="stable")]),
            )
            for latent, codes, counts in zip(self.latents, self.order, self.counts, strict=True)
        ]

    def moments(self, products: Floats) -> Moments:
        """Return covariances of scores and counts of present pairs, from sums of products.

        Parameters
        ----------
        products : ndarray, shape (classes, 1 + latents, 1 + latents)
            `Curator.products` of `scores`.
        """
        width = len(self.latents)
        transform = np.zeros((len(self.rows), width, width + 1))
        presence = np.zeros((width, width + 1))
        transform[:, np.arange(width), np.arange(1, width + 1)] = 1.0
        presence[:, 0] = 1.0
        for j, latent in enumerate(self.latents):
            if latent.presence:
                ends = scores_of(self.counts[j])
                transform[:, j, 0], transform[:, j, j + 1] = ends[:, 0], ends[:, 1] - ends[:, 0]
                presence[j - 1, j + 1] = -1.0
        rows = np.maximum(self.rows, 1)[:, None, None]
        mean = transform @ products[:, :, :1] / rows
        second = transform @ products @ transform.transpose(0, 2, 1) / rows
        return Moments(second - mean @ mean.transpose(0, 2, 1), presence @ products @ presence.T)

    def correlation(self, moments: Moments, *, k: int, shrinkage: float) -> Floats:
        """Return the correlation of the latent normals in each class that has rows.

        Dividing by the rows that have both values undoes the attenuation by nulls; Mehler's
        expansion undoes that by coarse codes. A class does not contribute to a pair if fewer than
        k of its rows have both values, or if either column has fewer than k rows outside its most
        frequent code: the estimate would rest on these few rows.

        Parameters
        ----------
        moments : Moments
        k : int
        shrinkage : float
            Weight, in rows, of the pooled correlation against a class's own.

        Returns
        -------
        ndarray, shape (classes with rows, latents, latents)
            Positive definite, with a diagonal of 1.
        """
        if not self.latents:
            return np.zeros((int((self.rows > 0).sum()), 0, 0))
        varied = np.stack(
            [code_counts.sum(axis=1) - code_counts.max(axis=1) >= k for code_counts in self.counts],
            1,
        )
        measurable = (moments.both >= k) & varied[:, :, None] & varied[:, None, :]
        rows = np.where(measurable, self.rows[:, None, None], 0)
        by_class = moments.covariance * self.rows[:, None, None] / np.maximum(moments.both, 1)
        by_class = np.where(measurable, by_class, 0.0)
        wave = waves(self.counts)
        # A class at a time: all pairs of all classes at once would take gigabytes.
        by_class = np.stack([solve(by_class[c], wave[:, c]) for c in range(len(by_class))])
        pooled = (rows * by_class).sum(axis=0) / np.maximum(rows.sum(axis=0), 1)
        np.fill_diagonal(pooled, 1.0)
        weight = rows / np.maximum(rows + shrinkage, 1e-9)
        return positive(weight * by_class + (1 - weight) * pooled)[self.rows > 0]

    def shares(self, counts: tuple[Floats, ...], k: int) -> Floats:
        """Return the share of each code in each class with rows; each rests on k rows or more.

        Parameters
        ----------
        counts : tuple of ndarray, shape (classes, size) each
            Rows of each code, in the scale's order: its own counts, or substitutes for them.
        k : int

        Returns
        -------
        ndarray, shape (classes with rows, sum of sizes)
        """
        present = np.flatnonzero(self.rows)
        blocks = [np.zeros((len(present), 0))]
        for code_counts, scale_counts in zip(counts, self.counts, strict=True):
            overall = scale_counts.sum(axis=0) / max(scale_counts.sum(), 1.0)
            blocks.append(np.stack([steady(code_counts[c], overall, k) for c in present]))
        return np.concatenate(blocks, axis=1)


def latents_of(codec: Codec, label: int | None) -> tuple[Latent, ...]:
    """Return the dimensions of all varying columns, except the one that defines the classes."""
    latents = []
    for j, coding in enumerate(codec.codings):
        if coding.size < 2 or j == label:
            continue
        if coding.ordered and coding.nullable and coding.size > 2:
            null = coding.size - 1
            latents.append(Latent(j, null, null))
            latents.append(Latent(j, 2, null, presence=True))
        else:
            latents.append(Latent(j, coding.size, nominal=not coding.ordered))
    return tuple(latents)


def bounds(shares: Floats) -> Floats:
    """Return the standard normal quantiles that separate codes.

    Parameters
    ----------
    shares : ndarray, shape (..., codes)
        Sums to 1, or is 0 everywhere.

    Returns
    -------
    ndarray, shape (..., codes - 1)
        Within `FARTHEST` of 0.
    """
    # The standard library has an accurate quantile (Wichura, AS241), without importing scipy.
    quantile = NormalDist().inv_cdf
    below = np.cumsum(shares, axis=-1)[..., :-1]
    inside = np.where((below > 0) & (below < 1), below, 0.5)
    ends = np.array([quantile(share) for share in inside.ravel().tolist()]).reshape(below.shape)
    ends = np.where(below <= 0, -FARTHEST, np.where(below >= 1, FARTHEST, ends))
    return np.asarray(np.clip(ends, -FARTHEST, FARTHEST))


def _height(at: Floats) -> Floats:
    """Return the density of the standard normal."""
    return np.asarray(np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi))


def scores_of(counts: Floats) -> Floats:
    """Return the mean of the standard normal inside each code's interval.

    Parameters
    ----------
    counts : ndarray, shape (classes, codes)

    Returns
    -------
    ndarray, shape (classes, codes)
        0 for a code without rows.
    """
    shares = _shares(counts)
    return _means(shares, bounds(shares))


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-300))


def _means(shares: Floats, ends: Floats) -> Floats:
    """Return the mean of the standard normal in each code's interval."""
    height = np.pad(_height(ends), ((0, 0), (1, 1)))
    drop = height[:, :-1] - height[:, 1:]
    return np.where(shares > 0, drop / np.where(shares > 0, shares, 1.0), 0.0)


def waves(counts: tuple[Floats, ...]) -> Floats:
    """Return the Hermite coefficients of the step functions from normals to scores.

    Parameters
    ----------
    counts : tuple of ndarray, shape (classes, size) each

    Returns
    -------
    ndarray, shape (40, classes, latents)
        Coefficients of the orthonormal polynomials of degree 1 to 40.
    """
    starts = np.concatenate([[0], np.cumsum([part.shape[1] - 1 for part in counts])[:-1]])
    shares = [_shares(c) for c in counts]
    ends = [bounds(share) for share in shares]
    cuts = np.concatenate(ends, axis=1)
    means = [_means(*pair) for pair in zip(shares, ends, strict=True)]
    jumps = np.concatenate([np.diff(mean) for mean in means], axis=1) * _height(cuts)
    # The integral of h[k] times the density up to t is -density(t) h[k-1](t) / sqrt(k).
    previous, current = np.zeros_like(cuts), np.ones_like(cuts)
    coefficients = np.empty((TERMS, cuts.shape[0], len(counts)))
    for degree in range(1, TERMS + 1):
        sums = np.add.reduceat(jumps * current, starts, axis=1)
        coefficients[degree - 1] = sums / np.sqrt(degree)
        following = (cuts * current - np.sqrt(degree - 1) * previous) / np.sqrt(degree)
        previous, current = current, following
    return coefficients


def solve(moment: Floats, wave: Floats) -> Floats:
    """Find the correlations whose scores have the given cross moments, by bisection.

    By Mehler's formula, the cross moment of two functions of normals with correlation r is the
    sum over degrees of r**degree times the product of their Hermite coefficients; it increases
    with r.

    Parameters
    ----------
    moment : ndarray, shape (latents, latents)
    wave : ndarray, shape (terms, latents)

    Returns
    -------
    ndarray, shape (latents, latents)
    """
    left, right = np.triu_indices(len(moment), 1)
    terms = wave[:, left] * wave[:, right]
    targets = moment[left, right]
    low, high = np.full_like(targets, -NEAR_ONE), np.full_like(targets, NEAR_ONE)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        value = np.zeros_like(targets)
        for term in terms[::-1]:
            value += term
            value *= middle
        above = value > targets
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    solution = np.where(np.abs(terms[0]) < 1e-9, 0.0, (low + high) / 2)
    solved = np.eye(len(moment))
    solved[left, right] = solved[right, left] = solution
    return solved


def positive(matrices: Floats) -> Floats:
    """Clip eigenvalues so that symmetric matrices become positive definite correlations.

    Parameters
    ----------
    matrices : ndarray, shape (..., latents, latents)
    """
    values, vectors = np.linalg.eigh(matrices)
    lifted = (vectors * np.maximum(values, MIN_EIGENVALUE)[..., None, :]) @ vectors.swapaxes(-1, -2)
    spread = np.sqrt(np.diagonal(lifted, axis1=-2, axis2=-1))
    return np.asarray(lifted / (spread[..., :, None] * spread[..., None, :]))


def steady(counts: Floats, overall: Floats, k: int) -> Floats:
    """Return shares of codes that rest on at least k rows each.

    A code with k rows or more keeps its share. The others are joined, in order, into runs of at
    least k rows; inside a run, shares are those of the whole table. If all of them together have
    fewer than k rows, they get their share of the whole table, but at most that of k/2 rows.

    Parameters
    ----------
    counts : ndarray, shape (codes,)
        Rows of each code in one class.
    overall : ndarray, shape (codes,)
        Share of each code in the whole table.
    k : int

    Returns
    -------
    ndarray, shape (codes,)
        Sums to 1.
    """
    mass = counts.astype(float)
    small = np.flatnonzero(counts < k)
    if small.size:
        run = _runs(mass[small], k)
        run_mass = np.bincount(run, mass[small])
        weight = np.bincount(run, overall[small])
        run_mass = np.where(run_mass < k, np.minimum(k / 2, counts.sum() * weight), run_mass)
        mass[small] = overall[small] * (run_mass / np.where(weight > 0, weight, 1.0))[run]
    total = mass.sum()
    return mass / total if total > 0 else np.full(len(mass), 1.0 / len(mass))


def _runs(counts: Floats, k: int) -> npt.NDArray[np.intp]:
    """Return each code's run: each has at least k rows, and a remainder joins the last run."""
    total = np.cumsum(counts)
    run = np.zeros(len(counts), dtype=np.intp)
    end = int(np.searchsorted(total, k)) + 1
    while end < len(counts) and total[-1] - total[end - 1] >= k:
        run[end] = 1
        end = int(np.searchsorted(total, total[end - 1] + k)) + 1
    return np.cumsum(run)
