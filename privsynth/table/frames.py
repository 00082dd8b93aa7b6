"""Frames in memory: pandas, polars, Arrow, DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa

from privsynth.errors import DataError, UsageError
from privsynth.table.spelling import warn_of_zones
from privsynth.table.storage import check_names, value_type
from privsynth.table.texts import is_plain, texts_of_objects

__all__ = ["NAME", "from_frame"]

NAME = "the frame"


def from_frame(data: Any, total: bool = False) -> tuple[pa.Table, str]:
    """Convert a frame to an Arrow table and name its kind.

    Parameters
    ----------
    data : pandas, polars or Arrow frame, or DuckDB relation
        A pandas index is dropped; a relation is read into memory once.
    total : bool
        Convert every column of Python objects to text, value by value.

    Returns
    -------
    table : pyarrow.Table
    frame : {"pandas", "polars", "arrow"}

    Raises
    ------
    DataError
        A column's name is not text, or its values are of mixed types.
    UsageError
        `data` is not a frame.
    """
    module = type(data).__module__.split(".")[0].lstrip("_")
    if module == "pandas" and hasattr(data, "columns"):
        return _from_pandas(data, _stored_or_text if total else _from_series), "pandas"
    if module == "polars":
        return _from_polars(data, total), "polars"
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data]), "arrow"
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data), "arrow"
    if hasattr(data, "to_table"):
        return data.to_table(), "arrow"
    raise UsageError(
        f"data of type {type(data).__name__} is not a table; "
        "give a path, or a pandas, polars or Arrow frame"
    )


def _from_pandas(frame: Any, read: Callable[[Any, str], Any]) -> pa.Table:
    for name in frame.columns:
        if not isinstance(name, str):
            raise DataError(
                f"{NAME}: column name {name!r} is not text; rename it: "
                "frame.columns = frame.columns.map(str)"
            )
    check_names(list(frame.columns), NAME)
    columns = {name: read(frame[name], name) for name in frame.columns}
    return pa.table(columns)


def _from_series(series: Any, name: str) -> pa.ChunkedArray:
    from pandas.api.types import infer_dtype

    try:
        # An object column holds any values; among floats, Arrow would turn True into 1.0.
        if series.dtype == object and infer_dtype(series) != "string":
            kinds = set(series.dropna().map(type).unique())
            if bool in kinds and len(kinds) > 1:
                raise TypeError
        column = pa.array(series, from_pandas=True)
        zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
        if zoned and series.dtype == object and _count_zones(series) > 1:
            # Arrow would convert all moments to the zone of the first.
            warn_of_zones(name)
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise DataError(
            f"{NAME}, column {name!r}: holds values of mixed types, or integers beyond 64 bits; "
            f"give it one type, such as frame[{name!r}].astype('string')"
        ) from None
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _count_zones(series: Any) -> int:
    """Count the time zones of a column of Python or pandas moments."""
    return int(series.dropna().map(lambda moment: str(moment.tzinfo)).nunique())


def _stored_or_text(series: Any, name: str) -> pa.ChunkedArray | pa.Array:
    """Convert a column as it is stored, or to text if it holds objects or no plain values."""
    from pandas import CategoricalDtype

    if isinstance(series.dtype, CategoricalDtype):
        categories = _stored_or_text(series.cat.categories.to_series(), name)
        if isinstance(categories, pa.ChunkedArray):
            categories = categories.combine_chunks()
        codes = series.cat.codes.to_numpy()
        indices = pa.array(codes, pa.int32(), mask=codes < 0)
        if categories.null_count:  # Arrow cannot split a table with such a dictionary
            return categories.take(indices).dictionary_encode()
        return pa.DictionaryArray.from_arrays(indices, categories, ordered=series.cat.ordered)
    if series.dtype != object:
        # Complex numbers, and text with half of a surrogate pair, cannot be converted as stored.
        with suppress(pa.ArrowException, TypeError, ValueError, UnicodeError):
            column = pa.array(series, from_pandas=True)
            if is_plain(value_type(column.type)) and not pa.types.is_time(column.type):
                return column
    return texts_of_objects(series.astype(object).array)


def _from_polars(data: Any, total: bool) -> pa.Table:
    frame = data.collect() if hasattr(data, "collect") else data
    if not hasattr(frame, "columns"):
        raise UsageError(f"a polars {type(data).__name__} is not a table; give a DataFrame")
    objects = [name for name, kind in frame.schema.items() if str(kind) == "Object"]
    if objects and not total:
        raise DataError(
            f"{NAME}, column {objects[0]!r}: holds Python objects; turn it into numbers or text"
        )
    typed = frame.drop(objects).to_arrow()
    return pa.table(
        {
            name: texts_of_objects(frame[name].to_list()) if name in objects else typed[name]
            for name in frame.columns
        }
    )
