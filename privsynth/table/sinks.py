"""Streaming writers for each kind of file; the same rows always give the same bytes."""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from privsynth.table import formulas
from privsynth.table.delimited import DELIMITERS
from privsynth.table.duck import connect
from privsynth.table.spelling import over_values, speller
from privsynth.table.sql import literal
from privsynth.table.storage import decoded, value_type

__all__ = ["Sink", "file_sink"]

ROWS_AT_ONCE = 1 << 16
SAMPLE_ROWS = 1 << 14
"""First rows that decide whether a column's values repeat."""


class Sink(Protocol):
    """A destination of rows."""

    def write(self, table: pa.Table) -> None:
        """Add rows; any column may be dictionary-encoded."""
        ...

    def finish(self) -> None:
        """Write the end of the file."""
        ...

    def abort(self) -> None:
        """Close without completing the file."""
        ...


def file_sink(
    handle: IO[bytes],
    kind: str,
    schema: pa.Schema,
    formats: Mapping[str, str],
    *,
    gzipped: bool = False,
    escape: bool = True,
) -> Sink:
    """Return the sink for a kind of file.

    Parameters
    ----------
    handle : binary file
        Open for writing; the sink does not close it.
    kind : {"csv", "tsv", "jsonl", "parquet", "arrow"}
    schema : pyarrow.Schema
    formats : mapping of str to str
    gzipped : bool
        Whether to gzip text.
    escape : bool
        Whether to put a ``'`` before cells and names of CSV and TSV that a spreadsheet would run
        as formulas; see `formulas`.
    """
    if kind == "parquet":
        return _Parquet(handle, schema)
    if kind == "arrow":
        return _Arrow(handle, schema)
    if kind == "jsonl":
        return _Lines(handle, gzipped, b"", _json_lines(schema, formats))
    delimiter = "\t" if kind == "tsv" else ","
    names = formulas.escape_names(schema.names) if escape else schema.names
    header = delimiter.join(map(_quoted_name, names)) + "\n"
    return _Lines(
        handle, gzipped, header.encode(), _delimited_lines(schema, formats, delimiter, escape)
    )


class _Lines:
    """A text file with one line for each row."""

    def __init__(
        self,
        handle: IO[bytes],
        gzipped: bool,
        header: bytes,
        lines: Callable[[pa.Table], pa.Array],
    ) -> None:
        self._handle = handle
        # A gzip header with a name or a time would change the bytes.
        self._zip = gzip.GzipFile("", "wb", fileobj=handle, mtime=0) if gzipped else None
        self._out: Any = self._zip or handle
        self._lines = lines
        self._out.write(header)

    def write(self, table: pa.Table) -> None:
        for start in range(0, table.num_rows, ROWS_AT_ONCE):
            lines = self._lines(table.slice(start, ROWS_AT_ONCE))
            as_list = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
            self._out.write(pc.binary_join(as_list, "\n")[0].as_buffer())
            self._out.write(b"\n")

    def finish(self) -> None:
        if self._zip is not None:
            self._zip.close()
        self._handle.flush()

    def abort(self) -> None:
        if self._zip is not None:
            self._zip.close()


class _Parquet:
    """A Parquet file; the first rows decide how each column is encoded."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._handle = handle
        self._schema = schema
        self._writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self._writer is None:
            table = table.cast(_as_written(table.schema))
            self._writer = _parquet_writer(self._handle, table, self._schema)
        self._writer.write_table(table.cast(self._writer.schema))

    def finish(self) -> None:
        if self._writer is None:
            self.write(self._schema.empty_table())
        self.abort()

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _as_written(schema: pa.Schema) -> pa.Schema:
    """Return the types to pass to Arrow's writer: dictionaries only of text.

    The writer keeps these, but would decode any others and hash their values again.
    """
    return pa.schema(
        (e.name, e.type if _coded_text(e.type) else value_type(e.type)) for e in schema
    )


def _parquet_writer(handle: IO[bytes], first: pa.Table, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a writer for tables like the first; the file declares only `schema` to readers."""
    coded = [e.name for e in first.schema if _coded_text(e.type)]
    alone = [e for e in first.schema if e.name not in coded and not _repeats(first[e.name])]
    floats = {e.name for e in alone if pa.types.is_floating(e.type)}
    writer = pq.ParquetWriter(
        handle,
        first.schema,
        use_dictionary=[name for name in first.schema.names if name not in {e.name for e in alone}],
        column_encoding={e.name: "DELTA_BINARY_PACKED" for e in alone if _integral(e.type)},
        # On floats that do not repeat, Snappy saves little and takes more time than the rest.
        compression={name: "none" if name in floats else "snappy" for name in first.schema.names},
        # The minimum and maximum of a column of codes take as long as the codes themselves.
        write_statistics=[name for name in first.schema.names if name not in coded],
        store_schema=False,
    )
    writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(schema.serialize())})
    return writer


