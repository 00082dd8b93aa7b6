"""Groups of codes: few enough that noisy counts of pairs still tell something.

A column of many codes is first measured alone, or beside the target, with part of the budget.
Codes that are near each other, and alike in what they say of the target, form a group; cliques
are then counted in groups. A row that is drawn gets a code of its group by the first
measurement's shares, smoothed, and by class where that is sure enough. All this is
post-processing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.engines.stored import ROUNDING, stored
from privsynth.errors import ArtefactError

__all__ = ["Groups", "gather", "keep_all", "simplex"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

SURE = 4.0
"""How many standard deviations of the noise a count is to lie above 0 to be believed."""
LEAST = 3.0
APART = 0.02
"""The squared distance of two levels of a nominal column that say the same of the target."""
SMOOTH = 8.0


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one column's codes.

    Parameters
    ----------
    of : ndarray of int, shape (codes,)
        The group of each code.
    shares : ndarray, shape (codes, classes)
        How much of its group a code is, in each class of the target; one class where the shares
        do not depend on it. They add up to 1 in each group.
    """

    of: Ints
    shares: Floats

    @property
    def size(self) -> int:
        """How many groups there are."""
        return int(self.of.max()) + 1

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
        """Give the groups as arrays."""
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
        held = np.unique(of)
        # No group is empty, so that there are no more groups than codes.
        if not sound or held[0] != 0 or held[-1] != len(held) - 1:
            raise ArtefactError("the groups of a column are damaged; fit the model anew")
        totals = np.zeros((len(held), shares.shape[1]))
        np.add.at(totals, of, shares)
        if (shares < 0).any() or not np.allclose(totals, 1, atol=ROUNDING):
            raise ArtefactError("the groups of a column do not add up; fit the model anew")
        return cls(of, shares)


def simplex(values: Floats, total: float) -> Floats:
    """Give the nearest numbers from 0 that add up to `total` (Duchi et al. 2008)."""
    falling = np.sort(values.ravel())[::-1]
    above = np.cumsum(falling) - total
    rank = np.arange(1, falling.size + 1)
    last = np.flatnonzero(falling - above / rank > 0)
    if not len(last):
        return np.full(values.shape, total / values.size)
    return np.asarray(np.maximum(values - above[last[-1]] / rank[last[-1]], 0))


def keep_all(counts: Floats, scale: float, spare: int) -> Groups:
    """Make each code a group of its own; spare codes that hardly any row has join another.

    Parameters
    ----------
    counts : ndarray, shape (codes,)
        Noisy counts.
    scale : float
        The standard deviation of their noise.
    spare : int
        How many of the last codes stand for unknown and missing values.
    """
    n = len(counts)
    there = np.ones(n, dtype=bool)
    there[n - spare :] = counts[n - spare :] > SURE * scale
    if not there.any():
        there[0] = True
    of = np.where(there, np.cumsum(there) - 1, 0)
    if not there.all():
        of[~there] = of[int(np.argmax(np.where(there, counts, -np.inf)))]
    return Groups(of.astype(np.intp), there.astype(float)[:, None])


def gather(
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
        How many of the last codes stand for unknown and missing values; each is a group of its
        own, or none where hardly any row has it.
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
    total = max(float(counts.sum()) - float(rows[core:][there].sum()), 1.0)
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
    of = np.concatenate([own, np.where(there, k + np.cumsum(there) - 1, k - 1)]).astype(np.intp)
    shares = np.zeros((n, classes))
    shares[:core] = _within(np.maximum(counts[:core], 0), mass, own, scale)
    shares[core:][there] = 1
    return Groups(of, shares)


def _within(counts: Floats, mass: Floats, own: Ints, scale: float) -> Floats:
    """Give the share of each code in its group by class, drawn toward that over all classes."""
    k = int(own.max()) + 1
    held = np.bincount(own, minlength=k)
    pooled = mass / np.maximum(np.bincount(own, mass, k), 1e-12)[own]
    pooled = np.where(np.bincount(own, mass, k)[own] > 0, pooled, 1 / held[own])
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
