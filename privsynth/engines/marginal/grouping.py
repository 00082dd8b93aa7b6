"""Groups of codes: few enough that noisy counts of pairs stay informative.

A column of many codes is first measured alone, or jointly with the target, with part of the
budget. Neighbouring codes with similar class shares form a group, and cliques are counted in
groups from then on. A sampled row gets a code of its group by the smoothed shares of the first
measurement, class by class if they are precise enough. All this is post-processing.

Null and undeclared values whose count is within the noise are counted in a last group, which is
never drawn: `spread` distributes its rows among the other groups.
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
"""How many standard deviations of noise above 0 make a count certain."""
MIN_GROUP = 3.0
"""The smallest group, in standard deviations of noise."""
LEVEL_DISTANCE = 0.02
"""The squared distance of two levels of a nominal column with equal class shares."""
SMOOTH = 8.0
"""The pseudo-count of smoothing, in standard deviations of noise."""
MIN_NOISE = 1e-9
"""A lower bound on noise that is a divisor."""


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of one column's codes.

    Parameters
    ----------
    group_of : ndarray of int, shape (codes,)
        The group of each code.
    shares : ndarray, shape (codes, classes)
        Each code's share of its group, in each class of the target; a single column if shares do
        not depend on the class. They sum to 1 in each group, except for a last group of zeros,
        whose codes are counted and never drawn.
    """

    group_of: Ints
    shares: Floats

    @property
    def size(self) -> int:
        """The number of groups that can be drawn."""
        return int(self.group_of[self.shares.any(axis=1)].max()) + 1

    @property
    def counted(self) -> int:
        """The number of groups that are counted: one more if some codes are never drawn."""
        return int(self.group_of.max()) + 1

    def of_codes(self, values: Floats) -> Floats:
        """Expand values per group to values per code; 0 for codes that are never drawn."""
        return np.asarray(
            np.append(values, np.zeros((1, *values.shape[1:])), axis=0)[self.group_of]
        )

    @property
    def whole(self) -> bool:
        """Whether each group has one code that can be drawn."""
        return bool((self.shares[self.shares > 0] == 1).all())

    def refine(
        self,
        groups: npt.NDArray[np.integer],
        labels: npt.NDArray[np.integer],
        rng: np.random.Generator,
    ) -> npt.NDArray[np.int32]:
        """Draw a code of each row's group.

        Parameters
        ----------
        groups : ndarray of int, shape (rows,)
        labels : ndarray of int, shape (rows,)
            The class of each row.
        rng : numpy.random.Generator
        """
        order = np.argsort(self.group_of, kind="stable")
        order = order[self.group_of[order] < self.size]
        classes = self.shares.shape[1]
        label = labels if classes > 1 else np.zeros(len(groups), dtype=np.intp)
        # Cumulated shares, class by class and group by group: each group spans one unit.
        ladder = np.cumsum(self.shares[order].T.ravel())
        targets = label * self.size + groups + rng.random(len(groups)) * (1 - 1e-9)
        positions = np.searchsorted(ladder, targets, side="right")
        codes: npt.NDArray[np.int32] = order[
            np.minimum(positions, len(ladder) - 1) % len(order)
        ].astype(np.int32)
        return codes

    def state(self, name: str) -> dict[str, npt.NDArray[Any]]:
        """Return the groups as arrays."""
        return {f"{name}.groups": self.group_of.astype(np.int32), f"{name}.shares": self.shares}

    @classmethod
    def from_state(cls, arrays: Mapping[str, npt.NDArray[Any]], name: str) -> Groups:
        """Rebuild groups.

        Raises
        ------
        ArtefactError
            The arrays are missing, damaged, or do not fit each other.
        """
        group_key, share_key = f"{name}.groups", f"{name}.shares"
        if group_key not in arrays or share_key not in arrays:
            raise ArtefactError("the groups of a column are missing; fit the model anew")
        group_of = stored(arrays, group_key, arrays[group_key].shape, np.int32).astype(np.intp)
        shares = stored(arrays, share_key, arrays[share_key].shape, np.float64)
        sound = (
            group_of.ndim == 1
            and len(group_of)
            and shares.ndim == 2
            and len(shares) == len(group_of)
        )
        used = np.unique(group_of)
        # Group numbers have no gaps, so there are no more groups than codes.
        if not sound or used[0] != 0 or used[-1] != len(used) - 1:
            raise ArtefactError("the groups of a column are damaged; fit the model anew")
        totals = np.zeros((len(used), shares.shape[1]))
        np.add.at(totals, group_of, shares)
        if len(totals) > 1 and not totals[-1].any():  # codes that are never drawn
            totals = totals[:-1]
        if (shares < 0).any() or not np.allclose(totals, 1, atol=ROUNDING):
            raise ArtefactError("the groups of a column do not add up; fit the model anew")
        return cls(group_of, shares)


