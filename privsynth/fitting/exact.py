"""From a table to a fitted model: schema, codec, curator, engine, in this order."""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel
from privsynth.coding import MOST_CLASSES, Codec, LevelCodes, learn
from privsynth.curator import Curator
from privsynth.engines import ENGINES, OVERSAMPLERS, Progress, Synthesizer
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.privacy import Disclosure, Event, Ledger
from privsynth.schema import Column, Kind, Schema, infer
from privsynth.table import Table

__all__ = ["fit_table", "minority_rows", "versions"]

MOST_COMPARED = 200_000
"""Rows beyond which copies are not looked for."""
MOST_COPIES = 0.5
NATURAL = 100
"""Where fewer than so many times the distinct rows are possible, copies are no surprise."""
PACKAGES = (
    "privsynth",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "copulas",
    "ctgan",
    "sdv",
    "opendp",
)


def fit_table(
    train: Table,
    name: str,
    synthesizer: Synthesizer,
    *,
    target: str | None,
    declared: Schema | None,
    k: int,
    seed: int,
    stream: np.random.SeedSequence,
    minority: bool = False,
    holdout: float | None = None,
    progress: Progress | None = None,
) -> FittedModel:
    """Fit an engine to the rows of a table.

    Parameters
    ----------
    train : Table
        Every row is learnt from.
    name : str
        The engine's name.
    synthesizer : Synthesizer
        Its recipe.
    target : str, optional
        The column to be predicted.
    declared : Schema, optional
        What is declared of the columns; the rest is inferred.
    k : int
        Disclosure control: nothing in the model rests on fewer rows than this.
    seed : int
        What the card says of chance.
    stream : numpy.random.SeedSequence
        Where the engine's chance comes from.
    minority : bool
        Whether the model is to draw the classes below the most frequent one alone. The rows are
        theirs then, unless the engine holds rows.
    holdout : float, optional
        The share that was set aside, for the card.
    progress : callable, optional

    Returns
    -------
    FittedModel

    Raises
    ------
    UsageError
        An engine for the minority alone is asked for the whole table.
    DataError
        The table cannot be used as it is.
    """
    if name in OVERSAMPLERS and not minority:
        raise UsageError(
            f"{name} makes rows of the minority alone: fit it with --minority, use "
            f"'privsynth augment', or choose one of {', '.join(ENGINES)}"
        )
    disclosure = Disclosure(k)
    ledger = Ledger()
    if minority:
        ledger.charge(Event("target", "the most frequent class"))
    ledger.charge(Event("schema", "kinds, levels and bounds"))
    full = infer(train, target=target, k=k, declared=declared, narrow=True)
    _check_rows(train, k)
    ledger.charge(Event("codec", "cells of the continuous columns"))
    codec = learn(train, full, disclosure)
    _check_target(train, full, k, minority)
    if minority and not codec.classes:
        raise UsageError(
            f"{train.name}: the minority is a class of the target, and this one is a number of "
            "many values; name another with --target, or declare it categorical in a schema"
        )
    _warn(codec, k)
    _warn_of_copies(train, full, k)
    curator = Curator(train, codec, ledger, disclosure)
    with threadpool_limits(1):
        model = synthesizer.fit(curator, np.random.default_rng(stream), progress)
    card = {
        "engine": name,
        "settings": asdict(synthesizer),  # type: ignore[call-overload]
        "seed": seed,
        "rows": train.n_rows,
        "target": full.target.name if full.target else None,
        "declared": {column.name: sorted(column.stated) for column in declared or ()},
        "class_shares": _class_shares(train, codec),
        "minority": minority,
        "holdout": holdout,
        "frame": train.frame,
        "disclosure": {"k": k, "rules": list(disclosure.rules)},
        "holds_rows": model.holds_rows,
        "versions": versions(),
    }
    return FittedModel(full, codec, model, ledger, json.loads(json.dumps(card)))


