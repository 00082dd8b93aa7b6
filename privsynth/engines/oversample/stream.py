"""Read training rows that were saved as an Arrow stream."""

from __future__ import annotations

import struct

import pyarrow as pa

from privsynth.errors import ArtefactError

__all__ = ["read_rows"]

DICTIONARY_BATCH, RECORD_BATCH = 2, 3
"""Types of Arrow's messages that hold buffers."""


def read_rows(packed: bytes) -> pa.Table:
    """Read rows from an Arrow stream.

    Raises
    ------
    ArtefactError
        They are damaged, or compressed: privsynth never compresses them, and they might unpack to
        far more than the file's size.
    """
    try:
        messages = list(pa.ipc.MessageReader.open_stream(packed))
        if any(_is_compressed(message.metadata.to_pybytes()) for message in messages):
            raise ArtefactError("the rows of the model are compressed; fit it anew")
        rows = pa.ipc.open_stream(packed).read_all()
        rows.validate(full=True)
    except (OSError, pa.ArrowException, struct.error):
        raise ArtefactError("the rows of the model are damaged; fit it anew") from None
    return rows


def _is_compressed(message: bytes) -> bool:
    """Return whether a message's batch says that its buffers are compressed.

    pyarrow does not say so before it unpacks them, so the flatbuffer (Arrow's `Message.fbs`) is
    parsed here; a slot gives the position of a table's field.
    """

    def field_at(table: int, slot: int) -> int:
        slots = table - struct.unpack_from("<i", message, table)[0]
        if 4 + 2 * slot >= struct.unpack_from("<H", message, slots)[0]:
            return 0
        offset: int = struct.unpack_from("<H", message, slots + 4 + 2 * slot)[0]
        return table + offset if offset else 0

    def followed(at: int) -> int:
        return at + int(struct.unpack_from("<I", message, at)[0])

    root = followed(0)
    kind, header = field_at(root, 1), field_at(root, 2)
    if not kind or not header or message[kind] not in (DICTIONARY_BATCH, RECORD_BATCH):
        return False
    batch = followed(header)
    if message[kind] == DICTIONARY_BATCH:
        data = field_at(batch, 1)
        if not data:
            return False
        batch = followed(data)
    return field_at(batch, 3) > 0
