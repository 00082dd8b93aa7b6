"""The picture of a table before and after an augmentation, the only one that draws real rows.

Import `before_after`, `check_plot` and `SUFFIXES` from here. Every file that it writes says that
it holds real records, and nothing from here may go into a report.
"""

from privsynth.minority.picture.drawing import SUFFIXES, before_after, check_plot

__all__ = ["SUFFIXES", "before_after", "check_plot"]
