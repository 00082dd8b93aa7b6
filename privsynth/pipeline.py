"""The verbs: fit, sample, augment, evaluate, load. Each reads like what describes it."""

from __future__ import annotations

import math
import secrets
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.artefact import FittedModel, load
from privsynth.coding import unit_codes
from privsynth.engines import DEFAULT, DEFAULT_PRIVATE, Progress, cautions, recipe
from privsynth.errors import (
    DataError,
    PrivsynthError,
    PrivsynthWarning,
    SamplingError,
    UsageError,
    did_you_mean,
    warn,
)
from privsynth.evaluation import Evaluation, Score
from privsynth.fitting import (
    about_time,
    about_units,
    check_k,
    check_private,
    learn,
    named_unit,
    refit,
    replaying,
    rows_to_learn,
    set_aside,
    with_units,
)
from privsynth.privacy import Budget, Disclosure
from privsynth.report import Report
from privsynth.sampler import chosen_seed
from privsynth.schema import Schema, Unit, agreed_unit, infer, opened
from privsynth.table import (
    Table,
    check_distinct,
    check_output,
    is_stream,
    only_places,
    open_writer,
    read,
    to_frame,
    write,
)
from privsynth.task import After, FitTask

if TYPE_CHECKING:
    from privsynth.evaluation import Policy, Tables
    from privsynth.minority import Augmentation, FitOn, Selection

__all__ = [
    "FittedModel",
    "Report",
    "augment",
    "augmented",
    "evaluate",
    "fit",
    "load",
    "minority_gain",
    "propose_schema",
    "release",
    "sample",
]

UnitName: TypeAlias = "str | Mapping[str, str]"
"""``"row"``, the name of a column, or ``{"column": "row"}``."""

K = 10
ENCODING = "utf-8"
MODEL = ".psyn"


def propose_schema(
    data: Any,
    *,
    target: str | None = None,
    unit: UnitName | None = None,
    k: int | None = None,
    encoding: str | None = None,
    escape: bool = True,
) -> Schema:
    """Propose a schema for a table: kinds, domains under disclosure control, and reasons.

    Parameters
    ----------
    data : path, frame or relation
    target : str, optional
        The column to be predicted.
    unit : str or mapping, optional
        As in `fit`; k then counts units, and the schema names the unit.
    k : int, optional
        The fewest rows that a level or bound may rest on; 10 by default.
    encoding : str, optional
        Of a text file; UTF-8 by default.
    escape : bool
        Remove the ``'`` that keeps a spreadsheet from running a cell of a CSV or TSV file as a
        formula.

    Returns
    -------
    Schema
    """
    declared, _ = named_unit(unit, None, None)
    named = None if declared is None else declared.unit
    table = with_units(read(data, encoding=encoding or ENCODING, escape=escape), named)
    schema = infer(table, target=target, k=_min_rows(k), declared=declared)
    return replace(schema, sources=only_places({"data": data}))


