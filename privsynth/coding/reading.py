"""Read values of any storage type as those of a declared column.

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

from privsynth.schema import Column, Kind
from privsynth.table import arrow_type, value_type
from privsynth.table.texts import in_calendar, texts

__all__ = ["as_declared", "comparable", "numbers_in", "readings", "unit_texts"]

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
    kind = value_type(arrow_type(column.dtype))

    def read(plain: pa.Array) -> pa.Array:
        if pa.types.is_temporal(kind):
            ticks = _ticks(plain, kind, column.format)
            return ticks.cast(pa.float64(), safe=False) if dtype == np.float64 else ticks
        return _floats(plain) if dtype == np.float64 else _integers(plain)

    numbers = _by_value(values, read)
    valid = np.asarray(numbers.is_valid())
    return np.asarray(pc.fill_null(numbers, 0)), valid


def numbers_in(column: Column, values: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Read values as numbers; datetimes as ticks of the storage type, NaN where there is none."""
    numbers, valid = readings(column, values, np.float64)
    return np.where(valid, numbers, np.nan)


def as_declared(column: Column, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Read values as those of a declared column; null where a value cannot be read so.

    Returns
    -------
    pyarrow.Array
        Of numbers as int64 or float64, of moments in the column's storage type, and of levels as
        `comparable` gives them.
    """
    kind = value_type(arrow_type(column.dtype))
    if column.kind.continuous:
        whole = pa.types.is_temporal(kind) or column.kind is Kind.INTEGER
        numbers, valid = readings(column, values, np.int64 if whole else np.float64)
        read = pa.array(numbers, mask=~valid)
    else:
        read = comparable(column, values)
    if not pa.types.is_temporal(kind):
        return read
    return read.cast(pa.int32() if kind.bit_width == 32 else pa.int64(), safe=False).view(kind)


def comparable(column: Column, values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Read values as those of a discrete column, normalised so that equal ones compare equal.

    Returns
    -------
    pyarrow.Array
        Of text, booleans, integers or floats; null where a value cannot be read so.
    """
    kind = value_type(arrow_type(column.dtype))
    if pa.types.is_string(kind):
        return texts(_plain(values))

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
    """Read values as the text that identifies a privacy unit.

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
    text = pc.ascii_trim_whitespace(texts(values))
    for pattern, kept in _ALIKE:
        text = pc.replace_substring_regex(text, pattern, kept)
    return text


def _by_value(values: pa.Array | pa.ChunkedArray, read: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Read each distinct text once, since reading is slow."""
    plain = _plain(values)
    if not pa.types.is_string(plain.type):
        return read(plain)
    coded = plain.dictionary_encode()
    return read(coded.dictionary).take(coded.indices)


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return one array without dictionary, and its text as plain strings."""
    array = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    return array


def _floats(plain: pa.Array) -> pa.Array:
    """Return float64 values, of which none is NaN; true is 1 and false is 0."""
    kind = plain.type
    if pa.types.is_boolean(kind):
        return plain.cast(pa.int8()).cast(pa.float64())
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        spelled = texts(plain)
        text = _spelled(spelled)
        plain = _where(pc.match_substring_regex(text, _FLOAT), text)
        words = pc.ascii_lower(pc.ascii_trim_whitespace(spelled))
        plain = pc.if_else(pc.equal(words, "true"), "1", plain)
        plain = pc.if_else(pc.equal(words, "false"), "0", plain)
    floats = plain.cast(pa.float64(), safe=False)
    floats = _where(pc.invert(pc.is_nan(floats)), floats)
    return pc.add(floats, 0.0)  # which makes -0.0 the same as 0.0


def _integers(plain: pa.Array) -> pa.Array:
    """Return the nearest int64 to each number.

    A missing value in another row may turn a column of integers into one of floats, so beyond
    2**53 no integer may be told from the others that the nearest float stands for.
    """
    floats = _floats(plain)
    near = np.rint(np.asarray(pc.fill_null(floats, 0.0)))
    whole = np.clip(near, -(2.0**63), np.nextafter(2.0**63, 0)).astype(np.int64)
    whole[near >= 2.0**63] = _MOST  # no float is so large and below 2**63
    return pa.array(whole, mask=np.asarray(floats.is_null()))


def _booleans(plain: pa.Array) -> pa.Array:
    floats = _floats(plain)
    return _where(pc.is_in(floats, value_set=pa.array([0.0, 1.0])), pc.equal(floats, 1.0))


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
    """Return moments in the unit of a date or timestamp type, as int64, within the years 1 to 9999.

    A typed moment is read by way of its text where there is a format that may read that text, as
    it would be if its column held Python objects. So are numbers such as 20240131.
    """
    kind = plain.type
    typed = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if not typed or form is not None:
        distinct = texts(plain).dictionary_encode()
        parsed = _parsed_times(distinct.dictionary, _unit(dtype), _zone(dtype) is not None, form)
        return parsed.take(distinct.indices)
    moments = in_calendar(plain)
    kind = moments.type
    ticks = moments.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    there = np.asarray(pc.fill_null(ticks, 0)).astype(np.int64)
    return pa.array(_in_unit(there, _unit(kind), _unit(dtype)), mask=np.asarray(ticks.is_null()))


def _in_unit(ticks: npt.NDArray[np.int64], from_unit: int, to_unit: int) -> npt.NDArray[np.int64]:
    """Convert ticks to another unit, rounding down."""
    if from_unit < to_unit:
        return ticks // (to_unit // from_unit)
    ratio = from_unit // to_unit
    return np.clip(ticks, -(_MOST // ratio), _MOST // ratio) * ratio


def _unit(dtype: pa.DataType) -> int:
    """Return the nanoseconds of a tick."""
    if pa.types.is_date32(dtype):
        return _DAY
    return 10**6 if pa.types.is_date64(dtype) else _NANOSECONDS[dtype.unit]


def _zone(dtype: pa.DataType) -> str | None:
    return dtype.tz if pa.types.is_timestamp(dtype) else None


def _parsed_times(texts: pa.Array, unit: int, zoned: bool, form: str | None) -> pa.Array:
    """Parse dates and times: in the column's format, or as ISO 8601.

    Without an offset they are those of UTC.
    """
    sql = "TIMESTAMPTZ" if zoned else "TIMESTAMP"
    read = f"epoch_us(TRY_CAST(c AS {sql}))"
    if form is not None and not form.endswith(("%z", "%:z")):
        pattern = form.replace("'", "''")
        read = f"coalesce(epoch_us(TRY_CAST(TRY_STRPTIME(c, '{pattern}') AS {sql})), {read})"
    digits = r"rpad(regexp_extract(c, ':\d\d\.\d{6}(\d{1,3})', 1), 3, '0')"
    with _clock().cursor() as con:
        trimmed = con.from_arrow(pa.table({"c": pc.ascii_trim_whitespace(texts)}))
        parsed = trimmed.project(f"{read} AS c, CAST({digits} AS BIGINT) AS n").to_arrow_table()
    micros = parsed["c"].combine_chunks().cast(pa.int64()).view(pa.timestamp("us"))
    micros = in_calendar(micros).view(pa.int64())
    ticks = np.asarray(pc.fill_null(micros, 0))
    ticks = _in_unit(ticks, _NANOSECONDS["us"], unit)
    if unit == 1:
        ticks = ticks + np.asarray(pc.fill_null(parsed["n"], 0))
    return pa.array(ticks, mask=np.asarray(micros.is_null()))


@lru_cache(maxsize=1)
def _clock() -> Any:
    from privsynth.table.duck import connect

    return connect(ordered=True)
