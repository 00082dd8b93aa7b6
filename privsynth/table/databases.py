"""Tables in databases: DuckDB through its own client, SQLite and PostgreSQL through ADBC."""

from __future__ import annotations

import importlib
import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from privsynth.errors import (
    DataError,
    MachineError,
    MissingExtraError,
    PrivsynthError,
    StorageError,
    UsageError,
    did_you_mean,
)
from privsynth.files import beside, put_new
from privsynth.table.duck import open_file
from privsynth.table.jsonlines import with_times
from privsynth.table.limits import max_rows
from privsynth.table.places import Database
from privsynth.table.relation import Scan
from privsynth.table.spelling import speller
from privsynth.table.sql import identifier
from privsynth.table.storage import clean_batches, decoded, storage_schema, subschema

__all__ = [
    "DatabaseSink",
    "check_place",
    "driver",
    "read_adbc",
    "read_duckdb",
    "relations",
    "tables_behind",
]

_TABLES = {
    "duckdb": "SELECT table_name FROM duckdb_tables() "
    "UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal",
    "sqlite": "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')",
    "postgresql": "SELECT table_name FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
}

_UNTRUSTED = "PRAGMA trusted_schema = OFF"
"""Stops views and triggers from calling functions or opening virtual tables with side effects."""
_READ_ONLY = {
    "sqlite": (_UNTRUSTED, "PRAGMA query_only = ON"),
    # libpq prints the server's notices, which may quote values.
    "postgresql": ("SET TRANSACTION READ ONLY", "SET client_min_messages = error"),
}
_OUTSIDE_ERRORS = (
    "unsafe use of",
    "not authorized",
    "no such module",
    "exists in the",
    "read-only trans",
)
"""Parts of database errors about a view that reaches beyond its own file."""
_VIEW_ERRORS = ("is of type View", "use DROP VIEW", "is not a table")
"""Parts of database errors about replacing a view by a table."""
_PART = re.compile(r'"((?:[^"]|"")*)"|([^.]+)')
_RELATIONS = """
WITH RECURSIVE own(oid) AS (
    SELECT to_regclass('{}')::oid
    UNION SELECT part.oid FROM own, LATERAL (
        SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = own.oid
        UNION SELECT refobjid FROM pg_rewrite JOIN pg_depend ON objid = pg_rewrite.oid
        WHERE ev_class = own.oid AND classid = 'pg_rewrite'::regclass
            AND refclassid = 'pg_class'::regclass
    ) AS part
)
SELECT system_identifier::text, base.oid::text, own.oid::text
FROM own, pg_control_system(), pg_database base
WHERE datname = current_database() AND own.oid IS NOT NULL
"""


def read_duckdb(place: Database, total: bool = False) -> tuple[pa.Schema, int, Scan]:
    """Open a table of a DuckDB file, read-only.

    Parameters
    ----------
    place : Database
    total : bool
        Whether values that no table may hold become missing.

    Returns
    -------
    schema : pyarrow.Schema
        With storage types.
    n_rows : int
    scan : Scan
    """
    _check_file(place)
    with _translated_errors(place):
        con = open_file(_file(place), read_only=True)
        _check_table(place, [name for (name,) in con.execute(_TABLES["duckdb"]).fetchall()])
        query = f"SELECT * FROM {place.quoted} LIMIT 0"  # noqa: S608
        schema = storage_schema(con.sql(query).to_arrow_table().schema, place.name)
        # A view may be endless, so count only as many rows as a file of this size may have.
        limit = max_rows(len(schema), Path(place.address).stat().st_size) + 1
        n_rows = con.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM {place.quoted} LIMIT {limit})"  # noqa: S608
        ).fetchone()

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        names = ", ".join(map(identifier, columns))
        with _translated_errors(place):
            query = con.cursor().sql(f"SELECT {names} FROM {place.quoted}")  # noqa: S608
            batches = query.to_arrow_reader(1 << 16)
            yield from clean_batches(batches, subschema(schema, columns), place.name, total=total)

    return schema, n_rows[0] if n_rows else 0, scan


