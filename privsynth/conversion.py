"""Values of any storage type read as those of a declared column: a total map.

Whatever a row holds has a reading, and what cannot be read as the column's kind is missing. What
a value is read as depends on that value alone, never on the rows beside it, and nothing is raised:
an exception would tell of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.schema import Column
from privsynth.table import arrow_type

__all__ = ["comparable", "numbers_in", "readings", "unit_texts"]

_WHOLE = r"^-?\d{1,18}$"
_FLOAT = r"^-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^-?(?i:inf|infinity)$"
_COMMA = r"^-?(?:0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:\.\d{3}){1,4}),\d+$"
_ALIKE = (
    (r"^\+(\d)", r"\1"),
    (r"^(-?\d+)\.0*$", r"\1"),
    (r"^(-?\d+\.\d*[1-9])0+$", r"\1"),
    (r"^-(0+)$", r"\1"),
    (r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d*[1-9])?)(?:\.?0*)Z?$", r"\1 \2"),
    (r"^(\d{4}-\d\d-\d\d) 00:00:00$", r"\1"),
)
"""How numbers and moments that are the same are spelled alike."""
_MOST = 2**63 - 1
_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_DAY = 86_400 * 10**9


def readings(
    column: Column, values: pa.Array | pa.ChunkedArray, dtype: npt.DTypeLike
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Read values as numbers of a continuous column.

    Parameters
    ----------
    column : Column
        Its storage type says in which unit a datetime is told.
    values : pyarrow.Array
        Of any type.
    dtype : float64 or int64
        Integers are rounded, and what is beyond 64 bits becomes the nearest that is not.

    Returns
    -------
    numbers : ndarray of `dtype`
        0 where there is none; floats may be infinite.
    valid : ndarray of bool
    """
    kind = _value_type(arrow_type(column.dtype))

    def read(plain: pa.Array) -> pa.Array:
        if pa.types.is_temporal(kind):
            ticks = _ticks(plain, kind, column.format)
            return ticks.cast(pa.float64(), safe=False) if dtype == np.float64 else ticks
        return _floats(plain) if dtype == np.float64 else _integers(plain)

    found = _by_value(values, read)
    valid = np.asarray(found.is_valid())
    return np.asarray(pc.fill_null(found, 0)), valid


