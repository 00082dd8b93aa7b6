"""The command `privsynth schema`."""

from __future__ import annotations

from pathlib import Path

import click

from privsynth.cli.options import (
    FILE,
    data_option,
    encoding_option,
    escape_option,
    k_option,
    target_option,
    unit_option,
)
from privsynth.cli.terminal import Command, Voice
from privsynth.files import check_writable, replacing


@click.command(cls=Command)
@data_option
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="YAML file to write.  [default: stdout]"
)
@target_option
@unit_option
@k_option
@encoding_option
@escape_option
@click.pass_obj
def schema(
    voice: Voice,
    /,
    data: str,
    output: Path | None,
    target: str | None,
    unit: str | None,
    k: int | None,
    encoding: str | None,
    escape: bool | None,
) -> None:
    """Propose a schema for DATA.

    The schema is a YAML file that a person reviews and passes to fit. For each column it states
    the kind, why that kind was chosen, the domain, where the domain came from, and the role. It
    names no value that fewer than k rows have.
    """
    from privsynth.config import RunConfig

    run = RunConfig().override({}, target=target, k=k, encoding=encoding, escape=escape)
    from privsynth import pipeline, table

    table.check_distinct({"DATA": data}, {"--output": output or "-"})
    if output is not None:
        check_writable(output)

    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        proposed = pipeline.propose_schema(
            data, target=run.target, unit=unit, k=run.k, encoding=run.encoding, escape=run.escape
        )
    if output is None:
        click.echo(proposed.to_yaml(), nl=False)
        return
    with replacing(output) as temporary:
        temporary.write_text(proposed.to_yaml(), encoding="utf-8")
    voice.say(f"{output}: {len(proposed)} columns proposed; review them, then fit with --schema")
