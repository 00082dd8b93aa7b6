"""The command line: the one place that prints, draws progress and exits.

Results go to stdout; messages, warnings and progress to stderr. Exit codes: 0 done, 1 a policy
is not met, 2 wrong usage or bad input, 3 the machine failed us or privsynth has a bug. A run
that is interrupted gives 130, one that is terminated 143, one whose terminal has gone 129 and
one whose reader has gone away 141, as the shell does.

Only click and the standard library are imported here, so that `--help` answers at once.
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
    failed (disk full, out of memory), 130 interrupted, 143 terminated, 129 the terminal has gone.
    """


for command in (schema, fit, sample, augment, evaluate, release, verify, inspect, demo):
    main.add_command(command)
