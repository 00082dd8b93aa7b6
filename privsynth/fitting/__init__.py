"""From a table to a fitted model: exact, under a budget, or fitted to what another measured.

Verbs split a table, `learn` from it by a `privsynth.task.FitTask`, and warn of the model's
`cautions`. Nothing here reads or writes a file, but for the spending file, or warns.
"""

from __future__ import annotations

from privsynth.fitting.cautions import Caution, about_time
from privsynth.fitting.checks import check_k, check_private
from privsynth.fitting.learn import learn, rows_to_learn
from privsynth.fitting.refit import refit
from privsynth.fitting.replay import replaying
from privsynth.fitting.splitting import set_aside, unit_numbers

__all__ = [
    "Caution",
    "about_time",
    "check_k",
    "check_private",
    "learn",
    "refit",
    "replaying",
    "rows_to_learn",
    "set_aside",
    "unit_numbers",
]
