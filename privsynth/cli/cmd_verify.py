"""The command `privsynth verify`."""

from __future__ import annotations

from pathlib import Path

import click

from privsynth.cli.options import FILE
from privsynth.cli.terminal import Command, one_line


@click.command(cls=Command)
@click.argument("folder", type=FILE, metavar="DIR")
@click.option("--key", type=FILE, metavar="FILE", help="Publisher's public key (PEM).")
@click.option(
    "--model", type=FILE, metavar="MODEL", help="Model file to compare card and ledger with."
)
@click.pass_context
def verify(ctx: click.Context, /, folder: Path, key: Path | None, model: Path | None) -> None:
    """Check the hashes, claims and signature of a release against its files.

    Exits 1 if one does not hold, or if a policy is missed and nobody accepted the risk. Without
    --key nobody vouches for the signer: whoever rewrites every file is not detected.
    """
    from privsynth import releases

    problems = releases.verify(folder, key=key, model=model)
    for problem in problems:
        click.echo(one_line(problem))
    if problems:
        ctx.exit(1)
    for remark in releases.remarks(folder, key=key):
        click.echo(one_line(remark))
    ctx.obj.say(f"{folder}: hashes and claims hold")
