"""The verbs: fit, sample, evaluate, load. Each reads like the sentence that describes it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel, load
from privsynth.codec import MOST_CLASSES, Codec, LevelCodes, learn
from privsynth.curator import Curator
from privsynth.engines import DEFAULT, Progress, recipe
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.evaluation import Evaluation, Score
from privsynth.infer import infer
from privsynth.privacy import Disclosure, Event, Ledger
from privsynth.sampler import chosen_seed, rows
from privsynth.schema import Kind, Schema
from privsynth.storage import check_writable, replacing
from privsynth.table import Table, check_output, open_writer, read, to_frame, write

__all__ = ["FittedModel", "Report", "evaluate", "fit", "load", "propose_schema", "sample"]

MOST_STRATA = 50
PACKAGES = ("privsynth", "numpy", "scipy", "scikit-learn", "torch", "copulas", "ctgan", "sdv")


def propose_schema(
    data: Any, *, target: str | None = None, k: int = 10, encoding: str = "utf-8"
) -> Schema:
    """Propose a schema for a table: kinds, domains under disclosure control, and reasons.

    Parameters
    ----------
    data : path, frame or relation
    target : str, optional
        The column to be predicted.
    k : int
        The fewest rows that a level or bound may rest on.
    encoding : str
        Of a text file.

    Returns
    -------
    Schema
    """
    return infer(read(data, encoding=encoding), target=target, k=Disclosure(k).k)


def fit(
    data: Any,
    *,
    engine: str | None = None,
    target: str | None = None,
    schema: Schema | str | Path | None = None,
    k: int = 10,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    encoding: str = "utf-8",
    holdout: float | None = None,
    holdout_output: str | Path | None = None,
    progress: Progress | None = None,
) -> FittedModel:
    """Fit a model to a table.

    Parameters
    ----------
    data : path, frame or relation
        A file, a database table, a pandas, polars or Arrow frame, or a DuckDB relation.
    engine : str, optional
        An engine's name; ``"cart"`` by default.
    target : str, optional
        The column to be predicted; its classes can then be asked for exactly.
    schema : Schema or path, optional
        What is declared of the columns; the rest is inferred.
    k : int
        Disclosure control: nothing in the model rests on fewer rows than this.
    seed : int, optional
        Same seed, same versions, same model; drawn afresh by default and kept in the card.
    settings : mapping of str to value, optional
        The engine's hyper-parameters.
    encoding : str
        Of a text file.
    holdout : float, optional
        The share of rows to set aside, stratified by a discrete target, before anything is learnt.
    holdout_output : str or Path, optional
        Where to write them; wanted with `holdout`.
    progress : callable, optional
        Called with a phase, the steps done and the steps in all.

    Returns
    -------
    FittedModel

    Raises
    ------
    UsageError
        An option, setting or schema is wrong.
    DataError
        The table cannot be used as it is.
    """
    name = engine or DEFAULT
    synthesizer = recipe(name, settings)
    disclosure = Disclosure(k)
    declared = Schema.from_yaml(schema) if isinstance(schema, str | Path) else schema
    chosen = chosen_seed(seed)
    if (holdout is None) != (holdout_output is None):
        raise UsageError("a holdout wants both its share and where to write it; give both")
    if holdout_output is not None:
        check_output(holdout_output)
    streams = np.random.SeedSequence(chosen).spawn(2)
    table = read(data, encoding=encoding)
    train, aside = _split(table, holdout, _target_name(target, declared), streams[0])
    ledger = Ledger()
    ledger.charge(Event("schema", "kinds, levels and bounds"))
    full = infer(train, target=target, k=k, declared=declared)
    _check_rows(train, k)
    ledger.charge(Event("codec", "cells of the continuous columns"))
    codec = learn(train, full, disclosure)
    _check_target(train, full, k)
    _warn(codec, k)
    curator = Curator(train, codec, ledger, disclosure)
    with threadpool_limits(1):
        model = synthesizer.fit(curator, np.random.default_rng(streams[1]), progress)
    if aside is not None and holdout_output is not None:
        write(aside.to_arrow(), holdout_output, aside.formats)
    card = {
        "engine": name,
        "settings": asdict(synthesizer),  # type: ignore[call-overload]
        "seed": chosen,
        "rows": train.n_rows,
        "target": full.target.name if full.target else None,
        "holdout": holdout,
        "frame": table.frame,
        "disclosure": {"k": k, "rules": list(disclosure.rules)},
        "holds_rows": model.holds_rows,
        "versions": _versions(),
    }
    return FittedModel(full, codec, model, ledger, json.loads(json.dumps(card)))


def sample(
    model: FittedModel,
    n: int,
    *,
    seed: int | None = None,
    where: Mapping[str, Any] | None = None,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> Any:
    """Draw synthetic rows from a model.

    Parameters
    ----------
    model : FittedModel
    n : int
        How many rows in all.
    seed : int, optional
        Same seed, same rows; drawn afresh by default.
    where : mapping of str to value, optional
        Conditions that every row is to meet.
    output : str or Path, optional
        A file or database table to write to, a chunk at a time.
    progress : callable, optional

    Returns
    -------
    frame or None
        The caller's own kind of frame; None where `output` is given.

    Notes
    -----
    Every core that this process may use draws rows (``taskset`` narrows them). Neither the rows
    nor the file depend on how many there are, and memory does not grow with `n`.
    """
    if output is None:
        return model.sample(n, seed=seed, where=where)
    check_output(output)
    chosen = chosen_seed(seed)
    drawn = rows(model.codec, model.model, n, seed=chosen, where=where, progress=progress)
    formats = {c.name: c.format for c in model.schema if c.format is not None}
    with closing(drawn) as chunks:
        first = next(chunks)
        with open_writer(output, model.codec.schema, formats) as writer:
            for chunk in chain([first], chunks):
                writer.write(chunk)
    return None


@dataclass(frozen=True)
class Report:
    """What `evaluate` gives: the scores, and the ways to show them.

    Parameters
    ----------
    evaluation : Evaluation
    """

    evaluation: Evaluation

    @property
    def scores(self) -> tuple[Score, ...]:
        """Every score."""
        return self.evaluation.scores

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader must know."""
        return self.evaluation.notes

    def to_json(self, path: str | Path | None = None) -> str:
        """Give the evaluation as JSON, and write it to `path` where one is given."""
        return _written(self.evaluation.to_json(), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """Give the evaluation as one HTML page, and write it to `path` where one is given."""
        from privsynth.report.html import render

        return _written(render(self.evaluation), path)


def evaluate(
    synthetic: Any,
    *,
    train: Any,
    holdout: Any = None,
    target: str | None = None,
    schema: Schema | str | Path | None = None,
    model: FittedModel | str | Path | None = None,
    encoding: str = "utf-8",
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Score a synthetic table against the real rows.

    Parameters
    ----------
    synthetic, train : path, frame or relation
        The synthetic rows, and the real ones that the model was fitted on.
    holdout : path, frame or relation, optional
        Real rows that the model never saw. Without them utility is not scored.
    target : str, optional
        The column to be predicted; the model's or schema's by default.
    schema : Schema or path, optional
        What is declared of the columns; the model's by default, and else inferred from `train`.
    model : FittedModel or path, optional
    encoding : str
        Of those text files that are not UTF-8, as privsynth's own are.
    seed : int
        Of subsamples, resamples and the models that are trained to measure utility.
    progress : callable, optional

    Returns
    -------
    Report

    Raises
    ------
    DataError
        The tables do not have the same columns.
    """
    from privsynth.evaluation import evaluate_frames

    chosen = chosen_seed(seed)
    fitted = load(model) if isinstance(model, str | Path) else model
    declared = Schema.from_yaml(schema) if isinstance(schema, str | Path) else schema
    if declared is None and fitted is not None:
        declared = fitted.schema
    real = _read_either(train, encoding)
    full = infer(real, target=target, declared=declared)
    made = _frame(_read_either(synthetic, encoding))
    held_out = None if holdout is None else _frame(_read_either(holdout, encoding))
    return Report(
        evaluate_frames(_frame(real), held_out, made, full, seed=chosen, progress=progress)
    )


def _read_either(data: Any, encoding: str) -> Table:
    """Read a table as UTF-8, which privsynth writes, or else in the encoding that is named."""
    if not isinstance(data, str | Path) or str(data) == "-":  # standard input is read but once
        return read(data, encoding=encoding)
    try:
        return read(data)
    except DataError:
        return read(data, encoding=encoding)


def _frame(table: Table) -> Any:
    return to_frame(table.to_arrow(), "pandas")


def _written(text: str, path: str | Path | None) -> str:
    if path is not None:
        check_writable(path)
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return text


def _target_name(target: str | None, declared: Schema | None) -> str | None:
    if target is not None or declared is None or declared.target is None:
        return target
    return declared.target.name


def _split(
    table: Table, share: float | None, target: str | None, seed: np.random.SeedSequence
) -> tuple[Table, Table | None]:
    """Set a share of the rows aside, stratified by a target of few values."""
    if share is None:
        return table, None
    if not 0 < share < 1:
        raise UsageError(f"a holdout share of {share} was given; give one between 0 and 1")
    n = table.n_rows
    order = np.random.default_rng(seed).permutation(n)
    if target is not None and target in table.names:
        values, _, _ = table.value_counts(target)
        if len(values) <= MOST_STRATA:
            column = table.to_arrow([target]).column(0).combine_chunks()
            strata = _strata(column)
            order = order[np.argsort(strata[order], kind="stable")]
    # Every 1/share-th row of the ordered strata: each stratum gives its share, within one row.
    marks = np.floor(np.arange(1, n + 1) * share + 0.5).astype(int)
    chosen = np.diff(marks, prepend=0) > 0
    if not chosen.any() or chosen.all():
        raise DataError(
            f"{table.name}: has {n} rows, too few to set aside {share:.0%} of them; "
            "give a larger share or more rows"
        )
    return table.take(np.sort(order[~chosen])), table.take(np.sort(order[chosen]))


def _strata(column: Any) -> npt.NDArray[np.int64]:
    """Give each row the number of its value, null included."""
    encoded = column.dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices).astype(np.int64)


def _warn(codec: Codec, k: int) -> None:
    """Tell of columns of which nothing is left."""
    for coding in codec.codings:
        if coding.column.kind is Kind.TEXT:
            lost = "is free text, which is never copied: every value becomes a placeholder"
        elif isinstance(coding, LevelCodes) and coding.pooled and not coding.levels:
            lost = f"has no level that {k} rows hold, so every value becomes '(other)'"
        else:
            continue
        warnings.warn(f"column {coding.name!r} {lost}", PrivsynthWarning, stacklevel=3)


@lru_cache(maxsize=1)
def _versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def _check_rows(train: Table, k: int) -> None:
    if train.n_rows < 2 * k:
        raise DataError(
            f"{train.name}: has {train.n_rows} rows to train on, and at least {2 * k} are wanted "
            f"when nothing may rest on fewer than {k}; give more rows or lower --k"
        )


def _check_target(train: Table, schema: Schema, k: int) -> None:
    """Refuse a target that is missing somewhere, has one class, or a class under k rows."""
    target = schema.target
    if target is None:
        return
    _, counts, nulls = train.value_counts(target.name)
    place = f"{train.name}, column {target.name!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if len(counts) < 2:
        raise DataError(f"{place}: the target has one value, and two are needed; choose another")
    discrete = target.kind in (Kind.BOOLEAN, Kind.CATEGORICAL, Kind.ORDINAL)
    few = target.kind is Kind.INTEGER and len(counts) <= MOST_CLASSES
    if (discrete or few) and counts.min() < k:
        raise DataError(
            f"{place}: {int((counts < k).sum())} of {len(counts)} classes are held by fewer than "
            f"{k} rows; merge or drop them, or lower --k (the card will say so)"
        )
