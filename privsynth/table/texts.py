"""The text of a value, independent of the type in which the value is stored.

One row can change how a whole column is stored: a missing cell turns a pandas column of booleans
into Python objects, and one of integers into floats. So under a privacy budget a value is read
through its text, which depends on the value's meaning and not on its storage: 1 and 1.0 are both
``1``, and a moment has the same text as ``datetime64[ns]`` and as a `datetime`. Nothing here
raises, since an exception would reveal a row.
"""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.table.storage import PER_DAY, YEARS, is_text, null_where_not

__all__ = ["in_calendar", "is_plain", "texts", "texts_of_objects"]

_FLOAT = pa.float64()
_ELSEWHERE = "+00:01"
"""Stands for any zone except UTC, since every moment is spelled in UTC."""
_LARGEST = 2**1024
"""Integers from here on exceed all floats, and Python refuses to spell very long ones."""


def texts(values: pa.Array) -> pa.Array:
    """Spell each value of an array.

    Parameters
    ----------
    values : pyarrow.Array
        Of any type except a dictionary.

    Returns
    -------
    pyarrow.StringArray
        Null for values that are missing, NaN, or not plain.

    Notes
    -----
    A whole number has no decimal point. A float in single precision has the digits of the same
    number in double precision. A moment has six decimals of a second, or nine if it needs them,
    and is in UTC if it has a time zone; outside the years 1 to 9999 it is missing.
    """
    kind, types = values.type, pa.types
    if types.is_string(kind):
        return values
    if types.is_large_string(kind) or types.is_string_view(kind):
        return values.cast(pa.string())
    if types.is_floating(kind):
        return _floats(values.cast(pa.float64()))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
        return values.cast(pa.string())
    if types.is_date(kind):
        return in_calendar(values).cast(pa.date32()).cast(pa.string())
    if types.is_timestamp(kind):
        fine = pa.timestamp("ns" if kind.unit == "ns" else "us")
        moments = in_calendar(values).view(pa.timestamp(kind.unit)).cast(fine).cast(pa.string())
        return _without_zero_nanoseconds(moments)
    if types.is_time(kind):
        spelled = values.cast(pa.time64("ns")).cast(pa.string())
        return pc.replace_substring_regex(_without_zero_nanoseconds(spelled), r"\.0+$", "")
    return pa.nulls(len(values), pa.string())


def is_plain(kind: pa.DataType) -> bool:
    """Return whether a table can store a type, so that `texts` can spell its values."""
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_date(kind)
        or types.is_timestamp(kind)
        or types.is_time(kind)
        or is_text(kind)
    )


def in_calendar(moments: pa.Array) -> pa.Array:
    """Return dates and moments with null outside the years 1 to 9999.

    In a zone other than UTC the first and the last day are outside too, since the zone may move
    them. A ``date64`` becomes a ``date32``, rounded down to whole days.
    """
    kind = moments.type
    if pa.types.is_date64(kind):
        days = np.asarray(pc.fill_null(moments.view(pa.int64()), 0)) // PER_DAY["ms"]
        missing = np.asarray(moments.is_null()) | (days < YEARS[0]) | (days > YEARS[1])
        return pa.array(days.astype(np.int32), mask=missing).view(pa.date32())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return moments  # 64 bits of nanoseconds cannot leave these years
    per_day = 1 if pa.types.is_date(kind) else PER_DAY[kind.unit]
    first, last = YEARS
    if pa.types.is_timestamp(kind) and kind.tz not in (None, "", "UTC"):
        first, last = first + 1, last - 1
    ticks = moments.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    inside = pc.and_(pc.greater_equal(ticks, first * per_day), pc.less(ticks, (last + 1) * per_day))
    return null_where_not(inside, ticks).view(kind)


def texts_of_objects(values: Iterable[object]) -> pa.Array:
    """Spell Python objects as `texts` spells values of typed columns.

    Parameters
    ----------
    values : iterable of object
        Numbers, text, dates and times of Python, numpy or pandas; any other object is missing.

    Returns
    -------
    pyarrow.StringArray
    """
    spelled: list[str | None] = []
    typed: defaultdict[pa.DataType, list[tuple[int, Any]]] = defaultdict(list)
    for row, value in enumerate(values):
        text = _spell(value)
        if isinstance(text, _Typed):
            typed[text.kind].append((row, text.value))
            text = None
        spelled.append(text)
    for kind, pairs in typed.items():
        width = kind if pa.types.is_floating(kind) else pa.int64()
        array = pa.array([value for _, value in pairs], width).view(kind)
        for (row, _), text in zip(pairs, texts(array).to_pylist(), strict=True):
            spelled[row] = text
    return pa.array(spelled, pa.string())


