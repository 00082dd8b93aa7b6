"""Replay a fit on other rows, as the audit does: the same task, outside any spending file."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from privsynth.errors import PrivsynthWarning
from privsynth.fitting.learn import learn, rows_to_learn
from privsynth.table import read
from privsynth.task import FitTask

__all__ = ["replaying"]


def replaying(task: FitTask) -> Callable[[Any, int], Any]:
    """Return a function of rows and a seed: it fits the task to the rows, and draws as many.

    Parameters
    ----------
    task : FitTask
        Of the model that is audited.

    Returns
    -------
    callable
        Takes a frame and a seed; returns a frame of synthetic rows. Under a budget the noise is
        drawn afresh each time.
    """

    def synthetic(rows: Any, seed: int) -> Any:
        table = read(rows, total=task.budget is not None)
        replayed = replace(task, seed=seed)
        stream = np.random.SeedSequence(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PrivsynthWarning)  # they speak of planted rows
            model = learn(rows_to_learn(table, replayed), replayed, stream=stream)
        return model.sample(table.n_rows, seed=seed)

    return synthetic
