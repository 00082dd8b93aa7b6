"""Values to integer codes and back: the only place where a cell's value is known.

Every column becomes one column of small integers. A number or a date falls in a *cell* of the
line: an atom (one value that many rows share) or an interval. A category is a level. An id or
personal column is only "there" or "missing", since its values are invented afresh. A null, where
enough rows have one, is the last code. Cells and levels rest on at least k rows each, so what is
built from the codes, and the codec itself, obeys the disclosure control.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Codes
from privsynth.coding.cells import Cells
from privsynth.coding.determined import DeterminedCodes, mapped
from privsynth.coding.levels import LevelCodes
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.errors import ArtefactError, SamplingError, SchemaError, did_you_mean
from privsynth.files.documents import only
from privsynth.schema import Bounds, Column, Kind, Levels, Schema
from privsynth.table import arrow_type

__all__ = ["Codec", "Coding", "spare", "with_determined"]
MAX_CELLS = 256
MAX_INTEGER_CLASSES = 10


Coding: TypeAlias = Cells | LevelCodes | SurrogateCodes | DeterminedCodes
CODINGS: dict[str, type[Cells] | type[LevelCodes] | type[SurrogateCodes]] = {
    "cells": Cells,
    "levels": LevelCodes,
    "surrogates": SurrogateCodes,
}
DETERMINED = "determined"


def spare(coding: Coding) -> int:
    """Return the number of codes at the end that stand for unknown and for missing values."""
    return (isinstance(coding, LevelCodes) and coding.pooled) + bool(coding.nullable)


@dataclass(frozen=True, eq=False)
class Codec:
    """One coding for each column: encodes a whole table, and decodes it.

    Parameters
    ----------
    codings : tuple of Coding
        One a column, in the table's order.
    target : int or None
        The position of the target.
    """

    codings: tuple[Coding, ...]
    target: int | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many codes each column has."""
        return tuple(coding.size for coding in self.codings)

    @property
    def classes(self) -> bool:
        """Whether the target is discrete, so that to predict it is to classify."""
        if self.target is None:
            return False
        coding = self.codings[self.target]
        if isinstance(coding, Cells):
            most = MAX_INTEGER_CLASSES if coding.low.dtype == np.int64 else 2
            return bool(coding.atoms.all()) and len(coding.low) <= most
        return isinstance(coding, LevelCodes)

    @property
    def label(self) -> int | None:
        """The position of the target if it is discrete: the column whose classes are predicted."""
        return self.target if self.classes else None

    @property
    def schema(self) -> pa.Schema:
        """The names and storage types of the columns, to which what `decode` gives can be cast."""
        return pa.schema(
            [(coding.name, arrow_type(coding.column.dtype)) for coding in self.codings]
        )

    def encode(
        self, rows: pa.Table | pa.RecordBatch, dtype: npt.DTypeLike = np.int32
    ) -> npt.NDArray[Any]:
        """Return the codes of rows that hold at least the codec's columns.

        Parameters
        ----------
        rows : pyarrow.Table or RecordBatch
        dtype : dtype, default=int32
            A type of integers that holds every code.

        Returns
        -------
        ndarray of `dtype`, shape (rows, columns)
            In column-major order, since engines read it by column.
        """
        codes = np.empty((rows.num_rows, len(self.codings)), dtype=dtype, order="F")
        for j, coding in enumerate(self.codings):
            codes[:, j] = _encoded(coding, rows.column(coding.name))
        return codes

    def decode(self, codes: Codes, rng: np.random.Generator, *, start: int = 0) -> pa.Table:
        """Return values for codes.

        Parameters
        ----------
        codes : Codes, shape (rows, columns)
        rng : numpy.random.Generator
            Draws the values inside cells and the surrogates.
        start : int
            The number of the first row in the whole table, so that unique surrogates are unique.

        Returns
        -------
        pyarrow.Table
            Columns of levels or of atoms alone come as dictionary arrays, whatever type they are
            stored as: their codes are the rows' and nothing is copied. A writer takes them as
            they are; ``.cast(codec.schema)`` gives plain columns.
        """
        return pa.table(
            [
                coding.decode(codes[:, of], rng, start)
                for coding, of in zip(self.codings, self._read_from, strict=True)
            ],
            names=[coding.name for coding in self.codings],
        )

    @cached_property
    def _read_from(self) -> list[int]:
        """The position of the column whose codes give each column's values."""
        names = [coding.name for coding in self.codings]
        return [
            names.index(coding.by.name) if isinstance(coding, DeterminedCodes) else j
            for j, coding in enumerate(self.codings)
        ]

    def conditions(self, where: Mapping[str, Any]) -> dict[int, int]:
        """Translate conditions on columns to positions and codes.

        Raises
        ------
        SamplingError
            No such column, no such level, a column of surrogates, or two conditions that
            contradict each other.
        """
        names = [coding.name for coding in self.codings]
        for name in where:
            if name not in names:
                raise SamplingError(f"no column {name!r} to ask for{did_you_mean(name, names)}")
        code_at: dict[int, int] = {}
        for name, value in where.items():
            j = names.index(name)
            code = self.codings[j].code_of(value)
            if code_at.setdefault(self._read_from[j], code) != code:
                raise SamplingError(
                    f"column {name!r}: no row meets this condition and that on another column; "
                    "drop one of them"
                )
        return code_at

    def followed(self, rows: pa.Table) -> pa.Table:
        """Recompute the determined columns of decoded rows.

        For whoever puts other levels in rows than those that were decoded.
        """
        for j, coding in enumerate(self.codings):
            if isinstance(coding, DeterminedCodes):
                follows = coding.follow(rows.column(coding.by.name))
                rows = rows.set_column(j, coding.name, follows)
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as JSON values; the schema is saved beside it."""
        kinds: dict[type, str] = {kind: name for name, kind in CODINGS.items()}
        kinds[DeterminedCodes] = DETERMINED
        return {
            "target": self.target,
            "codings": [{"type": kinds[type(c)], **c.to_dict()} for c in self.codings],
        }

    @classmethod
    def from_dict(cls, schema: Schema, state: Mapping[str, Any]) -> Codec:
        """Rebuild the codec of `schema`.

        Raises
        ------
        ArtefactError
            It is none, or says otherwise than the schema.
        """
        only(state, {"target": True, "codings": True}, "codec")
        entries = state["codings"]
        target = None if schema.target is None else schema.names.index(schema.target.name)
        if not isinstance(entries, list) or len(entries) != len(schema):
            raise ArtefactError("the codec and the schema do not fit each other; fit anew")
        if state["target"] != target or isinstance(state["target"], bool):
            raise ArtefactError("the codec and the schema name two targets; fit the model anew")
        for column, entry in zip(schema, entries, strict=True):
            if not isinstance(entry, dict) or not _fits(column, entry):
                raise ArtefactError(
                    f"the codec and the schema differ on column {column.name!r}; fit anew"
                )
        modelled = {
            column.name: CODINGS[entry["type"]].from_dict(column, _untyped(entry))
            for column, entry in zip(schema, entries, strict=True)
            if column.determined_by is None
        }
        codec = cls(with_determined(schema, modelled), target)
        codec._rehearse()
        return codec

    def _rehearse(self) -> None:
        """Decode each code of each column once, so that what is loaded can be drawn."""
        rng = np.random.default_rng(0)
        for coding, of in zip(self.codings, self._read_from, strict=True):
            codes = np.arange(self.codings[of].size, dtype=np.int32)
            dtype = arrow_type(coding.column.dtype)
            coding.decode(codes, rng).cast(dtype)


def _fits(column: Column, entry: Mapping[str, Any]) -> bool:
    """Whether a coding has the type that the schema asks for; see `learn` and `declared_codec`."""
    given = entry.get("type")
    if column.determined_by is not None:
        return entry == {"type": DETERMINED}
    if given == "levels" and not entry.get("levels"):
        return True  # all of it is missing
    if column.kind.surrogate:
        return bool(given == "surrogates")
    if column.kind.continuous and not isinstance(column.domain, Levels):
        # A lone cell is that of too few rows for bounds.
        few = isinstance(entry.get("low"), list) and len(entry["low"]) == 1
        return given == "cells" and (few or isinstance(column.domain, Bounds))
    return given == "levels" and (isinstance(column.domain, Levels) or column.kind is Kind.BOOLEAN)


def _untyped(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "type"}


def with_determined(schema: Schema, modelled: Mapping[str, Coding]) -> tuple[Coding, ...]:
    """Return the codings of all columns, given those of the modelled ones.

    Parameters
    ----------
    schema : Schema
    modelled : mapping of str to Coding
        By the names of the columns that follow from no other.

    Raises
    ------
    SchemaError
        A column follows from one that is not modelled by levels, or a value is not of its type.
    """

    def follows(column: Column, by: Coding) -> DeterminedCodes:
        place = f"schema, column {column.name!r}"
        if not isinstance(by, LevelCodes):
            raise SchemaError(f"{place}: {by.name!r} has no levels to be determined by; list them")
        try:
            mapped(column)
        except SchemaError as error:
            raise SchemaError(f"{place}: {error}") from None
        return DeterminedCodes(column, by)

    return tuple(
        modelled[column.name]
        if column.determined_by is None
        else follows(column, modelled[column.determined_by])
        for column in schema
    )


def _encoded(coding: Coding, column: pa.Array | pa.ChunkedArray) -> Codes:
    """Encode a column; for a dictionary column, encode the dictionary and look the codes up."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not pa.types.is_dictionary(values.type) or len(values.dictionary) >= len(values):
        return coding.encode(values)
    with_null = pa.concat_arrays([values.dictionary, pa.nulls(1, values.dictionary.type)])
    codes = coding.encode(with_null)
    return codes.take(np.asarray(pc.fill_null(values.indices, len(codes) - 1)))
