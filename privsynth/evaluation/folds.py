"""Repeated cross-validation of methods that add to the training rows; test rows are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.errors import DataError
from privsynth.evaluation import metrics
from privsynth.evaluation.frames import Note, Progress
from privsynth.evaluation.learners import CLASSIFIERS, Features, fit_predict
from privsynth.evaluation.ranking import Ranking, brier, calibration_error

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "RECALLS",
    "THRESHOLDS",
    "Added",
    "Figures",
    "Method",
    "UnableError",
    "class_sizes",
    "cross_validate",
]

TUNING_FOLDS = 3  # one sets the threshold, the others train
RECALLS = np.linspace(0, 1, 51)
THRESHOLDS = np.linspace(0, 1, 51)


@dataclass(frozen=True)
class Added:
    """What a method adds to real training rows: more rows, or weights.

    Parameters
    ----------
    features : pandas.DataFrame, optional
        A canonical frame.
    truth : ndarray of int, optional
        The classes of its rows.
    weights : ndarray of float, optional
        The weight of each real row.
    """

    features: pd.DataFrame | None = None
    truth: np.ndarray | None = None
    weights: np.ndarray | None = None


Method = Callable[[np.ndarray, int], Added]
"""Positions of the real training rows, seed -> what is added to them."""


class UnableError(Exception):
    """A method cannot work with the rows of a fold; the message says why."""


@dataclass(frozen=True)
class Figures:
    """What was measured, one item per fold, in the order of the folds.

    Parameters
    ----------
    figures : mapping
        Metric, learner, method -> list of float.
    precision, f1 : mapping
        Learner, method -> list of curves, over `RECALLS` and over `THRESHOLDS`.
    unable : mapping of str to str
        The methods that failed in some fold, and why; they have no figures.
    """

    figures: dict[str, dict[str, dict[str, list[float]]]]
    precision: dict[str, dict[str, list[np.ndarray]]]
    f1: dict[str, dict[str, list[np.ndarray]]]
    unable: dict[str, str]

    def of(self, metric: str, method: str) -> np.ndarray:
        """Return the figures of one method, shape (folds, learners)."""
        return np.array([by_method[method] for by_method in self.figures[metric].values()]).T


def cross_validate(
    features: pd.DataFrame,
    truth: np.ndarray,
    rare: list[int],
    methods: Mapping[str, Method],
    *,
    folds: int,
    repeats: int,
    seed: int,
    precision: float,
    progress: Progress,
    note: Note,
    groups: np.ndarray | None = None,
) -> Figures:
    """Train each classifier with what each method adds, and test it on held-out real rows.

    Parameters
    ----------
    features : pandas.DataFrame
        A canonical frame.
    truth : ndarray of int, shape (rows,)
        The class of each row, from 0 up; each class has at least as many rows as there are folds.
    rare : list of int
        The classes that are positive in turn; figures are means over them.
    methods : mapping of str to callable
        A method that raises `UnableError` in a fold is left out.
    folds, repeats, seed, precision, progress, note, groups
        As in `privsynth.evaluation.minority.minority_gain`.

    Returns
    -------
    Figures

    Raises
    ------
    DataError
        Folds of whole units leave a class out.
    """
    by_method: dict[str, list[_ByLearner]] = {name: [] for name in methods}
    unable: dict[str, str] = {}
    steps = folds * repeats * len(methods)
    for fold, (rows, test) in enumerate(_splits(truth, groups, folds, repeats, seed)):
        fold_seed = (seed + fold) % 2**32
        split = _Split.of(features, truth, rows, test)
        tuning = _tuning(features, truth, rows, fold_seed, note, groups)
        for step, (name, method) in enumerate(methods.items(), fold * len(methods)):
            progress("minority gain", step, steps)
            if name in unable:
                continue
            try:
                tuned = None if tuning is None else tuning.chances(method, fold_seed)
                chances = split.chances(method, fold_seed)
            except UnableError as error:
                unable[name] = str(error)
                note(f"{name} is left out, for it cannot work with these rows: {error}")
                continue
            by_method[name].append(
                {
                    learner: _measure(
                        truth[test],
                        chances[learner],
                        rare,
                        [0.5] * len(rare)
                        if tuning is None or tuned is None
                        else _best_thresholds(truth[tuning.test], tuned[learner], rare),
                        precision,
                    )
                    for learner in CLASSIFIERS
                }
            )
    progress("minority gain", steps, steps)
    able = {name: per_fold for name, per_fold in by_method.items() if name not in unable}
    return _figures(able, unable)


def class_sizes(truth: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return how many rows each class has; how many units hold such rows, if there are units."""
    if groups is None:
        return np.bincount(truth)
    return np.bincount(np.unique(np.column_stack([truth, groups]), axis=0)[:, 0])


