"""Fits under a privacy budget.

Everything comes from the accountant's noisy answers: no kind, level, bound, refusal or message
depends on the rows in any other way. Tasks are checked against column names and declarations
alone, before any noise is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel, check_schema
from privsynth.card import Card
from privsynth.coding import check_declared, declared_codec
from privsynth.curator import PrivateCurator, discover, discovery_delta, frequent_values
from privsynth.engines import PrivateModel, PrivateSynthesizer, Progress
from privsynth.errors import UsageError
from privsynth.fitting.cautions import about_noise
from privsynth.fitting.splitting import at_most_per_unit
from privsynth.fitting.versions import json_values, versions
from privsynth.privacy import INVENTED, Accountant, Budget, Disclosure, Ledger, reserve
from privsynth.schema import Schema, Source
from privsynth.table import Table
from privsynth.task import FitTask

__all__ = ["MakeAccountant", "fit_privately"]

MakeAccountant = Callable[[Any, Ledger, float], Accountant]
"""Builds an accountant from a table, a ledger and the delta for discovered levels."""


def fit_privately(
    train: Table,
    task: FitTask,
    *,
    stream: np.random.SeedSequence,
    spending_file: str | Path | None = None,
    new_spending_file: bool = False,
    progress: Progress | None = None,
    accountant: MakeAccountant = Accountant,
) -> FittedModel:
    """Fit an engine to the rows of a table under a budget; see `privsynth.fitting.learn`.

    Parameters
    ----------
    train : Table
        Read with ``total=True``; see `privsynth.table.read`.
    task : FitTask
        Its schema declares the kind and storage type of every column, and the domain unless it is
        to be discovered.
    stream : numpy.random.SeedSequence
        Randomness of post-processing, never of the noise.
    spending_file : str or Path, optional
        The file in which the table's owner records what all fits spend.
    new_spending_file : bool
        Create that file, which must not exist yet.
    progress : callable, optional
    accountant : callable
        Injected by tests: one that records queries, or answers without noise.

    Raises
    ------
    UsageError
        The schema is incomplete, or its columns are not those of the table.
    BudgetExceeded
        The spending file does not allow the budget.
    """
    budget, synthesizer = task.budget, task.recipe
    if budget is None or not isinstance(synthesizer, PrivateSynthesizer):
        raise UsageError(
            f"a private fit of {task.engine} needs a budget, and an engine that works under one"
        )
    schema = _declared(train, task)
    # Refuse here whatever can be refused: once the spending file has an entry, budget is spent.
    check_schema(schema)
    synthesizer.check_codec(declared_codec(schema))
    delta = discovery_delta(schema, budget)
    rows = at_most_per_unit(train, budget)
    if spending_file is not None:
        what = f"{task.engine} on {Path(train.name).name}"
        reserve(spending_file, budget, delta, what, new=new_spending_file)
    ledger = Ledger(budget=budget)
    answers = accountant(rows, ledger, delta)
    if progress is not None:
        progress("measuring under the budget", 0, 0)
    schema = discover(answers, schema)
    codec = declared_codec(schema, frequent_values(answers, schema))
    with threadpool_limits(1):
        model = synthesizer.fit_privately(
            PrivateCurator(answers, codec), np.random.default_rng(stream), progress
        )
    return _fitted(train, task, budget, schema, codec, model, ledger)


def _declared(train: Table, task: FitTask) -> Schema:
    """Return the declared schema, checked against the table's column names."""
    schema = check_declared(task.declared, train.names, train.name)
    if task.target is not None:
        schema = schema.with_target(task.target)
    if task.minority and not _has_classes(schema):
        raise UsageError(
            f"{train.name}: the minority is a class of the target, and the schema declares no "
            "target of few classes; name another with --target, or declare it categorical"
        )
    return schema


def _has_classes(schema: Schema) -> bool:
    """Return whether the target has few classes, according to the schema alone."""
    return declared_codec(schema).classes or (
        schema.target is not None
        and schema.target.source is Source.DISCOVERED
        and not schema.target.kind.continuous
        and not schema.target.kind.surrogate
    )


def _fitted(
    train: Table,
    task: FitTask,
    budget: Budget,
    schema: Schema,
    codec: Any,
    model: PrivateModel,
    ledger: Ledger,
) -> FittedModel:
    shares = None if codec.label is None else model.marginal(codec.label)
    cautions = tuple(about_noise(budget, codec, model, ledger))
    disclosure = Disclosure(1)
    card = Card(
        engine=task.engine,
        settings=json_values(task.recipe),
        seed=task.seed,
        rows=max(round(model.n_rows), 0),
        target=schema.target.name if schema.target else None,
        declared={column.name: tuple(sorted(column.stated)) for column in task.declared or ()},
        class_shares=None if shares is None else tuple(float(share) for share in shares),
        minority=task.minority,
        holdout=task.holdout,
        frame=train.frame,
        disclosure=disclosure,
        rules=INVENTED,
        holds_rows=model.holds_rows,
        versions=versions(),
        cautions=tuple(caution.text for caution in cautions),
    )
    return FittedModel(schema, codec, model, ledger, card, cautions=cautions)
