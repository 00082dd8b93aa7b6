"""Levels and bounds under disclosure control: values as levels, and bounds rounded inward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.table import Support

__all__ = ["clipped", "iso", "level_values", "round_numbers", "round_times", "wall_clock"]

_CLOCK = ("Y", "M", "D", "h", "m", "s", "ms", "us", "ns")


def level_values(values: pa.Array) -> list[Any]:
    """Return values as a schema lists levels: text, numbers, booleans, and anything else as text.

    `privsynth.coding.values.as_type` reads the text of dates, times and decimals back.
    """
    kind, types = values.type, pa.types
    plain = types.is_string(kind) or types.is_boolean(kind)
    if not (plain or types.is_integer(kind) or types.is_floating(kind)):
        values = values.cast(pa.string())
    return list(values.to_pylist())


def clipped(
    values: npt.NDArray[Any],
    support: Support,
    k: int,
    rounded: Callable[[Any, bool], Iterator[Any]],
) -> tuple[Any, Any]:
    """Return bounds at or inside the value of the k-th unit from each end.

    A value held by k units is a bound itself. Any other is rounded inward, to the roundest number
    that leaves at most 2k units outside. There are at least 2k units.
    """
    units, below, above = support.units, support.below, support.above
    first = int(np.searchsorted(below, k))
    last = int(np.searchsorted(-above, -k, side="right")) - 1

    def less(at: Any) -> int:
        place = int(np.searchsorted(values, at, side="left"))
        return int(below[place - 1]) if place else 0

    def more(at: Any) -> int:
        place = int(np.searchsorted(values, at, side="right"))
        return int(above[place]) if place < len(above) else 0

    low, high = values[first], values[last]
    if units[first] < k:
        low = next((at for at in rounded(low, True) if at <= high and less(at) <= 2 * k), low)
    if units[last] < k:
        allowed = (at for at in rounded(high, False) if at >= low and more(at) <= 2 * k)
        high = next(allowed, high if high >= low else low)
    return low, high


def round_numbers(value: Any, up: bool) -> Iterator[Any]:
    """Yield ever finer decimal roundings of a number, upward or downward."""
    plain = value.item()
    exact = Decimal(repr(plain))
    finest = min(int(exact.as_tuple().exponent), 0)
    for power in range(exact.adjusted(), finest - 1, -1):
        way = ROUND_CEILING if up else ROUND_FLOOR
        yield type(plain)(exact.quantize(Decimal(1).scaleb(power), way))


def round_times(value: Any, up: bool) -> Iterator[Any]:
    """Yield ever finer roundings of a moment: to the year, month, day, hour, ..."""
    finest = np.datetime_data(value.dtype)[0]
    for unit in _CLOCK[: _CLOCK.index(finest) + 1]:
        at = value.astype(f"M8[{unit}]")
        yield (at + 1 if up and at < value else at).astype(value.dtype)


def wall_clock(values: pa.Array) -> npt.NDArray[Any]:
    """Return moments in the column's own time zone; an hour may occur twice."""
    if pa.types.is_timestamp(values.type) and values.type.tz:
        return np.sort(np.asarray(pc.local_timestamp(values)))
    return np.asarray(values)


def iso(moment: Any) -> str:
    """Return a moment in ISO 8601, without a time or fraction that is zero."""
    day = moment.astype("M8[D]")
    if day == moment:
        return str(day)
    second = moment.astype("M8[s]")
    return str(second if second == moment else moment)
