"""The three tables of an evaluation, read alike."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from privsynth.errors import DataError
from privsynth.evaluation.alike import alike, declared_frame, texts_of
from privsynth.evaluation.tables import Tables
from privsynth.schema import Schema, Source, infer
from privsynth.table import Table, is_stream, read

__all__ = ["Sources", "read_tables", "without_inferred"]


@dataclass(frozen=True)
class Sources:
    """Where the three tables of an evaluation are, and how they are read.

    Parameters
    ----------
    synthetic, train, holdout : path, frame or relation
    encoding : str
        Of those text files that are not UTF-8.
    escape : bool
        Whether a ``'`` before a formula is removed.
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
) -> tuple[Table, Tables, Schema]:
    """Read the tables of an evaluation as the model's fit read its rows.

    Parameters
    ----------
    sources : Sources
    declared : Schema, optional
        What the user declares of the columns.
    target : str, optional
        The column to be predicted.
    learnt : Schema, optional
        The model's, if there is a model.
    budgeted : bool
        Whether the model was fitted under a budget: its schema then says how each value is read.
        Otherwise the training table's own types decide for all three tables.

    Returns
    -------
    real : Table
        The training table as it was read.
    tables : Tables
    schema : Schema
        Of all columns.

    Raises
    ------
    DataError
        The tables do not have the same columns, or the holdout holds training rows.
    """
    read_one = partial(_read_either, encoding=sources.encoding, escape=sources.escape)
    if budgeted and learnt is not None:
        schema = _restated(learnt, declared, target)
        read_one = partial(read_one, total=True, columns=schema.names)
        real = read_one(sources.train)
        framed = partial(declared_frame, schema=schema)
    else:
        real = read_one(sources.train)
        schema = infer(real, target=target, declared=learnt if declared is None else declared)
        read_one = partial(read_one, texts=texts_of(real))
        framed = partial(alike, like=real, schema=schema)
    lost = {}
    train, lost["train"] = framed(real)
    synthetic, lost["synthetic"] = framed(read_one(sources.synthetic))
    holdout = None
    if sources.holdout is not None:
        holdout, lost["holdout"] = framed(read_one(sources.holdout))
    return real, Tables.of(train, holdout, synthetic, schema, lost), schema


def without_inferred(schema: Schema) -> Schema:
    """Return a schema's kinds and roles, without the domains that were read off rows."""
    columns = tuple(
        replace(column, domain=None, why="") if column.source is not Source.DECLARED else column
        for column in schema
    )
    return schema.with_columns(columns)


def _restated(schema: Schema, declared: Schema | None, target: str | None) -> Schema:
    """Return a model's schema with what another one states of its columns."""
    stated = {column.name: column for column in declared or ()}
    columns = [
        replace(column, **{key: getattr(other, key) for key in other.stated})
        if (other := stated.get(column.name))
        else column
        for column in schema
    ]
    full = schema.with_columns(columns)
    return full if target is None else full.with_target(target)


def _read_either(
    data: Any,
    *,
    encoding: str,
    escape: bool,
    total: bool = False,
    columns: Sequence[str] | None = None,
    texts: Collection[str] = (),
) -> Table:
    """Read a table as UTF-8, which privsynth writes, or else in the encoding that is named."""
    reader = partial(read, escape=escape, total=total, columns=columns, texts=texts)
    utf8 = encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    if utf8 or is_stream(data):  # a stream is read but once
        return reader(data, encoding=encoding)
    try:
        if total:  # which reads any bytes: a strict reading tells whether they are UTF-8
            read(data, escape=escape)
        return reader(data)
    except DataError:
        return reader(data, encoding=encoding)