def simplex(values: Floats, total: float) -> Floats:
    """Return the nearest nonnegative numbers that sum to `total` (Duchi et al. 2008)."""
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
        One group shorter along `axis`; sums over that axis are unchanged.

    Notes
    -----
    The last group's counts are shrunk towards independence of the clique's other columns by the
    factor of James and Stein (Efron & Morris, *JASA* 68, 1973): the noisier, the more.
    """
    moved, noise = (np.moveaxis(np.asarray(x, dtype=np.float64), axis, 0) for x in (values, scale))
    drawn, undrawn = moved[:-1], moved[-1]
    proportions = _proportions(drawn.sum(axis=0))
    independent = undrawn.sum() * proportions
    deviations = undrawn - independent
    squares = float(((deviations / np.maximum(noise[-1], MIN_NOISE)) ** 2).sum())
    trust = max(1 - max(undrawn.size - 2, 1) / squares, 0.0) if squares > 0 else 0.0
    rows = independent + trust * deviations
    pooled = _proportions(drawn.reshape(len(drawn), -1).sum(axis=1))
    pooled = pooled.reshape(-1, *[1] * (drawn.ndim - 1))
    shares = np.maximum(drawn, 0) + SMOOTH * noise[:-1] * pooled
    shares /= np.maximum(shares.sum(axis=0), 1e-300)
    variance = (trust * noise[-1]) ** 2 + ((1 - trust) * proportions) ** 2 * (noise[-1] ** 2).sum()
    noise_after = np.sqrt(noise[:-1] ** 2 + shares**2 * variance)
    return np.moveaxis(drawn + shares * rows, 0, axis), np.moveaxis(noise_after, 0, axis)


def _proportions(values: Floats) -> Floats:
    """Return nonnegative proportions of noisy counts; they sum to 1."""
    clipped = np.maximum(values, 0)
    total = clipped.sum()
    return np.asarray(clipped / total if total > 0 else np.full(values.shape, 1 / values.size))


def keep_all(counts: Floats, scale: float, spare: int) -> Groups:
    """Make each code a group of its own, except spare codes whose counts are within the noise.

    Parameters
    ----------
    counts : ndarray, shape (codes,)
        Noisy counts.
    scale : float
        The standard deviation of their noise.
    spare : int
        Number of last codes that stand for unknown and missing values; those whose counts are
        within the noise form a last group, which is never drawn.
    """
    n = len(counts)
    drawable = np.ones(n, dtype=bool)
    drawable[n - spare :] = counts[n - spare :] > SURE * scale
    if not drawable.any():
        drawable[0] = True
    group_of = np.where(drawable, np.cumsum(drawable) - 1, drawable.sum())
    return Groups(group_of.astype(np.intp), drawable.astype(float)[:, None])


def group_codes(
    counts: Floats,
    scale: float,
    spare: int,
    ordered: bool,
    max_groups: int,
    class_weight: float = 1.0,
) -> Groups:
    """Merge codes into groups.

    Parameters
    ----------
    counts : ndarray, shape (codes, classes)
        Noisy counts of each code in each class of the target.
    scale : float
        The standard deviation of their noise.
    spare : int
        Number of last codes that stand for unknown and missing values. Each is a group of its
        own; those whose counts are within the noise form a last group, which is never drawn.
    ordered : bool
        Whether only neighbours may be merged.
    max_groups : int
        Maximum number of groups, spare ones not counted.
    class_weight : float
        Weight of class shares in the distance of codes, against their position.

    Returns
    -------
    Groups
    """
    n, classes = counts.shape
    n_core = n - spare
    rows = np.maximum(counts.sum(axis=1), 0)
    noise = scale * np.sqrt(classes)
    if n_core == 0:  # no level was discovered
        return keep_all(counts.sum(axis=1), noise, spare)
    certain = rows[n_core:] > SURE * noise
    total = max(float(counts[:n_core].sum()), 1.0)
    mass = simplex(counts[:n_core].sum(axis=1), total)
    prior = np.maximum(counts.sum(axis=0), 1.0)
    prior /= prior.sum()
    doubt = 2 * noise
    class_shares = np.maximum(counts[:n_core], 0) + doubt * prior
    class_shares /= class_shares.sum(axis=1, keepdims=True)
    profiles = class_weight * class_shares if classes > 1 else np.zeros((n_core, 1))
    join = _neighbours if ordered else _alike
    core_groups = join(mass / total, profiles, max_groups, MIN_GROUP * noise / total)
    n_groups = int(core_groups.max()) + 1
    spare_groups = np.where(certain, n_groups + np.cumsum(certain) - 1, n_groups + certain.sum())
    group_of = np.concatenate([core_groups, spare_groups]).astype(np.intp)
    shares = np.zeros((n, classes))
    shares[:n_core] = _within(np.maximum(counts[:n_core], 0), mass, core_groups, scale)
    shares[n_core:][certain] = 1
    return Groups(group_of, shares)


def _within(counts: Floats, mass: Floats, groups: Ints, scale: float) -> Floats:
    """Return each code's share of its group by class, shrunk towards its share over all classes."""
    n_groups = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=n_groups)
    pooled = mass / np.maximum(np.bincount(groups, mass, n_groups), 1e-12)[groups]
    pooled = np.where(np.bincount(groups, mass, n_groups)[groups] > 0, pooled, 1 / sizes[groups])
    sums = np.zeros((n_groups, counts.shape[1]))
    lifted = counts + SMOOTH * scale * pooled[:, None]
    np.add.at(sums, groups, lifted)
    return np.asarray(lifted / sums[groups])