def fit(
    data: Any,
    *,
    engine: str | None = None,
    target: str | None = None,
    schema: Schema | str | Path | None = None,
    unit: UnitName | None = None,
    k: int | None = None,
    seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    escape: bool = True,
    holdout: float | None = None,
    holdout_after: str | date | None = None,
    holdout_column: str | None = None,
    holdout_output: str | Path | None = None,
    minority: bool = False,
    budget: Budget | None = None,
    ledger: str | Path | None = None,
    new_ledger: bool = False,
    progress: Progress | None = None,
) -> FittedModel:
    """Fit a model to a table.

    Parameters
    ----------
    data : path, frame or relation
        A file, a database table, a pandas, polars or Arrow frame, or a DuckDB relation; or a model
        that was fitted under a budget (a file ending in ``.psyn``), to what was measured for which
        another engine is fitted at no cost; nothing but `engine` and `settings` is given then.
    engine : str, optional
        An engine's name; ``"cart"`` by default, and ``"marginals"`` under a budget.
    target : str, optional
        The column to be predicted; its classes can then be asked for exactly.
    schema : Schema or path, optional
        What is declared of the columns; the rest is inferred.
    unit : str or mapping, optional
        Whose privacy is kept: ``"row"``, or the column whose values name persons, each with
        several rows; ``{"column": "row"}`` for a column of that name. The schema and the budget
        may name it instead.
    k : int, optional
        Disclosure control: nothing in the model rests on fewer rows than this; 10 by default.
        Under a budget noise takes its place, and it cannot be given.
    seed : int, optional
        Same seed, same versions, same model; drawn afresh by default and kept in the card. Under
        a budget models differ all the same: noise has no seed.
    settings : mapping of str to value, optional
        The engine's hyper-parameters.
    encoding : str, optional
        Of a text file; UTF-8 by default.
    escape : bool
        Remove the ``'`` that keeps a spreadsheet from running a cell of a CSV or TSV file as a
        formula, and put one before such cells of `holdout_output`.
    holdout : float, optional
        The share of rows to set aside, stratified by a discrete target, before anything is learnt.
    holdout_after : str or date, optional
        Instead of a share: set the rows at or after this date aside, such as ``"2024-01-31"`` or
        ``"2024-01-31T12:00"``. Without an offset it is local time in the column's zone. Needs
        `holdout_column`.
    holdout_column : str, optional
        The column of dates or times that is compared with it. Rows without one are learnt.
    holdout_output : str or Path, optional
        Where to write the rows set aside; wanted with `holdout` or `holdout_after`.
    minority : bool
        Whether to learn only the rows of the classes below the most frequent one. Under a budget
        all rows are learnt, and those of these classes drawn.
    budget : Budget, optional
        The privacy loss allowed. The schema then declares every column: kind, storage type, and
        a domain that is not inferred.
    ledger : str or Path, optional
        The file in which the owner of the table counts what every fit under a budget may spend.
    new_ledger : bool
        Open that file, with the budget as its total; it must not be there yet.
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
    BudgetExceeded
        The ledger does not allow the budget.
    """
    if isinstance(data, FittedModel) or (
        isinstance(data, str | Path) and str(data).endswith(MODEL)
    ):
        unused = {
            "target": target,
            "schema": schema,
            "unit": unit,
            "k": k,
            "seed": seed,
            "encoding": encoding,
            "holdout": holdout,
            "holdout_after": holdout_after,
            "holdout_column": holdout_column,
            "escape": None if escape else escape,
            "holdout_output": holdout_output,
            "minority": minority or None,
            "epsilon": budget,
            "ledger": ledger,
            "new_ledger": new_ledger or None,
        }
        return _fit_to_measurements(data, engine or DEFAULT_PRIVATE, settings, unused)
    sources = {"data": data, "schema": schema}
    check_distinct(sources, {"holdout_output": holdout_output, "ledger": ledger})
    name = engine or (DEFAULT if budget is None else DEFAULT_PRIVATE)
    check_private(name, recipe(name, settings), budget, ledger, new_ledger)
    if budget is not None:
        check_k(k, name, budget)
    asked = _holdout(holdout, holdout_after, holdout_column)
    if (asked is None) != (holdout_output is None):
        raise UsageError(
            "a holdout needs both its share, or a date and a column, and where to write it; give "
            "both"
        )
    if holdout_output is not None:
        check_output(holdout_output)
    declared, budget = named_unit(unit, opened(schema), budget, target)
    task = FitTask(
        name,
        settings or {},
        declared,
        target,
        _min_rows(k),
        budget,
        minority,
        chosen_seed(seed),
        asked,
    )
    splitting, fitting = np.random.SeedSequence(task.seed).spawn(2)
    table = _read_to_fit(data, encoding or ENCODING, task, escape)
    parts = set_aside(table, task, splitting)
    model = learn(
        rows_to_learn(parts.train, task),
        task,
        stream=fitting,
        spending_file=ledger,
        new_spending_file=new_ledger,
        progress=progress,
    )
    if isinstance(asked, After):
        of_time = about_time(asked.date, parts.dropped_rows, parts.dropped_units)
        model = replace(model, cautions=(*model.cautions, *of_time))
    for caution in (*cautions(name, settings), *(text for _, text in model.cautions)):
        warn(caution)
    if parts.holdout is not None and holdout_output is not None:
        aside = parts.holdout
        write(aside.to_arrow(), holdout_output, aside.formats, escape=escape)
    written = {"ledger": ledger, "holdout_output": holdout_output}
    return replace(model, sources=only_places({**sources, **written}))


