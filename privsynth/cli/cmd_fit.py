"""The command `privsynth fit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from privsynth.cli.options import (
    FILE,
    SEED,
    budget_of,
    budget_options,
    data_option,
    encoding_option,
    engine_option,
    escape_option,
    k_option,
    schema_option,
    set_option,
    target_option,
)
from privsynth.cli.results import model_lines
from privsynth.cli.terminal import Command, Voice
from privsynth.errors import UsageError
from privsynth.files import check_writable

if TYPE_CHECKING:
    from privsynth.config import RunConfig


@click.command(cls=Command)
@data_option
@click.option(
    "-o", "--output", type=FILE, metavar="MODEL", required=True, help="Model file to write."
)
@engine_option
@target_option
@schema_option
@click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="YAML file with the same settings; the command line takes precedence.",
)
@set_option
@k_option
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="SHARE",
    help="Share of the rows to set aside before anything is learnt; needs --holdout-output.",
)
@click.option(
    "--holdout-after",
    metavar="DATE",
    help="Instead of a share: set the rows at or after this date aside, such as 2024-01-31; needs "
    "--holdout-column and --holdout-output.",
)
@click.option(
    "--holdout-column",
    metavar="COL",
    help="Column of dates or times that is compared with it.",
)
@click.option(
    "--holdout-output",
    metavar="FILE",
    help="Table to write the rows set aside. It holds real rows.",
)
@click.option(
    "--seed", type=SEED, metavar="N", help="Same seed, same model.  [default: drawn and printed]"
)
@encoding_option
@escape_option
@budget_options
@click.option(
    "--minority",
    is_flag=True,
    default=None,
    help="Learn only the rows of classes other than the most frequent one; needs a target.",
)
@click.option(
    "--allow-rows", is_flag=True, help="Save a model even if its engine keeps training rows."
)
@click.pass_obj
def fit(
    voice: Voice,
    /,
    data: str,
    output: Path,
    config: Path | None,
    assignments: tuple[str, ...],
    allow_rows: bool,
    **given: Any,
) -> None:
    """Learn a model of DATA and save it.

    The model file holds parameters only, under disclosure control: nothing in it rests on fewer
    than k rows. It carries no formal guarantee, and says so. With --epsilon it carries one: the
    model is learnt from noisy counts, and the schema declares the domain of every column.
    """
    from privsynth.config import RunConfig, parse_setting

    run = RunConfig() if config is None else RunConfig.from_yaml(config)
    run = run.override(dict(parse_setting(text) for text in assignments), **given)
    _check_holdout(run)
    for key in ("sampling_strategy", "fit_on", "selection"):
        if getattr(run, key) != "auto":
            raise UsageError(
                f"{key!r} is a setting of 'privsynth augment', and changes nothing in a fit; "
                "leave it out"
            )
    budget = budget_of(run)
    from privsynth import pipeline, table

    table.check_distinct(
        {"DATA": data, "--schema": run.schema, "--config": config},
        {"--output": output, "--holdout-output": run.holdout_output, "--ledger": run.ledger},
    )
    check_writable(output)

    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        model = pipeline.fit(
            data,
            engine=run.engine,
            target=run.target,
            schema=run.schema,
            unit=run.unit,
            k=run.k,
            seed=run.seed,
            settings=run.settings,
            encoding=run.encoding,
            escape=run.escape,
            holdout=run.holdout,
            holdout_after=run.holdout_after,
            holdout_column=run.holdout_column,
            holdout_output=run.holdout_output,
            minority=run.minority,
            budget=budget,
            ledger=run.ledger,
            new_ledger=run.new_ledger,
            progress=progress,
        )
        model.save(output, allow_rows=allow_rows)
    for line in model_lines(model):
        voice.say(line)
    if run.seed is None and model.ledger.budget is None and model.card.seed is not None:
        voice.say_seed(model.card.seed)
    voice.say(f"{output}: saved")


def _check_holdout(run: RunConfig) -> None:
    """Refuse a part of a holdout without the others, and two ways to set one aside."""
    if (run.holdout_after is None) != (run.holdout_column is None):
        raise UsageError(
            "--holdout-after and --holdout-column belong together; give both or neither"
        )
    if run.holdout is not None and run.holdout_after is not None:
        raise UsageError("--holdout and --holdout-after exclude each other; give one of them")
    if run.holdout_after is not None and run.holdout_output is None:
        raise UsageError("--holdout-after needs --holdout-output, where the rows are written")
    if run.holdout_after is None and (run.holdout is None) != (run.holdout_output is None):
        raise UsageError(
            "--holdout or --holdout-after, and --holdout-output belong together; give both or "
            "neither"
        )
