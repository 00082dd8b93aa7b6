"""Choice of rows: a holdout, a bounded number per unit, the minority."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding import decoded, unit_texts
from privsynth.errors import DataError, UsageError, did_you_mean
from privsynth.fitting.checks import check_classes
from privsynth.privacy import Budget
from privsynth.schema import infer
from privsynth.table import Table

__all__ = ["at_most_per_unit", "minority_rows", "split", "split_privately"]

MAX_STRATA = 50
"""A target with more values does not stratify the holdout."""


def split(
    table: Table, share: float | None, target: str | None, seed: np.random.SeedSequence
) -> tuple[Table, Table | None]:
    """Set a share of the rows aside, stratified by a target of few values.

    Parameters
    ----------
    table : Table
    share : float, optional
        Between 0 and 1; no holdout by default.
    target : str, optional
    seed : numpy.random.SeedSequence

    Returns
    -------
    train : Table
    holdout : Table or None

    Raises
    ------
    UsageError
        The share is out of range.
    DataError
        The table has too few rows for that share.
    """
    if share is None:
        return table, None
    _check_share(share)
    n = table.n_rows
    order = np.random.default_rng(seed).permutation(n)
    if target is not None and target in table.names:
        values, _, _ = table.value_counts(target)
        if len(values) <= MAX_STRATA:
            strata = _numbered(table.to_arrow([target]).column(0).combine_chunks())
            order = order[np.argsort(strata[order], kind="stable")]
    # Every 1/share-th row of the ordered strata, so each stratum gives its share within one row.
    marks = np.floor(np.arange(1, n + 1) * share + 0.5).astype(int)
    chosen = np.diff(marks, prepend=0) > 0
    if not chosen.any() or chosen.all():
        raise DataError(
            f"{table.name}: has {n} rows, too few to set aside {share:.0%} of them; "
            "give a larger share or more rows"
        )
    return table.take(np.sort(order[~chosen])), table.take(np.sort(order[chosen]))


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
    units = np.arange(table.n_rows) if budget.unit == "row" else _units(table, budget.unit)
    coins = np.random.default_rng().random(int(units.max(initial=0)) + 1) < share
    aside = coins[units]
    return table.take(np.flatnonzero(~aside)), table.take(np.flatnonzero(aside))


def at_most_per_unit(table: Table, budget: Budget) -> Table:
    """Keep as many random rows of each unit as the budget allows; no seed governs the choice.

    Rows with a null in the unit's column belong to one unit.

    Raises
    ------
    UsageError
        The unit's column does not exist.
    """
    if budget.unit == "row":
        return table
    units = _units(table, budget.unit)
    order = np.random.default_rng().permutation(len(units))
    order = order[np.argsort(units[order], kind="stable")]
    first = np.flatnonzero(np.diff(units[order], prepend=-1))
    place = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return table.take(np.sort(order[place < budget.rows_per_unit]))


def minority_rows(table: Table, target: str | None) -> Table:
    """Return the rows of every class but the most frequent one.

    Raises
    ------
    UsageError
        There is no target.
    DataError
        The target has nulls or a single class.
    """
    if target is None:
        raise UsageError("the minority is a class of the target; name it with --target")
    if target not in table.names:
        infer(table, target=target)  # raises, and names similar columns
    values, counts, nulls = table.value_counts(target)
    check_classes(table, target, len(counts), nulls)
    column = decoded(table.to_arrow([target]).column(0))
    rare = pc.not_equal(column, values[int(counts.argmax())])
    return table.take(np.flatnonzero(np.asarray(rare)))


def _check_share(share: object) -> None:
    if not isinstance(share, int | float) or not 0 < share < 1:
        raise UsageError(f"the holdout share is {share!r}; expected a number between 0 and 1")


def _units(table: Table, name: str) -> npt.NDArray[np.int64]:
    """Encode each row's unit as an integer; rows with a null belong to one unit."""
    if name not in table.names:
        raise UsageError(
            f"the privacy unit is {name!r}; expected 'row' or the name of a column"
            f"{did_you_mean(name, table.names)}"
        )
    # A dictionary may list a value twice.
    values = decoded(table.to_arrow([name]).column(0)).dictionary_encode()
    unit_codes = unit_texts(values.dictionary).dictionary_encode().indices.take(values.indices)
    return np.asarray(pc.fill_null(unit_codes, len(values.dictionary))).astype(np.int64)


def _numbered(column: pa.Array) -> npt.NDArray[np.int64]:
    """Encode each value as an integer; null gets a code of its own."""
    encoded = column.dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64)
