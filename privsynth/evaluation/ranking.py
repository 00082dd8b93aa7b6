"""How well chances single out one class: what every threshold would find, and are they true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from privsynth.evaluation.metrics import by_score

__all__ = ["Ranking", "brier", "calibration_error"]

BINS = 10


@dataclass(frozen=True)
class Ranking:
    """Rows ordered by their chance to be positive, rows of one chance together.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (thresholds,)
        The distinct chances, highest first.
    found, taken : ndarray of float64, shape (thresholds,)
        Positive rows, and rows, at or above each threshold.
    """

    thresholds: np.ndarray
    found: np.ndarray
    taken: np.ndarray

    @classmethod
    def of(cls, positive: np.ndarray, chances: np.ndarray) -> Ranking:
        """Rank rows, of which one or more are positive."""
        hits, misses = by_score(np.ones((1, len(chances))), positive, chances)
        true_positives = hits[0].cumsum()
        return cls(np.unique(chances)[::-1], true_positives, true_positives + misses[0].cumsum())

    @property
    def positives(self) -> float:
        """How many rows are positive."""
        return float(self.found[-1])

    def recall_at(self, precision: float) -> float:
        """Return the highest recall at a precision or above; 0 where no threshold has it."""
        precise = self.found >= precision * self.taken
        return float(self.found[precise].max(initial=0.0) / self.positives)

    def precision_at(self, recalls: np.ndarray) -> np.ndarray:
        """Return the precision at the first threshold that reaches each recall.

        It is not interpolated, so that the area below is the average precision.
        """
        needed = recalls * self.positives - 1e-9  # a count, but for the last digit
        first = np.searchsorted(self.found, needed)
        precisions: np.ndarray = self.found[first] / self.taken[first]
        return precisions

    def f1_at(self, thresholds: np.ndarray) -> np.ndarray:
        """Return the F1 of calling positive what is at or above each threshold."""
        places = np.searchsorted(-self.thresholds, -thresholds, side="right")
        true_positives, taken = (
            np.append(0.0, self.found)[places],
            np.append(0.0, self.taken)[places],
        )
        scores: np.ndarray = 2 * true_positives / (taken + self.positives)
        return scores

    def best_threshold(self) -> float:
        """Return the threshold of the highest F1; the highest one where several have it."""
        return float(self.thresholds[np.argmax(self.found / (self.taken + self.positives))])


def brier(positive: np.ndarray, chances: np.ndarray) -> float:
    """Return the mean squared difference between chance and truth."""
    return float(np.mean((chances - positive) ** 2))


def calibration_error(positive: np.ndarray, chances: np.ndarray) -> float:
    """Return the expected calibration error in ten bins of about equal mass.

    Parameters
    ----------
    positive : ndarray of bool, shape (rows,)
    chances : ndarray of float, shape (rows,)

    Returns
    -------
    float
        The mean over rows of how far the mean chance of a row's bin lies from the share of
        positives in it. Equal chances share a bin, so there may be fewer than ten.
    """
    shares = np.arange(1, BINS) / BINS
    edges = np.unique(np.quantile(chances, shares, method="inverted_cdf"))
    bins = np.searchsorted(edges, chances, side="right")
    gaps = np.bincount(bins, weights=chances - positive)
    return float(np.abs(gaps).sum() / len(chances))