def minority_rows(table: Table, target: str | None) -> Table:
    """Give the rows of every class but the most frequent one.

    Raises
    ------
    UsageError
        There is no target.
    DataError
        It is missing in some rows, or has one class.
    """
    if target is None:
        raise UsageError("the minority is a class of the target; name it with --target")
    if target not in table.names:
        infer(table, target=target)  # says so, with the names that are there
    values, counts, nulls = table.value_counts(target)
    _check_classes(table, target, len(counts), nulls)
    column = table.to_arrow([target]).column(0).combine_chunks()
    plain = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
    rare = pc.not_equal(plain, values[int(counts.argmax())])
    return table.take(np.flatnonzero(np.asarray(rare)))


def _class_shares(train: Table, codec: Codec) -> list[float] | None:
    """Give the share of each class, by its code."""
    if codec.target is None or not codec.classes:
        return None
    coding = codec.codings[codec.target]
    values, counts, _ = train.value_counts(coding.name)
    shares = np.bincount(coding.encode(values), counts, minlength=coding.size) / counts.sum()
    return [float(share) for share in shares]


def _warn(codec: Codec, k: int) -> None:
    """Tell of columns of which nothing is left."""
    for coding in codec.codings:
        if coding.column.kind is Kind.TEXT:
            lost = "is free text, which is never copied: every value becomes a placeholder"
        elif isinstance(coding, LevelCodes) and coding.pooled and not coding.levels:
            lost = f"has no level that {k} rows hold, so every value becomes '(other)'"
        else:
            continue
        warnings.warn(f"column {coding.name!r} {lost}", PrivsynthWarning, stacklevel=5)


def _warn_of_copies(train: Table, schema: Schema, k: int) -> None:
    """Warn where most rows have an exact twin that chance would not have made.

    Disclosure control counts rows: k copies of one person's row pass for k persons.
    """
    columns = [c.name for c in schema if not (c.unique or c.determined_by)]
    if not columns or train.n_rows > MOST_COMPARED:
        return
    # Numbered, since Arrow takes a name such as ".5" for a path.
    rows = train.to_arrow(columns).rename_columns([str(i) for i in range(len(columns))])
    for i, name in enumerate(rows.column_names):
        if pa.types.is_dictionary(rows.schema.field(i).type):
            rows = rows.set_column(
                i, name, rows.column(i).cast(rows.schema.field(i).type.value_type)
            )
    held = np.asarray(rows.group_by(rows.column_names).aggregate([([], "count_all")])["count_all"])
    possible = math.prod(pc.count_distinct(column, "all").as_py() for column in rows.columns)
    if possible < NATURAL * len(held):
        return
    share = held[held > 1].sum() / train.n_rows
    if share > MOST_COPIES:
        warnings.warn(
            f"about {share:.0%} of the rows have an exact copy in the table: to disclosure control "
            f"{k} copies of one person's row are {k} persons; drop the copies, or raise --k",
            PrivsynthWarning,
            stacklevel=4,
        )


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Give the versions of the packages that a fit rests on, for the card."""
    return {package: version(package) for package in PACKAGES}


def _check_rows(train: Table, k: int) -> None:
    if train.n_rows < 2 * k:
        raise DataError(
            f"{train.name}: has {train.n_rows} rows to train on, and at least {2 * k} are wanted "
            f"when nothing may rest on fewer than {k}; give more rows or lower --k"
        )


def _check_target(train: Table, schema: Schema, k: int, minority: bool) -> None:
    """Refuse a target that is missing somewhere, has one class, or a class under k rows."""
    target = schema.target
    if target is None:
        return
    _, counts, nulls = train.value_counts(target.name)
    _check_classes(train, target.name, 2 if minority else len(counts), nulls)
    if _discrete(target, len(counts)) and counts.min() < k:
        raise DataError(
            f"{train.name}, column {target.name!r}: {int((counts < k).sum())} of {len(counts)} "
            f"classes are held by fewer than {k} rows; merge or drop them, or lower --k (the card "
            "will say so)"
        )


def _check_classes(train: Table, target: str, classes: int, nulls: int) -> None:
    place = f"{train.name}, column {target!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if classes < 2:
        raise DataError(f"{place}: the target has one value, and two are needed; choose another")


def _discrete(target: Column, classes: int) -> bool:
    few = target.kind is Kind.INTEGER and classes <= MOST_CLASSES
    return few or target.kind in (Kind.BOOLEAN, Kind.CATEGORICAL, Kind.ORDINAL)
