"""Options that several commands share, and how their values are parsed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from privsynth.errors import UsageError

if TYPE_CHECKING:
    from privsynth.config import RunConfig
    from privsynth.privacy import Budget


FILE = click.Path(path_type=Path)
data_option = click.argument("data")
target_option = click.option("--target", metavar="COL", help="Column to predict.")
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
    help="Learn with differential privacy at this epsilon, such as 1; needs a --schema that "
    "declares every domain.",
)
delta_option = click.option("--delta", type=float, metavar="D", help="Its delta.  [default: 1e-6]")
unit_option = click.option(
    "--unit",
    metavar="COL",
    help="Column that names persons with several rows: all rows of one are protected together, "
    "with and without --epsilon; 'row' means each row alone.  [default: row]",
)
judged_unit_option = click.option(
    "--unit",
    metavar="COL",
    help="Column that names persons with several rows: attacks and policy judge persons, not "
    "rows; 'row' means each row alone.  [default: the model's or schema's]",
)
rows_per_unit_option = click.option(
    "--rows-per-unit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Largest number of rows of one unit to learn from, chosen at random.  [default: 1]",
)
ledger_option = click.option(
    "--ledger",
    type=FILE,
    metavar="FILE",
    help="File in which the owner of the data records what every fit spends; a fit that would "
    "exceed its total is refused.",
)
new_ledger_option = click.option(
    "--new-ledger",
    is_flag=True,
    default=None,
    help="Create the file of --ledger with this budget as its total; it must not exist yet.",
)
BUDGET_OPTIONS = (
    epsilon_option,
    delta_option,
    unit_option,
    rows_per_unit_option,
    ledger_option,
    new_ledger_option,
)


def budget_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a privacy budget to a command, in the order of its help."""
    for option in reversed(BUDGET_OPTIONS):
        command = option(command)
    return command


encoding_option = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of CSV, TSV and JSON-lines input; other files have none.  [default: utf-8]",
)
encodings_option = click.option(
    "--encoding",
    metavar="NAME",
    help="Text encoding of the input files that are not UTF-8.  [default: utf-8]",
)
escape_option = click.option(
    "--no-escape",
    "escape",
    flag_value=False,
    default=None,
    help="Write and read CSV and TSV unchanged. By default text that a spreadsheet would run as a "
    "formula is written with a ' before it, which is removed on reading.",
)
schema_option = click.option(
    "--schema",
    type=FILE,
    metavar="FILE",
    help="Reviewed schema; what it declares takes precedence over what is inferred.",
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
    """Parse a sampling strategy: JSON, or a plain word."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        if text.strip().startswith("{"):
            raise UsageError(
                '--sampling-strategy is not JSON; give rows by class, such as {"bad": 500}'
            ) from None
        return text.strip()


def parsed_conditions(texts: tuple[str, ...]) -> dict[str, str | None] | None:
    """Parse each ``COL=VALUE``; an empty value means a missing one."""
    conditions: dict[str, str | None] = {}
    for text in texts:
        column, equals, value = text.partition("=")
        if not (equals and column):
            raise UsageError("--where does not have the form COL=VALUE; give one such as Class=bad")
        if column in conditions:
            raise UsageError(f"--where names column {column!r} twice; give each column once")
        conditions[column] = value or None
    return conditions or None


def budget_of(run: RunConfig) -> Budget | None:
    """Return the budget of a run, or None without --epsilon."""
    from privsynth.privacy import Budget

    if run.epsilon is not None:
        return Budget(run.epsilon, run.delta, rows_per_unit=run.rows_per_unit)
    for option, value, default in (
        ("--delta", run.delta, 1e-6),
        ("--rows-per-unit", run.rows_per_unit, 1),
        ("--ledger", run.ledger, None),
        ("--new-ledger", run.new_ledger, False),
    ):
        if value != default:
            raise UsageError(f"{option} is part of a privacy budget; give --epsilon too")
    return None
