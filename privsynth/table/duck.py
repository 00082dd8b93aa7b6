"""Locked DuckDB connections, which access no file except the database that they open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from privsynth.errors import StorageError
from privsynth.table.sql import literal

__all__ = ["connect", "open_file"]

_CONFIG: dict[str, Any] = {
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "temp_directory": "",
}
# A view may name a file, a URL or a Python variable. Once locked, no SQL can change these settings.
_LOCK = """
SET enable_progress_bar = false;
SET GLOBAL TimeZone = 'UTC';
SET python_enable_replacements = false;
SET enable_external_access = false;
SET lock_configuration = true;
"""


def connect(*, ordered: bool = False) -> Any:
    """Open a DuckDB database in memory.

    Parameters
    ----------
    ordered : bool
        Use one thread: with more, rows from Arrow change their order.
    """
    return _locked(":memory:", {"threads": 1} if ordered else {})


def open_file(path: Path, *, read_only: bool, beside: Sequence[Path] = ()) -> Any:
    """Open a database file.

    Parameters
    ----------
    path : Path
        Absolute, so that DuckDB does not take it for the name of a service.
    read_only : bool
    beside : sequence of Path
        The files that DuckDB keeps beside `path` while it writes.

    Raises
    ------
    duckdb.Error
        The file is not a database, or another program holds it open.
    StorageError
        DuckDB cannot open a file of this name.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise StorageError(
            f"{path}: DuckDB opens no path that is not UTF-8; rename the file or its folder"
        ) from None
    allowed = "" if read_only else ", ".join(literal(str(file)) for file in beside)
    start = f"SET allowed_paths = [{allowed}];" if allowed else ""
    # With more threads, streamed rows change their order.
    return _locked(str(path), {"threads": 1}, read_only, start)


def _locked(place: str, config: dict[str, Any], read_only: bool = False, start: str = "") -> Any:
    con = duckdb.connect(place, read_only=read_only, config={**_CONFIG, **config})
    try:
        con.execute(start + _LOCK)
    except BaseException:
        con.close()
        raise
    return con
