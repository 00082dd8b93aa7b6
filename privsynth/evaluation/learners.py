"""The models that utility is measured with, and the features that they read.

Everything here is learnt from the table that a model is trained on; levels that only the test
table has count as unseen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.evaluation.bins import TopLevels, learn_levels

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

__all__ = [
    "CLASSIFIERS",
    "MAX_VALUE",
    "REGRESSORS",
    "Features",
    "Learner",
    "fit_predict",
    "predict",
]

TREES = 100
MAX_VALUE = 1e30  # its square is finite in double precision, and it is in single precision


@dataclass(frozen=True)
class Features:
    """How the columns of a canonical frame become numbers.

    Parameters
    ----------
    mean, scale : mapping of str to float
        By continuous column; a missing cell becomes the mean and sets a flag. A column without
        any number is left out.
    levels : mapping of str to TopLevels
        By discrete column: the 50 most frequent levels, others, unseen, missing.
    """

    mean: Mapping[str, float]
    scale: Mapping[str, float]
    levels: Mapping[str, TopLevels]

    @classmethod
    def learn(cls, frame: pd.DataFrame) -> Features:
        """Learn from the training table."""
        numbers = frame.select_dtypes("float64").dropna(axis=1, how="all")
        numbers = numbers.clip(-MAX_VALUE, MAX_VALUE)
        labels = frame.select_dtypes("category")
        scale = numbers.std(ddof=0).replace(0.0, 1.0)
        return cls(
            dict(zip(numbers.columns, numbers.mean(), strict=True)),
            dict(zip(numbers.columns, scale, strict=True)),
            {name: learn_levels(labels[name]) for name in labels.columns},
        )

    def linear(self, frame: pd.DataFrame) -> csr_matrix:
        """Return a constant, standardised numbers, flags of missing ones, one column per level."""
        import pandas as pd
        from scipy.sparse import csr_matrix, hstack

        rows = len(frame)
        blocks = [csr_matrix(np.ones((rows, 1)))]
        if self.mean:
            numbers = frame[list(self.mean)].clip(-MAX_VALUE, MAX_VALUE)
            values = (numbers - pd.Series(self.mean)) / pd.Series(self.scale)
            blocks += [csr_matrix(values.fillna(0.0)), csr_matrix(values.isna().astype(float))]
        for name, levels in self.levels.items():
            place = np.arange(rows), levels.codes(frame[name])
            blocks.append(csr_matrix((np.ones(rows), place), shape=(rows, levels.size)))
        return hstack(blocks, format="csr")

    def coded(self, frame: pd.DataFrame) -> np.ndarray:
        """Return a constant, numbers (missing ones as NaN), then levels as codes by frequency."""
        numbers = frame[list(self.mean)].to_numpy().clip(-MAX_VALUE, MAX_VALUE)
        codes = [levels.codes(frame[name]) for name, levels in self.levels.items()]
        return np.column_stack([np.ones(len(frame)), numbers, *codes])


@dataclass(frozen=True)
class Learner:
    """One model.

    Parameters
    ----------
    words : str
        Its name in a sentence.
    features : callable
        The form of the features that it reads.
    build : callable
        Builds the estimator from the features and a seed.
    """

    words: str
    features: Callable[[Features, pd.DataFrame], Any]
    build: Callable[[Features, int], Any]


def predict(
    learner: Learner,
    train: pd.DataFrame,
    truth: np.ndarray,
    test: pd.DataFrame,
    classes: int,
    seed: int,
) -> np.ndarray:
    """Train a model on one table and predict another.

    Parameters
    ----------
    learner : Learner
    train, test : pandas.DataFrame
        Canonical frames without the target.
    truth : ndarray, shape (train rows,)
        Codes of the target's classes, or its numbers.
    classes : int
        Number of classes; 0 for a continuous target.
    seed : int

    Returns
    -------
    ndarray of float64
        Probabilities, shape (test rows, classes), 0 for a class that `truth` lacks; or
        numbers, shape (test rows,).
    """
    features = Features.learn(train)
    return fit_predict(
        learner.build(features, seed),
        learner.features(features, train),
        truth,
        learner.features(features, test),
        classes,
    )


def fit_predict(
    estimator: Any,
    train: Any,
    truth: np.ndarray,
    test: Any,
    classes: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Train an estimator on encoded rows, and predict others.

    Parameters
    ----------
    estimator : scikit-learn estimator
    train, test : ndarray or csr_matrix
    truth, classes
        As in `predict`, as is the value returned.
    weights : ndarray of float, shape (train rows,), optional
        How much each row counts.

    Returns
    -------
    ndarray of float64
    """
    from threadpoolctl import threadpool_limits

    # one thread: the last digits of a sum depend on the number of threads
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        estimator.fit(train, truth, sample_weight=weights)
        if not classes:
            return np.asarray(estimator.predict(test), dtype=np.float64)
        probabilities = np.zeros((test.shape[0], classes))
        probabilities[:, estimator.classes_] = estimator.predict_proba(test)
    return probabilities


def _logistic(_: Features, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=300, random_state=seed)


def _ridge(_: Features, seed: int) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(random_state=seed)


def _boosting(kind: str) -> Callable[[Features, int], Any]:
    def build(features: Features, seed: int) -> Any:
        from sklearn import ensemble

        first = 1 + len(features.mean)
        return getattr(ensemble, f"HistGradientBoosting{kind}")(
            max_iter=TREES,
            categorical_features=list(range(first, first + len(features.levels))) or None,
            early_stopping=False,
            random_state=seed,
        )

    return build


def _forest(kind: str) -> Callable[[Features, int], Any]:
    def build(_: Features, seed: int) -> Any:
        from sklearn import ensemble

        return getattr(ensemble, f"RandomForest{kind}")(
            n_estimators=TREES, min_samples_leaf=5, max_features="sqrt", random_state=seed
        )

    return build


CLASSIFIERS: Mapping[str, Learner] = {
    "logistic_regression": Learner("a logistic regression", Features.linear, _logistic),
    "hist_gradient_boosting": Learner(
        "histogram gradient boosting", Features.coded, _boosting("Classifier")
    ),
    "random_forest": Learner("a random forest", Features.coded, _forest("Classifier")),
}
REGRESSORS: Mapping[str, Learner] = {
    "ridge": Learner("a ridge regression", Features.linear, _ridge),
    "hist_gradient_boosting": Learner(
        "histogram gradient boosting", Features.coded, _boosting("Regressor")
    ),
    "random_forest": Learner("a random forest", Features.coded, _forest("Regressor")),
}
