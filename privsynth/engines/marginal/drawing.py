"""Sampling of rows from a calibrated junction tree."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.engines.marginal.calibration import Beliefs

__all__ = ["draw"]


def draw(beliefs: Beliefs, n: int, rng: np.random.Generator) -> npt.NDArray[np.int32]:
    """Draw rows, in random order.

    Parameters
    ----------
    beliefs : Beliefs
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int32, shape (n, columns)
        Column-major; 0 in columns outside the tree.

    Notes
    -----
    Rows with the same codes of a separator are assigned cells by systematic sampling (Madow,
    *Annals of Mathematical Statistics* 20, 1949), in a new random order for each clique. Each row
    gets a cell with the cell's probability, the count of a cell is within one of its expectation,
    and columns that share only a separator stay independent given it.
    """
    tree = beliefs.tree
    codes = np.zeros((n, len(tree.sizes)), dtype=np.int32, order="F")
    for clique, separator, chances in zip(
        tree.cliques, tree.separators, beliefs.conditionals, strict=True
    ):
        new = clique[len(separator) :]
        config = np.zeros(n, dtype=np.min_scalar_type(max(math.prod(tree.shape(separator)) - 1, 0)))
        for j in separator:
            config *= config.dtype.type(tree.sizes[j])
            config += codes[:, j].astype(config.dtype)
        cells = _systematic(chances.reshape(-1, math.prod(tree.shape(new))), config, rng)
        for j, column in zip(new, np.indices(tree.shape(new), dtype=np.int32), strict=True):
            column.ravel().take(cells, out=codes[:, j], mode="clip")
    return codes


def _systematic(
    chances: Floats, config: npt.NDArray[np.unsignedinteger], rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Draw a cell for each row, by the probabilities of its configuration of the separator.

    Bounds of cells are scaled to the number of rows of the configuration; a cell gets one row for
    each of the points start, start + 1, ... between its bounds, which rounding counts.
    """
    order = rng.permutation(np.arange(len(config), dtype=np.int32))
    if len(chances) > 1:
        order = order[np.argsort(config[order], kind="stable")]
    config_counts = np.bincount(config, minlength=len(chances))
    upper = np.cumsum(chances, axis=1)
    top = upper[:, -1:]
    upper = np.divide(upper, top, out=np.zeros_like(upper), where=top > 0)
    points = np.ceil(upper * config_counts[:, None] - rng.random((len(chances), 1))).astype(
        np.int64
    )
    counts = np.diff(points, axis=1, prepend=0)
    cell_numbers = np.broadcast_to(np.arange(chances.shape[1], dtype=np.int32), chances.shape)
    cells = np.empty(len(config), dtype=np.int32)
    cells[order] = np.repeat(cell_numbers.ravel(), counts.ravel())
    return cells