def read_adbc(
    place: Database, total: bool = False, texts: Collection[str] = ()
) -> tuple[pa.Table, dict[str, str]]:
    """Read a table of SQLite or PostgreSQL into memory.

    Parameters
    ----------
    place : Database
    total : bool
        Read every column of SQLite, which types values and not columns, as text.
    texts : collection of str
        Columns that stay text even if they spell times.

    Returns
    -------
    table : pyarrow.Table
    formats : dict of str to str
        How the times of SQLite, which stores them as text, are spelled.
    """
    module = driver(place)
    if place.scheme == "sqlite":
        _check_file(place)
    with (
        _translated_errors(place, module),
        closing(module.connect(_uri(place, read_only=True))) as con,
        con.cursor() as cursor,
    ):
        for setting in _READ_ONLY[place.scheme]:
            cursor.execute(setting)
        cursor.execute(_TABLES[place.scheme])
        _check_table(place, cursor.fetch_arrow_table().column(0).to_pylist())
        if place.scheme == "sqlite":
            cursor.execute(f"SELECT count(*) FROM {place.quoted}")  # noqa: S608
            # SQLite types values, not columns: the driver must see all rows to type a column.
            rows = max(1, cursor.fetchone()[0])
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(rows)})
            if total:
                return _as_texts(cursor, place), {}
        cursor.execute(f"SELECT * FROM {place.quoted}")  # noqa: S608
        table = _with_arrow_types(cursor.fetch_arrow_table())
        strings = [entry.name for entry in table.schema if pa.types.is_string(entry.type)]
        timed = [name for name in strings if name not in texts]
        return with_times(table, timed) if place.scheme == "sqlite" else (table, {})


def _as_texts(cursor: Any, place: Database) -> pa.Table:
    """Read a table with every value as SQLite spells it."""
    cursor.execute(f"SELECT * FROM {place.quoted} LIMIT 0")  # noqa: S608
    names = cursor.fetch_arrow_table().column_names
    quoted = [identifier(name) for name in names]
    texts = [f"CASE typeof({c}) WHEN 'blob' THEN NULL ELSE CAST({c} AS TEXT) END" for c in quoted]
    cursor.execute(f"SELECT {', '.join(texts)} FROM {place.quoted}")  # noqa: S608
    columns = [column.cast(pa.string()) for column in cursor.fetch_arrow_table().columns]
    return pa.table(columns, names=names)


def _with_arrow_types(table: pa.Table) -> pa.Table:
    """Convert types of PostgreSQL that Arrow lacks to text, and NUMERIC to float64."""
    for i, entry in enumerate(table.schema):
        if isinstance(entry.type, pa.OpaqueType) and pa.types.is_string(entry.type.storage_type):
            parts = [chunk.storage for chunk in table.column(i).chunks]
            column = pa.chunked_array(parts, type=pa.string())
            if entry.type.type_name == "numeric":
                column = column.cast(pa.float64())
            table = table.set_column(i, entry.name, column)
    return table


def check_place(place: Database) -> None:
    """Refuse, before any work is done, a table that a database would not take.

    Raises
    ------
    UsageError
        The file is not such a database, or the table is a view.
    StorageError
        The database cannot be opened, or refuses the table.
    """
    path = place.path
    if path is not None and path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            head = file.read(16)
        # DuckDB opens a file of another kind, such as CSV, as a view in a database in memory.
        known = head[8:12] == b"DUCK" if place.scheme == "duckdb" else head[:6] == b"SQLite"
        if not known:
            raise UsageError(
                f"{place.name}: the file is not a {place.scheme} database; name one, or a new file"
            )
        if place.scheme == "sqlite":
            _check_not_virtual(place)
    schema = pa.schema([("privsynth", pa.int64())])
    sink = DatabaseSink(place, schema, {})
    try:
        sink.write(schema.empty_table())
    finally:
        sink.abort()


def _check_not_virtual(place: Database) -> None:
    """Refuse to replace a virtual table of SQLite, or one in which it keeps its rows."""
    query = "SELECT type FROM pragma_table_list WHERE lower(name) = lower(?)"
    with _translated_errors(place):
        con = driver(place).connect(_uri(place, read_only=True))
        try:
            with con.cursor() as cursor:
                cursor.execute(query, (place.parts[1],))
                kinds = {kind for (kind,) in cursor.fetchall()}
        finally:
            con.close()
    if kinds & {"virtual", "shadow"}:
        raise UsageError(
            f"{place.name}: is a virtual table or a part of one, which is not replaced; name "
            "another table"
        )


