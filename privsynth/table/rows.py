"""Reading the rows of a text file under a privacy budget: each row independently of the others.

No row is refused because of its content, and no row changes how another is read. A row of CSV is
one line. Its quoted cells may continue on further lines only if the row is valid: each quotation
mark closes at the end of its cell, the row has as many cells as the header, and it is at most
`MAX_SPAN` bytes long. Otherwise a cell whose quotation mark does not close in its line is missing,
the rest of the line too, and the next row begins on the next line. Surplus cells are dropped, and
absent ones are missing. So is a cell that contains a NUL, or bytes that are invalid in the file's
encoding.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from typing import IO

import numpy as np
import numpy.typing as npt

from privsynth.errors import UsageError
from privsynth.table.bytestream import TextFile

__all__ = ["MAX_LINE", "MAX_SPAN", "chunks", "lines", "stream"]

CHUNK_BYTES = 1 << 22
MAX_SPAN = 1 << 16
"""Maximum bytes of a row whose quoted cells contain line ends."""
MAX_LINE = 1 << 22
"""Maximum bytes of a line that are read; the rest is dropped."""

_INVALID_TO_NUL = "privsynth-missing"
codecs.register_error(_INVALID_TO_NUL, lambda error: ("\0", getattr(error, "end", 0)))


def stream(file: TextFile, delimiter: str, width: int, blanks: int) -> io.BufferedIOBase:
    """Open the rows as valid CSV in UTF-8, below a header of placeholder names.

    Parameters
    ----------
    file : TextFile
    delimiter : str
    width : int
        The number of cells of the header.
    blanks : int
        The number of blank lines above the header.
    """
    shape = _Shape(delimiter.encode(), width)
    header = delimiter.join("x" * width) + "\n"
    parts = chain([header.encode()], shape.rows(chunks(file), blanks))
    return io.BufferedReader(_JoinedParts(parts), CHUNK_BYTES)


def chunks(file: TextFile) -> Iterator[bytes]:
    """Yield the bytes of a file in UTF-8, with a NUL in place of invalid bytes.

    A file in UTF-8 is unchanged, invalid bytes included, except for a byte order mark. No chunk
    ends between a carriage return and a line feed.
    """
    with file.bytes() as raw:
        if file.is_utf8:
            parts: Iterator[bytes] = iter(lambda: raw.read(CHUNK_BYTES), b"")
        else:
            parts = _transcoded(raw, file.encoding)
        carry = b""
        for i, part in enumerate(parts):
            chunk = carry + (part if i else part.removeprefix(codecs.BOM_UTF8))
            carry = b"\r" if chunk.endswith(b"\r") else b""
            yield chunk.removesuffix(b"\r")
        yield carry


def _transcoded(raw: IO[bytes], encoding: str) -> Iterator[bytes]:
    name = codecs.lookup(encoding).name
    if name == "hz" or name.startswith("iso2022"):
        # An escape sequence in one row would change how all rows after it are read.
        raise UsageError(
            f"the encoding {encoding!r} switches between alphabets, so that one row could change "
            "how others are read; under a budget give a file in another one, such as utf-8"
        )
    decoder = codecs.getincrementaldecoder(encoding)(_INVALID_TO_NUL)
    while part := raw.read(CHUNK_BYTES):
        yield decoder.decode(part).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def lines(file: TextFile) -> Iterator[bytes]:
    """Yield the lines of a file without their line feeds."""
    carry = b""
    for chunk in chunks(file):
        *whole, carry = (carry + chunk).split(b"\n")
        yield from (line[:MAX_LINE] for line in whole)
        carry = carry[:MAX_LINE]
    if carry:
        yield carry


class _JoinedParts(io.RawIOBase):
    """A stream that joins the parts of a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._part = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._part:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._part = memoryview(part)
        n = min(len(buffer), len(self._part))
        buffer[:n], self._part = self._part[:n], self._part[n:]
        return n


