"""The coding of a column whose value follows from another column's level."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Codes
from privsynth.coding.levels import LevelCodes
from privsynth.coding.values import as_type, codes_of, decoded, scalar_array
from privsynth.errors import SamplingError, SchemaError
from privsynth.schema import Column
from privsynth.table import arrow_type, value_type

__all__ = ["DeterminedCodes", "mapped"]


@dataclass(frozen=True, eq=False)
class DeterminedCodes:
    """A column that another column's level determines; nothing is learnt of it.

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
        """Return the position of the value that follows from each level; null where none does."""
        listed = as_type([level for level, _ in self.column.mapping], levels.type)
        return self._follows.indices.take(pc.index_in(levels, value_set=listed))

    def encode(self, values: pa.Array) -> Codes:
        """Return 0 for every row: the other column already determines the value."""
        return np.zeros(len(values), dtype=np.int32)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Return the value that follows from each code of the other column."""
        return self._valued(self._of.take(pa.array(codes)))

    def follow(self, levels: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Return the value that follows from each level of the other column."""
        return self._valued(self._places(decoded(levels)))

    def _valued(self, places: pa.Array) -> pa.Array:
        dtype = arrow_type(self.column.dtype)
        there = np.asarray(pc.fill_null(places, 0))
        missing = np.asarray(places.is_null()) if places.null_count else None
        return codes_of(there, self._follows.dictionary, missing, dtype)

    def code_of(self, value: Any) -> int:
        """Return the only code of the other column that leads to a value.

        Raises
        ------
        SamplingError
            None, or several, give it.
        """
        named = scalar_array(self.column, value)[0]
        follows = decoded(self._valued(self._of))
        gives = pc.equal(follows, named) if named.is_valid else follows.is_null()
        given = np.flatnonzero(pc.fill_null(gives, False))
        if len(given) != 1:
            raise SamplingError(
                f"column {self.name!r}: {'no level' if len(given) == 0 else 'more than one level'} "
                f"of {self.by.name!r} gives this value; ask for a level of {self.by.name!r}"
            )
        return int(given[0])

    def to_dict(self) -> dict[str, Any]:
        """Return the coding as JSON values; the schema holds the mapping."""
        return {}


def mapped(column: Column) -> pa.Array:
    """Return the values of a determined column's mapping, as its storage type holds them.

    Raises
    ------
    SchemaError
        One cannot be read so.
    """
    dtype = value_type(arrow_type(column.dtype))
    try:
        return as_type([value for _, value in column.mapping], dtype)
    except (pa.ArrowException, OverflowError, ValueError):
        raise SchemaError(
            f"the values of its 'mapping' cannot all be read as {dtype}; mend them or the dtype"
        ) from None