class DatabaseSink:
    """Writes a table into a database in one transaction, replacing a table of the same name.

    A new database file is written in a private folder and moved to its place when it is complete,
    so that a killed run leaves no partial file.
    """

    def __init__(self, place: Database, schema: pa.Schema, formats: Mapping[str, str]) -> None:
        self._place = place
        self._schema = schema
        self._spell = speller(schema, formats, only_times=True)
        folded = {name.casefold() for name in schema.names}
        if place.scheme != "postgresql" and len(folded) < len(schema.names):
            raise DataError(
                f"{place.name}: the database does not tell apart names that differ only in case; "
                "rename a column, or write a file"
            )
        self._first = True
        self._new_file: Path | None = None
        self._exit_stack = ExitStack()
        if place.scheme != "postgresql" and not Path(place.address).exists():
            path = Path(place.address).resolve()
            # DuckDB writes nothing in a folder whose name contains a question mark.
            plain = path.with_name(path.name.replace("?", "_"))
            folder = self._exit_stack.enter_context(beside(plain))
            self._new_file = folder / Path(place.address).name
        try:
            with _translated_errors(place):
                self._con = self._connected()
        except BaseException:
            self._exit_stack.close()
            raise

    def _connected(self) -> Any:
        target = self._place
        if self._new_file is not None:
            target = replace(target, address=str(self._new_file))
        if target.scheme == "duckdb":
            con = open_file(_file(target), read_only=False, beside=target.beside)
            con.begin()
            return con
        con = driver(target).connect(_uri(target, read_only=False))
        if target.scheme == "sqlite":
            with con.cursor() as cursor:
                cursor.execute(_UNTRUSTED)
        return con

    def write(self, table: pa.Table) -> None:
        """Add rows."""
        table = table.cast(self._schema)
        with _translated_errors(self._place):
            if self._place.scheme == "duckdb":
                self._write_duckdb(table)
            else:
                self._write_adbc(table)
        self._first = False

    def _write_duckdb(self, table: pa.Table) -> None:
        name = self._place.quoted
        create = f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM privsynth_rows"  # noqa: S608
        append = f"INSERT INTO {name} SELECT * FROM privsynth_rows"  # noqa: S608
        self._con.register("privsynth_rows", table)
        self._con.execute(create if self._first else append)
        self._con.unregister("privsynth_rows")

    def _write_adbc(self, table: pa.Table) -> None:
        schema, name = self._place.parts
        if self._place.scheme == "sqlite":
            # The driver for SQLite has no schemas, and the database stores only numbers and text.
            schema = "" if schema.lower() == "main" else schema
            table = _for_sqlite(self._spell(table).rename_columns(table.column_names))
        mode = "replace" if self._first else "append"
        with self._con.cursor() as cursor:
            cursor.adbc_ingest(name, table, mode=mode, db_schema_name=schema or None)

    def finish(self) -> None:
        """Commit, and move a new file to its place."""
        if self._first:
            self.write(self._schema.empty_table())
        try:
            with _translated_errors(self._place):
                self._con.commit()
                if self._new_file is not None and self._place.scheme == "duckdb":
                    self._con.execute("CHECKPOINT")  # otherwise rows may be in a second file
                self._con.close()
            if self._new_file is not None:
                put_new(self._new_file, Path(self._place.address).resolve())
        except BaseException:
            with suppress(Exception):  # the first error is the one to report
                self.abort()
            raise
        self._exit_stack.close()

    def abort(self) -> None:
        """Roll back, leaving the database unchanged."""
        try:
            with suppress(duckdb.TransactionException):  # a failed commit ends the transaction
                self._con.rollback()
            self._con.close()
        finally:
            self._exit_stack.close()