def _coded_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


def _integral(kind: pa.DataType) -> bool:
    """Return whether Parquet stores a type as integers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _repeats(column: pa.ChunkedArray) -> bool:
    """Return whether values occur at least twice on average among the first rows."""
    first = column.slice(0, SAMPLE_ROWS)
    return bool(2 * pc.count_distinct(first).as_py() <= len(first))


class _Arrow:
    """An Arrow file; one with dictionaries is buffered, since it may have only one of each."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        self._buffered: list[pa.Table] | None = (
            [] if any(pa.types.is_dictionary(kind) for kind in schema.types) else None
        )
        self._writer = pa.ipc.new_file(handle, schema)

    def write(self, table: pa.Table) -> None:
        table = table.cast(self._schema)
        if self._buffered is None:
            self._writer.write_table(table)
        else:
            self._buffered.append(table)

    def finish(self) -> None:
        if self._buffered:
            self._writer.write_table(pa.concat_tables(self._buffered).unify_dictionaries())
        self._writer.close()

    def abort(self) -> None:
        self._writer.close()


def _delimited_lines(
    schema: pa.Schema, formats: Mapping[str, str], delimiter: str, escape: bool
) -> Callable[[pa.Table], pa.Array]:
    spell = speller(schema, formats)
    special = f'^$|[{re.escape(delimiter)}"\\r\\n]'

    def quote(values: pa.Array) -> pa.Array:
        needed = pc.match_substring_regex(values, special)
        if not pc.any(needed).as_py():
            return values
        doubled = pc.replace_substring(values, '"', '""')
        wrapped = pc.binary_join_element_wise('"', doubled, '"', "")
        return pc.if_else(needed, wrapped, values)

    def protect(values: pa.Array) -> pa.Array:
        return quote(formulas.escape(values) if escape else values)

    kinds = [value_type(kind) for kind in schema.types]
    changes = [
        protect if pa.types.is_string(kind) else quote if pa.types.is_temporal(kind) else None
        for kind in kinds
    ]

    def lines(table: pa.Table) -> pa.Array:
        columns = [
            over_values(column, change) if change else column.combine_chunks()
            for column, change in zip(spell(table).columns, changes, strict=True)
        ]
        return pc.binary_join_element_wise(
            *(column.cast(pa.string()) for column in columns),
            delimiter,
            null_handling="replace",
            null_replacement="",
        )

    return lines


def _quoted_name(name: str) -> str:
    # A reader detects the delimiter by looking for all of them in the header.
    # A byte order mark at the head of a file would be taken for its encoding, not for the name.
    if not re.search(f'[{re.escape(DELIMITERS)}"\\r\\n\ufeff]', name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _json_lines(schema: pa.Schema, formats: Mapping[str, str]) -> Callable[[pa.Table], pa.Array]:
    spell = speller(schema, formats, only_times=True)
    con = connect(ordered=True)
    pairs = ", ".join(f"{literal(name)}, c{i}" for i, name in enumerate(schema.names))

    def lines(table: pa.Table) -> pa.Array:
        values = spell(table)
        for i, column in enumerate(values.columns):
            if pa.types.is_dictionary(column.type):
                values = values.set_column(i, f"c{i}", decoded(column))
            elif pa.types.is_float32(column.type):
                # Through its shortest digits, or 0.1 would become 0.10000000149011612.
                values = values.set_column(i, f"c{i}", column.cast(pa.string()).cast(pa.float64()))
        rows = con.from_arrow(values).project(f"CAST(json_object({pairs}) AS VARCHAR) AS line")
        return rows.to_arrow_table()["line"].combine_chunks().cast(pa.string())

    return lines
