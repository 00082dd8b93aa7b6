"""Which synthetic minority rows to keep: those that classifiers of the real rows expect there.

An engine draws candidates; two classifiers weigh them. The one has learnt real minority against
real majority rows and says how often a row of the minority looks like this; the other has learnt
candidates against real majority rows and says how often a candidate does. Candidates are kept in
proportion to the ratio, so that what an engine blurs is put right where it decides, and a model
that is trained on the rows kept learns what the classifiers know of the minority, without the
chance that lies in a few real rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec

__all__ = ["chosen"]


TILT = 1.5
MAX_WEIGHT = 20.0
BOOSTED = 2
MAX_JUDGED = 5_000
MAX_LEVELS = 250
FURTHEST = 13.0


def chosen(
    codec: Codec,
    minority: Codes,
    others: Codes,
    candidates: Codes,
    n: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.intp]:
    """Choose candidates, each as often as its weight says.

    Parameters
    ----------
    codec : Codec
        Says which columns are numbers, and which are labels.
    minority, others, candidates : Codes, shape (rows, columns)
        Real rows of the class that is to grow and of all others, and synthetic ones of the class.
    n : int
        How many to choose.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (n,)
        Rows of `candidates`; some come more than once.

    Notes
    -----
    The weight of a candidate is the density ratio of the minority to the candidates, by
    classification (Sugiyama, Suzuki & Kanamori, *Density Ratio Estimation in Machine Learning*,
    2012, ch. 4), with the minority's odds to the power of `TILT`, which leaves the order of rows
    by their odds as it is and keeps fewer of the doubtful ones. No weight is above `MAX_WEIGHT`
    mean weights.
    """
    columns = [j for j in range(candidates.shape[1]) if j != codec.target]
    judged = candidates[rng.permutation(len(candidates))[:MAX_JUDGED]]
    seed = int(rng.integers(2**31))
    real = _log_odds(codec, columns, minority, others, candidates, seed)
    odds = _log_odds(codec, columns, judged, others, candidates, seed)
    weights = _capped(TILT * real - odds)
    marks = (rng.random() + np.arange(n)) / n
    return rng.permutation(np.searchsorted(np.cumsum(weights)[:-1], marks, side="right"))


def _log_odds(
    codec: Codec, columns: Sequence[int], these: Codes, those: Codes, at: Codes, seed: int
) -> Floats:
    """Return the log density ratio of `these` to `those` at rows, as boosted trees see it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = np.concatenate([these, those])[:, columns]
    truth = np.arange(len(rows)) < len(these)
    labels = [i for i, j in enumerate(columns) if _label(codec, j)]
    score = np.zeros(len(at))
    for i in range(BOOSTED):
        model = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=15,
            min_samples_leaf=10,
            l2_regularization=1.0,
            max_features=0.5,
            categorical_features=labels or None,
            early_stopping=False,
            random_state=seed + i,
        ).fit(rows, truth)
        score += model.decision_function(at[:, columns])
    score = np.clip(score / BOOSTED, -FURTHEST, FURTHEST)
    return score - float(np.log(len(these) / len(those)))


def _label(codec: Codec, j: int) -> bool:
    """Return whether a column's codes have no order; those of too many labels count as ordered."""
    return not codec.codings[j].ordered and codec.sizes[j] <= MAX_LEVELS


def _capped(log_weights: Floats) -> Floats:
    """Return weights that sum to 1, none above `MAX_WEIGHT` times their mean."""
    weights = np.exp(log_weights - log_weights.max())
    most = MAX_WEIGHT / len(weights)
    for _ in range(20):
        weights = np.minimum(weights / weights.sum(), most)
    return np.asarray(weights / weights.sum())
