"""Attribute inference: whether synthetic rows reveal a secret of the people in the train table.

A model of people in general reveals as much about people outside the table. The excess on train
over the holdout is what was learnt about the people in it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.risk import (
    ERROR,
    MAX_ATTACKS,
    NEEDS_HOLDOUT,
    POINTS_AT_ONCE,
    attacked_columns,
    sides,
    wilson,
    within_memory,
)
from privsynth.evaluation.attacks.space import Points, Space
from privsynth.evaluation.bins import TopLevels, learn_levels
from privsynth.evaluation.frames import Note, Progress, silent, subsample
from privsynth.evaluation.learners import CLASSIFIERS, REGRESSORS, Features, Learner, predict
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["attribute_inference", "excess", "nearest_without", "right"]

MAX_SECRETS = 16
TOLERANCE = 0.05
MAX_LEARNT_CELLS = 100_000  # that a model attack learns from
MAX_CLASSES = 10
TREES = 20
LEAVES = 15
Array = npt.NDArray[Any]


def attribute_inference(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Guess one column of real rows from all other columns and the synthetic table.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        At most 2,000 rows of train and as many of the holdout are attacked, with at most 50,000
        synthetic rows.
    schema : Schema
        Every modelled column that is not constant is a secret in turn; of more than 16, the
        target and others at random. The attacker knows at most 60 columns.
    seed : int
        Determines the rows and columns drawn, and the models.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``attribute_inference_<column>``: the share of train rows whose secret is guessed, by the
        worse of two attacks; ``real`` is the share of holdout rows, `low` and `high` are the
        interval of the *excess*, train minus holdout (0.05 is 5 points). Then
        ``attribute_inference``, the column whose excess has the greatest lower bound. All
        intervals hold jointly at 95% (Bonferroni over columns and attacks). ``detail`` has both
        attacks' rates; ``baseline_rate``, that of always guessing the holdout's most frequent
        level or median; and ``population_rate``, that of a model that learns from one half of the
        holdout's rows, on the other half. The value is None without a holdout, without a second
        column, or if all columns are constant.

    Notes
    -----
    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs
    2023. The attacks take the secret of the nearest synthetic row, or learn it from the
    synthetic rows by gradient boosting, numbers of 10 values or fewer as classes. A guess is
    right if it is the same level, if both are missing, or if the numbers differ by at most 5% of
    the column's range. The range is that of the middle 98% of the attacked rows' numbers, so that
    no outlier makes guessing easy.
    """
    import pandas as pd

    name = "attribute_inference"
    if holdout is None:
        return (Score("attacks", name, None, better="lower", meaning=NEEDS_HOLDOUT),)
    columns = attacked_columns(schema, seed, name, note)
    members, others, rows = sides(train, holdout, synthetic, columns, MAX_ATTACKS, seed, name, note)
    labels = {column.name: "category" for column in columns if not column.kind.continuous}
    real = pd.concat([members, others], ignore_index=True).astype(labels)
    secrets = _secrets(columns, real, seed, note)
    if len(columns) < 2 or not secrets:
        needed = "a second column to guess from" if secrets else "a column that is not constant"
        return (Score("attacks", name, None, better="lower", meaning=f"needs {needed}"),)

    rows = within_memory(rows, seed, name, note)
    spaces = {column.name: Space.learn([members, others], [column]) for column in columns}
    points, candidates = (
        {key: space.place(frame) for key, space in spaces.items()} for frame in (real, rows)
    )
    closest = nearest_without(points, candidates, [column.name for column in secrets])
    model_rows = subsample(rows, max(MAX_LEARNT_CELLS // len(columns), 100), seed)
    half = len(others) // 2
    scores = []
    for step, column in enumerate(secrets):
        progress("attribute inference", step, len(secrets))
        secret = _Secret.of(column, real)
        guesses = {
            "nearest": secret.read(rows)[closest[column.name]],
            "model": secret.learn(model_rows, real, seed),
        }
        success = {method: secret.hits(real, guess) for method, guess in guesses.items()}
        population = secret.learn(others.iloc[:half], others.iloc[half:], seed)
        rates = {
            "baseline_rate": float(secret.hits(members, secret.usual(others)).mean()),
            "population_rate": float(secret.hits(others.iloc[half:], population).mean()),
        }
        scores.append(_score(column, success, rates, len(members), len(secrets)))
    progress("attribute inference", len(secrets), len(secrets))
    worst = max(scores, key=lambda score: score.low or 0.0)
    return (*scores, replace(worst, name=name, meaning=f"the worst column; {worst.meaning}"))


def nearest_without(
    points: Mapping[str, Points], others: Mapping[str, Points], secrets: Sequence[str]
) -> dict[str, npt.NDArray[np.intp]]:
    """Return the nearest of the others by all columns except the secret, for each secret.

    Parameters
    ----------
    points, others : mapping of str to ndarray of float32, shape (n, d) and (m, d)
        The points of the rows, by column.
    secrets : sequence of str
        The columns that are left out, one at a time.

    Returns
    -------
    dict of str to ndarray of int, shape (n,)

    Notes
    -----
    Squared distances add up over the columns, so the secret's is subtracted from the total.
    """
    from threadpoolctl import threadpool_limits

    queries = np.concatenate(list(points.values()), axis=1)
    candidates = np.concatenate(list(others.values()), axis=1)
    norms = (candidates**2).sum(axis=1)
    secret_norms = {name: (others[name] ** 2).sum(axis=1) for name in secrets}
    nearest_rows = {name: np.empty(len(queries), dtype=np.intp) for name in secrets}
    with threadpool_limits(1):
        for start in range(0, len(queries), POINTS_AT_ONCE):
            block = slice(start, start + POINTS_AT_ONCE)
            squares = norms - 2 * queries[block] @ candidates.T
            for name in secrets:
                secret_squares = secret_norms[name] - 2 * points[name][block] @ others[name].T
                nearest_rows[name][block] = (squares - secret_squares).argmin(axis=1)
    return nearest_rows


def right(guesses: Array, truth: Array, tolerance: float) -> npt.NDArray[np.bool_]:
    """Return which guesses are right: within the tolerance of the truth, or missing like it."""
    both_missing = np.isnan(guesses) & np.isnan(truth)
    same: npt.NDArray[np.bool_] = both_missing | (np.abs(guesses - truth) <= tolerance)
    return same


def excess(
    train: float, control: float, attacks: float, error: float = ERROR
) -> tuple[float, float, float]:
    """Return the difference of two rates, train minus control, with its interval.

    Parameters
    ----------
    train, control : float
        Successes on train and on the holdout.
    attacks : float
        Number of attacks on each.
    error : float
        Probability that the interval misses.

    Returns
    -------
    value, low, high : float

    Notes
    -----
    Combines Wilson's intervals of both rates: Newcombe, "Interval estimation for the difference
    between independent proportions", *Statistics in Medicine* 17, 1998, method 10.
    """
    rate, control_rate = train / attacks, control / attacks
    (at, reach), (control_at, control_reach) = (
        wilson(hits, attacks, error) for hits in (train, control)
    )
    value = rate - control_rate
    return (
        value,
        value - math.hypot(rate - (at - reach), control_at + control_reach - control_rate),
        value + math.hypot(at + reach - rate, control_rate - (control_at - control_reach)),
    )


@dataclass(frozen=True)
class _Secret:
    """The column that is guessed, as numbers.

    Parameters
    ----------
    name : str
    levels : TopLevels or None
        All levels in the attacked rows; None for numbers.
    tolerance : float
        How far off a right guess may be.
    discrete : bool
        Whether a model learns the values as classes: levels, and numbers with few values.
    """

    name: str
    levels: TopLevels | None
    tolerance: float
    discrete: bool

    @classmethod
    def of(cls, column: Column, real: pd.DataFrame) -> _Secret:
        if not column.kind.continuous:
            return cls(column.name, learn_levels(real[column.name], len(real)), 0.0, True)
        numbers = real[column.name].dropna().to_numpy()
        spread = float(np.ptp(np.quantile(numbers, [0.01, 0.99]))) if len(numbers) else 0.0
        spread = spread or (float(np.ptp(numbers)) if len(numbers) else 0.0)
        return cls(column.name, None, TOLERANCE * spread, len(np.unique(numbers)) <= MAX_CLASSES)

    def read(self, frame: pd.DataFrame) -> Array:
        """Return the column as numbers, or as codes of levels; missing cells as NaN."""
        column = frame[self.name]
        if self.levels is None:
            return column.to_numpy()
        return np.where(column.isna(), np.nan, self.levels.codes(column))

    def hits(self, frame: pd.DataFrame, guesses: Array) -> npt.NDArray[np.bool_]:
        """Return which guesses about the rows of a frame are right."""
        return right(guesses, self.read(frame), self.tolerance)

    def usual(self, frame: pd.DataFrame) -> Array:
        """Return the guess of an attacker who knows only the column's distribution."""
        values = self.read(frame)
        values = values[~np.isnan(values)]
        if not len(values):
            return np.array([np.nan])
        if not self.discrete:
            return np.array([np.median(values)])
        distinct, counts = np.unique(values, return_counts=True)
        return distinct[[counts.argmax()]]

    def learn(self, known: pd.DataFrame, targets: pd.DataFrame, seed: int) -> Array:
        """Return a small model's guesses about one frame, learnt from another.

        Of many levels, it learns the 10 most frequent.
        """
        truth = self.read(known)
        usable = ~np.isnan(truth)
        if self.discrete:
            distinct, counts = np.unique(truth[usable], return_counts=True)
            usable = np.isin(truth, distinct[np.argsort(-counts, kind="stable")[:MAX_CLASSES]])
        answers, codes = np.unique(truth[usable], return_inverse=True)
        if len(answers) < 2:
            return np.full(len(targets), answers[0] if len(answers) else np.nan)
        features, queries = known[usable].drop(columns=self.name), targets.drop(columns=self.name)
        if not self.discrete:
            return predict(_REGRESSOR, features, truth[usable], queries, 0, seed)
        chances = predict(_CLASSIFIER, features, codes, queries, len(answers), seed)
        guesses: Array = answers[chances.argmax(axis=1)]
        return guesses


def _small(learner: Learner) -> Learner:
    def build(features: Features, seed: int) -> Any:
        return learner.build(features, seed).set_params(max_iter=TREES, max_leaf_nodes=LEAVES)

    return replace(learner, build=build)


_CLASSIFIER = _small(CLASSIFIERS["hist_gradient_boosting"])
_REGRESSOR = _small(REGRESSORS["hist_gradient_boosting"])


def _secrets(
    columns: Sequence[Column], real: pd.DataFrame, seed: int, note: Note
) -> tuple[Column, ...]:
    """Choose the columns that are guessed: of those that vary, the target first."""
    varying = [c for c in columns if real[c.name].nunique(dropna=False) > 1]
    if len(varying) <= MAX_SECRETS:
        return tuple(varying)
    note(
        f"attribute_inference: {MAX_SECRETS} of {len(varying):,} columns were guessed, the target "
        f"and others at random (seed {seed})"
    )
    order = np.random.default_rng([seed, 0x1F]).permutation(len(varying))
    chosen = sorted(order, key=lambda i: varying[i].role is not Role.TARGET)[:MAX_SECRETS]
    return tuple(varying[i] for i in sorted(chosen))


def _score(
    column: Column,
    success: Mapping[str, npt.NDArray[np.bool_]],
    rates: Mapping[str, float],
    attacks: int,
    secrets: int,
) -> Score:
    """Score the worse attack; train rows are the first half of the targets, holdout the second."""
    hits = {
        method: (int(guessed[:attacks].sum()), int(guessed[attacks:].sum()))
        for method, guessed in success.items()
    }
    error = ERROR / (len(hits) * secrets)
    gains = {method: excess(*pair, attacks, error) for method, pair in hits.items()}
    worst = max(gains, key=lambda method: gains[method][1])
    gain, low, high = gains[worst]
    detail = {
        "excess": gain,
        **{f"{method}_train_rate": pair[0] / attacks for method, pair in hits.items()},
        **{f"{method}_control_rate": pair[1] / attacks for method, pair in hits.items()},
        **rates,
        "attacks": float(attacks),
        "rows": float(attacks),
    }
    value, real = (count / attacks for count in hits[worst])
    meaning = (
        f"share of train records whose {column.name!r} is guessed from the other columns by "
        f"{_METHODS[worst]}; real: of holdout records; the interval is that of the difference"
    )
    return Score(
        "attacks",
        f"attribute_inference_{column.name}",
        value,
        low,
        high,
        real,
        "lower",
        meaning,
        detail,
    )


_METHODS = {
    "nearest": "taking it from the nearest synthetic row",
    "model": "a model that learns from the synthetic rows",
}
