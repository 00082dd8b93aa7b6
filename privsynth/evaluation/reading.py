"""Read the three tables of an evaluation with the same column types."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from privsynth.errors import DataError
from privsynth.evaluation.alike import alike, declared_frame, texts_of
from privsynth.evaluation.tables import Tables
from privsynth.schema import Column, Kind, Role, Schema, Source, Unit, infer
from privsynth.table import Table, is_stream, read

__all__ = ["Sources", "read_tables", "without_inferred"]


@dataclass(frozen=True)
class Sources:
    """Where the three tables of an evaluation are, and how they are read.

    Parameters
    ----------
    synthetic, train, holdout : path, frame or relation
    encoding : str
        Encoding of text files that are not UTF-8.
    escape : bool
        Whether to remove a ``'`` before a formula.
    """

    synthetic: Any
    train: Any
    holdout: Any = None
    encoding: str = "utf-8"
    escape: bool = True


def read_tables(
    sources: Sources,
    *,
    declared: Schema | None,
    target: str | None,
    learnt: Schema | None,
    budgeted: bool,
    unit: Unit | None = None,
    with_units: Callable[[Table], Table] | None = None,
) -> tuple[Table, Tables, Schema]:
    """Read the tables of an evaluation the way the model's fit read its rows.

    Parameters
    ----------
    sources : Sources
    declared : Schema, optional
        What the user declares about the columns.
    target : str, optional
        The column to predict.
    learnt : Schema, optional
        The model's, if there is a model.
    budgeted : bool
        Whether the model was fitted under a budget. Its schema then says how values are read;
        otherwise the types of the training table decide for all three tables.
    unit : Unit, optional
        Whose privacy is attacked. The synthetic table need not have its column.
    with_units : callable, optional
        Checks the training table's unit column, and numbers its units.

    Returns
    -------
    real : Table
        The training table, as read.
    tables : Tables
    schema : Schema
        Covers all columns.

    Raises
    ------
    DataError
        The tables do not have the same columns, or the holdout holds training rows.
    """
    read_one = partial(_read_either, encoding=sources.encoding, escape=sources.escape)
    numbered = with_units or _unchanged
    learnt = _of_units(learnt, unit)
    if budgeted and learnt is not None:
        schema = _overridden(learnt, declared, target)
        read_one = partial(read_one, total=True, columns=schema.names)
        real = numbered(read_one(sources.train))
        as_frame = partial(declared_frame, schema=schema)
    else:
        real = numbered(read_one(sources.train))
        stated = learnt if declared is None else declared
        schema = infer(real, target=target, declared=_by_unit(stated, unit))
        read_one = partial(read_one, texts=texts_of(real))
        as_frame = partial(alike, like=real, schema=schema)
    lost = {}
    train, lost["train"] = as_frame(real)
    synthetic, lost["synthetic"] = as_frame(read_one(sources.synthetic))
    holdout = None
    if sources.holdout is not None:
        aside = read_one(sources.holdout)
        if unit is not None and unit.column in aside.names:
            numbered(aside)  # refuses a column that tells no units apart
        holdout, lost["holdout"] = as_frame(aside)
    return real, Tables.of(train, holdout, synthetic, schema, lost), schema


def _unchanged(table: Table) -> Table:
    return table


def _of_units(schema: Schema | None, unit: Unit | None) -> Schema | None:
    """Return a model's schema where the unit's column, which it may have modelled, is an id."""
    if schema is None or unit is None or unit.column is None:
        return schema
    columns = tuple(
        Column(column.name, Kind.ID, column.dtype, nullable=column.nullable, given=frozenset())
        if column.name == unit.column
        and not column.kind.surrogate
        and column.role is not Role.TARGET
        else column
        for column in schema
    )
    return Schema(columns, unit)


def _by_unit(schema: Schema | None, unit: Unit | None) -> Schema | None:
    """Return a schema that names the unit, where it is a column."""
    if unit is None or unit.column is None:
        return schema
    return replace(Schema(()) if schema is None else schema, unit=unit)


def without_inferred(schema: Schema) -> Schema:
    """Return a schema without the domains that were inferred from rows."""
    columns = tuple(
        replace(column, domain=None, why="") if column.source is not Source.DECLARED else column
        for column in schema
    )
    return schema.with_columns(columns)


def _overridden(schema: Schema, declared: Schema | None, target: str | None) -> Schema:
    """Return a model's schema, overridden by what another schema states about its columns."""
    declared_columns = {column.name: column for column in declared or ()}
    columns = [
        replace(column, **{key: getattr(other, key) for key in other.stated})
        if (other := declared_columns.get(column.name))
        else column
        for column in schema
    ]
    merged = schema.with_columns(columns)
    return merged if target is None else merged.with_target(target)


def _read_either(
    data: Any,
    *,
    encoding: str,
    escape: bool,
    total: bool = False,
    columns: Sequence[str] | None = None,
    texts: Collection[str] = (),
) -> Table:
    """Read a table as UTF-8, which privsynth writes, or else in the given encoding."""
    reader = partial(read, escape=escape, total=total, columns=columns, texts=texts)
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    if utf8 or is_stream(data):  # a stream can be read only once
        return reader(data, encoding=encoding)
    try:
        if total:  # accepts any bytes, so a strict read first checks that they are UTF-8
            read(data, escape=escape)
        return reader(data)
    except DataError:
        return reader(data, encoding=encoding)
