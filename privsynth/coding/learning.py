"""Learn a codec from the rows of a table, under disclosure control."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_CELLS, Codec, Coding, with_determined
from privsynth.coding.determined import DeterminedCodes
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.coding.values import TICKS, as_type, decoded, numbers_of, scalar_array
from privsynth.errors import DataError, warn
from privsynth.privacy import Disclosure
from privsynth.schema import (
    Bounds,
    Column,
    Kind,
    Levels,
    Schema,
    clipped,
    level_values,
    round_numbers,
)
from privsynth.table import Support, Table, arrow_type

__all__ = ["learn"]


def learn(table: Table, schema: Schema, disclosure: Disclosure) -> Codec:
    """Learn the codec of a table: each cell and level is held by at least k units.

    Parameters
    ----------
    table : Table
        The training rows.
    schema : Schema
        Kinds and domains; a domain may be narrowed, never widened.
    disclosure : Disclosure
        The disclosure control to obey.

    Raises
    ------
    DataError
        A column's values do not fit its declared kind.
    SchemaError
        The mapping of a determined column does not fit the coding of the other column.
    """
    names = schema.names
    target = schema.target
    modelled = {
        column.name: _learn_column(table, column, disclosure.k)
        for column in schema
        if column.determined_by is None
    }
    codings = with_determined(schema, modelled)
    for coding in codings:
        if isinstance(coding, DeterminedCodes):
            _warn_of_contradictions(table, coding)
    return Codec(codings, None if target is None else names.index(target.name))


def _warn_of_contradictions(table: Table, coding: DeterminedCodes) -> None:
    """Warn when rows hold another value than the mapping of a determined column gives."""
    rows = table.to_arrow([coding.by.name, coding.name])
    expected, actual = decoded(coding.follow(rows.column(0))), decoded(rows.column(1))
    same = pc.fill_null(pc.equal(expected, actual), False)
    both = pc.and_(expected.is_null(), actual.is_null())
    others = len(actual) - (pc.sum(pc.or_(same, both)).as_py() or 0)
    if others:
        warn(
            f"{table.name}, column {coding.name!r}: {others} of {len(actual)} rows hold another "
            f"value than the one that 'mapping' gives for their {coding.by.name!r}; rows that are "
            "drawn follow the mapping"
        )


def _learn_column(table: Table, column: Column, k: int) -> Coding:
    values, counts, _ = table.value_counts(column.name)
    support = table.support(column.name)
    nullable = bool(support.nulls >= k)
    if support.total < k:
        return LevelCodes(column, (), nullable=True)
    if column.kind.surrogate:
        distinct = None if column.unique else len(values)
        share = round(len(values) / int(counts.sum()), 3)
        return SurrogateCodes(column, distinct, share, nullable, _id_offset(column, values))
    if column.kind.continuous and not isinstance(column.domain, Levels):
        dtype = np.dtype(np.float64 if column.kind is Kind.NUMERIC else np.int64)
        try:
            numbers, _ = numbers_of(values, dtype)
        except pa.ArrowInvalid:
            raise DataError(
                f"{table.name}, column {column.name!r}: holds whole numbers of 2**63 or more; "
                "store them as text or as float64"
            ) from None
        if not np.isfinite(numbers).all():
            raise DataError(
                f"{table.name}, column {column.name!r}: holds an infinite value; "
                "replace it by a number or leave it empty"
            )
        return _cells(column, numbers, counts, support, k, nullable)
    return _levels(column, values, counts, support, k, nullable)


def _id_offset(column: Column, values: pa.Array) -> int:
    """Return the first power of ten above every integer id, if the storage type can hold it."""
    if column.kind is not Kind.ID or not pa.types.is_integer(values.type):
        return 0
    above = 10 ** len(str(abs(pc.max(values).as_py())))
    return above if 10 * above < 2 ** (values.type.bit_width - 1) else 0


def _levels(
    column: Column,
    values: pa.Array,
    counts: npt.NDArray[np.int64],
    support: Support,
    k: int,
    nullable: bool,
) -> LevelCodes:
    plain = decoded(values)
    kept = support.units >= k
    if isinstance(column.domain, Levels):
        listed = as_type(list(column.domain.values), plain.type)
        places = pc.index_in(listed, value_set=plain)
        there, at = np.asarray(places.is_valid()), np.asarray(pc.fill_null(places, 0))
        held = there & kept[at]
        levels = [v for v, is_held in zip(column.domain.values, held, strict=True) if is_held]
        named = np.zeros(len(kept), dtype=bool)
        named[at[held]] = True
    else:
        order = np.flatnonzero(kept)
        order = order[np.argsort(-counts[order], kind="stable")]
        levels = level_values(plain.take(pa.array(order)))
        named = kept
    texts = pa.types.is_string(plain.type)
    pooled = texts and bool(support.shares[~named].sum() >= k) and OTHER not in levels
    if not levels and not pooled:
        return LevelCodes(column, (), nullable=True)
    return LevelCodes(column, tuple(levels), pooled, nullable)


@dataclass(frozen=True, eq=False)
class _Line:
    """The distinct numbers of a column, ascending, with what holds each.

    Parameters
    ----------
    values : ndarray of int64 or float64
    rows : ndarray of int64
        The rows that hold each, or a value beyond the bound that it is.
    inner_rows, units : ndarray
        The rows and the units that hold exactly this value.
    shares, inner_shares : ndarray
        See `Support`; with, and without, values beyond the bounds.
    """

    values: npt.NDArray[Any]
    rows: npt.NDArray[np.int64]
    inner_rows: npt.NDArray[np.int64]
    units: npt.NDArray[np.int64]
    shares: npt.NDArray[Any]
    inner_shares: npt.NDArray[Any]

    @classmethod
    def clipped(
        cls,
        numbers: npt.NDArray[Any],
        counts: npt.NDArray[np.int64],
        support: Support,
        low: Any,
        high: Any,
    ) -> Self:
        """Move numbers beyond the bounds to them.

        Rows clipped to a bound fall in the cell at the bound, but do not make the bound an atom.
        """
        inner = (low <= numbers) & (numbers <= high)
        within = np.clip(numbers, low, high)
        first = np.flatnonzero(np.concatenate([[True], within[1:] != within[:-1]]))
        rows, inner_rows, units, shares, inner_shares = (
            np.add.reduceat(of_value, first)
            for of_value in (
                counts,
                counts * inner,
                support.units * inner,
                support.shares,
                support.shares * inner,
            )
        )
        return cls(within[first], rows, inner_rows, units, shares, inner_shares)

    def units_of(self, codes: npt.NDArray[np.integer], cells: int) -> npt.NDArray[Any]:
        """Return a lower bound of the units that hold the values of each cell."""
        return self._at_least(codes, cells, self.shares)

    def inner_units_of(self, codes: npt.NDArray[np.integer], cells: int) -> npt.NDArray[Any]:
        """Return the same without values beyond the bounds."""
        return self._at_least(codes, cells, self.inner_shares)

    def _at_least(
        self, codes: npt.NDArray[np.integer], cells: int, shares: npt.NDArray[Any]
    ) -> npt.NDArray[Any]:
        together = np.bincount(codes, weights=shares, minlength=cells)
        single = np.zeros(cells)
        np.maximum.at(single, codes, self.units)
        return np.asarray(np.maximum(together, single))


def _cells(
    column: Column,
    numbers: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    support: Support,
    k: int,
    nullable: bool,
) -> Cells:
    """Cut the line into atoms of at least k units and intervals of at least k units between them.

    `numbers` are the distinct values, ascending, and `counts` the number of rows of each.
    """
    step = _step(column, numbers, support, k)
    if support.total < 2 * k:
        at = _atoms_of_few(numbers, counts, support, k)
        return Cells(column, at, at, at.astype(float), step, nullable)
    line = _Line.clipped(numbers, counts, support, *_limits(column, numbers, support, k))
    values = line.values
    per = max(k, -(-int(line.rows.sum()) // MAX_CELLS))
    atom = (line.units >= k) & (line.inner_rows >= (k if len(values) <= MAX_CELLS else per))
    starts, ends = _runs(atom, line, k, per)
    single = (starts == ends) & (line.units[starts] >= k)
    lows, highs = _edges(values, starts, ends, single)
    lows, highs = _on_grid(lows, highs, single, step, column.decimals)
    cells = _without_small(Cells(column, lows, highs, lows.astype(float), step), line, k)
    return replace(cells, mid=_balance(cells, line, k), nullable=nullable)


def _atoms_of_few(
    numbers: npt.NDArray[Any], counts: npt.NDArray[np.int64], support: Support, k: int
) -> npt.NDArray[Any]:
    """Return the atoms of fewer than 2k units; without any, a round number near the median."""
    if (support.units >= k).any():
        return numbers[support.units >= k]
    first, middle, last = np.repeat(numbers, counts)[
        [counts.sum() // 4, counts.sum() // 2, 3 * counts.sum() // 4]
    ]
    grid = 10.0 ** np.ceil(np.log10(max(float(last - first), 1e-12)))
    return np.asarray([round(float(middle) / grid) * grid]).astype(numbers.dtype)


def _limits(column: Column, numbers: npt.NDArray[Any], support: Support, k: int) -> tuple[Any, Any]:
    """Return the bounds to clip to: the schema's, narrowed to the k-th unit from each end."""
    low, high = clipped(numbers, support, k, round_numbers)
    if not isinstance(column.domain, Bounds):
        return low, high
    stated_low, stated_high = (
        numbers_of(scalar_array(column, end), numbers.dtype)[0][0]
        for end in (column.domain.low, column.domain.high)
    )
    disjoint = stated_low > high or stated_high < low
    return (stated_low, stated_high) if disjoint else (max(low, stated_low), min(high, stated_high))


