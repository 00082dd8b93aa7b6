"""Frames of the caller's own: pandas, polars, Arrow, DuckDB."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pyarrow as pa

from privsynth.errors import DataError, UsageError
from privsynth.table.spelling import warn_of_zones
from privsynth.table.storage import check_names
from privsynth.table.texts import is_plain, texts_of_objects

__all__ = ["NAME", "from_frame"]

NAME = "the frame"


def from_frame(data: Any, total: bool = False) -> tuple[pa.Table, str]:
    """Turn a frame into an Arrow table and say which kind it was.

    Parameters
    ----------
    data : pandas, polars or Arrow frame, or DuckDB relation
        A pandas index is left out; a relation is read once, into memory.
    total : bool
        Give every column of Python objects as text, value by value.

    Returns
    -------
    table : pyarrow.Table
    frame : {"pandas", "polars", "arrow"}

    Raises
    ------
    DataError
        A column's name is no text, or its values are of mixed types.
    UsageError
        `data` is no frame.
    """
    module = type(data).__module__.split(".")[0].lstrip("_")
    if module == "pandas" and hasattr(data, "columns"):
        return _from_pandas(data, _texts_of if total else _from_series), "pandas"
    if module == "polars":
        return _from_polars(data, total), "polars"
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data]), "arrow"
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data), "arrow"
    if hasattr(data, "to_table"):
        return data.to_table(), "arrow"
    raise UsageError(
        f"data of type {type(data).__name__} is no table; "
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
        # An object column holds whatever was put in; Arrow would turn True into 1.0 among floats.
        if series.dtype == object and infer_dtype(series) != "string":
            kinds = set(series.dropna().map(type).unique())
            if bool in kinds and len(kinds) > 1:
                raise TypeError
        column = pa.array(series, from_pandas=True)
        zoned = pa.types.is_timestamp(column.type) and column.type.tz is not None
        if zoned and series.dtype == object and _zones(series) > 1:
            # Arrow would tell all moments in the zone of the first.
            warn_of_zones(name)
            column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise DataError(
            f"{NAME}, column {name!r}: holds values of mixed types, or integers beyond 64 bits; "
            f"give it one type, such as frame[{name!r}].astype('string')"
        ) from None
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _zones(series: Any) -> int:
    """Count the time zones of a column of Python's or pandas' moments."""
    return int(series.dropna().map(lambda moment: str(moment.tzinfo)).nunique())


def _texts_of(series: Any, name: str) -> pa.ChunkedArray | pa.Array:
    """Take a column as it is stored; one that holds no plain values, or Python objects, as text."""
    from pandas import CategoricalDtype

    if isinstance(series.dtype, CategoricalDtype):
        categories = _texts_of(series.cat.categories.to_series(), name)
        if isinstance(categories, pa.ChunkedArray):
            categories = categories.combine_chunks()
        codes = series.cat.codes.to_numpy()
        indices = pa.array(codes, pa.int32(), mask=codes < 0)
        if categories.null_count:  # of which Arrow makes no table in parts
            return categories.take(indices).dictionary_encode()
        return pa.DictionaryArray.from_arrays(indices, categories, ordered=series.cat.ordered)
    if series.dtype != object:
        # What cannot be taken as it is: complex numbers, or text with half a pair of surrogates.
        with suppress(pa.ArrowException, TypeError, ValueError, UnicodeError):
            column = pa.array(series, from_pandas=True)
            if is_plain(_value_type(column.type)) and not pa.types.is_time(column.type):
                return column
    return texts_of_objects(series.astype(object).array)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _from_polars(data: Any, total: bool) -> pa.Table:
    frame = data.collect() if hasattr(data, "collect") else data
    if not hasattr(frame, "columns"):
        raise UsageError(f"a polars {type(data).__name__} is no table; give a DataFrame")
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