def _for_sqlite(table: pa.Table) -> pa.Table:
    """Return a table without dictionaries, its decimals as text."""
    columns = [
        column.cast(pa.string()) if pa.types.is_decimal(column.type) else decoded(column)
        for column in table.columns
    ]
    return pa.table(columns, names=table.column_names)


def tables_behind(place: Database) -> list[list[str]]:
    """List the tables that a table or view of a DuckDB or SQLite file reads.

    Returns
    -------
    list of list of str
        The parts of each name; empty if the view cannot be read, since reading it reports why.
    """
    query = f"SELECT * FROM {place.quoted}"  # noqa: S608
    with suppress(duckdb.Error, sqlite3.Error, StorageError):
        _check_file(place)
        if place.scheme == "duckdb":
            with closing(open_file(_file(place), read_only=True)) as con:
                names = con.get_table_names(query, qualified=True)
            return [[a.replace('""', '"') or b for a, b in _PART.findall(name)] for name in names]
        return _tables_of_sqlite(place, query)
    return []


def _tables_of_sqlite(place: Database, query: str) -> list[list[str]]:
    names: list[list[str]] = []

    def record(action: int, table: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_READ and table:
            names.append([table])
        return sqlite3.SQLITE_OK

    with closing(sqlite3.connect(_uri(place, read_only=True), uri=True)) as con:
        con.execute(_UNTRUSTED)
        con.set_authorizer(record)
        con.execute(f"EXPLAIN {query}").close()
    return names


def relations(place: Database) -> set[tuple[str, str, str]]:
    """List the table that a PostgreSQL URL names, with its partitions or the tables of its view.

    Returns
    -------
    set of tuple of str
        Server, database and table as the server numbers them, so that they are the same for every
        route to the server. Empty if the server does not answer, since reading it reports why.
    """
    with (
        suppress(StorageError),
        _translated_errors(place),
        closing(driver(place).connect(_uri(place, read_only=True))) as con,
        con.cursor() as cursor,
    ):
        for setting in _READ_ONLY[place.scheme]:
            cursor.execute(setting)
        cursor.execute(_RELATIONS.format(place.quoted.replace("'", "''")))
        return {tuple(row) for row in cursor.fetchall()}
    return set()


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
    return f"{_file(place).as_uri()}?mode={'ro' if read_only else 'rwc'}"


def _file(place: Database) -> Path:
    """Return the path of a database that is a file."""
    if place.path is None:
        raise StorageError(f"{place.name}: is not a database file")
    return place.path


def _check_file(place: Database) -> None:
    if not _file(place).is_file():
        raise StorageError(f"{place.name}: no such database file; check the path")


def _check_table(place: Database, tables: list[str]) -> None:
    name = place.parts[1]
    if name not in tables:
        raise DataError(f"{place.name}: no table {name!r}{did_you_mean(name, tables)}")


@contextmanager
def _translated_errors(place: Database, module: Any = None) -> Iterator[None]:
    """Replace a database's errors, which may quote values, by one line."""
    # In mid-stream, Arrow raises the database's errors, some of them as an OSError.
    errors: tuple[type[Exception], ...] = (duckdb.Error, pa.ArrowException, OSError)
    if place.scheme != "duckdb":
        errors += ((module or driver(place)).Error,)
    try:
        yield
    except PrivsynthError:
        raise
    except (MemoryError, duckdb.OutOfMemoryException):
        raise MachineError(f"{place.name}: memory ran out; free some") from None
    except errors as error:
        raise _translated(place, error) from None


def _translated(place: Database, error: Exception) -> PrivsynthError:
    message = str(error)
    if any(sign in message for sign in ("No space left", "disk is full")):
        return MachineError(f"{place.name}: the disk is full; free space, or choose another disk")
    if isinstance(error, duckdb.PermissionException) or any(
        sign in message for sign in _OUTSIDE_ERRORS
    ):
        return DataError(
            f"{place.name}: is a view that reads outside the database or writes to it, which "
            "privsynth does not allow; copy its rows into a table"
        )
    if any(sign in message for sign in _VIEW_ERRORS):
        return UsageError(f"{place.name}: is a view, which is not replaced; name another table")
    return StorageError(
        f"{place.name}: the database refused; check its path, that no other program holds "
        "it open, and that you may use the table"
    )
