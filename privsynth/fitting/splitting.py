"""Set rows aside before anything is learnt, and choose the rows that are learnt."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding import as_declared, check_declared, decoded, unit_indices
from privsynth.errors import DataError, UsageError, did_you_mean
from privsynth.fitting.checks import check_classes
from privsynth.fitting.moments import sides_of
from privsynth.privacy import Budget
from privsynth.schema import Schema, infer
from privsynth.table import Table, arrow_type, distinct, value_type
from privsynth.task import After, FitTask

__all__ = [
    "Parts",
    "at_most_per_unit",
    "class_numbers",
    "minority_rows",
    "set_aside",
    "some_of_each",
    "split",
    "split_after",
    "split_after_privately",
    "split_privately",
    "unit_numbers",
]

ROW = "row"
"""The unit that is no column."""
MAX_STRATA = 50
"""A target with more values does not stratify the holdout."""


class Parts(NamedTuple):
    """A table in two: the rows to learn from, and those set aside.

    Parameters
    ----------
    train : Table
    holdout : Table or None
    dropped_rows : int
        How many rows are in neither, since earlier rows of their units are in `train`.
    dropped_units : int
        How many units these rows are of.
    """

    train: Table
    holdout: Table | None
    dropped_rows: int = 0
    dropped_units: int = 0


def set_aside(table: Table, task: FitTask, seed: np.random.SeedSequence) -> Parts:
    """Set the holdout of a task aside, if it has one.

    Parameters
    ----------
    table : Table
    task : FitTask
    seed : numpy.random.SeedSequence
        Not used under a budget.

    Raises
    ------
    UsageError
        The share is out of range; or the rows cannot be compared with the date.
    DataError
        A side would be empty.
    """
    if task.budget is None:
        unit = None if task.unit is None else task.unit.column
        if isinstance(task.holdout, After):
            return split_after(table, task.holdout.column, task.holdout.date, unit)
        return Parts(*split(table, task.holdout, task.label, seed, unit))
    if isinstance(task.holdout, After):
        schema = check_declared(task.declared, table.names, table.name)
        return Parts(*split_after_privately(table, schema, task.holdout, task.budget))
    return Parts(*split_privately(table, task.holdout, task.budget))


def split(
    table: Table,
    share: float | None,
    target: str | None,
    seed: np.random.SeedSequence,
    unit: str | None = None,
) -> tuple[Table, Table | None]:
    """Set a share of the units aside, stratified by a target of few values.

    Parameters
    ----------
    table : Table
    share : float, optional
        Between 0 and 1; without it no row is set aside.
    target : str, optional
        A unit is in the stratum of its rarest class; the rarest class is that of the fewest units.
    seed : numpy.random.SeedSequence
    unit : str, optional
        A column: rows of one value are set aside together. A row without a value is a unit of
        its own, and so is every row without `unit`.

    Returns
    -------
    train : Table
    holdout : Table or None

    Raises
    ------
    UsageError
        The share is out of range, or there is no such column.
    DataError
        The table has too few units for it.
    """
    if share is None:
        return table, None
    _check_share(share)
    units = None if unit is None else unit_numbers(table, unit)
    n = table.n_rows if units is None else int(units.max(initial=-1)) + 1
    classes = class_numbers(table, target)
    strata = classes if units is None or classes is None else _rarest(units, classes, n)
    chosen = _share_of_each(strata, n, share, seed)
    if not chosen.any() or chosen.all():
        counted = f"{n} rows" if units is None else f"{n} units in column {unit!r}"
        raise DataError(
            f"{table.name}: has {counted}, too few to set aside {share:.0%} of them; "
            f"give a larger share or more {'rows' if units is None else 'units'}"
        )
    return _parted(table, chosen if units is None else chosen[units])


def split_privately(
    table: Table, share: float | None, budget: Budget
) -> tuple[Table, Table | None]:
    """Set each unit aside by an independent coin, so that no unit affects another.

    Parameters
    ----------
    table : Table
    share : float, optional
        The probability that a unit is set aside.
    budget : Budget
        Names the unit.

    Returns
    -------
    train : Table
    holdout : Table or None
    """
    if share is None:
        return table, None
    _check_share(share)
    units = _budgeted_units(table, budget)
    coins = np.random.default_rng().random(int(units.max(initial=0)) + 1) < share
    return _parted(table, coins[units])


def split_after(table: Table, column: str, date: str, unit: str | None = None) -> Parts:
    """Set the rows at or after a date aside, so that the holdout is later than what is learnt.

    A unit is on one side: in the holdout if its first row is at or after the date, else in train.
    Later rows of a unit in train are dropped. Were they set aside, the unit would be on both
    sides; were they learnt, train would hold rows of the holdout's time.

    Parameters
    ----------
    table : Table
    column : str
        Of dates or times. Rows without one go where their unit's other rows go, else to train.
    date : str
        In ISO 8601; see `privsynth.task.After`.
    unit : str, optional
        As in `split`.

    Returns
    -------
    Parts

    Raises
    ------
    UsageError
        There is no such column, it holds no dates, or the date cannot be read.
    DataError
        A side would be empty.
    """
    after = After(date, column)
    place = f"{table.name}, column {column!r}"
    early, late = sides_of(decoded(table.to_arrow([column]).column(0)), after.moment, place)
    units = np.arange(table.n_rows) if unit is None else unit_numbers(table, unit)
    parts = _in_time(table, early, late, units)
    if not late.any():
        raise DataError(f"{place}: no row is at or after {date}; give an earlier date")
    if not parts.train.n_rows:
        raise DataError(f"{place}: no row is before {date}; give a later date")
    if parts.holdout is None or not parts.holdout.n_rows:
        raise DataError(
            f"{place}: every unit in column {unit!r} with a row at or after {date} has an earlier "
            "row, so no unit can be set aside; give another date, or a share with --holdout"
        )
    return parts


def split_after_privately(
    table: Table, schema: Schema, after: After, budget: Budget
) -> tuple[Table, Table | None]:
    """Set the units aside whose first row is at or after a date; see `split_after`.

    Each unit's own rows decide where it goes, so that no unit decides on another. For the same
    reason the declared column says how a date is read, and a side may be empty.

    Parameters
    ----------
    table : Table
    schema : Schema
        Complete, as `privsynth.coding.check_declared` returns it.
    after : After
    budget : Budget
        Names the unit.

    Raises
    ------
    UsageError
        The schema has no such column, or declares no dates for it.
    """
    if after.column not in schema.names:
        raise UsageError(
            f"schema: no column {after.column!r}{did_you_mean(after.column, schema.names)}"
        )
    declared = schema[after.column]
    # Checked on no rows first: what `as_declared` reads may be of another type than is declared.
    place = f"schema, column {after.column!r}"
    sides_of(pa.array([], value_type(arrow_type(declared.dtype))), after.moment, place)
    moments = as_declared(declared, table.to_arrow([after.column]).column(0))
    early, late = sides_of(moments, after.moment, place)
    parts = _in_time(table, early, late, _budgeted_units(table, budget))
    return parts.train, parts.holdout


def at_most_per_unit(table: Table, budget: Budget) -> Table:
    """Keep as many random rows of each unit as the budget allows; no seed governs the choice.

    Rows with a null in the unit's column belong to one unit.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if budget.unit == ROW:
        return table
    units = _budgeted_units(table, budget)
    return table.take(some_of_each(units, budget.rows_per_unit, np.random.default_rng()))


