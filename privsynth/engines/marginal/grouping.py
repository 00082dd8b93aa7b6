"""Groups of codes: few enough that noisy counts of pairs stay informative.

A column of many codes is first measured alone, or beside the target, with part of the budget.
Codes that are near each other, and alike in what they say of the target, form a group; cliques
are then counted in groups. A row that is drawn gets a code of its group by the first
measurement's shares, smoothed, and by class where that is sure enough. All this is
post-processing.

Gaps and undeclared values whose count does not stand out of the noise are counted in a last group
of their own, which is never drawn: `spread` shares its rows out among the other groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.engines.stored import ROUNDING, stored
from privsynth.errors import ArtefactError

__all__ = ["Groups", "group_codes", "keep_all", "simplex", "spread"]

Ints = npt.NDArray[np.intp]

SURE = 4.0
"""How many standard deviations of the noise a count is to lie above 0 to be believed."""
LEAST = 3.0
APART = 0.02
"""The squared distance of two levels of a nominal column that say the same of the target."""
SMOOTH = 8.0
FAINT = 1e-9
"""The least noise that is divided by."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one column's codes.

    Parameters
    ----------
    of : ndarray of int, shape (codes,)
        The group of each code.
    shares : ndarray, shape (codes, classes)
        How much of its group a code is, in each class of the target; one class where the shares
        do not depend on it. They add up to 1 in each group, but for a last group without any
        share: its codes are counted and never drawn.
    """

    of: Ints
    shares: Floats

    @property
    def size(self) -> int:
        """The number of groups that can be drawn."""
        return int(self.of[self.shares.any(axis=1)].max()) + 1

    @property
    def counted(self) -> int:
        """The number of groups that are counted: one more if some codes are never drawn."""
        return int(self.of.max()) + 1

    def of_codes(self, values: Floats) -> Floats:
        """Expand values per group to values per code; 0 for codes that are never drawn."""
        return np.asarray(np.append(values, np.zeros((1, *values.shape[1:])), axis=0)[self.of])

    @property
    def whole(self) -> bool:
        """Whether every group is drawn as one code."""
        return bool((self.shares[self.shares > 0] == 1).all())

    def refine(
        self,
        groups: npt.NDArray[np.integer],
        labels: npt.NDArray[np.integer],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        """Draw a code of each group.

        Parameters
        ----------
        groups : ndarray of int, shape (rows,)
        labels : ndarray of int, shape (rows,)
            The class of each row.
        rng : numpy.random.Generator
        """
        order = np.argsort(self.of, kind="stable")
        order = order[self.of[order] < self.size]
        classes = self.shares.shape[1]
        label = labels if classes > 1 else np.zeros(len(groups), dtype=np.intp)
        # One ladder of cumulated shares: class by class, group by group, each step one high.
        ladder = np.cumsum(self.shares[order].T.ravel())
        rung = label * self.size + groups + rng.random(len(groups)) * (1 - 1e-9)
        at = np.searchsorted(ladder, rung, side="right")
        codes: npt.NDArray[np.int32] = order[np.minimum(at, len(ladder) - 1) % len(order)].astype(
            np.int32
        )
        return codes

    def state(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the groups as arrays."""
        return {f"{name}.groups": self.of.astype(np.int32), f"{name}.shares": self.shares}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Groups:
        """Rebuild groups.

        Raises
        ------
        ArtefactError
            They do not fit each other.
        """
        own, part = f"{name}.groups", f"{name}.shares"
        if own not in arrays or part not in arrays:
            raise ArtefactError("the groups of a column are missing; fit the model anew")
        of = stored(arrays, own, arrays[own].shape, np.int32).astype(np.intp)
        shares = stored(arrays, part, arrays[part].shape, np.float64)
        sound = of.ndim == 1 and len(of) and shares.ndim == 2 and len(shares) == len(of)
        used = np.unique(of)
        # No group is empty, so that there are no more groups than codes.
        if not sound or used[0] != 0 or used[-1] != len(used) - 1:
            raise ArtefactError("the groups of a column are damaged; fit the model anew")
        totals = np.zeros((len(used), shares.shape[1]))
        np.add.at(totals, of, shares)
        if len(totals) > 1 and not totals[-1].any():  # the rows of doubtful codes, never drawn
            totals = totals[:-1]
        if (shares < 0).any() or not np.allclose(totals, 1, atol=ROUNDING):
            raise ArtefactError("the groups of a column do not add up; fit the model anew")
        return cls(of, shares)


