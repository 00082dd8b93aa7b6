"""Replicas: which training rows the synthetic table repeats, exactly or nearly.

All real rows are in one pool, and a row is judged only by the pool and the synthetic rows: how near
are the nearest synthetic row and the nearest other real row? Whether the row is from the training
table or the holdout plays no part, so a synthetic table that depends on no single training row
replicates both alike, whatever their sizes. A row that occurs twice in the pool is not a replica,
since it identifies no single person.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.space import Points, Space, nearest
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.overlap import row_hashes
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["at_risk", "placing", "replication", "risky", "share_of", "some", "without_holdout"]

MAX_ROWS = 30_000
"""Maximum number of training rows, and of synthetic rows, searched for near replicas."""
MAX_HOLDOUT = 10_000
MAX_REFERENCE = 8_000
"""Maximum number of rows of the pool searched for a row's nearest other real row."""
NEARER = 0.2
"""A near replica is nearer to the row than this share of the distance to the next real row."""
CONFIDENCE = 0.998
"""Of the intervals: each accuses one of a thousand honest tables."""
MAX_FALSE_ALARMS = 0.05
"""Maximum share of false alarms among the records at risk."""
TINY = 1e-6
DEVIATION = 1 / math.sqrt(12)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Pool:
    """The real rows, training rows first, and their distances to other rows.

    Parameters
    ----------
    members : int
        Number of training rows.
    alone : ndarray of bool, shape (rows,)
        Whether no other row of the pool equals the row.
    copied : ndarray of bool, shape (rows,)
        Whether a synthetic row equals the row in every modelled column.
    searched : ndarray of int
        The rows whose neighbours were searched, ascending.
    to_real, to_synthetic : ndarray of float, shape (rows,)
        Distance to the nearest other real row, 0 if the row is not alone, and to the nearest
        synthetic row; NaN if not searched.
    """

    members: int
    alone: Array
    copied: Array
    searched: Array
    to_real: Array
    to_synthetic: Array

    @property
    def exact(self) -> Array:
        """Whether each row is replicated exactly, shape (rows,)."""
        exact: Array = self.alone & self.copied
        return exact

    @property
    def near(self) -> Array:
        """Whether each searched row is replicated, exactly or nearly, shape (searched,)."""
        near: Array = (self.to_synthetic < NEARER * self.to_real)[self.searched]
        return near

    def at_risk(self) -> npt.NDArray[np.intp]:
        """Return the training rows that are repeated more than chance repeats holdout rows."""
        exact = np.flatnonzero(self.exact)
        near = self.searched[~self.exact[self.searched]]
        closeness = self.to_real[near] / np.maximum(self.to_synthetic[near], TINY)
        others = len(self.alone) - self.members
        searched = int((self.searched < self.members).sum())
        return np.sort(
            np.concatenate(
                [
                    self._risky(exact, self.to_real[exact], self.members, others),
                    self._risky(near, closeness, searched, len(self.searched) - searched),
                ]
            )
        )

    def _risky(self, rows: Array, scores: Array, members: int, others: int) -> Array:
        ours = rows < self.members
        chosen: Array = rows[ours][risky(scores[ours], scores[~ours], members, others)]
        return chosen


