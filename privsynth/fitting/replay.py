"""Replay of a task on other rows, for the audit; no spending file is charged."""

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
    """Return a function that fits a task to given rows and draws as many synthetic rows.

    Parameters
    ----------
    task : FitTask
        The task of the audited model.

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
            warnings.simplefilter("ignore", PrivsynthWarning)  # cautions about planted rows
            model = learn(rows_to_learn(table, replayed), replayed, stream=stream)
        return model.sample(table.n_rows, seed=seed)

    return synthetic
