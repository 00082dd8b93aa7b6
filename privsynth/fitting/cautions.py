"""Cautions: what a user should know about a fit. Fits return them, and verbs warn of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding import Codec, LevelCodes, spare
from privsynth.engines import PrivateModel
from privsynth.privacy import Budget, Ledger
from privsynth.schema import Kind, Role, Schema, names_persons
from privsynth.table import Table, value_type

__all__ = [
    "Caution",
    "about_copies",
    "about_losses",
    "about_noise",
    "about_time",
    "about_units",
]

ROWS_COMPARED = 200_000
"""Larger tables are not checked for copies."""
MIN_REPEATED = 1.05
"""Rows a value from which an id is taken to repeat; fewer are misspellings and copies."""
MAX_COPIES = 0.5
"""Warn when a larger share of the rows has an exact copy."""
NATURAL = 100
"""Copies are expected by chance below this many possible rows per distinct row."""
ENOUGH, CLEAR = 20, 3.0
"""Warn when a class's noisy count is below ENOUGH rows, or below CLEAR standard deviations of its
noise."""
MAX_MISSING = 0.5
"""Warn when a larger share of a column is missing or undeclared."""


class Caution(NamedTuple):
    """One thing that a user should know about a fit.

    Parameters
    ----------
    kind : {"pooled", "placeholder", "copies", "noise", "units", "holdout"}
        What it is about.
    text : str
        One line, without a cell's value.
    """

    kind: Literal["pooled", "placeholder", "copies", "noise", "units", "holdout"]
    text: str


def about_losses(codec: Codec, k: int) -> Iterator[Caution]:
    """Yield a caution for each column whose values disclosure control replaces entirely."""
    for coding in codec.codings:
        name = f"column {coding.name!r}"
        if coding.column.kind is Kind.TEXT:
            yield Caution(
                "placeholder",
                f"{name} is free text, which is never copied: every value becomes a placeholder",
            )
        elif isinstance(coding, LevelCodes) and coding.pooled and not coding.levels:
            yield Caution(
                "pooled",
                f"{name} has no level that {k} rows hold, so every value becomes '(other)'",
            )


def about_units(
    train: Table,
    schema: Schema,
    consequence: str = "k counts rows, and a person of many rows counts as many",
) -> Iterator[Caution]:
    """Yield a caution where rows seem to be of persons, and no unit is named.

    Also where the units named are rows, or some rows have none.

    Parameters
    ----------
    train : Table
    schema : Schema
    consequence : str
        What it means that no unit is named.
    """
    if schema.unit is not None:
        if schema.unit.column is not None:
            yield from _about_named(train, schema.unit.column)
        return
    if train.units is not None:  # named by no column
        return
    repeated = {}
    for column in schema:
        counts = train.value_counts(column.name)[1]
        rows_of_value = float(counts.sum() / max(len(counts), 1))
        like_an_id = column.kind in (Kind.ID, Kind.PERSONAL) or column.role is Role.KEY
        if (like_an_id or names_persons(column.name, counts)) and rows_of_value >= MIN_REPEATED:
            repeated[column.name] = rows_of_value
    if repeated:
        name = min(repeated, key=lambda name: repeated[name])
        yield Caution(
            "units",
            f"column {name!r} is like an id and repeats ({repeated[name]:.1f} rows a value), and "
            f"no privacy unit is named: {consequence}; "
            f"name the unit with --unit {name} (Python: unit={name!r}), or say --unit row",
        )


def _about_named(train: Table, column: str) -> Iterator[Caution]:
    place = f"column {column!r} names the privacy unit"
    if train.n_units == train.n_rows:
        yield Caution("units", f"{place} and is different in every row, so that each row is a unit")
    elif column in train.names and (missing := train.value_counts(column)[2]):
        yield Caution(
            "units", f"{place} and is missing in {missing:,} rows, each of which is a unit"
        )


def about_copies(train: Table, schema: Schema, k: int) -> Iterator[Caution]:
    """Yield a caution if most rows have an exact copy, beyond what chance explains.

    Disclosure control counts rows, so k copies of one person's row count as k persons.
    """
    columns = [c.name for c in schema if not (c.unique or c.determined_by)]
    if not columns or train.n_rows > ROWS_COMPARED:
        return
    # Columns are numbered, since Arrow reads a name such as ".5" as a path.
    rows = train.to_arrow(columns).rename_columns([str(i) for i in range(len(columns))])
    for i, name in enumerate(rows.column_names):
        if pa.types.is_dictionary(rows.schema.field(i).type):
            plain = value_type(rows.schema.field(i).type)
            # Plain text of many rows may exceed the 2 GiB that a string array holds.
            wide = pa.large_string() if pa.types.is_string(plain) else plain
            rows = rows.set_column(i, name, rows.column(i).cast(wide))
    counts = np.asarray(
        rows.group_by(rows.column_names).aggregate([([], "count_all")])["count_all"]
    )
    possible = math.prod(pc.count_distinct(column, "all").as_py() for column in rows.columns)
    if possible < NATURAL * len(counts):
        return
    share = counts[counts > 1].sum() / train.n_rows
    if share > MAX_COPIES:
        yield Caution(
            "copies",
            f"about {share:.0%} of the rows have an exact copy in the table: to disclosure control "
            f"{k} copies of one person's row are {k} persons; drop the copies, or raise --k",
        )


def about_time(date: str, dropped_rows: int, dropped_units: int) -> Iterator[Caution]:
    """Yield what a holdout of later rows can and cannot judge, and what is in neither table.

    Parameters
    ----------
    date : str
        From which on rows were set aside.
    dropped_rows, dropped_units : int
        As in `privsynth.fitting.splitting.Parts`; 0 under a budget, which allows no such count.
    """
    yield Caution(
        "holdout",
        f"the holdout is the rows at or after {date}: it shows how useful synthetic rows are for "
        "later ones, and how far the table has drifted; attacks that compare training rows with "
        "later ones take drift for membership, so judge privacy by a holdout drawn at random "
        "(--holdout)",
    )
    if dropped_rows:
        rows = "1 row" if dropped_rows == 1 else f"{dropped_rows:,} rows"
        units = "1 unit" if dropped_units == 1 else f"{dropped_units:,} units"
        yield Caution(
            "holdout",
            f"{rows} at or after {date} of {units} with earlier rows were neither learnt nor set "
            "aside; leave them out of the training table that 'evaluate' is given",
        )


def about_noise(
    budget: Budget, codec: Codec, model: PrivateModel, ledger: Ledger
) -> Iterator[Caution]:
    """Yield cautions from noisy counts: large delta, missing values, a class within the noise."""
    if model.n_rows >= 1 and budget.delta >= 1 / model.n_rows:
        yield Caution(
            "noise",
            f"delta is {budget.delta:g}, and one in the number of rows is about "
            f"{1 / model.n_rows:.2g} by the noisy count: so large a delta allows that a whole row "
            "is told; fit with a smaller one",
        )
    scale = min((event.scale for event in ledger.events if event.query == "marginals"), default=0)
    for j, coding in enumerate(codec.codings):
        shares = model.marginal(j)
        if not 1 < len(shares) == coding.size:
            continue
        n_declared = coding.size - spare(coding)
        if (missing := float(shares[n_declared:].sum())) > MAX_MISSING:
            yield Caution(
                "noise",
                f"column {coding.name!r}: about {missing:.0%} of the rows are missing there, or "
                "hold what the schema does not declare; compare its levels, dtype and format",
            )
        if j != codec.label:
            continue
        if not n_declared:
            yield Caution(
                "noise", f"column {coding.name!r}: no class was found that enough rows hold"
            )
            continue
        class_rows = np.maximum(np.rint(model.n_rows * shares[:n_declared]), 0)
        rarest = int(class_rows.argmin())
        if class_rows[rarest] < max(ENOUGH, CLEAR * scale):
            (label,) = coding.decode(np.array([rarest], np.int32), np.random.default_rng(0))
            yield Caution(
                "noise",
                f"column {coding.name!r}: class {label} has about {class_rows[rarest]:.0f} rows "
                f"under the noise, which moves a count by {scale:.2g}; what is drawn of it "
                "says little more than the other classes do",
            )