def replication(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Count the training rows that the synthetic table repeats, compared with holdout rows.

    Parameters
    ----------
    train, synthetic : pandas.DataFrame
    holdout : pandas.DataFrame or None
        Real rows that the synthetic table cannot have learnt from. Without them there is only
        the share of exact replicas, and nothing to compare it with.
    schema : Schema
    seed : int
        Determines the rows searched for near replicas if there are very many.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Of family ``"attacks"``: ``exact_replicas`` and ``near_replicas``, the share of training
        rows repeated (`real`: of holdout rows), whose `low` and `high` are a 99.8% interval of
        the *difference* of the two shares; and ``records_at_risk``, the number of training rows
        that can be named as repeated, with at most a twentieth of false alarms.

    Notes
    -----
    The interval is Miettinen and Nurminen's (*Statistics in Medicine* 4, 1985). Numbers are
    measured in standard deviations: by ranks, a little noise on a column that is mostly 0 would
    move a copy far away from its row.
    """
    if holdout is None:
        return without_holdout(train, synthetic, schema)
    progress("replicas", 0, 1)
    pool = _search(train, holdout, synthetic, schema, seed, note)
    progress("replicas", 1, 1)
    ours, searched = np.arange(len(pool.alone)) < pool.members, pool.searched < pool.members
    risk = pool.at_risk()
    sizes = {"rows": float(searched.sum()), "non_members": float((~searched).sum())}
    least = math.ceil(sizes["rows"] / (sizes["non_members"] + 1) / MAX_FALSE_ALARMS)
    return (
        share_of(
            "exact_replicas",
            pool.exact[ours],
            pool.exact[~ours],
            "share of the training rows, but for those that come several times, that a synthetic "
            "row equals in every column",
            {
                "with_repeated": pool.copied[ours].mean(),
                "with_repeated_real": pool.copied[~ours].mean(),
            },
        ),
        share_of(
            "near_replicas",
            pool.near[searched],
            pool.near[~searched],
            f"share of the training rows to which a synthetic row is nearer than {NEARER:.0%} of "
            "the way to the next real row",
            {},
        ),
        Score(
            "attacks",
            "records_at_risk",
            float(len(risk)),
            better="lower",
            meaning="training rows that can be named as repeated, exactly or nearly, because "
            "holdout rows are not; at most a twentieth of them are false alarms, and fewer than "
            f"{least:,} repeated rows go unnoticed",
            detail={**sizes, "members": sizes["rows"], "least": float(least)},
        ),
    )


def at_risk(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    note: Note = silent,
) -> npt.NDArray[np.intp]:
    """Name the training rows that the synthetic table repeats.

    Returns
    -------
    ndarray of int
        Positions in `train`, ascending: the rows that ``records_at_risk`` counts.
    """
    return _search(train, holdout, synthetic, schema, seed, note).at_risk()


def risky(
    scores: Array, calibration: Array, members: int, non_members: int
) -> npt.NDArray[np.bool_]:
    """Return which scores are too high to be those of non-members.

    Parameters
    ----------
    scores, calibration : ndarray of float
        Of members and of non-members; scores not listed count as lower than all listed ones.
    members, non_members : int
        Their numbers, including those without a score.

    Returns
    -------
    ndarray of bool, shape of `scores`

    Notes
    -----
    Conformal p-values, (1 + non-members that score as high) / (1 + non-members), with Benjamini
    and Hochberg's rule (Bates, Candes, Lei, Romano & Sesia, *Annals of Statistics* 51, 2023). No
    p-value is below 1 / (1 + non-members), so chance has to rank some twenty members above the
    first non-member: an honest table hardly ever has one record at risk.
    """
    as_high = len(scores) - np.searchsorted(np.sort(scores), scores)
    by_chance = 1 + len(calibration) - np.searchsorted(np.sort(calibration), scores)
    passed = members * by_chance <= MAX_FALSE_ALARMS * (non_members + 1) * as_high
    chosen: npt.NDArray[np.bool_] = scores >= scores[passed].min(initial=np.inf)
    return chosen


def _search(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int,
    note: Note,
) -> _Pool:
    columns = modelled(schema)
    members, rows = len(train), len(train) + len(holdout)
    hashes = np.concatenate([row_hashes(train, columns), row_hashes(holdout, columns)])
    alone, copied = _occur_once(hashes), np.isin(hashes, row_hashes(synthetic, columns))

    rng = np.random.default_rng([seed, 1_505])
    reference = some(rng, rows, MAX_REFERENCE)
    searched = np.concatenate(
        [some(rng, members, MAX_ROWS), members + some(rng, rows - members, MAX_HOLDOUT)]
    )
    sample = some(rng, len(synthetic), MAX_ROWS)
    if len(searched) < rows or len(sample) < len(synthetic):
        note(
            f"near replicas: {len(searched):,} of {rows:,} real rows were searched for, among "
            f"{len(sample):,} of {len(synthetic):,} synthetic rows; exact replicas: all rows"
        )
    real = canonical(train, columns), canonical(holdout, columns)
    place = placing(real, columns)

    def points(positions: Array) -> Points:
        ours = positions < members
        return np.concatenate(
            [place(real[0].iloc[positions[ours]]), place(real[1].iloc[positions[~ours] - members])]
        )

    targets = np.union1d(searched, np.flatnonzero(alone & copied))
    targets = targets[alone[targets]]
    target_points = points(targets)
    to_real = np.full(rows, np.nan)
    to_real[searched] = 0.0
    to_real[targets] = _to_others(target_points, targets, points(reference), reference)
    to_synthetic = np.full(rows, np.nan)
    to_synthetic[copied] = 0.0
    to_search = np.isin(targets, searched) & ~copied[targets]
    synthetic_points = place(canonical(synthetic.iloc[sample], columns))
    to_synthetic[targets[to_search]] = nearest(target_points[to_search], synthetic_points)[0][:, 0]
    return _Pool(members, alone, copied, searched, to_real, to_synthetic)


def _occur_once(hashes: Array) -> Array:
    """Return which values occur once."""
    _, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    alone: Array = counts[which] == 1
    return alone


def some(rng: np.random.Generator, rows: int, limit: int) -> Array:
    """Return all positions, or `limit` of them drawn at random, ascending."""
    return np.arange(rows) if rows <= limit else np.sort(rng.choice(rows, limit, replace=False))


def placing(
    frames: Sequence[pd.DataFrame], columns: Sequence[Column]
) -> Callable[[pd.DataFrame], Points]:
    """Return a function that turns a canonical frame into points, numbers in standard deviations.

    The scale makes a column of uniformly distributed numbers as wide as two levels are apart.
    """
    numbers = [column.name for column in columns if column.kind.continuous]
    labels = Space.learn(frames, [column for column in columns if not column.kind.continuous])
    values = np.concatenate([frame[numbers].to_numpy(np.float64) for frame in frames])
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    middle = np.where(known, values, 0.0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, values - middle, 0.0) ** 2).sum(axis=0) / count)
    scale = DEVIATION / np.where(spread > 0, spread, 1.0)
    gaps = ~known.all(axis=0)

    def place(frame: pd.DataFrame) -> Points:
        lengths = (frame[numbers].to_numpy(np.float64) - middle) * scale
        missing = np.isnan(lengths)
        return np.concatenate(
            [
                np.where(missing, 0.0, lengths).astype(np.float32),
                missing[:, gaps] * np.float32(math.sqrt(0.5)),
                labels.place(frame),
            ],
            axis=1,
        )

    return place


def _to_others(points: Points, rows: Array, others: Points, reference: Array) -> Array:
    """Return each row's distance to the nearest reference row other than itself."""
    distances = np.empty(len(rows), np.float32)
    in_reference = np.isin(rows, reference)
    distances[~in_reference] = nearest(points[~in_reference], others)[0][:, 0]
    two, places = nearest(points[in_reference], others, 2)
    first_is_row = reference[places[:, 0]] == rows[in_reference]
    # If the row itself is not the first of the two, the first is another row at the same place.
    distances[in_reference] = np.where(first_is_row, two[:, 1], two[:, 0])
    return distances


def share_of(
    name: str, ours: Array, theirs: Array, meaning: str, detail: dict[str, float]
) -> Score:
    """Return the share of members that are replicated, and that of non-members."""
    low, high = _difference(int(ours.sum()), len(ours), int(theirs.sum()), len(theirs))
    sizes = {"rows": len(ours), "members": len(ours), "non_members": len(theirs)}
    return Score(
        "attacks",
        name,
        float(ours.mean()),
        low,
        high,
        float(theirs.mean()),
        "lower",
        f"{meaning}; the interval ({CONFIDENCE:.1%}) is of the difference from the holdout",
        {key: float(value) for key, value in (sizes | detail).items()},
    )


def without_holdout(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> tuple[Score, ...]:
    """Return the scores where there is nothing to compare with."""
    columns = modelled(schema)
    hashes = row_hashes(train, columns)
    copied = np.isin(hashes, row_hashes(synthetic, columns))
    rows = {"rows": float(len(train)), "members": float(len(train)), "non_members": 0.0}
    needs = "needs a holdout: without one, replicas cannot be told from what chance repeats"
    return (
        Score(
            "attacks",
            "exact_replicas",
            float((copied & _occur_once(hashes)).mean()),
            better="lower",
            meaning="share of the training rows, but for those that come several times, that a "
            "synthetic row equals in every column; the difference needs a holdout",
            detail={**rows, "with_repeated": float(copied.mean())},
        ),
        Score("attacks", "near_replicas", None, better="lower", meaning=needs, detail=rows),
        Score("attacks", "records_at_risk", None, better="lower", meaning=needs, detail=rows),
    )


def _difference(hits: int, tries: int, other_hits: int, other_tries: int) -> tuple[float, float]:
    """Bound the difference of two shares: Miettinen and Nurminen's score interval."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    observed = hits / tries - other_hits / other_tries
    z = float(norm.ppf((1 + CONFIDENCE) / 2))

    def beyond(difference: float) -> float:
        first = _likeliest(hits / tries, other_hits / other_tries, other_tries / tries, difference)
        second = first - difference
        variance = first * (1 - first) / tries + second * (1 - second) / other_tries
        return (observed - difference) ** 2 - z**2 * max(variance, 0.0)

    # At the observed difference, the variance of two shares of 0 is 0: search beside it.
    low = -1.0 if observed <= -1 else brentq(beyond, -1.0, observed - TINY**2)
    high = 1.0 if observed >= 1 else brentq(beyond, observed + TINY**2, 1.0)
    return float(low), float(high)


def _likeliest(first: float, second: float, ratio: float, difference: float) -> float:
    """Return the maximum-likelihood estimate of the first share, given the true difference.

    It is a root of a cubic (Farrington & Manning, *Statistics in Medicine* 9, 1990).
    """
    a = 1 + ratio
    b = -(1 + ratio + first + ratio * second + difference * (ratio + 2))
    c = difference**2 + difference * (2 * first + ratio + 1) + first + ratio * second
    d = -first * difference * (1 + difference)
    v = b**3 / (27 * a**3) - b * c / (6 * a**2) + d / (2 * a)
    u = math.copysign(math.sqrt(max(b**2 / (9 * a**2) - c / (3 * a), 0.0)), v)
    turn = min(max(v / u**3, -1.0), 1.0) if u else 1.0
    root = 2 * u * math.cos((math.pi + math.acos(turn)) / 3) - b / (3 * a)
    return min(max(root, difference, 0.0), 1.0, 1.0 + difference)
