"""What a user should know of a fit: the fit returns it, and the verb warns."""

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
from privsynth.schema import Kind, Schema
from privsynth.table import Table, value_type

__all__ = ["Caution", "about_copies", "about_losses", "about_noise", "about_time"]

ROWS_COMPARED = 200_000
"""Copies are not looked for in larger tables."""
MAX_COPIES = 0.5
"""Warn when a larger share of the rows has an exact copy."""
NATURAL = 100
"""With fewer possible rows than this times the distinct ones, copies are no surprise."""
ENOUGH, CLEAR = 20, 3.0
"""Warn when a class's noisy count is below ENOUGH rows, or below CLEAR standard deviations of its
noise."""
MAX_MISSING = 0.5
"""Warn when a larger share of a column is missing or undeclared."""


class Caution(NamedTuple):
    """One thing that a user should know.

    Parameters
    ----------
    kind : {"pooled", "placeholder", "copies", "noise", "holdout"}
        What it is about.
    text : str
        In one line, without a cell's value.
    """

    kind: Literal["pooled", "placeholder", "copies", "noise", "holdout"]
    text: str


def about_losses(codec: Codec, k: int) -> Iterator[Caution]:
    """Yield a caution for each column of which disclosure control leaves nothing."""
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


def about_copies(train: Table, schema: Schema, k: int) -> Iterator[Caution]:
    """Yield a caution if most rows have an exact copy that chance would not have made.

    Disclosure control counts rows: k copies of one person's row pass for k persons.
    """
    columns = [c.name for c in schema if not (c.unique or c.determined_by)]
    if not columns or train.n_rows > ROWS_COMPARED:
        return
    # Numbered, since Arrow takes a name such as ".5" for a path.
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
    """Yield what noisy counts say: delta is too large, a column is lost, a class is drowned."""
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
        declared = coding.size - spare(coding)
        if (lost := float(shares[declared:].sum())) > MAX_MISSING:
            yield Caution(
                "noise",
                f"column {coding.name!r}: about {lost:.0%} of the rows are missing there, or hold "
                "what the schema does not declare; compare its levels, dtype and format",
            )
        if j != codec.label:
            continue
        if not declared:
            yield Caution(
                "noise", f"column {coding.name!r}: no class was found that enough rows hold"
            )
            continue
        rows = np.maximum(np.rint(model.n_rows * shares[:declared]), 0)
        rarest = int(rows.argmin())
        if rows[rarest] < max(ENOUGH, CLEAR * scale):
            (label,) = coding.decode(np.array([rarest], np.int32), np.random.default_rng(0))
            yield Caution(
                "noise",
                f"column {coding.name!r}: class {label} has about {rows[rarest]:.0f} rows "
                f"under the noise, which moves a count by {scale:.2g}; what is drawn of it "
                "says little more than the other classes do",
            )
