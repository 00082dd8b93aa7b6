"""One door for all fits: a table and a task give a model."""

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
        Every row is learnt from. Under a budget it was read as `total`.
    task : FitTask
    stream : numpy.random.SeedSequence, optional
        The engine's chance; by default the one that the task's seed gives.
    spending_file : str or Path, optional
        The file in which the table's owner counts what all fits under a budget may spend. A
        replay on other rows has none.
    new_spending_file : bool
        Open that file, which must not be there yet.
    progress : callable, optional
        Called with a phase, the steps done and the number of steps.
    accountant : callable
        Tests inject one that records, or that answers without noise.

    Returns
    -------
    FittedModel
        Its `cautions` are what the user should be warned of.

    Raises
    ------
    UsageError
        The task does not fit the table.
    DataError
        The table cannot be used as it is.
    BudgetExceeded
        The spending file does not allow the budget.
    """
    first = task
    if task.measured_by is not None:
        engine, settings = task.measured_by
        first = replace(task, engine=engine, settings=settings, measured_by=None)
    if stream is None:
        _, stream = np.random.SeedSequence(task.seed).spawn(2)
    if first.budget is None:
        model = fit_exactly(train, first, stream=stream, progress=progress)
    else:
        model = fit_privately(
            train,
            first,
            stream=stream,
            spending_file=spending_file,
            new_spending_file=new_spending_file,
            progress=progress,
            accountant=accountant,
        )
    return model if first is task else refit(model, task.engine, task.recipe)


def rows_to_learn(table: Table, task: FitTask) -> Table:
    """Return the rows that a task learns: all of them, or those of the minority.

    Under a budget all rows are learnt; an engine that holds rows needs the majority beside them.
    """
    if not task.minority or task.budget is not None or traits(task.engine).holds_rows:
        return table
    return minority_rows(table, task.label)
