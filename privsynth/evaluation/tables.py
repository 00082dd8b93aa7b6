"""The three tables of an evaluation, checked once, with the holdout removed from train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from privsynth.errors import DataError, did_you_mean
from privsynth.evaluation.frames import canonical, modelled
from privsynth.evaluation.overlap import check_overlap, without_holdout
from privsynth.evaluation.units import Ints, one_row_each, row_units, unit_codes
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tables", "Units"]

SHARED = 0.01
"""Chance may give so large a share of a holdout's units to persons of the training table, too."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The tables that every evaluator, the scan, the audit and the records at risk read.

    Parameters
    ----------
    train : pandas.DataFrame
        The rows that the model learnt from, without those of the holdout. Its index gives each
        row's position in the user's table.
    holdout : pandas.DataFrame or None
        Real rows that the model never saw.
    synthetic : pandas.DataFrame
    notes : tuple of str
        What a reader must know about the tables.
    units : Units, optional
        The units of the rows, where a column names them.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame | None
    synthetic: pd.DataFrame
    notes: tuple[str, ...] = ()
    units: Units | None = None

    @classmethod
    def of(
        cls,
        train: pd.DataFrame,
        holdout: pd.DataFrame | None,
        synthetic: pd.DataFrame,
        schema: Schema,
        lost: Mapping[str, Mapping[str, int]] | None = None,
    ) -> Self:
        """Check three tables, and remove the holdout's rows from the training table.

        Parameters
        ----------
        train, holdout, synthetic : pandas.DataFrame
        schema : Schema
        lost : mapping of str to mapping of str to int, optional
            By table and column, the number of cells that were not values of their column and so
            are missing.

        Raises
        ------
        DataError
            A table has no rows, its columns are not the schema's, or the holdout holds training
            rows, or more than 1% of its units are in the training table.
        """
        unit = schema.unit_column
        if unit is not None and unit not in synthetic.columns and unit in schema.names:
            synthetic = synthetic.assign(**{unit: None})  # invented, and so not read
        named = {"train": train, "synthetic": synthetic}
        if holdout is not None:
            named["holdout"] = holdout
        for table, frame in named.items():
            _check(frame, schema, table)
        columns = modelled(schema)
        if not columns:
            raise DataError(
                "the schema has only id, personal and text columns, and none of them is compared; "
                "give at least one column another kind"
            )
        notes = [
            note
            for table, frame in named.items()
            for note in _unreadable(frame, columns, table, (lost or {}).get(table, {}))
        ]
        train = train.reset_index(drop=True)
        if unit is None:
            remaining = without_holdout(train, holdout, schema, notes.append)
            check_overlap(remaining, holdout, schema, notes.append)
            return cls(remaining, holdout, synthetic, tuple(notes))
        if unit not in schema.names:
            raise DataError(
                f"the train table has no column {unit!r}, which names the privacy unit"
                f"{did_you_mean(unit, schema.names)}"
            )
        return cls._of_units(train, holdout, synthetic, schema, unit, notes)

    @classmethod
    def _of_units(
        cls,
        train: pd.DataFrame,
        holdout: pd.DataFrame | None,
        synthetic: pd.DataFrame,
        schema: Schema,
        unit: str,
        notes: list[str],
    ) -> Self:
        if holdout is None:
            units = Units(unit, row_units(unit_codes(train[unit])[0]), None)
            return cls(train, None, synthetic, tuple(notes), units)
        codes = unit_codes(train[unit], holdout[unit])
        remaining = without_holdout(train, holdout, schema, notes.append, (codes[0], codes[1]))
        ours, theirs = codes[0][remaining.index.to_numpy()], codes[1]
        apart = _without_shared(ours, theirs, unit, notes)
        holdout, theirs = holdout[apart], theirs[apart]
        units = Units(unit, row_units(ours), row_units(theirs))
        check_overlap(remaining, holdout, schema, notes.append, units.of_all)
        return cls(remaining, holdout, synthetic, tuple(notes), units)

    def one_row_each(self, seed: int) -> Tables:
        """Return tables with one random row of each unit; the synthetic table stays whole."""
        if self.units is None:
            return self
        rng = np.random.default_rng([seed, 0x0E])
        train = one_row_each(self.train, self.units.train, rng)
        if self.holdout is None or self.units.holdout is None:
            return replace(self, train=train, units=None)
        holdout = one_row_each(self.holdout, self.units.holdout, rng)
        return replace(self, train=train, holdout=holdout, units=None)

    @property
    def named(self) -> Mapping[str, pd.DataFrame]:
        """The tables, without a missing holdout, by name."""
        tables = {"train": self.train, "synthetic": self.synthetic}
        return tables if self.holdout is None else {**tables, "holdout": self.holdout}


@dataclass(frozen=True, eq=False)
class Units:
    """The privacy units of an evaluation's real rows.

    Parameters
    ----------
    column : str
        That names them.
    train, holdout : ndarray of int64, shape (rows,)
        The number of each row's unit, from 0 in each table.
    """

    column: str
    train: Ints
    holdout: Ints | None

    @property
    def of_all(self) -> Ints:
        """The units of the training rows, then of the holdout's, numbered without gaps."""
        if self.holdout is None:
            return self.train
        return np.concatenate([self.train, self.holdout + self.counts["train"]])

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of units by table."""
        named = {"train": self.train, "holdout": self.holdout}
        return {
            name: int(units.max(initial=-1)) + 1
            for name, units in named.items()
            if units is not None
        }


def _without_shared(ours: Ints, theirs: Ints, unit: str, notes: list[str]) -> npt.NDArray[np.bool_]:
    """Return which holdout rows are of units that the training table does not have.

    Raises
    ------
    DataError
        More units are in both tables than chance explains where ids are not global.
    """
    in_both = np.isin(theirs, ours) & (theirs >= 0)
    shared, units = len(np.unique(theirs[in_both])), int(row_units(theirs).max()) + 1
    if shared > SHARED * units:
        raise DataError(
            f"the holdout table shares {shared:,} of its {units:,} units of column {unit!r} with "
            "the train table, so that it holds rows of persons whom the model has seen; set whole "
            f"units aside with 'privsynth fit --holdout SHARE --unit {unit}'"
        )
    if shared:
        notes.append(
            f"{shared:,} of {units:,} units of column {unit!r} in the holdout are in the training "
            f"table, too; their {int(in_both.sum()):,} rows were taken out of the holdout"
        )
    return ~in_both


def _check(frame: pd.DataFrame, schema: Schema, table: str) -> None:
    if not len(frame):
        raise DataError(f"the {table} table has no rows; expected at least one")
    names = [str(name) for name in frame.columns]
    for name in schema.names:
        if names.count(name) != 1:
            count = "no" if name not in names else "more than one"
            raise DataError(
                f"the {table} table has {count} column {name!r}; expected one"
                f"{did_you_mean(name, names)}"
            )
    for name in names:
        if name not in schema.names:
            raise DataError(
                f"the {table} table has a column {name!r} that the schema does not have; leave "
                f"it out{did_you_mean(name, schema.names)}"
            )


def _unreadable(
    frame: pd.DataFrame, columns: Sequence[Column], table: str, lost_earlier: Mapping[str, int]
) -> list[str]:
    unread = canonical(frame, columns).isna().sum() - frame[[c.name for c in columns]].isna().sum()
    lost = {
        column.name: unread[column.name] + lost_earlier.get(column.name, 0) for column in columns
    }
    return [
        f"column {column.name!r} of the {table} table: {lost[column.name]:,} cells are no "
        f"{column.kind} and count as missing"
        for column in columns
        if lost[column.name] > 0
    ]
