"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from privsynth.errors import UsageError

if TYPE_CHECKING:
    from privsynth.config import RunConfig
    from privsynth.privacy import Budget


# ---------------------------------------------------------------------------- options


FILE = click.Path(path_type=Path)
data_option = click.argument("data")
target_option = click.option("--target", metavar="COL", help="Column to be predicted.")
k_option = click.option(
    "--k",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Fewest training rows that a level, bin, bound or parameter may rest on; not with a "
    "budget.  [default: 10]",
)
engine_option = click.option(
    "--engine",
    metavar="NAME",
    help="Engine to fit: cart, copula, sdv-gaussian-copula, sdv-ctgan, sdv-tvae or sdv-copula-gan; "
    "under a budget marginals, copula, aim, mst or independent; for the minority also smote, "
    "smotenc, borderline-smote, adasyn or random.  [default: cart]",
)
epsilon_option = click.option(
    "--epsilon",
    type=float,
    metavar="E",
    help="Keep what is learnt to differential privacy with this epsilon, such as 1; needs a "
    "declared --schema.",
)
delta_option = click.option("--delta", type=float, metavar="D", help="Its delta.  [default: 1e-6]")
unit_option = click.option(
    "--unit",
    metavar="COL",
    help="Hide all rows that share a value of this column, not a row alone; 'row' is always a "
    "row, never a column of that name.  [default: row]",
)
rows_per_unit_option = click.option(
    "--rows-per-unit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most rows of one unit to learn from; chance leaves the others out.  [default: 1]",
)
ledger_option = click.option(
    "--ledger",
    type=FILE,
    metavar="FILE",
    help="File in which the owner of the data counts what every fit spends; it may refuse.",
)
new_ledger_option = click.option(
    "--new-ledger",
    is_flag=True,
    default=None,
    help="Open the file of --ledger with this budget as its total; it must not be there yet.",
)
encoding_option = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of CSV, TSV and JSON-lines input; other files have none.  [default: utf-8]",
)
encodings_option = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of those input files that are not UTF-8.  [default: utf-8]",
)
escape_option = click.option(
    "--no-escape",
    "escape",
    flag_value=False,
    default=None,
    help="Write and read CSV and TSV as they are. By default a ' is put before text that a "
    "spreadsheet would run as a formula, and removed when it is read.",
)
schema_option = click.option(
    "--schema",
    type=FILE,
    metavar="FILE",
    help="Reviewed schema; what it declares wins over what is inferred.",
)
set_option = click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hyper-parameter of the engine, as YAML: epochs=30, generator_dim=[128,128]. Repeatable.",
)
SEED = click.IntRange(min=0)


def strategy_option(text: str) -> Any:
    """Read a sampling strategy: JSON, or one plain word."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if text.strip().startswith("{"):
            raise UsageError(
                '--sampling-strategy is no JSON; give rows in all by class, such as {"bad": 500}'
            ) from None
        return text.strip()


def parsed_conditions(texts: tuple[str, ...]) -> dict[str, str | None] | None:
    """Read each ``COL=VALUE``; an empty value is a missing one."""
    conditions: dict[str, str | None] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (equals and column):
            raise UsageError("--where is not of the form COL=VALUE; give one such as Class=bad")
        if column in conditions:
            raise UsageError(f"--where names column {column!r} twice; give each column once")
        conditions[column] = value or None
    return conditions or None


def budget_of(run: RunConfig) -> Budget | None:
    """Return the budget that a run asks for."""
    from privsynth.privacy import Budget

    if run.epsilon is not None:
        rows = run.rows_per_unit
        return Budget(run.epsilon, run.delta, run.unit, rows)
    for option, value, default in (
        ("--delta", run.delta, 1e-6),
        ("--unit", run.unit, "row"),
        ("--rows-per-unit", run.rows_per_unit, 1),
        ("--ledger", run.ledger, None),
        ("--new-ledger", run.new_ledger, False),
    ):
        if value != default:
            raise UsageError(f"{option} is part of a privacy budget; give --epsilon too")
    return None
