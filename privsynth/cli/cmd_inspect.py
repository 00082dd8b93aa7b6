"""The command `privsynth inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from privsynth.cli.options import FILE
from privsynth.cli.results import shown_card
from privsynth.cli.terminal import Command, Voice


@click.command(cls=Command)
@click.argument("model", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the card as JSON.")
@click.pass_obj
def inspect(voice: Voice, /, model: Path, as_json: bool) -> None:  # noqa: ARG001
    """Show the card of MODEL.

    Engine, settings, columns, disclosure control, ledger, guarantee, and what is not covered.
    """
    from privsynth import pipeline, table

    table.check_distinct({"MODEL": model}, {"standard output": "-"})
    card = shown_card(pipeline.load(model))
    if as_json:
        click.echo(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        import yaml

        click.echo(yaml.safe_dump(card, sort_keys=False, allow_unicode=True, width=100), nl=False)
