"""The evaluation as one HTML page that needs nothing else: no script, no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from privsynth.evaluation import Evaluation, Score
from privsynth.report.layout import (
    DASH,
    facts,
    families,
    figure,
    headlines,
    interval,
    judgement,
    label,
    notes,
    of_augmentation,
    of_difference,
    risks,
    unit,
)
from privsynth.report.plots.pictures import pictures

if TYPE_CHECKING:
    from jinja2 import Template

__all__ = ["render"]


def render(evaluation: Evaluation) -> str:
    """Draw an evaluation as a page.

    Parameters
    ----------
    evaluation : Evaluation
        Scores only: no row reaches the page.

    Returns
    -------
    str
        HTML. Every name and sentence is escaped.
    """
    return _template().render(
        augmentation=of_augmentation(evaluation),
        judgement=judgement(evaluation),
        risks=risks(evaluation),
        unit=unit(evaluation),
        facts=facts(evaluation),
        headlines=headlines(evaluation),
        families=families(evaluation),
        pictures=pictures(evaluation),
        notes=notes(evaluation),
        figure=figure,
        interval=interval,
        label=label,
        bar=_bar,
        dash=DASH,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    text = (files("privsynth.report") / "evaluation.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


@dataclass(frozen=True)
class Bar:
    """Positions on a bar, in percent of its width."""

    value: float
    low: float | None
    high: float | None
    real: float | None


def _bar(score: Score) -> Bar | None:
    """Return the bar of a score; None unless all of its figures are between 0 and 1."""
    figures = [score.value, score.low, score.high, score.real]
    if of_difference(score):  # the interval is of the difference, not of the value
        figures[1:3] = None, None
    if score.value is None or any(at is not None and not 0 <= at <= 1 for at in figures):
        return None
    low, high, real = (None if at is None else round(100 * at, 2) for at in figures[1:])
    return Bar(round(100 * score.value, 2), low, high, real)
