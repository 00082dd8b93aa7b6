"""Metrics of predictions, over many bootstrap resamples at a time.

Each takes weights of shape (resamples, rows), how often each row was drawn, and returns one
figure per resample; a single row of ones gives the plain figure. A figure that cannot be computed
because a class is absent is NaN.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "average_precision",
    "by_score",
    "corrected_interval",
    "draws",
    "f1",
    "interval",
    "mae",
    "r2",
    "roc_auc",
]

RESAMPLES = 200


def draws(rows: int, rng: np.random.Generator, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw as many rows as there are, with replacement, for each resample.

    Returns
    -------
    ndarray of uint16, shape (resamples, rows)
    """
    counts = np.empty((resamples, rows), dtype=np.uint16)
    for resample in counts:
        resample[:] = np.bincount(rng.integers(max(1, rows), size=rows), minlength=rows)
    return counts


def interval(replicates: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95% percentile interval of a bootstrap; None, None if it has no figures."""
    figures = replicates[np.isfinite(replicates)]
    if not len(figures):
        return None, None
    low, high = np.percentile(figures, [2.5, 97.5])
    return float(low), float(high)


def corrected_interval(figures: np.ndarray, folds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the 95% interval of the mean of figures from repeated cross-validation.

    Parameters
    ----------
    figures : ndarray of float, shape (folds * repeats, ...)
        One figure per fold, such as the difference between two methods.
    folds : int
        Number of parts that the rows were split into, 2 or more.

    Returns
    -------
    low, high : ndarray of float64, shape (...)

    Notes
    -----
    Folds share training rows, so their figures are less independent than they look. Nadeau and
    Bengio, *Inference for the Generalization Error*, 2003, multiply the variance with
    ``1 / len(figures)`` plus the ratio of test rows to training rows, here ``1 / (folds - 1)``;
    Student's t has ``len(figures) - 1`` degrees of freedom.
    """
    from scipy.special import stdtrit

    n_figures = len(figures)
    error = np.sqrt(figures.var(axis=0, ddof=1) * (1 / n_figures + 1 / (folds - 1)))
    margin = stdtrit(n_figures - 1, 0.975) * error
    mean = figures.mean(axis=0)
    return mean - margin, mean + margin


def roc_auc(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area under the ROC curve; ties count half.

    Parameters
    ----------
    weights : ndarray, shape (resamples, rows)
    positive : ndarray of bool, shape (rows,)
    score : ndarray of float, shape (rows,)

    Returns
    -------
    ndarray of float64, shape (resamples,)
    """
    hits, misses = by_score(weights, positive, score)
    above = misses.cumsum(axis=1) - misses
    misordered = (hits * (above + misses / 2)).sum(axis=1)
    return 1 - _ratio(misordered, hits.sum(axis=1) * misses.sum(axis=1))


def average_precision(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, as a step function; shapes as in `roc_auc`."""
    hits, misses = by_score(weights, positive, score)
    true_positives = hits.cumsum(axis=1)
    predicted_positives = true_positives + misses.cumsum(axis=1)
    precision = _ratio(true_positives, predicted_positives)
    precision[predicted_positives == 0] = 0
    return _ratio((hits * precision).sum(axis=1), hits.sum(axis=1))


def by_score(
    weights: np.ndarray, positive: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count positives and negatives at each distinct score, highest first: (resamples, scores)."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    counts = weights[:, order].astype(np.float64)
    hits = np.add.reduceat(counts * positive[order], starts, axis=1)
    return hits, np.add.reduceat(counts, starts, axis=1) - hits


def f1(weights: np.ndarray, positive: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; 0 if no positive is found.

    Parameters
    ----------
    weights : ndarray, shape (resamples, rows)
    positive, predicted : ndarray of bool, shape (rows,)

    Returns
    -------
    ndarray of float64, shape (resamples,)
        NaN if a resample has no positive row.
    """
    hits, positives, predictions = (
        weights @ flag.astype(np.float64) for flag in (positive & predicted, positive, predicted)
    )
    return np.where(positives > 0, _ratio(2 * hits, positives + predictions), np.nan)


def r2(weights: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Share of the variance that is explained; NaN if the truth is constant.

    Parameters
    ----------
    weights : ndarray, shape (resamples, rows)
    truth, predicted : ndarray of float, shape (rows,)

    Returns
    -------
    ndarray of float64, shape (resamples,)
    """
    rows = weights.sum(axis=1, dtype=np.float64)
    centred = truth - truth.mean()  # centring keeps the digits if the mean is large
    spread = weights @ centred**2 - (weights @ centred) ** 2 / rows
    explained: np.ndarray = 1 - _ratio(weights @ (truth - predicted) ** 2, spread)
    return explained


def mae(weights: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean absolute error, in the target's unit; shapes as in `r2`."""
    errors = weights @ np.abs(truth - predicted)
    means: np.ndarray = errors / weights.sum(axis=1, dtype=np.float64)
    return means


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    ratio = np.full(np.shape(denominator), np.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
