"""Cells of the number line: the codes of a continuous column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Codes
from privsynth.coding.reading import readings
from privsynth.coding.values import (
    FLAGS,
    codes_of,
    flags,
    grain,
    holds_bounds,
    numbers_of,
    plain_type,
    scalar_array,
    stored_numbers,
    total_mark,
    typed,
)
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import only, whole
from privsynth.schema import Bounds, Column, Kind
from privsynth.table import arrow_type

__all__ = ["Cells"]

VALUES_AT_ONCE = 8_192


@dataclass(frozen=True, eq=False)
class Cells:
    """A continuous column: consecutive cells of the number line.

    Parameters
    ----------
    column : Column
    low, high : ndarray, shape (cells,)
        The ends of each cell, both within it; int64 for integers and datetimes (ticks of the
        storage type), float64 otherwise. An atom has ``low == high``.
    mid : ndarray of float64, shape (cells,)
        The mean of the values drawn in each cell.
    step : int
        The grid of an integer or datetime column, in its own unit.
    nullable : bool
        Whether the last code means null.
    total : bool
        Whether any value of any type has a code; one that cannot be read has the code of null.
    """

    column: Column
    low: npt.NDArray[Any]
    high: npt.NDArray[Any]
    mid: npt.NDArray[np.float64]
    step: int = 1
    nullable: bool = False
    total: bool = False

    ordered: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def size(self) -> int:
        """The number of codes, null included."""
        return len(self.low) + self.nullable

    @property
    def atoms(self) -> npt.NDArray[np.bool_]:
        """Which cells are a single value."""
        return np.asarray(self.low == self.high)

    def encode(self, values: pa.Array) -> Codes:
        """Return the code of each value: its cell, or the nearest one."""
        if self.total:
            numbers, valid = readings(self.column, values, self.low.dtype)
        else:
            numbers, valid = numbers_of(values, self.low.dtype)
        codes = self._nearest(numbers)
        if not valid.all():
            codes[~valid] = self.size - 1 if self.nullable else len(self.low) // 2
        return codes

    def draw(self, codes: Codes, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Draw a number inside each cell, on the column's grid; codes of null are not allowed.

        Two uniform pieces meet at `mid` and are weighted so that it is the mean of what is drawn.
        """
        return self._drawn(codes, rng).astype(np.float64, copy=False)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Draw a value for each code; if all cells are atoms, return a dictionary array of them."""
        dtype = arrow_type(self.column.dtype)
        missing = codes == len(self.low) if self.nullable else None
        if self.atoms.all():
            return codes_of(codes, self._values, missing, dtype)
        return typed(self._drawn(codes, rng), missing, dtype)

    @cached_property
    def _values(self) -> pa.Array:
        return typed(self.low, None, plain_type(self.column))

    @cached_property
    def _pieces(self) -> _Pieces:
        return _pieces(self)

    def _drawn(self, codes: Codes, rng: np.random.Generator) -> npt.NDArray[Any]:
        """Draw a number for each code, of the type of `low`; 0 for the code of null."""
        pieces = self._pieces
        at = codes.astype(np.intp)
        chance = rng.random(len(at))
        piece = 2 * at + (chance >= pieces.share.take(at))
        drawn: npt.NDArray[Any] = pieces.slope.take(piece)
        drawn *= chance
        drawn += pieces.start.take(piece)
        if self.low.dtype == np.int64:
            # Unsigned arithmetic wraps around, so a cell may span all 64-bit integers.
            drawn = drawn.astype(np.uint64).view(np.int64)
            if self.step != 1:
                drawn *= self.step
            drawn += pieces.base.take(at)
        elif self.column.decimals is not None:
            drawn = np.round(drawn, self.column.decimals)
        if not pieces.snug:
            inside = np.minimum(at, len(self.low) - 1)
            drawn = np.clip(drawn, self.low.take(inside), self.high.take(inside))
        return drawn

    def value(self, value: Any) -> pa.Scalar:
        """Convert a value that a user named to the storage type."""
        return scalar_array(self.column, value)[0]

    def code_of(self, value: Any) -> int:
        """Return the code of one value that a user named.

        Raises
        ------
        SamplingError
            It is not of this column's type, lies beyond its bounds, or is missing although the
            model has no missing values.
        """
        scalar = scalar_array(self.column, value)
        numbers, valid = numbers_of(scalar, self.low.dtype)
        if not valid[0] and not self.nullable:
            raise SamplingError(f"column {self.name!r}: the model has no missing values in it")
        if valid[0] and not self.low[0] <= numbers[0] <= self.high[-1]:
            raise SamplingError(
                f"column {self.name!r}: what was asked for lies beyond the model's bounds; "
                "'privsynth inspect MODEL' shows them"
            )
        return int(self.encode(scalar)[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the cells as JSON values."""
        return {
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "mid": self.mid.tolist(),
            "step": self.step,
            "nullable": self.nullable,
            **total_mark(self.total),
        }

    @classmethod
    def from_dict(cls, column: Column, state: Mapping[str, Any]) -> Cells:
        """Rebuild the cells of `column`.

        Raises
        ------
        ArtefactError
            They are damaged, or contradict the schema.
        """
        what = f"column {column.name!r}"
        only(state, {**dict.fromkeys(("low", "high", "mid", "step"), True), **FLAGS}, what)
        dtype = np.float64 if column.kind is Kind.NUMERIC else np.int64
        low, high = (stored_numbers(state[key], dtype, what) for key in ("low", "high"))
        mid = stored_numbers(state["mid"], np.float64, what)
        step = whole(state["step"], what, 1, 1 if dtype is np.float64 else 2**62)
        cells = cls(column, low, high, mid, step, *flags(state, what))
        if not cells._sound():
            raise ArtefactError(f"its cells of {what} are damaged; fit the model anew")
        return cells

    def _sound(self) -> bool:
        """Whether the cells ascend, within the bounds of the schema and the storage type."""
        low, high, mid = self.low, self.high, self.mid
        if not len(low) or low.shape != high.shape or low.shape != mid.shape:
            return False
        ordered = (low <= mid) & (mid <= high)
        if not (ordered.all() and (low <= high).all() and (high[:-1] <= low[1:]).all()):
            return False
        return holds_bounds(self.column, np.array([low[0], high[-1]])) and self._within()

    def _within(self) -> bool:
        """Whether the cells lie within the schema's bounds; a single cell of few rows need not."""
        domain = self.column.domain
        if not isinstance(domain, Bounds) or len(self.low) == 1:
            return True
        low: Any
        high: Any
        if self.total and not isinstance(domain.low, str):
            # Discovered bounds may exceed 64-bit integers.
            low, high = domain.low, domain.high
        elif self.total:
            ends = pa.array([domain.low, domain.high])
            (low, high), valid = readings(self.column, ends, self.low.dtype)
            if not valid.all():
                return False
        else:
            low, high = (
                numbers_of(scalar_array(self.column, end), self.low.dtype)[0][0]
                for end in (domain.low, domain.high)
            )
        # Ends of cells are rounded to the grid, and to the storage type.
        tiniest = float(np.finfo(np.float32).smallest_subnormal)
        slack = grain(self.column) + 1e-6 * max(abs(float(low)), abs(float(high))) + tiniest
        slack = slack if self.low.dtype == np.float64 else 0
        return bool(self.low[0] >= low - slack and self.high[-1] <= high + slack)

    @cached_property
    def _switches(self) -> npt.NDArray[Any]:
        """For each cell but the first, the least number nearer to it than to the one before."""
        high, low = self.high[:-1], self.low[1:]
        if self.low.dtype == np.int64:
            # A gap may be wider than the largest int64.
            half = ((low - high).view(np.uint64) // 2).view(np.int64)
            return np.asarray(np.minimum(high + half + 1, low))
        return np.asarray(np.minimum(np.nextafter(high / 2 + low / 2, np.inf), low))

    def _nearest(self, numbers: npt.NDArray[Any]) -> Codes:
        """Return the nearest cell of each number.

        A binary search over the switches, in step for a block of numbers that fits the cache:
        searching for one number at a time would mispredict a branch at each halving.
        """
        switches = self._switches
        depth = len(switches).bit_length()
        padding = np.iinfo(np.int64).max if self.low.dtype == np.int64 else np.inf
        padded = np.full(1 << depth, padding, dtype=self.low.dtype)
        padded[: len(switches)] = switches
        halves = [padded[(1 << d) - 1 :: 2 << d].copy() for d in reversed(range(depth))]
        codes = np.empty(len(numbers), dtype=np.int32)
        for start in range(0, len(numbers), VALUES_AT_ONCE):
            block = numbers[start : start + VALUES_AT_ONCE]
            at = np.zeros(len(block), dtype=np.intp)
            for half in halves:
                above = block >= half.take(at, mode="clip")
                at += at
                at += above
            codes[start : start + VALUES_AT_ONCE] = np.minimum(at, len(switches))
        return codes

    def _spans(self, values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Return the nearest cell of each number; `values` must ascend."""
        ends = np.searchsorted(values, self._switches)
        return np.repeat(np.arange(len(self.low)), np.diff(ends, prepend=0, append=len(values)))


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The two uniform pieces of every cell, as linear functions of one uniform number in [0, 1).

    A uniform number below `share` selects the left piece of its cell, ``2 * cell``, and any other
    the right piece, ``2 * cell + 1``; the value is ``start + slope * uniform`` of that piece. For
    integers and datetimes this is the number of steps above `base`, rounded down. `snug` is true if
    no value can leave its cell. If the column is nullable, a last cell stands for null and gives 0.
    """

    share: npt.NDArray[np.float64]
    start: npt.NDArray[np.float64]
    slope: npt.NDArray[np.float64]
    base: npt.NDArray[np.int64]
    snug: bool


def _pieces(cells: Cells) -> _Pieces:
    whole = cells.low.dtype == np.int64
    base = np.zeros_like(cells.low)
    low, high, mid = cells.low, cells.high, cells.mid
    if whole:
        base = np.where(cells.atoms, low, low // cells.step * cells.step)
        # Rounding down would halve the weight of both ends, so each is extended by half a step.
        mid = (mid - base) / cells.step + 0.5
        low, high = ((end - base).view(np.uint64) / cells.step for end in (low, high))
        high = high + 1
        mid = np.clip(mid, low, high)
    with np.errstate(all="ignore"):
        share = np.where(high > low, (high / 2 - mid / 2) / (high / 2 - low / 2), 1.0)
        left = np.where(share > 0, (mid - low) / share, 0.0)
        # Slightly too flat, or the last numbers would be rounded up and out of the cell.
        right = np.where(share < 1, (high - mid) / (1 - share) * (1 - 2.0**-40), 0.0)
        start, slope = np.stack([low, mid - right * share], 1), np.stack([left, right], 1)
        sound = np.isfinite(start) & np.isfinite(slope)
    start, slope = np.where(sound, start, mid[:, None]), np.where(sound, slope, 0.0)
    ends = np.stack([np.zeros_like(share), share, share, np.full_like(share, 1 - 2.0**-53)], 1)
    reach = start.repeat(2, axis=1) + slope.repeat(2, axis=1) * ends
    if whole:
        reach, high = np.floor(reach), high - 1
    elif cells.column.decimals is not None:
        reach = np.round(reach, cells.column.decimals)
    snug = (low[:, None] <= reach) & (reach <= high[:, None])
    if whole:
        # Beyond 2**52, float rounding may move a number out of its cell.
        snug &= high[:, None] < 2.0**52
    null = int(cells.nullable)
    return _Pieces(
        np.append(share, null * [1.0]),
        np.append(start, 2 * null * [0.0]),
        np.append(slope, 2 * null * [0.0]),
        np.append(base, np.zeros(null, base.dtype)),
        bool(snug.all()),
    )
