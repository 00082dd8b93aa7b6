"""From a table to a fitted model: exactly, under a budget, or from another model's measurements.

Import what the verbs of `privsynth.pipeline` call: they split a table, `learn` from it by a
`privsynth.task.FitTask`, and warn of the model's `cautions`. Nothing here warns, or touches a file
other than the spending file.
"""

from __future__ import annotations

from privsynth.fitting.cautions import Caution, about_time, about_units
from privsynth.fitting.checks import check_k, check_private, named_unit
from privsynth.fitting.learn import learn, rows_to_learn
from privsynth.fitting.refit import refit
from privsynth.fitting.replay import replaying
from privsynth.fitting.splitting import set_aside, unit_numbers
from privsynth.fitting.units import with_units

__all__ = [
    "Caution",
    "about_time",
    "about_units",
    "check_k",
    "check_private",
    "learn",
    "named_unit",
    "refit",
    "replaying",
    "rows_to_learn",
    "set_aside",
    "unit_numbers",
    "with_units",
]
