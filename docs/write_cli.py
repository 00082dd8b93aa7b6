"""Write docs/cli.md from the program's own help, so that the two never part: `make docs`."""

from pathlib import Path

import click

from privsynth.cli import main

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100


def helps(command: click.Command, name: str) -> list[tuple[str, str]]:
    """Give (name, help) of a command and of all below it."""
    context = click.Context(command, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
    below = command.commands.items() if isinstance(command, click.Group) else ()
    return [(name, command.get_help(context))] + [
        found for child, inner in below for found in helps(inner, f"{name} {child}")
    ]


def page() -> str:
    """Give the whole page."""
    parts = [
        "# The command line",
        "<!-- written by `make docs`: change the program, not this page -->",
    ]
    for name, text in helps(main, "privsynth"):
        lines = "\n".join(line.rstrip() for line in text.splitlines())
        parts += [f"## {name}", f"```text\n{lines}\n```"]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