def _runs(
    atom: npt.NDArray[np.bool_], line: _Line, k: int, per: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the first and last value of each cell; runs of fewer than k units get none."""
    rows = [0, *np.cumsum(line.rows).tolist()]
    units = [0, *np.cumsum(line.shares).tolist()]
    cells: list[tuple[int, int]] = []
    start = 0
    for stop in [*np.flatnonzero(atom).tolist(), len(atom)]:
        while start < stop and units[stop] - units[start] >= k:
            end = max(bisect_left(rows, rows[start] + per), bisect_left(units, units[start] + k))
            end = min(end, stop)
            if rows[stop] - rows[end] < per or units[stop] - units[end] < k:
                end = stop
            cells.append((start, end - 1))
            start = end
        if stop < len(atom):
            cells.append((stop, stop))
        start = stop + 1
    pairs = np.array(cells, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _edges(
    values: npt.NDArray[Any],
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
    single: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Move the ends of intervals to the roundest numbers nearby, so that none is a row's own value.

    An end moves by at most an eighth of the cell beside it, or up to the atom beside it.
    """
    first, last = values[starts], values[ends]
    whole = values.dtype == np.int64
    reach = (last - first) // 8 if whole else (last - first) / 8
    left = np.where(single, last, last - reach)[:-1]
    right = np.where(single, first, first + reach)[1:]
    gaps = _round_between(np.minimum(left, right - whole), right)
    low = np.where(single, first, np.concatenate([values[:1], gaps]))
    high = np.where(single, first, np.concatenate([gaps - whole, values[-1:]]))
    return low, np.maximum(low, high)


def _on_grid(
    low: npt.NDArray[Any],
    high: npt.NDArray[Any],
    single: npt.NDArray[np.bool_],
    step: int,
    decimals: int | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Shrink intervals to the column's grid, if they contain a point of it.

    Neighbours may not share a point of the grid: a value drawn in one would encode as the other.
    """
    if low.dtype == np.int64:
        up, down = -(-low // step) * step, high // step * step
    elif decimals is not None:
        grid = 10.0**decimals
        up = np.round(np.ceil(np.round(low * grid, 3)) / grid, decimals)
        below = np.round((np.ceil(np.round(high * grid, 3)) - 1) / grid, decimals)
        down = np.append(below[:-1], high[-1:])
    else:
        return low, high
    fits = (up <= down) & ~single
    return np.where(fits, up, low), np.where(fits, down, high)


def _without_small(cells: Cells, line: _Line, k: int) -> Cells:
    """Drop cells that hold fewer than k units once each value goes to its nearest cell."""
    while True:
        units = line.units_of(cells._spans(line.values), len(cells.low))
        if (units >= k).all():
            return cells
        # One at a time, the smallest first: its rows may bring a neighbour to k.
        kept = np.arange(len(units)) != int(units.argmin())
        cells = replace(cells, low=cells.low[kept], high=cells.high[kept], mid=cells.mid[kept])


def _balance(cells: Cells, line: _Line, k: int) -> npt.NDArray[np.float64]:
    """Return each cell's mean, rounded to a hundredth of its width so that it reveals no row.

    Rows clipped to a bound are left out: where they lie is unknown.
    """
    codes, size = cells._spans(line.values), len(cells.low)
    rows = np.bincount(codes, weights=line.inner_rows, minlength=size)
    total = np.bincount(codes, weights=line.values.astype(float) * line.inner_rows, minlength=size)
    few = line.inner_units_of(codes, size) < k
    low, high = cells.low.astype(float), cells.high.astype(float)
    means = np.where(few, low / 2 + high / 2, total / np.maximum(rows, 1))
    width = np.where(high > low, high - low, 1.0)
    mid = low + np.round((np.clip(means, low, high) - low) / width, 2) * width
    return np.asarray(np.clip(mid, low, high))


def _round_between(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the roundest number in each gap: above `left`, below `right` (or at it, for int)."""
    if left.dtype == np.int64:
        powers = 10 ** np.arange(19, dtype=np.int64)[:, None]
        coarse = right // powers * powers
        fits = coarse > left
    else:
        middle = left / 2 + right / 2
        grids = 10.0 ** np.arange(17, -18, -1)[:, None]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            coarse = np.round(middle * grids) / grids
            fits = (left < coarse) & (coarse < right)
        finest = np.where(left < middle, middle, right)
        coarse, fits = np.vstack([finest, coarse]), np.vstack([np.ones_like(left, bool), fits])
    coarsest = len(fits) - 1 - fits[::-1].argmax(axis=0)
    return np.asarray(np.take_along_axis(coarse, coarsest[None], axis=0)[0])


def _step(column: Column, numbers: npt.NDArray[Any], support: Support, k: int) -> int:
    """Return the coarsest usual step that all but fewer than k units' integers or dates have."""
    if numbers.dtype != np.int64:
        return 1
    steps: tuple[int, ...] = (1000, 500, 100, 50, 25, 10, 5)
    dtype = arrow_type(column.dtype)
    if pa.types.is_timestamp(dtype) or pa.types.is_time(dtype) or pa.types.is_duration(dtype):
        second = TICKS[dtype.unit]
        grid = [86_400 * second, 3600 * second, 60 * second, second, second // 1000]
        steps = tuple(tick for tick in grid if tick > 1)
    elif column.kind is Kind.DATETIME:
        return 1
    return next((step for step in steps if support.shares[numbers % step != 0].sum() < k), 1)
