"""The entry point of all fits: learn a model from a table by a task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from privsynth.artefact import FittedModel
from privsynth.engines import Progress, traits
from privsynth.fitting.exact import fit_exactly
from privsynth.fitting.private import MakeAccountant, fit_privately
from privsynth.fitting.refit import refit
from privsynth.fitting.splitting import minority_rows
from privsynth.privacy import Accountant
from privsynth.table import Table
from privsynth.task import FitTask

__all__ = ["learn", "rows_to_learn"]


def learn(
    train: Table,
    task: FitTask,
    *,
    stream: np.random.SeedSequence | None = None,
    spending_file: str | Path | None = None,
    new_spending_file: bool = False,
    progress: Progress | None = None,
    accountant: MakeAccountant = Accountant,
) -> FittedModel:
    """Fit the engine of a task to the rows of a table.

    Parameters
    ----------
    train : Table
        Every row is learnt. Under a budget, read it with ``total=True`` (`privsynth.table.read`).
    task : FitTask
    stream : numpy.random.SeedSequence, optional
        Randomness of the engine; derived from the task's seed by default.
    spending_file : str or Path, optional
        The file in which the table's owner records what fits under a budget spend. A replay on
        other rows has none.
    new_spending_file : bool
        Create that file, which must not exist yet.
    progress : callable, optional
        Called with a phase, the steps done and the number of steps.
    accountant : callable
        Injected by tests: one that records queries, or answers without noise.

    Returns
    -------
    FittedModel
        The caller warns of its `cautions`.

    Raises
    ------
    UsageError
        The task does not fit the table.
    DataError
        The table cannot be used as it is.
    BudgetExceeded
        The spending file does not allow the budget.
    """
    measuring_task = task
    if task.measured_by is not None:
        engine, settings = task.measured_by
        measuring_task = replace(task, engine=engine, settings=settings, measured_by=None)
    if stream is None:
        _, stream = np.random.SeedSequence(task.seed).spawn(2)
    if measuring_task.budget is None:
        model = fit_exactly(train, measuring_task, stream=stream, progress=progress)
    else:
        model = fit_privately(
            train,
            measuring_task,
            stream=stream,
            spending_file=spending_file,
            new_spending_file=new_spending_file,
            progress=progress,
            accountant=accountant,
        )
    return model if measuring_task is task else refit(model, task.engine, task.recipe)


def rows_to_learn(table: Table, task: FitTask) -> Table:
    """Return the rows that a task learns: all of them, or those of the minority.

    A budgeted fit learns all rows, and an engine that holds rows needs the majority as well.
    """
    if not task.minority or task.budget is not None or traits(task.engine).holds_rows:
        return table
    return minority_rows(table, task.label)
