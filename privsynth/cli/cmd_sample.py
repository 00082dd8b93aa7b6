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
    help="Number of rows to draw.",
)
@click.option("-o", "--output", metavar="OUT", required=True, help="Table to write; - is stdout.")
@click.option(
    "--where",
    multiple=True,
    metavar="COL=VALUE",
    help="Draw only rows in which COL is VALUE; an empty VALUE means missing. Repeatable.",
)
@click.option(
    "--balance",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="RATIO",
    help="Fewest rows of each class per row of the most frequent one: 1 makes classes equal.",
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

    A condition on the target is drawn directly; other conditions are met by drawing and
    rejecting, up to a limit. Classes keep their shares of the training rows unless --balance
    raises them.
    """
    from privsynth import pipeline
    from privsynth.sampler import chosen_seed
    from privsynth.table import check_distinct, check_output

    conditions = parsed_conditions(where)
    check_distinct({"MODEL": model}, {"--output": output})
    check_output(output)
    fitted = pipeline.load(model)
    used_seed = chosen_seed(seed)
    with voice.progress() as progress:
        pipeline.sample(
            fitted,
            rows,
            seed=used_seed,
            where=conditions,
            balance=balance,
            output=output,
            escape=escape is None,
            progress=progress,
        )
    if seed is None:
        voice.say_seed(used_seed)
    if output != "-":
        voice.say(f"{output}: {rows:,} synthetic rows")