def simplex(values: Floats, total: float) -> Floats:
    """Return the nearest numbers from 0 that add up to `total` (Duchi et al. 2008)."""
    falling = np.sort(values.ravel())[::-1]
    above = np.cumsum(falling) - total
    rank = np.arange(1, falling.size + 1)
    last = np.flatnonzero(falling - above / rank > 0)
    if not len(last):
        return np.full(values.shape, total / values.size)
    return np.asarray(np.maximum(values - above[last[-1]] / rank[last[-1]], 0))


def spread(
    values: npt.NDArray[Any], scale: npt.NDArray[np.float64], axis: int
) -> tuple[Floats, Floats]:
    """Distribute the last group along an axis among the others, in proportion to their counts.

    Parameters
    ----------
    values : ndarray
        Noisy counts of a clique; the last group along `axis` is never drawn.
    scale : ndarray
        The standard deviation of the noise of each cell.
    axis : int

    Returns
    -------
    values, scale : ndarray
        One group shorter along `axis`; sums over that axis are kept.

    Notes
    -----
    How the last group's rows depend on the clique's other columns is believed as far as it stands
    out of the noise: the counts are drawn toward independence by James and Stein's factor
    (Efron & Morris, *JASA* 68, 1973).
    """
    moved, noise = (np.moveaxis(np.asarray(x, dtype=np.float64), axis, 0) for x in (values, scale))
    kept, lost = moved[:-1], moved[-1]
    beside = _proportions(kept.sum(axis=0))
    independent = lost.sum() * beside
    apart = lost - independent
    heard = float(((apart / np.maximum(noise[-1], FAINT)) ** 2).sum())
    surprise = max(1 - max(lost.size - 2, 1) / heard, 0.0) if heard > 0 else 0.0
    rows = independent + surprise * apart
    pooled = _proportions(kept.reshape(len(kept), -1).sum(axis=1))
    pooled = pooled.reshape(-1, *[1] * (kept.ndim - 1))
    likely = np.maximum(kept, 0) + SMOOTH * noise[:-1] * pooled
    likely /= np.maximum(likely.sum(axis=0), 1e-300)
    doubt = (surprise * noise[-1]) ** 2 + ((1 - surprise) * beside) ** 2 * (noise[-1] ** 2).sum()
    spent = np.sqrt(noise[:-1] ** 2 + likely**2 * doubt)
    return np.moveaxis(kept + likely * rows, 0, axis), np.moveaxis(spent, 0, axis)


def _proportions(values: Floats) -> Floats:
    """Return nonnegative numbers that add up to 1, in proportion to noisy counts."""
    clipped = np.maximum(values, 0)
    total = clipped.sum()
    return np.asarray(clipped / total if total > 0 else np.full(values.shape, 1 / values.size))


def keep_all(counts: Floats, scale: float, spare: int) -> Groups:
    """Make each code a group of its own, except spare codes that hardly any row has.

    Parameters
    ----------
    counts : ndarray, shape (codes,)
        Noisy counts.
    scale : float
        The standard deviation of their noise.
    spare : int
        How many of the last codes stand for unknown and missing values; those whose counts do
        not stand out of the noise form a last group that is never drawn.
    """
    n = len(counts)
    there = np.ones(n, dtype=bool)
    there[n - spare :] = counts[n - spare :] > SURE * scale
    if not there.any():
        there[0] = True
    of = np.where(there, np.cumsum(there) - 1, there.sum())
    return Groups(of.astype(np.intp), there.astype(float)[:, None])


