"""The rows of a text file under a budget: each is read by itself, whatever the others hold.

Nothing is refused for what a row holds, and no row changes how another one is read. A row of CSV
is a line. Its quoted cells may run over further lines while all is as it should be: each quotation
mark closes at the end of its cell, the row has as many cells as the header, and it is at most
`MOST_SPAN` bytes long. Otherwise a cell whose quotation mark does not close in its line is missing,
the rest of the line too, and the next row begins on the next line. Cells that a row has too many
are left out, and those that it lacks are missing. So is a cell that holds a NUL, or bytes that are
no characters in the file's encoding.
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

from privsynth.table.bytestream import TextFile

__all__ = ["MOST_LINE", "MOST_SPAN", "chunks", "lines", "stream"]

CHUNK = 1 << 22
MOST_SPAN = 1 << 16
"""The most bytes of a row whose quoted cells hold line ends."""
MOST_LINE = 1 << 22
"""The most bytes of a line that are read; what lies beyond is left out."""

_MISSING = "privsynth-missing"
codecs.register_error(_MISSING, lambda error: ("\0", getattr(error, "end", 0)))


def stream(file: TextFile, delimiter: str, width: int, blanks: int) -> io.BufferedIOBase:
    """Open the rows as CSV in UTF-8 of which no parser can complain, below a header of some names.

    Parameters
    ----------
    file : TextFile
    delimiter : str
    width : int
        How many cells the header has.
    blanks : int
        Blank lines above the header.
    """
    shape = _Shape(delimiter.encode(), width)
    header = delimiter.join("x" * width) + "\n"
    parts = chain([header.encode()], shape.rows(chunks(file), blanks))
    return io.BufferedReader(_Parts(parts), CHUNK)


def chunks(file: TextFile) -> Iterator[bytes]:
    """Yield the bytes of a file in UTF-8, with a NUL where there is no character.

    A file that is said to be UTF-8 is given as it is, but for a byte order mark. No chunk ends
    between a carriage return and a line feed.
    """
    with file.bytes() as raw:
        if file.is_utf8:
            parts: Iterator[bytes] = iter(lambda: raw.read(CHUNK), b"")
        else:
            parts = _transcoded(raw, file.encoding)
        held = b""
        for i, part in enumerate(parts):
            chunk = held + (part if i else part.removeprefix(codecs.BOM_UTF8))
            held = b"\r" if chunk.endswith(b"\r") else b""
            yield chunk.removesuffix(b"\r")
        yield held


def _transcoded(raw: IO[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(_MISSING)
    while part := raw.read(CHUNK):
        yield decoder.decode(part).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def lines(file: TextFile) -> Iterator[bytes]:
    """Yield the lines of a file, each with a line feed at its end that is not part of it."""
    carry = b""
    for chunk in chunks(file):
        *whole, carry = (carry + chunk).split(b"\n")
        yield from (line[:MOST_LINE] for line in whole)
        carry = carry[:MOST_LINE]
    if carry:
        yield carry


class _Parts(io.RawIOBase):
    """Parts of a file, to be read as one."""

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
    """What a row of a file looks like.

    Parameters
    ----------
    delimiter : bytes
        One character.
    width : int
        Cells of a row.
    """

    delimiter: bytes
    width: int

    @cached_property
    def _line(self) -> re.Pattern[bytes]:
        """A row on one line; in a cell that is not quoted, a quotation mark is a character."""
        return self._row(rb'"[^"\r\n]*+(?:""[^"\r\n]*+)*+"', rb'(?:[^"%s\r\n][^%s\r\n]*+)?')

    @cached_property
    def _span(self) -> re.Pattern[bytes]:
        """A row whose quoted cells may hold line ends; no other cell holds a quotation mark."""
        return self._row(rb'"[^"]*+(?:""[^"]*+)*+"', rb'[^"%s\r\n]*+')

    def _row(self, quoted: bytes, plain: bytes) -> re.Pattern[bytes]:
        mark = re.escape(self.delimiter)
        cell = b"(?:%s|%s)" % (quoted, plain.replace(b"%s", mark))
        return re.compile(b"%s(?:%s%s){%d}(?:\r\n|\r|\n)" % (cell, mark, cell, self.width - 1))

    @cached_property
    def _cell(self) -> re.Pattern[bytes]:
        """A quoted cell that closes, and what stands behind it though nothing should."""
        mark = re.escape(self.delimiter)
        closed = rb'"([^"]*+(?:""[^"]*+)*+)"'
        return re.compile(rb"%s(?:(?=%s|\Z)|([^%s]+))" % (closed, mark, mark))

    def rows(self, chunks: Iterator[bytes], blanks: int) -> Iterator[bytes]:
        """Yield the rows below the header, in parts."""
        data, start = b"", None
        for chunk in chunks:
            data += chunk
            start = self._below_header(data, blanks) if start is None else start
            if start is None:
                continue
            part, start = self._cleaned(data, start, last=False)
            yield part
            data, start = data[start:], 0
            if len(data) > MOST_LINE and not _LINE_END.search(data):
                data = data[:MOST_LINE]
        if data and start is not None:
            ended = data if data.endswith((b"\r", b"\n")) else data + b"\n"
            yield self._cleaned(ended, start, last=True)[0]

    def _below_header(self, data: bytes, blanks: int) -> int | None:
        """Find where the rows begin; None where more of the file is needed to tell."""
        at = 0
        for _ in range(blanks + 1):
            line = _LINE_END.search(data, at)
            if line is None:
                return None
            first, at = at, line.end()
        header = self._line.match(data, first) or self._span.match(data, first)
        if header is not None:
            return header.end()
        return at if len(data) > MOST_LINE else None

    def _cleaned(self, data: bytes, start: int, *, last: bool) -> tuple[bytes, int]:
        """Clean the rows that end in some bytes from `start` on, and say where these rows end."""
        ends = _line_ends(data, start)
        odd, foul = self._odd_lines(data, start, ends)
        starts = np.append(start, ends).tolist()
        parts: list[bytes] = []
        row, kept = 0, start
        for line in np.flatnonzero(odd).tolist():
            if line < row:  # it belongs to a row that began above
                continue
            at, row = starts[line], line + 1
            whole = None
            if starts[row] - at <= MOST_LINE:
                whole = self._line.match(data, at, starts[row])
                if whole is None and data.find(b'"', at, starts[row]) >= 0:
                    if not last and len(data) - at < MOST_SPAN:
                        return b"".join([*parts, data[kept:at]]), at
                    whole = self._span.match(data, at, at + MOST_SPAN)
                    if whole is not None:
                        row = int(np.searchsorted(ends, whole.end())) + 1
            if whole is None or foul[line:row].any():
                parts += [data[kept:at], self._mended(data[at : starts[row]])]
                kept = starts[row]
        return b"".join([*parts, data[kept : starts[-1]]]), starts[-1]

    def _odd_lines(
        self, data: bytes, start: int, ends: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Say which lines are to be looked at one by one, and which are no text."""
        foul = np.zeros(len(ends), dtype=np.bool_)
        if not len(ends):
            return foul, foul
        held = np.frombuffer(data, np.uint8)[start : ends[-1]]

        def count(byte: int) -> npt.NDArray[np.int64]:
            return np.diff(np.cumsum(held == byte)[ends - start - 1], prepend=0)

        if b"\0" in data:
            foul |= count(0) > 0
        if not _is_text(data[start : ends[-1]]):
            starts = np.append(start, ends).tolist()
            for line, (first, end) in enumerate(pairwise(starts)):
                foul[line] |= not _is_text(data[first:end])
        odd = foul | (count(self.delimiter[0]) != self.width - 1)
        if b'"' in data:
            odd |= count(ord('"')) > 0
        return odd | (np.diff(ends, prepend=start) > MOST_LINE), foul

    def _mended(self, row: bytes) -> bytes:
        """Write a row anew: its cells, as many as there ought to be, or nothing if it is blank."""
        row = row.rstrip(b"\r\n")[:MOST_LINE]
        if not row and self.width > 1:
            return b""
        cells = self._cells(row)[: self.width]
        cells += [None] * (self.width - len(cells))
        if b"\0" in row or not _is_text(row):
            cells = [c if c and b"\0" not in c and _is_text(c) else None for c in cells]
        spelled = [b"" if c is None else b'"%s"' % c.replace(b'"', b'""') for c in cells]
        return self.delimiter.join(spelled) + b"\n"

    def _cells(self, row: bytes) -> list[bytes | None]:
        cells: list[bytes | None] = []
        at = 0
        while True:
            if row[at : at + 1] == b'"':
                found = self._cell.match(row, at)
                if found is None:
                    return [*cells, None]
                cells.append(None if found[2] else found[1].replace(b'""', b'"'))
                at = found.end()
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
    """Give the position behind each line end."""
    held = np.frombuffer(data, np.uint8)[start:]
    feeds = held == 10
    returns = held == 13
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
