"""The command `privsynth evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from privsynth.cli.options import (
    FILE,
    SEED,
    encodings_option,
    escape_option,
    judged_unit_option,
    schema_option,
    target_option,
)
from privsynth.cli.results import print_scores
from privsynth.cli.terminal import Command, Voice
from privsynth.files import check_writable


@click.command(cls=Command)
@click.argument("synthetic")
@click.option(
    "--train", metavar="DATA", required=True, help="Real rows that the model learnt from."
)
@click.option(
    "--holdout",
    metavar="DATA",
    help="Real rows that the model never saw; some verdicts need them.",
)
@target_option
@schema_option
@judged_unit_option
@click.option("--model", type=FILE, metavar="MODEL", help="Model whose schema and target are used.")
@click.option(
    "--policy",
    metavar="NAME",
    help="Exit 1 if attacks find more than it allows: strict, standard, internal, or a YAML file.",
)
@click.option(
    "--audit",
    type=click.Choice(["deep"]),
    help="Refit MODEL's engine with planted rows to measure an empirical epsilon; takes minutes.",
)
@click.option(
    "--records-at-risk",
    metavar="FILE",
    help="Table to write the training rows that SYNTHETIC repeats. It holds real rows.",
)
@click.option("--no-attacks", is_flag=True, help="Leave the attacks out.")
@click.option("-o", "--output", type=FILE, metavar="FILE", help="HTML report to write.")
@click.option("--json", "json_output", type=FILE, metavar="FILE", help="JSON report to write.")
@click.option(
    "--seed", type=SEED, metavar="N", default=0, show_default=True, help="Same seed, same scores."
)
@encodings_option
@escape_option
@click.pass_context
def evaluate(
    ctx: click.Context,
    /,
    synthetic: str,
    train: str,
    holdout: str | None,
    output: Path | None,
    json_output: Path | None,
    schema: Path | None,
    model: Path | None,
    encoding: str | None,
    escape: bool | None,
    records_at_risk: str | None,
    no_attacks: bool,
    **given: Any,
) -> None:
    """Score SYNTHETIC against real rows.

    Prints how faithful and how useful it is, and what attacks find. Scores are computed from the
    real rows and lie outside any guarantee; the reports hold scores and no rows. The verdict is
    that of --policy, and the exit code is 1 if a threshold is missed; without --policy it is that
    of 'standard', which never changes the exit code.
    """
    voice: Voice = ctx.obj
    from privsynth import pipeline, table
    from privsynth.evaluation import policy_file

    table.check_distinct(
        {
            "SYNTHETIC": synthetic,
            "--train": train,
            "--holdout": holdout,
            "--schema": schema,
            "--model": model,
            "--policy": policy_file(given["policy"]),
        },
        {
            "--output": output,
            "--json": json_output,
            "--records-at-risk": records_at_risk,
            "standard output": "-",
        },
    )
    for path in (output, json_output):
        if path is not None:
            check_writable(path)
    with voice.progress() as progress:
        progress("reading the tables", 0, 0)
        report = pipeline.evaluate(
            synthetic,
            train=train,
            holdout=holdout,
            schema=schema,
            model=model,
            encoding=encoding or "utf-8",
            escape=escape is None,
            attacks=not no_attacks,
            records_at_risk=records_at_risk,
            progress=progress,
            **given,
        )
    if output is not None:
        report.to_html(output)
        voice.say(f"{output}: report written")
    if json_output is not None:
        report.to_json(json_output)
        voice.say(f"{json_output}: scores written")
    if records_at_risk is not None:
        voice.say(f"{records_at_risk}: records at risk written; they are real rows")
    print_scores(report, verbose=voice.verbose)
    if report.passed is False:
        ctx.exit(1)
