"""Utility: how well models trained on the synthetic table predict real rows (TSTR)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from privsynth.evaluation import metrics
from privsynth.evaluation.bins import TopLevels, learn_levels
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent, subsample
from privsynth.evaluation.learners import CLASSIFIERS, REGRESSORS, Learner, predict
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Kind, Levels, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["train_synthetic_test_real"]

MAX_ROWS = 50_000
MAX_CLASSES = 20
MIN_NAMED_ROWS = 10  # rows that a class must have before a report names it
RESAMPLES_AT_ONCE = 25  # bounds the memory


def train_synthetic_test_real(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Score models that are trained on the synthetic table and tested on the real holdout.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        Tables of one schema; at most 50,000 rows of each are used, drawn at random.
    schema : Schema
        Names the target and the kinds of the columns.
    seed : int
        Determines the rows drawn, the models and the bootstrap.
    progress, note : callable

    Returns
    -------
    tuple of Score
        For each of three models, beside the same model trained on the real table: ROC-AUC,
        PR-AUC and F1 of the rare class (macro averages, too, for more than two classes), or R2
        and MAE for a continuous target. Intervals are 95%, by bootstrap over the
        holdout's rows. Empty without a holdout or a target; `note` says so.

    Notes
    -----
    TSTR: Esteban, Hyland & Rätsch, *Real-valued (Medical) Time Series Generation with
    Recurrent Conditional GANs*, 2017. The rare class is the least frequent one in `train`.
    """
    columns = modelled(schema)
    obstacle = _obstacle(holdout, schema.target, columns)
    if holdout is None or schema.target is None or obstacle:
        note(f"no utility score: {obstacle}")
        return ()
    target = _as_predicted(schema.target, train)
    columns = tuple(target if column.name == target.name else column for column in columns)
    tables = {"train": train, "holdout": holdout, "synthetic": synthetic}
    frames = {
        table: canonical(subsample(frame, MAX_ROWS, seed, f"utility: {table}", note), columns)
        for table, frame in tables.items()
    }
    task = _task(frames["train"], target)
    if task.classes > MAX_CLASSES:
        note(
            f"utility: target {target.name!r} has over {MAX_CLASSES} classes; the rarest are pooled"
        )
    labelled = {table: task.split(frame) for table, frame in frames.items()}
    for table, (features, _) in labelled.items():
        if len(features) < len(frames[table]):
            dropped = len(frames[table]) - len(features)
            note(f"utility: {dropped:,} {table} rows without a known {target.name!r} are left out")

    test, truth = labelled["holdout"]
    draws = metrics.draws(len(truth), np.random.default_rng(seed))
    steps = len(task.learners)
    scores: list[Score] = []
    for step, (name, learner) in enumerate(task.learners.items()):
        progress("utility", step, steps)
        fit = partial(_predict, task, learner, test=test, seed=seed)
        predicted, baseline = fit(labelled["synthetic"]), fit(labelled["train"])
        obstacle = task.obstacle(labelled["synthetic"][1])
        scores += [
            _score(
                f"tstr_{key}_{name}", metric, learner, truth, predicted, baseline, draws, obstacle
            )
            for key, metric in task.metrics.items()
        ]
    progress("utility", steps, steps)
    return tuple(scores)


