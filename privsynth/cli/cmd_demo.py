"""The command `privsynth demo`."""

from __future__ import annotations

from pathlib import Path

import click

from privsynth.cli.options import FILE, SEED, engine_option, escape_option
from privsynth.cli.results import model_lines, print_scores
from privsynth.cli.terminal import Command, Voice
from privsynth.errors import UsageError


@click.command(cls=Command)
@click.argument(
    "name", type=click.Choice(["fraud", "health", "intrusion", "adult"]), default="fraud"
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="DIR",
    default="demo-output",
    show_default=True,
    help="Folder to write to; created if it does not exist.",
)
@engine_option
@click.option(
    "--seed", type=SEED, metavar="N", default=0, show_default=True, help="Same seed, same files."
)
@escape_option
@click.pass_obj
def demo(
    voice: Voice,
    /,
    name: str,
    output: Path,
    engine: str | None,
    seed: int,
    escape: bool | None,
) -> None:
    """Fit, sample and evaluate a real table that comes with privsynth.

    First sets a quarter of its rows aside as a holdout. Writes train.csv, holdout.csv, model.psyn,
    synthetic.csv, report.html and evaluation.json to a folder, and prints a summary.
    """
    from importlib.resources import as_file, files

    import numpy as np
    from sklearn.model_selection import train_test_split

    from privsynth import pipeline, table
    from privsynth.files.documents import read_yaml

    escaped = escape is None
    output.mkdir(exist_ok=True)
    paths = {part: output / f"{part}.csv" for part in ("train", "holdout", "synthetic")}
    other_files = ("model.psyn", "report.html", "evaluation.json")
    shipped = files("privsynth") / "data"
    demos = (shipped / "demos.yaml").read_text(encoding="utf-8")
    about = read_yaml(demos, "demos.yaml", UsageError)[name]
    target = about["target"]
    with as_file(shipped / about["table"]) as path:
        outputs = {
            place.name: place for place in (*paths.values(), *map(output.joinpath, other_files))
        }
        table.check_distinct({"the table of the demo": path}, outputs)
        voice.say(about["about"])
        data = table.read(path)
        kept = [column for column in data.names if column not in about["leave_out"]]
        classes = data.to_arrow([target]).column(0).to_numpy()
        parts = train_test_split(
            np.arange(data.n_rows), test_size=0.25, stratify=classes, random_state=seed
        )
        for part, places in zip(("train", "holdout"), parts, strict=True):
            rows = data.take(np.sort(places))
            table.write(rows.to_arrow(kept), paths[part], data.formats, escape=escaped)
    with voice.progress() as progress:
        model = pipeline.fit(
            paths["train"],
            engine=engine,
            target=target,
            seed=seed,
            escape=escaped,
            progress=progress,
        )
        model.save(output / "model.psyn")
        pipeline.sample(
            model,
            len(parts[0]),
            seed=seed,
            output=paths["synthetic"],
            escape=escaped,
            progress=progress,
        )
        report = pipeline.evaluate(
            paths["synthetic"],
            train=paths["train"],
            holdout=paths["holdout"],
            model=model,
            escape=escaped,
            seed=seed,
            progress=progress,
        )
    report.to_html(output / "report.html")
    report.to_json(output / "evaluation.json")
    for line in model_lines(model):
        voice.say(line)
    voice.say(
        f"{output}: train.csv, holdout.csv, synthetic.csv, model.psyn, report.html, evaluation.json"
    )
    print_scores(report)
