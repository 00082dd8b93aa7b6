"""Reading a table from a file, folder, database, standard input or frame."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.errors import DataError, StorageError
from privsynth.table.bytestream import TextFile, check_encoding
from privsynth.table.fingerprint import Fingerprint
from privsynth.table.limits import PIPED, refuse_bomb, refuse_rows
from privsynth.table.places import database, folder_files, glob_files, kind_of, reading
from privsynth.table.relation import Scan, Table, in_memory
from privsynth.table.storage import (
    clean,
    clean_batches,
    decoded,
    is_text,
    storage_schema,
    subschema,
)

if TYPE_CHECKING:
    import pyarrow as pa

    from privsynth.table.places import Database

__all__ = ["read"]

LONG_TEXT = 1 << 8
"""Bytes above which a repeated text could make a table far larger than its file."""
MAX_CELLS_IN_MEMORY = 4_000_000
"""Maximum cells of a table that is read into memory at once."""


def read(
    data: Any,
    *,
    encoding: str = "utf-8",
    total: bool = False,
    escape: bool = True,
    columns: Sequence[str] | None = None,
    texts: Collection[str] = (),
) -> Table:
    """Read a table, its rows in the order of the file.

    Parameters
    ----------
    data : str, Path or frame
        A file (CSV, TSV, JSON lines, each also as ``.gz``; Parquet; Arrow, Feather), a glob or
        folder of Parquet, ``duckdb:///f.db::table``, ``sqlite:///f.db::table``,
        ``postgresql://user@host/db::table``, or ``-`` for CSV on standard input; or a pandas,
        polars or Arrow frame, or a DuckDB relation.
    encoding : str
        The encoding of a text file: a Python codec.
    total : bool
        Learn nothing from the rows: all columns of text files, of SQLite and of Python objects
        stay text, other columns keep their stored types, infinite values stay, and a table may
        have no rows. No row is refused because of its content. What rows do not decide, such as
        the header of a text file, may still be refused.
    escape : bool
        Remove the ``'`` that `open_writer` puts before cells and names of CSV and TSV files that
        a spreadsheet would run as formulas.
    columns : sequence of str, optional
        With `total`, the columns of JSON lines, as declared by a schema.
    texts : collection of str
        Columns of text files and of SQLite that stay text even if they spell another type, so
        that two tables can be read alike.

    Returns
    -------
    Table
        NaN is null and, unless `total`, no value is infinite. In text files a column has a type
        only if every value spells it. An empty field is null; NA, NaN, null and the like are null
        among numbers, booleans and times, but values in a column of text.

    Raises
    ------
    DataError
        The table is damaged, has no rows, or contains values that no column may have.
    StorageError
        The file cannot be read.
    UsageError
        The suffix or encoding is not known, or `data` is not a table.
    MissingExtraError
        The database's driver is not installed.
    """
    check_encoding(encoding)
    table = _read(data, _Options(encoding, total, escape, columns, texts))
    if not table.n_rows and not total:
        raise DataError(f"{table.name}: has no rows; expected at least one")
    if table.n_rows * len(table.schema) <= MAX_CELLS_IN_MEMORY:
        # Columns are counted one by one, so keeping a small file is cheaper than rereading it.
        table = table.loaded()
    if not total:
        _refuse_infinite(table)
    return table


@dataclass(frozen=True)
class _Options:
    """The parameters of `read`."""

    encoding: str
    total: bool
    escape: bool
    columns: Sequence[str] | None
    texts: Collection[str]


def _read(data: Any, options: _Options) -> Table:
    if isinstance(data, Table):
        return data
    if not isinstance(data, str | Path):
        return _from_frame(data, options.total)
    place = database(data) if isinstance(data, str) else None
    if place is not None:
        return _from_database(place, options)
    name = str(data)
    if name == "-":
        return _from_text(TextFile(_piped(), "standard input", options.encoding), "csv", options)
    path = Path(data)
    if path.is_dir():
        return _from_parquet(folder_files(path), name, path, total=options.total)
    if not path.exists():
        if glob.has_magic(name):
            return _from_parquet(glob_files(name), name, total=options.total)
        raise StorageError(f"{name}: no such file; check the path")
    kind = kind_of(path)
    if kind == "parquet":
        return _from_parquet([path], name, total=options.total)
    if kind == "arrow":
        return _from_arrow_file(path, name, options.total)
    return _from_text(TextFile(path, name, options.encoding), kind, options)


def _piped() -> io.BytesIO:
    """Read standard input, which cannot be read twice, into memory."""
    content = io.BytesIO()
    while chunk := sys.stdin.buffer.read(1 << 20):
        content.write(chunk)
        if content.tell() > PIPED:
            raise DataError(
                f"standard input: is longer than {PIPED >> 20} MiB; write it to a file, and give "
                "its path"
            )
    return content


def _from_frame(data: Any, total: bool) -> Table:
    from privsynth.table.frames import NAME, from_frame

    with reading(NAME, "a frame"):
        table, frame = from_frame(data, total)
        return _cleaned_table(table, NAME, frame, total=total)


def _from_database(place: Database, options: _Options) -> Table:
    from privsynth.table.databases import read_adbc, read_duckdb

    total = options.total
    if place.scheme == "postgresql":
        table, formats = read_adbc(place, total)
        return _cleaned_table(table, place.name, formats=formats, total=total)
    # The latest rows may be in a file beside the database.
    endings = ("", ".wal") if place.scheme == "duckdb" else ("", "-wal")
    files = [Path(place.address + ending) for ending in endings]
    with reading(place.name, "a database"):
        fingerprint = Fingerprint.of(file for file in files if file.is_file())
        with fingerprint.unchanged():
            if place.scheme == "sqlite":
                table, formats = read_adbc(place, total, options.texts)
                return _cleaned_table(table, place.name, formats=formats, total=total)
            schema, n_rows, scan = read_duckdb(place, total)
            refuse_rows(place.name, n_rows, len(schema), files[0].stat().st_size)
    return Table(place.name, schema, n_rows, _watched(scan, fingerprint, place.name, "a database"))


def _from_text(file: TextFile, kind: str, options: _Options) -> Table:
    from privsynth.table.delimited import read_delimited
    from privsynth.table.jsonlines import read_json_lines, read_json_texts

    if kind == "jsonl" and options.total:
        return read_json_texts(file, options.columns)
    if kind == "jsonl":
        table, formats = read_json_lines(file, options.texts)
        return _cleaned_table(table, file.name, formats=formats, total=False)
    delimiter = "\t" if kind == "tsv" else None
    return read_delimited(
        file, delimiter, options.total, escape=options.escape, texts=options.texts
    )


def _from_parquet(
    files: list[Path], name: str, folder: Path | None = None, *, total: bool
) -> Table:
    """Open Parquet files as one table; folders named ``column=value`` add a column.

    With `total` that column is text, since its type would depend on the values of all folders. So
    is a column whose types differ between files: a missing value in one is enough for pandas to
    store integers as floats.
    """
    import pyarrow as pa

    if not files:
        raise StorageError(f"{name}: no Parquet files there; name files that end in .parquet")
    for file in files:
        if kind_of(file) != "parquet":
            raise DataError(
                f"{name}: {file.name} is not a Parquet file; a glob may match only Parquet files"
            )
    with reading(name, "Parquet"):
        fingerprint = _fingerprint(files)
        with fingerprint.unchanged():
            schemas = _file_schemas(files)
            if total and _only_types_differ(schemas):
                parts = [_from_parquet([file], name, folder, total=True) for file in files]
                return _as_one_table(parts, files, name)
            shared = _shared_schema(files, schemas)
            # Parquet encodes text by dictionaries; decoding it would take most of the time.
            texts = [entry.name for entry in shared if is_text(entry.type)]
            dataset = _dataset(files, folder, texts, total)
            dataset = dataset.replace_schema(_filled(dataset.schema, shared, texts))
            n_rows = dataset.count_rows()
            size = sum(file.stat().st_size for file in files)
            refuse_rows(name, n_rows, len(dataset.schema), size)
    schema = pa.schema(
        [
            (entry.name, pa.string()) if entry.name in texts else entry
            for entry in storage_schema(dataset.schema, name)
        ]
    )

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        batches = dataset.to_batches(columns=columns)
        decoded_size = 0
        for batch in clean_batches(batches, subschema(schema, columns), name, total=total):
            decoded_size += _long_text_bytes(batch)
            refuse_bomb(name, decoded_size, size)
            yield batch

    return Table(name, schema, n_rows, _watched(scan, fingerprint, name, "Parquet"))


def _file_schemas(files: list[Path]) -> list[pa.Schema]:
    """Return the schema of each file.

    Raises
    ------
    DataError
        A file unpacks to far more than its size.
    """
    import pyarrow.parquet as pq

    schemas = []
    for file in files:
        with reading(str(file), "Parquet"):
            metadata = pq.read_metadata(file)
            schemas.append(metadata.schema.to_arrow_schema().remove_metadata())
            groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
            unpacked = sum(group.total_byte_size for group in groups)
            refuse_bomb(str(file), unpacked, file.stat().st_size)
    return schemas


def _only_types_differ(schemas: list[pa.Schema]) -> bool:
    """Return whether files have the same columns in other types; columns of nulls fit any."""
    import pyarrow as pa

    if any(schema.names != schemas[0].names for schema in schemas):
        return False
    types_of_columns = zip(*(schema.types for schema in schemas), strict=True)
    return any(
        len({kind for kind in types if not pa.types.is_null(kind)}) > 1
        for types in types_of_columns
    )


def _as_one_table(parts: list[Table], files: list[Path], name: str) -> Table:
    """Return the rows of all tables; a column whose types differ is text."""
    import pyarrow as pa

    from privsynth.table.texts import texts as texts_of

    for part, file in zip(parts, files, strict=True):
        if part.schema.names != parts[0].schema.names:
            raise DataError(f"{file}: has other columns than {files[0]}; give all files the same")
    first = parts[0].schema
    alike = [len({part.schema.types[i] for part in parts}) == 1 for i in range(len(first))]
    schema = pa.schema(
        (entry.name, entry.type if same else pa.string())
        for entry, same in zip(first, alike, strict=True)
    )

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        shared = subschema(schema, columns)
        for part in parts:
            stored = subschema(part.schema, columns)
            for batch in part.scan(columns):
                arrays = [
                    column if before.type == after.type else texts_of(decoded(column))
                    for column, before, after in zip(batch.columns, stored, shared, strict=True)
                ]
                yield pa.record_batch(arrays, names=columns)

    return Table(name, schema, sum(part.n_rows for part in parts), scan)


def _shared_schema(files: list[Path], schemas: list[pa.Schema]) -> pa.Schema:
    """Return the schema that files share; a column of nulls in one has the type of the others.

    Raises
    ------
    DataError
        A file has other columns or types than the first.
    """
    import pyarrow as pa

    shared = schemas[0]
    stored = storage_schema(shared, str(files[0]))
    for file, schema in zip(files, schemas, strict=True):
        kinds = storage_schema(schema, str(file)).types
        empty = [pa.types.is_null(entry.type) for entry in schema]
        for i, kind in enumerate(kinds) if schema.names == shared.names else ():
            if pa.types.is_null(shared.types[i]) and not empty[i]:
                shared, stored = shared.set(i, schema[i]), stored.set(i, stored[i].with_type(kind))
        if schema.names != shared.names or any(
            kind != known and not is_empty
            for kind, known, is_empty in zip(kinds, stored.types, empty, strict=True)
        ):
            raise DataError(
                f"{file}: has other columns or types than {files[0]}; give all files the same"
            )
    return shared


def _dataset(files: list[Path], folder: Path | None, texts: list[str], total: bool) -> Any:
    import pyarrow.dataset as ds

    partitioning: Any = None
    if folder is not None:
        partitioning = _text_partitioning(files, folder) if total else "hive"
    return ds.dataset(
        [str(file) for file in files],
        format=ds.ParquetFileFormat(dictionary_columns=texts),
        partitioning=partitioning,
        partition_base_dir=str(folder) if folder else None,
    )


def _long_text_bytes(batch: pa.RecordBatch) -> int:
    """Return the size in bytes of a batch's columns of long texts, once decoded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    size = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and pa.types.is_string(column.type.value_type):
            lengths = pc.binary_length(column.dictionary)
            if (pc.max(lengths).as_py() or 0) > LONG_TEXT:
                size += pc.sum(lengths.cast(pa.int64()).take(column.indices)).as_py() or 0
    return size


