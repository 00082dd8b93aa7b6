"""More rows of a rare class: plans, growth, selection and the imbalanced-learn sampler.

Import the plan, the growth of a table and its picture from here, and the sampler from
`privsynth.minority.sampler`, since imbalanced-learn is slow to import. What this package returns
holds real rows, so it must never be written as data to be shared.
"""

from __future__ import annotations

from privsynth.minority.augmentation import Augmentation
from privsynth.minority.growth import augment_table
from privsynth.minority.picture.drawing import SUFFIXES, before_after, check_plot
from privsynth.minority.plan import FitOn, Plan, Selection
from privsynth.minority.strategy import by_label

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
