"""The command `privsynth augment`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from privsynth.cli.options import (
    FILE,
    SEED,
    budget_of,
    data_option,
    delta_option,
    encoding_option,
    engine_option,
    epsilon_option,
    escape_option,
    k_option,
    ledger_option,
    new_ledger_option,
    rows_per_unit_option,
    schema_option,
    set_option,
    strategy_option,
    target_option,
    unit_option,
)
from privsynth.cli.results import print_scores
from privsynth.cli.terminal import Command, Voice, one_line
from privsynth.errors import UsageError
from privsynth.files import check_writable

if TYPE_CHECKING:
    pass


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
    help="Rows of the minority for each row of the majority, above 0 and at most 1; two classes.",
)
@click.option(
    "--sampling-strategy",
    "strategy",
    metavar="JSON",
    help="As in imbalanced-learn: auto, minority, a ratio, or rows in all by class such as "
    '{"bad": 500}.  [default: auto, which fills every class up]',
)
@click.option(
    "--fit-on",
    type=click.Choice(["auto", "minority", "all"]),
    help="Rows that the engine learns.  [default: auto]",
)
@click.option(
    "--selection",
    type=click.Choice(["auto", "classifiers", "none"]),
    help="Whether classifiers choose among the rows drawn.  [default: auto, for cart and copula]",
)
@schema_option
@click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="YAML file with the same settings; the command line wins over it.",
)
@set_option
@k_option
@click.option("--no-flag", is_flag=True, help="Leave out the column 'synthetic'.")
@click.option(
    "--plot",
    type=FILE,
    metavar="FILE",
    help="Picture before and after: .png, .svg, .pdf or .html. It holds real records.",
)
@click.option(
    "--judge",
    is_flag=True,
    help="Judge by repeated cross-validation on DATA whether it helps, and say so; takes minutes.",
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
@epsilon_option
@delta_option
@unit_option
@rows_per_unit_option
@ledger_option
@new_ledger_option
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

    Writes the real rows as they are, then the synthetic ones, with a column 'synthetic' that
    tells them apart. The output holds the real rows: it is for training models, not for sharing.
    Says what the attacks on SMOTE find in the synthetic rows.

    With --epsilon the synthetic rows, and how many of each class there are, rest on noisy counts
    alone. Real and synthetic rows together are no private release: only the model behind the
    synthetic rows is.
    """
    from privsynth.config import RunConfig, parse_setting

    if ratio is not None and strategy is not None:
        raise UsageError("--ratio and --sampling-strategy say the same; give one of them")
    run = RunConfig() if config is None else RunConfig.from_yaml(config)
    chosen_strategy = ratio if strategy is None else strategy_option(strategy)
    run = run.override(
        dict(parse_setting(text) for text in assignments),
        sampling_strategy=chosen_strategy,
        **given,
    )
    if run.target is None:
        raise UsageError("the classes are a column of the table; name it with --target")
    judge = judge or report is not None or json_output is not None
    budget = budget_of(run)
    if judge and budget is not None:
        raise UsageError(
            "--judge fits many models to the same rows, each of which would spend the budget "
            "again; leave it out, or drop --epsilon"
        )
    from privsynth import pipeline, table

    table.check_distinct(
        {"DATA": data, "--schema": run.schema, "--config": config},
        {
            "--output": output,
            "--plot": plot,
            "--report": report,
            "--json": json_output,
            "--ledger": run.ledger,
        },
    )
    table.check_output(output)
    for path in (report, json_output):
        if path is not None:
            check_writable(path)
    if plot is not None:
        from privsynth.minority.picture import check_plot

        check_plot(plot)
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
    with voice.progress() as progress:
        progress("reading the table", 0, 0)
        augmentation = pipeline.augmented(
            data,
            seed=run.seed,
            flag=not no_flag,
            budget=budget,
            ledger=run.ledger,
            new_ledger=run.new_ledger,
            progress=progress,
            **options,
        )
        judged = None
        if judge:
            judged = pipeline.minority_gain(
                augmentation.real, seed=augmentation.seed, progress=progress, **options
            )
        table.write(augmentation.table(), output, augmentation.real.formats, escape=run.escape)
        if plot is not None:
            augmentation.plot(plot)
    for line in augmentation.summary():
        voice.say(line)
    if run.seed is None and augmentation.model is not None and budget is None:
        voice.say_seed(augmentation.seed)
    if plot is not None:
        voice.say(f"{plot}: picture written; it holds real records")
    if judged is None:
        return
    if report is not None:
        judged.to_html(report)
        voice.say(f"{report}: report written")
    if json_output is not None:
        judged.to_json(json_output)
        voice.say(f"{json_output}: figures written")
    for words in judged.verdicts:
        if output == "-":  # rows are on standard output
            voice.say(words)
        else:
            click.echo(one_line(words))
    if output != "-":
        print_scores(judged)
