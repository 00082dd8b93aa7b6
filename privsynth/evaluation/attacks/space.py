"""The space in which attacks measure distances between rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.schema import Column

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Points", "Space", "nearest"]

Points = npt.NDArray[np.float32]
"""Rows as points, shape (rows, dimensions)."""

MAX_LEVELS = 100
POINTS_AT_ONCE = 512


@dataclass(frozen=True)
class Space:
    """How rows of a canonical frame become points.

    Parameters
    ----------
    sorted_values : mapping of str to ndarray
        By continuous column: the values that ranks are read from, ascending.
    gaps : frozenset of str
        The continuous columns with missing cells; they have an extra dimension.
    levels : mapping of str to tuple of str
        By discrete column: the levels with a dimension of their own, most frequent first.

    Notes
    -----
    A number is placed at its rank among the values, between 0 and 1; a missing one in the middle.
    A level is a unit vector divided by the square root of 2, so that two levels are 1 apart, as
    are the smallest and the largest number.
    """

    sorted_values: Mapping[str, npt.NDArray[np.float64]]
    gaps: frozenset[str]
    levels: Mapping[str, tuple[str, ...]]

    @classmethod
    def learn(cls, frames: Iterable[pd.DataFrame], columns: Sequence[Column]) -> Space:
        """Learn from canonical frames, taken together.

        Pass as many training rows as holdout rows: a space learnt from more of one side would
        distinguish the two by itself.
        """
        import pandas as pd

        real = pd.concat(list(frames), ignore_index=True)
        numbers = [column.name for column in columns if column.kind.continuous]
        labels = [column.name for column in columns if not column.kind.continuous]
        return cls(
            {name: np.sort(real[name].dropna().to_numpy(np.float64)) for name in numbers},
            frozenset(name for name in numbers if real[name].isna().any()),
            {
                name: tuple(real[name].value_counts().index[:MAX_LEVELS].astype(str))
                for name in labels
            },
        )

    def place(self, frame: pd.DataFrame) -> Points:
        """Return the points of a canonical frame's rows."""
        root = np.float32(1 / np.sqrt(2))
        parts: list[Points] = [np.zeros((len(frame), 0), np.float32)]
        for name, known in self.sorted_values.items():
            values = frame[name].to_numpy(np.float64)
            missing = np.isnan(values)
            ranks = (np.searchsorted(known, values) + np.searchsorted(known, values, "right")) / 2
            ranks = np.where(missing, 0.5, ranks / max(len(known), 1))
            parts.append(ranks[:, None].astype(np.float32))
            if name in self.gaps:
                parts.append(missing[:, None] * root)
        for name, levels in self.levels.items():
            column = frame[name]
            place = {level: i for i, level in enumerate(levels)}
            of_category = np.array(
                [place.get(str(level), len(levels)) for level in column.cat.categories], dtype=int
            )
            codes = np.append(of_category, len(levels) + 1)[column.cat.codes.to_numpy()]
            unit = np.eye(len(levels) + 2, dtype=np.float32) * root
            parts.append(unit[codes])
        return np.concatenate(parts, axis=1)


def nearest(
    points: Points, others: Points, k: int = 1
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Return the k nearest of `others` to each point: Euclidean distances, ascending, and places.

    Brute force by matrix products, block by block. In the tens of dimensions that tables have, it
    is faster than trees; it is exact up to single precision.

    Returns
    -------
    distances, places : ndarray, shape (points, k)
        If there are fewer than `k` others, the last one is repeated.
    """
    n_near = min(k, len(others))
    norms = (others**2).sum(axis=1)
    scaled = np.ascontiguousarray(-2 * others.T)
    distances = np.empty((len(points), k), np.float32)
    places = np.empty((len(points), k), np.intp)
    for start in range(0, len(points), POINTS_AT_ONCE):
        block = points[start : start + POINTS_AT_ONCE]
        squares = block @ scaled
        squares += norms
        if n_near == 1:
            near = squares.argmin(axis=1)[:, None]
        else:
            near = np.argpartition(squares, n_near - 1, axis=1)[:, :n_near]
        # Near 0 the product loses digits, so the distances returned are computed directly.
        exact = ((block[:, None] - others[near]) ** 2).sum(axis=2)
        order = np.argsort(exact, axis=1, kind="stable")
        order = np.concatenate([order, np.repeat(order[:, -1:], k - n_near, axis=1)], axis=1)
        rows = slice(start, start + len(block))
        distances[rows] = np.sqrt(np.take_along_axis(exact, order, axis=1))
        places[rows] = np.take_along_axis(near, order, axis=1)
    return distances, places
