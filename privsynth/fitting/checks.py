"""Checks before a fit: of the engine against the budget, and of the rows that are to be learnt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from privsynth.coding import MAX_INTEGER_CLASSES
from privsynth.engines import ENGINES, PRIVATE, PrivateSynthesizer, Synthesizer, traits
from privsynth.errors import DataError, UsageError
from privsynth.packages import need
from privsynth.privacy import Budget, check_presence
from privsynth.schema import Column, Kind, Role, Schema, Unit, agreed_unit
from privsynth.table import Table

__all__ = [
    "check_classes",
    "check_engine",
    "check_k",
    "check_private",
    "check_rows",
    "check_target",
    "named_unit",
]


def check_private(
    name: str,
    synthesizer: Synthesizer,
    budget: Budget | None,
    spending_file: str | Path | None = None,
    new_spending_file: bool = False,
) -> None:
    """Refuse an engine that does not fit the budget, and a spending file without a budget.

    Raises
    ------
    UsageError
    MissingExtraError
        The engine needs a package that is not installed.
    """
    need(f"the engine {name}", *traits(name).needs)
    _check_budget(budget)
    if budget is not None:
        need("a privacy budget", "opendp")
    if budget is None and traits(name).budget == "required":
        raise UsageError(
            f"{name} needs a privacy budget; give one with --epsilon, or choose "
            "another engine, such as cart"
        )
    if budget is not None and not isinstance(synthesizer, PrivateSynthesizer):
        raise UsageError(
            f"{name} gives no formal guarantee, and a budget is given; choose one of "
            f"{', '.join(PRIVATE)}, copula, or drop --epsilon"
        )
    if budget is None and spending_file is not None:
        raise UsageError(
            "a ledger is given without a budget, whose spending it records; give --epsilon too"
        )
    if new_spending_file and spending_file is None:
        raise UsageError("--new-ledger is given, and no ledger is named; name it with --ledger")
    if spending_file is not None:
        check_presence(spending_file, new_spending_file)


def _check_budget(budget: object) -> None:
    if not isinstance(budget, Budget | None):
        raise UsageError(
            f"the budget is given as {type(budget).__name__}; expected one such as Budget(1.0)"
        )


def check_k(k: int | None, engine: str, budget: Budget | None) -> None:
    """Refuse a k that would have no effect.

    Raises
    ------
    UsageError
    """
    if k is not None and traits(engine).holds_rows:
        raise UsageError(
            f"k is given, and {engine} draws between real rows, which k does not control; leave k "
            "out"
        )
    if k is not None and budget is not None:
        raise UsageError(
            "k and a budget are given, and noise replaces disclosure control under a budget; leave "
            "k out, or drop --epsilon"
        )


def named_unit(
    unit: Any, declared: Schema | None, budget: Budget | None, target: str | None = None
) -> tuple[Schema | None, Budget | None]:
    """Return a schema and a budget that both name the privacy unit, wherever it is given.

    Parameters
    ----------
    unit : str, mapping or None
        As `Unit.parse` reads it.
    declared : Schema, optional
    budget : Budget, optional
    target : str, optional
        Under a budget it cannot be the unit; without one the schema refuses that.

    Raises
    ------
    UsageError
        Two places disagree, or a budget is to protect rows although a declared column seems to
        name persons with several rows each.
    """
    _check_budget(budget)
    given = {
        "--unit": None if unit is None else Unit.parse(unit, "--unit"),
        "the schema": None if declared is None else declared.unit,
        "the budget": Unit.parse(budget.unit) if budget and budget.answered else None,
    }
    agreed = agreed_unit(given)
    if budget is not None:
        if agreed is None:
            _check_rows_are_units(declared)
        elif agreed.column == "row":
            raise UsageError(
                "under a budget 'row' always means a row; rename the column called row, and name "
                "it by its new name"
            )
        # Built anew, so that a budget for rows is held against its rows_per_unit.
        name = None if agreed is None else agreed.column
        if name is not None and name in (target, declared and _label(declared)):
            raise UsageError(f"column {name!r} is both the unit and the target; name another")
        return declared, replace(budget, unit=name or "row")
    if agreed is None:
        return declared, budget
    return replace(Schema(()) if declared is None else declared, unit=agreed), budget


def _label(declared: Schema) -> str | None:
    return None if declared.target is None else declared.target.name


def _check_rows_are_units(declared: Schema | None) -> None:
    """Refuse to guess the unit; the declared schema alone decides, since rows would disclose."""
    for column in declared or ():
        names = column.kind in (Kind.ID, Kind.PERSONAL) or column.role is Role.KEY
        if names and not column.unique:
            raise UsageError(
                f"column {column.name!r} may name persons with several rows each, and the budget "
                f"does not say whose privacy it keeps; say --unit {column.name} (Python: "
                "unit=...), or --unit row for each row alone, or declare the column 'unique: true'"
            )


def check_engine(name: str, minority: bool) -> None:
    """Refuse an engine for the minority alone if the whole table is to be learnt."""
    if traits(name).holds_rows and not minority:
        raise UsageError(
            f"{name} makes rows of the minority alone: fit it with --minority, use "
            f"'privsynth augment', or choose one of {', '.join(ENGINES)}"
        )


def check_rows(train: Table, k: int) -> None:
    """Refuse a table of fewer than 2 k rows, or units."""
    if train.units is not None and train.n_units < 2 * k:
        raise DataError(
            f"{train.name}: has {train.n_units} privacy units to train on, and at least {2 * k} "
            f"are needed at k = {k}; give more units or lower --k"
        )
    if train.n_rows < 2 * k:
        raise DataError(
            f"{train.name}: has {train.n_rows} rows to train on, and at least {2 * k} are needed "
            f"at k = {k}; give more rows or lower --k"
        )


def check_target(train: Table, schema: Schema, k: int, minority: bool) -> None:
    """Refuse a target with nulls, with one class, or with a class of fewer than k rows or units."""
    target = schema.target
    if target is None:
        return
    _, counts, nulls = train.value_counts(target.name)
    check_classes(train, target.name, 2 if minority else len(counts), nulls)
    held = train.support(target.name).units
    if _discrete(target, len(counts)) and held.min() < k:
        raise DataError(
            f"{train.name}, column {target.name!r}: {int((held < k).sum())} of {len(counts)} "
            f"classes have fewer than {k} {'rows' if train.units is None else 'privacy units'}; "
            "merge or drop them, or lower --k (the card will say so)"
        )


def check_classes(train: Table, target: str, classes: int, nulls: int) -> None:
    """Refuse a target with nulls or with one class."""
    place = f"{train.name}, column {target!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if classes < 2:
        raise DataError(f"{place}: the target has one value, and two are needed; choose another")


def _discrete(target: Column, classes: int) -> bool:
    few = target.kind is Kind.INTEGER and classes <= MAX_INTEGER_CLASSES
    return few or target.kind in (Kind.BOOLEAN, Kind.CATEGORICAL, Kind.ORDINAL)
