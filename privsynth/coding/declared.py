"""The codec of a declared schema: nothing about it rests on the rows.

Levels are those that the schema lists; a number or a date falls in a cell of a grid that its
bounds alone decide. The map from values to codes is total: what is out of bounds goes to the
nearest cell, an unknown text to ``(other)``, and what cannot be read to the code of null.
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
from privsynth.coding.values import as_type
from privsynth.errors import SchemaError, UsageError, did_you_mean
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source
from privsynth.table import arrow_type, value_type

__all__ = ["Units", "check_declared", "declared_codec", "readable_levels", "units_of"]

EVEN = 0.5
"""The share of a grid that is spread evenly; the rest is the finer the nearer to zero."""
FINEST = 1e-4
"""The part of the range below which cells get no finer toward zero."""
LEAST = 5
"""Cells kept for zero, both bounds and what lies between them and the rest."""
EXACT = 2**53
MAX_DIGITS = 15
MAX_FLOAT = 1e290
"""So far out the width of a cell, and a number rounded to its digits, are still finite."""
SHOWN = 10

_USUAL = {
    Kind.NUMERIC: "double",
    Kind.INTEGER: "int64",
    Kind.BOOLEAN: "bool",
    Kind.DATETIME: "timestamp[us]",
}


def check_declared(schema: Schema | None, names: Sequence[str], where: str) -> Schema:
    """Refuse a schema that would need the rows to be completed.

    Parameters
    ----------
    schema : Schema or None
        What is declared.
    names : sequence of str
        The table's columns; they are public.
    where : str
        What messages call the table.

    Returns
    -------
    Schema
        A column without a storage type in the file has the usual one of its kind.

    Raises
    ------
    UsageError
        There is no schema, or a column that is modelled has no domain, or one that was inferred.
    SchemaError
        Schema and table name different columns, or a column's declaration contradicts itself.
    """
    if schema is None:
        raise UsageError(
            f"{where}: a budget wants a schema with declared domains, and none was given; write "
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
    # In the schema's order: the names of JSON lines come in the order that rows have them.
    columns = tuple(_settled(column) for column in schema)
    for column in columns:
        _check_column(column)
    return Schema(columns)


def declared_codec(schema: Schema, heaps: Mapping[str, Sequence[int]] | None = None) -> Codec:
    """Build the codec of a schema whose domains are declared or discovered.

    Parameters
    ----------
    schema : Schema
        As `check_declared` gives it, and with what was left to be discovered filled in.
    heaps : mapping of str to sequence of int, optional
        Values of continuous columns, in `Units`, that have a code of their own.

    Returns
    -------
    Codec
        Each column that is modelled ends with the code of null; a column has at most 256 codes
        unless it has more levels, or heaps.
    """
    target = schema.target
    modelled = {
        column.name: _coding(column, (heaps or {}).get(column.name, ()))
        for column in schema
        if column.determined_by is None
    }
    return Codec(
        with_determined(schema, modelled),
        None if target is None else schema.names.index(target.name),
    )


# What is refused


def _closed(column: Column) -> bool:
    """Return whether a column's domain is known without the rows."""
    if column.kind.surrogate or column.determined_by or column.source is Source.DISCOVERED:
        return True
    given = column.domain is not None or column.kind is Kind.BOOLEAN
    return given and column.source is Source.DECLARED


def _settled(column: Column) -> Column:
    """Return the column with its kind's usual storage type, if the file names none."""
    if column.given is not None and "dtype" not in column.given:
        return replace(column, dtype=_USUAL.get(column.kind) or _level_type(column.domain))
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
    dtype = _value_type(column)
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
            f"{_USUAL[column.kind]!r}, or another kind"
        )
    if column.decimals is not None and column.decimals > MAX_DIGITS:
        raise SchemaError(f"has {column.decimals} decimals; give {MAX_DIGITS} at most, or none")
    if column.kind is Kind.DATETIME and column.format is not None:
        import duckdb

        try:
            readings(column, pa.array(["-"]), np.int64)
        except duckdb.Error:
            raise SchemaError("its format is no strftime pattern; give one, or drop it") from None


def _check_bounds(column: Column, bounds: Bounds) -> None:
    if not column.kind.continuous:
        raise SchemaError(f"is {column.kind} and has bounds; list its levels instead")
    dates = column.kind is Kind.DATETIME
    ends = (bounds.low, bounds.high)
    if any(isinstance(end, str) is not dates for end in ends):
        expected = "two dates or times in ISO 8601" if dates else "two numbers"
        raise SchemaError(f"is {column.kind}, so its expected bounds as {expected}")
    if column.kind is Kind.INTEGER and any(end != int(end) for end in ends):
        raise SchemaError("is integer, so its bounds are expected as whole numbers")
    if dates and not readings(column, pa.array(ends), np.int64)[1].all():
        raise SchemaError("a bound is no date or time in ISO 8601, such as 2024-01-31")
    low, high = _ends(column, bounds)
    if low > high:
        raise SchemaError("bounds are the wrong way round; give [low, high]")
    least, most = _reach(column)
    if not dates and not least <= bounds.low <= bounds.high <= most:  # type: ignore[operator]
        raise SchemaError(f"its bounds are beyond what {_value_type(column)} holds")


