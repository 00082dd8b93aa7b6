"""A private relation: scanned as often as asked, its rows always in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from privsynth.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Scan", "Table", "in_memory"]

Scan = Callable[[list[str]], "Iterator[pa.RecordBatch]"]
"""Given column names, yields those columns of every row, in order, in the table's types; text
may come as a dictionary array."""

Counted: TypeAlias = "tuple[pa.Array, np.ndarray, int]"
"""Distinct values that are not null, ascending; the rows that hold each; the nulls."""

MERGE_ROWS = 1 << 20
MOST_KEPT = 1 << 28
"""Bytes of distinct values and their counts that a table keeps, since they are asked for again."""


@dataclass(frozen=True, eq=False, repr=False)
class Table:
    """A private relation that is read lazily, its rows in their file order.

    Parameters
    ----------
    name : str
        What messages call it: the file as the user typed it, or ``"the frame"``.
    schema : pyarrow.Schema
        Names and storage types; no metadata.
    n_rows : int
    scan : Scan
        Reads chosen columns from the start.
    frame : {"pandas", "polars", "arrow"}
        The kind of frame that the caller uses.
    formats : mapping of str to str
        How a text file spelled a typed column: ``"True/False"`` or a `strftime` pattern
        (with ``%g`` for milliseconds, ``%n`` for nanoseconds and ``%:z`` for ``+02:00``).

    Notes
    -----
    NaN is null; infinite values were refused when it was read, unless it was read as `total`.
    """

    name: str
    schema: pa.Schema
    n_rows: int
    scan: Scan
    frame: str = "pandas"
    formats: Mapping[str, str] = field(default_factory=dict)
    _counted: dict[str, Counted] = field(default_factory=dict, init=False)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {self.n_rows} rows, {len(self.names)} columns)"

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self.scan, _Held):
            raise UsageError(
                f"{self.name}: is read from its file as it is asked for, and cannot be pickled; "
                "pickle the path, or a frame of its rows"
            )
        return {**self.__dict__, "_counted": {}}

    def __deepcopy__(self, memo: dict[int, Any]) -> Table:
        return self  # neither it nor its rows can be changed

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(self.schema.names)

    def batches(self, size: int = 65536) -> Iterator[pa.RecordBatch]:
        """Yield every row in order, at most `size` rows at a time."""
        for batch in self.scan(list(self.names)):
            for start in range(0, batch.num_rows, size):
                yield batch.slice(start, size)

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Load chosen columns, or all.

        Raises
        ------
        UsageError
            A column is not in the table.
        """
        import pyarrow as pa

        names = list(self.names if columns is None else columns)
        for name in names:
            self._check(name)
        schema = pa.schema([self.schema.field(name) for name in names])
        batches = [batch.cast(schema) for batch in self.scan(names)]
        return pa.Table.from_batches(batches, schema).unify_dictionaries()

    def held(self) -> Table:
        """Give the same table, read into memory."""
        import pyarrow as pa

        batches = list(self.scan(list(self.names)))
        # Text may come coded, and then is kept so.
        rows = pa.Table.from_batches(batches) if batches else self.schema.empty_table()
        return replace(self, scan=_Held(rows))

    def value_counts(self, column: str) -> tuple[pa.Array, np.ndarray, int]:
        """Count the values of a column without loading it whole.

        Returns
        -------
        values : pyarrow.Array
            The distinct values that are not null, ascending; a dictionary's values, not its codes.
        counts : ndarray of int64
            How many rows hold each.
        nulls : int
        """
        self._check(column)
        if column in self._counted:
            return self._counted[column]
        counted = self._count(column)
        kept = sum(v.nbytes + c.nbytes for v, c, _ in (counted, *self._counted.values()))
        if kept <= MOST_KEPT:
            self._counted[column] = counted
        return counted

    def _count(self, column: str) -> Counted:
        import pyarrow as pa

        empty = pa.array([], _value_type(self.schema.field(column).type))
        parts = [(empty, np.empty(0, dtype=np.int64))]
        held, limit, nulls = 0, MERGE_ROWS, 0
        for batch in self.scan([column]):
            array = batch.column(0)
            found, counts = _tally(array)
            nulls += len(array) - int(counts.sum())
            parts.append((found, counts))
            held += len(found)
            if held > limit:
                parts = [_merge(parts)]
                held = len(parts[0][0])
                limit = max(limit, 2 * held)
        values, counts = parts[0] if len(parts) == 1 else _merge(parts)
        counts.flags.writeable = False
        return values, counts, nulls

    def take(self, rows: np.ndarray) -> Table:
        """Give chosen rows, in the order asked, as a table in memory.

        Parameters
        ----------
        rows : ndarray of int
            Row positions, from 0, sorted or not.
        """
        import pyarrow as pa

        rows = np.asarray(rows, dtype=np.int64)
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        if len(rows) and not 0 <= ordered[0] <= ordered[-1] < self.n_rows:
            raise UsageError(f"{self.name}: rows are asked for outside its {self.n_rows} rows")
        picked, start = [], 0
        for batch in self.batches():
            low, high = np.searchsorted(ordered, [start, start + batch.num_rows])
            if low < high:
                chosen = batch.take(pa.array(ordered[low:high] - start))
                picked.append(chosen.cast(self.schema))
            start += batch.num_rows
        table = pa.Table.from_batches(picked, self.schema).unify_dictionaries()
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return in_memory(table.take(pa.array(back)), self.name, self.frame, self.formats)

    def _check(self, column: str) -> None:
        if column not in self.schema.names:
            raise UsageError(f"{self.name}: no column {column!r}{did_you_mean(column, self.names)}")


