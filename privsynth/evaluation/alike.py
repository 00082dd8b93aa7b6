"""Read the tables of one evaluation alike, whatever each of them holds.

A file's columns have types that its own cells decide: one odd cell keeps a column of numbers as
text. Equal cells of two tables must stay equal, so the training table decides for all, or the
schema where that is declared.
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
    """Return a table whose text is read as what another table stores in its place.

    Parameters
    ----------
    table : Table
        Was read with the text columns of `like` as text.
    like : Table
        The training table.
    schema : Schema
        Inferred from `like`.

    Returns
    -------
    frame : pandas.DataFrame
        A text that is no value of its column is missing.
    lost : dict of str to int
        How many such there are, by column.
    """
    odd = [
        entry.name
        for entry in like.schema
        if entry.name in table.names
        and _is_text(table.schema.field(entry.name).type)
        and not _is_text(entry.type)
    ]
    return _read_by(table, schema, odd)


def declared_frame(table: Table, schema: Schema) -> Framed:
    """Return a table with each column read as the schema declares; see `alike`."""
    return _read_by(table, schema, [name for name in schema.names if name in table.names])


def _read_by(table: Table, schema: Schema, names: list[str]) -> Framed:
    rows = table.to_arrow()
    lost = {}
    for name in names:
        column = schema[name]
        if not column.kind.surrogate and column.determined_by is None:
            read = as_declared(column, rows.column(name))
            lost[name] = read.null_count - rows.column(name).null_count
            rows = rows.set_column(rows.schema.get_field_index(name), name, read)
    return to_frame(rows, "pandas"), {name: cells for name, cells in lost.items() if cells > 0}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(value_type(kind)))
