"""Values to integer codes and back: the only place where a cell's value is known.

Every column becomes one column of small integers. A number or a date falls in a *cell* of the
line: an atom (one value that many rows share) or an interval. A category is a level. An id or
personal column is only "there" or "missing", since its values are invented afresh. A null, where
enough rows have one, is the last code. Cells and levels rest on at least k rows each, so what is
built from the codes, and the codec itself, obeys the disclosure control.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.conversion import comparable, readings
from privsynth.documents import flag, number, only, whole
from privsynth.errors import (
    ArtefactError,
    DataError,
    PrivsynthWarning,
    SamplingError,
    SchemaError,
    known,
)
from privsynth.infer import clipped, level_values, round_numbers
from privsynth.privacy import Disclosure
from privsynth.schema import Bounds, Column, Kind, Levels, Schema
from privsynth.surrogates import surrogates
from privsynth.table import Table, arrow_type

__all__ = [
    "OTHER",
    "Cells",
    "Codec",
    "Codes",
    "Coding",
    "DeterminedCodes",
    "LevelCodes",
    "SurrogateCodes",
    "as_type",
    "learn",
    "mapped",
    "numbers_of",
    "spare",
    "typed",
    "with_determined",
]

Codes: TypeAlias = npt.NDArray[np.int32]
"""Integer codes, shape (rows, columns)."""

BLOCK = 8_192
MOST_CELLS = 256
MOST_CLASSES = 10
OTHER = "(other)"
_TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, eq=False)
class Cells:
    """A continuous column: consecutive cells of the line.

    Parameters
    ----------
    column : Column
    low, high : ndarray, shape (cells,)
        The ends of each cell, both within it; int64 for integers and datetimes (ticks of the
        storage type), float64 otherwise. An atom has ``low == high``.
    mid : ndarray of float64, shape (cells,)
        The balance point of each cell, so that drawn values keep the cell's mean.
    step : int
        The grid of an integer or datetime column, in its own unit.
    nullable : bool
        Whether the last code means null.
    total : bool
        Whether any value of any type has a code: that of null where it cannot be read.
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
        """How many codes there are, null included."""
        return len(self.low) + self.nullable

    @property
    def atoms(self) -> npt.NDArray[np.bool_]:
        """Which cells are one single value."""
        return np.asarray(self.low == self.high)

    def encode(self, values: pa.Array) -> Codes:
        """Give the code of each value: its cell, or the nearest one."""
        if self.total:
            numbers, valid = readings(self.column, values, self.low.dtype)
        else:
            numbers, valid = numbers_of(values, self.low.dtype)
        codes = self._nearest(numbers)
        if not valid.all():
            codes[~valid] = self.size - 1 if self.nullable else len(self.low) // 2
        return codes

    def draw(self, codes: Codes, rng: np.random.Generator) -> npt.NDArray[np.float64]:
        """Draw a number inside each cell, on the column's own grid; codes of null are not allowed.

        Two uniform pieces meet at the balance point, weighted so that the cell's mean is kept.
        """
        return self._drawn(codes, rng).astype(np.float64, copy=False)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Draw a value for each code; a column of atoms alone is a dictionary array of them."""
        dtype = arrow_type(self.column.dtype)
        missing = codes == len(self.low) if self.nullable else None
        if self.atoms.all():
            return _coded(codes, self._values, missing, dtype)
        return typed(self._drawn(codes, rng), missing, dtype)

    @cached_property
    def _values(self) -> pa.Array:
        return typed(self.low, None, _value_type(arrow_type(self.column.dtype)))

    @cached_property
    def _pieces(self) -> _Pieces:
        return _pieces(self)

    def _drawn(self, codes: Codes, rng: np.random.Generator) -> npt.NDArray[Any]:
        """Draw a number of the type that `low` has for each code; 0 for that of null."""
        pieces = self._pieces
        at = codes.astype(np.intp)
        chance = rng.random(len(at))
        piece = 2 * at + (chance >= pieces.share.take(at))
        drawn: npt.NDArray[Any] = pieces.slope.take(piece)
        drawn *= chance
        drawn += pieces.start.take(piece)
        if self.low.dtype == np.int64:
            # Integers wrap around, so that a cell may be as wide as they are.
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

    def value(self, named: Any) -> pa.Scalar:
        """Give a value that a person named as one of the storage type."""
        return _scalar(self.column, named)[0]

    def code_of(self, value: Any) -> int:
        """Give the code of one value that a person named.

        Raises
        ------
        SamplingError
            It is no value of this column's type, lies beyond its bounds, or is missing where the
            model has no missing values.
        """
        named = _scalar(self.column, value)
        numbers, valid = numbers_of(named, self.low.dtype)
        if not valid[0] and not self.nullable:
            raise SamplingError(f"column {self.name!r}: the model has no missing values in it")
        if valid[0] and not self.low[0] <= numbers[0] <= self.high[-1]:
            raise SamplingError(
                f"column {self.name!r}: what was asked for lies beyond the model's bounds; "
                "'privsynth inspect MODEL' shows them"
            )
        return int(self.encode(named)[0])

    def to_dict(self) -> dict[str, Any]:
        """Give the cells as JSON values."""
        return {
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "mid": self.mid.tolist(),
            "step": self.step,
            "nullable": self.nullable,
            **_mark(self.total),
        }

    @classmethod
    def from_dict(cls, column: Column, state: Mapping[str, Any]) -> Cells:
        """Rebuild the cells of `column`.

        Raises
        ------
        ArtefactError
            They are none, or do not fit what the schema says of the column.
        """
        what = f"column {column.name!r}"
        only(state, {**dict.fromkeys(("low", "high", "mid", "step"), True), **_FLAGS}, what)
        dtype = np.float64 if column.kind is Kind.NUMERIC else np.int64
        low, high = (_numbers(state[key], dtype, what) for key in ("low", "high"))
        mid = _numbers(state["mid"], np.float64, what)
        step = whole(state["step"], what, 1, 1 if dtype is np.float64 else 2**62)
        cells = cls(column, low, high, mid, step, *_flags(state, what))
        if not cells._sound():
            raise ArtefactError(f"its cells of {what} are damaged; fit the model anew")
        return cells

    def _sound(self) -> bool:
        """Whether the cells follow each other, within the schema's bounds and the type's."""
        low, high, mid = self.low, self.high, self.mid
        if not len(low) or low.shape != high.shape or low.shape != mid.shape:
            return False
        ordered = (low <= mid) & (mid <= high)
        if not (ordered.all() and (low <= high).all() and (high[:-1] <= low[1:]).all()):
            return False
        return _holds(self.column, np.array([low[0], high[-1]])) and self._within()

    def _within(self) -> bool:
        """Whether the cells lie within the schema's bounds; a lone one of few rows may not."""
        domain = self.column.domain
        if not isinstance(domain, Bounds) or len(self.low) == 1:
            return True
        least: Any
        most: Any
        if self.total and not isinstance(domain.low, str):
            # Discovered bounds may lie beyond what 64 bits hold.
            least, most = domain.low, domain.high
        elif self.total:
            ends = pa.array([domain.low, domain.high])
            (least, most), valid = readings(self.column, ends, self.low.dtype)
            if not valid.all():
                return False
        else:
            least, most = (
                numbers_of(_scalar(self.column, end), self.low.dtype)[0][0]
                for end in (domain.low, domain.high)
            )
        # Ends of cells are rounded to the grid, and to the storage type.
        slack = _grain(self.column) + 1e-6 * max(abs(float(least)), abs(float(most)))
        slack = slack if self.low.dtype == np.float64 else 0
        return bool(self.low[0] >= least - slack and self.high[-1] <= most + slack)

    @cached_property
    def _switches(self) -> npt.NDArray[Any]:
        """The least number that is nearer to each cell but the first than to the one before."""
        high, low = self.high[:-1], self.low[1:]
        if self.low.dtype == np.int64:
            # A gap may be wider than half of all integers.
            half = ((low - high).view(np.uint64) // 2).view(np.int64)
            return np.asarray(np.minimum(high + half + 1, low))
        return np.asarray(np.minimum(np.nextafter(high / 2 + low / 2, np.inf), low))

    def _nearest(self, numbers: npt.NDArray[Any]) -> Codes:
        """Give the nearest cell of each number.

        The switches are searched by halves, in step for all numbers of a block that the
        processor's cache holds: a search for one after another would guess a branch at each half.
        """
        switches = self._switches
        depth = len(switches).bit_length()
        most = np.iinfo(np.int64).max if self.low.dtype == np.int64 else np.inf
        padded = np.full(1 << depth, most, dtype=self.low.dtype)
        padded[: len(switches)] = switches
        halves = [padded[(1 << d) - 1 :: 2 << d].copy() for d in reversed(range(depth))]
        codes = np.empty(len(numbers), dtype=np.int32)
        for start in range(0, len(numbers), BLOCK):
            block = numbers[start : start + BLOCK]
            at = np.zeros(len(block), dtype=np.intp)
            for half in halves:
                above = block >= half.take(at, mode="clip")
                at += at
                at += above
            codes[start : start + BLOCK] = np.minimum(at, len(switches))
        return codes

    def _spans(self, values: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
        """Give the nearest cell of each of many numbers that ascend."""
        ends = np.searchsorted(values, self._switches)
        return np.repeat(np.arange(len(self.low)), np.diff(ends, prepend=0, append=len(values)))


@dataclass(frozen=True, eq=False)
class _Pieces:
    """The two uniform pieces of every cell as straight lines over one chance in [0, 1).

    Below `share` a chance falls in the left piece of its cell, else in the right one, and the
    number is ``start + slope * chance`` of piece ``2 * cell`` or ``2 * cell + 1``. For integers
    and datetimes that is how many steps above `base` it lies, and a fraction is dropped. `snug`
    tells that no number leaves its cell. Null, where there is one, is a last cell that gives 0.
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
        # Cut to the grid, both ends would have half a share, so each reaches half a step out.
        mid = (mid - base) / cells.step + 0.5
        low, high = ((end - base).view(np.uint64) / cells.step for end in (low, high))
        high = high + 1
        mid = np.clip(mid, low, high)
    with np.errstate(all="ignore"):
        share = np.where(high > low, (high / 2 - mid / 2) / (high / 2 - low / 2), 1.0)
        left = np.where(share > 0, (mid - low) / share, 0.0)
        # A hair too flat, or the last numbers would be rounded up and out of the cell.
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
        # Beyond that, a float may round a number out of its cell unseen.
        snug &= high[:, None] < 2.0**52
    null = int(cells.nullable)
    return _Pieces(
        np.append(share, null * [1.0]),
        np.append(start, 2 * null * [0.0]),
        np.append(slope, 2 * null * [0.0]),
        np.append(base, np.zeros(null, base.dtype)),
        bool(snug.all()),
    )


@dataclass(frozen=True, eq=False)
class LevelCodes:
    """A discrete column: its levels, then the pooled rare ones, then null.

    Parameters
    ----------
    column : Column
    levels : tuple
        Values of the storage type, each held by at least k rows; none for an all-null column.
    pooled : bool
        Whether the levels below k rows together have a code, given back as ``"(other)"``.
    nullable : bool
        Whether the last code means null.
    total : bool
        Whether any value of any type has a code; without `pooled`, an unknown one that of null.
    """

    column: Column
    levels: tuple[Any, ...]
    pooled: bool = False
    nullable: bool = False
    total: bool = False

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def ordered(self) -> bool:
        """Whether the levels lie on a line."""
        return not self.pooled and self.column.kind not in (Kind.CATEGORICAL, Kind.TEXT)

    @property
    def size(self) -> int:
        """How many codes there are, null included."""
        return len(self.levels) + self.pooled + self.nullable

    @cached_property
    def _values(self) -> pa.Array:
        dtype = _value_type(arrow_type(self.column.dtype))
        levels = [*self.levels, OTHER] if self.pooled else list(self.levels)
        return as_type(levels, dtype)

    def encode(self, values: pa.Array) -> Codes:
        """Give the code of each value; an unknown level is pooled, or else the most frequent."""
        levels = self._values.slice(0, len(self.levels))
        rest = len(self.levels) if self.pooled or self.total else 0
        if self.total:
            plain, levels = (comparable(self.column, array) for array in (values, levels))
        else:
            plain = _plain(values)
        found = pc.index_in(plain, value_set=levels)
        codes = np.array(pc.fill_null(found, rest) if found.null_count else found, dtype=np.int32)
        if self.nullable and plain.null_count:
            codes[np.asarray(plain.is_null())] = self.size - 1
        return codes

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Give the level of each code, as a dictionary array unless they are booleans."""
        dtype = arrow_type(self.column.dtype)
        if not len(self._values):
            return pa.nulls(len(codes), dtype)
        missing = codes == len(self._values) if self.nullable else None
        return _coded(codes, self._values, missing, dtype)

    def code_of(self, value: Any) -> int:
        """Give the code of one value that a person named.

        Raises
        ------
        SamplingError
            The model knows no such level.
        """
        named = _scalar(self.column, value)
        if named[0].is_valid and pc.index_in(named, value_set=self._values)[0].is_valid:
            return int(pc.index_in(named, value_set=self._values)[0].as_py())
        if not named[0].is_valid and self.nullable:
            return self.size - 1
        raise SamplingError(
            f"column {self.name!r}: the model has no such level{known(value, self.levels)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the levels as JSON values."""
        return {
            "levels": list(self.levels),
            "pooled": self.pooled,
            "nullable": self.nullable,
            **_mark(self.total),
        }

    @classmethod
    def from_dict(cls, column: Column, state: Mapping[str, Any]) -> LevelCodes:
        """Rebuild the levels of `column`.

        Raises
        ------
        ArtefactError
            They are none of its storage type, or not those of the schema.
        """
        what = f"column {column.name!r}"
        only(state, {"levels": True, "pooled": True, **_FLAGS}, what)
        if not isinstance(state["levels"], list):
            raise ArtefactError(f"its levels of {what} are damaged; fit the model anew")
        levels, pooled = tuple(state["levels"]), flag(state["pooled"], what)
        coding = cls(column, levels, pooled, *_flags(state, what))
        if not coding._sound():
            raise ArtefactError(f"its levels of {what} are damaged; fit the model anew")
        return coding

    def _sound(self) -> bool:
        """Whether the levels are different values of the storage type, and the schema's."""
        dtype = _value_type(arrow_type(self.column.dtype))
        if not self.size or (self.pooled and not pa.types.is_string(dtype)):
            return False
        plain = {str} if pa.types.is_temporal(dtype) else {str, bool, int, float}
        if not {type(level) for level in self.levels} <= plain:
            return False
        own = comparable(self.column, self._values)
        if own.null_count or pc.count_distinct(own).as_py() < len(own):
            return False
        if not isinstance(self.column.domain, Levels) or not self.levels:
            return True
        named = [str(level) for level in self.column.domain.values]
        listed = comparable(self.column, pa.array(named, pa.string()))
        return bool(pc.all(pc.is_in(own.slice(0, len(self.levels)), value_set=listed)).as_py())


@dataclass(frozen=True, eq=False)
class SurrogateCodes:
    """A column whose values are invented: it is only there or missing.

    Parameters
    ----------
    column : Column
    distinct : int, optional
        How many different values there are, where values repeat.
    share : float
        Different values by row, so that a larger table gets more of them.
    offset : int
        Added to whole numbers, so that none is one of the real ones.
    nullable : bool
        Whether the last code means null.
    """

    column: Column
    distinct: int | None = None
    share: float = 1.0
    nullable: bool = False
    offset: int = 0

    ordered: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def size(self) -> int:
        """How many codes there are, null included."""
        return 1 + self.nullable

    def encode(self, values: pa.Array) -> Codes:
        """Give 1 where a value is missing, and 0 elsewhere."""
        if not self.nullable:
            return np.zeros(len(values), dtype=np.int32)
        return np.asarray(_plain(values).is_null()).astype(np.int32)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Invent a value for each code; `start` is the first row's number in the whole table."""
        n = len(codes)
        pool = None if self.distinct is None else max(self.distinct, int(n * self.share))
        invented = surrogates(self.column, n, rng, start=start, pool=pool)
        if self.offset:
            dtype, plain = invented.type, _plain(invented)
            shifted = pc.add(plain, pa.scalar(self.offset, plain.type))
            coded = pa.types.is_dictionary(dtype)
            invented = shifted.dictionary_encode().cast(dtype) if coded else shifted
        if not self.nullable:
            return invented
        return pc.if_else(pa.array(codes == 0), invented, pa.scalar(None, invented.type))

    def code_of(self, value: Any) -> int:
        """Refuse: no row can be asked for by a value that is invented."""
        raise SamplingError(
            f"column {self.name!r}: its values are invented; ask for a value of another column"
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the coding as JSON values."""
        return {
            "distinct": self.distinct,
            "share": self.share,
            "nullable": self.nullable,
            "offset": self.offset,
        }

    @classmethod
    def from_dict(cls, column: Column, state: Mapping[str, Any]) -> SurrogateCodes:
        """Rebuild the coding of `column`.

        Raises
        ------
        ArtefactError
            It is none, or the storage type has no room for what it invents.
        """
        what = f"column {column.name!r}"
        only(state, dict.fromkeys(("distinct", "share", "nullable", "offset"), True), what)
        distinct = None if state["distinct"] is None else whole(state["distinct"], what)
        share, offset = number(state["share"], what, 0.0, 1.0), whole(state["offset"], what)
        if column.unique and distinct is not None:
            raise ArtefactError(f"its {what} is unique and has values that repeat; fit anew")
        coding = cls(column, distinct, share, flag(state["nullable"], what), offset)
        coding.decode(np.arange(coding.size, dtype=np.int32), np.random.default_rng(0))
        return coding


@dataclass(frozen=True, eq=False)
class DeterminedCodes:
    """A column whose value follows from another column's level: nothing is learnt of it.

    Parameters
    ----------
    column : Column
        Says by which column and how.
    by : LevelCodes
        The coding of that column. What the mapping does not list, such as null, gives null.
    """

    column: Column
    by: LevelCodes

    size: ClassVar[int] = 1
    nullable: ClassVar[bool] = False
    ordered: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @cached_property
    def _follows(self) -> pa.DictionaryArray:
        """The value that follows from each level of the mapping, each different one kept once."""
        return mapped(self.column).dictionary_encode()

    @cached_property
    def _of(self) -> pa.Array:
        """The position of the value that follows from each code of the other column."""
        levels = self.by._values
        return self._places(pa.concat_arrays([levels, pa.nulls(self.by.nullable, levels.type)]))

    def _places(self, levels: pa.Array) -> pa.Array:
        """Give the position of the value that follows from each level; null where none does."""
        listed = as_type([level for level, _ in self.column.mapping], levels.type)
        return self._follows.indices.take(pc.index_in(levels, value_set=listed))

    def encode(self, values: pa.Array) -> Codes:
        """Give 0: a value tells nothing that the other column does not."""
        return np.zeros(len(values), dtype=np.int32)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Give the value that follows from each code of the other column."""
        return self._valued(self._of.take(pa.array(codes)))

    def follow(self, levels: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Give the value that follows from each level of the other column."""
        return self._valued(self._places(_plain(levels)))

    def _valued(self, places: pa.Array) -> pa.Array:
        dtype = arrow_type(self.column.dtype)
        there = np.asarray(pc.fill_null(places, 0))
        missing = np.asarray(places.is_null()) if places.null_count else None
        return _coded(there, self._follows.dictionary, missing, dtype)

    def code_of(self, value: Any) -> int:
        """Give the other column's code from which alone a value follows.

        Raises
        ------
        SamplingError
            None, or several, give it.
        """
        named = _scalar(self.column, value)[0]
        follows = _plain(self._valued(self._of))
        gives = pc.equal(follows, named) if named.is_valid else follows.is_null()
        given = np.flatnonzero(pc.fill_null(gives, False))
        if len(given) != 1:
            raise SamplingError(
                f"column {self.name!r}: {'no level' if len(given) == 0 else 'more than one level'} "
                f"of {self.by.name!r} gives this value; ask for a level of {self.by.name!r}"
            )
        return int(given[0])

    def to_dict(self) -> dict[str, Any]:
        """Give the coding as JSON values: the schema says it all."""
        return {}


Coding: TypeAlias = Cells | LevelCodes | SurrogateCodes | DeterminedCodes
CODINGS: dict[str, type[Cells] | type[LevelCodes] | type[SurrogateCodes]] = {
    "cells": Cells,
    "levels": LevelCodes,
    "surrogates": SurrogateCodes,
}
DETERMINED = "determined"


def spare(coding: Coding) -> int:
    """Count the last codes, which stand for unknown and for missing values."""
    return (isinstance(coding, LevelCodes) and coding.pooled) + bool(coding.nullable)


@dataclass(frozen=True, eq=False)
class Codec:
    """How a whole table becomes codes and comes back.

    Parameters
    ----------
    codings : tuple of Coding
        One a column, in the table's order.
    target : int or None
        The position of the target.
    """

    codings: tuple[Coding, ...]
    target: int | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each column has."""
        return tuple(coding.size for coding in self.codings)

    @property
    def classes(self) -> bool:
        """Whether the target is discrete, so that to predict it is to classify."""
        if self.target is None:
            return False
        coding = self.codings[self.target]
        if isinstance(coding, Cells):
            most = MOST_CLASSES if coding.low.dtype == np.int64 else 2
            return bool(coding.atoms.all()) and len(coding.low) <= most
        return isinstance(coding, LevelCodes)

    @property
    def schema(self) -> pa.Schema:
        """The names and storage types of the columns, to which what `decode` gives can be cast."""
        return pa.schema(
            [(coding.name, arrow_type(coding.column.dtype)) for coding in self.codings]
        )

    def encode(
        self, rows: pa.Table | pa.RecordBatch, dtype: npt.DTypeLike = np.int32
    ) -> npt.NDArray[Any]:
        """Give the codes of rows that hold at least the codec's columns.

        Parameters
        ----------
        rows : pyarrow.Table or RecordBatch
        dtype : dtype, default=int32
            A type of integers that holds every code.

        Returns
        -------
        ndarray of `dtype`, shape (rows, columns)
            In column-major order, since engines read it by column.
        """
        codes = np.empty((rows.num_rows, len(self.codings)), dtype=dtype, order="F")
        for j, coding in enumerate(self.codings):
            codes[:, j] = _encoded(coding, rows.column(coding.name))
        return codes

    def decode(self, codes: Codes, rng: np.random.Generator, *, start: int = 0) -> pa.Table:
        """Give values for codes.

        Parameters
        ----------
        codes : Codes, shape (rows, columns)
        rng : numpy.random.Generator
            Draws the values inside cells and the surrogates.
        start : int
            The number of the first row in the whole table, so that unique surrogates are unique.

        Returns
        -------
        pyarrow.Table
            Columns of levels or of atoms alone come as dictionary arrays, whatever type they are
            stored as: their codes are the rows' and nothing is copied. A writer takes them as
            they are; ``.cast(codec.schema)`` gives plain columns.
        """
        return pa.table(
            [
                coding.decode(codes[:, of], rng, start)
                for coding, of in zip(self.codings, self._read_from, strict=True)
            ],
            names=[coding.name for coding in self.codings],
        )

    @cached_property
    def _read_from(self) -> list[int]:
        """The position of the column whose codes give each column's values."""
        names = [coding.name for coding in self.codings]
        return [
            names.index(coding.by.name) if isinstance(coding, DeterminedCodes) else j
            for j, coding in enumerate(self.codings)
        ]

    def conditions(self, where: Mapping[str, Any]) -> dict[int, int]:
        """Translate conditions on columns to positions and codes.

        Raises
        ------
        SamplingError
            No such column, no such level, a column of surrogates, or two conditions that
            contradict each other.
        """
        names = [coding.name for coding in self.codings]
        for name in where:
            if name not in names:
                raise SamplingError(f"no column {name!r} to ask for{known(name, names)}")
        asked: dict[int, int] = {}
        for name, value in where.items():
            j = names.index(name)
            code = self.codings[j].code_of(value)
            if asked.setdefault(self._read_from[j], code) != code:
                raise SamplingError(
                    f"column {name!r}: no row meets this condition and that on another column; "
                    "drop one of them"
                )
        return asked

    def followed(self, rows: pa.Table) -> pa.Table:
        """Look up once more what follows from other columns, in rows that have the codec's columns.

        For whoever puts other levels in rows than those that were decoded.
        """
        for j, coding in enumerate(self.codings):
            if isinstance(coding, DeterminedCodes):
                follows = coding.follow(rows.column(coding.by.name))
                rows = rows.set_column(j, coding.name, follows)
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Give the codec as JSON values; the schema is saved beside it."""
        kinds: dict[type, str] = {kind: name for name, kind in CODINGS.items()}
        kinds[DeterminedCodes] = DETERMINED
        return {
            "target": self.target,
            "codings": [{"type": kinds[type(c)], **c.to_dict()} for c in self.codings],
        }

    @classmethod
    def from_dict(cls, schema: Schema, state: Mapping[str, Any]) -> Codec:
        """Rebuild the codec of `schema`.

        Raises
        ------
        ArtefactError
            It is none, or says otherwise than the schema.
        """
        only(state, {"target": True, "codings": True}, "codec")
        entries = state["codings"]
        target = None if schema.target is None else schema.names.index(schema.target.name)
        if not isinstance(entries, list) or len(entries) != len(schema):
            raise ArtefactError("the codec and the schema do not fit each other; fit anew")
        if state["target"] != target or isinstance(state["target"], bool):
            raise ArtefactError("the codec and the schema name two targets; fit the model anew")
        for column, entry in zip(schema, entries, strict=True):
            if not isinstance(entry, dict) or not _fits(column, entry):
                raise ArtefactError(
                    f"the codec and the schema differ on column {column.name!r}; fit anew"
                )
        modelled = {
            column.name: CODINGS[entry["type"]].from_dict(column, _untyped(entry))
            for column, entry in zip(schema, entries, strict=True)
            if column.determined_by is None
        }
        codec = cls(with_determined(schema, modelled), target)
        codec._rehearse()
        return codec

    def _rehearse(self) -> None:
        """Decode each code of each column once, so that what is loaded can be drawn."""
        rng = np.random.default_rng(0)
        for coding, of in zip(self.codings, self._read_from, strict=True):
            codes = np.arange(self.codings[of].size, dtype=np.int32)
            dtype = arrow_type(coding.column.dtype)
            coding.decode(codes, rng).cast(dtype)


def _fits(column: Column, entry: Mapping[str, Any]) -> bool:
    """Whether a coding is of the type that the schema asks for; see `learn`, `declared_codec`."""
    given = entry.get("type")
    if column.determined_by is not None:
        return entry == {"type": DETERMINED}
    if given == "levels" and not entry.get("levels"):
        return True  # all of it is missing
    if column.kind.surrogate:
        return bool(given == "surrogates")
    if column.kind.continuous and not isinstance(column.domain, Levels):
        # A lone cell is that of too few rows for bounds.
        few = isinstance(entry.get("low"), list) and len(entry["low"]) == 1
        return given == "cells" and (few or isinstance(column.domain, Bounds))
    return given == "levels" and (isinstance(column.domain, Levels) or column.kind is Kind.BOOLEAN)


def _untyped(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "type"}


_FLAGS = {"nullable": True, "total": False}


def _flags(state: Mapping[str, Any], what: str) -> tuple[bool, bool]:
    """Read whether the last code means null, and whether the coding is total."""
    return flag(state["nullable"], what), flag(state.get("total", False), what)


def _numbers(values: Any, dtype: type[np.float64] | type[np.int64], what: str) -> npt.NDArray[Any]:
    """Read a list of finite numbers: JSON's 1.0, true and "1" are no integers."""
    kinds = {int} if dtype is np.int64 else {int, float}
    if not isinstance(values, list) or not {type(value) for value in values} <= kinds:
        raise ArtefactError(f"its numbers of {what} are damaged; fit the model anew")
    return np.array(values, dtype=dtype)


def _holds(column: Column, ends: npt.NDArray[Any]) -> bool:
    """Whether the storage type of a continuous column holds its least and greatest number.

    A date outside the years 1 to 9999 is in none of the frames and formats that rows are given in.
    """
    dtype = _value_type(arrow_type(column.dtype))
    if pa.types.is_temporal(dtype):
        day = 1 if pa.types.is_date32(dtype) else 86_400 * _TICKS[dtype.unit]
        first, last = (at.toordinal() - _EPOCH for at in (date.min, date.max))
        return bool(first * day <= ends[0] and ends[1] < (last + 1) * day)
    if not (
        pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
    ):
        return False
    held, _ = numbers_of(typed(ends, None, dtype), ends.dtype)
    if ends.dtype == np.int64 and pa.types.is_integer(dtype):
        return np.array_equal(held, ends)
    rounding = 10.0**-dtype.scale if pa.types.is_decimal(dtype) else pa.types.is_integer(dtype)
    return bool(np.allclose(held, ends, rtol=1e-6, atol=rounding))


def _grain(column: Column) -> float:
    """Give how far a number of a column may move when it is rounded to its digits."""
    return 0.0 if column.decimals is None else 10.0**-column.decimals


def with_determined(schema: Schema, modelled: Mapping[str, Coding]) -> tuple[Coding, ...]:
    """Give the codings of all columns, where those of the columns that are modelled are known.

    Parameters
    ----------
    schema : Schema
    modelled : mapping of str to Coding
        By the names of the columns that follow from no other.

    Raises
    ------
    SchemaError
        A column follows from one that is not modelled by levels, or a value is not of its type.
    """

    def follows(column: Column, by: Coding) -> DeterminedCodes:
        place = f"schema, column {column.name!r}"
        if not isinstance(by, LevelCodes):
            raise SchemaError(f"{place}: {by.name!r} has no levels to be determined by; list them")
        try:
            mapped(column)
        except SchemaError as error:
            raise SchemaError(f"{place}: {error}") from None
        return DeterminedCodes(column, by)

    return tuple(
        modelled[column.name]
        if column.determined_by is None
        else follows(column, modelled[column.determined_by])
        for column in schema
    )


def mapped(column: Column) -> pa.Array:
    """Give the values of a determined column's mapping, as its storage type holds them.

    Raises
    ------
    SchemaError
        One cannot be read so.
    """
    dtype = _value_type(arrow_type(column.dtype))
    try:
        return as_type([value for _, value in column.mapping], dtype)
    except (pa.ArrowException, OverflowError, ValueError):
        raise SchemaError(
            f"the values of its 'mapping' cannot all be read as {dtype}; mend them or the dtype"
        ) from None


def _encoded(coding: Coding, column: pa.Array | pa.ChunkedArray) -> Codes:
    """Give the codes of a column; of one with a dictionary by way of the dictionary's."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(values.type) or len(values.dictionary) >= len(values):
        return coding.encode(values)
    with_null = pa.concat_arrays([values.dictionary, pa.nulls(1, values.dictionary.type)])
    codes = coding.encode(with_null)
    return codes.take(np.asarray(pc.fill_null(values.indices, len(codes) - 1)))


def learn(table: Table, schema: Schema, disclosure: Disclosure) -> Codec:
    """Build the codec of a table: cells and levels that rest on at least k rows each.

    Parameters
    ----------
    table : Table
        The training rows.
    schema : Schema
        Kinds and domains; a domain is only ever narrowed here, never widened.
    disclosure : Disclosure
        The disclosure control to obey.

    Raises
    ------
    DataError
        A column's values do not fit its declared kind.
    SchemaError
        What is declared of a column that follows from another does not fit the other's coding.
    """
    names = schema.names
    target = schema.target
    modelled = {
        column.name: _learn_column(table, column, disclosure.k)
        for column in schema
        if column.determined_by is None
    }
    codings = with_determined(schema, modelled)
    for coding in codings:
        if isinstance(coding, DeterminedCodes):
            _compare(table, coding)
    return Codec(codings, None if target is None else names.index(target.name))


def _compare(table: Table, coding: DeterminedCodes) -> None:
    """Warn of rows that hold another value than the one which a mapping gives."""
    rows = table.to_arrow([coding.by.name, coding.name])
    told, held = _plain(coding.follow(rows.column(0))), _plain(rows.column(1))
    same = pc.fill_null(pc.equal(told, held), False)
    both = pc.and_(told.is_null(), held.is_null())
    others = len(held) - (pc.sum(pc.or_(same, both)).as_py() or 0)
    if others:
        warnings.warn(
            f"{table.name}, column {coding.name!r}: {others} of {len(held)} rows hold another "
            f"value than the one that 'mapping' gives for their {coding.by.name!r}; rows that are "
            "drawn follow the mapping",
            PrivsynthWarning,
            stacklevel=4,
        )


def _learn_column(table: Table, column: Column, k: int) -> Coding:
    values, counts, nulls = table.value_counts(column.name)
    nullable = bool(nulls >= k)
    if counts.sum() < k:
        return LevelCodes(column, (), nullable=True)
    if column.kind.surrogate:
        distinct = None if column.unique else len(values)
        share = round(len(values) / int(counts.sum()), 3)
        return SurrogateCodes(column, distinct, share, nullable, _beyond(column, values))
    if column.kind.continuous and not isinstance(column.domain, Levels):
        dtype = np.dtype(np.float64 if column.kind is Kind.NUMERIC else np.int64)
        try:
            numbers, _ = numbers_of(values, dtype)
        except pa.ArrowInvalid:
            raise DataError(
                f"{table.name}, column {column.name!r}: holds whole numbers of 2**63 or more; "
                "store them as text or as float64"
            ) from None
        if not np.isfinite(numbers).all():
            raise DataError(
                f"{table.name}, column {column.name!r}: holds an infinite value; "
                "replace it by a number or leave it empty"
            )
        return _cells(column, numbers, counts, k, nullable)
    return _levels(column, values, counts, k, nullable)


def _beyond(column: Column, values: pa.Array) -> int:
    """Give the first power of ten above every id that is a whole number, where it has room."""
    if column.kind is not Kind.ID or not pa.types.is_integer(values.type):
        return 0
    above = 10 ** len(str(abs(pc.max(values).as_py())))
    return above if 10 * above < 2 ** (values.type.bit_width - 1) else 0


def _levels(
    column: Column, values: pa.Array, counts: npt.NDArray[np.int64], k: int, nullable: bool
) -> LevelCodes:
    plain = _plain(values)
    if isinstance(column.domain, Levels):
        listed = as_type(list(column.domain.values), plain.type)
        places = pc.index_in(listed, value_set=plain)
        held = np.where(
            np.asarray(places.is_valid()), counts[np.asarray(pc.fill_null(places, 0))], 0
        )
        levels = [v for v, c in zip(column.domain.values, held, strict=True) if c >= k]
    else:
        kept = np.flatnonzero(counts >= k)
        order = kept[np.argsort(-counts[kept], kind="stable")]
        held = counts[order]
        levels = level_values(plain.take(pa.array(order)))
    rest = int(counts.sum() - held[held >= k].sum())
    texts = pa.types.is_string(plain.type)
    pooled = texts and rest >= k and OTHER not in levels
    if not levels and not pooled:
        return LevelCodes(column, (), nullable=True)
    return LevelCodes(column, tuple(levels), pooled, nullable)


def _cells(
    column: Column,
    numbers: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    k: int,
    nullable: bool,
) -> Cells:
    """Cut the line into atoms of at least k rows and intervals of at least k rows between them.

    `numbers` are the distinct values, ascending, and `counts` the rows that hold each.
    """
    step = _step(column, numbers, counts, k)
    if counts.sum() < 2 * k:
        at = _few(numbers, counts, k)
        return Cells(column, at, at, at.astype(float), step, nullable)
    low, high = _limits(column, numbers, counts, k)
    inner = (low <= numbers) & (numbers <= high)
    within = np.clip(numbers, low, high)
    first = np.flatnonzero(np.concatenate([[True], within[1:] != within[:-1]]))
    values, held = within[first], np.add.reduceat(counts, first)
    # Rows clipped to a bound fall in the cell there, but do not make an atom of the bound.
    own = np.add.reduceat(counts * inner, first)
    per = max(k, -(-int(held.sum()) // MOST_CELLS))
    atom = own >= (k if len(values) <= MOST_CELLS else per)
    starts, ends = _runs(atom, held, k, per)
    single = (starts == ends) & (own[starts] >= k)
    lows, highs = _edges(values, starts, ends, single)
    lows, highs = _on_grid(lows, highs, single, step, column.decimals)
    cells = _settled(Cells(column, lows, highs, lows.astype(float), step), values, held, k)
    return replace(cells, mid=_balance(cells, values, own, k), nullable=nullable)


def _few(numbers: npt.NDArray[Any], counts: npt.NDArray[np.int64], k: int) -> npt.NDArray[Any]:
    """Give the atoms of fewer than 2k rows; without any, one round number near their middle."""
    if (counts >= k).any():
        return numbers[counts >= k]
    first, middle, last = np.repeat(numbers, counts)[
        [counts.sum() // 4, counts.sum() // 2, 3 * counts.sum() // 4]
    ]
    grid = 10.0 ** np.ceil(np.log10(max(float(last - first), 1e-12)))
    return np.asarray([round(float(middle) / grid) * grid]).astype(numbers.dtype)


def _limits(
    column: Column, numbers: npt.NDArray[Any], counts: npt.NDArray[np.int64], k: int
) -> tuple[Any, Any]:
    """Give the bounds to clip to: the schema's, and never wider than k rows from each end allow."""
    low, high = clipped(numbers, counts, k, round_numbers)
    if not isinstance(column.domain, Bounds):
        return low, high
    least, most = (
        numbers_of(_scalar(column, end), numbers.dtype)[0][0]
        for end in (column.domain.low, column.domain.high)
    )
    apart = least > high or most < low
    return (least, most) if apart else (max(low, least), min(high, most))


def _runs(
    atom: npt.NDArray[np.bool_], held: npt.NDArray[np.int64], k: int, per: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Give the first and last value of each cell; a run of fewer than k rows gets no cell."""
    rows = [0, *np.cumsum(held).tolist()]
    cells: list[tuple[int, int]] = []
    start = 0
    for stop in [*np.flatnonzero(atom).tolist(), len(atom)]:
        while start < stop and rows[stop] - rows[start] >= k:
            end = min(bisect_left(rows, rows[start] + per), stop)
            if rows[stop] - rows[end] < per:
                end = stop
            cells.append((start, end - 1))
            start = end
        if stop < len(atom):
            cells.append((stop, stop))
        start = stop + 1
    pairs = np.array(cells, dtype=np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _edges(
    values: npt.NDArray[Any],
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
    single: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Put the ends of intervals at the roundest numbers near by, and so at no row's own value.

    An end may move by an eighth of the cell beside it, or as far as to the atom there.
    """
    own, last = values[starts], values[ends]
    whole = values.dtype == np.int64
    reach = (last - own) // 8 if whole else (last - own) / 8
    left = np.where(single, last, last - reach)[:-1]
    right = np.where(single, own, own + reach)[1:]
    gaps = _round_between(np.minimum(left, right - whole), right)
    low = np.where(single, own, np.concatenate([values[:1], gaps]))
    high = np.where(single, own, np.concatenate([gaps - whole, values[-1:]]))
    return low, np.maximum(low, high)


def _on_grid(
    low: npt.NDArray[Any],
    high: npt.NDArray[Any],
    single: npt.NDArray[np.bool_],
    step: int,
    decimals: int | None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Draw intervals in to the column's own grid, where they hold a point of it.

    Neighbours may not share a number of the grid: it would come back as the other's.
    """
    if low.dtype == np.int64:
        up, down = -(-low // step) * step, high // step * step
    elif decimals is not None:
        grid = 10.0**decimals
        up = np.round(np.ceil(np.round(low * grid, 3)) / grid, decimals)
        below = np.round((np.ceil(np.round(high * grid, 3)) - 1) / grid, decimals)
        down = np.append(below[:-1], high[-1:])
    else:
        return low, high
    fits = (up <= down) & ~single
    return np.where(fits, up, low), np.where(fits, down, high)


def _settled(cells: Cells, values: npt.NDArray[Any], held: npt.NDArray[np.int64], k: int) -> Cells:
    """Drop the cells that are left with fewer than k rows when each value goes to the nearest."""
    while True:
        codes = cells._spans(values)
        rows = np.bincount(codes, weights=held, minlength=len(cells.low))
        if (rows >= k).all():
            return cells
        # One at a time and the smallest first, since its rows may be what a neighbour lacks.
        kept = np.arange(len(rows)) != int(rows.argmin())
        cells = replace(cells, low=cells.low[kept], high=cells.high[kept], mid=cells.mid[kept])


def _balance(
    cells: Cells, values: npt.NDArray[Any], own: npt.NDArray[np.int64], k: int
) -> npt.NDArray[np.float64]:
    """Give each cell's mean, to a hundredth of its width, which says no more than the width does.

    Rows clipped to a bound say nothing of where in the cell there they would lie.
    """
    codes = cells._spans(values)
    rows = np.bincount(codes, weights=own, minlength=len(cells.low))
    total = np.bincount(codes, weights=values.astype(float) * own, minlength=len(cells.low))
    low, high = cells.low.astype(float), cells.high.astype(float)
    means = np.where(rows < k, low / 2 + high / 2, total / np.maximum(rows, 1))
    width = np.where(high > low, high - low, 1.0)
    mid = low + np.round((np.clip(means, low, high) - low) / width, 2) * width
    return np.asarray(np.clip(mid, low, high))


def _round_between(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give the roundest number in each gap: above `left`, and below `right` (or at it, for int)."""
    if left.dtype == np.int64:
        powers = 10 ** np.arange(19, dtype=np.int64)[:, None]
        coarse = right // powers * powers
        fits = coarse > left
    else:
        middle = left / 2 + right / 2
        grids = 10.0 ** np.arange(17, -18, -1)[:, None]
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            coarse = np.round(middle * grids) / grids
            fits = (left < coarse) & (coarse < right)
        finest = np.where(left < middle, middle, right)
        coarse, fits = np.vstack([finest, coarse]), np.vstack([np.ones_like(left, bool), fits])
    coarsest = len(fits) - 1 - fits[::-1].argmax(axis=0)
    return np.asarray(np.take_along_axis(coarse, coarsest[None], axis=0)[0])


def _step(column: Column, numbers: npt.NDArray[Any], counts: npt.NDArray[np.int64], k: int) -> int:
    """Give the coarsest usual grid on which all but fewer than k integers or datetimes lie."""
    if numbers.dtype != np.int64:
        return 1
    steps: tuple[int, ...] = (1000, 500, 100, 50, 25, 10, 5)
    dtype = arrow_type(column.dtype)
    if pa.types.is_timestamp(dtype) or pa.types.is_time(dtype) or pa.types.is_duration(dtype):
        second = _TICKS[dtype.unit]
        grid = [86_400 * second, 3600 * second, 60 * second, second, second // 1000]
        steps = tuple(tick for tick in grid if tick > 1)
    elif column.kind is Kind.DATETIME:
        return 1
    return next((step for step in steps if counts[numbers % step != 0].sum() < k), 1)


def numbers_of(
    values: pa.Array | pa.ChunkedArray, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Give numbers (0 where missing) and which are there; datetimes as ticks of their type."""
    plain = _plain(values)
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
    """Store numbers, and what is missing, as a column's own type."""
    plain = _value_type(dtype)
    if pa.types.is_temporal(plain):
        width = np.int32 if plain.bit_width == 32 else np.int64
        values = pa.array(numbers.astype(width, copy=False), mask=missing).view(plain)
    else:
        values = pa.array(numbers, mask=missing).cast(plain, safe=False)
    return values if plain == dtype else values.dictionary_encode().cast(dtype)


def _coded(
    codes: Codes,
    values: pa.Array,
    missing: npt.NDArray[np.bool_] | None,
    dtype: pa.DataType,
) -> pa.Array:
    """Give the value of each code, as a dictionary array that shares its values with all others."""
    indices = pa.array(codes.astype(np.int32, copy=False), mask=missing)
    ordered = pa.types.is_dictionary(dtype) and dtype.ordered
    coded = pa.DictionaryArray.from_arrays(indices, values, ordered=ordered)
    return coded.cast(dtype) if pa.types.is_boolean(dtype) else coded


def _mark(total: bool) -> dict[str, bool]:
    """Give the mark of a total coding; one that is learnt has none."""
    return {"total": True} if total else {}


def _value_type(dtype: pa.DataType) -> pa.DataType:
    return dtype.value_type if pa.types.is_dictionary(dtype) else dtype


def _plain(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Give one array of the values themselves, without dictionary or chunks."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return values.cast(_value_type(values.type))


def as_type(levels: list[Any], dtype: pa.DataType) -> pa.Array:
    """Give levels, as YAML or JSON hold them, as values of a storage type.

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


def _scalar(column: Column, value: Any) -> pa.Array:
    """Give a value that a person named as an array of one of the column's type.

    Raises
    ------
    SamplingError
        It cannot be read as such a value.
    """
    dtype = _value_type(arrow_type(column.dtype))
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
