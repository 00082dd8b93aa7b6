"""Attribute inference: whether synthetic rows tell a secret of those who were in the train table.

What a model of people in general tells, it tells about people outside the table, too. The excess
on train over the holdout is what was learnt about these people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.risk import (
    ATTACKS,
    ERROR,
    NEEDS_HOLDOUT,
    POINTS_AT_ONCE,
    attacked,
    fitting,
    sides,
    wilson,
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

SECRETS = 16
TOLERANCE = 0.05
LEARNT = 100_000  # most cells that a model attack learns from
CLASSES = 10
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
    """Guess one column of real rows from all the others and the synthetic table.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        At most 2,000 rows of train and as many of the holdout are attacked, with at most 50,000
        synthetic rows.
    schema : Schema
        Every modelled column that is not constant is a secret in turn; of more than 16, the
        target and others at random. Of more than 60, as many are known to the attacker.
    seed : int
        Governs the rows and columns drawn, and the models.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``attribute_inference_<column>``: the share of train rows whose secret is guessed, by the
        worse of two attacks; ``real`` is the share of holdout rows, `low` and `high` are the
        interval of the *excess*, train minus holdout (0.05 is 5 points). Then
        ``attribute_inference``, the column whose excess has the greatest lower bound. All
        intervals hold together at 95% (Bonferroni over columns and attacks). ``detail`` has both
        attacks' rates; ``baseline_rate``, what always guessing the holdout's most frequent level
        or median achieves; and ``population_rate``, what a model that learns from one half of the
        holdout's rows achieves on the other. The value is None without a holdout, without a
        second column, or where all are constant.

    Notes
    -----
    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs
    2023. The attacks take the secret of the nearest synthetic row, or learn it from the
    synthetic rows by gradient boosting, numbers of 10 values or fewer as classes. A guess is
    right where it is the same level, both are missing, or the numbers are within 5% of the
    column's range apart: the range of the 98% of the attacked rows' numbers in the middle, so
    that no outlier makes guessing easy.
    """
    import pandas as pd

    name = "attribute_inference"
    if holdout is None:
        return (Score("attacks", name, None, better="lower", meaning=NEEDS_HOLDOUT),)
    columns = attacked(schema, seed, name, note)
    members, others, rows = sides(train, holdout, synthetic, columns, ATTACKS, seed, name, note)
    labels = {column.name: "category" for column in columns if not column.kind.continuous}
    real = pd.concat([members, others], ignore_index=True).astype(labels)
    secrets = _secrets(columns, real, seed, note)
    if len(columns) < 2 or not secrets:
        needed = "a second column to guess from" if secrets else "a column that is not constant"
        return (Score("attacks", name, None, better="lower", meaning=f"needs {needed}"),)

    rows = fitting(rows, seed, name, note)
    spaces = {column.name: Space.learn([members, others], [column]) for column in columns}
    points, candidates = (
        {key: space.place(frame) for key, space in spaces.items()} for frame in (real, rows)
    )
    closest = nearest_without(points, candidates, [column.name for column in secrets])
    learnt = subsample(rows, max(LEARNT // len(columns), 100), seed)
    half = len(others) // 2
    scores = []
    for step, column in enumerate(secrets):
        progress("attribute inference", step, len(secrets))
        secret = _Secret.of(column, real)
        guesses = {
            "nearest": secret.read(rows)[closest[column.name]],
            "model": secret.learn(learnt, real, seed),
        }
        success = {method: secret.met(real, guess) for method, guess in guesses.items()}
        population = secret.learn(others.iloc[:half], others.iloc[half:], seed)
        rates = {
            "baseline_rate": float(secret.met(members, secret.usual(others)).mean()),
            "population_rate": float(secret.met(others.iloc[half:], population).mean()),
        }
        scores.append(_score(column, success, rates, len(members), len(secrets)))
    progress("attribute inference", len(secrets), len(secrets))
    worst = max(scores, key=lambda score: score.low or 0.0)
    return (*scores, replace(worst, name=name, meaning=f"the worst column; {worst.meaning}"))


def nearest_without(
    points: Mapping[str, Points], others: Mapping[str, Points], secrets: Sequence[str]
) -> dict[str, npt.NDArray[np.intp]]:
    """Return the nearest of the others by all columns but one, for each secret.

    Parameters
    ----------
    points, others : mapping of str to ndarray of float32, shape (n, d) and (m, d)
        Where the rows lie, by column.
    secrets : sequence of str
        The columns that are left out, one at a time.

    Returns
    -------
    dict of str to ndarray of int, shape (n,)

    Notes
    -----
    Squared distances add up over the columns, so the secret's own is taken off those of all.
    """
    from threadpoolctl import threadpool_limits

    whole = np.concatenate(list(points.values()), axis=1)
    candidates = np.concatenate(list(others.values()), axis=1)
    norms = (candidates**2).sum(axis=1)
    own_norms = {name: (others[name] ** 2).sum(axis=1) for name in secrets}
    nearest_rows = {name: np.empty(len(whole), dtype=np.intp) for name in secrets}
    with threadpool_limits(1):
        for start in range(0, len(whole), POINTS_AT_ONCE):
            block = slice(start, start + POINTS_AT_ONCE)
            squares = norms - 2 * whole[block] @ candidates.T
            for name in secrets:
                own = own_norms[name] - 2 * points[name][block] @ others[name].T
                nearest_rows[name][block] = (squares - own).argmin(axis=1)
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
        How many attacks there were on each.
    error : float
        How often the interval may miss.

    Returns
    -------
    value, low, high : float

    Notes
    -----
    Wilson's intervals of both rates joined: Newcombe, "Interval estimation for the difference
    between independent proportions", *Statistics in Medicine* 17, 1998, method 10.
    """
    one, two = train / attacks, control / attacks
    (at, wide), (other, other_wide) = (wilson(hits, attacks, error) for hits in (train, control))
    value = one - two
    return (
        value,
        value - math.hypot(one - (at - wide), other + other_wide - two),
        value + math.hypot(at + wide - one, two - (other - other_wide)),
    )


