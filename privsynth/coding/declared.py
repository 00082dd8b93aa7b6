"""The codec of a declared schema: nothing in it depends on the rows.

Levels are those that the schema lists; a number or a date falls in a cell of a grid that depends on
its bounds alone. Every value has a code: one out of bounds that of the nearest cell, an unknown
text that of ``(other)``, and one that cannot be read that of null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_CELLS, Codec, Coding, with_determined
from privsynth.coding.determined import mapped
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.reading import comparable, readings
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.coding.values import as_type, plain_type
from privsynth.errors import SchemaError, UsageError, did_you_mean
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source

__all__ = ["Units", "check_declared", "declared_codec", "readable_levels", "units_of"]

EVEN = 0.5
"""Share of the edges that are spaced evenly; the rest are denser towards zero."""
FINEST = 1e-4
"""Cells stop getting finer towards zero within this part of the range."""
RESERVED_CELLS = 5
"""Cells set aside for zero, both bounds, and the gaps beside them."""
EXACT = 2**53
"""Up to here a float64 holds every integer."""
MAX_DIGITS = 15
MAX_FLOAT = 1e290
"""Up to here the width of a cell, and a number rounded to its digits, are finite."""
MAX_SHOWN = 10
"""Columns that a message names."""

_USUAL_TYPES = {
    Kind.NUMERIC: "double",
    Kind.INTEGER: "int64",
    Kind.BOOLEAN: "bool",
    Kind.DATETIME: "timestamp[us]",
}


def check_declared(schema: Schema | None, names: Sequence[str], where: str) -> Schema:
    """Check that a schema is complete without the rows.

    Parameters
    ----------
    schema : Schema or None
        The declared columns.
    names : sequence of str
        The table's columns; they are public.
    where : str
        What messages call the table.

    Returns
    -------
    Schema
        The schema; a column whose file gives no storage type has the usual one of its kind.

    Raises
    ------
    UsageError
        There is no schema, or a modelled column has no domain or an inferred one.
    SchemaError
        Schema and table name different columns, or a column's declaration contradicts itself.
    """
    if schema is None:
        raise UsageError(
            f"{where}: a budget needs a schema with declared domains, and none was given; write "
            "one with 'privsynth schema', review it, and give it with --schema"
        )
    missing = [name for name in schema.names if name not in names]
    if missing:
        hint = did_you_mean(missing[0], names)
        raise SchemaError(f"schema: {where} has no column {_listed(missing)}{hint}")
    unnamed = [name for name in names if name not in schema.names]
    if unnamed:
        raise SchemaError(
            f"schema: does not name {_listed(unnamed)} of {where}; declare every column, or leave "
            "those out of the table"
        )
    open_columns = [column.name for column in schema if not _closed(column)]
    if open_columns:
        raise UsageError(
            f"{where}: the domain of {_listed(open_columns)} is not declared, and a budget allows "
            "none that is inferred from the rows; declare 'levels' or 'bounds' with 'source: "
            "declared' in the schema, or say 'source: discovered' to pay for a query that finds it"
        )
    # In the schema's order: that of JSON lines depends on the rows.
    columns = tuple(_with_type(column) for column in schema)
    for column in columns:
        _check_column(column)
    return Schema(columns)


def declared_codec(schema: Schema, frequent: Mapping[str, Sequence[int]] | None = None) -> Codec:
    """Build the codec of a schema whose domains are declared or discovered.

    Parameters
    ----------
    schema : Schema
        A result of `check_declared`, with the discovered domains filled in.
    frequent : mapping of str to sequence of int, optional
        Frequent values of continuous columns, in `Units`; each gets a code of its own.

    Returns
    -------
    Codec
        The last code of each modelled column is null. A column has at most 256 codes, unless it
        has more levels or frequent values.
    """
    target = schema.target
    modelled = {
        column.name: _coding(column, (frequent or {}).get(column.name, ()))
        for column in schema
        if column.determined_by is None
    }
    return Codec(
        with_determined(schema, modelled),
        None if target is None else schema.names.index(target.name),
    )


# Checking


def _closed(column: Column) -> bool:
    """Return whether a column's domain is known without the rows."""
    if column.kind.surrogate or column.determined_by or column.source is Source.DISCOVERED:
        return True
    has_domain = column.domain is not None or column.kind is Kind.BOOLEAN
    return has_domain and column.source is Source.DECLARED


def _with_type(column: Column) -> Column:
    """Return the column with its kind's usual storage type, if the file names none."""
    if column.given is not None and "dtype" not in column.given:
        return replace(column, dtype=_USUAL_TYPES.get(column.kind) or _level_type(column.domain))
    return column


def _level_type(domain: Levels | Bounds | None) -> str:
    kinds = {type(value) for value in domain.values} if isinstance(domain, Levels) else set()
    if kinds == {int}:
        return "int64"
    return "double" if kinds and kinds <= {int, float} else "string"


def _check_column(column: Column) -> None:
    try:
        _check_type(column)
        if column.kind.surrogate:
            return
        if column.determined_by:
            mapped(column)
        elif isinstance(column.domain, Bounds):
            _check_bounds(column, column.domain)
        elif isinstance(column.domain, Levels):
            _check_levels(column, column.domain.values)
    except SchemaError as error:
        raise SchemaError(f"schema, column {column.name!r}: {error}") from None


