"""Privacy units of a table: which rows are whose, and how many rows of one unit count.

Without a budget, k counts units. One unit could still outweigh k others by its many rows, so that
a unit counts at most as many rows of a class as the k-th largest unit of that class has (a
dominance rule; Hundepool et al., *Statistical Disclosure Control*, 2012, section 4.2). Then k
units or more have as many rows as any, and none has more than one in k rows of a class.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import DataError
from privsynth.fitting.cautions import Caution
from privsynth.fitting.splitting import class_numbers, some_of_each, unit_numbers
from privsynth.schema import Unit
from privsynth.table import Table, distinct, kth_largest

__all__ = ["at_most_the_kth", "with_units"]

LARGE = 0.01
"""Say that rows were left out if they are a larger share of the table than this."""


def with_units(table: Table, unit: Unit | None) -> Table:
    """Return a table that knows the unit of each of its rows, where a column names it.

    Raises
    ------
    UsageError
        There is no such column.
    DataError
        It holds one value alone, or floats that are no whole numbers.
    """
    if unit is None or unit.column is None or table.units is not None:
        return table
    name = unit.column
    units = unit_numbers(table, name)
    place = f"{table.name}, column {name!r}"
    values = table.value_counts(name)[0]
    if not len(values):
        raise DataError(
            f"{place}: names the privacy unit, and is missing in every row; name another"
        )
    numbers = pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
    if numbers and not pc.all(pc.equal(values, pc.floor(values))).as_py():
        raise DataError(
            f"{place}: names the privacy unit, and holds fractions; name a column of ids"
        )
    if len(distinct(units)) < 2:
        raise DataError(
            f"{place}: names the privacy unit, and every row has the same value; name a column "
            "that tells units apart"
        )
    return replace(table, units=units)


def at_most_the_kth(
    table: Table, target: str | None, k: int, rng: np.random.Generator
) -> tuple[Table, Caution | None]:
    """Keep as many rows of a unit in a class as the k-th largest unit has there, by chance.

    Parameters
    ----------
    table : Table
    target : str, optional
        A column of few values: its classes.
    k : int
    rng : numpy.random.Generator
        Chooses the rows that are kept.

    Returns
    -------
    Table
    Caution or None
        Where rows were left out.
    """
    if table.units is None:
        return table, None
    n_units = int(table.units.max(initial=0)) + 1
    classes = class_numbers(table, target)
    groups, group, rows = np.unique(
        table.units if classes is None else classes * n_units + table.units,
        return_inverse=True,
        return_counts=True,
    )
    allowed = kth_largest(groups // n_units, rows, k, at_least=1)
    if (rows <= allowed).all():
        return table, None
    kept = some_of_each(group, allowed[group], rng)
    lost = 1 - len(kept) / table.n_rows
    text = (
        f"a unit counts at most as many rows as each of the {k} largest units of its class has "
        f"({int(allowed.max()):,} or fewer), so that about {lost:.0%} of the rows are not learnt"
    )
    return table.take(kept), Caution("units", text) if lost > LARGE else None
