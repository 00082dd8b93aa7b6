"""The program `privsynth`: its commands, and what holds for all of them.

Results go to stdout; messages, warnings and progress to stderr. Exit codes: 0 done, 1 a policy
is missed or a release does not verify, 2 wrong usage or bad input, 3 the machine failed or
privsynth has a bug. As in the shell, 130 means interrupted, 143 terminated, 129 that the terminal
is gone and 141 that the reader of the output is gone.

Commands import only click and the standard library before they run, so that `--help` answers at
once.
"""

from __future__ import annotations

import click

from privsynth.cli.cmd_augment import augment
from privsynth.cli.cmd_demo import demo
from privsynth.cli.cmd_evaluate import evaluate
from privsynth.cli.cmd_fit import fit
from privsynth.cli.cmd_inspect import inspect
from privsynth.cli.cmd_release import release
from privsynth.cli.cmd_sample import sample
from privsynth.cli.cmd_schema import schema
from privsynth.cli.cmd_verify import verify
from privsynth.cli.terminal import Group

__all__ = ["main"]


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="privsynth", message="%(prog)s %(version)s")
def main() -> None:
    """Turn a private table into a synthetic one, and tell the truth about it.

    DATA, OUT and SYNTHETIC are tables: CSV, TSV (also .gz), Parquet, Arrow/Feather, JSON lines,
    a glob or folder of Parquet, or a database table such as duckdb:///f.db::t. A dash is standard
    input or output, as CSV. In CSV and TSV a ' keeps a spreadsheet from running text as a formula.

    Results go to standard output; messages and progress to standard error. Exit codes: 0 done,
    1 a policy is missed or a release does not verify, 2 wrong usage or bad input, 3 the machine
    failed (disk full, out of memory), 130 interrupted, 143 terminated, 129 the terminal is gone.
    """


for command in (schema, fit, sample, augment, evaluate, release, verify, inspect, demo):
    main.add_command(command)
