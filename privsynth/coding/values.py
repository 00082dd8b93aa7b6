"""Values of a storage type as numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Codes
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import flag
from privsynth.schema import Column
from privsynth.table import arrow_type, value_type

__all__ = ["as_type", "numbers_of", "typed"]
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = date(1970, 1, 1).toordinal()


FLAGS = {"nullable": True, "total": False}


def flags(state: Mapping[str, Any], what: str) -> tuple[bool, bool]:
    """Read whether the last code means null, and whether the coding is total."""
    return flag(state["nullable"], what), flag(state.get("total", False), what)


def stored_numbers(
    values: Any, dtype: type[np.float64] | type[np.int64], what: str
) -> npt.NDArray[Any]:
    """Read a list of finite numbers: JSON's 1.0, true and "1" are no integers."""
    kinds = {int} if dtype is np.int64 else {int, float}
    if not isinstance(values, list) or not {type(value) for value in values} <= kinds:
        raise ArtefactError(f"its numbers of {what} are damaged; fit the model anew")
    return np.array(values, dtype=dtype)


def holds_bounds(column: Column, ends: npt.NDArray[Any]) -> bool:
    """Whether the storage type of a continuous column holds its least and greatest number.

    A date outside the years 1 to 9999 is in none of the frames and formats that rows are given in.
    """
    dtype = value_type(arrow_type(column.dtype))
    if pa.types.is_temporal(dtype):
        day = 1 if pa.types.is_date32(dtype) else 86_400 * TICKS[dtype.unit]
        first, last = (at.toordinal() - _EPOCH for at in (date.min, date.max))
        return bool(first * day <= ends[0] and ends[1] < (last + 1) * day)
    if not (
        pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
    ):
        return False
    stored, _ = numbers_of(typed(ends, None, dtype), ends.dtype)
    if ends.dtype == np.int64 and pa.types.is_integer(dtype):
        return np.array_equal(stored, ends)
    rounding = 10.0**-dtype.scale if pa.types.is_decimal(dtype) else pa.types.is_integer(dtype)
    return bool(np.allclose(stored, ends, rtol=1e-6, atol=rounding))


def grain(column: Column) -> float:
    """Return how far a number of a column may move when it is rounded to its digits."""
    return 0.0 if column.decimals is None else 10.0**-column.decimals


def numbers_of(
    values: pa.Array | pa.ChunkedArray, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return numbers (0 where missing) and a mask of those present; datetimes as ticks."""
    plain = decoded(values)
    valid = np.ones(len(plain), dtype=bool)
    if plain.null_count:
        valid = np.asarray(plain.is_valid())
    if pa.types.is_temporal(plain.type):
        plain = plain.view(pa.int32() if plain.type.bit_width == 32 else pa.int64())
    plain = plain.cast(pa.float64() if dtype == np.float64 else pa.int64())
    return np.asarray(pc.fill_null(plain, 0) if plain.null_count else plain), valid


def typed(
    numbers: npt.NDArray[Any], missing: npt.NDArray[np.bool_] | None, dtype: pa.DataType
) -> pa.Array:
    """Convert numbers and a mask of missing ones to a column's storage type."""
    plain = value_type(dtype)
    if pa.types.is_temporal(plain):
        width = np.int32 if plain.bit_width == 32 else np.int64
        values = pa.array(numbers.astype(width, copy=False), mask=missing).view(plain)
    else:
        values = pa.array(numbers, mask=missing).cast(plain, safe=False)
    return values if plain == dtype else values.dictionary_encode().cast(dtype)


def codes_of(
    codes: Codes,
    values: pa.Array,
    missing: npt.NDArray[np.bool_] | None,
    dtype: pa.DataType,
) -> pa.Array:
    """Return the value of each code, as a dictionary array that shares its values."""
    indices = pa.array(codes.astype(np.int32, copy=False), mask=missing)
    ordered = pa.types.is_dictionary(dtype) and dtype.ordered
    coded = pa.DictionaryArray.from_arrays(indices, values, ordered=ordered)
    return coded.cast(dtype) if pa.types.is_boolean(dtype) else coded


def total_mark(total: bool) -> dict[str, bool]:
    """Return the JSON mark of a total coding; a learnt coding has none."""
    return {"total": True} if total else {}


def decoded(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return one array of the values themselves, without dictionary or chunks."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(value_type(values.type))


def as_type(levels: list[Any], dtype: pa.DataType) -> pa.Array:
    """Convert levels as read from YAML or JSON to a storage type.

    Raises
    ------
    pyarrow.ArrowException, OverflowError
        One cannot be read so.
    """
    reals = [level for level in levels if isinstance(level, float)]
    if pa.types.is_integer(dtype) and not all(real.is_integer() for real in reals):
        raise pa.ArrowInvalid("a fraction is no whole number")  # Arrow would cut it off
    try:
        return pa.array(levels, type=dtype)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([str(level) for level in levels]).cast(dtype)


def scalar_array(column: Column, value: Any) -> pa.Array:
    """Convert a value that a user named to an array of length 1, of the column's type.

    Raises
    ------
    SamplingError
        It cannot be read as such a value.
    """
    dtype = value_type(arrow_type(column.dtype))
    if value is None or (value == "" and not pa.types.is_string(dtype)) or value != value:
        return pa.nulls(1, dtype)
    try:
        array = pa.array([value])
        if pa.types.is_string(array.type) and pa.types.is_timestamp(dtype) and dtype.tz:
            local = array.cast(pa.timestamp(dtype.unit))
            return pc.assume_timezone(local, dtype.tz, ambiguous="earliest", nonexistent="latest")
        return array.cast(dtype)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise SamplingError(
            f"column {column.name!r}: what was asked for is no {column.kind} value; "
            f"give one that can be read as {dtype}"
        ) from None