@dataclass(frozen=True)
class _Shape:
    """The form of a file's rows, and the way to make other rows conform to it.

    Parameters
    ----------
    delimiter : bytes
        One character.
    width : int
        The number of cells of a row.
    """

    delimiter: bytes
    width: int

    @cached_property
    def _line(self) -> re.Pattern[bytes]:
        """A row on one line; an unquoted cell may contain quotation marks."""
        return self._row(rb'"[^"\r\n]*+(?:""[^"\r\n]*+)*+"', rb'(?:[^"%s\r\n][^%s\r\n]*+)?')

    @cached_property
    def _span(self) -> re.Pattern[bytes]:
        """A row whose quoted cells may contain line ends; no other cell has a quotation mark."""
        return self._row(rb'"[^"]*+(?:""[^"]*+)*+"', rb'[^"%s\r\n]*+')

    def _row(self, quoted: bytes, plain: bytes) -> re.Pattern[bytes]:
        mark = re.escape(self.delimiter)
        cell = b"(?:%s|%s)" % (quoted, plain.replace(b"%s", mark))
        return re.compile(b"%s(?:%s%s){%d}(?:\r\n|\r|\n)" % (cell, mark, cell, self.width - 1))

    @cached_property
    def _cell(self) -> re.Pattern[bytes]:
        """A quoted cell that closes, and any stray text between it and the next delimiter."""
        mark = re.escape(self.delimiter)
        closed = rb'"([^"]*+(?:""[^"]*+)*+)"'
        return re.compile(rb"%s(?:(?=%s|\Z)|([^%s]+))" % (closed, mark, mark))

    def rows(self, chunks: Iterator[bytes], blanks: int) -> Iterator[bytes]:
        """Yield the cleaned rows below the header, in parts."""
        data, start = b"", None
        for chunk in chunks:
            data += chunk
            start = self._below_header(data, blanks) if start is None else start
            if start is None:
                continue
            part, start = self._cleaned(data, start, last=False)
            yield part
            data, start = data[start:], 0
            if len(data) > MAX_LINE and not _LINE_END.search(data):
                data = data[:MAX_LINE]
        if data and start is not None:
            ended = data if data.endswith((b"\r", b"\n")) else data + b"\n"
            yield self._cleaned(ended, start, last=True)[0]

    def _below_header(self, data: bytes, blanks: int) -> int | None:
        """Return the position of the first row; None if more of the file is needed."""
        at = 0
        for _ in range(blanks + 1):
            line = _LINE_END.search(data, at)
            if line is None:
                return None
            first, at = at, line.end()
        header = self._line.match(data, first) or self._span.match(data, first)
        if header is not None:
            return header.end()
        return at if len(data) > MAX_LINE else None

    def _cleaned(self, data: bytes, start: int, *, last: bool) -> tuple[bytes, int]:
        """Return the cleaned complete rows from `start` on, and the position where they end."""
        ends = _line_ends(data, start)
        suspect, invalid = self._suspect_lines(data, start, ends)
        starts = np.append(start, ends).tolist()
        parts: list[bytes] = []
        row, copied = 0, start
        for line in np.flatnonzero(suspect).tolist():
            if line < row:  # it belongs to a row that begins above
                continue
            at, row = starts[line], line + 1
            match = None
            if starts[row] - at <= MAX_LINE:
                match = self._line.match(data, at, starts[row])
                if match is None and data.find(b'"', at, starts[row]) >= 0:
                    if not last and len(data) - at < MAX_SPAN:
                        return b"".join([*parts, data[copied:at]]), at
                    match = self._span.match(data, at, at + MAX_SPAN)
                    if match is not None:
                        row = int(np.searchsorted(ends, match.end())) + 1
            if match is None or invalid[line:row].any():
                parts += [data[copied:at], self._repaired(data[at : starts[row]])]
                copied = starts[row]
        return b"".join([*parts, data[copied : starts[-1]]]), starts[-1]

    def _suspect_lines(
        self, data: bytes, start: int, ends: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return masks of the lines to be checked one by one, and of those that are not text."""
        invalid = np.zeros(len(ends), dtype=np.bool_)
        if not len(ends):
            return invalid, invalid
        octets = np.frombuffer(data, np.uint8)[start : ends[-1]]

        def count(byte: int) -> npt.NDArray[np.int64]:
            return np.diff(np.cumsum(octets == byte)[ends - start - 1], prepend=0)

        if b"\0" in data:
            invalid |= count(0) > 0
        if not _is_text(data[start : ends[-1]]):
            starts = np.append(start, ends).tolist()
            for line, (first, end) in enumerate(pairwise(starts)):
                invalid[line] |= not _is_text(data[first:end])
        suspect = invalid | (count(self.delimiter[0]) != self.width - 1)
        if b'"' in data:
            suspect |= count(ord('"')) > 0
        return suspect | (np.diff(ends, prepend=start) > MAX_LINE), invalid

    def _repaired(self, row: bytes) -> bytes:
        """Rewrite a row with as many cells as the header; return nothing if it is blank."""
        row = row.rstrip(b"\r\n")[:MAX_LINE]
        if not row and self.width > 1:
            return b""
        cells = self._cells(row)[: self.width]
        cells += [None] * (self.width - len(cells))
        if b"\0" in row or not _is_text(row):
            cells = [c if c and b"\0" not in c and _is_text(c) else None for c in cells]
        fields = [b"" if c is None else b'"%s"' % c.replace(b'"', b'""') for c in cells]
        return self.delimiter.join(fields) + b"\n"

    def _cells(self, row: bytes) -> list[bytes | None]:
        cells: list[bytes | None] = []
        at = 0
        while True:
            if row[at : at + 1] == b'"':
                match = self._cell.match(row, at)
                if match is None:
                    return [*cells, None]
                cells.append(None if match[2] else match[1].replace(b'""', b'"'))
                at = match.end()
            else:
                end = row.find(self.delimiter, at)
                end = len(row) if end < 0 else end
                cells.append(row[at:end] or None)
                at = end
            if at >= len(row):
                return cells
            at += len(self.delimiter)


_LINE_END = re.compile(rb"\r\n|\r|\n")


def _line_ends(data: bytes, start: int) -> npt.NDArray[np.int64]:
    """Return the position after each line end."""
    octets = np.frombuffer(data, np.uint8)[start:]
    feeds = octets == ord("\n")
    returns = octets == ord("\r")
    if returns.any():
        returns[:-1] &= ~feeds[1:]
        feeds = feeds | returns
    return np.flatnonzero(feeds) + start + 1


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
