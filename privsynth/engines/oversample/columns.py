"""Columns as floats that imbalanced-learn can compute with, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Floats
from privsynth.coding import decoded, numbers_of, typed
from privsynth.errors import DataError

__all__ = ["Levels", "Line"]


@dataclass(frozen=True, eq=False)
class Levels:
    """A column of categories, as positions of its values among the distinct ones.

    Parameters
    ----------
    floats : ndarray, shape (rows,)
        The position of each row's value; the number of values where it is missing.
    values : pyarrow.Array
        The distinct values.
    dtype : pyarrow.DataType
        The column's storage type.
    """

    floats: Floats
    values: pa.Array
    dtype: pa.DataType

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Self:
        """Read a column of a table."""
        plain = decoded(column)
        values = plain.unique().drop_null()
        positions = pc.fill_null(pc.index_in(plain, value_set=values), len(values))
        return cls(np.asarray(positions, dtype=np.float64), values, column.type)

    def decode(self, drawn: Floats) -> pa.Array:
        """Return the value at each position."""
        at = drawn.astype(np.int32)
        indices = pa.array(at, mask=at == len(self.values))
        if not pa.types.is_dictionary(self.dtype):
            return self.values.take(indices)
        return pa.DictionaryArray.from_arrays(indices, self.values, ordered=self.dtype.ordered)


@dataclass(frozen=True, eq=False)
class Line:
    """A column of numbers or times, as distances from its smallest value.

    Parameters
    ----------
    values : ndarray of float64 or int64, shape (rows,)
        Whole numbers and ticks stay integers: a float64 holds only 53 bits.
    dtype : pyarrow.DataType
        The column's storage type.
    """

    values: npt.NDArray[Any]
    dtype: pa.DataType

    @classmethod
    def of(cls, column: pa.ChunkedArray, name: str) -> Self:
        """Read the column `name` of a table.

        Raises
        ------
        DataError
            Its values cannot be read as numbers.
        """
        kind = column.type
        whole = pa.types.is_integer(kind) or pa.types.is_temporal(kind)
        try:
            values = numbers_of(column, np.dtype(np.int64 if whole else np.float64))[0]
        except pa.ArrowInvalid:
            raise DataError(
                f"column {name!r}: holds values of {kind} that cannot be read as numbers; store "
                "them as float64, or use cart"
            ) from None
        return cls(values, kind)

    @cached_property
    def floats(self) -> Floats:
        """Each row's distance from the smallest value; floats are kept as they are."""
        if self.values.dtype == np.int64:
            return self._distances.astype(np.float64)
        return self.values

    @property
    def _distances(self) -> npt.NDArray[np.uint64]:
        # Unsigned differences wrap around, so they are exact.
        return np.asarray((self.values - self.values.min()).view(np.uint64))

    def decode(self, drawn: Floats) -> pa.Array:
        """Return the values at distances; a training row's distance gives its exact value."""
        if self.values.dtype != np.int64:
            return typed(drawn, None, self.dtype)
        exact = np.unique(self._distances)
        rounded = exact.astype(np.float64)
        at = np.minimum(np.searchsorted(rounded, drawn), len(rounded) - 1)
        near = np.clip(np.rint(drawn), 0, np.nextafter(2.0**64, 0)).astype(np.uint64)
        distances = np.where(rounded[at] == drawn, exact[at], np.minimum(near, exact[-1]))
        return typed(distances.view(np.int64) + self.values.min(), None, self.dtype)
