"""Read a table, wherever it lies."""

from __future__ import annotations

import glob
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from privsynth.errors import DataError, StorageError
from privsynth.table.bytestream import TextFile, check_encoding
from privsynth.table.places import database, kind_of, reading
from privsynth.table.relation import Table, in_memory
from privsynth.table.storage import clean, storage_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from privsynth.table.places import Database

__all__ = ["read"]

MOST_HELD = 4_000_000
"""The most cells of a table that is read into memory at once."""


def read(
    data: Any,
    *,
    encoding: str = "utf-8",
    total: bool = False,
    columns: Sequence[str] | None = None,
) -> Table:
    """Read a table, its rows in their file order.

    Parameters
    ----------
    data : str, Path or frame
        A file (CSV, TSV, JSON lines, each also as ``.gz``; Parquet; Arrow, Feather), a glob or
        folder of Parquet, ``duckdb:///f.db::table``, ``sqlite:///f.db::table``,
        ``postgresql://user@host/db::table``, or ``-`` for CSV on standard input; or a pandas,
        polars or Arrow frame, or a DuckDB relation.
    encoding : str
        How the characters of a text file are stored: a Python codec.
    total : bool
        Learn nothing from the rows: all columns of text files, of SQLite and of Python objects
        stay text, other columns keep the types that they are stored in, infinite values stay,
        and a table may be without rows. Nothing is refused for what a row holds; what of a text
        file no row decides, such as its header, may be wrong all the same.
    columns : sequence of str, optional
        With `total`, the columns of JSON lines: those that a schema declares.

    Returns
    -------
    Table
        NaN is null and, unless `total`, no value is infinite. In text files a column has a type
        only where every value spells it; an empty field is null, and so are NA, NaN, null and
        their like among numbers, booleans and times. In a column of text they are values.

    Raises
    ------
    DataError
        The table is damaged, has no rows, or holds what no column may.
    StorageError
        The file cannot be read.
    UsageError
        The suffix or encoding is not known, or `data` is no table.
    MissingExtraError
        The database's driver is not installed.
    """
    check_encoding(encoding)
    table = _read(data, encoding, total, columns)
    if not table.n_rows and not total:
        raise DataError(f"{table.name}: has no rows; at least one is wanted")
    if table.n_rows * len(table.schema) <= MOST_HELD:
        # Columns are counted one by one: a small file is cheaper to keep than to read so often.
        table = table.held()
    if not total:
        _refuse_infinite(table)
    return table


def _read(data: Any, encoding: str, total: bool, columns: Sequence[str] | None) -> Table:
    if isinstance(data, Table):
        return data
    if not isinstance(data, str | Path):
        return _from_frame(data, total)
    place = database(data) if isinstance(data, str) else None
    if place is not None:
        return _from_database(place, total)
    name = str(data)
    if name == "-":
        held = io.BytesIO(sys.stdin.buffer.read())
        return _from_text(TextFile(held, "standard input", encoding), "csv", total)
    path = Path(data)
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*.parquet")
            if not any(part.startswith(("_", ".")) for part in file.relative_to(path).parts)
        )
        return _from_parquet(files, name, path, total=total)
    if not path.exists():
        if glob.has_magic(name):
            found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - it may be absolute
            return _from_parquet([Path(file) for file in found], name, total=total)
        raise StorageError(f"{name}: no such file; check the path")
    kind = kind_of(path)
    if kind == "parquet":
        return _from_parquet([path], name, total=total)
    if kind == "arrow":
        return _from_arrow_file(path, name, total)
    return _from_text(TextFile(path, name, encoding), kind, total, columns)


def _from_frame(data: Any, total: bool) -> Table:
    from privsynth.table.frames import NAME, from_frame

    with reading(NAME, "a frame"):
        table, frame = from_frame(data, total)
        return _held(table, NAME, frame, total=total)


