"""Storage types: their names, casting columns to them, and converting tables to frames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from privsynth.errors import DataError, SchemaError, UsageError, did_you_mean
from privsynth.table.limits import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FRAMES",
    "PER_DAY",
    "YEARS",
    "arrow_type",
    "check_names",
    "clean",
    "clean_batches",
    "decoded",
    "is_text",
    "null_where_not",
    "storage_schema",
    "subschema",
    "to_frame",
    "value_type",
]

FRAMES = ("pandas", "polars", "arrow")
MAX_SHOWN = 60
"""Maximum characters of an unknown type that a message repeats."""

MAX_DIGITS = 38
"""Maximum digits of a decimal, which 128 bits can hold."""

YEARS = (-719_162, 2_932_896)
"""The first day of year 1 and the last day of year 9999, counted from 1970-01-01."""
PER_DAY = {"D": 1, "s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
"""Units per day."""
_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_OFFSET = re.compile(r"([+-]\d\d):?(\d\d)?")
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=int32, ordered=([01])>")


@lru_cache(maxsize=256)
def arrow_type(dtype: str) -> pa.DataType:
    """Return the Arrow type whose ``str`` is `dtype`.

    Raises
    ------
    SchemaError
        It is not a type that a `Table` yields.
    """
    import pyarrow as pa

    plain = {str(kind): kind for kind in _plain_types()}
    if dtype in plain:
        return plain[dtype]
    match = _TIMESTAMP.fullmatch(dtype)
    if match and _is_zone(match[2]):
        return pa.timestamp(match[1], tz=match[2])
    match = _DICTIONARY.fullmatch(dtype)
    if match and not _DICTIONARY.fullmatch(match[1]):
        return pa.dictionary(pa.int32(), arrow_type(match[1]), ordered=match[2] == "1")
    try:
        if match := _DECIMAL.fullmatch(dtype):
            make = pa.decimal128 if match[1] == "128" else pa.decimal256
            return make(int(match[2]), int(match[3]))
    except (ValueError, OverflowError):
        pass
    names = [*plain, "timestamp[us]", "timestamp[us, tz=UTC]", "decimal128(10, 2)"]
    raise SchemaError(
        f"unknown dtype {dtype[:MAX_SHOWN]!r}{did_you_mean(dtype[:MAX_SHOWN], names)}"
    )


def storage_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """Return the schema in which a table stores the columns of `schema`.

    Parameters
    ----------
    schema : pyarrow.Schema
        The schema of a file or frame.
    name : str
        The name of the table in messages.

    Raises
    ------
    DataError
        There are no columns, a name is blank or repeated, or a type is not one of plain values.
    """
    import pyarrow as pa

    check_names(schema.names, name)
    return pa.schema([(entry.name, _storage_type(entry, name)) for entry in schema])


def check_names(names: list[str], name: str) -> None:
    """Refuse a table with no or too many columns, and names that are blank or repeated."""
    if not names:
        raise DataError(f"{name}: has no columns; expected at least one")
    if len(names) > COLUMNS:
        raise DataError(
            f"{name}: has {len(names)} columns; expected {COLUMNS} at most; leave some out"
        )
    for position, column in enumerate(names, 1):
        if not column.strip():
            raise DataError(
                f"{name}: column {position} has no name; name it in the header, or leave it out "
                "(pandas: to_csv(index=False))"
            )
    column, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{name}: column {column!r} is in the header {times} times; "
            "give each column its own name"
        )


def clean(
    batch: pa.RecordBatch,
    schema: pa.Schema,
    name: str,
    *,
    first_row: int = 1,
    total: bool = False,
) -> pa.RecordBatch:
    """Validate a batch, or a table, and cast it to its storage types; NaN becomes null.

    Nothing may be computed on a batch of a file or of a caller before this: Arrow's kernels trust
    offsets and codes, and crash the process if these are wrong. A dictionary array of text stays
    one, although text is stored without a dictionary.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table
    schema : pyarrow.Schema
        Some or all columns of a `storage_schema`.
    name : str
        The name of the table in messages.
    first_row : int
        The number of the first row in messages.
    total : bool
        Treat text that is not UTF-8, and a time outside the years 1 to 9999, as missing instead
        of refusing it.

    Raises
    ------
    DataError
        A column is damaged, or contains a time outside the years 1 to 9999.
    """
    columns = []
    for entry in schema:
        place = f"{name}, column {entry.name!r}"
        column = _validated(batch.column(entry.name), place, total)
        column = _within_range(column, place, first_row, total)
        columns.append(_clean_column(column, entry.type))
    return type(batch).from_arrays(columns, names=schema.names)


def clean_batches(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, name: str, *, total: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a scan, each cleaned, rows numbered from 1; see `clean`."""
    row = 1
    for batch in batches:
        yield clean(batch, schema, name, first_row=row, total=total)
        row += batch.num_rows


