"""The evaluation on a terminal: headline figures first, then one table per family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privsynth.evaluation import Evaluation, Score
from privsynth.report.layout import (
    DASH,
    Risk,
    families,
    figure,
    headlines,
    interval,
    judgement,
    label,
    notes,
    risks,
    unit,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

__all__ = ["summary"]


def summary(evaluation: Evaluation, *, verbose: bool = False) -> RenderableType:
    """Lay an evaluation out for a terminal.

    Parameters
    ----------
    evaluation : Evaluation
    verbose : bool
        Whether to show the figures of rows beside those of units.

    Returns
    -------
    rich renderable
        Nothing is printed. Names and notes are plain text: markup in them is not interpreted.
    """
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[RenderableType] = []
    if (head := judgement(evaluation)) is not None:
        parts.append(Text.assemble((str(head.verdict), "bold"), f"   {head.sentence}"))
        parts += [Text(head.accepted)] if head.accepted else []
        parts += [Text(str(finding)) for finding in head.findings]
    if (judged := unit(evaluation)) is not None:
        parts.append(Text(judged))
    parts += [_risk(risk) for risk in risks(evaluation)]
    parts += [_headline(score) for score in headlines(evaluation)]
    for family, scores in families(evaluation, verbose=verbose).items():
        parts.append(Padding(_table(family, scores), (1, 0, 0, 0)))
    parts += [Text(f"note: {note}", style="dim") for note in notes(evaluation)]
    return Group(*parts)


def _risk(risk: Risk) -> RenderableType:
    from rich.text import Text

    bound = DASH if risk.bound is None else f"{risk.bound:.1%}"
    return Text.assemble(f"{risk.words:<40}", (f"≤ {bound}", "bold"), (f"   {risk.beside}", "dim"))


def _headline(score: Score) -> RenderableType:
    from rich.text import Text

    beside = "" if score.real is None else f"   real {figure(score.real)}"
    return Text.assemble(f"{label(score.name):<40}", (figure(score.value), "bold"), (beside, "dim"))


def _table(family: str, scores: list[Score]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=Text(family, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("score", overflow="fold")
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95% interval", justify="right", no_wrap=True)
    table.add_column("real", justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for score in scores:
        table.add_row(
            Text(label(score.name)),
            figure(score.value),
            interval(score),
            figure(score.real),
            DASH if score.better == "neither" else score.better,
        )
        if score.value is None:
            table.add_row(Text(f"  {score.meaning}", style="dim"))
    return table
