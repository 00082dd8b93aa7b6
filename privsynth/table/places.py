"""Locations of tables: files by suffix, databases by URL, and their errors."""

from __future__ import annotations

import glob
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from privsynth.errors import (
    DataError,
    MachineError,
    PrivsynthError,
    StorageError,
    UsageError,
    did_you_mean,
)
from privsynth.files import failure
from privsynth.redaction import printable
from privsynth.table.sql import identifier

__all__ = [
    "SUFFIXES",
    "Database",
    "database",
    "escape_folders",
    "folder_files",
    "glob_files",
    "in_table",
    "kind_of",
    "reading",
    "storing",
]

SUFFIXES = {
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "tsv",
    ".tsv.gz": "tsv",
    ".parquet": "parquet",
    ".feather": "arrow",
    ".arrow": "arrow",
    ".ipc": "arrow",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
}
"""The known suffixes and their kinds of file."""

_URL = re.compile(r"(duckdb|sqlite|postgresql|postgres)://(.*)", re.DOTALL | re.IGNORECASE)
_ALLOCATION = re.compile(r"alloc of size (\d+) failed")
MAX_ALLOCATION = 1 << 34
"""Bytes above which a single allocation of Arrow means that the file is damaged."""


@dataclass(frozen=True)
class Database:
    """A table in a database.

    Parameters
    ----------
    scheme : {"duckdb", "sqlite", "postgresql"}
    address : str
        The path of the file; for PostgreSQL the URI with its password.
    table : str
        The table's name; ``schema.table`` is split at the first point.
    name : str
        The name in messages: the URL without its password.
    """

    scheme: str
    address: str = field(repr=False)
    table: str
    name: str

    @property
    def path(self) -> Path | None:
        """The database file, links followed; None for a server."""
        if self.scheme == "postgresql":
            return None
        return Path(os.path.realpath(self.address))

    @property
    def beside(self) -> list[Path]:
        """The files that the database keeps beside its own while writing."""
        if self.path is None:
            return []
        name = str(self.path)
        if self.scheme == "sqlite":
            return [Path(name + ending) for ending in ("-journal", "-wal", "-shm")]
        # DuckDB takes what follows a question mark as the query of a URL.
        before, mark, after = name.partition("?")
        endings = (".wal", ".wal.checkpoint", ".wal.recovery")
        return [Path(f"{before}{ending}{mark}{after}") for ending in endings]

    @property
    def parts(self) -> tuple[str, str]:
        """The schema, empty if none is named, and the table's name."""
        schema, point, name = self.table.partition(".")
        return (schema, name) if point else ("", schema)

    @property
    def quoted(self) -> str:
        """The table's name as an SQL identifier."""
        return ".".join(identifier(part) for part in self.parts if part)


def database(place: str) -> Database | None:
    """Parse a URL such as ``duckdb:///folder/f.db::loans``; return None for other text.

    After three slashes the path is relative to the working folder, after four it is absolute.

    Raises
    ------
    UsageError
        The URL names no table.
    """
    match = _URL.fullmatch(place)
    if match is None:
        return None
    name = printable(place)
    scheme = "postgresql" if match[1].lower() == "postgres" else match[1].lower()
    address, _, table = match[2].rpartition("::")
    if not address or "" in table.split("."):
        raise UsageError(f"{name}: names no table; end the URL with ::TABLE or ::SCHEMA.TABLE")
    if scheme == "postgresql":
        return Database(scheme, f"{scheme}://{address}", table, name)
    return Database(scheme, address.removeprefix("/"), table, name)


def folder_files(folder: Path) -> list[Path]:
    """List the Parquet files of a folder, which form one table; hidden files are skipped."""
    return sorted(file for file in folder.rglob("*.parquet") if in_table(file, folder))


def in_table(file: Path, folder: Path) -> bool:
    """Return whether a file in `folder`, existing or not, belongs to the folder's table."""
    parts = file.relative_to(folder).parts
    return file.suffix == ".parquet" and not any(part.startswith(("_", ".")) for part in parts)


def glob_files(pattern: str) -> list[Path]:
    """List the files that match a glob."""
    return [Path(file) for file in sorted(glob.glob(escape_folders(pattern), recursive=True))]  # noqa: PTH207


def escape_folders(pattern: str) -> str:
    """Escape the leading folders of a glob that exist under that exact name."""
    parts = Path(pattern).parts
    for end in range(len(parts) - 1, 0, -1):
        head = Path(*parts[:end])
        if head.exists():
            return str(Path(glob.escape(str(head)), *parts[end:]))
    return pattern


def kind_of(path: str | Path) -> str:
    """Return the kind of file of a path's suffix.

    Raises
    ------
    UsageError
        The suffix is not known.
    """
    lowered = Path(path).name.lower()
    for suffix, kind in SUFFIXES.items():
        if lowered.endswith(suffix):
            return kind
    given = "".join(Path(lowered).suffixes[-2:]) or "no suffix"
    raise UsageError(f"{path}: {given} is not a known suffix{did_you_mean(given, SUFFIXES)}")


@contextmanager
def reading(name: str, what: str = "the kind of table its name says") -> Iterator[None]:
    """Replace errors of libraries while `name` is read by one line that quotes no value."""
    import duckdb
    import pyarrow as pa

    damaged = f"{name}: is damaged or is not {what}; write the file again"
    try:
        yield
    except PrivsynthError:
        raise
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        allocation = _ALLOCATION.search(str(error))
        if allocation and int(allocation[1]) > MAX_ALLOCATION:
            raise DataError(damaged) from None
        raise MachineError(f"{name}: memory ran out; free some, or read fewer rows") from None
    except (pa.ArrowException, EOFError, zlib.error, UnicodeError):
        raise DataError(damaged) from None
    except OSError as error:
        if error.errno is None:
            raise DataError(damaged) from None
        raise StorageError(f"{name}: cannot be read ({_reason(error)}); check the path") from None


@contextmanager
def storing(name: str) -> Iterator[None]:
    """Replace errors of libraries while `name` is written by one line that quotes no value."""
    name = "standard output" if name == "-" else name
    try:
        yield
    except (PrivsynthError, BrokenPipeError):
        raise
    except MemoryError:
        raise MachineError(f"{name}: memory ran out; free some, or write fewer rows") from None
    except OSError as error:
        raise failure(name, error) from None


def _reason(error: OSError) -> str:
    return (error.strerror or "input or output error").lower()
