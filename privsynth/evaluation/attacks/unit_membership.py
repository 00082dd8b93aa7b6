"""Membership inference of units: telling persons of the training table from other persons.

A person's rows are judged together. Each row is scored by the attacks on rows; then the scores of
a person's rows give the person's: their mean, the best of them, and what the columns that do not
change within a person give by themselves. A person is never compared with rows of their own.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.membership import (
    GROUPS,
    ISOLATED,
    MAX_NON_MEMBERS,
    MAX_SYNTHETIC,
    MEMBERS_PER_OTHER,
    MIN_GROUP_ROWS,
    SCALED,
    Words,
    by_value,
    distances,
    scored,
    stacked,
    target_classes,
    without,
)
from privsynth.evaluation.attacks.space import Space
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent, subsample
from privsynth.evaluation.score import Score
from privsynth.evaluation.units import Ints, row_units, unit_codes
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["best_of", "mean_of", "unit_membership"]

Array = npt.NDArray[np.float64]

MAX_ROWS = 40_000
"""Maximum number of rows of all units together; of large units, rows are drawn."""
MAX_ROWS_EACH = 100
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100)
"""Units whose numbers of rows lie between two of these have about as many rows."""
MOSTLY, PLENTY = 0.9, 0.9
CONSTANT = 0.99
"""A column is constant within a unit if it is in this share of the units of several rows."""


class _Side(NamedTuple):
    """Some units of a table, in random order, and rows of theirs.

    Parameters
    ----------
    rows : pandas.DataFrame
        Ordered by unit.
    unit : ndarray of int64, shape (rows,)
        The place of each row's unit among the units drawn.
    labels : ndarray of int64, shape (units,)
        The rarest class among all rows of each unit; 0 is the rarest of all.
    """

    rows: pd.DataFrame
    unit: Ints
    labels: Ints

    @property
    def units(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class _Rows:
    """What the attacks on rows say of the rows of all units, members first.

    Parameters
    ----------
    unit : ndarray of int64, shape (rows,)
        The place of each row's unit among all units, ascending.
    half : ndarray of int64, shape (rows,)
        Of its unit: a unit is compared with the holdout's units of the other half.
    reference : ndarray of bool, shape (rows,)
        Whether the row is of the holdout.
    scores : dict of str to ndarray of float
    """

    unit: Ints
    half: Ints
    reference: npt.NDArray[np.bool_]
    scores: dict[str, Array]


def unit_membership(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Distinguish the training table's units from the holdout's by how near synthetic rows are.

    Parameters
    ----------
    train : pandas.DataFrame
        At most 8,000 units, twice as many as of the holdout, are drawn as members.
    holdout : pandas.DataFrame or None
        Of other units; at most 4,000 are drawn as non-members.
    synthetic : pandas.DataFrame
        At most 100,000 rows are read.
    schema : Schema
        Names the column of the units. The units with a row of a discrete target's rarest class
        are also attacked on their own.
    seed : int
    progress, note : callable

    Returns
    -------
    tuple of Score
        Those of `privsynth.evaluation.attacks.membership.membership`, of units; then the same of
        their rows, named ``row_membership_...``, whose intervals are too narrow, since the rows of
        a unit are not independent.

    Notes
    -----
    Members and non-members are drawn alike by their number of rows, which would otherwise tell
    them apart wherever whole units were not set aside by chance. Of each attack on rows, a unit has
    the mean and the best row's score, both less what they are for as many rows of a non-member
    (`mean_of`, `best_of`). ``profile`` is the
    likelihood ratio of the columns that are constant within units, alone. ``stacked`` is a model
    of all of these and the class, judged on units that it has not seen.

    All figures and bounds are those of rows, with units as the independent trials, and corrected
    for the number of attacks. The halves of the holdout that take turns as reference are of whole
    units. A unit is as isolated as its rows are on average.
    """
    from threadpoolctl import threadpool_limits

    name = str(schema.unit_column)
    words = _words(name)
    target = target_classes(schema, train)
    groups = GROUPS if target is not None else GROUPS[:2]
    units = _numbered(train, holdout, name)
    sizes = [int(numbers.max()) + 1 for numbers in units]
    if holdout is None or min(sizes) < 4:
        reason = (
            f"needs a holdout: {words.one}s that the model did not learn from"
            if holdout is None
            else f"needs a holdout of 4 {words.one}s or more, and as many training ones"
        )
        return _nothing(groups, reason, words)
    columns = modelled(schema)
    rng = np.random.default_rng([seed, 71])
    counts = [np.bincount(numbers) for numbers in units]
    drawn = _drawn(counts[0], counts[1], rng)
    left = len(drawn[1]) / min(MAX_NON_MEMBERS, *sizes)
    if min(map(len, drawn)) < 4:
        reason = f"needs 4 {words.one}s or more with as many rows in the holdout as in training"
        return _nothing(groups, reason, words)
    if left < MOSTLY:
        note(
            f"membership: units of as many rows were compared, {len(drawn[0]):,} of {sizes[0]:,} "
            f"in training with {len(drawn[1]):,} of {sizes[1]:,} in the holdout"
        )
    most = _rows_each(np.concatenate([n[of] for n, of in zip(counts, drawn, strict=True)]))
    labels = _labels((train, holdout), units, target)
    inside, outside = (
        _side(frame, numbers, of, label[of], most, rng)
        for frame, numbers, of, label in zip((train, holdout), units, drawn, labels, strict=True)
    )
    sample = subsample(synthetic, MAX_SYNTHETIC, seed, "membership: synthetic", note)
    frames = [canonical(frame, columns) for frame in (inside.rows, outside.rows, sample)]
    importlib.import_module("sklearn.ensemble")  # whose threads are limited once it is loaded
    with threadpool_limits(1):  # sums depend on the number of threads
        progress("membership inference", 0, 3)
        rows, isolation = _row_scores(frames, inside, outside, columns)
        progress("membership inference", 1, 3)
        by_attack = _unit_scores(rows)
        profile = _profile(frames, rows.unit, inside.units, columns)
        if profile is not None:
            by_attack["profile"] = profile
        progress("membership inference", 2, 3)
        label = np.concatenate([inside.labels, outside.labels])
        member = np.arange(len(label)) < inside.units
        by_attack["stacked"] = stacked(by_attack, label, member, rng, "likelihood_ratio_mean")
        progress("membership inference", 3, 3)
    remote = _mean(isolation, rows.unit)
    in_groups = {
        "": np.ones(len(member), dtype=bool),
        "_isolated": remote >= np.quantile(remote, 1 - ISOLATED),
        "_minority": label == 0,
    }
    scores = [
        score
        for group in groups
        for score in _of_group(group, in_groups[group], member, by_attack, words, rows.unit)
    ]
    order = rng.permutation(len(rows.unit))
    for group in groups:
        scores += _of_group(
            group,
            in_groups[group][rows.unit][order],
            ~rows.reference[order],
            {name: score[order] for name, score in rows.scores.items()},
            _ROWS_OF_UNITS,
        )
    return tuple(scores)