def numbers_in(column: Column, values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Read values as numbers; datetimes as ticks of the storage type, NaN where there is none."""
    numbers, valid = readings(column, values, np.float64)
    return np.where(valid, numbers, np.nan)


def comparable(column: Column, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Read values as those of a discrete column, in a form in which equal ones compare equal.

    Returns
    -------
    pyarrow.Array
        Of text, booleans, integers or floats; null where a value cannot be read so.
    """
    kind = _value_type(arrow_type(column.dtype))
    if pa.types.is_string(kind):
        return _texts(_plain(values))

    def read(plain: pa.Array) -> pa.Array:
        if pa.types.is_boolean(kind):
            return _booleans(plain)
        if pa.types.is_temporal(kind):
            return _ticks(plain, kind, column.format)
        if pa.types.is_integer(kind):
            return _integers(plain)
        floats = _floats(plain)
        return floats.cast(pa.float32(), safe=False) if kind == pa.float32() else floats

    return _by_value(values, read)


def unit_texts(values: pa.Array) -> pa.Array:
    """Read values as the text by which privacy units are told apart.

    A value is read by itself, however its column is stored: a whole number is the same unit as an
    integer, a float, a decimal and as text (`1`, `1.0`, `1.00`, `" 1 "`), and a moment the same
    in every zone. Digits before the point are kept, so that `01` is not `1`.

    Parameters
    ----------
    values : pyarrow.Array
        Without a dictionary, of a storage type.

    Returns
    -------
    pyarrow.Array
        Of text; null where a value is missing.
    """
    text = _texts(values)
    if pa.types.is_floating(values.type):
        floats = _floats(values)
        whole = pc.fill_null(pc.equal(floats, pc.floor(floats)), False)
        small = pc.fill_null(pc.less(pc.abs(floats), 2.0**63), False)
        integers = _where(pc.and_(whole, small), floats).cast(pa.int64()).cast(pa.string())
        text = pc.coalesce(integers, text)
    text = pc.ascii_trim_whitespace(text)
    for pattern, kept in _ALIKE:
        text = pc.replace_substring_regex(text, pattern, kept)
    return text


def _by_value(values: pa.Array | pa.ChunkedArray, read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Read text by way of its distinct values, since reading it is slow."""
    plain = _plain(values)
    if not pa.types.is_string(plain.type):
        return read(plain)
    coded = plain.dictionary_encode()
    return read(coded.dictionary).take(coded.indices)


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Give one array without dictionary, and its text as plain strings."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _value_type(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def _floats(plain: pa.Array) -> pa.Array:
    """Give float64 values, of which none is NaN."""
    kind = plain.type
    if pa.types.is_decimal(kind):
        # By way of text, so that a decimal and the text that spells it are the same float.
        plain, kind = plain.cast(pa.string()), pa.string()
    if pa.types.is_string(kind):
        text = _spelled(plain)
        plain = _where(pc.match_substring_regex(text, _FLOAT), text)
    elif pa.types.is_boolean(kind):
        plain = plain.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return pa.nulls(len(plain), pa.float64())
    floats = plain.cast(pa.float64(), safe=False)
    floats = _where(pc.invert(pc.is_nan(floats)), floats)
    return pc.add(floats, 0.0)  # which makes -0.0 the same as 0.0


def _integers(plain: pa.Array) -> pa.Array:
    """Give int64 values: the nearest to each number."""
    kind = plain.type
    if pa.types.is_uint64(kind):
        return pc.min_element_wise(plain, pa.scalar(_MOST, pa.uint64()), skip_nulls=False).cast(
            pa.int64()
        )
    if pa.types.is_integer(kind):
        return plain.cast(pa.int64())
    floats = _floats(plain)
    near = np.rint(np.asarray(pc.fill_null(floats, 0.0)))
    # The greatest float below 2**63, so that none wraps around.
    near = np.clip(near, -(2.0**63), np.nextafter(2.0**63, 0)).astype(np.int64)
    rounded = pa.array(near, mask=np.asarray(floats.is_null()))
    if not pa.types.is_string(kind):
        return rounded
    text = _spelled(plain)
    exact = _where(pc.match_substring_regex(text, _WHOLE), text).cast(pa.int64())
    return pc.coalesce(exact, rounded)


def _booleans(plain: pa.Array) -> pa.Array:
    if pa.types.is_boolean(plain.type):
        return plain
    floats = _floats(plain)
    read = _where(pc.is_in(floats, value_set=pa.array([0.0, 1.0])), pc.equal(floats, 1.0))
    if not pa.types.is_string(plain.type):
        return read
    words = pc.ascii_lower(pc.ascii_trim_whitespace(plain))
    known = pc.is_in(words, value_set=pa.array(["true", "false"]))
    return pc.coalesce(_where(known, pc.equal(words, "true")), read)


def _texts(plain: pa.Array) -> pa.Array:
    kind, types = plain.type, pa.types
    if types.is_string(kind):
        return plain
    if types.is_floating(kind):
        return _where(pc.invert(pc.is_nan(plain)), plain).cast(pa.string())
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
        return plain.cast(pa.string())
    if types.is_temporal(kind) and not types.is_duration(kind) and not types.is_interval(kind):
        if _zone(kind) is not None:
            plain = plain.cast(pa.timestamp(kind.unit, "UTC"))
        return plain.cast(pa.string())
    return pa.nulls(len(plain), pa.string())


def _spelled(plain: pa.Array) -> pa.Array:
    """Trim text, and write a number with a decimal comma as one with a point."""
    text = pc.replace_substring_regex(pc.ascii_trim_whitespace(plain), r"^\+", "")
    commas = pc.match_substring_regex(text, _COMMA)
    pointed = pc.replace_substring(pc.replace_substring(text, ".", ""), ",", ".")
    return pc.if_else(commas, pointed, text)


def _where(holds: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(holds, values, pa.scalar(None, values.type))


# Dates and times


def _ticks(plain: pa.Array, dtype: pa.DataType, form: str | None) -> pa.Array:
    """Give moments in the unit of a date or timestamp type, as int64."""
    kind = plain.type
    if pa.types.is_string(kind):
        # No text with an offset is read finer than microseconds.
        kind = pa.timestamp("ns" if dtype == pa.timestamp("ns") else "us")
        plain = _told(plain, kind.unit, _zone(dtype) is not None, form)
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        plain = plain.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    else:
        return pa.nulls(len(plain), pa.int64())
    given, wanted = _unit(kind), _unit(dtype)
    ticks = np.asarray(pc.fill_null(plain, 0)).astype(np.int64)
    if given >= wanted:
        ratio = given // wanted
        ticks = np.clip(ticks, -(_MOST // ratio), _MOST // ratio) * ratio
    else:
        ticks = ticks // (wanted // given)
    return pa.array(ticks, mask=np.asarray(plain.is_null()))


def _unit(dtype: pa.DataType) -> int:
    """Give the nanoseconds of a tick."""
    if pa.types.is_date32(dtype):
        return _DAY
    return 10**6 if pa.types.is_date64(dtype) else _NANOSECONDS[dtype.unit]


def _zone(dtype: pa.DataType) -> str | None:
    return dtype.tz if pa.types.is_timestamp(dtype) else None


def _told(texts: pa.Array, unit: str, zoned: bool, form: str | None) -> pa.Array:
    """Read dates and times as text tells them: in the column's format, or as ISO 8601.

    Without an offset they are those of UTC.
    """
    sql = "TIMESTAMP_NS" if unit == "ns" else "TIMESTAMPTZ" if zoned else "TIMESTAMP"
    epoch = f"epoch_{unit}"
    read = f"{epoch}(TRY_CAST(c AS {sql}))"
    if form is not None and not form.endswith(("%z", "%:z")):
        pattern = form.replace("'", "''")
        read = f"coalesce({epoch}(TRY_CAST(TRY_STRPTIME(c, '{pattern}') AS {sql})), {read})"
    with _clock().cursor() as con:
        trimmed = con.from_arrow(pa.table({"c": pc.ascii_trim_whitespace(texts)}))
        told = trimmed.project(f"{read} AS c").to_arrow_table()
    return told.column(0).combine_chunks().cast(pa.int64())


@lru_cache(maxsize=1)
def _clock() -> Any:
    from privsynth.table.duck import connect

    return connect(ordered=True)
