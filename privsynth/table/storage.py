"""The types in which values are stored, and the frames that hold them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from privsynth.errors import DataError, SchemaError, UsageError, known

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_type", "clean", "storage_schema", "to_frame"]

FRAMES = ("pandas", "polars", "arrow")

_TIMESTAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(128|256)\((\d+), (-?\d+)\)")
_DICTIONARY = re.compile(r"dictionary<values=(.+), indices=int32, ordered=([01])>")


def arrow_type(dtype: str) -> pa.DataType:
    """Give the Arrow type that ``str`` spelled as `dtype`.

    Raises
    ------
    SchemaError
        It is no type that a `Table` yields.
    """
    import pyarrow as pa

    plain = {str(kind): kind for kind in _plain_types()}
    if dtype in plain:
        return plain[dtype]
    if match := _TIMESTAMP.fullmatch(dtype):
        return pa.timestamp(match[1], tz=match[2])
    if match := _DICTIONARY.fullmatch(dtype):
        return pa.dictionary(pa.int32(), arrow_type(match[1]), ordered=match[2] == "1")
    try:
        if match := _DECIMAL.fullmatch(dtype):
            make = pa.decimal128 if match[1] == "128" else pa.decimal256
            return make(int(match[2]), int(match[3]))
    except ValueError:
        pass
    names = [*plain, "timestamp[us]", "timestamp[us, tz=UTC]", "decimal128(10, 2)"]
    raise SchemaError(f"unknown dtype {dtype!r}{known(dtype, names)}")


def storage_schema(schema: pa.Schema, name: str) -> pa.Schema:
    """Give the schema that a table stores what `schema` holds in.

    Parameters
    ----------
    schema : pyarrow.Schema
        As a file or a frame gives it.
    name : str
        What messages call the table.

    Raises
    ------
    DataError
        There are no columns, two of one name or one without, or a type that is no plain value.
    """
    import pyarrow as pa

    check_names(schema.names, name)
    return pa.schema([(entry.name, _storage_type(entry, name)) for entry in schema])


def check_names(names: list[str], name: str) -> None:
    """Refuse a table without columns, and names that are blank or come twice."""
    if not names:
        raise DataError(f"{name}: has no columns; at least one is wanted")
    for position, column in enumerate(names, 1):
        if not column.strip():
            raise DataError(
                f"{name}: column {position} has no name; name it in the header, or leave it out "
                "(pandas: to_csv(index=False))"
            )
    if len(set(names)) != len(names):
        twice = next(column for column in names if names.count(column) > 1)
        raise DataError(
            f"{name}: column {twice!r} is in the header {names.count(twice)} times; "
            "give each column its own name"
        )


def clean(batch: pa.RecordBatch, schema: pa.Schema, *, total: bool = False) -> pa.RecordBatch:
    """Cast a batch, or a table, to its storage types; NaN becomes null.

    A dictionary array of text stays one, though text is stored without. Text that is not UTF-8
    is missing where the reading is `total`.
    """
    given = [batch.column(entry.name) for entry in schema]
    if total:
        given = [_readable(column) for column in given]
    columns = [
        _clean_column(column, entry.type) for column, entry in zip(given, schema, strict=True)
    ]
    return type(batch).from_arrays(columns, names=schema.names)


def to_frame(table: pa.Table, frame: str) -> Any:
    """Turn an Arrow table into the caller's kind of frame.

    Parameters
    ----------
    table : pyarrow.Table
    frame : {"pandas", "polars", "arrow"}

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        In pandas, integer and boolean columns with nulls are of the nullable types
        (``Int64``, ``boolean``), so that no integer loses digits.
    """
    if frame == "arrow":
        return table
    if frame == "polars":
        import polars as pl

        return pl.from_arrow(table)
    if frame == "pandas":
        import pandas as pd

        columns = {name: _series(table[name]) for name in table.column_names}
        return pd.DataFrame(columns, copy=False)
    raise UsageError(f"unknown kind of frame {frame!r}{known(frame, FRAMES)}")


def _plain_types() -> list[pa.DataType]:
    import pyarrow as pa

    integers = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
    unsigned = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
    others = [pa.bool_(), pa.float32(), pa.float64(), pa.string(), pa.date32()]
    return [*integers, *unsigned, *others]


def _storage_type(entry: pa.Field, name: str) -> pa.DataType:
    import pyarrow as pa

    kind, types = entry.type, pa.types
    if types.is_dictionary(kind):
        values = _storage_type(pa.field(entry.name, kind.value_type), name)
        return pa.dictionary(pa.int32(), values, ordered=kind.ordered)
    if types.is_large_string(kind) or types.is_string_view(kind) or types.is_null(kind):
        return pa.string()
    if types.is_time(kind):
        return pa.string()
    if types.is_date64(kind):
        return pa.date32()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_decimal32(kind) or types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if types.is_timestamp(kind) or types.is_decimal(kind) or kind in _plain_types():
        return kind
    raise DataError(
        f"{name}, column {entry.name!r}: holds {kind}, which is no plain value; "
        "turn it into numbers or text, or leave it out"
    )


def _clean_column(column: Any, kind: pa.DataType) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pa.types.is_dictionary(column.type) and column.type.value_type == kind
    if column.type != kind and not coded:
        column = column.cast(kind)
    if pa.types.is_floating(kind) and pc.any(pc.is_nan(column)).as_py():
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    return column


def _readable(column: Any) -> Any:
    """Take text that is not UTF-8 as missing."""
    import pyarrow as pa

    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([_readable(part) for part in column.chunks], column.type)
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = _readable(column.dictionary)
        if values.null_count == column.dictionary.null_count:
            return column
        return values.take(column.indices).dictionary_encode().cast(kind)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        raw = column.cast(pa.large_binary())
        raw.validate(full=True)  # it is the characters alone that are at fault
        return pa.array([_decoded(value) for value in raw.to_pylist()], kind)
    return column


def _decoded(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _series(column: pa.ChunkedArray) -> Any:
    import pandas as pd
    import pyarrow as pa

    kind = column.type
    if not column.null_count or not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        return column.to_pandas()
    names = {"bool": "boolean", "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32"}
    names |= {"uint64": "UInt64"}
    nullable = pd.api.types.pandas_dtype(names.get(str(kind), str(kind).capitalize()))
    return column.to_pandas(types_mapper=lambda _: nullable)