def mean_of(scores: Array, unit: Ints, null: Array, null_unit: Ints) -> Array:
    """Return each unit's mean score, in standard deviations of what a non-member's mean has.

    Parameters
    ----------
    scores : ndarray of float, shape (rows,)
    unit : ndarray of int64, shape (rows,)
        From 0 without gaps.
    null, null_unit : ndarray
        The same of units that are known as non-members.

    Returns
    -------
    ndarray of float64, shape (units,)

    Notes
    -----
    The mean of n rows has the variance b + w / n, by the variance b between units and w within;
    both are estimated by the analysis of variance of unbalanced groups.
    """
    between, within = _variances(null, null_unit)
    n = np.bincount(unit)
    spread = np.sqrt(between + within / n)
    centred: Array = _mean(scores, unit) - _mean(null, null_unit).mean()
    return np.divide(centred, spread, out=centred, where=spread > 0)


def best_of(scores: Array, unit: Ints, null: Array, null_unit: Ints) -> Array:
    """Return by how much each unit's best score exceeds the best of as many non-member rows.

    Parameters and result are those of `mean_of`.

    Notes
    -----
    The best of n rows is about the quantile n / (n + 1) of how rows differ from their unit's mean.
    """
    n, null_n = np.bincount(unit), np.bincount(null_unit)
    best = np.full(len(n), -np.inf)
    np.maximum.at(best, unit, scores)
    several = null_n[null_unit] > 1
    if not several.any():
        return best
    # A row draws its unit's mean of n rows towards itself.
    shrunk = np.sqrt(1 - 1 / null_n[null_unit[several]])
    apart = (null - _mean(null, null_unit)[null_unit])[several] / shrunk
    expected: Array = np.quantile(apart, n / (n + 1)) - np.quantile(apart, 0.5)
    return best - expected


def _numbered(train: pd.DataFrame, holdout: pd.DataFrame | None, name: str) -> list[Ints]:
    frames = [train] if holdout is None else [train, holdout]
    return [row_units(codes) for codes in unit_codes(*(frame[name] for frame in frames))]


