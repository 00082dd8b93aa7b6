"""Refusing an output that is also an input, however either is spelled.

Paths are compared by device and inode, so links, hard links, mounts and file systems that ignore
case make no difference. A path that does not exist yet is compared by its nearest existing folder
and the names below it. A folder or glob of Parquet stands for every file that it reads, now or
once the output is written. A table of a database is compared by its file or server and its name;
a view stands for every table that it reads too.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from privsynth.errors import UsageError
from privsynth.redaction import printable
from privsynth.table.places import (
    Database,
    database,
    escape_folders,
    folder_files,
    glob_files,
    in_table,
)
from privsynth.table.servers import same_database

__all__ = ["check_distinct", "only_places"]

Key: TypeAlias = "tuple[int, int, tuple[str, ...]]"
"""Device and inode of the nearest existing path, and the names below it."""


def check_distinct(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
    """Refuse an output that is an input or another output, before any work is done.

    Parameters
    ----------
    inputs, outputs : mapping of str to path, URL or anything else
        By their name in messages. Values that name no place, such as a frame or None, are
        ignored. An output that is a folder is taken to be replaced as a whole.

    Raises
    ------
    UsageError
        Two of them are the same place; an output is a file of an input's folder or glob, or will
        be once it is written; a folder to be replaced contains an input; or an output is a table
        that an input reads through a view.
    """
    written = {
        name: place for name, value in outputs.items() if (place := _place(value, sys.stdout))
    }
    if not written:
        return
    sources = {name: place for name, value in inputs.items() if (place := _place(value, sys.stdin))}
    for out, place in written.items():
        for name, source in sources.items():
            fault = _fault(source, name, place, out)
            if fault is not None:
                raise UsageError(f"{place.name}: {fault}; name another place for {out}")
    for (first, one), (second, other) in combinations(written.items(), 2):
        if _is_same(one, other):
            raise UsageError(
                f"{other.name}: is given as {first} and as {second}; "
                f"name another place for {second}"
            )


def only_places(values: Mapping[str, Any]) -> dict[str, str | Path]:
    """Keep only paths and URLs, so that remembering them keeps no frame of real rows alive.

    Of an Arrow dataset the paths of its files are kept.
    """
    places: dict[str, str | Path] = {}
    for name, value in values.items():
        if isinstance(value, str | Path):
            places[name] = value
        elif _is_dataset(value):
            places |= {f"{name}, file {i}": str(file) for i, file in enumerate(value.files, 1)}
    return places


@dataclass(frozen=True)
class _Place:
    """An input or output, and the files behind it.

    Parameters
    ----------
    name : str
        The name in messages.
    files : tuple of Path
        The files that are read or written, the named one first.
    key : tuple, optional
        The key of the named file; None for a server or a pipe.
    database : Database, optional
    takes_in : callable
        Whether a file at a path, once it exists, would be read as a part of this place.
    """

    name: str
    files: tuple[Path, ...] = ()
    key: Key | None = None
    database: Database | None = None
    takes_in: Callable[[Path], bool] = lambda _: False

    @property
    def keys(self) -> set[Key]:
        return {_key(file) for file in self.files}


def _is_dataset(value: Any) -> bool:
    """Return whether a value is an Arrow dataset of files."""
    return type(value).__module__.startswith("pyarrow") and isinstance(
        getattr(value, "files", None), list
    )


def _place(value: Any, stream: Any) -> _Place | None:
    if _is_dataset(value):
        return _Place("the dataset", tuple(map(Path, value.files)))
    if not isinstance(value, str | Path) or str(value) == "":
        return None
    if str(value) == "-":
        return _Place("-", key=_stream_key(stream))
    name = printable(value)
    table = database(value) if isinstance(value, str) else None
    if table is not None:
        if table.path is None:
            return _Place(name, database=table)
        return _Place(name, (table.path, *table.beside), _key(table.path), table)
    path = Path(value)
    if path.is_dir():
        files = (path, *folder_files(path))
        return _Place(name, files, _key(path), takes_in=lambda out: _in_folder(out, path))
    if glob.has_magic(str(value)) and not path.exists():
        pattern = escape_folders(str(value))
        files = tuple(glob_files(str(value)))
        return _Place(name, files, takes_in=lambda out: _in_glob(out, pattern))
    return _Place(name, (path,), _key(path))


def _fault(source: _Place, name: str, place: _Place, out: str) -> str | None:
    """Return how writing an output would damage an input; None if it would not."""
    if _is_same(source, place):
        return f"is given as {name} and as {out}"
    if source.database is not None and place.database is not None:
        reads = _reads_through_view(source.database, place.database)
        return f"is one of the tables that {name} reads" if reads else None
    if place.key in source.keys:
        return f"is one of the files behind {name}"
    target = place.files[0] if place.files else None
    if target is not None and source.takes_in(target):
        return f"would be read as a part of {name} from then on"
    if target is not None and target.is_dir() and _holds(place.key, source.files):
        return f"is to be replaced, and holds {name}"
    return None


def _is_same(one: _Place, other: _Place) -> bool:
    if one.database is not None and other.database is not None:
        return _is_same_table(one.database, other.database)
    if one.key is None or other.key is None:
        return False
    # The files beside a database are part of it.
    return one.key == other.key or (
        (one.database is not None and other.key in one.keys)
        or (other.database is not None and one.key in other.keys)
    )


# ---------------------------------------------------------------------------- paths


def _key(path: Path) -> Key:
    nearest = Path(os.path.realpath(path))
    missing: list[str] = []
    while True:
        try:
            status = nearest.stat()
        except (OSError, ValueError):
            if nearest == nearest.parent:
                return -1, -1, tuple(missing)
            missing.insert(0, nearest.name)
            nearest = nearest.parent
        else:
            break
    if missing and _ignores_case(nearest):
        missing = [unicodedata.normalize("NFC", name).casefold() for name in missing]
    return status.st_dev, status.st_ino, tuple(missing)


def _ignores_case(folder: Path) -> bool:
    swapped = folder.with_name(folder.name.swapcase()) if folder.name else folder
    with suppress(OSError):
        return swapped != folder and swapped.samefile(folder)
    return False


def _stream_key(stream: Any) -> Key | None:
    """Return the key of the file to which standard input or output is redirected, if any."""
    with suppress(OSError, ValueError, AttributeError):
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode):
            return status.st_dev, status.st_ino, ()
    return None


def _spellings(path: Path) -> tuple[Path, Path]:
    """Return a path with all links resolved, and with only those of its folder resolved."""
    return Path(os.path.realpath(path)), Path(os.path.realpath(path.parent), path.name)


def _in_folder(out: Path, folder: Path) -> bool:
    key = _key(folder)
    return any(
        in_table(spelled, parent)
        for spelled in _spellings(out)
        for parent in spelled.parents
        if _key(parent) == key
    )


def _in_glob(out: Path, pattern: str) -> bool:
    head, tail = os.path.split(pattern)
    if tail == "**":
        head, tail = pattern, "*"
    folders = glob.glob(head, recursive=True) if head else ["."]  # noqa: PTH207
    keys = {_key(Path(folder)) for folder in folders}
    return any(
        fnmatch.fnmatchcase(spelled.name, tail)
        and spelled.name.startswith(".") <= tail.startswith(".")
        and _key(spelled.parent) in keys
        for spelled in _spellings(out)
    )


def _holds(folder: Key | None, files: tuple[Path, ...]) -> bool:
    return any(
        _key(parent) == folder
        for file in files
        for spelled in _spellings(file)
        for parent in spelled.parents
    )


# ---------------------------------------------------------------------------- databases


def _is_same_table(one: Database, other: Database) -> bool:
    if one.path is None and other.path is None:
        return same_database(one, other) and _server_table(one) == _server_table(other)
    if one.path is None or other.path is None or _key(one.path) != _key(other.path):
        return False
    return one.scheme != other.scheme or _file_table(one) == _file_table(other)


def _server_table(place: Database) -> tuple[str, str]:
    schema, name = place.parts
    return schema or "public", name


def _file_table(place: Database) -> tuple[str, ...]:
    return _without_defaults(place, [part.strip('"') for part in place.parts])


def _without_defaults(place: Database, parts: list[str]) -> tuple[str, ...]:
    """Normalize a name as SQLite and DuckDB do: ``T``, ``main.t`` and ``f.t`` become ``t``."""
    # DuckDB calls a database by its file's name up to the first point.
    catalog = place.path.name.partition(".")[0].casefold() if place.path else ""
    defaults = {"", "main", catalog, f"{catalog}_db"}
    folded = [part.casefold() for part in parts]
    return (*(part for part in folded[:-1] if part not in defaults), folded[-1])


def _reads_through_view(source: Database, out: Database) -> bool:
    """Return whether an output is a table that an input reads as a view or partitioned table."""
    if source.path is None and out.path is None:
        from privsynth.table.databases import relations

        return bool(relations(source) & relations(out))
    if source.path is None or out.path is None or _key(source.path) != _key(out.path):
        return False
    from privsynth.table.databases import tables_behind

    tables = {_without_defaults(source, parts) for parts in tables_behind(source)}
    return _file_table(out) in tables
