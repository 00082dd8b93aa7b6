"""Counting rows by their integer codes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["count"]


def count(codes: np.ndarray, sizes: Sequence[int], clique: Sequence[int]) -> np.ndarray:
    """Count the rows in each cell of a clique.

    Parameters
    ----------
    codes : ndarray of int, shape (rows, columns)
        Every code lies in ``0 <= code < sizes[column]``.
    sizes : sequence of int, length columns
        The number of codes of each column.
    clique : sequence of int
        Column positions, in the order of the result's axes; empty for the number of rows.

    Returns
    -------
    ndarray of int64, shape ``[sizes[column] for column in clique]``

    Raises
    ------
    ValueError
        A code is negative, or not below its column's size.
    """
    shape = tuple(int(sizes[column]) for column in clique)
    if not shape:
        return np.array(len(codes), dtype=np.int64)
    cells = np.zeros(len(codes), dtype=np.intp)
    for column, size in zip(clique, shape, strict=True):
        column_codes = codes[:, column]
        if len(codes) and not 0 <= column_codes.min() <= column_codes.max() < size:
            raise ValueError(
                f"column {column}: an invalid code; expected codes from 0 to {size - 1}"
            )
        cells *= size
        cells += column_codes
    return np.bincount(cells, minlength=math.prod(shape)).astype(np.int64).reshape(shape)