_Parts = tuple[np.ndarray, np.ndarray]


def _splits(
    truth: np.ndarray, groups: np.ndarray | None, folds: int, repeats: int, seed: int
) -> list[_Parts]:
    """Return the rows to train on and those to test on, fold by fold."""
    from sklearn.model_selection import RepeatedStratifiedKFold

    if groups is None:
        splits = RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats, random_state=seed)
        return list(splits.split(truth, truth))
    parts: list[_Parts] = []
    for repeat in range(repeats):
        parts += _splits_of_units(truth, groups, folds, (seed + repeat) % 2**32)
    if not all(_all_classes(truth, test) for _, test in parts):
        raise DataError(
            "a fold of whole units has no row of a class, since few units hold most of its rows; "
            "ask for fewer folds, or try another seed"
        )
    return parts


def _splits_of_units(
    truth: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> Iterator[_Parts]:
    from sklearn.model_selection import StratifiedGroupKFold

    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    yield from splits.split(truth, truth, groups)


def _all_classes(truth: np.ndarray, rows: np.ndarray) -> bool:
    return len(np.unique(truth[rows])) == int(truth.max()) + 1


@dataclass(frozen=True)
class _Measure:
    figures: dict[str, float]
    precision: np.ndarray
    f1: np.ndarray


_ByLearner = dict[str, _Measure]


@dataclass(frozen=True)
class _Split:
    """Real rows to train on and to test on, encoded as the learners read them.

    Parameters
    ----------
    rows, test : ndarray of int
        Positions in the table.
    truth : ndarray of int
        The classes of all rows of the table.
    features : Features
        Learnt from `rows`, so that methods differ only in what they add.
    train_as, test_as : mapping
        Form of the features -> the rows encoded in it.
    """

    rows: np.ndarray
    test: np.ndarray
    truth: np.ndarray
    features: Features
    train_as: Mapping[Any, Any]
    test_as: Mapping[Any, Any]

    @classmethod
    def of(
        cls, frame: pd.DataFrame, truth: np.ndarray, rows: np.ndarray, test: np.ndarray
    ) -> _Split:
        train, test_frame = frame.iloc[rows], frame.iloc[test]
        features = Features.learn(train)
        forms = {learner.features for learner in CLASSIFIERS.values()}
        return cls(
            rows,
            test,
            truth,
            features,
            {form: form(features, train) for form in forms},
            {form: form(features, test_frame) for form in forms},
        )

    def chances(self, method: Method, seed: int) -> dict[str, np.ndarray]:
        """Return class probabilities of the test rows, shape (rows, classes), by learner."""
        added = method(self.rows, seed)
        truth, train_as = self.truth[self.rows], self.train_as
        if added.features is not None and added.truth is not None and len(added.truth):
            truth = np.concatenate([truth, added.truth])
            train_as = {
                form: _stacked(real, form(self.features, added.features))
                for form, real in train_as.items()
            }
        return {
            name: fit_predict(
                learner.build(self.features, seed),
                train_as[learner.features],
                truth,
                self.test_as[learner.features],
                int(self.truth.max()) + 1,
                added.weights,
            )
            for name, learner in CLASSIFIERS.items()
        }


def _stacked(real: Any, added: Any) -> Any:
    from scipy.sparse import issparse, vstack

    return vstack([real, added], format="csr") if issparse(real) else np.vstack([real, added])


def _tuning(
    features: pd.DataFrame,
    truth: np.ndarray,
    rows: np.ndarray,
    seed: int,
    note: Note,
    groups: np.ndarray | None,
) -> _Split | None:
    """Split off a third of the training rows, on which thresholds are tuned."""
    parts = _thirds(truth[rows], None if groups is None else groups[rows], seed)
    if parts is None:
        counted = "rows" if groups is None else "units"
        note(
            f"a class has fewer than {TUNING_FOLDS} {counted} in a training fold; no threshold can "
            "be tuned there, and 0.5 is taken"
        )
        return None
    train_part, tuning_part = parts
    return _Split.of(features, truth, rows[train_part], rows[tuning_part])


def _thirds(truth: np.ndarray, groups: np.ndarray | None, seed: int) -> _Parts | None:
    """Return two thirds and one third of some rows, with every class in both; None if too few."""
    from sklearn.model_selection import StratifiedKFold

    if class_sizes(truth, groups).min() < TUNING_FOLDS:
        return None
    if groups is None:
        splits = StratifiedKFold(TUNING_FOLDS, shuffle=True, random_state=seed)
        train_part, tuning_part = next(splits.split(truth, truth))
        return train_part, tuning_part
    parts = _splits_of_units(truth, groups, TUNING_FOLDS, seed)
    return next((p for p in parts if all(_all_classes(truth, rows) for rows in p)), None)


def _best_thresholds(truth: np.ndarray, chances: np.ndarray, rare: list[int]) -> list[float]:
    return [Ranking.of(truth == k, chances[:, k]).best_threshold() for k in rare]


def _measure(
    truth: np.ndarray,
    chances: np.ndarray,
    rare: list[int],
    thresholds: list[float],
    precision: float,
) -> _Measure:
    """Measure each rare class against the rest, and return the means over them."""
    weights = np.ones((1, len(truth)))
    predicted = chances.argmax(axis=1)
    figures, precisions, f1s = [], [], []
    for k, threshold in zip(rare, thresholds, strict=True):
        positive, chance = truth == k, chances[:, k]
        ranking = Ranking.of(positive, chance)
        multiclass = chances.shape[1] > 2
        at_half, at_best = ranking.f1_at(np.array([0.5, threshold]))
        figures.append(
            {
                "pr_auc": metrics.average_precision(weights, positive, chance)[0],
                "roc_auc": metrics.roc_auc(weights, positive, chance)[0],
                "recall_at_precision": ranking.recall_at(precision),
                "f1": metrics.f1(weights, positive, predicted == k)[0] if multiclass else at_half,
                "f1_tuned": at_best,
                "brier": brier(positive, chance),
                "calibration_error": calibration_error(positive, chance),
            }
        )
        precisions.append(ranking.precision_at(RECALLS))
        f1s.append(ranking.f1_at(THRESHOLDS))
    means = {name: float(np.mean([one[name] for one in figures])) for name in figures[0]}
    return _Measure(means, np.mean(precisions, axis=0), np.mean(f1s, axis=0))


def _figures(by_method: Mapping[str, list[_ByLearner]], unable: dict[str, str]) -> Figures:
    def of(pick: Callable[[_Measure], Any]) -> dict[str, dict[str, list[Any]]]:
        return {
            learner: {
                name: [pick(fold[learner]) for fold in per_fold]
                for name, per_fold in by_method.items()
            }
            for learner in CLASSIFIERS
        }

    names = next(iter(next(iter(by_method.values()))[0].values())).figures
    return Figures(
        {name: of(lambda measure, name=name: measure.figures[name]) for name in names},  # type: ignore[misc]
        of(lambda measure: measure.precision),
        of(lambda measure: measure.f1),
        unable,
    )
