"""Propose a schema: what each column means, and a domain under disclosure control.

A column is judged by its name and its distinct values. The schema obeys the disclosure control: a
level is held by at least k rows, a bound is the k-th value from its end, rounded inward, and no
reason quotes a value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from privsynth.errors import SchemaError, UsageError, did_you_mean
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.declaring import (
    check_dtype,
    check_kind,
    declared_domain,
    kind_of_domain,
    kind_words,
    narrowed,
)
from privsynth.schema.domains import (
    clipped,
    iso,
    level_values,
    round_numbers,
    round_times,
    wall_clock,
)
from privsynth.schema.facts import Facts, facts_of
from privsynth.schema.kinds import guess, personal_kind
from privsynth.schema.personal import words
from privsynth.schema.schema import Schema
from privsynth.schema.surrogates import KINDS, NUMBERS, check_pattern, learn_pattern
from privsynth.table import Table

__all__ = ["infer"]

_WEIGHT_NAMES = frozenset(
    (
        "instance_weight",
        "sample_weight",
        "sampling_weight",
        "survey_weight",
        "person_weight",
        "final_weight",
        "finalwgt",
        "fnlwgt",
        "pwgtp",
        "wgtp",
    )
)


def infer(
    table: Table,
    *,
    target: str | None = None,
    k: int = 10,
    declared: Schema | None = None,
    narrow: bool = False,
) -> Schema:
    """Propose a schema for a table.

    Parameters
    ----------
    table : Table
        The private rows.
    target : str, optional
        The column to predict; it is never guessed.
    k : int, default=10
        The fewest rows that a level or bound may be held by.
    declared : Schema, optional
        Some or all columns as a person declares them; a field given there overrides inference.
    narrow : bool
        Whether the inferred domains of `declared`, perhaps inferred from more rows, are narrowed
        to what k rows of this table hold.

    Returns
    -------
    Schema
        One column for each of the table's, in its order.

    Raises
    ------
    UsageError
        The target is not in the table, or its values would be invented.
    SchemaError
        A declared column is not in the table, or its declaration contradicts its values.
    DataError
        A column holds an infinite number.
    """
    for name in declared.names if declared else ():
        if name not in table.names:
            raise SchemaError(
                f"schema: {table.name} has no column {name!r}{did_you_mean(name, table.names)}"
            )
    if target is not None and target not in table.names:
        raise UsageError(
            f"{table.name}: no target column {target!r}{did_you_mean(target, table.names)}"
        )
    by_name = {column.name: column for column in declared or ()}
    unit = None if declared is None else declared.unit_column
    columns = []
    for name in table.names:
        facts = facts_of(table, name)
        if name == unit:
            column = _unit_column(by_name.get(name), facts, k)
        elif name in by_name:
            column = _declare(by_name[name], facts, k, narrow)
        else:
            column = _build(facts, *guess(facts, k), k)
        columns.append(replace(column, format=table.formats.get(name)))
    schema = Schema(tuple(columns), None if declared is None else declared.unit)
    if target is not None:
        schema = schema.with_target(target)
    aim = schema.target
    if aim is not None and aim.kind.surrogate:
        raise UsageError(
            f"{table.name}: the target {aim.name!r} is taken for {kind_words(aim.kind)} "
            f"({aim.why}), whose values are invented; declare its kind in a schema, or "
            "name another target"
        )
    return schema


def _declare(declared: Column, facts: Facts, k: int, narrow: bool) -> Column:
    """Return the inferred column, overridden by what is declared."""
    place = f"schema, column {declared.name!r}"
    stated_fields = declared.stated
    if "dtype" in stated_fields:
        check_dtype(declared, facts, place)
    guessed, personal, why = guess(facts, k)
    kind = declared.kind if "kind" in stated_fields else kind_of_domain(declared, guessed, facts)
    if kind is not guessed:
        why = f"declared {kind}" if "kind" in stated_fields else f"a domain is declared; else {why}"
        personal = personal_kind(facts) if kind in (Kind.ID, Kind.PERSONAL) else None
    check_kind(kind, facts, place)
    column = _build(facts, kind, personal, why, k)
    free = stated_fields - {"kind", "dtype", "domain"}
    column = replace(column, **{key: getattr(declared, key) for key in free})
    check_pattern(column)
    if declared.determined_by is not None:
        return replace(column, domain=None, unique=False, personal=None, why="declared determined")
    if "domain" not in stated_fields or declared.domain is None:
        return column
    domain = declared_domain(declared, kind, facts, place)
    if narrow and declared.source is Source.INFERRED:
        domain = narrowed(domain, column.domain, facts, k)
    return replace(column, domain=domain, source=declared.source)


def _unit_column(declared: Column | None, facts: Facts, k: int) -> Column:
    """Return the column that names the unit: an id, whose values are invented.

    Raises
    ------
    SchemaError
        It is declared as a kind that is modelled, or holds what cannot name a unit.
    """
    given = declared or Column(facts.name, Kind.ID, str(facts.stored), given=frozenset())
    if "kind" in given.stated and not given.kind.surrogate:
        raise SchemaError(
            f"schema, column {facts.name!r}: names the privacy unit and is declared {given.kind}, "
            "which is modelled; declare it id or personal, or leave its kind out"
        )
    if pa.types.is_temporal(facts.type) or pa.types.is_boolean(facts.type):
        raise SchemaError(
            f"schema, column {facts.name!r}: names the privacy unit and is stored as "
            f"{facts.stored}; store it as text or whole numbers, or name a column of ids"
        )
    if "kind" not in given.stated:
        given = replace(given, kind=Kind.ID, given=given.stated | {"kind"})
    column = _declare(given, facts, k, narrow=False)
    each = facts.rows / max(len(facts.values), 1)
    return replace(column, why=f"the privacy unit, {each:.1f} rows each")


def _build(facts: Facts, kind: Kind, personal: str | None, why: str, k: int) -> Column:
    column = Column(
        facts.name,
        kind,
        str(facts.stored),
        nullable=facts.support.nulls >= k,
        personal=personal,
        why=why,
    )
    if kind.surrogate:
        return _with_pattern(
            replace(column, unique=facts.unique and kind is not Kind.TEXT), facts, k
        )
    if not kind.continuous:
        levels, rare = _levels(facts, kind, k)
        if rare:
            column = replace(column, why=f"{why}; rarer levels pooled (under {k} rows)")
        return replace(column, domain=levels)
    column = replace(column, domain=_bounds(facts, k))
    if kind is Kind.NUMERIC and not pa.types.is_integer(facts.type) and facts.rows:
        column = replace(column, decimals=facts.decimals(k))
    positive = facts.numeric and facts.rows and facts.numbers[0] >= 0
    if positive and "_".join(words(facts.name)) in _WEIGHT_NAMES:
        return replace(column, role=Role.WEIGHT, why=f"{why}; named like a survey weight")
    return column


def _with_pattern(column: Column, facts: Facts, k: int) -> Column:
    """Return the column with the pattern by which its surrogates are invented."""
    if column.kind is Kind.TEXT:
        return column
    column = replace(column, role=Role.ID if column.kind is Kind.ID else None)
    usable = KINDS if facts.textual else NUMBERS
    if column.personal in usable or not facts.rows:
        return column
    if not facts.textual:
        return replace(column, personal=None)
    sizes = (32, 40, 64)
    for size in sizes if column.kind is Kind.ID else ():
        if facts.share(rf"^[0-9a-f]{{{size}}}$") >= 0.9:
            return replace(column, personal=f"hex{size}")
    return replace(column, personal=learn_pattern(facts.texts, facts.support.shares, k))


def _levels(facts: Facts, kind: Kind, k: int) -> tuple[Levels, int]:
    """Return the levels held by at least k rows, and the number of rarer ones."""
    kept = np.flatnonzero(facts.support.units >= k)
    if kind is not Kind.ORDINAL:
        kept = kept[np.argsort(-facts.counts[kept], kind="stable")]
    levels = level_values(facts.values.take(pa.array(kept)))
    if facts.order is not None and kind is Kind.ORDINAL:
        levels = [level for level in facts.order if level in set(levels)]
    return Levels(tuple(levels)), len(facts.values) - len(kept)


def _bounds(facts: Facts, k: int) -> Bounds | None:
    """Return the k-th value from each end, rounded inward; None for fewer than 2k rows."""
    if facts.support.total < max(2 * k, 1):
        return None
    if not pa.types.is_temporal(facts.type):
        low, high = clipped(facts.numbers, facts.support, k, round_numbers)
        return Bounds(_number(low, facts), _number(high, facts))
    low, high = clipped(wall_clock(facts.values), facts.support, k, round_times)
    return Bounds(iso(low), iso(high))


def _number(value: Any, facts: Facts) -> int | float:
    return int(value) if pa.types.is_integer(facts.type) else float(value)
