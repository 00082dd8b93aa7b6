"""The facts of a column that its kind and domain are inferred from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import DataError
from privsynth.schema.domains import level_values
from privsynth.schema.personal import FEW_ROWS
from privsynth.table import Support, Table

__all__ = ["Facts", "facts_of"]

_MAX_DECIMALS = 6


@dataclass(frozen=True)
class Facts:
    """A column's distinct values, with the number of rows that hold each.

    Parameters
    ----------
    table, name : str
        The names of the table and of the column.
    stored : pyarrow.DataType
        The storage type.
    values : pyarrow.Array
        The distinct values, ascending, without a dictionary or null.
    counts : ndarray of int64, shape (len(values),)
        The number of rows that hold each.
    nulls : int
        The number of rows without a value.
    support : Support
        The units that hold each value.
    order : tuple, optional
        The levels of an ordered dictionary, in its order.
    """

    table: str
    name: str
    stored: pa.DataType
    values: pa.Array
    counts: npt.NDArray[np.int64]
    nulls: int
    support: Support
    order: tuple[Any, ...] | None = None

    @property
    def type(self) -> pa.DataType:
        """The type of the values."""
        return self.values.type

    @property
    def rows(self) -> int:
        """The number of rows with a value."""
        return int(self.counts.sum())

    @property
    def unique(self) -> bool:
        """Whether no value occurs twice, among at least two rows."""
        return self.rows > 1 and len(self.values) == self.rows

    @property
    def scattered(self) -> bool:
        """Whether most rows hold a rare value: one of fewer than FEW_ROWS rows."""
        return bool(2 * self.counts[self.counts < FEW_ROWS].sum() > self.rows)

    @property
    def textual(self) -> bool:
        """Whether the values are text."""
        return bool(pa.types.is_string(self.type))

    @property
    def coded(self) -> bool:
        """Whether the values are stored as categories."""
        return bool(pa.types.is_dictionary(self.stored))

    @property
    def whole(self) -> bool:
        """Whether every value is a whole number, however it is stored."""
        if pa.types.is_integer(self.type):
            return True
        return self.numeric and self.rows > 0 and self.decimals(1) == 0

    @property
    def numeric(self) -> bool:
        """Whether the values are integers, floats or decimals."""
        return bool(
            pa.types.is_integer(self.type)
            or pa.types.is_floating(self.type)
            or pa.types.is_decimal(self.type)
        )

    @cached_property
    def numbers(self) -> npt.NDArray[Any]:
        """The values, as float64 unless they are integers."""
        if pa.types.is_integer(self.type):
            return np.asarray(self.values)
        return np.asarray(self.values.cast(pa.float64()))

    def decimals(self, k: int) -> int | None:
        """Return the digits after the point that suffice for all but k units; None beyond 6."""
        stored = np.float32 if self.type == pa.float32() else np.float64
        numbers = self.numbers
        sample = slice(None, None, max(1, len(numbers) // 1000))
        for digits in range(_MAX_DECIMALS + 1):
            few = numbers[sample]
            differs = np.round(few, digits).astype(stored) != few.astype(stored)
            if self.support.shares[sample][differs].sum() >= k:
                continue
            fits = np.round(numbers, digits).astype(stored) == numbers.astype(stored)
            if self.support.shares[~fits].sum() < k:
                return digits
        return None

    @cached_property
    def texts(self) -> pa.Array:
        """The values as text; whole numbers without a point."""
        if self.textual or pa.types.is_integer(self.type):
            return self.values.cast(pa.string())
        return pa.array(self.numbers.astype(np.int64)).cast(pa.string())

    def share(self, pattern: str) -> float:
        """Return the share of the distinct values, as text, in which a pattern occurs."""
        hits = pc.sum(pc.match_substring_regex(self.texts, pattern=pattern)).as_py() or 0
        return float(hits) / max(1, len(self.texts))


def facts_of(table: Table, name: str) -> Facts:
    """Count a column's values.

    Raises
    ------
    DataError
        The column holds an infinite number.
    """
    stored = table.schema.field(name).type
    values, counts, nulls = table.value_counts(name)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type) and pc.any(pc.is_inf(values)).as_py():
        raise DataError(
            f"{table.name}, column {name!r}: holds an infinite value; "
            "replace it by a number or leave it empty"
        )
    order = None
    if pa.types.is_dictionary(stored) and stored.ordered:
        column = table.to_arrow([name]).column(0).unify_dictionaries()
        order = tuple(level_values(column.chunk(0).dictionary)) if column.num_chunks else ()
    return Facts(table.name, name, stored, values, counts, nulls, table.support(name), order)
