"""Choose synthetic minority rows by how likely classifiers of the real rows find them.

An engine draws candidates, and two classifiers weigh them. One separates real minority rows from
rows of other classes; the other separates candidates from rows of other classes. Their odds give
the density ratio of the minority to the candidates, and candidates are kept in proportion to it.
This sharpens what the engine blurs near the boundary between classes, and passes on what the
classifiers know of the minority without the sampling noise of a few real rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec

__all__ = ["chosen"]

TILT = 1.5
"""Power to which the real minority's odds are raised."""
MAX_WEIGHT = 20.0
"""Largest weight of a candidate, in mean weights."""
MODELS = 2
"""Boosted models that are averaged."""
MAX_TRAINING_CANDIDATES = 5_000
MAX_LEVELS = 250
"""Most codes that scikit-learn's boosting takes as categories; 255 is its limit."""
MAX_LOG_ODDS = 13.0


def chosen(
    codec: Codec,
    minority: Codes,
    others: Codes,
    candidates: Codes,
    n: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    """Choose candidates with probabilities proportional to their weights.

    Parameters
    ----------
    codec : Codec
        Tells ordered columns from nominal ones.
    minority, others, candidates : Codes, shape (rows, columns)
        Real rows of the growing class, real rows of the other classes, and synthetic rows of the
        growing class.
    n : int
        How many to choose.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in `candidates`; a row may be chosen more than once.

    Notes
    -----
    The weight of a candidate is the density ratio of the minority to the candidates, by
    classification (Sugiyama, Suzuki & Kanamori, *Density Ratio Estimation in Machine Learning*,
    2012, ch. 4). The minority's odds are raised to the power of `TILT`: this keeps the order of
    rows by their odds, and keeps fewer of the doubtful ones. No weight is above `MAX_WEIGHT` mean
    weights.
    """
    columns = [j for j in range(candidates.shape[1]) if j != codec.target]
    training = candidates[rng.permutation(len(candidates))[:MAX_TRAINING_CANDIDATES]]
    seed = int(rng.integers(2**31))
    real = _log_ratio(codec, columns, minority, others, candidates, seed)
    synthetic = _log_ratio(codec, columns, training, others, candidates, seed)
    weights = _capped(TILT * real - synthetic)
    quantiles = (rng.random() + np.arange(n)) / n
    return rng.permutation(np.searchsorted(np.cumsum(weights)[:-1], quantiles, side="right"))


def _log_ratio(
    codec: Codec,
    columns: Sequence[int],
    positives: Codes,
    negatives: Codes,
    points: Codes,
    seed: int,
) -> Floats:
    """Estimate the log density ratio of positives to negatives at points by boosted trees."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.concatenate([positives, negatives])[:, columns]
    is_positive = np.arange(len(rows)) < len(positives)
    categorical = [i for i, j in enumerate(columns) if _is_categorical(codec, j)]
    log_odds = np.zeros(len(points))
    for i in range(MODELS):
        model = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=15,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_features=0.5,
            categorical_features=categorical or None,
            early_stopping=False,
            random_state=seed + i,
        ).fit(rows, is_positive)
        log_odds += model.decision_function(points[:, columns])
    log_odds = np.clip(log_odds / MODELS, -MAX_LOG_ODDS, MAX_LOG_ODDS)
    return log_odds - float(np.log(len(positives) / len(negatives)))


def _is_categorical(codec: Codec, j: int) -> bool:
    """Return whether a column is nominal; one with too many codes is treated as ordered."""
    return not codec.codings[j].ordered and codec.sizes[j] <= MAX_LEVELS


def _capped(log_weights: Floats) -> Floats:
    """Return weights that sum to 1, none above `MAX_WEIGHT` times their mean."""
    weights = np.exp(log_weights - log_weights.max())
    cap = MAX_WEIGHT / len(weights)
    for _ in range(20):
        weights = np.minimum(weights / weights.sum(), cap)
    return np.asarray(weights / weights.sum())