def _from_database(place: Database, total: bool) -> Table:
    from privsynth.table.databases import read_adbc, read_duckdb

    if place.scheme == "duckdb":
        schema, n_rows, scan = read_duckdb(place)
        return Table(place.name, schema, n_rows, scan)
    table, formats = read_adbc(place, total)
    return _held(table, place.name, formats=formats, total=total)


def _from_text(
    file: TextFile, kind: str, total: bool, columns: Sequence[str] | None = None
) -> Table:
    from privsynth.table.delimited import read_delimited
    from privsynth.table.jsonlines import read_json_lines, read_json_texts

    if kind == "jsonl" and total:
        return read_json_texts(file, columns)
    if kind == "jsonl":
        table, formats = read_json_lines(file)
        return _held(table, file.name, formats=formats)
    return read_delimited(file, "\t" if kind == "tsv" else None, total)


def _from_parquet(
    files: list[Path], name: str, folder: Path | None = None, total: bool = False
) -> Table:
    """Open Parquet files as one table; folders named ``column=value`` give a column.

    It is one of text where the reading is `total`: a type would rest on all folders' values.
    """
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    if not files:
        raise StorageError(f"{name}: no Parquet files there; name files that end in .parquet")
    for file in files:
        if kind_of(file) != "parquet":
            raise DataError(f"{name}: {file.name} is no Parquet file; a glob takes Parquet alone")
    with reading(name, "Parquet"):
        first = None
        for file in files:
            with reading(str(file), "Parquet"):
                schema = storage_schema(pq.read_schema(file), str(file))
            first = first or schema
            if schema != first:
                raise DataError(
                    f"{file}: has other columns or types than {files[0]}; give all files the same"
                )
        # Such a file codes its texts already: to spell every one out would cost most of the time.
        texts = [entry.name for entry in first or () if pa.types.is_string(entry.type)]
        dataset = ds.dataset(
            [str(file) for file in files],
            format=ds.ParquetFileFormat(dictionary_columns=texts),
            partitioning=_texts_of_folders(files, folder)
            if folder and total
            else "hive"
            if folder
            else None,
            partition_base_dir=str(folder) if folder else None,
        )
        return _from_dataset(dataset, name, texts, total)


def _texts_of_folders(files: list[Path], folder: Path) -> Any:
    import pyarrow as pa
    import pyarrow.dataset as ds

    parts = [part for file in files for part in file.relative_to(folder).parts[:-1] if "=" in part]
    names = dict.fromkeys(part.partition("=")[0] for part in parts)
    return ds.partitioning(pa.schema([(name, pa.string()) for name in names]), flavor="hive")


def _from_arrow_file(path: Path, name: str, total: bool) -> Table:
    import pyarrow as pa
    import pyarrow.dataset as ds

    with reading(name, "Arrow or Feather"):
        try:
            return _from_dataset(ds.dataset(str(path), format="ipc"), name, total=total)
        except pa.ArrowInvalid:
            with pa.OSFile(str(path)) as raw:
                return _held(pa.ipc.open_stream(raw).read_all(), name, total=total)


def _from_dataset(dataset: Any, name: str, texts: Sequence[str] = (), total: bool = False) -> Table:
    """Give a dataset's rows; columns of `texts` may be dictionary arrays there."""
    import pyarrow as pa

    schema = pa.schema(
        [
            (entry.name, pa.string()) if entry.name in texts else entry
            for entry in storage_schema(dataset.schema, name)
        ]
    )

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        chosen = pa.schema([schema.field(column) for column in columns])
        with reading(name):
            for batch in dataset.to_batches(columns=columns):
                yield clean(batch, chosen, total=total)

    return Table(name, schema, dataset.count_rows(), scan)


def _held(
    table: pa.Table,
    name: str,
    frame: str = "pandas",
    formats: dict[str, str] | None = None,
    *,
    total: bool = False,
) -> Table:
    rows = clean(table, storage_schema(table.schema, name), total=total)
    return in_memory(rows, name, frame, formats)


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
