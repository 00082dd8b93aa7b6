"""Bins learnt from one table and applied to others, so that counts can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Cuts", "TopLevels", "learn", "learn_cuts", "learn_levels"]

BINS = 10
MAX_LEVELS = 50


@dataclass(frozen=True)
class Cuts:
    """Bins of a continuous column.

    Parameters
    ----------
    points : ndarray of float64
        Ascending; bin `i` holds the values from ``points[i - 1]`` up to below ``points[i]``.
    """

    points: np.ndarray

    @property
    def size(self) -> int:
        """The number of codes; the last is for missing cells."""
        return len(self.points) + 2

    def codes(self, values: pd.Series[float]) -> np.ndarray:
        """Return the bin of each value, int64."""
        numbers = values.to_numpy()
        bins = np.searchsorted(self.points, numbers, side="right")
        return np.where(np.isnan(numbers), self.size - 1, bins)


@dataclass(frozen=True)
class TopLevels:
    """Bins of a discrete column: its most frequent levels, the others, the unseen, the missing.

    Parameters
    ----------
    names : tuple of str
        All levels in the data learnt from, most frequent first.
    top : int
        The number of them that have a bin of their own.
    """

    names: tuple[str, ...]
    top: int

    @property
    def size(self) -> int:
        """The number of codes; the last three are other, unseen and missing."""
        return self.top + 3

    def codes(self, labels: pd.Series[Any]) -> np.ndarray:
        """Return the bin of each label of a categorical series, int64."""
        import pandas as pd

        rank = pd.Index(self.names, dtype=object).get_indexer(labels.cat.categories)
        bins = np.where(rank < 0, self.top + 1, np.minimum(rank, self.top))
        bins = np.append(bins, self.size - 1)  # code -1, a missing cell, indexes the last
        return bins[labels.cat.codes.to_numpy()]


def learn(column: pd.Series[Any]) -> Cuts | TopLevels:
    """Learn the bins of a column of a canonical frame: float64 or categorical."""
    if column.dtype == np.float64:
        return learn_cuts(column)
    return learn_levels(column)


def learn_cuts(values: pd.Series[float], bins: int = BINS) -> Cuts:
    """Learn quantile bins.

    Parameters
    ----------
    values : pandas.Series of float64
    bins : int
        Number of quantiles. A value that spans more than one of them (an atom) gets a bin of
        its own, and the quantiles that it covers collapse.

    Returns
    -------
    Cuts
    """
    known = values.dropna().to_numpy()
    if not len(known):
        return Cuts(np.empty(0))
    edges = np.quantile(known, np.linspace(0, 1, bins + 1), method="inverted_cdf")
    edges, repeats = np.unique(edges, return_counts=True)
    atoms = edges[repeats > 1]
    with np.errstate(over="ignore"):  # nothing lies above the largest float
        above = np.nextafter(atoms, np.inf)
    return Cuts(np.unique(np.concatenate([edges[1:-1], atoms, above])))


def learn_levels(labels: pd.Series[Any], top: int = MAX_LEVELS) -> TopLevels:
    """Learn the levels of a categorical series and how many of them get their own bin.

    Parameters
    ----------
    labels : pandas.Series of category
    top : int
        Maximum number of levels with a bin of their own; ties are broken by name.

    Returns
    -------
    TopLevels
    """
    names = labels.cat.categories
    codes = labels.cat.codes.to_numpy()
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    order = np.argsort(-counts, kind="stable")
    by_frequency = tuple(names[i] for i in order if counts[i])
    return TopLevels(by_frequency, min(len(by_frequency), top))
