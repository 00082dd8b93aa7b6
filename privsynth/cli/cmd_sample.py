"""The command `privsynth sample`."""

from __future__ import annotations

from pathlib import Path

import click

from privsynth.cli.options import FILE, SEED, escape_option, parsed_conditions
from privsynth.cli.terminal import Command, Voice


@click.command(cls=Command)
@click.argument("model", type=FILE)
@click.option(
    "-n",
    "--rows",
    type=click.IntRange(min=1),
    metavar="ROWS",
    required=True,
    help="How many, in all.",
)
@click.option("-o", "--output", metavar="OUT", required=True, help="Table to write; - is stdout.")
@click.option(
    "--where",
    multiple=True,
    metavar="COL=VALUE",
    help="Give only rows in which the column has the value; no value is a missing one. Repeatable.",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="RATIO",
    help="Least rows of each class for each row of the most frequent one: 1 for equally many.",
)
@click.option(
    "--seed", type=SEED, metavar="N", help="Same seed, same rows.  [default: drawn and printed]"
)
@escape_option
@click.pass_obj
def sample(
    voice: Voice,
    /,
    model: Path,
    rows: int,
    output: str,
    where: tuple[str, ...],
    balance: float | None,
    seed: int | None,
    escape: bool | None,
) -> None:
    """Draw synthetic rows from MODEL.

    Conditions on the target are exact and cost only the rows asked for; others are met by
    drawing and rejecting, within a bound. Classes have their shares in the training rows, or
    those that --balance asks for.
    """
    from privsynth import pipeline
    from privsynth.sampler import chosen_seed
    from privsynth.table import check_distinct, check_output

    conditions = parsed_conditions(where)
    check_distinct({"MODEL": model}, {"--output": output})
    check_output(output)
    fitted = pipeline.load(model)
    chosen = chosen_seed(seed)
    with voice.progress() as progress:
        pipeline.sample(
            fitted,
            rows,
            seed=chosen,
            where=conditions,
            balance=balance,
            output=output,
            escape=escape is None,
            progress=progress,
        )
    if seed is None:
        voice.say_seed(chosen)
    if output != "-":
        voice.say(f"{output}: {rows:,} synthetic rows")
