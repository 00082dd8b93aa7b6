"""The command `privsynth augment`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from privsynth.cli.options import (
    FILE,
    SEED,
    budget_of,
    budget_options,
    data_option,
    encoding_option,
    engine_option,
    escape_option,
    k_option,
    schema_option,
    set_option,
    strategy_option,
    target_option,
)
from privsynth.cli.results import print_scores
from privsynth.cli.terminal import Command, Voice, one_line
from privsynth.errors import UsageError
from privsynth.files import check_writable

if TYPE_CHECKING:
    from privsynth.config import RunConfig
    from privsynth.minority import Augmentation
    from privsynth.pipeline import Report


@click.command(cls=Command)
@data_option
@click.option(
    "-o", "--output", metavar="OUT", required=True, help="Table to write: real and synthetic rows."
)
@target_option
@engine_option
@click.option(
    "--ratio",
    type=float,
    metavar="R",
    help="Rows of the minority per row of the majority, above 0 and at most 1; for two classes.",
)
@click.option(
    "--sampling-strategy",
    "strategy",
    metavar="JSON",
    help="As in imbalanced-learn: auto, minority, a ratio, or the total rows of each class such as "
    '{"bad": 500}.  [default: auto, which raises every class to the size of the largest]',
)
@click.option(
    "--fit-on",
    type=click.Choice(["auto", "minority", "all"]),
    help="Rows that the engine learns from.  [default: auto]",
)
@click.option(
    "--selection",
    type=click.Choice(["auto", "classifiers", "none"]),
    help="Whether classifiers select from the rows drawn.  [default: auto: for cart and copula]",
)
@schema_option
@click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="YAML file with the same settings; the command line takes precedence.",
)
@set_option
@k_option
@click.option("--no-flag", is_flag=True, help="Leave out the column 'synthetic'.")
@click.option(
    "--plot",
    type=FILE,
    metavar="FILE",
    help="Picture of the rows before and after: .png, .svg, .pdf or .html. It holds real records.",
)
@click.option(
    "--judge",
    is_flag=True,
    help="Measure by repeated cross-validation on DATA whether augmenting helps; takes minutes.",
)
@click.option("--report", type=FILE, metavar="FILE", help="HTML report of --judge to write.")
@click.option(
    "--json", "json_output", type=FILE, metavar="FILE", help="JSON report of --judge to write."
)
@click.option(
    "--seed", type=SEED, metavar="N", help="Same seed, same rows.  [default: drawn and printed]"
)
@encoding_option
@escape_option
@budget_options
@click.pass_obj
def augment(
    voice: Voice,
    /,
    data: str,
    output: str,
    config: Path | None,
    assignments: tuple[str, ...],
    ratio: float | None,
    strategy: str | None,
    no_flag: bool,
    plot: Path | None,
    judge: bool,
    report: Path | None,
    json_output: Path | None,
    **given: Any,
) -> None:
    """Add synthetic rows of the minority to DATA.

    Writes the real rows unchanged, then the synthetic ones, with a column 'synthetic' that tells
    them apart. The output holds the real rows: it is for training models, not for sharing. Prints
    what the attacks on SMOTE find in the synthetic rows.

    With --epsilon the synthetic rows, and how many of each class there are, rest on noisy counts
    alone. Real and synthetic rows together are not a private release: only the model behind the
    synthetic rows is.
    """
    if ratio is not None and strategy is not None:
        raise UsageError("--ratio and --sampling-strategy say the same; give one of them")
    size = ratio if strategy is None else strategy_option(strategy)
    run = _configured(config, assignments, sampling_strategy=size, **given)
    judge = judge or report is not None or json_output is not None
    budget = budget_of(run)
    if judge and budget is not None:
        raise UsageError(
            "--judge fits many models to the same rows, each of which would spend the budget "
            "again; leave it out, or drop --epsilon"
        )
    outputs = _Outputs(output, plot, report, json_output)
    outputs.check(data, config, run)

    from privsynth import pipeline

    options: dict[str, Any] = {
        "target": run.target,
        "engine": run.engine,
        "sampling_strategy": run.sampling_strategy,
        "fit_on": run.fit_on,
        "selection": run.selection,
        "schema": run.schema,
        "k": run.k,
        "settings": run.settings,
        "encoding": run.encoding,
        "escape": run.escape,
    }
    gain = None
    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        augmented = pipeline.augmented(
            data,
            seed=run.seed,
            flag=not no_flag,
            unit=run.unit,
            budget=budget,
            ledger=run.ledger,
            new_ledger=run.new_ledger,
            progress=progress,
            **options,
        )
        if judge:
            gain = pipeline.minority_gain(
                augmented.real,
                seed=augmented.seed,
                groups=_unit_column(run),
                progress=progress,
                **options,
            )
        outputs.write_rows(augmented, escape=run.escape)
    for line in augmented.summary():
        voice.say(line)
    if run.seed is None and augmented.model is not None and budget is None:
        voice.say_seed(augmented.seed)
    if plot is not None:
        voice.say(f"{plot}: picture written; it holds real records")
    if gain is not None:
        outputs.write_gain(gain, voice)


def _configured(config: Path | None, assignments: tuple[str, ...], **given: Any) -> RunConfig:
    """Read the settings of a run from its file and, above that, from the command line."""
    from privsynth.config import RunConfig, parse_setting

    run = RunConfig() if config is None else RunConfig.from_yaml(config)
    run = run.override(dict(parse_setting(text) for text in assignments), **given)
    holdout = (run.holdout, run.holdout_after, run.holdout_column, run.holdout_output)
    if any(value is not None for value in holdout):
        raise UsageError(
            "the settings set a holdout aside, and augment learns every row that it is given; set "
            "rows aside with 'privsynth fit', or leave 'holdout' out"
        )
    if run.target is None:
        raise UsageError("the classes are a column of the table; name it with --target")
    return run


def _unit_column(run: RunConfig) -> str | None:
    """Return the column that names the units, if the command line or its file names one."""
    from privsynth.schema import Unit

    return None if run.unit is None else Unit.parse(run.unit, "--unit").column


@dataclass(frozen=True)
class _Outputs:
    """Where the rows, the picture of them, and the reports of --judge go."""

    rows: str
    plot: Path | None
    report: Path | None
    json: Path | None

    def check(self, data: str, config: Path | None, run: RunConfig) -> None:
        """Refuse, before any work is done, outputs that cannot be written or are inputs too."""
        from privsynth import table

        table.check_distinct(
            {"DATA": data, "--schema": run.schema, "--config": config},
            {
                "--output": self.rows,
                "--plot": self.plot,
                "--report": self.report,
                "--json": self.json,
                "--ledger": run.ledger,
            },
        )
        table.check_output(self.rows)
        for path in (self.report, self.json):
            if path is not None:
                check_writable(path)
        if self.plot is not None:
            from privsynth.minority.picture import check_plot

            check_plot(self.plot)

    def write_rows(self, augmented: Augmentation, *, escape: bool) -> None:
        """Write real and synthetic rows, and the picture of them."""
        from privsynth import table

        table.write(augmented.table(), self.rows, augmented.real.formats, escape=escape)
        if self.plot is not None:
            augmented.plot(self.plot)

    def write_gain(self, gain: Report, voice: Voice) -> None:
        """Write the reports of --judge, and print its verdicts and scores."""
        if self.report is not None:
            gain.to_html(self.report)
            voice.say(f"{self.report}: report written")
        if self.json is not None:
            gain.to_json(self.json)
            voice.say(f"{self.json}: figures written")
        for words in gain.verdicts:
            if self.rows == "-":  # rows are on standard output
                voice.say(words)
            else:
                click.echo(one_line(words))
        if self.rows != "-":
            print_scores(gain)
