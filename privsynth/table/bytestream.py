"""Text files read as bytes or as characters, plain or gzipped, in any encoding."""

from __future__ import annotations

import codecs
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from privsynth.errors import DataError, StorageError, UsageError
from privsynth.table.fingerprint import Fingerprint
from privsynth.table.limits import LINE, refuse_bomb

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CELLS", "IN_MEMORY", "Survey", "TextFile", "check_encoding"]

CHUNK_CHARACTERS = 1 << 20
IN_MEMORY = 1 << 28
"""Bytes up to which a file is kept in memory; a larger one is read again for every scan."""
CELLS = IN_MEMORY // 4
"""Cells up to which a file is kept in memory: each takes at least 12 bytes."""


@dataclass(frozen=True)
class Survey:
    """What one pass over a text file shows.

    Parameters
    ----------
    quoted : bool
        Whether the file contains quotation marks.
    size : int
        Unpacked bytes.
    lines : int
        Line feeds or carriage returns, whichever are more.
    """

    quoted: bool
    size: int
    lines: int


@dataclass(frozen=True)
class TextFile:
    """A text file that can be opened repeatedly.

    Parameters
    ----------
    source : Path or io.BytesIO
        A path (gzipped if it ends in ``.gz``), or the content of standard input.
    name : str
        The name of the file in messages.
    encoding : str
        A Python codec.
    errors : str
        How `text` treats invalid bytes; see `open`.
    """

    source: Path | io.BytesIO
    name: str
    encoding: str
    errors: str = "strict"

    @property
    def size(self) -> int:
        """Bytes, as stored."""
        if isinstance(self.source, Path):
            return self.source.stat().st_size
        return self.source.getbuffer().nbytes

    def fingerprint(self) -> Fingerprint:
        """Record the present state of the file.

        Raises
        ------
        StorageError
            It is a pipe or a device, which cannot be read twice.
        """
        if isinstance(self.source, io.BytesIO):
            return Fingerprint({})
        if not self.source.is_file():
            raise StorageError(
                f"{self.name}: is not a regular file and cannot be read twice; pipe it to '-', or "
                "write it to a file"
            )
        return Fingerprint.of([self.source])

    def bytes(self) -> IO[bytes]:
        """Open the file as unpacked bytes."""
        if isinstance(self.source, io.BytesIO):
            return io.BytesIO(self.source.getbuffer())
        if self.gzipped:
            return cast("IO[bytes]", gzip.open(self.source, "rb"))
        return self.source.open("rb")

    def stream(self) -> pa.NativeFile:
        """Open the file as unpacked bytes, for Arrow."""
        import pyarrow as pa

        if isinstance(self.source, io.BytesIO):
            return pa.BufferReader(self.source.getbuffer())
        return pa.input_stream(str(self.source), compression="gzip" if self.gzipped else None)

    def text(self) -> io.TextIOWrapper:
        """Open the file as characters, line ends unchanged, without a byte order mark."""
        return self._characters(self.bytes())

    def _characters(self, raw: Any) -> io.TextIOWrapper:
        encoding = "utf-8-sig" if self.is_utf8 else self.encoding
        return io.TextIOWrapper(raw, encoding=encoding, errors=self.errors, newline="")

    @property
    def gzipped(self) -> bool:
        """Whether it is gzipped."""
        return isinstance(self.source, Path) and self.source.name.lower().endswith(".gz")

    @property
    def is_utf8(self) -> bool:
        """Whether the encoding is UTF-8, under any of its names."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig", "ascii")

    def survey(self, total: bool = False, *, rows: bool = True) -> Survey:
        """Read the whole file once, to check that it is text and to measure it.

        Parameters
        ----------
        total : bool
            Whether to accept any content.
        rows : bool
            Whether to refuse an empty file.

        Raises
        ------
        DataError
            The file is empty, is not in its encoding, contains a NUL byte or too long a line, or
            unpacks to far more than its size.
        """
        quoted, empty, lines, returns, line = False, True, 0, 0, 0
        with self.bytes() as raw, self._characters(raw) as text:
            try:
                while chunk := text.read(CHUNK_CHARACTERS):
                    at = chunk.find("\0")
                    if at >= 0 and not total:
                        raise DataError(
                            f"{self.name}, line {1 + lines + chunk.count(chr(10), 0, at)}: "
                            "holds a NUL byte; write the file again as plain text, or name its "
                            "encoding, such as --encoding utf-16"
                        )
                    empty = empty and chunk.isspace()
                    quoted = quoted or '"' in chunk
                    lines += chunk.count("\n")
                    returns += chunk.count("\r")
                    end = max(chunk.rfind("\n"), chunk.rfind("\r"))
                    line = len(chunk) - end - 1 if end >= 0 else line + len(chunk)
                    if line > LINE and not total:
                        raise self.long_row(1 + max(lines, returns))
                    refuse_bomb(self.name, raw.tell(), self.size)
            except UnicodeError:
                raise self._wrong_encoding() from None
            size = raw.tell()
        if empty and rows:
            raise DataError(f"{self.name}: is empty; expected rows")
        return Survey(quoted, size, max(lines, returns))

    def long_row(self, line: int | None = None) -> DataError:
        """Return the error for a row that is longer than `LINE`."""
        place = self.name if line is None else f"{self.name}, line {line}"
        return DataError(
            f"{place}: a row is longer than {LINE >> 20} MiB; close its "
            "quotation marks, or leave the long field out"
        )

    def _wrong_encoding(self) -> DataError:
        line, likely = "", "latin-1"
        if self.is_utf8:
            with self.bytes() as raw:
                lines = iter(lambda: raw.readline(2 * LINE), b"")
                for number, content in enumerate(lines, 1):
                    if number == 1 and content.startswith(
                        (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
                    ):
                        likely = "utf-16"
                    try:
                        content.decode()
                    except UnicodeDecodeError:
                        line = f", line {number}"
                        break
            return DataError(
                f"{self.name}{line}: is not UTF-8; name its encoding, such as --encoding {likely}"
            )
        return DataError(
            f"{self.name}: is not {self.encoding}; name its encoding, such as --encoding utf-8"
        )


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or in which a line is not read by itself."""
    try:
        "".encode(encoding)
        # In UTF-7 a lone plus sign turns what follows, line ends included, into Base64.
        if codecs.lookup(encoding).name == "utf-7":
            raise LookupError
    except (LookupError, ValueError):
        raise UsageError(
            f"unknown encoding {encoding!r}; give one such as utf-8, latin-1, cp1252 or utf-16"
        ) from None
