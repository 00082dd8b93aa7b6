"""Levels: the codes of a discrete column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Codes
from privsynth.coding.reading import comparable
from privsynth.coding.values import (
    FLAGS,
    as_type,
    codes_of,
    decoded,
    flags,
    scalar_array,
    total_mark,
)
from privsynth.errors import ArtefactError, SamplingError, did_you_mean
from privsynth.files.documents import flag, only
from privsynth.schema import Column, Kind, Levels
from privsynth.table import arrow_type, value_type

__all__ = ["OTHER", "LevelCodes"]
OTHER = "(other)"


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
        """Whether the levels have an order."""
        return not self.pooled and self.column.kind not in (Kind.CATEGORICAL, Kind.TEXT)

    @property
    def size(self) -> int:
        """How many codes there are, null included."""
        return len(self.levels) + self.pooled + self.nullable

    @cached_property
    def _values(self) -> pa.Array:
        dtype = value_type(arrow_type(self.column.dtype))
        levels = [*self.levels, OTHER] if self.pooled else list(self.levels)
        return as_type(levels, dtype)

    def encode(self, values: pa.Array) -> Codes:
        """Return the code of each value; an unknown level is pooled, or the most frequent."""
        levels = self._values.slice(0, len(self.levels))
        rest = len(self.levels) if self.pooled or self.total else 0
        if self.total:
            plain, levels = (comparable(self.column, array) for array in (values, levels))
        else:
            plain = decoded(values)
        index = pc.index_in(plain, value_set=levels)
        codes = np.array(pc.fill_null(index, rest) if index.null_count else index, dtype=np.int32)
        if self.nullable and plain.null_count:
            codes[np.asarray(plain.is_null())] = self.size - 1
        return codes

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Return the level of each code, as a dictionary array unless they are booleans."""
        dtype = arrow_type(self.column.dtype)
        if not len(self._values):
            return pa.nulls(len(codes), dtype)
        missing = codes == len(self._values) if self.nullable else None
        return codes_of(codes, self._values, missing, dtype)

    def code_of(self, value: Any) -> int:
        """Return the code of one value that a user named.

        Raises
        ------
        SamplingError
            The model knows no such level.
        """
        named = scalar_array(self.column, value)
        if named[0].is_valid and pc.index_in(named, value_set=self._values)[0].is_valid:
            return int(pc.index_in(named, value_set=self._values)[0].as_py())
        if not named[0].is_valid and self.nullable:
            return self.size - 1
        raise SamplingError(
            f"column {self.name!r}: the model has no such level{did_you_mean(value, self.levels)}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the levels as JSON values."""
        return {
            "levels": list(self.levels),
            "pooled": self.pooled,
            "nullable": self.nullable,
            **total_mark(self.total),
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
        only(state, {"levels": True, "pooled": True, **FLAGS}, what)
        if not isinstance(state["levels"], list):
            raise ArtefactError(f"its levels of {what} are damaged; fit the model anew")
        levels, pooled = tuple(state["levels"]), flag(state["pooled"], what)
        coding = cls(column, levels, pooled, *flags(state, what))
        if not coding._sound():
            raise ArtefactError(f"its levels of {what} are damaged; fit the model anew")
        return coding

    def _sound(self) -> bool:
        """Whether the levels are different values of the storage type, and the schema's."""
        dtype = value_type(arrow_type(self.column.dtype))
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
