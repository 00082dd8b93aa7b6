"""Replicas: training rows that the synthetic table repeats, exactly or nearly, and which they are.

All real rows lie in one pool, and a row is judged by the pool and by the synthetic rows alone:
how near is the nearest synthetic row, and how near the nearest other real one? Whether the row is
of the training table or of the holdout plays no part, so that a synthetic table that owes nothing
to single training rows replicates both alike, whatever their sizes. A row that comes twice in the
pool is no replica: who meets it again learns of no one person.
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

__all__ = ["at_risk", "replication", "risky"]

MOST = 30_000
"""The most training rows, and the most synthetic rows, that are searched for near replicas."""
MAX_HOLDOUT = 10_000
REFERENCE = 8_000
"""The most rows of the pool among which a row's nearest other real row is sought."""
NEARER = 0.2
"""A near replica lies nearer to the row than this share of the way to the next real row."""
CONFIDENCE = 0.998
"""Of the intervals: of a thousand honest tables, one is accused by each."""
FALSE = 0.05
"""The share of false alarms among the records at risk."""
NOTHING = 1e-6
DEVIATION = 1 / math.sqrt(12)

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class _Pool:
    """The real rows, those of the training table first, and what lies near them.

    Parameters
    ----------
    members : int
        How many of the rows are training rows.
    alone : ndarray of bool, shape (rows,)
        Whether no other row of the pool equals the row.
    met : ndarray of bool, shape (rows,)
        Whether a synthetic row equals the row in every modelled column.
    searched : ndarray of int
        The rows whose neighbours were sought, ascending.
    to_real, to_synthetic : ndarray of float, shape (rows,)
        Distance to the nearest other real row, 0 where the row is not alone, and to the nearest
        synthetic row; NaN where not sought.
    """

    members: int
    alone: Array
    met: Array
    searched: Array
    to_real: Array
    to_synthetic: Array

    @property
    def exact(self) -> Array:
        """Whether each row is replicated exactly, shape (rows,)."""
        exact: Array = self.alone & self.met
        return exact

    @property
    def near(self) -> Array:
        """Whether each searched row is replicated, exactly or nearly, shape (searched,)."""
        near: Array = (self.to_synthetic < NEARER * self.to_real)[self.searched]
        return near

    def at_risk(self) -> npt.NDArray[np.intp]:
        """Return the training rows that are repeated where holdout rows are not."""
        exact = np.flatnonzero(self.exact)
        near = self.searched[~self.exact[self.searched]]
        closeness = self.to_real[near] / np.maximum(self.to_synthetic[near], NOTHING)
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
    """Count the training rows that the synthetic table repeats, against those of the holdout.

    Parameters
    ----------
    train, synthetic : pandas.DataFrame
    holdout : pandas.DataFrame or None
        Real rows that the synthetic table cannot have learnt from. Without them there is the
        share of exact replicas alone, and nothing to hold it against.
    schema : Schema
    seed : int
        Governs which rows are searched for near replicas where there are very many.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Of family ``"attacks"``: ``exact_replicas`` and ``near_replicas``, the share of training
        rows repeated (`real`: of holdout rows), whose `low` and `high` bound the *difference* of
        the two shares by a 99.8% interval; and ``records_at_risk``, how many training rows can
        be named as repeated, with a twentieth of false alarms at most.

    Notes
    -----
    The interval is Miettinen and Nurminen's (*Statistics in Medicine* 4, 1985). Numbers are
    measured in standard deviations: by ranks, a little noise on a column that is mostly 0 would
    take a copy far away from its row.
    """
    if holdout is None:
        return _without_holdout(train, synthetic, schema)
    progress("replicas", 0, 1)
    pool = _search(train, holdout, synthetic, schema, seed, note)
    progress("replicas", 1, 1)
    ours, searched = np.arange(len(pool.alone)) < pool.members, pool.searched < pool.members
    risk = pool.at_risk()
    sizes = {"rows": float(searched.sum()), "non_members": float((~searched).sum())}
    least = math.ceil(sizes["rows"] / (sizes["non_members"] + 1) / FALSE)
    return (
        _share(
            "exact_replicas",
            pool.exact[ours],
            pool.exact[~ours],
            "share of the training rows, but for those that come several times, that a synthetic "
            "row equals in every column",
            {
                "with_repeated": pool.met[ours].mean(),
                "with_repeated_real": pool.met[~ours].mean(),
            },
        ),
        _share(
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
    """Choose the scores that are too high to be those of non-members.

    Parameters
    ----------
    scores, calibration : ndarray of float
        Of members and of non-members; those not listed count as lower than all listed.
    members, non_members : int
        How many there are in all.

    Returns
    -------
    ndarray of bool, shape of `scores`

    Notes
    -----
    Conformal p-values, (1 + non-members that score as high) / (1 + non-members), and Benjamini
    and Hochberg's rule on them (Bates, Candes, Lei, Romano & Sesia, *Annals of Statistics* 51,
    2023). No p-value is below 1 / (1 + non-members), so that chance has to put some twenty
    members in a row before the first non-member: an honest table hardly ever has one record at
    risk.
    """
    as_high = len(scores) - np.searchsorted(np.sort(scores), scores)
    by_chance = 1 + len(calibration) - np.searchsorted(np.sort(calibration), scores)
    passed = members * by_chance <= FALSE * (non_members + 1) * as_high
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
    alone, met = _alone(hashes), np.isin(hashes, row_hashes(synthetic, columns))

    rng = np.random.default_rng([seed, 1_505])
    reference = _some(rng, rows, REFERENCE)
    searched = np.concatenate(
        [_some(rng, members, MOST), members + _some(rng, rows - members, MAX_HOLDOUT)]
    )
    drawn = _some(rng, len(synthetic), MOST)
    if len(searched) < rows or len(drawn) < len(synthetic):
        note(
            f"near replicas: {len(searched):,} of {rows:,} real rows were searched for, among "
            f"{len(drawn):,} of {len(synthetic):,} synthetic rows; exact replicas: all rows"
        )
    real = canonical(train, columns), canonical(holdout, columns)
    place = _places(real, columns)

    def points(positions: Array) -> Points:
        ours = positions < members
        return np.concatenate(
            [place(real[0].iloc[positions[ours]]), place(real[1].iloc[positions[~ours] - members])]
        )

    targets = np.union1d(searched, np.flatnonzero(alone & met))
    targets = targets[alone[targets]]
    at = points(targets)
    to_real = np.full(rows, np.nan)
    to_real[searched] = 0.0
    to_real[targets] = _to_others(at, targets, points(reference), reference)
    to_synthetic = np.full(rows, np.nan)
    to_synthetic[met] = 0.0
    sought = np.isin(targets, searched) & ~met[targets]
    synthetic_points = place(canonical(synthetic.iloc[drawn], columns))
    to_synthetic[targets[sought]] = nearest(at[sought], synthetic_points)[0][:, 0]
    return _Pool(members, alone, met, searched, to_real, to_synthetic)


def _alone(hashes: Array) -> Array:
    """Return which values come once."""
    _, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    alone: Array = counts[which] == 1
    return alone


def _some(rng: np.random.Generator, rows: int, most: int) -> Array:
    """Return all positions, or `most` of them drawn at random, ascending."""
    return np.arange(rows) if rows <= most else np.sort(rng.choice(rows, most, replace=False))


def _places(
    frames: Sequence[pd.DataFrame], columns: Sequence[Column]
) -> Callable[[pd.DataFrame], Points]:
    """Return what turns a canonical frame into points, numbers in standard deviations.

    They are scaled so that a column of evenly spread numbers is as wide as two levels are apart.
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


def _to_others(at: Points, rows: Array, others: Points, reference: Array) -> Array:
    """Measure how far each row's nearest row of the reference is, its own self left out."""
    distances = np.empty(len(rows), np.float32)
    own = np.isin(rows, reference)
    distances[~own] = nearest(at[~own], others)[0][:, 0]
    two, places = nearest(at[own], others, 2)
    itself = reference[places[:, 0]] == rows[own]
    # Where the row itself is not the first of the two, the first is another at the same place.
    distances[own] = np.where(itself, two[:, 1], two[:, 0])
    return distances


def _share(name: str, ours: Array, theirs: Array, meaning: str, detail: dict[str, float]) -> Score:
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


def _without_holdout(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> tuple[Score, ...]:
    columns = modelled(schema)
    hashes = row_hashes(train, columns)
    met = np.isin(hashes, row_hashes(synthetic, columns))
    rows = {"rows": float(len(train)), "members": float(len(train)), "non_members": 0.0}
    needs = "needs a holdout: without one, replicas cannot be told from what chance repeats"
    return (
        Score(
            "attacks",
            "exact_replicas",
            float((met & _alone(hashes)).mean()),
            better="lower",
            meaning="share of the training rows, but for those that come several times, that a "
            "synthetic row equals in every column; the difference needs a holdout",
            detail={**rows, "with_repeated": float(met.mean())},
        ),
        Score("attacks", "near_replicas", None, better="lower", meaning=needs, detail=rows),
        Score("attacks", "records_at_risk", None, better="lower", meaning=needs, detail=rows),
    )


def _difference(hits: int, tries: int, others: int, of: int) -> tuple[float, float]:
    """Bound the difference of two shares: Miettinen and Nurminen's score interval."""
    from scipy.optimize import brentq
    from scipy.stats import norm

    apart = hits / tries - others / of
    z = float(norm.ppf((1 + CONFIDENCE) / 2))

    def beyond(difference: float) -> float:
        first = _likeliest(hits / tries, others / of, of / tries, difference)
        second = first - difference
        variance = first * (1 - first) / tries + second * (1 - second) / of
        return (apart - difference) ** 2 - z**2 * max(variance, 0.0)

    # At the difference seen, the variance of two shares of 0 is 0: look beside it.
    low = -1.0 if apart <= -1 else brentq(beyond, -1.0, apart - NOTHING**2)
    high = 1.0 if apart >= 1 else brentq(beyond, apart + NOTHING**2, 1.0)
    return float(low), float(high)


def _likeliest(first: float, second: float, ratio: float, difference: float) -> float:
    """Return the first share's likeliest value, given how far apart the two shares truly are.

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
