"""Write docs/cli.md from the program's own help, so that the two never part: `make docs`."""

from pathlib import Path

import click

from privsynth.cli.program import main

PAGE = Path(__file__).with_name("cli.md")
WIDTH = {"terminal_width": 100, "max_content_width": 100}


def helps(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    """Give the sections of a command and of all below it."""
    settings = {**command.context_settings, **WIDTH}
    context = click.Context(command, parent=parent, info_name=name, **settings)
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    below = command.commands if isinstance(command, click.Group) else {}
    return [
        f"## {context.command_path}\n\n```text\n{text}\n```",
        *(part for child in below for part in helps(below[child], child, context)),
    ]


def page() -> str:
    """Give the whole page."""
    note = "<!-- written by `make docs`: change the program, not this page -->"
    return "\n\n".join(["# The command line", note, *helps(main, "privsynth")]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
