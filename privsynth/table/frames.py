"""Frames of the caller's own: pandas, polars, Arrow, DuckDB."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from privsynth.errors import DataError, UsageError
from privsynth.table.spelling import warn_of_zones
from privsynth.table.storage import check_names

__all__ = ["NAME", "from_frame"]

NAME = "the frame"
PLAIN = (bool, int, float, Decimal, datetime.date, datetime.time, np.generic)


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
        return _from_polars(data), "polars"
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
    """Take a column's values as they are stored; those that are Python objects as text."""
    from pandas import CategoricalDtype
    from pandas.api.types import infer_dtype

    if isinstance(series.dtype, CategoricalDtype):
        categories = _texts_of(series.cat.categories.to_series(), name)
        if isinstance(categories, pa.ChunkedArray):
            categories = categories.combine_chunks()
        codes = series.cat.codes.to_numpy()
        indices = pa.array(codes, pa.int32(), mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, categories, ordered=series.cat.ordered)
    if series.dtype != object or infer_dtype(series) == "string":
        # What cannot be taken as it is: complex numbers, or text with half a pair of surrogates.
        with suppress(pa.ArrowException, TypeError, UnicodeError):
            return pa.array(series, from_pandas=True)
    return pa.array([_text(value) for value in series.astype(object)], pa.string())


def _text(value: Any) -> str | None:
    """Spell one value of an object column; what is no plain value is missing."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and abs(value) >= 2**64:
        return "inf" if value > 0 else "-inf"  # Python refuses to spell very long numbers
    if not isinstance(value, PLAIN) or value != value:  # NaN and NaT are missing
        return None
    # As Arrow spells a whole column of them, which this one may be but for another row's value.
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating):
        return str(pa.scalar(value).cast(pa.string()))
    return str(value)


def _from_polars(data: Any) -> pa.Table:
    frame = data.collect() if hasattr(data, "collect") else data
    if not hasattr(frame, "columns"):
        raise UsageError(f"a polars {type(data).__name__} is no table; give a DataFrame")
    for name, kind in frame.schema.items():
        if str(kind) == "Object":
            raise DataError(
                f"{NAME}, column {name!r}: holds Python objects; turn it into numbers or text"
            )
    return frame.to_arrow()
