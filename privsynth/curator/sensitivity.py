"""Sensitivities: how much one row can change each exact answer; noise is scaled to them.

A sensitivity follows from the shape and the resolution of the question, never from a row. Its norm
is that of the mechanism that answers: Euclidean for Gaussian noise, the maximum for a selection.
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
    """Return how far one row moves the counts of that many cliques, or columns, together.

    A row counts in one cell of each.
    """
    return math.sqrt(cliques)


def errors_sensitivity(cliques: int, resolution: int) -> float:
    """Return how far one row moves the L1 distances of that many cliques together.

    A row moves each distance by at most one row, which is `resolution` parts.
    """
    return resolution * math.sqrt(cliques)


def choice_sensitivity(weights: npt.NDArray[np.integer], resolution: int) -> int:
    """Return how far one row moves any of several weighted distances, in the maximum norm.

    A row moves a distance by at most `resolution` parts, before it is weighted.
    """
    return resolution * int(weights.max())


def products_sensitivity(width: int, max_squares: int) -> float:
    """Return how far one row moves the sums of all products of two of its scores.

    Parameters
    ----------
    width : int
        Number of scores of a row.
    max_squares : int
        Upper bound on the sum of a row's squared scores.

    Notes
    -----
    The squared products of a row's scores s sum to (sum(s**2)**2 - sum(s**4)) / 2, and sum(s**4)
    is at least sum(s**2)**2 / width.
    """
    return max_squares * math.sqrt((1 - 1 / width) / 2) * (1 + 1e-9)
