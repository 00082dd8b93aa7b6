"""Mutual information of columns, corrected for chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats

__all__ = ["distinction", "information"]

MAX_CODES = 32
"""A column of more codes is coarsened to this many runs of neighbours."""


def distinction(codes: Codes, sizes: tuple[int, ...], groups: list[slice]) -> Floats:
    """Return each column's information about a row's group, in nats, all groups weighted alike.

    Unweighted, what sets a rare class apart would count little beside what divides the others.
    The bias by chance is subtracted, as in `information`.
    """
    groups = [rows for rows in groups if rows.start < rows.stop]
    chance = np.mean([1 / (2 * (rows.stop - rows.start)) for rows in groups])
    gains = np.zeros(len(sizes))
    for j, size in enumerate(sizes):
        cells, width = _coarse(codes[:, j], size)
        shares = np.stack(
            [np.bincount(cells[rows], minlength=width) / len(cells[rows]) for rows in groups]
        )
        seen, mean = shares > 0, np.broadcast_to(shares.mean(axis=0), shares.shape)
        divergence = (shares[seen] * np.log(shares[seen] / mean[seen])).sum() / len(groups)
        gains[j] = max(divergence - (seen.any(axis=0).sum() - 1) * chance, 0.0)
    return gains


def information(codes: Codes, sizes: tuple[int, ...]) -> Floats:
    """Return the mutual information of every pair of columns, in nats; 0 on the diagonal.

    The bias by chance is subtracted (Miller, *Information Theory in Psychology*, 1955): without
    this, columns of many codes would crowd out informative ones.
    """
    coarse, width = zip(*(_coarse(codes[:, j], s) for j, s in enumerate(sizes)), strict=True)
    result = np.zeros((len(sizes), len(sizes)))
    for i in range(len(sizes)):
        for j in range(i):
            cells = np.bincount(coarse[i] * width[j] + coarse[j], minlength=width[i] * width[j])
            joint = cells.reshape(width[i], width[j]) / len(codes)
            independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            seen = joint > 0
            mutual = (joint[seen] * np.log(joint[seen] / independent[seen])).sum()
            freedom = (joint.any(axis=1).sum() - 1) * (joint.any(axis=0).sum() - 1)
            result[i, j] = result[j, i] = max(mutual - freedom / (2 * len(codes)), 0.0)
    return result


def _coarse(column: npt.NDArray[np.int32], size: int) -> tuple[npt.NDArray[np.integer], int]:
    """Merge a column's codes into runs of neighbours; return them and their number."""
    if size <= MAX_CODES:
        return column, size
    return column.astype(np.int64) * MAX_CODES // size, MAX_CODES
