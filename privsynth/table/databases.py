"""Tables in databases: DuckDB by its own client; SQLite and PostgreSQL through ADBC drivers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from privsynth.errors import DataError, MachineError, MissingExtraError, StorageError, known
from privsynth.table.jsonlines import with_times
from privsynth.table.limits import most_rows
from privsynth.table.places import Database
from privsynth.table.relation import Scan
from privsynth.table.spelling import speller
from privsynth.table.storage import clean, storage_schema

__all__ = ["DatabaseSink", "driver", "read_adbc", "read_duckdb"]

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
    "threads": 1,  # with more, rows that are streamed change places
}
_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')",
    "postgresql": "SELECT table_name FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
}


def read_duckdb(place: Database, total: bool = False) -> tuple[pa.Schema, int, Scan]:
    """Open a table of a DuckDB file, which is never changed.

    Parameters
    ----------
    place : Database
    total : bool
        Whether values that no table may hold become missing.

    Returns
    -------
    schema : pyarrow.Schema
        In storage types.
    n_rows : int
    scan : Scan
    """
    _check_file(place)
    with _asking(place):
        con = duckdb.connect(place.address, read_only=True, config=_CONFIG)
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        tables = [
            row[0] for row in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        ]
        tables += [
            row[0]
            for row in con.execute(
                "SELECT view_name FROM duckdb_views() WHERE NOT internal"
            ).fetchall()
        ]
        _check_table(place, tables)
        found = con.sql(f"SELECT * FROM {place.quoted} LIMIT 0").to_arrow_table().schema  # noqa: S608
        schema = storage_schema(found, place.name)
        # A view may go on for ever, and is counted only as far as a table of its size may reach.
        most = most_rows(len(schema), Path(place.address).stat().st_size) + 1
        counted = con.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {place.quoted} LIMIT {most})"  # noqa: S608
        ).fetchone()

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        chosen = pa.schema([schema.field(column) for column in columns])
        row = 1
        with _asking(place):
            query = con.cursor().sql(f"SELECT {names} FROM {place.quoted}")  # noqa: S608
            for batch in query.to_arrow_reader(1 << 16):
                yield clean(batch, chosen, place.name, first_row=row, total=total)
                row += batch.num_rows

    return schema, counted[0] if counted else 0, scan


def read_adbc(place: Database, total: bool = False) -> tuple[pa.Table, dict[str, str]]:
    """Read a table of SQLite or PostgreSQL into memory.

    Parameters
    ----------
    place : Database
    total : bool
        Give every column of SQLite, which types values and not columns, as text.

    Returns
    -------
    table : pyarrow.Table
    formats : dict of str to str
        How SQLite, which keeps times as text, spells them.
    """
    module = driver(place)
    if place.scheme == "sqlite":
        _check_file(place)
    with (
        _asking(place, module),
        closing(module.connect(_uri(place, read_only=True))) as con,
        con.cursor() as cursor,
    ):
        cursor.execute(_TABLES[place.scheme])
        _check_table(place, cursor.fetch_arrow_table().column(0).to_pylist())
        if place.scheme == "sqlite" and total:
            return _as_texts(cursor, place), {}
        if place.scheme == "sqlite":
            cursor.execute(f"SELECT count(*) FROM {place.quoted}")  # noqa: S608
            # SQLite types values, not columns: the driver must see all rows to type a column.
            rows = max(1, cursor.fetchone()[0])
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows)})
        cursor.execute(f"SELECT * FROM {place.quoted}")  # noqa: S608
        table = _stored(cursor.fetch_arrow_table())
        texts = [entry.name for entry in table.schema if pa.types.is_string(entry.type)]
        return with_times(table, texts) if place.scheme == "sqlite" else (table, {})


def _as_texts(cursor: Any, place: Database) -> pa.Table:
    """Let SQLite spell every value of a table."""
    cursor.execute(f"SELECT * FROM {place.quoted} LIMIT 0")  # noqa: S608
    names = cursor.fetch_arrow_table().column_names
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    texts = [f"CASE typeof({c}) WHEN 'blob' THEN NULL ELSE CAST({c} AS TEXT) END" for c in quoted]
    cursor.execute(f"SELECT {', '.join(texts)} FROM {place.quoted}")  # noqa: S608
    columns = [column.cast(pa.string()) for column in cursor.fetch_arrow_table().columns]
    return pa.table(columns, names=names)


def _stored(table: pa.Table) -> pa.Table:
    """Give types that PostgreSQL has and Arrow has not as text, and NUMERIC as float64."""
    for i, entry in enumerate(table.schema):
        if isinstance(entry.type, pa.OpaqueType) and pa.types.is_string(entry.type.storage_type):
            parts = [chunk.storage for chunk in table.column(i).chunks]
            column = pa.chunked_array(parts, type=pa.string())
            if entry.type.type_name == "numeric":
                column = column.cast(pa.float64())
            table = table.set_column(i, entry.name, column)
    return table


class DatabaseSink:
    """Writes a table into a database in one transaction, in place of one of its name."""

    def __init__(self, place: Database, schema: pa.Schema, formats: Mapping[str, str]) -> None:
        self._place = place
        self._schema = schema
        self._spell = speller(schema, formats, only_times=True)
        folded = {name.casefold() for name in schema.names}
        if place.scheme != "postgresql" and len(folded) < len(schema.names):
            raise DataError(
                f"{place.name}: the database takes names that differ in case alone for one; "
                "rename a column, or write a file"
            )
        self._created = place.scheme != "postgresql" and not Path(place.address).exists()
        self._first = True
        try:
            with _asking(place):
                if place.scheme == "duckdb":
                    self._con: Any = duckdb.connect(place.address, config=_CONFIG)
                    self._con.begin()
                else:
                    self._con = driver(place).connect(_uri(place, read_only=False))
        except BaseException:
            self._leave()
            raise

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        table = table.cast(self._schema)
        with _asking(self._place):
            if self._place.scheme == "duckdb":
                start = (
                    f"CREATE OR REPLACE TABLE {self._place.quoted} AS SELECT * FROM privsynth_rows"  # noqa: S608
                )
                more = f"INSERT INTO {self._place.quoted} SELECT * FROM privsynth_rows"  # noqa: S608
                self._con.register("privsynth_rows", table)
                self._con.execute(start if self._first else more)
                self._con.unregister("privsynth_rows")
            else:
                schema, _, name = self._place.table.rpartition(".")
                mode = "replace" if self._first else "append"
                if self._place.scheme == "sqlite":
                    # It knows numbers and text alone.
                    table = _decoded(self._spell(table).rename_columns(table.column_names))
                with self._con.cursor() as cursor:
                    cursor.adbc_ingest(name, table, mode=mode, db_schema_name=schema or None)
        self._first = False

    def finish(self) -> None:
        """Make what was written last."""
        if self._first:
            self.write(self._schema.empty_table())
        try:
            with _asking(self._place):
                self._con.commit()
                self._con.close()
        except BaseException:
            with suppress(Exception):  # the error that brought us here is the one to tell
                self.abort()
            raise

    def abort(self) -> None:
        """Leave the database as it was."""
        try:
            with suppress(duckdb.TransactionException):  # a commit that failed has ended it
                self._con.rollback()
            self._con.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        """Remove a database that was made for this table."""
        for ending in ("", ".wal", "-journal") if self._created else ():
            Path(self._place.address + ending).unlink(missing_ok=True)


def _decoded(table: pa.Table) -> pa.Table:
    for i, entry in enumerate(table.schema):
        if pa.types.is_dictionary(entry.type):
            table = table.set_column(i, entry.name, table.column(i).cast(entry.type.value_type))
        elif pa.types.is_decimal(entry.type):
            table = table.set_column(i, entry.name, table.column(i).cast(pa.string()))
    return table


def driver(place: Database) -> Any:
    """Import the ADBC driver of a database.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return importlib.import_module(f"adbc_driver_{place.scheme}.dbapi")
    except ImportError:
        raise MissingExtraError(
            f"{place.name}: needs a driver; pip install 'privsynth[{place.scheme}]'"
        ) from None


