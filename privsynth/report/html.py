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
        Scores alone: no row reaches the page.

    Returns
    -------
    str
        HTML. Every name and sentence is escaped.
    """
    return _template().render(
        augmentation=of_augmentation(evaluation),
        judgement=judgement(evaluation),
        risks=risks(evaluation),
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
    """Places on a bar, in percent of its width."""

    value: float
    low: float | None
    high: float | None
    real: float | None


def _bar(score: Score) -> Bar | None:
    """Return the bar of a score between 0 and 1; None where it lies elsewhere."""
    shown = [score.value, score.low, score.high, score.real]
    if of_difference(score):  # it would lie elsewhere on the bar
        shown[1:3] = None, None
    if score.value is None or any(place is not None and not 0 <= place <= 1 for place in shown):
        return None
    low, high, real = (None if p is None else round(100 * p, 2) for p in shown[1:])
    return Bar(round(100 * score.value, 2), low, high, real)
