"""Replicas of units: persons of whom the synthetic table repeats a row, exactly or nearly.

As in `privsynth.evaluation.attacks.replication`, all real rows are in one pool, and whether a row
is from the training table plays no part. A row identifies a person if no other person of the pool
has an equal one, and it is compared with rows of other persons alone. A person is replicated, and
at risk, if any of their rows is; persons are counted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.replication import (
    MAX_FALSE_ALARMS,
    MAX_HOLDOUT,
    MAX_REFERENCE,
    MAX_ROWS,
    NEARER,
    TINY,
    placing,
    risky,
    share_of,
    some,
    without_holdout,
)
from privsynth.evaluation.attacks.space import Points, nearest
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.overlap import row_hashes
from privsynth.evaluation.score import Score
from privsynth.evaluation.units import Ints, row_units, unit_codes
from privsynth.schema import Schema
from privsynth.table import distinct

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rows_of_units_at_risk", "unit_replication"]

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _Pool:
    """The real rows, training rows first, and how near synthetic rows are.

    Parameters
    ----------
    unit : ndarray of int64, shape (rows,)
        The number of each row's unit; the training table's come first.
    members : int
        Number of training units.
    exact : ndarray of bool, shape (rows,)
        Whether a synthetic row equals the row, and no row of another unit does.
    searched : ndarray of bool, shape (units,)
        The units whose rows' neighbours were searched.
    to_real, to_synthetic : ndarray of float64, shape (rows,)
        Distance to the nearest row of other units, 0 if one of them is equal, and to the nearest
        synthetic row; NaN if not searched.
    """

    unit: Ints
    members: int
    exact: Flags
    searched: Flags
    to_real: Floats
    to_synthetic: Floats

    def any(self, flags: Flags) -> Flags:
        """Return which units have a row with a flag, shape (units,)."""
        units = np.zeros(len(self.searched), dtype=bool)
        units[self.unit[flags]] = True
        return units

    @property
    def near(self) -> Flags:
        """Whether each row is replicated, exactly or nearly, shape (rows,)."""
        return np.asarray(self.to_synthetic < NEARER * self.to_real)

    def at_risk(self) -> npt.NDArray[np.intp]:
        """Return the training rows that are repeated more than chance repeats those of others."""
        repeated = self.any(self.exact)
        compared = (self.searched & ~repeated)[self.unit] & ~np.isnan(self.to_synthetic)
        closeness = self.to_real / np.maximum(self.to_synthetic, TINY)
        return np.sort(
            np.concatenate(
                [
                    self._risky(self.exact, self.to_real, np.ones_like(self.searched)),
                    self._risky(compared, closeness, self.searched),
                ]
            )
        )

    def _risky(self, rows: Flags, scores: Floats, counted: Flags) -> npt.NDArray[np.intp]:
        """Return the rows that score too high, where a unit has the score of its highest row."""
        best = np.full(len(self.searched), -np.inf)
        np.maximum.at(best, self.unit[rows], scores[rows])
        ours = np.arange(len(best)) < self.members
        scored = best > -np.inf
        members, others = best[ours & scored], best[~ours & scored]
        chosen = risky(members, others, int(counted[ours].sum()), int(counted[~ours].sum()))
        least = members[chosen].min(initial=np.inf)
        return np.flatnonzero(rows & (self.unit < self.members) & (scores >= least))


def unit_replication(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Count the training units of which the synthetic table repeats a row, beside the holdout's.

    Parameters
    ----------
    train, synthetic : pandas.DataFrame
    holdout : pandas.DataFrame or None
        Rows of other units.
    schema : Schema
        Names the column of the units.
    seed : int
        Determines the units searched for near replicas if there are very many rows.
    progress, note : callable

    Returns
    -------
    tuple of Score
        As `privsynth.evaluation.attacks.replication.replication`, in shares and numbers of units.
    """
    if holdout is None:
        return without_holdout(train, synthetic, schema)
    progress("replicas", 0, 1)
    pool = _search(train, holdout, synthetic, schema, seed, note)
    progress("replicas", 1, 1)
    ours = np.arange(len(pool.searched)) < pool.members
    searched, exact, near = pool.searched, pool.any(pool.exact), pool.any(pool.near)
    members, others = int((ours & searched).sum()), int((~ours & searched).sum())
    least = math.ceil(members / (others + 1) / MAX_FALSE_ALARMS)
    units = f"training units of column {schema.unit_column!r}"
    rows = {"rows": float(searched[pool.unit[pool.unit < pool.members]].sum())}
    return (
        share_of(
            "exact_replicas",
            exact[ours],
            exact[~ours],
            f"share of the {units} with a row that a synthetic row equals in every column, and "
            "that no other unit has",
            {"rows": float(len(train))},
        ),
        share_of(
            "near_replicas",
            near[ours & searched],
            near[~ours & searched],
            f"share of the {units} with a row to which a synthetic row is nearer than "
            f"{NEARER:.0%} of the way to the next row of another unit",
            rows,
        ),
        Score(
            "attacks",
            "records_at_risk",
            float(len(np.unique(pool.unit[pool.at_risk()]))),
            better="lower",
            meaning=f"{units} that can be named as repeated, exactly or nearly, because units of "
            "the holdout are not; at most a twentieth of them are false alarms, and fewer than "
            f"{least:,} repeated units go unnoticed",
            detail={
                **rows,
                "non_members": float(others),
                "members": float(members),
                "least": float(least),
            },
        ),
    )


