"""Limits on the size of files, so that compression bombs are refused.

Measured on CSV, gzip packs floats 3-fold, codes and ids 10-fold, constant columns beside a random
digit 30-fold, one-hot columns 50- to 270-fold, and one repeated line 500-fold or more. A byte of
Parquet stands for 430 rows of a constant column, but for fewer than 20 cells of a table in which
half of the columns are constant.
"""

from __future__ import annotations

from privsynth.errors import DataError

__all__ = ["COLUMNS", "LINE", "PIPED", "max_rows", "refuse_bomb", "refuse_rows", "refuse_sparse"]

UNPACKED = 1 << 28
"""Bytes that any packed file may unpack to."""
RATIO = 200
"""Maximum ratio of unpacked to packed bytes, beyond `UNPACKED` bytes."""
CELLS = 1 << 27
"""Cells that any file may contain."""
CELLS_PER_BYTE = 100
"""Maximum cells per byte of a file, beyond `CELLS` cells."""
SPARSE = 1 << 26
"""Cells of the table that any JSON lines may make."""
SPARSE_CELLS_PER_BYTE = 8
"""Maximum cells per byte of JSON lines, beyond `SPARSE` cells."""
COLUMNS = 1 << 14
"""Maximum columns of a table, as in a spreadsheet."""
LINE = 1 << 24
"""Maximum characters of a line, and bytes of a row, of a text file."""
PIPED = 1 << 29
"""Maximum bytes of standard input, which are kept in memory."""


def refuse_bomb(name: str, unpacked: int, packed: int) -> None:
    """Refuse a packed file that unpacks to far more than tables do.

    Parameters
    ----------
    name : str
    unpacked, packed : int
        Bytes, as far as they are known.

    Raises
    ------
    DataError
    """
    if unpacked > UNPACKED and unpacked > RATIO * packed:
        raise DataError(
            f"{name}: unpacks to more than {RATIO} times its size; expected a table, not a "
            "compression bomb; if it is one, unpack it and give the unpacked file"
        )


def refuse_rows(name: str, rows: int, columns: int, size: int) -> None:
    """Refuse a file that declares far more cells than its bytes can hold.

    Parameters
    ----------
    name : str
    rows, columns : int
        As declared by the file.
    size : int
        Bytes of the file.

    Raises
    ------
    DataError
    """
    if not 0 <= rows <= max_rows(columns, size):
        raise DataError(
            f"{name}: declares {rows} rows of {columns} columns in {size} bytes; expected a table, "
            "not a compression bomb; check where the file comes from"
        )


def max_rows(columns: int, size: int) -> int:
    """Return the maximum rows of that many columns in a file of `size` bytes."""
    return max(CELLS, CELLS_PER_BYTE * size) // columns


def refuse_sparse(name: str, rows: int, columns: int, size: int) -> None:
    """Refuse JSON lines that make a table far larger than the file, since most rows lack most keys.

    Parameters
    ----------
    name : str
    rows, columns : int
        The numbers of lines and of distinct keys.
    size : int
        Unpacked bytes.

    Raises
    ------
    DataError
    """
    cells = rows * columns
    if columns > COLUMNS or (cells > SPARSE and cells > SPARSE_CELLS_PER_BYTE * size):
        raise DataError(
            f"{name}: has {columns} keys or more in {rows} lines, most of which lack most keys; "
            "expected the same keys on every line; leave rare keys out"
        )
