"""Text files as bytes and as characters, plain or gzipped, in any encoding."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from privsynth.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["IN_MEMORY", "PACKED", "TextFile", "check_encoding"]

CHUNK = 1 << 20
IN_MEMORY = 1 << 28
"""Bytes up to which a file is read once and kept; a larger one is read again for every scan."""
PACKED = 10
"""How many times its size a gzipped file is taken to be."""


@dataclass(frozen=True)
class TextFile:
    """A text file that can be opened as often as asked.

    Parameters
    ----------
    source : Path or io.BytesIO
        A path (gzipped where it ends in ``.gz``), or what standard input held.
    name : str
        What messages call it.
    encoding : str
        A Python codec.
    errors : str
        What `text` does about bytes that are no characters, as `open` names it.
    """

    source: Path | io.BytesIO
    name: str
    encoding: str
    errors: str = "strict"

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        if isinstance(self.source, Path):
            return self.source.stat().st_size
        return self.source.getbuffer().nbytes

    def bytes(self) -> IO[bytes]:
        """Open it as bytes, unpacked."""
        if isinstance(self.source, io.BytesIO):
            return io.BytesIO(self.source.getbuffer())
        if self.packed:
            return cast("IO[bytes]", gzip.open(self.source, "rb"))
        return self.source.open("rb")

    def stream(self) -> pa.NativeFile:
        """Open it as bytes, unpacked, for Arrow."""
        import pyarrow as pa

        if isinstance(self.source, io.BytesIO):
            return pa.BufferReader(self.source.getbuffer())
        return pa.input_stream(str(self.source), compression="gzip" if self.packed else None)

    def text(self) -> io.TextIOWrapper:
        """Open it as characters, line ends untouched, without a byte order mark."""
        encoding = "utf-8-sig" if self.is_utf8 else self.encoding
        return io.TextIOWrapper(self.bytes(), encoding=encoding, errors=self.errors, newline="")

    @property
    def packed(self) -> bool:
        """Whether it is gzipped."""
        return isinstance(self.source, Path) and self.source.name.lower().endswith(".gz")

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, by whichever of its names."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")

    def survey(self, total: bool = False) -> bool:
        """Read it once through: is it text, and does it hold quotation marks.

        Parameters
        ----------
        total : bool
            Whether it may hold anything.

        Raises
        ------
        DataError
            It is empty, is not in its encoding, or holds a NUL byte.
        """
        quoted, empty, lines = False, True, 1
        with self.text() as text:
            try:
                while chunk := text.read(CHUNK):
                    at = chunk.find("\0")
                    if at >= 0 and not total:
                        raise DataError(
                            f"{self.name}, line {lines + chunk.count(chr(10), 0, at)}: "
                            "holds a NUL byte; write the file again as plain text, or name its "
                            "encoding, such as --encoding utf-16"
                        )
                    empty = empty and chunk.isspace()
                    quoted = quoted or '"' in chunk
                    lines += chunk.count("\n")
            except UnicodeError:
                raise self._foreign() from None
        if empty:
            raise DataError(f"{self.name}: is empty; rows are wanted")
        return quoted

    def _foreign(self) -> DataError:
        line, wanted = "", "latin-1"
        if self.is_utf8:
            with self.bytes() as raw:
                for number, content in enumerate(raw, 1):
                    if number == 1 and content.startswith(
                        (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
                    ):
                        wanted = "utf-16"
                    try:
                        content.decode()
                    except UnicodeDecodeError:
                        line = f", line {number}"
                        break
            return DataError(
                f"{self.name}{line}: is not UTF-8; name its encoding, such as --encoding {wanted}"
            )
        return DataError(
            f"{self.name}: is not {self.encoding}; name its encoding, such as --encoding utf-8"
        )


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or that does not stand for characters."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {encoding!r}; give one such as utf-8, latin-1, cp1252 or utf-16"
        ) from None