def group_codes(
    counts: Floats, scale: float, spare: int, ordered: bool, most: int, strength: float = 1.0
) -> Groups:
    """Gather codes into groups.

    Parameters
    ----------
    counts : ndarray, shape (codes, classes)
        Noisy counts of each code in each class of the target.
    scale : float
        The standard deviation of their noise.
    spare : int
        How many of the last codes stand for unknown and missing values. Each is a group of its
        own; those whose counts do not stand out of the noise form a last group that is never
        drawn.
    ordered : bool
        Whether only neighbours may be gathered.
    most : int
        How many groups there may be, spare ones not counted.
    strength : float
        How much unlike classes keep codes apart, beside their place on the line.

    Returns
    -------
    Groups
    """
    n, classes = counts.shape
    core = n - spare
    rows = np.maximum(counts.sum(axis=1), 0)
    noise = scale * np.sqrt(classes)
    if core == 0:  # no level was found
        return keep_all(counts.sum(axis=1), noise, spare)
    there = rows[core:] > SURE * noise
    total = max(float(counts[:core].sum()), 1.0)
    mass = simplex(counts[:core].sum(axis=1), total)
    prior = np.maximum(counts.sum(axis=0), 1.0)
    prior /= prior.sum()
    doubt = 2 * noise
    likely = np.maximum(counts[:core], 0) + doubt * prior
    likely /= likely.sum(axis=1, keepdims=True)
    unlike = strength * likely if classes > 1 else np.zeros((core, 1))
    join = _neighbours if ordered else _alike
    own = join(mass / total, unlike, most, LEAST * noise / total)
    k = int(own.max()) + 1
    rest = np.where(there, k + np.cumsum(there) - 1, k + there.sum())
    of = np.concatenate([own, rest]).astype(np.intp)
    shares = np.zeros((n, classes))
    shares[:core] = _within(np.maximum(counts[:core], 0), mass, own, scale)
    shares[core:][there] = 1
    return Groups(of, shares)


def _within(counts: Floats, mass: Floats, own: Ints, scale: float) -> Floats:
    """Return each code's share of its group by class, shrunk towards the share over all classes."""
    k = int(own.max()) + 1
    sizes = np.bincount(own, minlength=k)
    pooled = mass / np.maximum(np.bincount(own, mass, k), 1e-12)[own]
    pooled = np.where(np.bincount(own, mass, k)[own] > 0, pooled, 1 / sizes[own])
    sums = np.zeros((k, counts.shape[1]))
    lifted = counts + SMOOTH * scale * pooled[:, None]
    np.add.at(sums, own, lifted)
    return np.asarray(lifted / sums[own])


def _neighbours(mass: Floats, unlike: Floats, most: int, least: float) -> Ints:
    """Join neighbours, the cheapest first, by Ward's criterion on place and classes."""
    place = np.cumsum(mass) - mass / 2
    points = np.column_stack([place, unlike])
    weight = mass.copy()
    first = np.arange(len(mass))
    while len(weight) > 1:
        left, right = weight[:-1], weight[1:]
        apart = ((points[1:] - points[:-1]) ** 2).sum(axis=1)
        cost = left * right / np.maximum(left + right, 1e-300) * apart
        small = np.minimum(left, right) < least
        if small.any():
            cost = np.where(small, cost, np.inf)
        elif len(weight) <= most:
            break
        i = int(np.argmin(cost))
        total = weight[i] + weight[i + 1]
        part = weight[i + 1] / total if total > 0 else 0.5
        points[i] += part * (points[i + 1] - points[i])
        weight[i] = total
        points, weight = np.delete(points, i + 1, axis=0), np.delete(weight, i + 1)
        first = np.delete(first, i + 1)
    starts = np.zeros(len(mass), dtype=np.intp)
    starts[first] = 1
    return np.cumsum(starts) - 1


def _alike(mass: Floats, unlike: Floats, most: int, least: float) -> Ints:
    """Join the rarest level with the one that it costs least to join, again and again."""
    points, weight = unlike.copy(), mass.copy()
    own = np.arange(len(mass))
    alive = np.ones(len(mass), dtype=bool)
    while alive.sum() > 1:
        i = int(np.argmin(np.where(alive, weight, np.inf)))
        if alive.sum() <= most and weight[i] >= least:
            break
        apart = ((points - points[i]) ** 2).sum(axis=1) + APART
        cost = weight * weight[i] / np.maximum(weight + weight[i], 1e-300) * apart
        cost[i] = np.inf
        j = int(np.argmin(np.where(alive, cost, np.inf)))
        total = weight[i] + weight[j]
        part = weight[i] / total if total > 0 else 0.5
        points[j] += part * (points[i] - points[j])
        weight[j] = total
        alive[i] = False
        own[own == i] = j
    return np.unique(own, return_inverse=True)[1].astype(np.intp)
