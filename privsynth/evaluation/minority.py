"""Minority gain: whether augmenting the rare class helps models that are tested on real rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from privsynth.errors import DataError, PrivsynthError, UsageError, did_you_mean
from privsynth.evaluation.baselines import OVER_SAMPLERS, OverSampler
from privsynth.evaluation.bins import TopLevels, learn_levels
from privsynth.evaluation.folds import (
    RECALLS,
    THRESHOLDS,
    Added,
    Figures,
    Method,
    UnableError,
    class_sizes,
    cross_validate,
)
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.learners import CLASSIFIERS
from privsynth.evaluation.metrics import corrected_interval
from privsynth.evaluation.score import Evaluation, Score
from privsynth.schema import Column, Kind, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Resample", "conclusion", "minority_gain"]

Resample = Callable[..., tuple["pd.DataFrame", "pd.Series[Any]"]]
"""Features, target, seed -> the same with synthetic rows appended to the unchanged real ones.

Where rows belong to units, the unit of each row is passed on as the keyword `groups`.
"""

NOTHING = "nothing"
WEIGHTS = "class weights"
MOVING = "threshold moving"
RANDOM = "random over-sampling"
MAX_CLASSES = 20
FEW_POSITIVES = 20  # rows or units; with fewer, only large differences can be seen

METRICS: Mapping[str, tuple[str, Literal["higher", "lower"]]] = {
    "pr_auc": ("PR-AUC (average precision)", "higher"),
    "roc_auc": ("ROC-AUC", "higher"),
    "recall_at_precision": ("highest recall at the precision wanted", "higher"),
    "f1": ("F1 at the threshold 0.5", "higher"),
    "f1_tuned": ("F1 at the threshold that was tuned inside the training fold", "higher"),
    "brier": ("Brier score", "lower"),
    "calibration_error": ("expected calibration error", "lower"),
}


def minority_gain(
    frame: pd.DataFrame,
    schema: Schema,
    resamplers: Mapping[str, Resample],
    *,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    precision: float = 0.5,
    sampling_strategy: str | float | Mapping[Any, int] = "auto",
    progress: Progress | None = None,
    groups: np.ndarray | None = None,
    unit: str | None = None,
) -> Evaluation:
    """Judge augmentations by repeated cross-validation on real test rows.

    Parameters
    ----------
    frame : pandas.DataFrame
        Real rows, with the columns of `schema`. Rows whose target is missing are left out.
    schema : Schema
        Names the target, whose values are taken as classes, and the columns that are modelled.
    resamplers : mapping of str to callable
        The methods to judge. Each receives the rows of a training fold: the modelled columns as
        they are in `frame`, the target, and a seed. One that raises a `PrivsynthError` is left
        out, and the notes say so. It replaces a baseline of the same name.
    folds, repeats : int
        The splits are exactly ``RepeatedStratifiedKFold(n_splits=folds, n_repeats=repeats,
        random_state=seed)`` of scikit-learn over the rows in their order. There are fewer folds
        if a class has fewer rows.
    seed : int
        0 or more, below 2**32. The models and methods of fold `i`, from 0, get ``seed + i``.
    precision : float
        The precision at which recall is read, above 0 and at most 1.
    sampling_strategy : str, float or mapping
        imbalanced-learn's setting for the over-sampling baselines; by default they balance.
    progress : callable, optional
        Called with a phase, the steps done and the steps in all.
    groups : ndarray of int, shape (rows,), optional
        The unit, such as a person, of each row, from `privsynth.coding.unit_codes`. No unit is
        then on both sides of a fold, and each resampler receives the units of its rows as the
        keyword `groups`.
    unit : str, optional
        The column that names the units. It is no feature.

    Returns
    -------
    Evaluation
        Family ``"minority gain"``. The headline is ``gain_pr_auc_METHOD``: PR-AUC less that of
        the same models without augmentation, mean over folds and models, with the verdict in
        words. `about` holds the figure of every fold under ``folds`` (metric, model, method),
        all differences under ``verdicts`` (metric, method, what it is compared with, model or
        ``"mean"``; above 0 is better for every metric) and the curves under ``curves``.

    Raises
    ------
    UsageError
        An option, a method's name, or what a resampler returns cannot be used.
    DataError
        The frame has too few or too many classes, or one with a single row. All rows belong to one
        unit; there are fewer units than folds, or fewer of a class; or a fold of whole units would
        have no row of a class.

    Notes
    -----
    With `groups` the splits of repeat `j`, from 0, are ``StratifiedGroupKFold(folds, shuffle=True,
    random_state=seed + j)`` over the rows in their order, and the third that sets the threshold
    is the first test part with every class of ``StratifiedGroupKFold(3, shuffle=True,
    random_state=seed + i)``. There are never fewer folds than asked for.

    The rare class is positive. With three or more classes, each class below the majority is
    positive in turn, and figures are means over them; F1 is then read at the most probable class.

    The encoding of features is learnt from the real rows of the training fold. The threshold is
    tuned on a third of the training fold, the first test part of ``StratifiedKFold(3,
    shuffle=True, random_state=seed + i)``, with a model that saw neither that third nor rows
    made from it.

    Intervals are those of `privsynth.evaluation.metrics.corrected_interval`.
    """
    _check_options(resamplers, folds, repeats, seed, precision)
    notes: dict[str, None] = {}  # an ordered set

    def note(sentence: str) -> None:
        notes.setdefault(sentence)

    task = _task(frame, schema, note, groups, unit)
    if task.groups is None:
        folds = _feasible_folds(folds, task, note)
    else:
        _check_units(task, task.groups, folds, note)
    figures = _with_moved_threshold(
        cross_validate(
            task.features,
            task.truth,
            task.rare,
            _methods(task, resamplers, sampling_strategy, note),
            folds=folds,
            repeats=repeats,
            seed=seed,
            precision=precision,
            progress=progress or silent,
            note=note,
            groups=task.groups,
        )
    )
    methods = list(figures.figures["pr_auc"][next(iter(CLASSIFIERS))])
    judged = [name for name in resamplers if name in methods]
    gains = _gains(figures, methods, folds)
    if task.sizes.min() < FEW_POSITIVES:
        note(_few_positives(task, folds, gains["pr_auc"], judged or [WEIGHTS]))
    about = {
        "rows": {"real": len(task.truth)},
        "columns": [column.name for column in task.columns],
        "target": task.target.name,
        "positives": task.positives,
        "classes": task.counts.tolist(),
        "seed": seed,
        "splits": {"folds": folds, "repeats": repeats, "seed": seed, **task.about_units},
        "precision": precision,
        "sampling_strategy": str(sampling_strategy),
        "methods": judged,
        "baselines": [name for name in methods if name not in judged],
        "not_judged": figures.unable,
        "versions": {
            name: version(name) for name in ("privsynth", "scikit-learn", "imbalanced-learn")
        },
        "folds": figures.figures,
        "verdicts": gains,
        "curves": _curves(figures, folds),
    }
    return Evaluation(tuple(_scores(figures, gains, methods, judged, folds)), about, tuple(notes))


def conclusion(evaluation: Evaluation, method: str) -> str:
    """Return one line that says whether a method helped, as `minority_gain` measured it.

    Raises
    ------
    UsageError
        The evaluation has no such method.
    """
    not_judged = evaluation.about.get("not_judged", {})
    if method in not_judged:
        return f"{method}: not judged: {not_judged[method]}"
    gains = evaluation.about.get("verdicts", {}).get("pr_auc", {})
    if method not in gains:
        raise UsageError(f"no method {method!r} was judged{did_you_mean(method, gains)}")
    parts = [f"{_in_words(gain['mean'])} over {other}" for other, gain in gains[method].items()]
    return f"{method}: {'; '.join(parts)} (PR-AUC, mean over {len(CLASSIFIERS)} models)"


@dataclass(frozen=True)
class _Task:
    """The real rows, and the target that is predicted.

    Parameters
    ----------
    raw, labels : pandas.DataFrame, pandas.Series
        Features and target as the caller passed them, and as a resampler receives them.
    features : pandas.DataFrame
        The features as a canonical frame.
    truth : ndarray of int64
        The class of each row: 0 is the most frequent one.
    levels : TopLevels
        The classes, most frequent first.
    groups : ndarray of int64, optional
        The unit of each row.
    unit : str, optional
        The column that names the units.
    """

    raw: pd.DataFrame
    labels: pd.Series[Any]
    features: pd.DataFrame
    truth: np.ndarray
    levels: TopLevels
    columns: tuple[Column, ...]
    target: Column
    groups: np.ndarray | None = None
    unit: str | None = None

    @property
    def counts(self) -> np.ndarray:
        """Rows of each class, most frequent first."""
        return np.bincount(self.truth)

    @property
    def rare(self) -> list[int]:
        """The classes below the majority; all but the first if all are equal."""
        below = np.flatnonzero(self.counts < self.counts[0])
        return below.tolist() or list(range(1, len(self.counts)))

    @property
    def positives(self) -> int:
        """Rows of the rarest class."""
        return int(self.counts.min())

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each class, or the units that hold them."""
        return class_sizes(self.truth, self.groups)

    @property
    def about_units(self) -> dict[str, Any]:
        """How many units there are, and what names them; nothing where rows are units."""
        if self.groups is None:
            return {}
        return {"units": len(np.unique(self.groups)), "unit": self.unit or "groups"}

    def codes(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes of raw labels; a code above the last class if unknown."""
        import pandas as pd

        column = pd.DataFrame({self.target.name: labels})
        return self.levels.codes(canonical(column, [self.target])[self.target.name])


def _check_options(
    names: Mapping[str, object], folds: int, repeats: int, seed: int, precision: float
) -> None:
    if folds < 2 or repeats < 1:
        raise UsageError("folds or repeats are too few; give 2 folds or more and 1 repeat or more")
    if not 0 <= seed < 2**32:
        raise UsageError(f"the seed is {seed}; expected 0 or more, and less than 2**32")
    if not 0 < precision <= 1:
        raise UsageError(f"the precision is {precision}; expected above 0 and at most 1")
    slugs = [_slug(name) for name in (NOTHING, WEIGHTS, MOVING, RANDOM, *names)]
    for name in names:
        if not _slug(name).strip("_") or slugs.count(_slug(name)) > 1:
            raise UsageError(
                f"method {name!r} is named like a baseline or another method; give it a name "
                "of its own in letters and digits"
            )


def _task(
    frame: pd.DataFrame,
    schema: Schema,
    note: Note,
    groups: np.ndarray | None,
    unit: str | None,
) -> _Task:
    if schema.target is None:
        raise UsageError("the schema has no target; name the column that holds the classes")
    target = schema.target
    if target.kind is not Kind.BOOLEAN:
        target = replace(target, kind=Kind.CATEGORICAL)  # whole numbers may stand for classes
    columns = tuple(column for column in modelled(schema) if column.name not in (target.name, unit))
    if not columns:
        raise DataError("the schema has no modelled column besides the target; expected one")
    for column in (*columns, target):
        if column.name not in frame.columns:
            raise DataError(
                f"the table has no column {column.name!r}{did_you_mean(column.name, frame.columns)}"
            )
    labels = canonical(frame, [target])[target.name]
    known = labels.notna().to_numpy()
    if not known.all():
        note(f"{(~known).sum():,} rows without a known {target.name!r} are left out")
    frame, labels = frame[known].reset_index(drop=True), labels[known]
    groups = None if groups is None else groups[known]
    levels = learn_levels(labels)
    if not 2 <= len(levels.names) <= MAX_CLASSES:
        raise DataError(
            f"the target {target.name!r} has {len(levels.names):,} distinct values; expected "
            f"2 to {MAX_CLASSES} classes"
        )
    raw = frame[[column.name for column in columns]]
    features = canonical(raw, columns)
    truth = levels.codes(labels)
    return _Task(raw, frame[target.name], features, truth, levels, columns, target, groups, unit)


def _feasible_folds(folds: int, task: _Task, note: Note) -> int:
    """Return the number of folds: as requested, but at most the rows of the smallest class."""
    if task.positives < 2:
        raise DataError(
            f"a class of {task.target.name!r} has 1 row; cross-validation needs 2 of each class, "
            "so leave that row out or merge its class with another"
        )
    if task.positives < folds:
        note(f"a class has {task.positives} rows: {task.positives} folds instead of {folds}")
    return min(folds, task.positives)


def _check_units(task: _Task, groups: np.ndarray, folds: int, note: Note) -> None:
    """Refuse units that cannot be split into folds, and say how they are split."""
    _, rows = np.unique(groups, return_counts=True)
    place = "groups" if task.unit is None else f"column {task.unit!r}"
    if len(rows) < 2:
        raise DataError(
            f"{place}: all rows belong to one unit, which no fold can hold out; name the column "
            "that tells whose row it is"
        )
    if len(rows) < folds:
        raise DataError(
            f"{place}: {len(rows)} units, too few for {folds} folds; ask for fewer folds"
        )
    fewest = int(task.sizes.min())
    if fewest < folds:
        raise DataError(
            f"{place}: {fewest} units have rows of a class of {task.target.name!r}, too few for "
            f"{folds} folds; ask for fewer folds, or merge that class with another"
        )
    note(f"{place}: {len(rows):,} units, none of which is on both sides of a fold")
    if len(rows) == len(task.truth):
        note(f"{place}: no unit has a second row, so units are rows")
    if rows.max() * folds > len(task.truth):
        note(
            f"{place}: one unit has more rows than one fold in {folds} should hold, so folds "
            "differ in size and what is measured hangs on that unit"
        )


def _methods(
    task: _Task, resamplers: Mapping[str, Resample], strategy: Any, note: Note
) -> dict[str, Method]:
    """Return the baselines, then the methods to be judged."""
    if isinstance(strategy, Mapping):
        classes = task.codes(np.array(list(strategy), dtype=object)).tolist()
        if any(code >= len(task.counts) for code in classes):
            raise UsageError(
                "sampling_strategy names a class that no row has; name those that rows have"
            )
        strategy = dict(zip(classes, strategy.values(), strict=True))
    levels = any(not column.kind.continuous for column in task.columns)
    methods: dict[str, Method] = {NOTHING: _nothing, WEIGHTS: partial(_class_weights, task)}
    for name, over_sample in OVER_SAMPLERS.items():
        if name in resamplers:
            note(f"{name} is what was given to be judged; there is no baseline of that name")
        elif name != ("smote" if levels else "smotenc"):
            methods[name] = partial(_baseline, task, over_sample, strategy, note)
    for name, resample in resamplers.items():
        methods[name] = partial(_resampled, task, name, resample)
    return methods


def _nothing(*_: object) -> Added:
    return Added()


def _class_weights(task: _Task, rows: np.ndarray, _: int) -> Added:
    from sklearn.utils.class_weight import compute_sample_weight

    return Added(weights=compute_sample_weight("balanced", task.truth[rows]))


def _baseline(
    task: _Task, over_sample: OverSampler, strategy: Any, note: Note, rows: np.ndarray, seed: int
) -> Added:
    features, truth = task.features.iloc[rows], task.truth[rows]
    try:
        return Added(*over_sample(features, truth, strategy, seed, note))
    except DataError as error:
        raise UnableError(str(error)) from error


def _resampled(task: _Task, name: str, resample: Resample, rows: np.ndarray, seed: int) -> Added:
    features = task.raw.iloc[rows].reset_index(drop=True)
    labels = task.labels.iloc[rows].reset_index(drop=True)
    units = {} if task.groups is None else {"groups": task.groups[rows]}
    try:
        augmented, classes = resample(features.copy(), labels.copy(), seed, **units)
    except PrivsynthError as error:
        raise UnableError(str(error)) from error
    n_real, truth = len(rows), task.codes(np.asarray(classes, dtype=object))
    if not (
        list(augmented.columns) == list(features.columns)
        and len(augmented) == len(truth)
        and np.array_equal(truth[:n_real], task.truth[rows])
        and _same(canonical(augmented.iloc[:n_real], task.columns), task.features.iloc[rows])
    ):
        raise UsageError(
            f"method {name!r} did not keep the rows that it was given; it must return them "
            "first, unchanged and in their order, and then the synthetic rows"
        )
    if (truth >= len(task.counts)).any():
        raise UsageError(f"method {name!r} returned rows of a class that it was not given")
    return Added(canonical(augmented.iloc[n_real:], task.columns), truth[n_real:])


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    def plain(frame: pd.DataFrame) -> pd.DataFrame:
        labels = frame.select_dtypes("category").columns
        return frame.reset_index(drop=True).astype(dict.fromkeys(labels, object))

    return plain(one).equals(plain(other))


def _with_moved_threshold(figures: Figures) -> Figures:
    """Add threshold moving: the figures of no augmentation, with F1 at the tuned threshold."""
    moved = {}
    for metric, by_learner in figures.figures.items():
        source = figures.figures["f1_tuned" if metric == "f1" else metric]
        moved[metric] = {
            learner: {NOTHING: by[NOTHING], MOVING: source[learner][NOTHING], **by}
            for learner, by in by_learner.items()
        }
    return replace(figures, figures=moved)


_Gain = dict[str, Any]
_Gains = dict[str, dict[str, dict[str, dict[str, _Gain]]]]


def _gains(figures: Figures, methods: Sequence[str], folds: int) -> _Gains:
    """Compare each method with no augmentation and with random over-sampling, fold by fold."""
    others = [name for name in (NOTHING, RANDOM) if name in methods]
    return {
        metric: {
            method: {
                other: _gain(figures.of(metric, method) - figures.of(metric, other), better, folds)
                for other in others
                if other != method
            }
            for method in methods
            if method != NOTHING
        }
        for metric, (_, better) in METRICS.items()
    }


def _gain(differences: np.ndarray, better: str, folds: int) -> dict[str, _Gain]:
    """Judge differences, shape (folds, learners), for each learner and for their mean."""
    upward = differences if better == "higher" else -differences
    columns = np.column_stack([upward, upward.mean(axis=1)])
    low, high = corrected_interval(columns, folds)
    return {
        name: {
            "gain": float(columns[:, place].mean()),
            "low": float(low[place]),
            "high": float(high[place]),
            "verdict": _verdict(low[place], high[place]),
        }
        for place, name in enumerate((*CLASSIFIERS, "mean"))
    }


def _verdict(low: float, high: float) -> str:
    return "gain" if low > 0 else "loss" if high < 0 else "no gain shown"


def _in_words(gain: _Gain) -> str:
    return (
        f"{gain['verdict']}, {gain['gain']:+.3f} "
        f"(95% interval {gain['low']:+.3f} to {gain['high']:+.3f})"
    )


def _detectable(gain: _Gain) -> float:
    """Return the smallest gain that an interval of this width could have shown."""
    return float(gain["high"] - gain["low"]) / 2


def _few_positives(task: _Task, folds: int, gains: Mapping[str, Any], judged: Sequence[str]) -> str:
    detectable = [f"{_detectable(gains[name][NOTHING]['mean']):.3f} with {name}" for name in judged]
    size = int(task.sizes.min())
    low, high = size // folds, -(-size // folds)
    each = f"{low}" if low == high else f"{low} or {high}"
    rows, beside = ("rows", f", {each} in a test fold") if task.groups is None else ("units", "")
    return (
        f"only {size} {rows} of the rarest class{beside}: what is measured here "
        f"hangs on those few {rows} and says little about others. 'No gain shown' does not mean "
        "that there is none: in these folds a mean difference in PR-AUC could be shown only from "
        f"{', '.join(detectable)}. 'Gain' and 'loss' say no more than the intervals, which are "
        f"themselves rough with so few {rows}"
    )


def _curves(figures: Figures, folds: int) -> dict[str, Any]:
    def band(curves: list[np.ndarray]) -> dict[str, list[float]]:
        stacked = np.array(curves)
        low, high = corrected_interval(stacked, folds)
        lines = {"mean": stacked.mean(axis=0), "low": low, "high": high}
        return {name: np.round(line.clip(0, 1), 6).tolist() for name, line in lines.items()}

    return {
        "recall": RECALLS.round(6).tolist(),
        "threshold": THRESHOLDS.round(6).tolist(),
        "models": {
            learner: {
                method: {"precision": band(curves), "f1": band(figures.f1[learner][method])}
                for method, curves in by_method.items()
            }
            for learner, by_method in figures.precision.items()
        },
    }


def _scores(
    figures: Figures, gains: _Gains, methods: Sequence[str], judged: Sequence[str], folds: int
) -> Iterator[Score]:
    """Yield the headlines first, then what they rest on."""
    models = f"mean over {len(CLASSIFIERS)} models"
    ranking = [name for name in methods if name != MOVING]
    for method in [*judged, *(name for name in ranking if name not in (*judged, NOTHING))]:
        yield _gain_score(gains, method, NOTHING, "mean", f"gain_pr_auc_{_slug(method)}", models)
    for method in judged:
        if RANDOM in methods:
            name = f"gain_pr_auc_over_random_{_slug(method)}"
            yield _gain_score(gains, method, RANDOM, "mean", name, models)
    for method in judged:
        for key, learner in CLASSIFIERS.items():
            name = f"gain_pr_auc_{key}_{_slug(method)}"
            yield _gain_score(gains, method, NOTHING, key, name, learner.words)
    for place, (key, learner) in enumerate(CLASSIFIERS.items()):
        for method in ranking:
            name = f"pr_auc_{key}_{_slug(method)}"
            yield _figure_score(figures, "pr_auc", method, name, learner.words, [place], folds)
    for metric in [name for name in METRICS if name != "pr_auc"]:
        for method in judged:
            places = list(range(len(CLASSIFIERS)))
            name = f"{metric}_{_slug(method)}"
            yield _figure_score(figures, metric, method, name, models, places, folds)


def _gain_score(gains: _Gains, method: str, other: str, key: str, name: str, models: str) -> Score:
    by_model = gains["pr_auc"][method][other]
    gain = by_model[key]
    words = (
        f"{gain['verdict']}: PR-AUC with {method} less PR-AUC with {other}, {models}, in the same "
        f"folds; less than {_detectable(gain):.3f} could not have been shown"
    )
    detail = {model: by_model[model]["gain"] for model in CLASSIFIERS} if key == "mean" else {}
    low, high = gain["low"], gain["high"]
    return Score("minority gain", name, gain["gain"], low, high, meaning=words, detail=detail)


def _figure_score(
    figures: Figures,
    metric: str,
    method: str,
    name: str,
    models: str,
    places: Sequence[int],
    folds: int,
) -> Score:
    by_fold = figures.of(metric, method)[:, places]
    low, high = corrected_interval(by_fold.mean(axis=1), folds)
    words, better = METRICS[metric]
    means = dict(zip(CLASSIFIERS, by_fold.mean(axis=0).tolist(), strict=False))
    return Score(
        "minority gain",
        name,
        float(by_fold.mean()),
        float(low.clip(0, 1)),
        float(high.clip(0, 1)),
        None if method == NOTHING else float(figures.of(metric, NOTHING)[:, places].mean()),
        better,
        f"{words} on real test rows, {models} with {method}; real: with nothing",
        means if len(places) > 1 else {},
    )


def _slug(name: str) -> str:
    return re.sub(r"\W+", "_", name.lower())
