"""Arrow and Feather files, whose size is known before Arrow allocates memory for them.

Arrow's reader raises on damaged metadata, but its kernels trust the batches that it returns. So
each batch is read directly, never through a dataset, and validated (`storage.clean`) before any
kernel sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from privsynth.errors import DataError
from privsynth.table.limits import refuse_bomb, refuse_rows
from privsynth.table.relation import Scan
from privsynth.table.storage import clean_batches, storage_schema, subschema

__all__ = ["read_arrow"]

MAGIC = b"ARROW1"
CONTINUATION = 0xFFFFFFFF
DICTIONARY, RECORDS = 2, 3
"""Arrow's numbers for the kinds of message."""


def read_arrow(path: Path, name: str, total: bool) -> tuple[pa.Schema, int, Scan]:
    """Open an Arrow file or stream.

    Parameters
    ----------
    path : Path
    name : str
        The name of the file in messages.
    total : bool
        Whether values that no table may hold become missing.

    Returns
    -------
    schema : pyarrow.Schema
        With storage types.
    n_rows : int
    scan : Scan

    Raises
    ------
    DataError
        The file is damaged, or unpacks to far more than its size.
    """
    size = path.stat().st_size
    with path.open("rb") as raw:
        is_file = raw.read(len(MAGIC)) == MAGIC
    with _open(path, is_file) as reader:
        file_schema = reader.schema
    schema = storage_schema(file_schema, name)
    try:
        with path.open("rb") as raw:
            n_rows, unpacked = _sizes(raw, size, is_file)
    except (struct.error, IndexError, OverflowError):
        raise DataError(
            f"{name}: is damaged or is not Arrow or Feather; write the file again"
        ) from None
    refuse_bomb(name, unpacked, size)
    refuse_rows(name, n_rows, len(file_schema), size)

    def scan(columns: list[str]) -> Iterator[pa.RecordBatch]:
        positions = [file_schema.get_field_index(column) for column in columns]
        batches = _batches(path, is_file, positions)
        yield from clean_batches(batches, subschema(schema, columns), name, total=total)

    return schema, n_rows, scan


def _open(path: Path, is_file: bool, fields: list[int] | None = None) -> Any:
    options = pa.ipc.IpcReadOptions(included_fields=fields)
    source = pa.OSFile(str(path))  # a memory map of a truncated file would crash the process
    return (pa.ipc.open_file if is_file else pa.ipc.open_stream)(source, options=options)


def _batches(path: Path, is_file: bool, fields: list[int]) -> Iterator[pa.RecordBatch]:
    with _open(path, is_file, fields) as reader:
        if is_file:
            for i in range(reader.num_record_batches):
                yield reader.get_batch(i)
        else:
            yield from reader


# Reading, without Arrow, what a file declares.


def _sizes(raw: IO[bytes], size: int, is_file: bool) -> tuple[int, int]:
    """Return the number of rows that a file declares, and of bytes that its buffers unpack to."""
    rows = unpacked = 0
    for at, metadata, body in _blocks(raw, size) if is_file else _messages(raw, size):
        message = _FlatTable.root(metadata)
        kind = message.number(1, "B")
        if kind not in (DICTIONARY, RECORDS):
            continue
        records = message.table(2)
        if kind == DICTIONARY:
            records = records.table(1)
        else:
            rows += records.number(0, "q")
        buffers = records.structs(2, "qq")
        if not records.has(3):
            unpacked += sum(length for _, length in buffers)
            continue
        for start, length in buffers:
            if length < 8 or start < 0 or start + length > body:
                continue
            raw.seek(at + start)
            (declared,) = struct.unpack("<q", raw.read(8))
            unpacked += length if declared < 0 else declared
    return rows, unpacked


def _blocks(raw: IO[bytes], size: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield each block listed in a file's footer: its body's position, metadata and body's size."""
    raw.seek(size - 10)
    (length,) = struct.unpack("<i", raw.read(4))
    if not 0 < length <= size - 10:
        raise IndexError
    raw.seek(size - 10 - length)
    footer = _FlatTable.root(raw.read(length))
    for place, head, body in [*footer.structs(2, "qi4xq"), *footer.structs(3, "qi4xq")]:
        if place < 0 or head < 8 or body < 0 or place + head + body > size:
            raise IndexError
        raw.seek(place)
        metadata = raw.read(head)
        # Old files lack the continuation marker before a message.
        prefix = 8 if metadata[:4] == b"\xff\xff\xff\xff" else 4
        yield place + head, metadata[prefix:], body


def _messages(raw: IO[bytes], size: int) -> Iterator[tuple[int, bytes, int]]:
    """Yield each message of a stream: its body's position, metadata and body's size."""
    at = 0
    while at + 4 <= size:
        raw.seek(at)
        (length,) = struct.unpack("<I", raw.read(4))
        at += 4
        if length == CONTINUATION:
            (length,) = struct.unpack("<I", raw.read(4))
            at += 4
        if length == 0:
            return
        if at + length > size:
            raise IndexError
        metadata = raw.read(length)
        at += length
        body = _FlatTable.root(metadata).number(3, "q")
        if body < 0 or at + body > size:
            raise IndexError
        yield at, metadata, body
        at += body


@dataclass(frozen=True)
class _FlatTable:
    """A table in a flatbuffer whose bytes are not trusted.

    Parameters
    ----------
    data : bytes
    at : int
        The position of the table.
    """

    data: bytes
    at: int

    @classmethod
    def root(cls, data: bytes) -> _FlatTable:
        return cls(data, _unpack("<I", data, 0)[0])

    def number(self, slot: int, kind: str) -> int:
        """Return a number; 0 if it is absent."""
        place = self._place(slot)
        return int(_unpack("<" + kind, self.data, place)[0]) if place else 0

    def table(self, slot: int) -> _FlatTable:
        place = self._place(slot)
        return _FlatTable(self.data, place + _unpack("<I", self.data, place)[0])

    def structs(self, slot: int, kind: str) -> list[tuple[int, ...]]:
        """Return a vector of structs; empty if it is absent."""
        place = self._place(slot)
        if not place:
            return []
        start = place + _unpack("<I", self.data, place)[0]
        (count,) = _unpack("<I", self.data, start)
        end = start + 4 + count * struct.calcsize("<" + kind)
        if end > len(self.data):
            raise IndexError
        return list(struct.iter_unpack("<" + kind, self.data[start + 4 : end]))

    def has(self, slot: int) -> bool:
        return self._place(slot) > 0

    def _place(self, slot: int) -> int:
        vtable = self.at - _unpack("<i", self.data, self.at)[0]
        length = _unpack("<H", self.data, vtable)[0]
        if 4 + 2 * slot >= length:
            return 0
        offset = _unpack("<H", self.data, vtable + 4 + 2 * slot)[0]
        return self.at + offset if offset else 0


def _unpack(kind: str, data: bytes, at: int) -> tuple[Any, ...]:
    if at < 0:
        raise IndexError
    return struct.unpack_from(kind, data, at)
