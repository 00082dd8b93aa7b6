"""Writing a table to a file, database or standard output; files are replaced atomically."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from privsynth.errors import UsageError
from privsynth.files import check_writable, replacing
from privsynth.table.places import database, kind_of, storing

if TYPE_CHECKING:
    import pyarrow as pa

    from privsynth.table.sinks import Sink

__all__ = ["Writer", "check_output", "open_writer", "write"]


class Writer:
    """Writes tables one after another; returned by `open_writer`, used in a ``with`` statement.

    A clean exit moves the output to its place. After an error or Ctrl-C, the old output is
    unchanged and nothing else is left.
    """

    def __init__(
        self, out: str | Path, schema: pa.Schema, formats: Mapping[str, str], escape: bool
    ) -> None:
        self._name = str(out)
        self._schema = schema
        self._formats = formats
        self._escape = escape
        self._exit_stack = ExitStack()
        self._sink: Sink

    def __enter__(self) -> Self:
        from privsynth.table.databases import DatabaseSink
        from privsynth.table.sinks import file_sink

        place = database(self._name)
        with storing(self._name):
            if place is not None:
                self._sink = DatabaseSink(place, self._schema, self._formats)
                return self
            if self._name == "-":
                self._sink = file_sink(
                    sys.stdout.buffer, "csv", self._schema, self._formats, escape=self._escape
                )
                return self
            kind = kind_of(self._name)
            try:
                temporary = self._exit_stack.enter_context(replacing(Path(self._name).resolve()))
                handle = self._exit_stack.enter_context(temporary.open("wb"))
                self._sink = file_sink(
                    handle,
                    kind,
                    self._schema,
                    self._formats,
                    gzipped=self._name.lower().endswith(".gz"),
                    escape=self._escape,
                )
            except BaseException:
                self._exit_stack.__exit__(*sys.exc_info())
                raise
        return self

    def write(self, table: pa.Table) -> None:
        """Write rows.

        Parameters
        ----------
        table : pyarrow.Table
            Of the schema given to `open_writer`.

        Raises
        ------
        MachineError
            The disk is full.
        StorageError
            The file cannot be written.
        """
        with storing(self._name):
            self._sink.write(table)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            with suppress(Exception):  # the first error is the one to report
                self._sink.abort()
            self._exit_stack.__exit__(kind, error, trace)
            return
        with storing(self._name):
            try:
                self._sink.finish()
            except BaseException:
                self._exit_stack.__exit__(*sys.exc_info())
                raise
            self._exit_stack.close()


def open_writer(
    out: str | Path,
    schema: pa.Schema,
    formats: Mapping[str, str] | None = None,
    *,
    escape: bool = True,
) -> Writer:
    """Open a file, a database table or ``-`` (CSV on standard output) for writing.

    Parameters
    ----------
    out : str or Path
        Its suffix decides the kind of file: ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` (each
        also with ``.gz``), ``.parquet``, ``.feather``, ``.arrow`` or ``.ipc``.
    schema : pyarrow.Schema
    formats : mapping of str to str
        How booleans, dates and times are spelled in text files, by column.
    escape : bool
        Put a ``'`` before text cells and column names of CSV and TSV that a spreadsheet would run
        as formulas; `read` removes it again.

    Returns
    -------
    Writer
        For use in a ``with`` statement.
    """
    return Writer(out, schema.remove_metadata(), formats or {}, escape)


def write(
    table: pa.Table,
    out: str | Path,
    formats: Mapping[str, str] | None = None,
    *,
    escape: bool = True,
) -> None:
    """Write a whole table; see `open_writer`."""
    with open_writer(out, table.schema, formats, escape=escape) as writer:
        writer.write(table)


def check_output(out: str | Path) -> None:
    """Refuse, before any work is done, an output that could not be written.

    Raises
    ------
    UsageError
        The suffix is not known, or the output is a folder.
    StorageError
        Its folder is missing or may not be written to.
    MissingExtraError
        The database's driver is not installed.
    """
    name = str(out)
    place = database(name)
    if place is not None and place.scheme != "duckdb":
        from privsynth.table.databases import driver

        driver(place)
    if name == "-":
        return
    if place is None or place.path is not None:
        path = Path(place.address if place else name)
        if path.is_dir():
            raise UsageError(f"{name}: is a folder; name a file in it")
        if place is None:
            kind_of(path)
        check_writable(path)
    if place is not None:
        from privsynth.table.databases import check_place

        check_place(place)
