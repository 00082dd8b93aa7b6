"""How many units hold each value of a column; without units each row counts as one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Support", "distinct", "kth_largest", "support_of_rows", "support_of_units"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Support:
    """The units behind the distinct values of a column, which ascend.

    A unit with several values counts for each of them in `units`, so that these counts do not add
    up. `shares` add up: over some values they are at most the number of units that hold any of
    them.

    Parameters
    ----------
    units : ndarray of int64, shape (values,)
        The units that hold each value.
    shares : ndarray of int64 or float64, shape (values,)
        The same, but a unit of n values counts as 1/n for each.
    below, above : ndarray of int64, shape (values,)
        The units that hold the value or a smaller one, and the value or a greater one.
    nulls : int
        The units with a missing value.
    """

    units: Ints
    shares: npt.NDArray[Any]
    below: Ints
    above: Ints
    nulls: int

    @cached_property
    def total(self) -> int:
        """The units with a value."""
        return int(self.above[0]) if len(self.above) else 0


def support_of_rows(counts: Ints, nulls: int) -> Support:
    """Return the support of values where each row is a unit."""
    below = np.cumsum(counts)
    above = np.cumsum(counts[::-1])[::-1]
    return Support(counts, counts, below, above, nulls)


def support_of_units(places: npt.NDArray[np.integer], size: int, units: Ints) -> Support:
    """Return the support of values by the units of the rows that hold them.

    Parameters
    ----------
    places : ndarray of int, shape (rows,)
        The position of each row's value among the distinct ones; -1 where it is missing.
    size : int
        The number of distinct values.
    units : ndarray of int64, shape (rows,)
        The number of each row's unit.
    """
    n_units = int(units.max(initial=-1)) + 1
    valued = places >= 0
    nulls = len(distinct(units[~valued]))
    pairs = distinct(places[valued].astype(np.int64) * max(n_units, 1) + units[valued])
    value, unit = np.divmod(pairs, max(n_units, 1))
    values_of_unit = np.bincount(unit, minlength=n_units)
    shares = np.bincount(value, 1 / values_of_unit[unit], minlength=size)
    # Pairs ascend by value: the last one written for a unit stays.
    greatest, least = np.full(n_units, -1), np.full(n_units, -1)
    greatest[unit], least[unit[::-1]] = value, value[::-1]
    greatest, least = greatest[greatest >= 0], least[least >= 0]
    return Support(
        np.bincount(value, minlength=size),
        shares,
        np.cumsum(np.bincount(least, minlength=size)),
        np.cumsum(np.bincount(greatest, minlength=size)[::-1])[::-1],
        nulls,
    )


def distinct(numbers: Ints) -> Ints:
    """Return the distinct numbers, ascending; far faster than `numpy.unique`, which hashes them."""
    ascending = np.sort(numbers)
    return np.asarray(ascending[np.diff(ascending, prepend=ascending[:1] - 1) != 0])


def kth_largest(
    group: npt.NDArray[np.integer], counts: npt.NDArray[np.integer], k: int, *, at_least: int
) -> npt.NDArray[np.int64]:
    """Return, for each count, the k-th largest of its group; `at_least` in groups of fewer.

    Parameters
    ----------
    group : ndarray of int, shape (counts,)
        Ascending.
    counts : ndarray of int
    k, at_least : int
    """
    order = np.lexsort((-counts, group))
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    sizes = np.diff(np.append(starts, len(group)))
    at = order[starts + np.minimum(k, sizes) - 1] if len(group) else order
    kth = np.where(sizes >= k, counts[at], at_least)
    return np.repeat(np.maximum(kth, at_least), sizes)
