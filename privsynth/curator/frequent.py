"""Values on which the rows of a continuous column heap up, found by charged queries.

A grid that bounds alone decide mixes a value that hundreds of rows share, such as a ceiling of a
tariff, with its neighbours. The cells in which a noisy count stands out are cut into finer ones,
again and again, down to single values.
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
"""The part of the budget that the search costs."""
PARTS = 64
BEAM = 48
MAX_ROUNDS = 4
AROUND = 4
"""How many neighbours on each side a cell is held against."""
LIKELY, SURE = 1.5, 2.5
"""How many standard deviations a count is to stand out by to be cut, and to be kept."""
PROVEN = 4.0
"""How many standard deviations all counts on the way to a value are to stand out by together."""


@dataclass(frozen=True, eq=False)
class _Open:
    """Cells of a column that may hold a frequent value, and the evidence for each so far.

    Parameters
    ----------
    units : Units
    low, high : ndarray of int64, shape (cells,)
        The first and last unit of each.
    family : ndarray of int64, shape (cells,)
        Cells that were cut from one have one number.
    excess, precision : ndarray, shape (cells,)
        The sum of excesses, each by its precision, and the sum of those.
    found : tuple of int
        Single values that are proven.
    """

    units: Units
    low: Ints
    high: Ints
    family: Ints
    excess: Floats
    precision: Floats
    found: tuple[int, ...] = ()

    @property
    def widest(self) -> int:
        """The number of units of the widest cell."""
        ends: Iterable[tuple[int, int]] = zip(self.low.tolist(), self.high.tolist(), strict=True)
        return max(high - low + 1 for low, high in ends)


def frequent_values(accountant: Accountant, schema: Schema) -> dict[str, tuple[int, ...]]:
    """Find values that many rows share, in columns whose cells are wider than single values.

    Parameters
    ----------
    accountant : Accountant
        Holds a `Table`; pays a part of its budget where there is such a column.
    schema : Schema
        All domains are known.

    Returns
    -------
    dict of str to tuple of int
        The values of each such column, in its units (`privsynth.declared.Units`).
    """
    columns = [_begun(units) for units in map(units_of, schema) if units and not units.few]
    rounds_of = [1 + math.ceil(math.log(own.widest, PARTS)) for own in columns]
    # What would take more rounds is not looked at: each is paid for by all columns.
    columns = [own for own, n in zip(columns, rounds_of, strict=True) if n <= MAX_ROUNDS]
    if not columns:
        return {}
    rounds = max(n for n in rounds_of if n <= MAX_ROUNDS)
    for _ in range(rounds):
        open_cells = [own for own in columns if len(own.low)]
        if not open_cells:
            break
        sensitivity = counts_sensitivity(len(open_cells))
        scale = accountant.scale(sensitivity, SHARE * accountant.rho / rounds)
        answer = accountant.gaussian(
            "domain",
            "heaps of " + ", ".join(own.units.column.name for own in open_cells),
            partial(_counts, open_cells),
            sensitivity,
            scale,
        )
        ends = np.cumsum([len(own.low) for own in open_cells])[:-1]
        answers = dict(zip(map(id, open_cells), np.split(answer, ends), strict=True))
        columns = [
            _narrowed(own, answers[id(own)].astype(float), scale) if id(own) in answers else own
            for own in columns
        ]
    return {own.units.column.name: tuple(sorted(own.found)) for own in columns}


def _begun(units: Units) -> _Open:
    starts = np.array(units.starts(), dtype=np.int64)
    ends = np.append(starts[1:] - 1, units.high)
    nothing = np.zeros(len(starts))
    return _Open(units, starts, ends, np.zeros(len(starts), np.int64), nothing, nothing)


def _counts(open_cells: Sequence[_Open], table: Table) -> Ints:
    """Count the rows in each cell of each column, in one vector."""
    return np.concatenate([_held(own, table) for own in open_cells])


def _held(own: _Open, table: Table) -> Ints:
    starts = np.unique(np.concatenate([[own.units.low], own.low, own.high + 1]))
    starts = starts[starts <= own.units.high]
    cells = own.units.cells(starts.tolist())
    values, counts, _ = table.value_counts(own.units.column.name)
    cell_counts = np.bincount(cells.encode(values), counts, minlength=cells.size)
    return cell_counts[np.searchsorted(starts, own.low)].astype(np.int64)


def _narrowed(own: _Open, counts: Floats, scale: float) -> _Open:
    """Keep proven single values, and split the likeliest cells further."""
    usual = _usual(counts, own.family)
    variance = scale**2 + np.maximum(usual, 0)
    excess = own.excess + (counts - usual) / variance
    precision = own.precision + 1 / variance
    now = (counts - usual) / np.sqrt(variance)
    every = excess / np.sqrt(precision)
    single = own.low == own.high
    proven = single & (now > SURE) & (every > PROVEN) & (own.precision > 0)
    likely = np.flatnonzero(~single & (now > LIKELY))
    likely = np.sort(likely[np.argsort(-every[likely], kind="stable")[:BEAM]])
    lows, highs = [], []
    for first, last in zip(own.low[likely].tolist(), own.high[likely].tolist(), strict=True):
        starts, ends = _cut(first, last)
        lows.append(starts)
        highs.append(ends)
    of = np.repeat(likely, [len(low) for low in lows])
    return _Open(
        own.units,
        np.concatenate([np.zeros(0, np.int64), *lows]),
        np.concatenate([np.zeros(0, np.int64), *highs]),
        of.astype(np.int64),
        excess[of],
        precision[of],
        (*own.found, *own.low[proven].tolist()),
    )


def _cut(low: int, high: int) -> tuple[Ints, Ints]:
    """Cut a cell into `PARTS` cells, or into single units; return the first and last of each."""
    width = high - low + 1
    steps = np.linspace(0, width, min(PARTS, width), endpoint=False)
    starts = low + steps.astype(np.int64)
    return starts, np.append(starts[1:] - 1, high)


def _usual(counts: Floats, family: Ints) -> Floats:
    """Return a cell's expected count, from its neighbours or from the cells it was split with."""
    usual = np.empty(len(counts))
    for number in np.unique(family).tolist():
        mine = np.flatnonzero(family == number)
        neighbours = np.pad(counts[mine], AROUND, mode="reflect") if len(mine) > AROUND else None
        if neighbours is None:
            usual[mine] = 0.0
            continue
        windows = np.lib.stride_tricks.sliding_window_view(neighbours, 2 * AROUND + 1)
        usual[mine] = np.median(np.delete(windows, AROUND, axis=1), axis=1)
    return usual
