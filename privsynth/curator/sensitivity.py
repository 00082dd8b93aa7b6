"""How much one row can change each exact answer; the noise is scaled to that.

Each sensitivity follows from how many things are asked for and into how many parts they are cut,
never from a row. It is in the norm of the mechanism that answers: Euclidean for Gaussian noise,
the maximum for a choice.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = [
    "choice_sensitivity",
    "counts_sensitivity",
    "errors_sensitivity",
    "products_sensitivity",
]


def counts_sensitivity(cliques: int) -> float:
    """Return how far one row moves the counts of so many cliques, or columns, together.

    A row counts in one cell of each.
    """
    return math.sqrt(cliques)


def errors_sensitivity(cliques: int, resolution: int) -> float:
    """Return how far one row moves the distances of so many cliques together.

    A row moves each distance by one row at most, which is `resolution` parts.
    """
    return resolution * math.sqrt(cliques)


def choice_sensitivity(weights: npt.NDArray[np.integer], resolution: int) -> int:
    """Return how far one row moves any of several weighted distances, in the maximum norm.

    A row moves a distance by `resolution` parts at most, before it is weighted.
    """
    return resolution * int(weights.max())


def products_sensitivity(width: int, most: int) -> float:
    """Return how far one row moves the sums of all products of two of its scores.

    Parameters
    ----------
    width : int
        How many scores a row has.
    most : int
        What its squared scores add up to at most.

    Notes
    -----
    The squared products of a row's scores s add up to (sum(s**2)**2 - sum(s**4)) / 2, and
    sum(s**4) is at least sum(s**2)**2 / width.
    """
    return most * math.sqrt((1 - 1 / width) / 2) * (1 + 1e-9)
