"""The codec of a declared schema: nothing in it depends on the rows.

Levels are those that the schema lists; a number or a date falls in a cell of a grid that depends on
its bounds alone. Every value has a code: one out of bounds that of the nearest cell, an unknown
text that of ``(other)``, and one that cannot be read that of null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding.codec import Codec, Coding, with_determined
from privsynth.coding.determined import mapped
from privsynth.coding.grid import bound_numbers, grid_cells, storage_range
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.reading import comparable, readings
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.coding.values import as_type, plain_type
from privsynth.errors import SchemaError, UsageError, did_you_mean
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source

__all__ = ["check_declared", "declared_codec", "readable_levels"]

MAX_DIGITS = 15
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
    return schema.with_columns(columns)


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
    low, high = bound_numbers(column, bounds)
    if low > high:
        raise SchemaError("bounds are the wrong way round; give [low, high]")
    lowest, highest = storage_range(column)
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
        return grid_cells(column, column.domain, frequent)
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
