"""Counting the leaves of a tree by privacy units: how many units a leaf has, what each counts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.table import distinct

__all__ = ["counts_of_units", "units_of_leaves"]

Ints = npt.NDArray[np.int32]
Units = npt.NDArray[np.int64]


def units_of_leaves(leaf: Ints, units: Units, leaves: int) -> npt.NDArray[np.int64]:
    """Return the number of units in each leaf."""
    n_units = int(units.max(initial=0)) + 1
    pairs = distinct(leaf * np.int64(n_units) + units)
    return np.bincount(pairs // n_units, minlength=leaves)


def counts_of_units(leaf: Ints, drawn: Ints, units: Units, shape: tuple[int, int]) -> Floats:
    """Count the units that have each code in each leaf, however many of their rows have it.

    Parameters
    ----------
    leaf, drawn : ndarray of int32, shape (rows,)
        The leaf and the code of each row.
    units : ndarray of int64, shape (rows,)
    shape : (int, int)
        The number of leaves and of codes.

    Returns
    -------
    ndarray of float64, shape `shape`
    """
    n_units = int(units.max(initial=0)) + 1
    cells = distinct((leaf * np.int64(shape[1]) + drawn) * n_units + units) // n_units
    counts = np.bincount(cells, minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)
