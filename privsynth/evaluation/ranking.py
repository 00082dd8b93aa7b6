"""How well predicted chances pick out one class: figures by threshold, and calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from privsynth.evaluation.metrics import by_score

__all__ = ["Ranking", "brier", "calibration_error"]

BINS = 10


@dataclass(frozen=True)
class Ranking:
    """Rows ordered by their chance of being positive, rows of equal chance together.

    Parameters
    ----------
    thresholds : ndarray of float64, shape (thresholds,)
        The distinct chances, highest first.
    true_positives, predicted : ndarray of float64, shape (thresholds,)
        Positive rows, and all rows, at or above each threshold.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, positive: np.ndarray, chances: np.ndarray) -> Ranking:
        """Rank rows, at least one of which is positive."""
        hits, misses = by_score(np.ones((1, len(chances))), positive, chances)
        true_positives = hits[0].cumsum()
        return cls(np.unique(chances)[::-1], true_positives, true_positives + misses[0].cumsum())

    @property
    def positives(self) -> float:
        """The number of positive rows."""
        return float(self.true_positives[-1])

    def recall_at(self, precision: float) -> float:
        """Return the highest recall at a precision or above; 0 if no threshold reaches it."""
        precise = self.true_positives >= precision * self.predicted
        return float(self.true_positives[precise].max(initial=0.0) / self.positives)

    def precision_at(self, recalls: np.ndarray) -> np.ndarray:
        """Return the precision at the first threshold that reaches each recall.

        It is not interpolated, so that the area under it is the average precision.
        """
        needed = recalls * self.positives - 1e-9  # a count; the slack absorbs rounding
        first = np.searchsorted(self.true_positives, needed)
        precisions: np.ndarray = self.true_positives[first] / self.predicted[first]
        return precisions

    def f1_at(self, thresholds: np.ndarray) -> np.ndarray:
        """Return the F1 of predicting as positive the rows at or above each threshold."""
        places = np.searchsorted(-self.thresholds, -thresholds, side="right")
        true_positives, predicted = (
            np.append(0.0, self.true_positives)[places],
            np.append(0.0, self.predicted)[places],
        )
        scores: np.ndarray = 2 * true_positives / (predicted + self.positives)
        return scores

    def best_threshold(self) -> float:
        """Return the threshold of the highest F1; the highest one if there are several."""
        return float(
            self.thresholds[np.argmax(self.true_positives / (self.predicted + self.positives))]
        )


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
        The mean over rows of the difference between the mean chance in a row's bin and the
        share of positives in it. Equal chances share a bin, so there may be fewer than ten.
    """
    shares = np.arange(1, BINS) / BINS
    edges = np.unique(np.quantile(chances, shares, method="inverted_cdf"))
    bins = np.searchsorted(edges, chances, side="right")
    gaps = np.bincount(bins, weights=chances - positive)
    return float(np.abs(gaps).sum() / len(chances))