def _nothing(groups: Sequence[str], reason: str, words: Words) -> tuple[Score, ...]:
    return tuple(score for group in groups for score in without(group, reason, words.prefix))


def _drawn(train: Ints, holdout: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw members and non-members, so that as large a share of both has each number of rows.

    Parameters
    ----------
    train, holdout : ndarray of int64, shape (units,)
        The number of rows of each unit.
    rng : numpy.random.Generator

    Returns
    -------
    members, non_members : ndarray of int64
        Units in random order, an even number of each.
    """
    # Non-members are scarcer, so that rather some members are left out.
    each = min(MEMBERS_PER_OTHER, max(PLENTY * len(train) / len(holdout), 1.0))
    ours, theirs = np.digitize(train, SIZES), np.digitize(holdout, SIZES)
    inside, outside = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for size in np.intersect1d(ours, theirs):
        first = rng.permutation(np.flatnonzero(ours == size))
        second = rng.permutation(np.flatnonzero(theirs == size))
        inside.append(first[: round(each * len(second))])
        outside.append(second[: round(len(inside[-1]) / each)])
    members = rng.permutation(np.concatenate(inside))
    others = rng.permutation(np.concatenate(outside))[:MAX_NON_MEMBERS]
    others = others[: min(len(others), len(members)) // 2 * 2]
    return members[: min(MEMBERS_PER_OTHER * len(others), len(members)) // 2 * 2], others


def _rows_each(counts: Ints) -> int:
    """Return how many rows of one unit are read at most, so that memory and time are bounded."""
    read = np.minimum(counts[:, None], np.arange(1, MAX_ROWS_EACH + 1)).sum(axis=0)
    return max(int(np.searchsorted(read, MAX_ROWS, "right")), 1)


def _labels(
    frames: Sequence[pd.DataFrame], units: Sequence[Ints], target: Column | None
) -> list[Ints]:
    """Return the rarest class of each unit by table; 0 is that of the fewest training units."""
    import pandas as pd

    if target is None:
        return [np.ones(int(numbers.max()) + 1, dtype=np.int64) for numbers in units]
    classes = [canonical(frame, [target])[target.name].astype(object) for frame in frames]
    held = pd.DataFrame({"unit": units[0], "label": classes[0].to_numpy()}).drop_duplicates()
    rising = held["label"].value_counts().sort_values(kind="stable").index
    labels = []
    for labels_of, numbers in zip(classes, units, strict=True):
        places = rising.get_indexer(pd.Index(labels_of))
        rarest = np.full(int(numbers.max()) + 1, len(rising))
        np.minimum.at(rarest, numbers, np.where(places < 0, len(rising), places))
        labels.append(rarest)
    return labels


def _side(
    frame: pd.DataFrame,
    units: Ints,
    drawn: Ints,
    labels: Ints,
    most: int,
    rng: np.random.Generator,
) -> _Side:
    """Return the drawn units, with at most so many rows of each, by chance."""
    place = np.full(int(units.max()) + 1, -1)
    place[drawn] = np.arange(len(drawn))
    rows = rng.permutation(len(frame))
    rows = rows[place[units[rows]] >= 0]
    rows = rows[np.argsort(place[units[rows]], kind="stable")]
    unit = place[units[rows]]
    rank = np.arange(len(rows)) - np.searchsorted(unit, unit)
    return _Side(frame.iloc[rows[rank < most]], unit[rank < most], labels)


def _row_scores(
    frames: Sequence[pd.DataFrame], inside: _Side, outside: _Side, columns: Sequence[Column]
) -> tuple[_Rows, Array]:
    """Return the scores of all rows, and their distances to other real rows."""
    unit = np.concatenate([inside.unit, inside.units + outside.unit])
    half = unit % 2
    # Both sides must count about the same in the space, or it would distinguish them by itself.
    times = max(round(len(inside.unit) / len(outside.unit)), 1)
    space = Space.learn([frames[0], *[frames[1]] * times], columns)
    scores, isolation = distances(*(space.place(frame) for frame in frames), half=half)
    if space.sorted_values:
        linear, _ = distances(*by_value(space, frames), half=half)
        for name in SCALED:
            scores[name] = np.maximum(scores[name], linear[name])
    return _Rows(unit, half, unit >= inside.units, scores), isolation


def _unit_scores(rows: _Rows) -> dict[str, Array]:
    """Return the scores of units by attack, in the order of their places."""
    by_attack = {}
    units = int(rows.unit[-1]) + 1
    for (combination, combine), (name, score) in (
        (how, what) for what in rows.scores.items() for how in _COMBINATIONS.items()
    ):
        of_units = np.empty(units)
        for part in (0, 1):
            ours, null = rows.half == part, rows.reference & (rows.half != part)
            places, unit = np.unique(rows.unit[ours], return_inverse=True)
            _, null_unit = np.unique(rows.unit[null], return_inverse=True)
            of_units[places] = combine(score[ours], unit, score[null], null_unit)
        by_attack[f"{name}_{combination}"] = of_units
    return by_attack


_COMBINATIONS = {"mean": mean_of, "best": best_of}


def _profile(
    frames: Sequence[pd.DataFrame], unit: Ints, members: int, columns: Sequence[Column]
) -> Array | None:
    """Return the likelihood ratio of each unit by the columns that are constant within units."""
    import pandas as pd

    real = pd.concat(list(frames[:2]), ignore_index=True)
    first = np.flatnonzero(np.diff(unit, prepend=-1))
    several = np.bincount(unit) > 1
    constant = [c for c in columns if _constant(real[c.name], unit, several)]
    if not several.any() or not constant or len(constant) == len(columns):
        return None
    names = [column.name for column in constant]
    ours = real.iloc[first][names]
    # Categories of two tables that differ are joined to objects.
    mixed = {name: "category" for name in names if ours[name].dtype == object}
    ours = ours.astype(mixed)
    sides = [ours.iloc[:members], ours.iloc[members:]]
    times = max(round(len(sides[0]) / len(sides[1])), 1)
    space = Space.learn([sides[0], *[sides[1]] * times], constant)
    points = [space.place(frame[names]) for frame in (*sides, frames[2])]
    scores, _ = distances(*points, half=np.arange(len(first)) % 2)
    return scores["likelihood_ratio"]


def _constant(column: pd.Series[Any], unit: Ints, several: npt.NDArray[np.bool_]) -> bool:
    """Return whether a column that varies has one value in nearly every unit of several rows."""
    import pandas as pd

    codes = pd.factorize(column, use_na_sentinel=False)[0]
    if not codes.max(initial=0):
        return False
    changes = np.zeros(len(several), dtype=bool)
    changes[unit[1:][(np.diff(codes) != 0) & (np.diff(unit) == 0)]] = True
    return bool((~changes[several]).mean() >= CONSTANT) if several.any() else False


def _of_group(
    group: str,
    in_group: npt.NDArray[np.bool_],
    member: npt.NDArray[np.bool_],
    by_attack: dict[str, Array],
    words: Words,
    unit: Ints | None = None,
) -> list[Score]:
    smaller = min(int((in_group & member).sum()), int((in_group & ~member).sum()))
    if group and smaller < MIN_GROUP_ROWS:
        why = (
            f"only {smaller} {words.one}s of one side; at least {MIN_GROUP_ROWS} of each are needed"
        )
        return list(without(group, why, words.prefix))
    member_scores = {name: score[in_group & member] for name, score in by_attack.items()}
    other_scores = {name: score[in_group & ~member] for name, score in by_attack.items()}
    rows = None if unit is None else int(in_group[unit].sum())
    return list(scored(group, member_scores, other_scores, words, rows))


def _variances(scores: Array, unit: Ints) -> tuple[float, float]:
    """Return the variance of scores between units and within them."""
    rows, n = len(scores), np.bincount(unit).astype(float)
    means = _mean(scores, unit)
    within = ((scores - means[unit]) ** 2).sum() / max(rows - len(n), 1)
    if len(n) < 2:
        return 0.0, float(within)
    size = (rows - (n**2).sum() / rows) / (len(n) - 1)
    square = (n * (means - scores.mean()) ** 2).sum() / (len(n) - 1)
    return float(max((square - within) / size, 0.0)), float(within)


def _mean(values: Array, unit: Ints) -> Array:
    means: Array = np.bincount(unit, values) / np.bincount(unit)
    return means


def _words(column: str) -> Words:
    units = f"training units of column {column!r}"
    return Words(
        "membership",
        "unit",
        {
            "": units,
            "_isolated": f"the {ISOLATED:.0%} most isolated {units}",
            "_minority": f"{units} with a row of the rarest class",
        },
    )


_ROWS_OF_UNITS = Words(
    "row_membership",
    "row",
    {
        "": "training rows, as if those of one unit were independent,",
        "_isolated": f"rows of the {ISOLATED:.0%} most isolated units",
        "_minority": "rows of units with a row of the rarest class",
    },
)
