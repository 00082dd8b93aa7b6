"""Tables: read from anywhere, counted and batched, written anywhere.

A `Table` is a private relation that is read lazily, its rows in their file order. The face of
the package is light: Arrow and DuckDB are imported when a table is first read or written.
"""

from __future__ import annotations

from privsynth.table.counting import count
from privsynth.table.identity import check_distinct, only_places
from privsynth.table.reading import read
from privsynth.table.relation import Table
from privsynth.table.storage import FRAMES, arrow_type, to_frame
from privsynth.table.writing import Writer, check_output, open_writer, write

__all__ = [
    "FRAMES",
    "Table",
    "Writer",
    "arrow_type",
    "check_distinct",
    "check_output",
    "count",
    "only_places",
    "open_writer",
    "read",
    "to_frame",
    "write",
]