class _Typed(NamedTuple):
    """A value to be spelled together with others of its type; a moment is given in ticks."""

    kind: pa.DataType
    value: Any


def _floats(values: pa.Array) -> pa.Array:
    """Spell floats; whole numbers without a decimal point."""
    values = null_where_not(pc.invert(pc.is_nan(values)), values)
    small = pc.and_(pc.less(pc.abs(values), 2.0**63), pc.equal(values, pc.trunc(values)))
    digits = null_where_not(small, values).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.coalesce(digits, values.cast(pa.string()))


def _spell(value: object) -> str | _Typed | None:
    """Return the text of one object, or the typed value by which it is spelled."""
    try:
        return _spell_or_raise(value)
    except Exception:  # if a foreign class raises anything, the value is missing
        return None


def _spell_or_raise(value: Any) -> str | _Typed | None:
    # Check the type, since an object may lie to isinstance, and call methods of the base class.
    kind = type(value)
    if kind is str:
        return str(value.encode("utf-8", "replace"), "utf-8")
    if kind is float:
        return _Typed(_FLOAT, value)
    if issubclass(kind, str):
        return str.encode(value, "utf-8", "replace").decode()
    if issubclass(kind, bool | np.bool_):
        return "true" if value else "false"
    if issubclass(kind, int | np.integer):
        whole = int.__index__(value) if issubclass(kind, int) else int(value)
        return str(whole) if abs(whole) < _LARGEST else "inf" if whole > 0 else "-inf"
    if issubclass(kind, float | np.floating):
        with np.errstate(all="ignore"):
            return _Typed(
                _FLOAT, float.__float__(value) if issubclass(kind, float) else float(value)
            )
    if issubclass(kind, complex | np.complexfloating):
        # One complex number turns all numbers of its column into complex ones.
        number = complex.__complex__(value) if issubclass(kind, complex) else complex(value)
        return _Typed(_FLOAT, number.real) if number.imag == 0 else None
    if issubclass(kind, Decimal):
        return None if Decimal.is_nan(value) else Decimal.__str__(value or Decimal.copy_abs(value))
    if issubclass(kind, datetime.datetime):
        return _moment(value)
    if issubclass(kind, datetime.date):
        return datetime.date.isoformat(value)
    if issubclass(kind, datetime.time):
        return datetime.time.isoformat(value)
    if issubclass(kind, np.datetime64):
        return _ticks(value)
    return None


def _moment(value: Any) -> _Typed | None:
    """Return the typed value of a `datetime`, or of a pandas Timestamp, which has its own unit."""
    zone = value.tzinfo and ("UTC" if str(value.tzinfo) == "UTC" else _ELSEWHERE)
    if hasattr(value, "asm8"):
        return _ticks(value.asm8, zone)
    # Use arithmetic, since a moment near year 1 or 9999 may be outside these years in UTC.
    since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
    since -= value.utcoffset() or datetime.timedelta()
    return _Typed(pa.timestamp("us", zone), since // datetime.timedelta(microseconds=1))


def _ticks(value: np.datetime64, zone: str | None = None) -> _Typed | None:
    if np.isnat(value):
        return None
    unit = np.datetime_data(value.dtype)[0]
    if unit == "D":
        day = int(value.astype(np.int64))
        return _Typed(pa.date64(), day * PER_DAY["ms"]) if YEARS[0] <= day <= YEARS[1] else None
    if unit not in PER_DAY:
        unit = "s"
    return _Typed(pa.timestamp(unit, zone), int(value.astype(f"datetime64[{unit}]").astype(int)))


def _without_zero_nanoseconds(spelled: pa.Array) -> pa.Array:
    """Drop nanoseconds that are zero."""
    return pc.replace_substring_regex(spelled, r"(\.\d{6})000$", r"\1")
