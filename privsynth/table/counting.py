"""The one integer counting kernel."""

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
        How many codes each column has.
    clique : sequence of int
        Column positions, in the order of the answer's axes; none gives the number of rows.

    Returns
    -------
    ndarray of int64, shape ``[sizes[column] for column in clique]``

    Raises
    ------
    ValueError
        A code lies outside its column's size.
    """
    shape = tuple(int(sizes[column]) for column in clique)
    if not shape:
        return np.array(len(codes), dtype=np.int64)
    cells = np.zeros(len(codes), dtype=np.intp)
    for column, size in zip(clique, shape, strict=True):
        own = codes[:, column]
        if len(own) and not 0 <= own.min() <= own.max() < size:
            raise ValueError(f"column {column}: an invalid code, outside the column's {size}")
        cells *= size
        cells += own
    return np.bincount(cells, minlength=math.prod(shape)).astype(np.int64).reshape(shape)
