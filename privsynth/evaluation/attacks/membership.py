"""Membership inference without shadow models: distinguishing training rows from others.

The adversary has the synthetic rows, some other real rows, and a row to judge. Members are
training rows; non-members are rows of the holdout. A row that is nearer to the synthetic rows than
to equally suited real rows gives itself away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.onerun import epsilon_at_least
from privsynth.evaluation.attacks.space import Points, Space, nearest
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent, subsample
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Kind, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ATTACKS",
    "Bounded",
    "auc",
    "by_value",
    "distances",
    "epsilon",
    "halves",
    "membership",
    "scored",
    "stacked",
    "target_classes",
    "tpr_at",
    "without",
]

Array = npt.NDArray[np.float64]

ATTACKS = ("dcr", "likelihood_ratio", "knn_ratio", "calibrated_dcr", "stacked")
SCALED = ("likelihood_ratio", "calibrated_dcr")
LEVELS = {"1pct": 0.01, "01pct": 0.001}
GROUPS = ("", "_isolated", "_minority")
MAX_NON_MEMBERS = 4_000
MEMBERS_PER_OTHER = 2  # members cost no holdout rows, so there are more than non-members
MAX_SYNTHETIC = 100_000
ROWS_AT_ONCE = 10_000
NEIGHBOURS = 5
ISOLATED = 0.05
MIN_GROUP_ROWS = 50  # of members and of non-members, to score a group by itself
TINY = 1e-6  # below any distance that single precision distinguishes from 0
FOLDS = 5
CROSS_FITTED = (1 + FOLDS / (FOLDS - 1)) ** 0.5  # Nadeau & Bengio 2003: folds share rows
MAX_CLASSES = 20
LOW, HIGH = 0.04, 0.01  # an interval's 5% of errors, split between its ends
THRESHOLD = 0.8  # the share of `LOW` that is spent on the threshold's uncertainty
GUESSED = (0.01, 0.05, 0.2, 1.0)  # shares of the pairs for which a guess is made


@dataclass(frozen=True)
class Words:
    """What the members are called.

    Parameters
    ----------
    prefix : str
        Of the scores' names.
    one : str
        Whose replacement epsilon speaks of.
    who : mapping of str to str
        The members of each group.
    """

    prefix: str
    one: str
    who: Mapping[str, str]


ROWS = Words(
    "membership",
    "row",
    {
        "": "training rows",
        "_isolated": f"the {ISOLATED:.0%} most isolated training rows",
        "_minority": "training rows of the rarest class",
    },
)


@dataclass(frozen=True)
class Bounded:
    """A figure and its interval.

    Parameters
    ----------
    value, low, high : float
    """

    value: float
    low: float
    high: float


def membership(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Distinguish training rows from holdout rows by how near the synthetic rows are.

    Parameters
    ----------
    train : pandas.DataFrame
        At most 8,000 rows, twice as many as of the holdout, are drawn as members.
    holdout : pandas.DataFrame or None
        Real rows that the model did not learn from; at most 4,000 are drawn as non-members.
    synthetic : pandas.DataFrame
        At most 100,000 rows are read.
    schema : Schema
        A discrete target's rarest class is also attacked on its own.
    seed : int
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``membership_tpr_at_1pct``, ``membership_tpr_at_01pct``, ``membership_auc`` and
        ``membership_epsilon``; the same with ``_isolated`` (the 5% of rows that are farthest from
        other real rows) and, if there is a discrete target, ``_minority``. The value is that of
        the attack with the highest lower bound; `detail` has every attack's.

    Notes
    -----
    The two halves of the holdout take turns as non-members and as reference rows, so that no row
    is compared with itself; half of the members go with each. The attacks are: the distance to
    the closest synthetic row (``dcr``); the logarithm of the ratio of the distance to the closest
    reference row to ``dcr`` (``likelihood_ratio``); its mean over the 5 nearest (``knn_ratio``);
    ``dcr`` compared with that of the reference rows nearby (``calibrated_dcr``, the difficulty
    calibration of Watson et al., ICLR 2022); and a model of those four and the class, judged on
    rows that it has not seen (``stacked``). The likelihood ratio and the calibrated distance are
    computed once on ranks of numbers and once on their values, and the higher one counts.

    Groups are chosen without regard to membership. Each group's bounds are corrected for the
    number of attacks; those of the two smaller groups also for there being two of them.
    """
    from threadpoolctl import threadpool_limits

    target = target_classes(schema, train)
    groups = GROUPS if target is not None else GROUPS[:2]
    if holdout is None or min(len(holdout), len(train)) < 4:
        reason = (
            "needs a holdout: real rows that the model did not learn from"
            if holdout is None
            else "needs a holdout of 4 rows or more, and as many training rows"
        )
        return tuple(score for group in groups for score in without(group, reason))
    columns = modelled(schema)
    rng = np.random.default_rng([seed, 71])
    others = min(MAX_NON_MEMBERS, len(holdout), len(train)) // 2 * 2
    outside = _shuffled(holdout, others, rng)
    inside = _shuffled(train, min(MEMBERS_PER_OTHER * others, len(train)) // 2 * 2, rng)
    sample = subsample(synthetic, MAX_SYNTHETIC, seed, "membership: synthetic", note)
    # Both sides must count the same in the space, or it would distinguish them by itself.
    real = [canonical(frame, columns) for frame in (inside, outside)]
    space = Space.learn([real[0], *[real[1]] * (len(inside) // others)], columns)
    with threadpool_limits(1):  # sums depend on the number of threads
        progress("membership inference", 0, 2)
        frames = [*real, canonical(sample, columns)]
        half = halves(len(inside) + others)
        by_attack, isolation = distances(*(space.place(frame) for frame in frames), half=half)
        if space.sorted_values:
            linear, _ = distances(*by_value(space, frames), half=half)
            for name in SCALED:
                by_attack[name] = np.maximum(by_attack[name], linear[name])
        progress("membership inference", 1, 2)
        label = _labels(train, inside, outside, target)
        member = np.arange(len(isolation)) < len(inside)
        by_attack["stacked"] = stacked(by_attack, label, member, rng)
        progress("membership inference", 2, 2)
    scores: list[Score] = []
    for group in groups:
        if group == "_isolated":
            in_group = isolation >= np.quantile(isolation, 1 - ISOLATED)
        elif group == "_minority":
            in_group = label == 0
        else:
            in_group = np.ones(len(member), dtype=bool)
        smaller = min(int((in_group & member).sum()), int((in_group & ~member).sum()))
        if group and smaller < MIN_GROUP_ROWS:
            why = f"only {smaller} rows of one side; at least {MIN_GROUP_ROWS} of each are needed"
            scores += without(group, why)
            continue
        member_scores = {name: score[in_group & member] for name, score in by_attack.items()}
        other_scores = {name: score[in_group & ~member] for name, score in by_attack.items()}
        scores += scored(group, member_scores, other_scores)
    return tuple(scores)


def tpr_at(inside: Array, outside: Array, level: float, *, tests: int = 1) -> Bounded:
    """Return the true-positive rate at a false-positive rate.

    Parameters
    ----------
    inside, outside : ndarray of float
        Scores of members and of non-members; a higher score means more likely a member.
    level : float
        The false-positive rate, above 0 and below 1.
    tests : int
        Number of attacks tried, of which the best is reported.

    Returns
    -------
    Bounded
        `value`: the rate at the lowest threshold whose false-positive rate on `outside` is at
        most `level`; rows that tie with the threshold are not taken for members. `low`, `high`:
        a 95% interval; `low` holds for all `tests` attacks jointly.

    Notes
    -----
    The threshold is estimated, too: the share of all non-members above the c-th highest of n
    non-members is at most Beta(c + 1, n - c) distributed (at most, because of ties). Its upper
    bound and the Clopper-Pearson bound of the members' share give `low`. If that upper bound is
    above the level, the attack is diluted: it accuses by a coin that compensates for the excess,
    and finds proportionally less. `high` counts every tie as found.
    """
    from scipy.stats import beta

    n, members = len(outside), len(inside)
    falling = np.sort(outside)[::-1]
    allowed = int(level * n + 1e-9)
    value = float((inside > falling[allowed]).mean())
    places = np.arange(min(n, 2 * allowed + 30))  # both thresholds are among these

    share = LOW / tests
    reach = beta.ppf(1 - THRESHOLD * share, places + 1, n - places)
    place = max(int(np.searchsorted(reach, level, "right")) - 1, 0)
    hits = int((inside > falling[place]).sum())
    lower = beta.ppf((1 - THRESHOLD) * share, hits, members - hits + 1) if hits else 0.0
    low = float(lower) * min(1.0, level / float(reach[place]))

    reach = beta.ppf(HIGH / 2, places + 1, n - places)
    place = int(np.searchsorted(reach, level))
    hits = members if place == len(places) else int((inside >= falling[place]).sum())
    high = 1.0 if hits == members else float(beta.ppf(1 - HIGH / 2, hits + 1, members - hits))
    return Bounded(value, low, high)


def auc(inside: Array, outside: Array, *, tests: int = 1, widening: float = 1.0) -> Bounded:
    """Return the probability that a member scores above a non-member; ties count half.

    Parameters
    ----------
    inside, outside : ndarray of float
    tests : int
        Number of attacks tried, of which the best is reported.
    widening : float
        How much wider the interval is than for independent scores.

    Returns
    -------
    Bounded
        With DeLong's normal interval (1988).
    """
    from scipy.stats import norm

    above = _placement(inside, outside)
    below = 1 - _placement(outside, inside)
    value = float(above.mean())
    error = widening * np.sqrt(above.var() / len(above) + below.var() / len(below))
    low = value + norm.ppf(LOW / tests) * error
    high = value + norm.ppf(1 - HIGH) * error
    return Bounded(value, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)))


def epsilon(inside: Array, outside: Array, *, tests: int = 1) -> Bounded:
    """Bound epsilon from below, from one run, by guessing which row of each pair is a member.

    Parameters
    ----------
    inside, outside : ndarray of float
        Scores in random order; the i-th of each make a pair.
    tests : int
        Number of attacks tried, of which the best is reported.

    Returns
    -------
    Bounded
        `low`: the bound at 95%, 0 if chance explains the guesses; `value`: the estimate from the
        same guesses without an allowance for chance; `high`: infinite, since no attack shows
        that there is no better one.

    Notes
    -----
    Which row of a pair is a member is a fair coin flip, as members and non-members were split at
    random. Guesses are made for the pairs whose scores differ most: the audit of Steinke, Nasr &
    Jagielski (*Privacy Auditing with One (1) Training Run*, NeurIPS 2023), with delta 0, for
    neighbours that differ by the replacement of one row. The share of pairs guessed is the best
    of four fixed ones, for which the bound is corrected.
    """
    pairs = min(len(inside), len(outside))
    best = Bounded(0.0, 0.0, float("inf"))
    if not pairs:
        return best
    differences = inside[:pairs] - outside[:pairs]
    order = np.argsort(-np.abs(differences), kind="stable")
    for share in GUESSED:
        surest = order[: max(int(share * pairs), 1)]
        # A tie is guessed by a coin flip, which is right half the time.
        correct = int((differences[surest] > 0).sum() + (differences[surest] == 0).sum() // 2)
        low = epsilon_at_least(correct, len(surest), alpha=0.05 / tests / len(GUESSED))
        if low > best.low:
            value = np.log((correct + 0.5) / (len(surest) - correct + 0.5))
            best = Bounded(max(float(value), low), low, float("inf"))
    return best


def _placement(scores: Array, reference: Array) -> Array:
    rising = np.sort(reference)
    under = np.searchsorted(rising, scores) + np.searchsorted(rising, scores, "right")
    return np.asarray(under / (2 * len(rising)), dtype=np.float64)


def _shuffled(frame: pd.DataFrame, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw rows in random order, so that their halves and pairs are random, too."""
    return frame.iloc[rng.permutation(len(frame))[:rows]]


def target_classes(schema: Schema, train: pd.DataFrame) -> Column | None:
    """Return the target as a discrete column; None if it has no classes."""
    target = schema.target
    if target is None or target.kind.surrogate:
        return None
    if target.kind is Kind.INTEGER and train[target.name].nunique() <= MAX_CLASSES:
        return replace(target, kind=Kind.CATEGORICAL)  # whole numbers may stand for classes
    return None if target.kind.continuous else target


def _labels(
    train: pd.DataFrame, inside: pd.DataFrame, outside: pd.DataFrame, target: Column | None
) -> npt.NDArray[np.intp]:
    """Return the class of each member and non-member; 0 is the rarest class in training."""
    import pandas as pd

    if target is None:
        return np.ones(len(inside) + len(outside), dtype=np.intp)
    counts = canonical(train, [target])[target.name].value_counts()
    rising = counts[counts > 0].sort_values(kind="stable").index.astype(str)
    both = pd.concat(
        [canonical(frame, [target])[target.name].astype(object) for frame in (inside, outside)]
    )
    places = pd.Index(rising).get_indexer(pd.Index(both))
    return np.where(places < 0, len(rising), places)


def by_value(space: Space, frames: Sequence[pd.DataFrame]) -> list[Points]:
    """Place rows by the values of numbers instead of their ranks, scaled to the same spread.

    In rank, a value slightly off a frequent one, such as 0, is far away from it.
    """
    real = frames[:2]
    placed = [replace(space, sorted_values={}, gaps=frozenset()).place(frame) for frame in frames]
    for name in space.sorted_values:
        values = [frame[name].to_numpy(np.float64) for frame in frames]
        sides = [values[i][~np.isnan(values[i])] for i in range(len(real))]
        if not all(map(len, sides)):
            continue
        middle = np.mean([side.mean() for side in sides])
        spread = np.mean([side.std() for side in sides]) * np.sqrt(12) or 1.0
        for i, column in enumerate(values):
            missing = np.isnan(column)
            numbers = np.where(missing, 0.0, np.clip((column - middle) / spread, -1, 1))
            coordinates = np.column_stack([numbers, missing / np.sqrt(2)]).astype(np.float32)
            placed[i] = np.concatenate([placed[i], coordinates], axis=1)
    return placed


def distances(
    inside: Points, outside: Points, synthetic: Points, *, half: npt.NDArray[np.intp]
) -> tuple[dict[str, Array], Array]:
    """Return each row's score by attack, members first, and its distance to real rows.

    Rows of one half are compared with the holdout rows of the other half.
    """
    real = np.concatenate([inside, outside])
    to_synthetic = _nearest_synthetic(real, synthetic)
    to_real = np.empty_like(to_synthetic)
    expected = np.empty(len(real))
    is_holdout = np.arange(len(real)) >= len(inside)
    for part in (0, 1):
        reference = np.flatnonzero(is_holdout & (half != part))
        rows = np.flatnonzero(half == part)
        distances, places = nearest(real[rows], real[reference], NEIGHBOURS)
        to_real[rows] = distances
        expected[rows] = to_synthetic[reference, 0][places].mean(axis=1)
    ratio = np.log((to_real + TINY) / (to_synthetic + TINY))
    scores = {
        "dcr": -to_synthetic[:, 0],
        "likelihood_ratio": ratio[:, 0],
        "knn_ratio": ratio.mean(axis=1),
        "calibrated_dcr": np.log((expected + TINY) / (to_synthetic[:, 0] + TINY)),
    }
    return scores, to_real[:, -1]


def halves(rows: int) -> npt.NDArray[np.intp]:
    """Return the half of each row, alternately 0 and 1."""
    return np.arange(rows) % 2


def _nearest_synthetic(points: Points, synthetic: Points) -> Array:
    """Return the distances to the nearest synthetic rows; parts bound the memory."""
    parts = [
        nearest(points, synthetic[start : start + ROWS_AT_ONCE], NEIGHBOURS)[0]
        for start in range(0, len(synthetic), ROWS_AT_ONCE)
    ]
    return np.sort(np.concatenate(parts, axis=1), axis=1)[:, :NEIGHBOURS].astype(np.float64)


def stacked(
    by_attack: Mapping[str, Array],
    label: npt.NDArray[np.intp],
    member: npt.NDArray[np.bool_],
    rng: np.random.Generator,
    best: str = "likelihood_ratio",
) -> Array:
    """Return each row's log odds of being a member, from a model that has not seen the row."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    features = np.column_stack([*by_attack.values(), np.minimum(label, MAX_CLASSES)])
    fold, half = np.empty(len(member), dtype=np.intp), halves(len(member))
    for side, part in itertools.product((member, ~member), (0, 1)):
        rows = np.flatnonzero(side & (half == part))
        fold[rows] = rng.permutation(len(rows)) % FOLDS
    odds = np.zeros(len(member))
    # Two holdout rows that are nearest to each other have the same distance. They are in different
    # halves, so a model of one half has not seen the other row.
    for number, part in itertools.product(range(FOLDS), (0, 1)):
        test_rows = (fold == number) & (half == part)
        if not test_rows.any():
            continue
        train_rows = (fold != number) & (half == part)
        model = HistGradientBoostingClassifier(
            max_iter=40,
            max_leaf_nodes=8,
            min_samples_leaf=20,
            early_stopping=False,
            random_state=0,
        )
        model.fit(features[train_rows], member[train_rows])
        odds[test_rows] = model.decision_function(features[test_rows])
    # Rows in the same leaves tie; the best single attack orders them.
    return odds + 1e-6 * _placement(by_attack[best], by_attack[best])


def scored(
    group: str,
    inside: Mapping[str, Array],
    outside: Mapping[str, Array],
    words_for: Words = ROWS,
    rows: int | None = None,
) -> Iterator[Score]:
    """Yield the scores of a group: the best attack's figures, bounded for the number of attacks.

    Parameters
    ----------
    group : str
        One of `GROUPS`.
    inside, outside : mapping of str to ndarray of float
        The scores of members and of non-members by attack, in random order.
    words_for : Words
    rows : int, optional
        How many rows the members and non-members have, if they are not rows.
    """
    attacks = tuple(inside)
    members, non_members = len(inside[attacks[0]]), len(outside[attacks[0]])
    tests = len(attacks) * (len(GROUPS) - 1 if group else 1)
    counts = {
        "members": float(members),
        "non_members": float(non_members),
        "rows": float(members + non_members if rows is None else rows),
    }
    who = words_for.who[group]
    for name, level in LEVELS.items():
        rates = {a: tpr_at(inside[a], outside[a], level, tests=tests) for a in attacks}
        words = (
            f"of {who}, the share that the best of {len(attacks)} attacks finds while it "
            f"takes {level:.1%} of the non-members for members; {level:.1%} is guessing"
        )
        yield _score(f"{words_for.prefix}_tpr_at_{name}{group}", rates, counts, level, words)
    areas = {
        a: auc(inside[a], outside[a], tests=tests, widening=CROSS_FITTED if a == "stacked" else 1)
        for a in attacks
    }
    words = f"AUC of telling {who} from non-members; 0.5 is guessing"
    yield _score(f"{words_for.prefix}_auc{group}", areas, counts, 0.5, words)
    bounds = {a: epsilon(inside[a], outside[a], tests=tests) for a in attacks}
    best = max(bounds.values(), key=lambda bound: bound.low)
    words = (
        "95% lower bound of epsilon, neighbours differing by the replacement of one "
        f"{words_for.one}, from guesses about {who}; half of it bounds epsilon for adding or "
        f"removing a {words_for.one}"
    )
    detail = {**{a: bound.low for a, bound in bounds.items()}, **counts}
    name = f"{words_for.prefix}_epsilon{group}"
    yield Score("attacks", name, best.value, best.low, None, 0.0, "lower", words, detail)


def _score(
    name: str,
    by_attack: Mapping[str, Bounded],
    counts: Mapping[str, float],
    guessing: float,
    words: str,
) -> Score:
    best = max(by_attack.values(), key=lambda rate: (rate.low, rate.value))
    high = max(rate.high for rate in by_attack.values())
    detail = {**{attack: rate.value for attack, rate in by_attack.items()}, **counts}
    return Score("attacks", name, best.value, best.low, high, guessing, "lower", words, detail)


def without(group: str, reason: str, prefix: str = "membership") -> Iterator[Score]:
    """Yield the scores of a group that cannot be had."""
    for name in (*(f"tpr_at_{level}" for level in LEVELS), "auc", "epsilon"):
        full = f"{prefix}_{name}{group}"
        yield Score("attacks", full, None, better="lower", meaning=reason)