def _holdout(
    share: float | None, after: str | date | None, column: str | None
) -> float | After | None:
    """Return how a holdout is to be set aside: by a share, by a date, or not at all."""
    if (after is None) != (column is None):
        raise UsageError("a holdout in time needs both a date and a column of dates; give both")
    if after is None or column is None:
        return share
    if share is not None:
        raise UsageError("a holdout is a share or all after a date; give one of them")
    return After(str(after), column)


def _fit_to_measurements(
    data: FittedModel | str | Path,
    engine: str,
    settings: Mapping[str, Any] | None,
    unused: Mapping[str, Any],
) -> FittedModel:
    """Fit another engine to what was measured for a model; refuse options that change nothing."""
    for option, value in unused.items():
        if value is not None:
            raise UsageError(
                f"{option} is given, and another engine is fitted to what was measured for a "
                "model: nothing but engine and settings can change; leave it out, or give "
                "the table"
            )
    fitted = load(data) if isinstance(data, str | Path) else data
    again = refit(fitted, engine, recipe(engine, settings))
    return replace(again, sources=only_places({**fitted.sources, "data": data}))


def sample(
    model: FittedModel,
    n: int,
    *,
    seed: int | None = None,
    where: Mapping[str, Any] | None = None,
    balance: float | None = None,
    output: str | Path | None = None,
    escape: bool = True,
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
    balance : float, optional
        The least rows of each class for each row of the most frequent one, above 0 and at most
        1, as imbalanced-learn's ``sampling_strategy``; without it classes have the shares of the
        training rows.
    output : str or Path, optional
        A file or database table to write to, a chunk at a time.
    escape : bool
        Put a ``'`` before cells of a CSV or TSV file that a spreadsheet would run as formulas.
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
        return model.sample(n, seed=seed, where=where, balance=balance)
    check_distinct(model.sources, {"output": output})
    check_output(output)
    drawn = model.chunks(n, seed=seed, where=where, balance=balance, progress=progress)
    formats = {c.name: c.format for c in model.schema if c.format is not None}
    with closing(drawn) as chunks:
        first = next(chunks)
        with open_writer(output, model.codec.schema, formats, escape=escape) as writer:
            for chunk in chain([first], chunks):
                writer.write(chunk)
    return None


def augmented(
    data: Any,
    *,
    target: str,
    engine: str | None = None,
    sampling_strategy: Any = "auto",
    fit_on: FitOn = "auto",
    selection: Selection = "auto",
    schema: Schema | str | Path | None = None,
    unit: UnitName | None = None,
    k: int | None = None,
    settings: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    escape: bool = True,
    budget: Budget | None = None,
    ledger: str | Path | None = None,
    new_ledger: bool = False,
    seed: int | None = None,
    flag: bool = True,
    progress: Progress | None = None,
) -> Augmentation:
    """Draw rows of the minority classes; see `augment`.

    Returns
    -------
    Augmentation
        The real and the synthetic rows, the model, notes, and what attacks find.
    """
    from privsynth.minority import Plan, augment_table

    check_distinct({"data": data, "schema": schema}, {"ledger": ledger})
    declared, budget = named_unit(unit, opened(schema), budget, target)
    name = engine or (DEFAULT if budget is None else DEFAULT_PRIVATE)
    plan = Plan(
        name, settings, fit_on, selection, _min_rows(k), declared, budget, ledger, new_ledger
    )
    check_k(k, name, budget)
    encoding = encoding or ENCODING
    if budget is not None and is_stream(data):
        raise UsageError(
            "under a budget the table is read twice, and standard input can be read but once; "
            "name a file"
        )
    learnt = None
    if budget is not None:
        learnt = read(data, encoding=encoding, total=True, escape=escape, columns=_names(declared))
    try:
        with warnings.catch_warnings():
            if learnt is not None:  # under a budget nothing is said or refused of what rows hold
                warnings.simplefilter("ignore", PrivsynthWarning)
            real = read(data, encoding=encoding, escape=escape)
    except DataError:
        if learnt is None:
            raise
        real = learnt
    if learnt is not None and set(real.names) != set(learnt.names):
        real = learnt  # the rows of JSON lines have other keys than the schema declares
    return augment_table(
        real,
        target,
        plan,
        learnt=learnt,
        sampling_strategy=sampling_strategy,
        seed=chosen_seed(seed),
        flag="synthetic" if flag else None,
        progress=progress,
    )


def augment(
    data: Any,
    *,
    target: str,
    engine: str | None = None,
    sampling_strategy: Any = "auto",
    random_state: int | None = None,
    flag: bool = True,
    **options: Any,
) -> Any:
    """Put synthetic rows of the minority classes behind the real rows.

    Parameters
    ----------
    data : path, frame or relation
    target : str
        The column that holds the classes.
    engine : str, optional
        An engine's name, imbalanced-learn's included (``"smote"``, ``"random"``, ...); ``"cart"``
        by default, and ``"marginals"`` under a budget.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's: ``"auto"`` fills every class up to the most frequent one; a float is
        the minority's rows for each row of the majority; a dict gives rows in all by class. Under
        a budget the classes' noisy counts are filled up.
    random_state : int, optional
        Same seed, same rows.
    flag : bool
        Whether a column ``synthetic`` tells the added rows from the real ones.
    **options
        ``fit_on``, ``selection``, ``schema``, ``unit``, ``k``, ``settings``, ``encoding``,
        ``escape``, ``budget``, ``ledger``, ``new_ledger`` and ``progress``, as in
        `privsynth.MinoritySampler` and `privsynth.fit`.

    Returns
    -------
    frame
        The caller's own kind; pandas for a file. It holds the real rows: do not share it.

    Raises
    ------
    UsageError
        No such column or class, or a strategy that does not fit the classes.
    DataError
        A class of one row is to grow, or the engine cannot take a column.
    BudgetExceeded
        The ledger does not allow the budget.

    Notes
    -----
    Under a budget the synthetic rows, and how many of each class there are, rest on noisy answers
    alone. Real and synthetic rows together are no private release: only the model behind the
    synthetic rows is.
    """
    augmentation = augmented(
        data,
        target=target,
        engine=engine,
        sampling_strategy=sampling_strategy,
        seed=random_state,
        flag=flag,
        **options,
    )
    return _as_given(to_frame(augmentation.table(), augmentation.real.frame), data)


def _as_given(frame: Any, data: Any) -> Any:
    """Convert the columns of a pandas frame to the types of the caller's own frame."""
    if type(data).__module__.split(".")[0] != "pandas" or not hasattr(data, "dtypes"):
        return frame
    for name, dtype in data.dtypes.items():
        if frame[name].dtype != dtype:
            with suppress(TypeError, ValueError):  # a gap drawn has no place in every type
                frame[name] = frame[name].astype(dtype)
    return frame


def minority_gain(
    data: Any,
    *,
    target: str,
    engine: str | Sequence[str] | None = None,
    sampling_strategy: Any = "auto",
    fit_on: FitOn = "auto",
    selection: Selection = "auto",
    schema: Schema | str | Path | None = None,
    k: int | None = None,
    settings: Mapping[str, Any] | None = None,
    encoding: str | None = None,
    escape: bool = True,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    groups: Any = None,
    progress: Progress | None = None,
) -> Report:
    """Judge by repeated cross-validation whether augmentation helps on real rows.

    Parameters
    ----------
    data, target, sampling_strategy, fit_on, selection, schema, k, settings, encoding, escape
        As in `augment`.
    engine : str or sequence of str, optional
        One engine or several, which are judged in the same folds.
    folds, repeats : int
        Stratified folds, and how often they are drawn anew. The engine is fitted inside every
        training fold; test folds are real rows alone.
    seed : int
        Of folds, engines and models.
    groups : str or array-like of shape (rows,), optional
        The unit, such as a person, that each row belongs to: a column's name, or one label per
        row. No unit is then on both sides of a fold, the column is no feature, and engines count
        units where they count rows of a class (see `privsynth.MinoritySampler`). A row without a
        label is a unit of its own. By default the unit of the schema; without any, rows of one
        person may lie on both sides of a fold, and every figure is then too good.
    progress : callable, optional

    Returns
    -------
    Report
        Beside doing nothing, class weights, moving the threshold, random over-sampling, SMOTE and
        ADASYN: PR-AUC, ROC-AUC, recall, F1, Brier score, and paired differences with intervals.

    Raises
    ------
    UsageError
        An option cannot be used, or the table has no column of the name given as `groups`.
    DataError
        The target holds no classes; or `groups` names a single unit, holds numbers that are not
        whole, or leaves fewer units than folds to the table or to a class.
    """
    from privsynth.evaluation.minority import minority_gain as cross_validated
    from privsynth.minority import by_label
    from privsynth.minority.sampler import MinoritySampler

    names = (engine,) if isinstance(engine, str) else tuple(engine or (DEFAULT,))
    for name in names:
        check_k(k, name, None)
    for name in names:
        recipe(name, settings)
    declared = opened(schema)
    table = read(data, encoding=encoding or ENCODING, escape=escape)
    full = infer(table, target=target, declared=declared)
    if groups is None and declared is not None and declared.unit is not None:
        groups = declared.unit.column
    units = None if groups is None else _units(table, groups, target)
    if isinstance(sampling_strategy, Mapping):
        labels = table.value_counts(target)[0].to_pylist()
        sampling_strategy = by_label(sampling_strategy, labels, table.formats.get(target))

    def resample(name: str, X: Any, y: Any, chosen: int, groups: Any = None) -> tuple[Any, Any]:
        sampler = MinoritySampler(
            name,
            sampling_strategy=sampling_strategy,
            fit_on=fit_on,
            selection=selection,
            settings=settings,
            k=_min_rows(k),
            schema=None if declared is None else _declared_of(declared, list(X.columns)),
            random_state=chosen,
        )
        try:
            grown: tuple[Any, Any] = sampler.fit_resample(X, y, groups=groups)
        except PrivsynthError:
            raise
        except ValueError:  # imbalanced-learn's own checks of the classes and the strategy
            raise DataError(
                "the classes or the sampling strategy do not suit imbalanced-learn in a fold; give "
                "classes as text or whole numbers, and ask for more rows than each class has"
            ) from None
        return grown

    return Report(
        cross_validated(
            to_frame(table.to_arrow(), "pandas"),
            full,
            {name: partial(resample, name) for name in names},
            sampling_strategy=sampling_strategy,
            folds=folds,
            repeats=repeats,
            seed=chosen_seed(seed),
            progress=progress,
            groups=units,
            unit=groups if isinstance(groups, str) else None,
        ),
        sources=only_places({"data": data, "schema": schema}),
    )


def _declared_of(declared: Schema, features: Sequence[str]) -> Schema:
    """Return what is declared of some features, and of nothing that determines them from without.

    The unit stays, though its column may be none of them.
    """
    return declared.with_columns(
        column
        for column in declared
        if column.name in features and column.determined_by in (None, *features)
    )


def _units(table: Table, groups: Any, target: str) -> npt.NDArray[np.int64]:
    """Return the unit of each row of a table, which a column or an array-like names."""
    if not isinstance(groups, str):
        units = unit_codes(groups, "groups")
        if len(units) != table.n_rows:
            raise DataError(
                f"groups name the units of {len(units)} rows, and {table.name} has {table.n_rows}"
            )
        return units
    if groups not in table.names:
        raise UsageError(
            f"{table.name}: no column {groups!r} to name units{did_you_mean(groups, table.names)}"
        )
    if groups == target:
        raise UsageError(f"column {groups!r} is the target, and cannot name the units as well")
    return unit_codes(table.to_arrow([groups]).column(0), f"{table.name}, column {groups!r}")


def evaluate(
    synthetic: Any,
    *,
    train: Any,
    holdout: Any = None,
    target: str | None = None,
    schema: Schema | str | Path | None = None,
    model: FittedModel | str | Path | None = None,
    encoding: str = "utf-8",
    escape: bool = True,
    seed: int = 0,
    attacks: bool = True,
    policy: Policy | str | Path | None = None,
    audit: Literal["deep"] | None = None,
    records_at_risk: str | Path | None = None,
    unit: UnitName | None = None,
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
    escape : bool
        Remove the ``'`` that keeps a spreadsheet from running a cell of a CSV or TSV file as a
        formula, and put one before such cells of `records_at_risk`.
    seed : int
        Of subsamples, resamples and the models that are trained to measure utility.
    attacks : bool
        Whether the table is attacked, too: membership, replication, attribute inference,
        linkability, singling out, and a scan of the model.
    policy : Policy, str or Path, optional
        ``"strict"``, ``"standard"``, ``"internal"``, or a YAML file: thresholds on what the
        attacks have shown; `Report.findings` and `Report.passed` say what is missed. Without one
        the verdict is that of ``"standard"``, and `Report.passed` is None.
    audit : {"deep"}, optional
        Plant rows and fit anew a few times, for an empirical epsilon of the whole pipeline; needs
        `model`.
    records_at_risk : str or Path, optional
        A table to write the training rows to that the synthetic table repeats. It holds real rows.
    unit : str or mapping, optional
        ``"row"``, or the column of persons with several rows: they, not their rows, are what is
        attacked and judged. The model's or schema's by default. The synthetic table need not have
        the column.
    progress : callable, optional

    Returns
    -------
    Report

    Raises
    ------
    DataError
        The tables do not have the same columns, or the holdout holds training rows or units.
    """
    from privsynth.evaluation import (
        Policy,
        Sources,
        evaluate_tables,
        policy_file,
        read_tables,
        with_verdict,
    )

    sources = {
        "synthetic": synthetic,
        "train": train,
        "holdout": holdout,
        "schema": schema,
        "model": model,
        "policy": policy_file(policy),
    }
    check_distinct(sources, {"records_at_risk": records_at_risk})
    seed = chosen_seed(seed)
    gate = Policy.of(policy) if isinstance(policy, str | Path) else policy
    if (gate is not None or records_at_risk is not None) and not attacks:
        raise UsageError("a policy judges what attacks have shown; do not leave them out")
    if records_at_risk is not None:
        check_output(records_at_risk)
        if holdout is None:
            raise UsageError("records at risk are told by a holdout; give one")
    fitted = load(model) if isinstance(model, str | Path) else model
    if audit is not None and (audit != "deep" or fitted is None):
        raise UsageError("the audit fits the model anew: it is 'deep', and needs the model")
    if audit is not None and not attacks:
        raise UsageError("the audit is an attack; do not leave the attacks out")
    task = fitted.task if audit is not None and fitted is not None else None
    declared = opened(schema)
    judged = _judged_unit(unit, declared, fitted)
    real, tables, full = read_tables(
        Sources(synthetic, train, holdout, encoding, escape),
        declared=declared,
        target=target,
        learnt=None if fitted is None else fitted.schema,
        budgeted=fitted is not None and fitted.ledger.budget is not None,
        unit=judged,
        with_units=partial(with_units, unit=judged),
    )
    if judged is None or judged.column is not None:
        for caution in about_units(real, full, _ROWS_JUDGED):
            warn(caution.text)
    scored = evaluate_tables(tables, full, seed=seed, attacks=attacks, progress=progress)
    if attacks:
        extra = _scanned(model, fitted, tables, scored, full)
        if task is not None:
            extra += _audited(task, real, tables, full, seed, progress)
        scored = replace(scored, scores=(*scored.scores, *extra))
    if records_at_risk is not None:
        _write_at_risk(records_at_risk, real, tables, full, seed, escape=escape)
    places = only_places({**sources, "records_at_risk": records_at_risk})
    if not attacks:
        return Report(scored, sources=places)
    claim = math.inf if fitted is None else fitted.ledger.guarantee().epsilon
    scored, findings = with_verdict(scored, gate, claim=claim)
    return Report(scored, findings, gate, places)


def release(
    model: FittedModel | str | Path,
    n: int,
    output: str | Path,
    *,
    train: Any,
    holdout: Any = None,
    policy: Policy | str | Path | None = None,
    sign: str | Path | None = None,
    encoding: str = "utf-8",
    escape: bool = True,
    seed: int | None = None,
    salt: str | None = None,
    accept_risk: str | None = None,
    unit: UnitName | None = None,
    progress: Progress | None = None,
) -> tuple[Report, str]:
    """Draw rows, attack and judge them, and put them in a folder with all that is claimed of them.

    A model under a budget gives two folders in one: ``public`` with the table and its guarantee,
    and ``restricted`` with all that was read off the real rows.

    Parameters
    ----------
    model : FittedModel or path
    n : int
        How many rows.
    output : str or Path
        The folder; an older release there is replaced when the new one is whole.
    train, holdout : path, frame or relation
        As in `evaluate`. The card holds salted hashes of those that are files.
    policy : Policy, str or Path, optional
        Where it is missed, nothing is written; ``"standard"`` by default.
    sign : str or Path, optional
        An ed25519 private key in PEM.
    encoding : str
    escape : bool
        As in `evaluate`; the table of the release is written accordingly, and its card says so.
    seed : int, optional
        Of the rows; drawn afresh by default and kept in the card.
    salt : str, optional
        Of the inputs' hashes, in hexadecimal; drawn afresh by default, and not in the card.
    accept_risk : str, optional
        Why the release is written even if the policy is missed. Card and report show the reason.
    unit : str or mapping, optional
        As in `evaluate`; the model's by default.
    progress : callable, optional

    Returns
    -------
    report : Report
        `Report.passed` is False where the policy was missed; nothing was written then, unless
        the risk was accepted.
    salt : str

    Raises
    ------
    UsageError
        `output` is no folder for a release, or `accept_risk` says nothing.
    """
    from privsynth import releases
    from privsynth.evaluation import Policy, policy_file

    check_distinct(
        {
            "model": model,
            "train": train,
            "holdout": holdout,
            "policy": policy_file(policy),
            "sign": sign,
        },
        {"output": output},
    )
    releases.check_folder(output)
    if sign is not None:
        releases.private_key(sign)  # refused before minutes of work, not after
    reason = releases.checked_reason(accept_risk)
    gate = policy if isinstance(policy, Policy) else Policy.of(policy or "standard")
    fitted = load(model) if isinstance(model, str | Path) else model
    chosen, salt = chosen_seed(seed), salt or secrets.token_hex(32)
    inputs = {name: _file(data) for name, data in (("train", train), ("holdout", holdout))}
    with suppress(releases.PolicyMissed), releases.opened(output) as folder:
        table = folder / "synthetic.csv"
        sample(fitted, n, seed=chosen, output=table, escape=escape, progress=progress)
        report = evaluate(
            table,
            train=train,
            holdout=holdout,
            model=model,
            encoding=encoding,
            escape=escape,
            policy=gate,
            unit=unit,
            progress=progress,
        )
        if reason is not None:
            about = {**report.evaluation.about, "accepted_risk": reason}
            report = replace(report, evaluation=replace(report.evaluation, about=about))
        elif not report.passed:
            raise releases.PolicyMissed  # leaves what was there before
        content = releases.Release(
            model=fitted,
            model_file=_file(model),
            evaluation=report.evaluation,
            page=report.to_html(),
            policy=gate,
            seeds={"sample": chosen, "evaluate": 0},
            inputs=inputs,
            salt=salt,
            sign=sign,
            escape=escape,
        )
        releases.fill(folder, content)
    return report, salt


_ROWS_JUDGED = "attacks judge rows, and what is known of a person of many rows goes unseen"


def _judged_unit(
    unit: UnitName | None, declared: Schema | None, fitted: FittedModel | None
) -> Unit | None:
    """Return whose privacy is attacked: what the option, the schema and the model agree on."""
    given = {
        "--unit": None if unit is None else Unit.parse(unit, "--unit"),
        "the schema": None if declared is None else declared.unit,
    }
    if fitted is not None:
        budget, kept = fitted.ledger.budget, fitted.card.disclosure.unit
        given["the model"] = fitted.schema.unit if kept is None else Unit(kept)
        given["the model's budget"] = None if budget is None else Unit.parse(budget.unit)
    return agreed_unit(given)


def _file(data: Any) -> Path | None:
    """Return the file that a table or model was read from, if it is one."""
    return Path(data) if isinstance(data, str | Path) and Path(data).is_file() else None


def _scanned(
    model: FittedModel | str | Path | None,
    fitted: FittedModel | None,
    tables: Tables,
    scored: Evaluation,
    schema: Schema,
) -> tuple[Score, ...]:
    """Search what would be shared beside the table: the model, its schema, the report."""
    from privsynth.artefact import packed
    from privsynth.evaluation import without_inferred
    from privsynth.evaluation.attacks.scan import scan

    artefact = Path(model) if isinstance(model, str | Path) else None
    model_file = packed(fitted) if fitted is not None and artefact is None else artefact
    searched = without_inferred(schema) if fitted is None else fitted.schema
    if tables.units is not None:
        searched = replace(searched, unit=schema.unit)
    return scan(tables.train, tables.holdout, searched, model_file, {"report": scored.to_json()})


def _audited(
    task: FitTask,
    real: Table,
    tables: Tables,
    schema: Schema,
    seed: int,
    progress: Progress | None,
) -> tuple[Score, ...]:
    """Let the audit replay the fit that made the model on other rows."""
    from privsynth.evaluation import declared_frame, silent
    from privsynth.evaluation.attacks.audit import audit, unable

    budgeted = task.budget is not None
    # Under a budget values are read one by one, and so planted as they are spelled.
    spelled = to_frame(real.to_arrow(), "pandas").iloc[tables.train.index] if budgeted else None

    def typed(rows: Any) -> Any:
        return declared_frame(read(rows, total=True), schema)[0] if budgeted else rows

    try:
        return audit(
            tables.train if spelled is None else spelled,
            schema,
            replaying(task),
            budget=task.budget,
            typed=typed,
            seed=seed,
            progress=progress or silent,
        )
    except (DataError, SamplingError) as error:
        return unable(str(error))


def _write_at_risk(
    out: str | Path, real: Table, tables: Tables, schema: Schema, seed: int, *, escape: bool
) -> None:
    """Write the training rows that the synthetic table repeats."""
    from privsynth.evaluation import at_risk, rows_of_units_at_risk

    if tables.holdout is None:
        raise UsageError("records at risk are told by a holdout; give one")
    named = at_risk if tables.units is None else rows_of_units_at_risk
    places = named(tables.train, tables.holdout, tables.synthetic, schema, seed=seed)
    rows = real.take(tables.train.index.to_numpy()[places])
    write(rows.to_arrow(), out, real.formats, escape=escape)


def _min_rows(k: int | None) -> int:
    return Disclosure(K if k is None else k).k


def _read_to_fit(data: Any, encoding: str, task: FitTask, escape: bool) -> Table:
    """Read a table; under a budget no row decides on its columns or on how another is read."""
    if task.budget is None:
        return read(data, encoding=encoding, escape=escape)
    names = _names(task.declared)
    return read(data, encoding=encoding, total=True, escape=escape, columns=names)


def _names(declared: Schema | None) -> Sequence[str] | None:
    return None if declared is None else declared.names