def some_of_each(
    groups: npt.NDArray[np.int64],
    allowed: int | npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return, ascending, random rows of each group: all of them, or as many as are allowed.

    Parameters
    ----------
    groups : ndarray of int64, shape (rows,)
        The group of each row, from 0 up.
    allowed : int or ndarray of int64, shape (rows,)
        The most rows of each row's group.
    rng : numpy.random.Generator
    """
    order = rng.permutation(len(groups))
    order = order[np.argsort(groups[order], kind="stable")]
    first = np.flatnonzero(np.diff(groups[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return np.sort(order[place < np.broadcast_to(allowed, len(order))[order]])


def minority_rows(table: Table, target: str | None) -> Table:
    """Return the rows of every class but the most frequent one.

    Raises
    ------
    UsageError
        There is no target.
    DataError
        It is missing in some rows, or has one class.
    """
    if target is None:
        raise UsageError("the minority is a class of the target; name it with --target")
    if target not in table.names:
        infer(table, target=target)  # refuses it, and names the columns that are there
    values, counts, nulls = table.value_counts(target)
    check_classes(table, target, len(counts), nulls)
    column = decoded(table.to_arrow([target]).column(0))
    rare = pc.not_equal(column, values[int(counts.argmax())])
    return table.take(np.flatnonzero(np.asarray(rare)))


def _check_share(share: object) -> None:
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise UsageError(f"the holdout share is {share!r}; expected a number between 0 and 1")


def unit_numbers(
    table: Table, column: str, *, missing_together: bool = False
) -> npt.NDArray[np.int64]:
    """Return each row's unit as a number below the number of rows, or of units and one.

    Parameters
    ----------
    table : Table
    column : str
    missing_together : bool
        Whether the rows without a value are one unit, as under a budget, where it hides how many
        they are. By default each is a unit of its own.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if column not in table.names:
        raise UsageError(
            f"the privacy unit is {column!r}; expected 'row' or the name of a column"
            f"{did_you_mean(column, table.names)}"
        )
    values = decoded(table.to_arrow([column]).column(0))
    return unit_indices(values, missing_together=missing_together)[0]


def _budgeted_units(table: Table, budget: Budget) -> npt.NDArray[np.int64]:
    if budget.unit == ROW:
        return np.arange(table.n_rows)
    return unit_numbers(table, budget.unit, missing_together=True)


def class_numbers(table: Table, target: str | None) -> npt.NDArray[np.int64] | None:
    """Return each row's class as a number, if there is a target of few values."""
    if target is None or target not in table.names:
        return None
    if len(table.value_counts(target)[0]) > MAX_STRATA:
        return None
    return _numbered(table.to_arrow([target]).column(0).combine_chunks())


def _rarest(
    units: npt.NDArray[np.int64], classes: npt.NDArray[np.int64], n: int
) -> npt.NDArray[np.int64]:
    """Return the rarest class of each of n units, numbered from the rarest of all."""
    width = int(classes.max(initial=0)) + 1
    pairs = distinct(units * width + classes)
    unit_of, class_of = pairs // width, pairs % width
    holders = np.bincount(class_of, minlength=width)
    rank = np.argsort(np.argsort(holders, kind="stable"))
    rarest = np.full(n, width)
    np.minimum.at(rarest, unit_of, rank[class_of])
    return rarest


def _share_of_each(
    strata: npt.NDArray[np.int64] | None, n: int, share: float, seed: np.random.SeedSequence
) -> npt.NDArray[np.bool_]:
    """Choose a share of n things by chance: of each stratum its share, within one of them."""
    order = np.random.default_rng(seed).permutation(n)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
    # Every 1/share-th of the ordered strata.
    marks = np.floor(np.arange(1, n + 1) * share + 0.5).astype(int)
    chosen = np.zeros(n, dtype=bool)
    chosen[order[np.diff(marks, prepend=0) > 0]] = True
    return chosen


def _in_time(
    table: Table,
    early: npt.NDArray[np.bool_],
    late: npt.NDArray[np.bool_],
    units: npt.NDArray[np.int64],
) -> Parts:
    """Part a table by which rows are early, late or neither; see `split_after`."""
    n = int(units.max(initial=-1)) + 1
    has_early, has_late = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    has_early[units[early]] = True
    has_late[units[late]] = True
    aside = (has_late & ~has_early)[units]
    dropped = late & has_early[units]
    return Parts(
        table.take(np.flatnonzero(~(aside | dropped))),
        table.take(np.flatnonzero(aside)),
        int(dropped.sum()),
        int((has_early & has_late).sum()),
    )


def _parted(table: Table, aside: npt.NDArray[np.bool_]) -> tuple[Table, Table]:
    return table.take(np.flatnonzero(~aside)), table.take(np.flatnonzero(aside))


def _numbered(column: pa.Array) -> npt.NDArray[np.int64]:
    """Encode each value as an integer; null gets a code of its own."""
    encoded = column.dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64)
