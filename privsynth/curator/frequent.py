"""Discovery of frequent values of continuous columns (heavy hitters), by charged queries.

A grid derived from bounds alone mixes a value that hundreds of rows share, such as the ceiling of a
tariff, with its neighbours. Cells whose noisy count stands out are split, round by round, down to
single values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Units, units_of
from privsynth.curator.sensitivity import counts_sensitivity
from privsynth.privacy import Accountant
from privsynth.schema import Schema
from privsynth.table import Table

__all__ = ["frequent_values"]

Ints = npt.NDArray[np.int64]

SHARE = 0.08
"""The part of rho that the search costs."""
PARTS = 64
"""Into how many cells a cell is split."""
BEAM = 48
"""How many cells of a column are split in a round."""
MAX_ROUNDS = 4
AROUND = 4
"""How many neighbours on each side a cell is compared with."""
LIKELY, SURE = 1.5, 2.5
"""A cell is split, or a value kept, if its count stands out by this many standard deviations."""
PROVEN = 4.0
"""A value is kept if the counts of all rounds together stand out by this many."""


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Cells of a column that may contain a frequent value, and the evidence for each so far.

    Parameters
    ----------
    units : Units
    low, high : ndarray of int64, shape (cells,)
        The first and last unit of each cell.
    family : ndarray of int64, shape (cells,)
        The number of the cell that each was split from.
    excess, precision : ndarray, shape (cells,)
        The sum of excess counts, weighted by precision, and the sum of precisions.
    frequent : tuple of int
        Frequent values so far.
    """

    units: Units
    low: Ints
    high: Ints
    family: Ints
    excess: Floats
    precision: Floats
    frequent: tuple[int, ...] = ()

    @property
    def widest(self) -> int:
        """The width of the widest cell, in units."""
        ends: Iterable[tuple[int, int]] = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return max(high - low + 1 for low, high in ends)


def frequent_values(accountant: Accountant, schema: Schema) -> dict[str, tuple[int, ...]]:
    """Find values that many rows share, in columns whose cells are wider than one value.

    Parameters
    ----------
    accountant : Accountant
        Of a `Table`; the search costs a part of its budget if there is such a column.
    schema : Schema
        Declares or has discovered every domain.

    Returns
    -------
    dict of str to tuple of int
        The frequent values of each such column, in its units (`privsynth.coding.Units`).
    """
    columns = [_all_cells(units) for units in map(units_of, schema) if units and not units.few]
    rounds_of = [1 + math.ceil(math.log(column.widest, PARTS)) for column in columns]
    # Skip columns that need more rounds: all columns pay for each round.
    columns = [column for column, n in zip(columns, rounds_of, strict=True) if n <= MAX_ROUNDS]
    if not columns:
        return {}
    rounds = max(n for n in rounds_of if n <= MAX_ROUNDS)
    for _ in range(rounds):
        open_cells = [column for column in columns if len(column.low)]
        if not open_cells:
            break
        sensitivity = counts_sensitivity(len(open_cells))
        scale = accountant.scale(sensitivity, SHARE * accountant.rho / rounds)
        answer = accountant.gaussian(
            "domain",
            "heaps of " + ", ".join(column.units.column.name for column in open_cells),
            partial(_counts, open_cells),
            sensitivity,
            scale,
        )
        ends = np.cumsum([len(column.low) for column in open_cells])[:-1]
        answers = dict(zip(map(id, open_cells), np.split(answer, ends), strict=True))
        columns = [
            column
            if id(column) not in answers
            else _narrowed(column, answers[id(column)].astype(float), scale)
            for column in columns
        ]
    return {column.units.column.name: tuple(sorted(column.frequent)) for column in columns}


def _all_cells(units: Units) -> _Candidates:
    """Return all cells of a column's grid as candidates, without evidence."""
    starts = np.array(units.starts(), dtype=np.int64)
    ends = np.append(starts[1:] - 1, units.high)
    zeros = np.zeros(len(starts))
    return _Candidates(units, starts, ends, np.zeros(len(starts), np.int64), zeros, zeros)


def _counts(open_cells: Sequence[_Candidates], table: Table) -> Ints:
    """Count the rows in each cell of each column, in one vector."""
    return np.concatenate([_cell_counts(column, table) for column in open_cells])


def _cell_counts(candidates: _Candidates, table: Table) -> Ints:
    """Count the rows in each cell of one column."""
    starts = np.unique(
        np.concatenate([[candidates.units.low], candidates.low, candidates.high + 1])
    )
    starts = starts[starts <= candidates.units.high]
    cells = candidates.units.cells(starts.tolist())
    values, counts, _ = table.value_counts(candidates.units.column.name)
    cell_counts = np.bincount(cells.encode(values), counts, minlength=cells.size)
    return cell_counts[np.searchsorted(starts, candidates.low)].astype(np.int64)


def _narrowed(candidates: _Candidates, counts: Floats, scale: float) -> _Candidates:
    """Keep proven single values, and split the most likely cells."""
    usual = _usual(counts, candidates.family)
    variance = scale**2 + np.maximum(usual, 0)
    excess = candidates.excess + (counts - usual) / variance
    precision = candidates.precision + 1 / variance
    round_excess = (counts - usual) / np.sqrt(variance)
    total_excess = excess / np.sqrt(precision)
    single = candidates.low == candidates.high
    proven = single & (round_excess > SURE) & (total_excess > PROVEN) & (candidates.precision > 0)
    likely = np.flatnonzero(~single & (round_excess > LIKELY))
    likely = np.sort(likely[np.argsort(-total_excess[likely], kind="stable")[:BEAM]])
    lows, highs = [], []
    for first, last in zip(
        candidates.low[likely].tolist(), candidates.high[likely].tolist(), strict=True
    ):
        starts, ends = _cut(first, last)
        lows.append(starts)
        highs.append(ends)
    parent = np.repeat(likely, [len(low) for low in lows])
    return _Candidates(
        candidates.units,
        np.concatenate([np.zeros(0, np.int64), *lows]),
        np.concatenate([np.zeros(0, np.int64), *highs]),
        parent.astype(np.int64),
        excess[parent],
        precision[parent],
        (*candidates.frequent, *candidates.low[proven].tolist()),
    )


def _cut(low: int, high: int) -> tuple[Ints, Ints]:
    """Cut a cell into `PARTS` cells, or into single units; return the first and last of each."""
    width = high - low + 1
    steps = np.linspace(0, width, min(PARTS, width), endpoint=False)
    starts = low + steps.astype(np.int64)
    return starts, np.append(starts[1:] - 1, high)


def _usual(counts: Floats, family: Ints) -> Floats:
    """Return each cell's expected count: the median of neighbours split from one cell."""
    usual = np.empty(len(counts))
    for number in np.unique(family).tolist():
        members = np.flatnonzero(family == number)
        padded = np.pad(counts[members], AROUND, mode="reflect") if len(members) > AROUND else None
        if padded is None:
            usual[members] = 0.0
            continue
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * AROUND + 1)
        usual[members] = np.median(np.delete(windows, AROUND, axis=1), axis=1)
    return usual