@dataclass(frozen=True)
class _Secret:
    """The column that is guessed, as numbers.

    Parameters
    ----------
    name : str
    levels : TopLevels or None
        All levels among the attacked rows; None for numbers.
    tolerance : float
        How far off a right guess may be.
    discrete : bool
        Whether a model learns its values as classes: levels, and numbers of which there are few.
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
        return cls(column.name, None, TOLERANCE * spread, len(np.unique(numbers)) <= CLASSES)

    def read(self, frame: pd.DataFrame) -> Array:
        """Return the column as numbers, or as codes of levels; missing cells as NaN."""
        column = frame[self.name]
        if self.levels is None:
            return column.to_numpy()
        return np.where(column.isna(), np.nan, self.levels.codes(column))

    def met(self, frame: pd.DataFrame, guesses: Array) -> npt.NDArray[np.bool_]:
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
        """Return the guesses of a small model that learns from one frame about another.

        Of many levels it learns the 10 most frequent.
        """
        truth = self.read(known)
        use = ~np.isnan(truth)
        if self.discrete:
            distinct, counts = np.unique(truth[use], return_counts=True)
            use = np.isin(truth, distinct[np.argsort(-counts, kind="stable")[:CLASSES]])
        answers, codes = np.unique(truth[use], return_inverse=True)
        if len(answers) < 2:
            return np.full(len(targets), answers[0] if len(answers) else np.nan)
        features, unknown = known[use].drop(columns=self.name), targets.drop(columns=self.name)
        if not self.discrete:
            return predict(_REGRESSOR, features, truth[use], unknown, 0, seed)
        chances = predict(_CLASSIFIER, features, codes, unknown, len(answers), seed)
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
    """Choose the columns that are guessed: those that differ, the target first."""
    differ = [c for c in columns if real[c.name].nunique(dropna=False) > 1]
    if len(differ) <= SECRETS:
        return tuple(differ)
    note(
        f"attribute_inference: {SECRETS} of {len(differ):,} columns were guessed, the target "
        f"and others at random (seed {seed})"
    )
    order = np.random.default_rng([seed, 0x1F]).permutation(len(differ))
    drawn = sorted(order, key=lambda i: differ[i].role is not Role.TARGET)[:SECRETS]
    return tuple(differ[i] for i in sorted(drawn))


def _score(
    column: Column,
    success: Mapping[str, npt.NDArray[np.bool_]],
    rates: Mapping[str, float],
    attacks: int,
    secrets: int,
) -> Score:
    """Score the worse attack; the first half of the targets are train rows, the others holdout."""
    hits = {
        method: (int(met[:attacks].sum()), int(met[attacks:].sum()))
        for method, met in success.items()
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
