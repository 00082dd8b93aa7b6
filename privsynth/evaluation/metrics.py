"""Metrics of predictions, over many bootstrap resamples at a time.

Each takes weights of shape (resamples, rows), how often each row was drawn, and gives one
figure a resample: weights of one row of ones give the plain figure. A figure that cannot be
computed, for want of a class, is NaN.
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
    """Draw rows with replacement, as often as there are rows, for each resample.

    Returns
    -------
    ndarray of uint16, shape (resamples, rows)
    """
    counts = np.empty((resamples, rows), dtype=np.uint16)
    for resample in counts:
        resample[:] = np.bincount(rng.integers(max(1, rows), size=rows), minlength=rows)
    return counts


def interval(replicates: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95% percentile interval of a bootstrap; None, None where it has no figures."""
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
        One figure a fold, such as the difference between two methods.
    folds : int
        How many parts the rows were split into, 2 or more.

    Returns
    -------
    low, high : ndarray of float64, shape (...)

    Notes
    -----
    Folds share training rows, so their figures are less independent than they look. Nadeau and
    Bengio, *Inference for the Generalization Error*, 2003, add the share of test rows to
    training rows, here ``1 / (folds - 1)``, to the usual ``1 / len(figures)`` that the variance
    is multiplied with; Student's t has ``len(figures) - 1`` degrees of freedom.
    """
    from scipy.special import stdtrit

    times = len(figures)
    error = np.sqrt(figures.var(axis=0, ddof=1) * (1 / times + 1 / (folds - 1)))
    reach = stdtrit(times - 1, 0.975) * error
    mean = figures.mean(axis=0)
    return mean - reach, mean + reach


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
    lost = (hits * (above + misses / 2)).sum(axis=1)
    return 1 - _ratio(lost, hits.sum(axis=1) * misses.sum(axis=1))


def average_precision(weights: np.ndarray, positive: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Area under the precision-recall curve, as a step function; shapes as in `roc_auc`."""
    hits, misses = by_score(weights, positive, score)
    true_positives = hits.cumsum(axis=1)
    taken = true_positives + misses.cumsum(axis=1)
    precision = _ratio(true_positives, taken)
    precision[taken == 0] = 0
    return _ratio((hits * precision).sum(axis=1), hits.sum(axis=1))


def by_score(
    weights: np.ndarray, positive: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count positives and negatives at each distinct score, highest first: (resamples, scores)."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    drawn = weights[:, order].astype(np.float64)
    hits = np.add.reduceat(drawn * positive[order], starts, axis=1)
    return hits, np.add.reduceat(drawn, starts, axis=1) - hits


def f1(weights: np.ndarray, positive: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall; 0 where no positive is found.

    Parameters
    ----------
    weights : ndarray, shape (resamples, rows)
    positive, predicted : ndarray of bool, shape (rows,)

    Returns
    -------
    ndarray of float64, shape (resamples,)
        NaN where a resample has no positive row.
    """
    both, there, said = (
        weights @ flag.astype(np.float64) for flag in (positive & predicted, positive, predicted)
    )
    return np.where(there > 0, _ratio(2 * both, there + said), np.nan)


def r2(weights: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Share of the variance that is explained; NaN where the truth is constant.

    Parameters
    ----------
    weights : ndarray, shape (resamples, rows)
    truth, predicted : ndarray of float, shape (rows,)

    Returns
    -------
    ndarray of float64, shape (resamples,)
    """
    rows = weights.sum(axis=1, dtype=np.float64)
    centred = truth - truth.mean()  # keeps the digits where the mean is large
    spread = weights @ centred**2 - (weights @ centred) ** 2 / rows
    explained: np.ndarray = 1 - _ratio(weights @ (truth - predicted) ** 2, spread)
    return explained


def mae(weights: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Mean absolute error, in the target's unit; shapes as in `r2`."""
    errors = weights @ np.abs(truth - predicted)
    means: np.ndarray = errors / weights.sum(axis=1, dtype=np.float64)
    return means


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    ratio = np.full(np.shape(under), np.nan)
    np.divide(over, under, out=ratio, where=under > 0)
    return ratio