def _uri(place: Database, *, read_only: bool) -> str:
    if place.scheme == "postgresql":
        return place.address
    return f"file:{place.address}?mode={'ro' if read_only else 'rwc'}"


def _check_file(place: Database) -> None:
    if not Path(place.address).is_file():
        raise StorageError(f"{place.name}: no such database file; check the path")


def _check_table(place: Database, tables: list[str]) -> None:
    name = place.table.rpartition(".")[2]
    if name not in tables:
        raise DataError(f"{place.name}: no table {name!r}{known(name, tables)}")


@contextmanager
def _asking(place: Database, module: Any = None) -> Iterator[None]:
    """Turn a database's complaint, which may quote values, into one line."""
    refused: tuple[type[Exception], ...] = (duckdb.Error,)
    if place.scheme != "duckdb":
        refused += ((module or driver(place)).Error,)
    try:
        yield
    except (MemoryError, duckdb.OutOfMemoryException):
        raise MachineError(f"{place.name}: the memory is spent; free some") from None
    except refused as error:
        if any(sign in str(error) for sign in ("No space left", "disk is full")):
            raise MachineError(
                f"{place.name}: the disk is full; free space, or choose another disk"
            ) from None
        raise StorageError(
            f"{place.name}: the database refused; check its path, that no other program holds "
            "it open, and that you may use the table"
        ) from None
