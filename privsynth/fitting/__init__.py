"""From a table to a fitted model: exact, under a budget, or refitted.

Verbs call `fit_table` and `fit_privately`. Nothing here reads or writes files, but for the
spending file.
"""

from __future__ import annotations

from privsynth.fitting.exact import fit_table, minority_rows
from privsynth.fitting.private import check_private, fit_privately, refitted, set_aside

__all__ = [
    "check_private",
    "fit_privately",
    "fit_table",
    "minority_rows",
    "refitted",
    "set_aside",
]
