"""The three tables of an evaluation, checked once, with the holdout removed from train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from privsynth.errors import DataError, did_you_mean
from privsynth.evaluation.frames import canonical, modelled
from privsynth.evaluation.overlap import check_overlap, without_holdout
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Tables"]


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
    """

    train: pd.DataFrame
    holdout: pd.DataFrame | None
    synthetic: pd.DataFrame
    notes: tuple[str, ...] = ()

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
            rows.
        """
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
        remaining = without_holdout(train, holdout, schema, notes.append)
        check_overlap(remaining, holdout, schema, notes.append)
        return cls(remaining, holdout, synthetic, tuple(notes))

    @property
    def named(self) -> Mapping[str, pd.DataFrame]:
        """The tables, without a missing holdout, by name."""
        tables = {"train": self.train, "synthetic": self.synthetic}
        return tables if self.holdout is None else {**tables, "holdout": self.holdout}


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
