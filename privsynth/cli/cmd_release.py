"""The command `privsynth release`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from privsynth.cli.options import FILE, SEED, encodings_option, escape_option, judged_unit_option
from privsynth.cli.terminal import Command, Voice, one_line


@click.command(cls=Command)
@click.argument("model", type=FILE)
@click.option("-n", "--rows", type=click.IntRange(min=1), metavar="ROWS", required=True)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="DIR",
    required=True,
    help="Folder to write the release to.",
)
@click.option(
    "--train", metavar="DATA", required=True, help="Real rows that the model learnt from."
)
@click.option("--holdout", metavar="DATA", help="Real rows that the model never saw.")
@judged_unit_option
@click.option(
    "--policy",
    metavar="NAME",
    help="Write nothing and exit 1 if attacks find more than it allows: strict, standard, "
    "internal, or a YAML file.  [default: standard]",
)
@click.option(
    "--accept-risk",
    metavar="REASON",
    help="Write the release even if its policy is missed; card, report and verify show the reason.",
)
@click.option(
    "--sign", type=FILE, metavar="KEY", help="ed25519 private key (PEM) to sign the release with."
)
@click.option(
    "--seed", type=SEED, metavar="N", help="Same seed, same rows.  [default: drawn, in the card]"
)
@encodings_option
@escape_option
@click.pass_context
def release(
    ctx: click.Context,
    /,
    model: Path,
    rows: int,
    output: Path,
    train: str,
    holdout: str | None,
    encoding: str | None,
    escape: bool | None,
    **given: Any,
) -> None:
    """Draw rows from MODEL, attack and judge them, and write a release.

    The folder holds the table, the report, a card with every claim, Croissant metadata and the
    sha256 of each. 'privsynth verify DIR' checks the claims against the files. A model under a
    budget gives two folders: DIR/public, which the guarantee covers and which is for others, and
    DIR/restricted, whose figures and verdicts were read off the real rows.
    """
    voice: Voice = ctx.obj
    from privsynth import pipeline, table
    from privsynth.evaluation import policy_file

    table.check_distinct(
        {
            "MODEL": model,
            "--train": train,
            "--holdout": holdout,
            "--policy": policy_file(given["policy"]),
            "--sign": given["sign"],
        },
        {"--output": output},
    )
    if holdout is None:
        voice.say("privsynth: warning: without a holdout most attacks cannot be judged; give one")
    with voice.progress() as progress:
        report, salt = pipeline.release(
            model,
            rows,
            output,
            train=train,
            holdout=holdout,
            encoding=encoding or "utf-8",
            escape=escape is None,
            progress=progress,
            **given,
        )
    for finding in report.findings or ():
        click.echo(one_line(str(finding)))
    if report.passed is False and given["accept_risk"] is None:
        name = "standard" if report.policy is None else report.policy.name
        voice.say(
            f"{output}: not written: policy {name!r} is missed; to release it anyway, give the "
            "reason with --accept-risk"
        )
        ctx.exit(1)
    voice.say(f"salt of the inputs' hashes, which is not in the release: {salt}")
    voice.say(f"{output}: release of {rows:,} rows written")
    if (output / "restricted").is_dir():
        voice.say(f"{output}/public is for others; {output}/restricted was read off the real rows")
