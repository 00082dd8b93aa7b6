"""The picture of a table before and after an augmentation: the one that draws real rows.

Import `before_after` and `check_plot` from here. What is written says that it holds real records;
nothing here is part of a report.
"""

from privsynth.minority.picture.drawing import SUFFIXES, before_after, check_plot

__all__ = ["SUFFIXES", "before_after", "check_plot"]