Compute = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Weights (resamples, rows), truth (rows,), prediction (rows, ...) -> figures (resamples,)."""


@dataclass(frozen=True)
class Metric:
    """A figure of predictions, its name in words, and which way is better."""

    compute: Compute
    words: str
    better: Literal["higher", "lower"] = "higher"


@dataclass(frozen=True)
class Task:
    """What is predicted, by which models, and how it is scored.

    Parameters
    ----------
    target : str
    levels : TopLevels or None
        The target's classes, most frequent in training first; None for a continuous target.
    learners : mapping of str to Learner
    metrics : mapping of str to Metric
    """

    target: str
    levels: TopLevels | None
    learners: Mapping[str, Learner]
    metrics: Mapping[str, Metric]

    @property
    def classes(self) -> int:
        """The number of classes that are predicted; 0 for a continuous target."""
        if self.levels is None:
            return 0
        return self.levels.top + (len(self.levels.names) > self.levels.top)

    def split(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
        """Split features from truth, without the rows whose truth is unknown."""
        column = frame[self.target]
        truth = column.to_numpy() if self.levels is None else self.levels.codes(column)
        known = ~np.isnan(truth) if self.levels is None else truth < self.classes
        return frame.loc[known].drop(columns=self.target), truth[known]

    def obstacle(self, truth: np.ndarray) -> str:
        """Return why a table with this truth cannot be learnt from; empty if it can."""
        if len(truth) < 2:
            return "fewer than two rows with the target"
        if self.classes and len(np.unique(truth)) < 2:
            return f"a single class of {self.target!r}"
        return ""


def _obstacle(holdout: object, target: Column | None, columns: tuple[Column, ...]) -> str:
    if target is None:
        return "it needs a target to predict"
    if target not in columns:
        return f"the target {target.name!r} is of kind {target.kind}, which is never modelled"
    if len(columns) < 2:
        return "it needs a modelled column besides the target"
    if holdout is None:
        return "it needs a holdout, real rows that were set aside before the fit"
    return ""


def _as_predicted(target: Column, train: pd.DataFrame) -> Column:
    """Return the target as classes if its numbers are listed or at most two."""
    listed = isinstance(target.domain, Levels) or train[target.name].nunique() <= 2
    return replace(target, kind=Kind.CATEGORICAL) if target.kind.continuous and listed else target


def _task(train: pd.DataFrame, target: Column) -> Task:
    if target.kind.continuous:
        return Task(target.name, None, REGRESSORS, _numeric_metrics(target))
    levels = learn_levels(train[target.name], MAX_CLASSES)
    counts = train[target.name].value_counts()
    return Task(target.name, levels, CLASSIFIERS, _class_metrics(levels, counts))


def _class_metrics(levels: TopLevels, counts: pd.Series[int]) -> dict[str, Metric]:
    """Return metrics of class probabilities, shape (rows, classes); truth holds class codes."""
    rare = max(0, levels.top - 1)
    named = levels.top and counts[levels.names[rare]] >= MIN_NAMED_ROWS
    rare_class = f"the rare class {levels.names[rare]!r}" if named else "the rare class"

    def roc_auc(weights: np.ndarray, truth: np.ndarray, chances: np.ndarray, k: int) -> np.ndarray:
        return metrics.roc_auc(weights, truth == k, chances[:, k])

    def f1(weights: np.ndarray, truth: np.ndarray, chances: np.ndarray, k: int) -> np.ndarray:
        return metrics.f1(weights, truth == k, chances.argmax(axis=1) == k)

    def average_precision(
        weights: np.ndarray, truth: np.ndarray, chances: np.ndarray
    ) -> np.ndarray:
        return metrics.average_precision(weights, truth == rare, chances[:, rare])

    def macro(metric: Callable[..., np.ndarray]) -> Compute:
        def mean(weights: np.ndarray, truth: np.ndarray, chances: np.ndarray) -> np.ndarray:
            present = np.unique(truth)
            figures: np.ndarray = np.mean(
                [metric(weights, truth, chances, k) for k in present], axis=0
            )
            return figures

        return mean

    precision = Metric(average_precision, f"PR-AUC (average precision) of {rare_class}")
    f1_rare = Metric(partial(f1, k=rare), f"F1 of {rare_class}, at the most probable class")
    if len(levels.names) <= 2:
        auc = Metric(partial(roc_auc, k=rare), f"ROC-AUC of {rare_class}")
        return {"roc_auc": auc, "pr_auc": precision, "f1_rare": f1_rare}
    return {
        "roc_auc": Metric(macro(roc_auc), "ROC-AUC, mean over the classes, one against the rest"),
        "pr_auc": precision,
        "f1_rare": f1_rare,
        "f1_macro": Metric(macro(f1), "F1, mean over the classes"),
    }


def _numeric_metrics(target: Column) -> dict[str, Metric]:
    unit = "seconds" if target.kind is Kind.DATETIME else f"the unit of {target.name!r}"
    return {
        "r2": Metric(metrics.r2, f"share of the variance of {target.name!r} explained"),
        "mae": Metric(metrics.mae, f"mean absolute error in {unit}", "lower"),
    }


def _predict(
    task: Task,
    learner: Learner,
    labelled: tuple[pd.DataFrame, np.ndarray],
    *,
    test: pd.DataFrame,
    seed: int,
) -> np.ndarray | None:
    features, truth = labelled
    if task.obstacle(truth) or not len(test):
        return None
    return predict(learner, features, truth, test, task.classes, seed)


def _score(
    name: str,
    metric: Metric,
    learner: Learner,
    truth: np.ndarray,
    predicted: np.ndarray | None,
    real: np.ndarray | None,
    draws: np.ndarray,
    obstacle: str,
) -> Score:
    def figure(prediction: np.ndarray | None) -> float | None:
        if prediction is None:
            return None
        value = float(metric.compute(np.ones((1, len(truth))), truth, prediction)[0])
        return value if np.isfinite(value) else None

    value = figure(predicted)
    if predicted is None or value is None:
        reason = f"the synthetic table has {obstacle}" if obstacle else _HOLDOUT_LACKS
        return Score("utility", name, None, real=figure(real), better=metric.better, meaning=reason)
    replicates = [
        metric.compute(draws[start : start + RESAMPLES_AT_ONCE], truth, predicted)
        for start in range(0, len(draws), RESAMPLES_AT_ONCE)
    ]
    low, high = metrics.interval(np.concatenate(replicates))
    words = f"{metric.words}: {learner.words} trained on the synthetic rows and tested on "
    words += f"{len(truth):,} holdout rows; real: trained on train"
    return Score("utility", name, value, low, high, figure(real), metric.better, words)


_HOLDOUT_LACKS = "the holdout lacks rows, or a class, that this figure needs"