def _check_levels(column: Column, levels: Sequence[Any]) -> None:
    if not levels:
        raise SchemaError("has no level; list those that it may take")
    dtype = _value_type(column)
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
    shown = ", ".join(repr(name) for name in names[:SHOWN])
    return shown + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


# What is built


def _coding(column: Column, heaps: Sequence[int]) -> Coding:
    if column.kind.surrogate:
        return SurrogateCodes(column)
    if isinstance(column.domain, Bounds):
        return _grid(column, column.domain, heaps)
    return _levels(column)


def _levels(column: Column) -> LevelCodes:
    domain = column.domain
    levels = domain.values if isinstance(domain, Levels) else (False, True)
    # A text that is not listed has no place in an order.
    named = pa.types.is_string(_value_type(column)) and column.kind is not Kind.ORDINAL
    if named:
        levels = tuple(level for level in levels if level != OTHER)
    return LevelCodes(column, levels, pooled=named, nullable=True, total=True)


def readable_levels(column: Column, keys: Sequence[str]) -> tuple[Any, ...]:
    """Return discovered levels in order, without those that the storage type cannot hold.

    Parameters
    ----------
    column : Column
    keys : sequence of str
        What `privsynth.coding.reading.comparable` reads the column's values as, in text.

    Returns
    -------
    tuple
        As YAML holds levels: text, finite numbers, booleans, and dates in ISO 8601.
    """
    dtype, types = _value_type(column), pa.types
    if types.is_string(dtype):
        return tuple(keys)
    if types.is_boolean(dtype):
        return tuple(level for level in (False, True) if str(level).lower() in keys)
    whole = types.is_integer(dtype) or types.is_temporal(dtype)
    numbers: list[int] | list[float] = [int(key) if whole else float(key) for key in keys]
    named = (_named(number, dtype) for number in sorted(numbers))
    return tuple(level for level in named if level is not None)


def _named(number: float, dtype: pa.DataType) -> int | float | str | None:
    """Return a number as a level of the storage type (a tick as ISO 8601), or None."""
    if not math.isfinite(number):
        return None
    try:
        typed = as_type([number], dtype)
        level = str(typed.cast(pa.string())[0]) if pa.types.is_temporal(dtype) else number
        return level if as_type([level], dtype).equals(typed) else None
    except (pa.ArrowException, OverflowError, ValueError):
        return None


def _grid(column: Column, bounds: Bounds, heaps: Sequence[int]) -> Cells:
    """Cut the line between two bounds into cells; zero and both bounds are cells of their own."""
    units = units_of(column)
    if units is None:
        low, high = _ends(column, bounds)
        return _real_cells(column, low, high)
    return units.cells(units.starts(heaps))


