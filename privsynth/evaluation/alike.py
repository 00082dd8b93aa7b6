"""Read the tables of one evaluation with the same column types.

The cells of a file decide the types of its columns: one odd cell turns a column of numbers into
text. Equal cells of two tables must stay equal, so the training table decides the types of all
three tables, or the schema if it is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa

from privsynth.coding import as_declared
from privsynth.schema import Schema
from privsynth.table import Table, to_frame, value_type

if TYPE_CHECKING:
    import pandas as pd

    Framed: TypeAlias = tuple[pd.DataFrame, dict[str, int]]

__all__ = ["alike", "declared_frame", "texts_of"]


def texts_of(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that a table stores as text."""
    return tuple(entry.name for entry in table.schema if _is_text(entry.type))


def alike(table: Table, like: Table, schema: Schema) -> Framed:
    """Return a table with its text read as the types that another table has there.

    Parameters
    ----------
    table : Table
        Its columns that are text in `like` were read as text.
    like : Table
        The training table.
    schema : Schema
        Inferred from `like`.

    Returns
    -------
    frame : pandas.DataFrame
        Text that is not a value of its column is missing.
    lost : dict of str to int
        The number of such cells, by column.
    """
    text_columns = [
        entry.name
        for entry in like.schema
        if entry.name in table.names
        and _is_text(table.schema.field(entry.name).type)
        and not _is_text(entry.type)
    ]
    return _read_as_declared(table, schema, text_columns)


def declared_frame(table: Table, schema: Schema) -> Framed:
    """Return a table with each column read as the schema declares; see `alike`."""
    return _read_as_declared(table, schema, [name for name in schema.names if name in table.names])


def _read_as_declared(table: Table, schema: Schema, names: list[str]) -> Framed:
    rows = table.to_arrow()
    lost = {}
    for name in names:
        column = schema[name]
        if not column.kind.surrogate and column.determined_by is None:
            values = as_declared(column, rows.column(name))
            lost[name] = values.null_count - rows.column(name).null_count
            rows = rows.set_column(rows.schema.get_field_index(name), name, values)
    return to_frame(rows, "pandas"), {name: cells for name, cells in lost.items() if cells > 0}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(value_type(kind)))
