"""The kinds of file that a table is written as, all streamed and the same bytes every time."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privsynth.table.spelling import connect, speller

__all__ = ["Sink", "file_sink"]

ROWS = 1 << 16


class Sink(Protocol):
    """Where rows go in the end."""

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        ...

    def finish(self) -> None:
        """Write what closes a file of this kind."""
        ...

    def abort(self) -> None:
        """Give up what is not yet in the file."""
        ...


def file_sink(
    handle: IO[bytes],
    kind: str,
    schema: pa.Schema,
    formats: Mapping[str, str],
    *,
    packed: bool = False,
) -> Sink:
    """Give the sink for a kind of file.

    Parameters
    ----------
    handle : binary file
        Open for writing; the sink does not close it.
    kind : {"csv", "tsv", "jsonl", "parquet", "arrow"}
    schema : pyarrow.Schema
    formats : mapping of str to str
    packed : bool
        Whether text is gzipped.
    """
    if kind == "parquet":
        return _Parquet(handle, schema)
    if kind == "arrow":
        return _Arrow(handle, schema)
    if kind == "jsonl":
        return _Lines(handle, packed, b"", _json_lines(schema, formats))
    delimiter = "\t" if kind == "tsv" else ","
    header = delimiter.join(_quoted(name, delimiter) for name in schema.names) + "\n"
    return _Lines(handle, packed, header.encode(), _rows(schema, formats, delimiter))


class _Lines:
    """Text, a line a row."""

    def __init__(
        self,
        handle: IO[bytes],
        packed: bool,
        header: bytes,
        lines: Callable[[pa.Table], pa.ChunkedArray],
    ) -> None:
        self._handle = handle
        # Neither a name nor a time in the gzip header: the same rows give the same bytes.
        self._zip = gzip.GzipFile("", "wb", fileobj=handle, mtime=0) if packed else None
        self._out: Any = self._zip or handle
        self._lines = lines
        self._out.write(header)

    def write(self, table: pa.Table) -> None:
        for start in range(0, table.num_rows, ROWS):
            for chunk in self._lines(table.slice(start, ROWS)).chunks:
                whole = pa.ListArray.from_arrays(pa.array([0, len(chunk)], pa.int32()), chunk)
                self._out.write(pc.binary_join(whole, "\n")[0].as_buffer())
                self._out.write(b"\n")

    def finish(self) -> None:
        if self._zip is not None:
            self._zip.close()
        self._handle.flush()

    def abort(self) -> None:
        if self._zip is not None:
            self._zip.close()


class _Parquet:
    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(handle, schema)

    def write(self, table: pa.Table) -> None:
        self._writer.write_table(table.replace_schema_metadata())

    def finish(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.close()


class _Arrow:
    """An Arrow file; one with dictionaries is held to the end, since it has but one of each."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        self._held: list[pa.Table] | None = (
            [] if any(pa.types.is_dictionary(kind) for kind in schema.types) else None
        )
        self._writer = pa.ipc.new_file(handle, schema)

    def write(self, table: pa.Table) -> None:
        table = table.replace_schema_metadata()
        if self._held is None:
            self._writer.write_table(table)
        else:
            self._held.append(table)

    def finish(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held).unify_dictionaries())
        self._writer.close()

    def abort(self) -> None:
        self._writer.close()


def _rows(
    schema: pa.Schema, formats: Mapping[str, str], delimiter: str
) -> Callable[[pa.Table], pa.ChunkedArray]:
    spell = speller(schema, formats)
    special = f'^$|[{re.escape(delimiter)}"\\r\\n]'
    textual = [_may_need_quotes(kind) for kind in schema.types]

    def quote(column: pa.ChunkedArray) -> pa.ChunkedArray:
        doubled = pc.replace_substring(column, '"', '""')
        wrapped = pc.binary_join_element_wise('"', doubled, '"', "")
        return pc.if_else(pc.match_substring_regex(column, special), wrapped, column)

    def lines(table: pa.Table) -> pa.ChunkedArray:
        columns = [
            quote(column) if text else column
            for column, text in zip(spell(table).columns, textual, strict=True)
        ]
        return pc.binary_join_element_wise(
            *columns, delimiter, null_handling="replace", null_replacement=""
        )

    return lines


def _may_need_quotes(kind: pa.DataType) -> bool:
    value = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(value) or pa.types.is_temporal(value))


def _quoted(name: str, delimiter: str) -> str:
    if not re.search(f'[{re.escape(delimiter)}"\\r\\n]', name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _json_lines(
    schema: pa.Schema, formats: Mapping[str, str]
) -> Callable[[pa.Table], pa.ChunkedArray]:
    spell = speller(schema, formats, only_times=True)
    con = connect(ordered=True)
    pairs = ", ".join(
        "'" + name.replace("'", "''") + f"', c{i}" for i, name in enumerate(schema.names)
    )

    def lines(table: pa.Table) -> pa.ChunkedArray:
        plain = spell(table)
        for i, column in enumerate(plain.columns):
            kind = column.type
            if pa.types.is_dictionary(kind):
                plain = plain.set_column(i, f"c{i}", column.cast(kind.value_type))
            elif pa.types.is_float32(kind):
                # By way of its shortest digits, or 0.1 would become 0.10000000149011612.
                plain = plain.set_column(i, f"c{i}", column.cast(pa.string()).cast(pa.float64()))
        rows = con.from_arrow(plain).project(f"CAST(json_object({pairs}) AS VARCHAR) AS line")
        return rows.to_arrow_table()["line"].cast(pa.string())

    return lines
