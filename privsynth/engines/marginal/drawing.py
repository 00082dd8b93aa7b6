"""Rows drawn from a calibrated junction tree."""

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
        Column-major; 0 in columns that the tree does not hold.

    Notes
    -----
    Rows with the same codes of a separator share out the cells below it by systematic sampling
    (Madow, *Annals of Mathematical Statistics* 20, 1949), in an order that is drawn anew for each
    clique: a row has its cell with its chance, the rows of a cell are within one of their
    expected number, and columns that share a separator alone stay independent given it.
    """
    tree = beliefs.tree
    codes = np.zeros((n, len(tree.sizes)), dtype=np.int32, order="F")
    for clique, separator, chances in zip(
        tree.cliques, tree.separators, beliefs.conditionals, strict=True
    ):
        new = clique[len(separator) :]
        known = np.zeros(n, dtype=np.min_scalar_type(max(math.prod(tree.shape(separator)) - 1, 0)))
        for j in separator:
            known *= known.dtype.type(tree.sizes[j])
            known += codes[:, j].astype(known.dtype)
        cells = _shared_out(chances.reshape(-1, math.prod(tree.shape(new))), known, rng)
        for j, column in zip(new, np.indices(tree.shape(new), dtype=np.int32), strict=True):
            column.ravel().take(cells, out=codes[:, j], mode="clip")
    return codes


def _shared_out(
    chances: Floats, known: npt.NDArray[np.unsignedinteger], rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Draw a cell for each row, by the probabilities of its configuration.

    A cell has the points start, start + 1, ... that lie between its bounds, once those are
    stretched over the rows of the configuration: how many there are needs no search.
    """
    order = rng.permutation(np.arange(len(known), dtype=np.int32))
    if len(chances) > 1:
        order = order[np.argsort(known[order], kind="stable")]
    config_counts = np.bincount(known, minlength=len(chances))
    upper = np.cumsum(chances, axis=1)
    top = upper[:, -1:]
    upper = np.divide(upper, top, out=np.zeros_like(upper), where=top > 0)
    points = np.ceil(upper * config_counts[:, None] - rng.random((len(chances), 1))).astype(
        np.int64
    )
    counts = np.diff(points, axis=1, prepend=0)
    inside = np.broadcast_to(np.arange(chances.shape[1], dtype=np.int32), chances.shape)
    cells = np.empty(len(known), dtype=np.int32)
    cells[order] = np.repeat(inside.ravel(), counts.ravel())
    return cells
