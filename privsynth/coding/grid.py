"""The grid of a declared continuous column: its cells, which depend on its bounds alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_CELLS
from privsynth.coding.reading import readings
from privsynth.coding.values import TICKS, plain_type
from privsynth.schema import Bounds, Column, Kind

__all__ = ["Units", "bound_numbers", "grid_cells", "storage_range", "units_of"]

EVEN = 0.5
"""Share of the edges that are spaced evenly; the rest are denser towards zero."""
FINEST = 1e-4
"""Cells stop getting finer towards zero within this part of the range."""
RESERVED_CELLS = 5
"""Cells set aside for zero, both bounds, and the gaps beside them."""
EXACT = 2**53
"""Up to here a float64 holds every integer."""
MAX_FLOAT = 1e290
"""Up to here the width of a cell, and a number rounded to its digits, are finite."""


@dataclass(frozen=True)
class Units:
    """The grid of a bounded continuous column: its values are multiples of a unit.

    Parameters
    ----------
    column : Column
    low, high : int
        Both bounds, in units.
    digits : int or None
        Digits after the point of the unit of a numeric column.
    step : int
        The unit of an integer or datetime column.
    """

    column: Column
    low: int
    high: int
    digits: int | None = None
    step: int = 1

    @property
    def few(self) -> bool:
        """Whether every value has a cell of its own."""
        return self.high - self.low < MAX_CELLS - 1

    def starts(self, frequent: Sequence[int] = ()) -> list[int]:
        """Return the first unit of each cell; each of `frequent` is a cell of its own."""
        if self.few:
            return list(range(self.low, self.high + 1))
        edges = _edges(self.column, self.low, self.high, MAX_CELLS - 1 - RESERVED_CELLS)
        starts = {min(max(round(float(edge)), self.low), self.high) for edge in edges}
        starts |= {self.low, self.low + 1, self.high}
        if self.low < 0 < self.high and self.column.kind is not Kind.DATETIME:
            starts |= {0, 1}
        for value in frequent:
            starts |= {value, min(value + 1, self.high)}
        return sorted(starts)

    def cells(self, starts: Sequence[int]) -> Cells:
        """Return the cells with these first units; the last ends at the upper bound."""
        ends = [*(start - 1 for start in starts[1:]), self.high]
        if self.digits is None:
            first, last = ([at * self.step for at in ats] for ats in (starts, ends))
            whole = _cells(self.column, np.array(first, np.int64), np.array(last, np.int64))
            return replace(whole, step=self.step)
        unit, store = 10.0**self.digits, _storage(self.column)
        low, high = (np.round(np.array(at) / unit, self.digits) for at in (starts, ends))
        return _cells(self.column, low.astype(store), high.astype(store))


def units_of(column: Column) -> Units | None:
    """Return the units of a bounded continuous column; None if its values lie on no grid."""
    if not isinstance(column.domain, Bounds):
        return None
    low, high = bound_numbers(column, column.domain)
    if column.kind is not Kind.NUMERIC:
        step = _tick(column)
        first, last = -(-int(low) // step), int(high) // step
        if first > last:
            step, first, last = 1, int(low), int(high)
        return Units(column, first, last, None, step)
    digits = _digits(column)
    exact = 2 / np.finfo(_storage(column)).eps
    if digits is None or max(abs(low), abs(high)) * 10.0**digits > exact:
        return None
    unit = 10.0**digits
    first, last = math.ceil(round(low * unit, 3)), math.floor(round(high * unit, 3))
    return None if first > last else Units(column, first, last, digits)


def grid_cells(column: Column, bounds: Bounds, frequent: Sequence[int]) -> Cells:
    """Cut the line between two bounds into cells; zero and both bounds are cells of their own."""
    units = units_of(column)
    if units is None:
        low, high = bound_numbers(column, bounds)
        return _real_cells(column, low, high)
    return units.cells(units.starts(frequent))


def _real_cells(column: Column, low: float, high: float) -> Cells:
    store = _storage(column)
    edges = _edges(column, low, high, MAX_CELLS - 1 - RESERVED_CELLS).astype(store)
    atoms = np.array([low, high, *([0.0] if low < 0 < high else [])]).astype(store)
    starts = np.unique(np.concatenate([edges, atoms, np.nextafter(atoms, store(np.inf))]))
    starts = starts[(atoms[0] <= starts) & (starts <= atoms[1])] + store(0.0)
    ends = np.append(np.nextafter(starts[1:], store(-np.inf)), starts[-1:]) + store(0.0)
    return _cells(column, starts, ends)


def _cells(column: Column, low: npt.NDArray[Any], high: npt.NDArray[Any]) -> Cells:
    if low.dtype != np.int64:
        low, high = low.astype(np.float64), high.astype(np.float64)
    mid = np.clip(low / 2 + high / 2, low.astype(np.float64), high.astype(np.float64))
    return Cells(column, low, high, mid, nullable=True, total=True)


def _edges(column: Column, low: float, high: float, cells: int) -> npt.NDArray[np.float64]:
    """Spread edges over a range: some evenly, and some denser towards zero.

    Far from zero a cell is at most ``1 / (EVEN * cells)`` of the range wide; near zero, its width
    is a small part of its values.
    """
    if column.kind is Kind.DATETIME or not low < high:
        return np.linspace(low, high, cells + 1)
    wide = float(high) / 2 - float(low) / 2
    near = min(max(low, 0), high)
    scale = max(wide * FINEST, abs(float(near)), np.finfo(np.float64).tiny)
    scale = max(scale, 1.0) if isinstance(low, int) else scale

    def place(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        apart = at - near
        return np.asarray(np.sign(apart) * np.log1p(np.abs(apart) / scale))

    first, last = place(np.array([low, high], dtype=np.float64))
    ladder = np.linspace(first, last, 16 * cells)
    climbed = near + np.sign(ladder) * scale * np.expm1(np.abs(ladder))
    at = np.unique(
        np.clip(np.concatenate([climbed, np.linspace(low, high, 16 * cells)]), low, high)
    )
    even = (at / 2 - low / 2) / wide
    share = EVEN * even + (1 - EVEN) * (place(at) - first) / (last - first)
    return np.asarray(np.interp(np.linspace(0, 1, cells + 1), share, at))


def bound_numbers(column: Column, bounds: Bounds) -> tuple[Any, Any]:
    """Return both bounds as numbers that the storage type holds; ticks for a datetime."""
    lowest, highest = storage_range(column)
    if column.kind is Kind.DATETIME:
        ticks, valid = readings(column, pa.array([bounds.low, bounds.high]), np.int64)
        low, high = (
            int(tick) if readable else end
            for tick, readable, end in zip(ticks, valid, (lowest, highest), strict=True)
        )
    else:
        low, high = bounds.low, bounds.high
    low, high = (min(max(end, lowest), highest) for end in (low, high))
    return (low, high) if column.kind is not Kind.NUMERIC else (float(low), float(high))


def storage_range(column: Column) -> tuple[Any, Any]:
    """Return the least and greatest number that the storage type holds."""
    dtype = plain_type(column)
    if pa.types.is_decimal(dtype):
        # A float may exceed the decimal that it stands for, so one digit is left free.
        highest = 10.0 ** (dtype.precision - dtype.scale - 1) * 9
        return -highest, highest
    if pa.types.is_floating(dtype):
        if column.kind is Kind.INTEGER:
            exact = 2**24 if dtype == pa.float32() else EXACT
            return -exact, exact
        highest = float(np.finfo(np.float32).max) / 2 if dtype == pa.float32() else MAX_FLOAT
        return -highest, highest
    if pa.types.is_integer(dtype):
        limits = np.iinfo(str(dtype))
        return int(limits.min), min(int(limits.max), 2**63 - 1)
    width = np.iinfo(np.int32 if dtype.bit_width == 32 else np.int64)
    return int(width.min), int(width.max)


def _digits(column: Column) -> int | None:
    """Return the digits after the point of a numeric column's values, if they are fixed."""
    dtype = plain_type(column)
    if pa.types.is_integer(dtype):
        return 0
    if pa.types.is_decimal(dtype):
        scale = int(dtype.scale)
        return scale if column.decimals is None else min(scale, column.decimals)
    return column.decimals


def _tick(column: Column) -> int:
    """Return the step of a column's grid: a second, unless its format is coarser or finer."""
    dtype, form = plain_type(column), column.format or ""
    if not pa.types.is_timestamp(dtype) or any(part in form for part in ("%f", "%g", "%n")):
        return 1
    second = TICKS[dtype.unit]
    if not form or "%S" in form:
        return second
    return 60 * second if "%M" in form else 86_400 * second


def _storage(column: Column) -> type[np.float32] | type[np.float64]:
    """Return the float type that the column stores: cells end at numbers that it can hold."""
    return np.float32 if plain_type(column) == pa.float32() else np.float64