def _neighbours(mass: Floats, profiles: Floats, max_groups: int, min_mass: float) -> Ints:
    """Merge neighbours, cheapest first, by Ward's criterion on position and class shares."""
    place = np.cumsum(mass) - mass / 2
    points = np.column_stack([place, profiles])
    weight = mass.copy()
    firsts = np.arange(len(mass))
    while len(weight) > 1:
        left, right = weight[:-1], weight[1:]
        distances = ((points[1:] - points[:-1]) ** 2).sum(axis=1)
        cost = left * right / np.maximum(left + right, 1e-300) * distances
        too_small = np.minimum(left, right) < min_mass
        if too_small.any():
            cost = np.where(too_small, cost, np.inf)
        elif len(weight) <= max_groups:
            break
        i = int(np.argmin(cost))
        total = weight[i] + weight[i + 1]
        part = weight[i + 1] / total if total > 0 else 0.5
        points[i] += part * (points[i + 1] - points[i])
        weight[i] = total
        points, weight = np.delete(points, i + 1, axis=0), np.delete(weight, i + 1)
        firsts = np.delete(firsts, i + 1)
    starts = np.zeros(len(mass), dtype=np.intp)
    starts[firsts] = 1
    return np.cumsum(starts) - 1


def _alike(mass: Floats, profiles: Floats, max_groups: int, min_mass: float) -> Ints:
    """Repeatedly merge the rarest level with the level that is cheapest to merge."""
    points, weight = profiles.copy(), mass.copy()
    groups = np.arange(len(mass))
    alive = np.ones(len(mass), dtype=bool)
    while alive.sum() > 1:
        i = int(np.argmin(np.where(alive, weight, np.inf)))
        if alive.sum() <= max_groups and weight[i] >= min_mass:
            break
        distances = ((points - points[i]) ** 2).sum(axis=1) + LEVEL_DISTANCE
        cost = weight * weight[i] / np.maximum(weight + weight[i], 1e-300) * distances
        cost[i] = np.inf
        j = int(np.argmin(np.where(alive, cost, np.inf)))
        total = weight[i] + weight[j]
        part = weight[i] / total if total > 0 else 0.5
        points[j] += part * (points[i] - points[j])
        weight[j] = total
        alive[i] = False
        groups[groups == i] = j
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)
