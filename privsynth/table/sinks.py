"""The kinds of file that a table is written as, all streamed and the same bytes every time."""

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

__all__ = ["Sink", "file_sink"]

ROWS = 1 << 16
LOOKED_AT = 1 << 14
"""Rows from which it is told whether a column's values repeat."""


class Sink(Protocol):
    """Where rows go in the end."""

    def write(self, table: pa.Table) -> None:
        """Add rows; a dictionary array may stand for a column that is stored without one."""
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
    escape: bool = True,
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
    escape : bool
        Whether cells and names that a spreadsheet would take for formulas get a ``'`` in CSV and
        TSV; see `formulas`.
    """
    if kind == "parquet":
        return _Parquet(handle, schema)
    if kind == "arrow":
        return _Arrow(handle, schema)
    if kind == "jsonl":
        return _Lines(handle, packed, b"", _json_lines(schema, formats))
    delimiter = "\t" if kind == "tsv" else ","
    names = formulas.escape_names(schema.names) if escape else schema.names
    header = delimiter.join(map(_quoted, names)) + "\n"
    return _Lines(handle, packed, header.encode(), _rows(schema, formats, delimiter, escape))


class _Lines:
    """Text, a line a row."""

    def __init__(
        self,
        handle: IO[bytes],
        packed: bool,
        header: bytes,
        lines: Callable[[pa.Table], pa.Array],
    ) -> None:
        self._handle = handle
        # Neither a name nor a time in the gzip header: the same rows give the same bytes.
        self._zip = gzip.GzipFile("", "wb", fileobj=handle, mtime=0) if packed else None
        self._out: Any = self._zip or handle
        self._lines = lines
        self._out.write(header)

    def write(self, table: pa.Table) -> None:
        for start in range(0, table.num_rows, ROWS):
            lines = self._lines(table.slice(start, ROWS))
            whole = pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines)
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
    """A Parquet file, each column encoded in the way that its first rows call for."""

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
    """Give the types that Arrow's writer is handed: dictionaries of text, which it need not hash.

    Any others it would spread out and then hash again.
    """
    return pa.schema(
        (e.name, e.type if _coded_text(e.type) else getattr(e.type, "value_type", e.type))
        for e in schema
    )


def _parquet_writer(handle: IO[bytes], first: pa.Table, schema: pa.Schema) -> pq.ParquetWriter:
    """Open a writer for tables like the first; readers are told of `schema` alone."""
    coded = [e.name for e in first.schema if _coded_text(e.type)]
    alone = [e for e in first.schema if e.name not in coded and not _repeats(first[e.name])]
    floats = {e.name for e in alone if pa.types.is_floating(e.type)}
    writer = pq.ParquetWriter(
        handle,
        first.schema,
        use_dictionary=[name for name in first.schema.names if name not in {e.name for e in alone}],
        column_encoding={e.name: "DELTA_BINARY_PACKED" for e in alone if _integral(e.type)},
        # On floats that do not repeat Snappy gains little, and takes longer than all the rest.
        compression={name: "none" if name in floats else "snappy" for name in first.schema.names},
        # The least and greatest value of a column of codes take as long as the codes themselves.
        write_statistics=[name for name in first.schema.names if name not in coded],
        store_schema=False,
    )
    writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(schema.serialize())})
    return writer


def _coded_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type))


def _integral(kind: pa.DataType) -> bool:
    """Say whether Parquet stores a type as integers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_temporal(kind))


def _repeats(column: pa.ChunkedArray) -> bool:
    """Say whether, among the first rows, a value comes twice on average."""
    some = column.slice(0, LOOKED_AT)
    return bool(2 * pc.count_distinct(some).as_py() <= len(some))


class _Arrow:
    """An Arrow file; one with dictionaries is held to the end, since it has but one of each."""

    def __init__(self, handle: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        self._held: list[pa.Table] | None = (
            [] if any(pa.types.is_dictionary(kind) for kind in schema.types) else None
        )
        self._writer = pa.ipc.new_file(handle, schema)

    def write(self, table: pa.Table) -> None:
        table = table.cast(self._schema)
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

    kinds = [getattr(kind, "value_type", kind) for kind in schema.types]
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


def _quoted(name: str) -> str:
    # A reader looks for any of the delimiters in the header.
    if not re.search(f'[{re.escape(DELIMITERS)}"\\r\\n]', name):
        return name
    return '"' + name.replace('"', '""') + '"'


def _json_lines(schema: pa.Schema, formats: Mapping[str, str]) -> Callable[[pa.Table], pa.Array]:
    spell = speller(schema, formats, only_times=True)
    con = connect(ordered=True)
    pairs = ", ".join(
        "'" + name.replace("'", "''") + f"', c{i}" for i, name in enumerate(schema.names)
    )

    def lines(table: pa.Table) -> pa.Array:
        plain = spell(table)
        for i, column in enumerate(plain.columns):
            kind = column.type
            if pa.types.is_dictionary(kind):
                plain = plain.set_column(i, f"c{i}", column.cast(kind.value_type))
            elif pa.types.is_float32(kind):
                # By way of its shortest digits, or 0.1 would become 0.10000000149011612.
                plain = plain.set_column(i, f"c{i}", column.cast(pa.string()).cast(pa.float64()))
        rows = con.from_arrow(plain).project(f"CAST(json_object({pairs}) AS VARCHAR) AS line")
        return rows.to_arrow_table()["line"].combine_chunks().cast(pa.string())

    return lines