def in_memory(
    table: pa.Table, name: str, frame: str = "pandas", formats: Mapping[str, str] | None = None
) -> Table:
    """Wrap an Arrow table whose types are already those of storage."""
    return Table(name, table.schema, table.num_rows, _Held(table), frame, formats or {})


@dataclass(frozen=True, eq=False)
class _Held:
    """The scan of rows in memory, which can be pickled."""

    rows: pa.Table

    def __call__(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(self.rows.select(columns).to_batches())


def _tally(array: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """Count the values of one array that are not null, each once and ascending."""
    import pyarrow as pa

    plain = array.drop_null() if array.null_count else array
    if pa.types.is_dictionary(plain.type):
        held = np.bincount(plain.indices, minlength=len(plain.dictionary))
        kept = (held > 0) & np.asarray(plain.dictionary.is_valid())
        return _merge([(plain.dictionary.filter(pa.array(kept)), held[kept])])
    numbers = _as_numbers(plain)
    if numbers is not None:
        values, counts = np.unique(numbers, return_counts=True)
        return pa.array(values).view(array.type), counts
    found = plain.value_counts()
    return _merge([(found.field(0), np.asarray(found.field(1)))])


def _value_type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _merge(parts: list[tuple[pa.Array, np.ndarray]]) -> tuple[pa.Array, np.ndarray]:
    """Join counts: each value once and ascending."""
    import pyarrow as pa
    import pyarrow.compute as pc

    values = pa.concat_arrays([values for values, _ in parts])
    counts = np.concatenate([counts for _, counts in parts])
    numbers = _as_numbers(values)
    order = pc.sort_indices(values) if numbers is None else np.argsort(numbers, kind="stable")
    values, counts = values.take(pa.array(order)), counts[np.asarray(order)]
    again = np.asarray(pc.equal(values[1:], values[:-1]))
    if again.any():
        first = np.flatnonzero(~np.concatenate([[False], again]))
        values, counts = values.take(pa.array(first)), np.add.reduceat(counts, first)
    return values, counts


def _as_numbers(array: pa.Array) -> np.ndarray | None:
    """Give an array without nulls to numpy, where it holds numbers or times."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    return np.asarray(array)
