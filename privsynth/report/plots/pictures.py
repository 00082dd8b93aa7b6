"""The pictures of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from privsynth.report.layout import label
from privsynth.report.plots.attacks import draw_attacks
from privsynth.report.plots.densities import Density, draw_densities
from privsynth.report.plots.minority import draw_curves, draw_differences, draw_thresholds

if TYPE_CHECKING:
    from privsynth.evaluation import Evaluation

__all__ = ["Picture", "pictures"]


@dataclass(frozen=True)
class Picture:
    """A picture for a page.

    Parameters
    ----------
    title, caption : str
        Plain text, not yet escaped.
    svg : str
        One ``<svg>`` element, ready for a page.
    """

    title: str
    svg: str
    caption: str


def pictures(evaluation: Evaluation) -> tuple[Picture, ...]:
    """Draw the pictures that the contents of an evaluation allow.

    Parameters
    ----------
    evaluation : Evaluation
        Holds attacks and the findings of a policy. `about` may hold ``curves`` and
        ``verdicts``, as `minority_gain` returns them, and ``densities``: mappings with the fields
        of `Density`.

    Returns
    -------
    tuple of Picture
        Empty if the evaluation has none of these.
    """
    return tuple(picture for picture in _candidates(evaluation) if picture.svg)


def _candidates(evaluation: Evaluation) -> Iterator[Picture]:
    about = evaluation.about
    yield Picture(
        "What the attacks found",
        draw_attacks(evaluation),
        "Each figure with its 95% interval (replicas: 99.8%). The circle is what guessing gives, "
        "or a table that owes nothing to single rows. What was found is what the interval leaves "
        "out on its left: the lower end is held against the most that the policy allows.",
    )
    judged = about.get("methods", ())
    if differences := about.get("verdicts", {}).get("pr_auc"):
        yield Picture(
            "Differences of PR-AUC",
            draw_differences(differences, judged),
            "Each method less another, in the same folds, with 95% intervals. An interval that "
            "holds 0 shows no gain.",
        )
    if curves := about.get("curves"):
        for model in curves["models"]:
            yield Picture(
                f"Precision and recall: {label(model)}",
                draw_curves(curves, model, judged),
                "Means over the real test folds, with 95% bands.",
            )
        yield Picture(
            "F1 by threshold",
            draw_thresholds(curves),
            "Means over the real test folds. A curve whose peak lies further right, and no higher, "
            "has gained nothing that another threshold would not give. The line is at 0.5.",
        )
    if densities := about.get("densities"):
        yield Picture(
            "Distributions",
            draw_densities([Density(**density) for density in densities]),
            "Shares of the rows in each bin; 'apart' is the total variation distance.",
        )
