"""`Table`: a private relation that can be scanned repeatedly, always in the same row order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from privsynth.errors import UsageError, did_you_mean
from privsynth.table.storage import decoded, subschema, value_type
from privsynth.table.support import Support, distinct, support_of_rows, support_of_units

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Scan", "Table", "in_memory"]

Scan = Callable[[list[str]], "Iterator[pa.RecordBatch]"]
"""Given column names, yields these columns of all rows, in order, with the table's types; text
may be dictionary-encoded."""

ValueCounts: TypeAlias = "tuple[pa.Array, np.ndarray, int]"
"""Distinct values other than null, ascending; the number of rows of each; the number of nulls."""

MERGE_ROWS = 1 << 20
"""Distinct values of separate batches from which their counts are merged."""
MAX_KEPT_BYTES = 1 << 28
"""Maximum bytes of distinct values and counts that a table keeps for later calls."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A private relation that is read lazily, its rows in their file order.

    Parameters
    ----------
    name : str
        The name in messages: the file as the user typed it, or ``"the frame"``.
    schema : pyarrow.Schema
        Names and storage types; no metadata.
    n_rows : int
    scan : Scan
        Reads chosen columns from the start.
    frame : {"pandas", "polars", "arrow"}
        The caller's kind of frame.
    formats : mapping of str to str
        How a text file spells a typed column: ``"True/False"`` or a `strftime` pattern
        (with ``%g`` for milliseconds, ``%n`` for nanoseconds and ``%:z`` for ``+02:00``).
    units : ndarray of int64, shape (n_rows,), optional
        The number of each row's privacy unit; by default each row is a unit.

    Notes
    -----
    NaN is null. Infinite values occur only in a table that was read with `total`.
    """

    name: str
    schema: pa.Schema
    n_rows: int
    scan: Scan
    frame: str = "pandas"
    formats: Mapping[str, str] = field(default_factory=dict)
    units: np.ndarray | None = None
    _counted: dict[str, ValueCounts] = field(default_factory=dict, init=False)
    _supports: dict[str, Support] = field(default_factory=dict, init=False)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {self.n_rows} rows, {len(self.names)} columns)"

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self.scan, _MemoryScan):
            raise UsageError(
                f"{self.name}: is read from its file on demand and cannot be pickled; "
                "pickle the path, or a frame of its rows"
            )
        return {**self.__dict__, "_counted": {}, "_supports": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        return self  # neither it nor its rows can be changed

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(self.schema.names)

    @property
    def n_units(self) -> int:
        """The number of privacy units."""
        return self.n_rows if self.units is None else len(distinct(self.units))

    def batches(self, size: int = 65536) -> Iterator[pa.RecordBatch]:
        """Yield every row in order, at most `size` rows at a time."""
        for batch in self.scan(list(self.names)):
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Load some columns, or all.

        Raises
        ------
        UsageError
            A column is not in the table.
        """
        import pyarrow as pa

        names = list(self.names if columns is None else columns)
        for name in names:
            self._check(name)
        schema = subschema(self.schema, names)
        batches = [batch.cast(schema) for batch in self.scan(names)]
        return pa.Table.from_batches(batches, schema).unify_dictionaries()

    def loaded(self) -> Table:
        """Return the same table, read into memory."""
        import pyarrow as pa

        batches = list(self.scan(list(self.names)))
        # Text that is dictionary-encoded stays so, whatever the schema says.
        rows = pa.Table.from_batches(batches) if batches else self.schema.empty_table()
        return replace(self, scan=_MemoryScan(rows))

    def value_counts(self, column: str) -> tuple[pa.Array, np.ndarray, int]:
        """Count the values of a column without loading all of it.

        Returns
        -------
        values : pyarrow.Array
            The distinct values other than null, ascending; a dictionary's values, not its codes.
        counts : ndarray of int64
            The number of rows of each value.
        nulls : int
            The number of nulls.
        """
        self._check(column)
        if column in self._counted:
            return self._counted[column]
        result = self._count(column)
        size = sum(v.nbytes + c.nbytes for v, c, _ in (result, *self._counted.values()))
        if size <= MAX_KEPT_BYTES:
            self._counted[column] = result
        return result

    def support(self, column: str) -> Support:
        """Count the units behind the values that `value_counts` returns."""
        values, counts, nulls = self.value_counts(column)
        if self.units is None:
            return support_of_rows(counts, nulls)
        if column not in self._supports:
            support = support_of_units(self.places(column), len(values), self.units)
            if (len(self._supports) + 1) * len(values) * 40 > MAX_KEPT_BYTES:
                return support
            self._supports[column] = support
        return self._supports[column]

    def places(self, column: str) -> np.ndarray:
        """Return the position of each row's value in `value_counts`; -1 where it is missing.

        Returns
        -------
        ndarray of int32, shape (n_rows,)
        """
        import pyarrow.compute as pc

        values = decoded(self.value_counts(column)[0])
        parts = [
            np.asarray(pc.fill_null(pc.index_in(decoded(batch.column(0)), value_set=values), -1))
            for batch in self.scan([column])
        ]
        return np.concatenate([np.empty(0, dtype=np.int32), *parts])

    def _count(self, column: str) -> ValueCounts:
        import pyarrow as pa

        empty = pa.array([], value_type(self.schema.field(column).type))
        parts = [(empty, np.empty(0, dtype=np.int64))]
        distinct, limit, nulls = 0, MERGE_ROWS, 0
        for batch in self.scan([column]):
            array = batch.column(0)
            values, counts = _tally(array)
            nulls += len(array) - int(counts.sum())
            parts.append((values, counts))
            distinct += len(values)
            if distinct > limit:
                parts = [_merge(parts)]
                distinct = len(parts[0][0])
                limit = max(limit, 2 * distinct)
        values, counts = parts[0] if len(parts) == 1 else _merge(parts)
        counts.flags.writeable = False
        return values, counts, nulls

    def take(self, rows: np.ndarray) -> Table:
        """Return some rows, in the given order, as a table in memory.

        Parameters
        ----------
        rows : ndarray of int
            Row positions from 0, in any order.

        Raises
        ------
        UsageError
            A position is outside the table.
        """
        import pyarrow as pa

        rows = np.asarray(rows, dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        if len(rows) and not 0 <= ordered[0] <= ordered[-1] < self.n_rows:
            raise UsageError(
                f"{self.name}: a row position is outside its {self.n_rows} rows; count from 0"
            )
        parts, start = [], 0
        for batch in self.batches():
            low, high = np.searchsorted(ordered, [start, start + batch.num_rows])
            if low < high:
                chosen = batch.take(pa.array(ordered[low:high] - start))
                parts.append(chosen.cast(self.schema))
            start += batch.num_rows
        table = pa.Table.from_batches(parts, self.schema).unify_dictionaries()
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        taken = in_memory(table.take(pa.array(inverse)), self.name, self.frame, self.formats)
        return taken if self.units is None else replace(taken, units=self.units[rows])

    def _check(self, column: str) -> None:
        if column not in self.schema.names:
            raise UsageError(f"{self.name}: no column {column!r}{did_you_mean(column, self.names)}")


def in_memory(
    table: pa.Table, name: str, frame: str = "pandas", formats: Mapping[str, str] | None = None
) -> Table:
    """Wrap an Arrow table that has storage types already."""
    return Table(name, table.schema, table.num_rows, _MemoryScan(table), frame, formats or {})


@dataclass(frozen=True, eq=False)
class _MemoryScan:
    """The scan of rows in memory, which can be pickled."""

    rows: pa.Table

    def __call__(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(self.rows.select(columns).to_batches())


def _tally(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Count the values of one array other than null; the values are distinct and ascending."""
    import pyarrow as pa

    plain = array.drop_null() if array.null_count else array
    if pa.types.is_dictionary(plain.type):
        counts = np.bincount(plain.indices, minlength=len(plain.dictionary))
        kept = (counts > 0) & np.asarray(plain.dictionary.is_valid())
        return _merge([(plain.dictionary.filter(pa.array(kept)), counts[kept])])
    numbers = _to_numpy(plain)
    if numbers is not None:
        values, counts = np.unique(numbers, return_counts=True)
        return pa.array(values).view(array.type), counts
    pairs = plain.value_counts()
    return _merge([(pairs.field(0), np.asarray(pairs.field(1)))])


def _merge(parts: list[tuple[pa.Array, np.ndarray]]) -> tuple[pa.Array, np.ndarray]:
    """Merge counts of several arrays; the values are distinct and ascending."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.concat_arrays([values for values, _ in parts])
    counts = np.concatenate([counts for _, counts in parts])
    numbers = _to_numpy(values)
    order = pc.sort_indices(values) if numbers is None else np.argsort(numbers, kind="stable")
    values, counts = values.take(pa.array(order)), counts[np.asarray(order)]
    repeated = np.asarray(pc.equal(values[1:], values[:-1]))
    if repeated.any():
        first = np.flatnonzero(~np.concatenate([[False], repeated]))
        values, counts = values.take(pa.array(first)), np.add.reduceat(counts, first)
    return values, counts


def _to_numpy(array: pa.Array) -> np.ndarray | None:
    """Convert an array of numbers or times without nulls to numpy; return None for other types."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    return np.asarray(array)
