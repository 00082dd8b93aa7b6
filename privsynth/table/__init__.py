"""Tables: reading, counting, batching and writing them, with one module for each file format.

Import from here `Table` and the functions that read and write tables and refuse outputs that are
inputs. Importing this package must never import Arrow or DuckDB: that waits for the first table.
"""

from __future__ import annotations

from privsynth.table.counting import count
from privsynth.table.identity import check_distinct, only_places
from privsynth.table.places import is_stream
from privsynth.table.reading import read
from privsynth.table.relation import Table
from privsynth.table.storage import FRAMES, arrow_type, to_frame, value_type
from privsynth.table.support import (
    Support,
    distinct,
    kth_largest,
    support_of_rows,
    support_of_units,
)
from privsynth.table.writing import Writer, check_output, open_writer, write

__all__ = [
    "FRAMES",
    "Support",
    "Table",
    "Writer",
    "arrow_type",
    "check_distinct",
    "check_output",
    "count",
    "distinct",
    "is_stream",
    "kth_largest",
    "only_places",
    "open_writer",
    "read",
    "support_of_rows",
    "support_of_units",
    "to_frame",
    "value_type",
    "write",
]