def _filled(schema: pa.Schema, shared: pa.Schema, texts: list[str]) -> pa.Schema:
    """Return a schema in which columns of nulls have the type that they have in other files."""
    import pyarrow as pa

    for i, entry in enumerate(schema):
        if pa.types.is_null(entry.type) and entry.name in shared.names:
            coded = pa.dictionary(pa.int32(), pa.string())
            kind = coded if entry.name in texts else shared.field(entry.name).type
            schema = schema.set(i, entry.with_type(kind))
    return schema


def _text_partitioning(files: list[Path], folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    parts = [part for file in files for part in file.relative_to(folder).parts[:-1] if "=" in part]
    names = dict.fromkeys(part.partition("=")[0] for part in parts)
    return ds.partitioning(pa.schema([(name, pa.string()) for name in names]), flavor="hive")


def _from_arrow_file(path: Path, name: str, total: bool) -> Table:
    from privsynth.table.arrowfile import read_arrow

    with reading(name, "Arrow or Feather"):
        fingerprint = _fingerprint([path])
        with fingerprint.unchanged():
            schema, n_rows, scan = read_arrow(path, name, total)
    return Table(name, schema, n_rows, _watched(scan, fingerprint, name, "Arrow or Feather"))


def _fingerprint(files: list[Path]) -> Fingerprint:
    for file in files:
        if not file.is_file():
            raise StorageError(f"{file}: is not a regular file; give one that can be read twice")
    return Fingerprint.of(files)


def _watched(scan: Scan, fingerprint: Fingerprint, name: str, what: str) -> Scan:
    """Return a scan that fails if its files change."""

    def watched(columns: list[str]) -> Iterator[pa.RecordBatch]:
        with fingerprint.unchanged(), reading(name, what):
            yield from scan(columns)

    return watched


def _cleaned_table(
    table: pa.Table,
    name: str,
    frame: str = "pandas",
    formats: dict[str, str] | None = None,
    *,
    total: bool,
) -> Table:
    cleaned = clean(table, storage_schema(table.schema, name), name, total=total)
    return in_memory(cleaned, name, frame, formats)


def _refuse_infinite(table: Table) -> None:
    """Refuse a table with an infinite value, naming the first row that holds one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    floats = [entry.name for entry in table.schema if pa.types.is_floating(entry.type)]
    start = 0
    for batch in table.scan(floats) if floats else ():
        for name, column in zip(floats, batch.columns, strict=True):
            row = pc.index(pc.is_inf(column), True).as_py()
            if row >= 0:
                raise DataError(
                    f"{table.name}, column {name!r}, row {start + row + 1}: holds an infinite "
                    "value; replace it by a number or leave it empty"
                )
        start += batch.num_rows