def rows_of_units_at_risk(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    note: Note = silent,
) -> npt.NDArray[np.intp]:
    """Name the training rows by which units are at risk.

    Returns
    -------
    ndarray of int
        Positions in `train`, ascending; ``records_at_risk`` counts their units.
    """
    return _search(train, holdout, synthetic, schema, seed, note).at_risk()


def _search(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    seed: int,
    note: Note,
) -> _Pool:
    columns, name = modelled(schema), str(schema.unit_column)
    ours, theirs = (row_units(codes) for codes in unit_codes(train[name], holdout[name]))
    members, rows = int(ours.max()) + 1, len(train) + len(holdout)
    unit = np.concatenate([ours, members + theirs])
    units = int(unit.max()) + 1
    hashes = np.concatenate([row_hashes(train, columns), row_hashes(holdout, columns)])
    alone, copied = _of_one_unit(hashes, unit), np.isin(hashes, row_hashes(synthetic, columns))

    rng = np.random.default_rng([seed, 1_505])
    counts = np.bincount(unit, minlength=units)
    searched = np.concatenate(
        [
            _some_units(rng, counts[:members], MAX_ROWS),
            _some_units(rng, counts[members:], MAX_HOLDOUT),
        ]
    )
    sample = some(rng, len(synthetic), MAX_ROWS)
    if not searched.all() or len(sample) < len(synthetic):
        note(
            f"near replicas: {searched.sum():,} of {units:,} units were searched for, among "
            f"{len(sample):,} of {len(synthetic):,} synthetic rows; exact replicas: all rows"
        )
    real = canonical(train, columns), canonical(holdout, columns)
    place = placing(real, columns)

    def points(positions: npt.NDArray[np.intp]) -> Points:
        early = positions < len(train)
        return np.concatenate(
            [
                place(real[0].iloc[positions[early]]),
                place(real[1].iloc[positions[~early] - len(train)]),
            ]
        )

    targets = np.flatnonzero(alone & (searched[unit] | copied))
    half = rng.permutation(units)[unit] % 2
    to_real = np.full(rows, np.nan)
    to_real[searched[unit]] = 0.0
    for part in (0, 1):
        others = np.flatnonzero(half != part)
        own = targets[half[targets] == part]
        if len(others) and len(own):
            reference = points(others[some(rng, len(others), MAX_REFERENCE)])
            to_real[own] = nearest(points(own), reference)[0][:, 0]
    to_synthetic = np.full(rows, np.nan)
    to_synthetic[copied] = 0.0
    compared = targets[searched[unit[targets]] & ~copied[targets]]
    if len(compared):
        drawn = place(canonical(synthetic.iloc[sample], columns))
        to_synthetic[compared] = nearest(points(compared), drawn)[0][:, 0]
    return _Pool(unit, members, alone & copied, searched, to_real, to_synthetic)


def _of_one_unit(hashes: npt.NDArray[np.uint64], unit: Ints) -> Flags:
    """Return which rows have no equal row of another unit."""
    _, value = np.unique(hashes, return_inverse=True)
    width = int(unit.max()) + 1
    holders = np.bincount(distinct(value * width + unit) // width)
    return np.asarray(holders[value] == 1)


def _some_units(rng: np.random.Generator, counts: Ints, limit: int) -> Flags:
    """Return all units, or as many random ones as have at most so many rows."""
    chosen = np.ones(len(counts), dtype=bool)
    if counts.sum() > limit:
        order = rng.permutation(len(counts))
        fits = np.cumsum(counts[order]) <= limit
        fits[0] = True
        chosen[order[~fits]] = False
    return chosen
