"""How much a file may ask for: what is far more than its size is a bomb, and is refused.

Measured on CSV: gzip packs floats 3-fold, codes and ids 10-fold, constant columns beside a random
digit 30-fold, and one-hot columns 50- to 270-fold; a file that is one line over and over comes to
500-fold and more. A byte of Parquet stands for 430 rows of a constant column, and for fewer than 20
cells of a table in which half of the columns are constant.
"""

from __future__ import annotations

from privsynth.errors import DataError

__all__ = ["COLUMNS", "LINE", "PIPED", "most_rows", "refuse_bomb", "refuse_rows", "refuse_sparse"]

UNPACKED = 1 << 28
"""Bytes that a packed file may always unpack to."""
RATIO = 200
"""How many times its own size a larger file may unpack to."""
CELLS = 1 << 27
"""Cells that a file may always hold."""
CELLS_PER_BYTE = 100
"""How many cells a byte of a file with more of them may stand for."""
SPARSE = 1 << 26
"""Cells that JSON lines may always spread out to."""
CELLS_PER_CHARACTER = 8
"""How many cells a character of JSON lines that spread out to more of them may stand for."""
COLUMNS = 1 << 14
"""The most columns of a table; as in a spreadsheet."""
LINE = 1 << 24
"""The most characters of a line, and bytes of a row, of a text file."""
PIPED = 1 << 29
"""The most bytes on standard input, which are kept in memory."""


def refuse_bomb(name: str, unpacked: int, packed: int) -> None:
    """Refuse a packed file that unpacks to far more than tables do.

    Parameters
    ----------
    name : str
    unpacked, packed : int
        Bytes; so far as they are known.

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
    """Refuse a file that claims far more cells than its bytes can hold.

    Parameters
    ----------
    name : str
    rows, columns : int
        As the file declares them.
    size : int
        The file's bytes.

    Raises
    ------
    DataError
    """
    if not 0 <= rows <= most_rows(columns, size):
        raise DataError(
            f"{name}: declares {rows} rows of {columns} columns in {size} bytes; expected a table, "
            "not a compression bomb; check where the file comes from"
        )


def most_rows(columns: int, size: int) -> int:
    """Return the most rows of so many columns that a file of `size` bytes may hold."""
    return max(CELLS, CELLS_PER_BYTE * size) // columns


def refuse_sparse(name: str, rows: int, columns: int, size: int) -> None:
    """Refuse JSON lines whose keys make a table far larger than the file.

    Parameters
    ----------
    name : str
    rows, columns : int
        Lines, and keys that differ.
    size : int
        Bytes, unpacked.

    Raises
    ------
    DataError
    """
    cells = rows * columns
    if columns > COLUMNS or (cells > SPARSE and cells > CELLS_PER_CHARACTER * size):
        raise DataError(
            f"{name}: has {columns} keys or more in {rows} lines, most of which lack most keys; "
            "expected the same keys on every line; leave rare keys out"
        )
