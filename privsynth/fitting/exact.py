"""Fits without a budget, under disclosure control: schema, codec, curator, engine."""

from __future__ import annotations

import numpy as np
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel, check_schema
from privsynth.card import Card
from privsynth.coding import Codec
from privsynth.coding import learn as learn_codec
from privsynth.curator import Curator
from privsynth.engines import Progress
from privsynth.errors import UsageError
from privsynth.fitting.cautions import about_copies, about_losses, about_units
from privsynth.fitting.checks import check_engine, check_rows, check_target
from privsynth.fitting.units import at_most_the_kth, with_units
from privsynth.fitting.versions import json_values, versions
from privsynth.privacy import Disclosure, Event, Ledger
from privsynth.schema import infer
from privsynth.table import Table
from privsynth.task import FitTask

__all__ = ["fit_exactly"]


def fit_exactly(
    train: Table,
    task: FitTask,
    *,
    stream: np.random.SeedSequence,
    progress: Progress | None = None,
) -> FittedModel:
    """Fit an engine to the rows of a table without a budget; see `privsynth.fitting.learn`.

    Raises
    ------
    UsageError
        The engine is for the minority alone, and the task is not.
    DataError
        The table cannot be used as it is.
    """
    check_engine(task.engine, task.minority)
    unit = task.unit
    train = with_units(train, unit)
    disclosure, ledger = Disclosure(task.k, unit.column if unit else None), Ledger()
    if task.minority:
        ledger.charge(Event("target", "the most frequent class"))
    ledger.charge(Event("schema", "kinds, levels and bounds"))
    (choosing,) = stream.spawn(1)
    train, dominance = at_most_the_kth(train, task.label, task.k, np.random.default_rng(choosing))
    schema = infer(train, target=task.target, k=task.k, declared=task.declared, narrow=True)
    check_schema(schema)
    check_rows(train, task.k)
    ledger.charge(Event("codec", "cells of the continuous columns"))
    codec = learn_codec(train, schema, disclosure)
    check_target(train, schema, task.k, task.minority)
    if task.minority and not codec.classes:
        raise UsageError(
            f"{train.name}: the minority is a class of the target, and this one is a number of "
            "many values; name another with --target, or declare it categorical in a schema"
        )
    curator = Curator(train, codec, ledger, disclosure)
    with threadpool_limits(1):
        model = task.recipe.fit(curator, np.random.default_rng(stream), progress)
    units = tuple(about_units(train, schema))
    card = Card(
        engine=task.engine,
        settings=json_values(task.recipe),
        seed=task.seed,
        rows=train.n_rows,
        target=schema.target.name if schema.target else None,
        declared={column.name: tuple(sorted(column.stated)) for column in task.declared or ()},
        class_shares=_class_shares(train, codec),
        minority=task.minority,
        holdout=task.holdout,
        frame=train.frame,
        disclosure=disclosure,
        rules=(*disclosure.rules, *(text for _, text in units)),
        holds_rows=model.holds_rows,
        versions=versions(),
    )
    cautions = (
        *units,
        *([] if dominance is None else [dominance]),
        *about_losses(codec, task.k),
        *about_copies(train, schema, task.k),
    )
    return FittedModel(schema, codec, model, ledger, card, cautions=cautions)


def _class_shares(train: Table, codec: Codec) -> tuple[float, ...] | None:
    """Return the share of each class, by its code."""
    if codec.label is None:
        return None
    coding = codec.codings[codec.label]
    values, counts, _ = train.value_counts(coding.name)
    shares = np.bincount(coding.encode(values), counts, minlength=coding.size) / counts.sum()
    return tuple(float(share) for share in shares)
