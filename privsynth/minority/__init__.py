"""More rows of a rare class: plans, growth, selection and the imbalanced-learn sampler.

What it returns holds real rows and is never written as something to be shared.
"""

from __future__ import annotations

from privsynth.minority.growth import Augmentation, augment_table, by_label
from privsynth.minority.picture.drawing import SUFFIXES, before_after, check_plot
from privsynth.minority.plan import FitOn, Plan, Selection

__all__ = [
    "SUFFIXES",
    "Augmentation",
    "FitOn",
    "Plan",
    "Selection",
    "augment_table",
    "before_after",
    "by_label",
    "check_plot",
]