@dataclass(frozen=True)
class Units:
    """The whole multiples of a unit on which a column's values lie.

    Parameters
    ----------
    column : Column
    least, most : int
        Both bounds, in units.
    digits : int or None
        Digits after the point of the unit of a numeric column.
    step : int
        The unit of an integer or datetime column.
    """

    column: Column
    least: int
    most: int
    digits: int | None = None
    step: int = 1

    @property
    def few(self) -> bool:
        """Whether every value has a cell of its own."""
        return self.most - self.least < MAX_CELLS - 1

    def starts(self, heaps: Sequence[int] = ()) -> list[int]:
        """Return the first unit of each cell; `heaps` are cells of their own."""
        if self.few:
            return list(range(self.least, self.most + 1))
        edges = _edges(self.column, self.least, self.most, MAX_CELLS - 1 - LEAST)
        starts = {min(max(round(float(edge)), self.least), self.most) for edge in edges}
        starts |= {self.least, self.least + 1, self.most}
        if self.least < 0 < self.most and self.column.kind is not Kind.DATETIME:
            starts |= {0, 1}
        for heap in heaps:
            starts |= {heap, min(heap + 1, self.most)}
        return sorted(starts)

    def cells(self, starts: Sequence[int]) -> Cells:
        """Return the cells that begin where `starts` say; the last ends at the upper bound."""
        ends = [*(start - 1 for start in starts[1:]), self.most]
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
        least, most = -(-int(low) // step), int(high) // step
        if least > most:
            step, least, most = 1, int(low), int(high)
        return Units(column, least, most, None, step)
    digits = _digits(column)
    exact = 2 / np.finfo(_storage(column)).eps
    if digits is None or max(abs(low), abs(high)) * 10.0**digits > exact:
        return None
    unit = 10.0**digits
    least, most = math.ceil(round(low * unit, 3)), math.floor(round(high * unit, 3))
    return None if least > most else Units(column, least, most, digits)


def _real_cells(column: Column, low: float, high: float) -> Cells:
    store = _storage(column)
    edges = _edges(column, low, high, MAX_CELLS - 1 - LEAST).astype(store)
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


def _edges(column: Column, low: float, high: float, most: int) -> npt.NDArray[np.float64]:
    """Spread edges over a range: some evenly, and some denser towards zero.

    Far from zero a cell is then at most ``1 / (EVEN * most)`` of the range wide; near to it, a
    small part of the numbers that it holds.
    """
    if column.kind is Kind.DATETIME or not low < high:
        return np.linspace(low, high, most + 1)
    wide = float(high) / 2 - float(low) / 2
    near = min(max(low, 0), high)
    scale = max(wide * FINEST, abs(float(near)), np.finfo(np.float64).tiny)
    scale = max(scale, 1.0) if isinstance(low, int) else scale

    def place(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        apart = at - near
        return np.asarray(np.sign(apart) * np.log1p(np.abs(apart) / scale))

    first, last = place(np.array([low, high], dtype=np.float64))
    ladder = np.linspace(first, last, 16 * most)
    climbed = near + np.sign(ladder) * scale * np.expm1(np.abs(ladder))
    at = np.unique(np.clip(np.concatenate([climbed, np.linspace(low, high, 16 * most)]), low, high))
    even = (at / 2 - low / 2) / wide
    share = EVEN * even + (1 - EVEN) * (place(at) - first) / (last - first)
    return np.asarray(np.interp(np.linspace(0, 1, most + 1), share, at))


def _ends(column: Column, bounds: Bounds) -> tuple[Any, Any]:
    """Return both bounds as numbers that the storage type holds; ticks for a datetime."""
    least, most = _reach(column)
    if column.kind is Kind.DATETIME:
        ticks, valid = readings(column, pa.array([bounds.low, bounds.high]), np.int64)
        low, high = (
            int(tick) if there else end
            for tick, there, end in zip(ticks, valid, (least, most), strict=True)
        )
    else:
        low, high = bounds.low, bounds.high
    low, high = (min(max(end, least), most) for end in (low, high))
    return (low, high) if column.kind is not Kind.NUMERIC else (float(low), float(high))


def _reach(column: Column) -> tuple[Any, Any]:
    """Return the least and greatest number that the storage type holds."""
    dtype = _value_type(column)
    if pa.types.is_decimal(dtype):
        # A float may lie above the decimal that it stands for, so one digit is left.
        most = 10.0 ** (dtype.precision - dtype.scale - 1) * 9
        return -most, most
    if pa.types.is_floating(dtype):
        if column.kind is Kind.INTEGER:
            exact = 2**24 if dtype == pa.float32() else EXACT
            return -exact, exact
        most = float(np.finfo(np.float32).max) / 2 if dtype == pa.float32() else MAX_FLOAT
        return -most, most
    if pa.types.is_integer(dtype):
        limits = np.iinfo(str(dtype))
        return int(limits.min), min(int(limits.max), 2**63 - 1)
    width = np.iinfo(np.int32 if dtype.bit_width == 32 else np.int64)
    return int(width.min), int(width.max)


def _digits(column: Column) -> int | None:
    """Return the digits after the point of a numeric column's values, if they are fixed."""
    dtype = _value_type(column)
    if pa.types.is_integer(dtype):
        return 0
    if pa.types.is_decimal(dtype):
        scale = int(dtype.scale)
        return scale if column.decimals is None else min(scale, column.decimals)
    return column.decimals


def _tick(column: Column) -> int:
    """Return the step of a column's grid: a second, unless its format is coarser or finer."""
    dtype, form = _value_type(column), column.format or ""
    if not pa.types.is_timestamp(dtype) or any(part in form for part in ("%f", "%g", "%n")):
        return 1
    second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[dtype.unit]
    if not form or "%S" in form:
        return second
    return 60 * second if "%M" in form else 86_400 * second


def _storage(column: Column) -> type[np.float32] | type[np.float64]:
    """Round to floats of the storage type, so that no value leaves its cell."""
    return np.float32 if _value_type(column) == pa.float32() else np.float64


def _value_type(column: Column) -> pa.DataType:
    return value_type(arrow_type(column.dtype))