def subschema(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    """Return the schema of some columns, in the given order."""
    import pyarrow as pa

    return pa.schema([schema.field(column) for column in columns])


def value_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, whether or not they are dictionary-encoded."""
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def decoded(column: Any) -> Any:
    """Return an array without its dictionary."""
    import pyarrow as pa

    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's three types of text."""
    import pyarrow as pa

    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def to_frame(table: pa.Table, frame: str) -> Any:
    """Convert an Arrow table to the caller's kind of frame.

    Parameters
    ----------
    table : pyarrow.Table
    frame : {"pandas", "polars", "arrow"}

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        In pandas, integer and boolean columns with nulls have the nullable types (``Int64``,
        ``boolean``), so that no integer loses digits. In polars, which has no fixed offsets such
        as +02:00, times with one are in UTC.
    """
    if frame == "arrow":
        return table
    if frame == "polars":
        import polars as pl

        return pl.from_arrow(table.cast(_in_known_zones(table.schema)))
    if frame == "pandas":
        import pandas as pd

        columns = {name: _to_series(table[name]) for name in table.column_names}
        return pd.DataFrame(columns, copy=False)
    raise UsageError(f"unknown kind of frame {frame!r}{did_you_mean(frame, FRAMES)}")


def _in_known_zones(schema: pa.Schema) -> pa.Schema:
    """Return a schema with UTC in place of fixed offsets."""
    import pyarrow as pa

    for i, entry in enumerate(schema):
        if pa.types.is_timestamp(entry.type) and _OFFSET.fullmatch(entry.type.tz or ""):
            schema = schema.set(i, entry.with_type(pa.timestamp(entry.type.unit, "UTC")))
    return schema


def _plain_types() -> list[pa.DataType]:
    import pyarrow as pa

    integers = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
    unsigned = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    others = [pa.bool_(), pa.float32(), pa.float64(), pa.string(), pa.date32()]
    return [*integers, *unsigned, *others]


def _storage_type(entry: pa.Field, name: str) -> pa.DataType:
    import pyarrow as pa

    kind, types = entry.type, pa.types
    if types.is_dictionary(kind) and not types.is_dictionary(kind.value_type):
        values = _storage_type(pa.field(entry.name, kind.value_type), name)
        return pa.dictionary(pa.int32(), values, ordered=kind.ordered)
    if is_text(kind) or types.is_null(kind) or types.is_time(kind):
        return pa.string()
    if types.is_date64(kind):
        return pa.date32()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal(kind) and kind.precision <= MAX_DIGITS and kind.scale >= 0:
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_decimal(kind):
        raise DataError(
            f"{name}, column {entry.name!r}: holds {kind}; expected decimals of {MAX_DIGITS} "
            "digits at most, and a scale of 0 or more; turn it into floats or text"
        )
    if types.is_timestamp(kind) and (offset := _OFFSET.fullmatch(kind.tz or "")):
        kind = pa.timestamp(kind.unit, f"{offset[1]}:{offset[2] or '00'}")
    if types.is_timestamp(kind) and not _is_zone(kind.tz):
        raise DataError(
            f"{name}, column {entry.name!r}: holds times of an unknown time zone; give it one such "
            "as UTC, +02:00 or Europe/Berlin"
        )
    if types.is_timestamp(kind) or kind in _plain_types():
        return kind
    # The full name of a nested type contains the names of its fields, which rows may decide.
    raise DataError(
        f"{name}, column {entry.name!r}: holds {str(kind).partition('<')[0]}, which is not a plain "
        "value; turn it into numbers or text, or leave it out"
    )


@lru_cache
def _is_zone(zone: str | None) -> bool:
    """Return whether Arrow and pandas both know a time zone; None stands for no zone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if zone is None:
        return True
    try:
        moment = pa.array([0], pa.timestamp("us", zone))
        pc.strftime(moment)
        moment.to_pandas()
    except (pa.ArrowException, ValueError, LookupError, OSError, TypeError):
        return False
    return True


def _validated(column: Any, place: str, total: bool) -> Any:
    """Return a column after checking its offsets, codes and characters."""
    import pyarrow as pa

    try:
        if total:
            column = _without_invalid_text(column)
        for part in getattr(column, "chunks", (column,)):
            part.validate()
            # Arrow's full check refuses dates that are not whole days, times beyond a day, and
            # decimals of too many digits: `_within_range` decides on these.
            ranged = _is_ranged(value_type(part.type))
            if ranged and pa.types.is_dictionary(part.type):
                pa.DictionaryArray.from_arrays(part.indices, _ticks(part.dictionary))
            elif not ranged:
                part.validate(full=True)
    except (pa.ArrowException, UnicodeError):
        raise DataError(
            f"{place}: is damaged: its offsets, codes or characters are invalid; write it again"
        ) from None
    return column


def _within_range(column: Any, place: str, first_row: int, total: bool) -> Any:
    """Refuse dates, times and decimals that have no text, or treat them as missing."""
    import pyarrow.compute as pc

    kind = value_type(column.type)
    if not _is_ranged(kind):
        return column
    stored = _ticks(decoded(column))
    low, high, expected = _range(kind)
    inside = pc.and_(pc.greater_equal(stored, low), pc.less_equal(stored, high))
    if pc.all(inside).as_py() in (True, None):
        return column
    if total:
        return null_where_not(pc.fill_null(inside, False), column)
    row = first_row + pc.index(inside, False).as_py()
    raise DataError(f"{place}, row {row}: holds {expected}; replace it or leave it empty")


def _is_ranged(kind: pa.DataType) -> bool:
    """Return whether a type stores values that have no text."""
    import pyarrow as pa

    return bool(pa.types.is_temporal(kind) or pa.types.is_decimal(kind))


def _range(kind: pa.DataType) -> tuple[Any, Any, str]:
    """Return the least and greatest stored value, and what lies outside, in words."""
    import pyarrow as pa

    if pa.types.is_decimal(kind):
        # DuckDB hands over its HUGEINT of up to 39 digits as decimals of 38.
        nines = (9,) * kind.precision
        least, greatest = (pa.scalar(Decimal((sign, nines, -kind.scale)), kind) for sign in (1, 0))
        return least, greatest, f"a number of more than {kind.precision} digits"
    per_day = PER_DAY[getattr(kind, "unit", "D" if pa.types.is_date32(kind) else "ms")]
    first, last = (0, 0) if pa.types.is_time(kind) else YEARS
    if getattr(kind, "tz", None) not in (None, "", "UTC"):
        first, last = first + 1, last - 1  # a zone moves a time by up to a day
    low, high = max(first * per_day, -(2**63)), min((last + 1) * per_day - 1, 2**63 - 1)
    return low, high, "a time outside the years 1 to 9999, or beyond its day"


def _ticks(column: Any) -> Any:
    """Return the integers that store dates and times, and decimals as they are."""
    import pyarrow as pa

    if pa.types.is_decimal(column.type):
        return column
    return column.cast(pa.int32() if column.type.bit_width == 32 else pa.int64())


def _clean_column(column: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    value = value_type(kind)
    if pa.types.is_date64(value_type(column.type)):
        # Arrow's cast fails on a time of day. Rounding down gives its day, also before 1970.
        column = pc.floor_temporal(decoded(column), unit="day").cast(value)
        column = column.dictionary_encode() if pa.types.is_dictionary(kind) else column
    coded = pa.types.is_dictionary(column.type) and column.type.value_type == kind
    if column.type != kind and not coded:
        column = column.cast(kind)
    if pa.types.is_floating(value):
        nan = pc.is_nan(decoded(column))
        if pc.any(nan).as_py():
            column = null_where_not(pc.fill_null(pc.invert(nan), False), column)
    return column


def null_where_not(kept: Any, column: Any) -> Any:
    """Return a column with null in the rows that are not kept."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return pc.if_else(kept, column, pa.scalar(None, column.type))
    if isinstance(column, pa.ChunkedArray):
        column, kept = column.combine_chunks(), kept.combine_chunks()
    indices = pc.if_else(kept, column.indices, pa.scalar(None, column.indices.type))
    return type(column).from_arrays(indices, column.dictionary, ordered=column.type.ordered)


def _without_invalid_text(column: Any) -> Any:
    """Return a column with null in place of text that is not UTF-8."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array(
            [_without_invalid_text(part) for part in column.chunks], column.type
        )
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = _without_invalid_text(column.dictionary)
        if values.null_count == column.dictionary.null_count:
            return column
        checked = pa.DictionaryArray.from_arrays(column.indices, values)  # checks the codes
        return checked.dictionary_decode().dictionary_encode().cast(kind)
    column.validate()
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary())
        raw.validate(full=True)  # raises unless only the characters are invalid
        return pa.array([_text_or_none(value) for value in raw.to_pylist()], kind)
    return column


def _text_or_none(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _to_series(column: pa.ChunkedArray) -> Any:
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _with_unique_values(column).to_pandas()
    if not column.null_count or not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return column.to_pandas()
    names = {"bool": "boolean", "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32"}
    names |= {"uint64": "UInt64"}
    nullable = pd.api.types.pandas_dtype(names.get(str(kind), str(kind).capitalize()))
    return column.to_pandas(types_mapper=lambda _: nullable)


def _with_unique_values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a coded column whose dictionary has no null, NaN or repeats, as pandas needs."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for chunk in column.chunks:
        levels = chunk.dictionary
        if pa.types.is_floating(levels.type):
            levels = pc.if_else(pc.is_nan(levels), None, levels)
        if levels.null_count or pc.count_distinct(levels).as_py() < len(levels):
            return decoded(column).dictionary_encode()
    return column
