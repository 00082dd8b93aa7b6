"""The text that spells a value, whatever type the value is stored in.

One odd row can change how a whole column is stored: a missing cell turns a pandas column of
booleans into Python objects, and one of integers into floats. So under a budget a value is read
by way of its text, and the text depends on what the value means, not on how it is stored: 1 and
1.0 are both ``1``, and a moment is spelled alike as ``datetime64[ns]`` and as a `datetime`.
Nothing here raises, since an exception would tell of a row.
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

__all__ = ["in_calendar", "is_plain", "texts", "texts_of_objects"]

YEARS = (-719_162, 2_932_896)
"""The first day of the year 1 and the last one of 9999, counted from that of 1970."""
_A_DAY = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}
_FLOAT = pa.float64()
_ELSEWHERE = "+00:01"
"""Stands for any zone but UTC, since every moment is spelled in UTC."""
_LARGEST = 2**1024
"""From here on an integer is beyond all floats; Python refuses to spell a very long one."""


def texts(values: pa.Array) -> pa.Array:
    """Spell each value of an array.

    Parameters
    ----------
    values : pyarrow.Array
        Of any type but a dictionary.

    Returns
    -------
    pyarrow.StringArray
        Null where a value is missing, NaN, or no plain value.

    Notes
    -----
    A whole number has no decimal point, and a float in single precision the digits of the same
    number in double precision. A moment has six decimals of a second, or nine where it needs them,
    and one with a time zone is spelled as that of UTC; outside the years 1 to 9999 it is missing.
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
        return _short(moments)
    if types.is_time(kind):
        spelled = values.cast(pa.time64("ns")).cast(pa.string())
        return pc.replace_substring_regex(_short(spelled), r"\.0+$", "")
    return pa.nulls(len(values), pa.string())


def is_plain(kind: pa.DataType) -> bool:
    """Say whether a table can store a type, so that `texts` spells its values."""
    types = pa.types
    return bool(
        types.is_boolean(kind)
        or types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_date(kind)
        or types.is_timestamp(kind)
        or types.is_time(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
    )


def in_calendar(moments: pa.Array) -> pa.Array:
    """Take dates and moments outside the years 1 to 9999 as missing.

    In another zone than UTC the first and the last day are outside, since there they may be. A
    ``date64`` comes back as a ``date32``, and loses what it holds beyond whole days.
    """
    kind = moments.type
    if pa.types.is_date64(kind):
        days = np.asarray(pc.fill_null(moments.view(pa.int64()), 0)) // _A_DAY["ms"]
        missing = np.asarray(moments.is_null()) | (days < YEARS[0]) | (days > YEARS[1])
        return pa.array(days.astype(np.int32), mask=missing).view(pa.date32())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return moments  # 64 bits of nanoseconds do not reach beyond
    a_day = 1 if pa.types.is_date(kind) else _A_DAY[kind.unit]
    least, most = YEARS
    if pa.types.is_timestamp(kind) and kind.tz not in (None, "", "UTC"):
        least, most = least + 1, most - 1
    ticks = moments.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    inside = pc.and_(pc.greater_equal(ticks, least * a_day), pc.less(ticks, (most + 1) * a_day))
    return _where(inside, ticks).view(kind)


def texts_of_objects(values: Iterable[object]) -> pa.Array:
    """Spell Python objects as `texts` spells the values of typed columns.

    Parameters
    ----------
    values : iterable of object
        Numbers, text, dates and times, of Python, numpy or pandas; anything else is missing.

    Returns
    -------
    pyarrow.StringArray
    """
    spelled: list[str | None] = []
    typed: defaultdict[pa.DataType, list[tuple[int, Any]]] = defaultdict(list)
    for row, value in enumerate(values):
        found = _plain(value)
        if isinstance(found, _Typed):
            typed[found.kind].append((row, found.value))
            found = None
        spelled.append(found)
    for kind, held in typed.items():
        width = kind if pa.types.is_floating(kind) else pa.int64()
        array = pa.array([value for _, value in held], width).view(kind)
        for (row, _), text in zip(held, texts(array).to_pylist(), strict=True):
            spelled[row] = text
    return pa.array(spelled, pa.string())


class _Typed(NamedTuple):
    """A value of which many are spelled at once, as ticks where it is a moment."""

    kind: pa.DataType
    value: Any


def _floats(values: pa.Array) -> pa.Array:
    """Spell floats, whole ones as integers."""
    values = _where(pc.invert(pc.is_nan(values)), values)
    small = pc.and_(pc.less(pc.abs(values), 2.0**63), pc.equal(values, pc.trunc(values)))
    digits = _where(small, values).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.coalesce(digits, values.cast(pa.string()))


def _plain(value: object) -> str | _Typed | None:
    """Spell one object, or give it as a value of the type whose values are spelled so."""
    try:
        return _told(value)
    except Exception:  # whatever a foreign class raises, its value is missing
        return None


def _told(value: Any) -> str | _Typed | None:
    # By type and not isinstance, for which an object may lie, and by methods of the base class.
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
    """Give a `datetime`, or a pandas Timestamp, which has its unit."""
    zone = value.tzinfo and ("UTC" if str(value.tzinfo) == "UTC" else _ELSEWHERE)
    if hasattr(value, "asm8"):
        return _ticks(value.asm8, zone)
    # By arithmetic, since a moment near the year 1 or 9999 may lie beyond those years in UTC.
    since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
    since -= value.utcoffset() or datetime.timedelta()
    return _Typed(pa.timestamp("us", zone), since // datetime.timedelta(microseconds=1))


def _ticks(value: np.datetime64, zone: str | None = None) -> _Typed | None:
    if np.isnat(value):
        return None
    unit = np.datetime_data(value.dtype)[0]
    if unit == "D":
        day = int(value.astype(np.int64))
        return _Typed(pa.date64(), day * _A_DAY["ms"]) if YEARS[0] <= day <= YEARS[1] else None
    if unit not in _A_DAY:
        unit = "s"
    return _Typed(pa.timestamp(unit, zone), int(value.astype(f"datetime64[{unit}]").astype(int)))


def _short(spelled: pa.Array) -> pa.Array:
    """Leave out nanoseconds where there are none."""
    return pc.replace_substring_regex(spelled, r"(\.\d{6})000$", r"\1")


def _where(holds: pa.Array, values: pa.Array) -> pa.Array:
    return pc.if_else(holds, values, pa.scalar(None, values.type))