def _check_type(column: Column) -> None:
    dtype = plain_type(column)
    plain = pa.types.is_integer(dtype) or pa.types.is_floating(dtype)
    expected = {
        Kind.NUMERIC: plain or pa.types.is_decimal(dtype),
        Kind.INTEGER: plain,
        Kind.BOOLEAN: pa.types.is_boolean(dtype),
        Kind.DATETIME: pa.types.is_temporal(dtype),
    }
    if not expected.get(column.kind, True):
        raise SchemaError(
            f"is {column.kind} and stored as {dtype}; give a dtype such as "
            f"{_USUAL_TYPES[column.kind]!r}, or another kind"
        )
    if column.decimals is not None and column.decimals > MAX_DIGITS:
        raise SchemaError(f"has {column.decimals} decimals; give at most {MAX_DIGITS}, or none")
    if column.kind is Kind.DATETIME and column.format is not None:
        import duckdb

        try:
            readings(column, pa.array(["-"]), np.int64)
        except duckdb.Error:
            raise SchemaError(
                "its format is not a strftime pattern; give one, or drop it"
            ) from None


def _check_bounds(column: Column, bounds: Bounds) -> None:
    if not column.kind.continuous:
        raise SchemaError(f"is {column.kind} and has bounds; list its levels instead")
    dates = column.kind is Kind.DATETIME
    ends = (bounds.low, bounds.high)
    if any(isinstance(end, str) is not dates for end in ends):
        expected = "two dates or times in ISO 8601" if dates else "two numbers"
        raise SchemaError(f"is {column.kind}, so its bounds are expected as {expected}")
    if column.kind is Kind.INTEGER and any(end != int(end) for end in ends):
        raise SchemaError("is integer, so its bounds are expected as whole numbers")
    if dates and not readings(column, pa.array(ends), np.int64)[1].all():
        raise SchemaError("a bound is not in ISO 8601; give a date or time such as 2024-01-31")
    low, high = _ends(column, bounds)
    if low > high:
        raise SchemaError("bounds are the wrong way round; give [low, high]")
    lowest, highest = _reach(column)
    if not dates and not lowest <= bounds.low <= bounds.high <= highest:  # type: ignore[operator]
        raise SchemaError(f"its bounds are beyond what {plain_type(column)} holds")


def _check_levels(column: Column, levels: Sequence[Any]) -> None:
    if not levels:
        raise SchemaError("has no levels; list the values that it may take")
    dtype = plain_type(column)
    try:
        values = as_type(list(levels), dtype)
    except (pa.ArrowException, OverflowError, ValueError):
        raise SchemaError(
            f"its levels cannot all be read as {dtype}; mend them or the dtype"
        ) from None
    same = comparable(column, values)
    if same.null_count or pc.count_distinct(same).as_py() < len(levels):
        raise SchemaError(f"two of its levels are the same {dtype}; list each level once")


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MAX_SHOWN])
    return shown + (f" and {len(names) - MAX_SHOWN} more" if len(names) > MAX_SHOWN else "")


# Building


def _coding(column: Column, frequent: Sequence[int]) -> Coding:
    if column.kind.surrogate:
        return SurrogateCodes(column)
    if isinstance(column.domain, Bounds):
        return _grid(column, column.domain, frequent)
    return _levels(column)


def _levels(column: Column) -> LevelCodes:
    domain = column.domain
    levels = domain.values if isinstance(domain, Levels) else (False, True)
    # An unlisted text has no place in an order.
    pooled = pa.types.is_string(plain_type(column)) and column.kind is not Kind.ORDINAL
    if pooled:
        levels = tuple(level for level in levels if level != OTHER)
    return LevelCodes(column, levels, pooled=pooled, nullable=True, total=True)


def readable_levels(column: Column, keys: Sequence[str]) -> tuple[Any, ...]:
    """Return discovered levels in order, without those that the storage type cannot hold.

    Parameters
    ----------
    column : Column
    keys : sequence of str
        Values as `privsynth.coding.reading.comparable` reads them, as text.

    Returns
    -------
    tuple
        Levels as in YAML: text, finite numbers, booleans, and dates in ISO 8601.
    """
    dtype, types = plain_type(column), pa.types
    if types.is_string(dtype):
        return tuple(keys)
    if types.is_boolean(dtype):
        return tuple(level for level in (False, True) if str(level).lower() in keys)
    whole = types.is_integer(dtype) or types.is_temporal(dtype)
    numbers: list[int] | list[float] = [int(key) if whole else float(key) for key in keys]
    levels = (_level(number, dtype) for number in sorted(numbers))
    return tuple(level for level in levels if level is not None)


def _level(number: float, dtype: pa.DataType) -> int | float | str | None:
    """Return a number as a level of the storage type (a tick as ISO 8601), or None."""
    if not math.isfinite(number):
        return None
    try:
        typed = as_type([number], dtype)
        level = str(typed.cast(pa.string())[0]) if pa.types.is_temporal(dtype) else number
        return level if as_type([level], dtype).equals(typed) else None
    except (pa.ArrowException, OverflowError, ValueError):
        return None


def _grid(column: Column, bounds: Bounds, frequent: Sequence[int]) -> Cells:
    """Cut the line between two bounds into cells; zero and both bounds are cells of their own."""
    units = units_of(column)
    if units is None:
        low, high = _ends(column, bounds)
        return _real_cells(column, low, high)
    return units.cells(units.starts(frequent))


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
    low, high = _ends(column, column.domain)
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


def _ends(column: Column, bounds: Bounds) -> tuple[Any, Any]:
    """Return both bounds as numbers that the storage type holds; ticks for a datetime."""
    lowest, highest = _reach(column)
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


def _reach(column: Column) -> tuple[Any, Any]:
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
    second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[dtype.unit]
    if not form or "%S" in form:
        return second
    return 60 * second if "%M" in form else 86_400 * second


def _storage(column: Column) -> type[np.float32] | type[np.float64]:
    """Return the float type that the column stores: cells end at numbers that it can hold."""
    return np.float32 if plain_type(column) == pa.float32() else np.float64
