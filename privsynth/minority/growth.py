"""Grow the minority classes of a table: which rows are learnt, drawn and kept.

Under a privacy budget the model alone decides: noisy counts say which classes grow and by how many
rows, no drawn row is compared with a real one, and nothing is refused for what the rows hold. The
rows drawn are then as private as the model; the real rows that they are appended to are not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.artefact import FittedModel
from privsynth.coding import Cells, check_declared, declared_codec, decoded
from privsynth.engines import Progress, cautions
from privsynth.errors import DataError, UsageError, did_you_mean, warn
from privsynth.fitting import learn, with_units
from privsynth.minority.augmentation import Augmentation
from privsynth.minority.plan import Plan
from privsynth.minority.restoring import with_levels, with_new_ids
from privsynth.minority.sampling import OTHER_ROWS, draw, draw_no_copies, draw_selected
from privsynth.minority.strategy import by_label, check_strategy, noisy_gains, row_gains
from privsynth.privacy import Budget
from privsynth.sampler import rows
from privsynth.schema import Column, Kind, Schema, Source, Unit
from privsynth.table import Table, arrow_type, distinct
from privsynth.task import FitTask

__all__ = ["augment_table", "grow", "grow_privately"]

HANDFUL = 5
"""Up to this many rows or units of a class, a drawn row may be a copy; such copies are refused."""
ENOUGH = 20
"""From this many rows or units of a class on, classifiers select; below, it is learnt alone."""
MAX_CLASSES = 100


def augment_table(
    table: Table,
    target: str,
    plan: Plan,
    *,
    learnt: Table | None = None,
    sampling_strategy: Any = "auto",
    seed: int,
    flag: str | None = None,
    progress: Progress | None = None,
) -> Augmentation:
    """Draw rows of the minority classes of a table.

    Parameters
    ----------
    table : Table
        The real rows.
    target : str
        The column that holds the classes.
    plan : Plan
    learnt : Table, optional
        Under a budget the same rows, read as `total`.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's; the keys of a dict may be the classes as text. A class that has
        enough rows already is left as it is.
    seed : int
        Same seed, same rows.
    flag : str, optional
        The name of a column to add, which tells synthetic rows from real ones.
    progress : callable, optional

    Returns
    -------
    Augmentation

    Raises
    ------
    UsageError
        No such column or class, or a strategy that does not fit the classes.
    DataError
        The target has gaps or a single class, a class of one row is to grow, or a column has
        the flag's name. Under a budget only the last is refused; see `grow_privately`.
    """
    if flag in table.names:
        raise DataError(
            f"{table.name}: has a column {flag!r} already; rename it, or leave the flag out with "
            "--no-flag"
        )
    if target not in table.names:
        raise UsageError(
            f"{table.name}: no target column {target!r}{did_you_mean(target, table.names)}"
        )
    if plan.budget is not None:
        augmentation = grow_privately(
            table,
            table if learnt is None else learnt,
            target,
            plan,
            plan.budget,
            sampling_strategy=sampling_strategy,
            seed=seed,
            progress=progress,
        )
        return replace(augmentation, flag=flag)
    labels, class_counts, nulls = table.value_counts(target)
    _check_target(table, target, len(labels), nulls)
    counts = dict(zip(labels.to_pylist(), class_counts.tolist(), strict=True))
    if isinstance(sampling_strategy, Mapping):
        sampling_strategy = by_label(sampling_strategy, counts, table.formats.get(target))
    gains = row_gains(counts, sampling_strategy)
    return replace(grow(table, target, counts, gains, plan, seed, progress), flag=flag)


def grow(
    table: Table,
    target: str,
    counts: Mapping[Any, int],
    gains: Mapping[Any, int],
    plan: Plan,
    seed: int,
    progress: Progress | None = None,
    *,
    groups: npt.NDArray[np.int64] | None = None,
) -> Augmentation:
    """Draw as many rows of each class as it is to gain; see `augment_table`.

    Parameters
    ----------
    counts, gains : mapping of class to int
        Rows that each class has, and is to gain.
    groups : ndarray of int, shape (rows,), optional
        The unit, such as a person, that each row belongs to; by default the schema's unit. Units
        of a class are then counted wherever rows are counted without them: for k, in the fit as
        well, and to tell whether a class is too small. k does not control an engine that holds
        rows, so `groups` change nothing of its fit.
    """
    growing = {label: n for label, n in gains.items() if n}
    tally = {label: (n, growing.get(label, 0)) for label, n in counts.items()}
    augmentation = Augmentation(
        table, table.take(np.zeros(0, int)).to_arrow(), target, None, tally, seed
    )
    if not growing:
        return replace(
            augmentation, notes=("every class has the rows asked for: nothing is added",)
        )
    table, plan, units = _by_units(table, plan, groups)
    sizes = counts if units is None else _units_by_class(table, target, counts, units)
    counted = "row" if units is None else "unit"
    smallest = min(sizes[label] for label in growing)
    if smallest < 2:
        raise DataError(
            f"{table.name}, column {target!r}: a class of 1 {counted} is to grow, and nothing can "
            "be learnt from one; leave it out of the sampling strategy, or drop or merge it"
        )
    plan = _for_smallest(plan, smallest, counted)
    streams = np.random.SeedSequence(seed).spawn(2 + len(growing))
    rng = np.random.default_rng(streams[1])
    learnt, k = _rows_to_learn(table, target, sizes, set(growing), plan, rng)
    task = FitTask(
        plan.engine,
        plan.all_settings,
        _declared(plan.schema, learnt, target),
        target,
        k,
        minority=plan.fit_on == "minority" or plan.holds_rows,
        seed=seed,
    )
    model = learn(learnt, task, stream=streams[0], progress=progress)
    # Pooled levels are no loss here: rows of each class get them back.
    of_fit = (text for kind, text in model.cautions if kind != "pooled")
    for caution in (*cautions(plan.engine, plan.settings), *of_fit):
        warn(caution)
    parts = [
        _draw_class(model, label, n, stream, table, target, sizes[label], plan, rng)
        for (label, n), stream in zip(growing.items(), streams[2:], strict=True)
    ]
    synthetic = model.codec.followed(pa.concat_tables(parts)).cast(augmentation.synthetic.schema)
    if not plan.traits.copies_rows:
        synthetic = with_new_ids(synthetic, table, model.codec, rng)
    return replace(augmentation, synthetic=synthetic, model=model)


def _by_units(
    table: Table, plan: Plan, groups: npt.NDArray[np.int64] | None
) -> tuple[Table, Plan, npt.NDArray[np.int64] | None]:
    """Return the table and the plan by which units are counted, and the unit of each row."""
    if groups is None:
        table = with_units(table, None if plan.schema is None else plan.schema.unit)
        return table, plan, table.units
    if plan.holds_rows or len(distinct(groups)) == table.n_rows:  # the fit counts rows
        return table, replace(plan, schema=Schema(tuple(plan.schema or ()), Unit())), groups
    return replace(table, units=groups), plan, groups


def _for_smallest(plan: Plan, smallest: int, counted: str) -> Plan:
    """Return the plan for a smallest class of so many rows or units; warn if they are few."""
    _warn_of_few(smallest, counted)
    if plan.selection == "classifiers" and smallest < ENOUGH:
        warn(
            f"a class has {smallest} {counted}s, too few for classifiers to learn from: its "
            "synthetic rows are not selected"
        )
    learns_few_rows = not plan.holds_rows and not plan.traits.needs_rows
    if plan.fit_on == "auto" and smallest < ENOUGH and learns_few_rows:
        return replace(plan, fit_on="minority")
    return plan


def _draw_class(
    model: FittedModel,
    label: Any,
    n: int,
    stream: np.random.SeedSequence,
    table: Table,
    target: str,
    size: int,
    plan: Plan,
    rng: np.random.Generator,
) -> pa.Table:
    """Draw n rows of a class of `size` rows or units."""
    class_rows = _rows_of(table, target, label)
    real = table.take(class_rows).to_arrow()
    if size <= HANDFUL and not plan.traits.copies_rows:
        part = draw_no_copies(model, label, n, stream, real)
    elif plan.selects and size >= ENOUGH:
        part = draw_selected(model, label, n, stream, table, class_rows)
    else:
        part = draw(model, label, n, stream)
    return part if plan.holds_rows else with_levels(part, real, model.codec, rng)


def grow_privately(
    real: Table,
    learnt: Table,
    target: str,
    plan: Plan,
    budget: Budget,
    *,
    sampling_strategy: Any = "auto",
    seed: int,
    progress: Progress | None = None,
) -> Augmentation:
    """Draw rows of the minority classes from a model that was fitted under a budget.

    Parameters
    ----------
    real : Table
        The rows that the synthetic ones are appended to; only its columns' types are read.
    learnt : Table
        The same rows, read as `total`: these are learnt.
    target : str
        The column that holds the classes, which the schema declares.
    plan : Plan
    budget : Budget
        The plan's.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's, applied to noisy class counts. A class whose noisy count is above the
        rows asked for gains none.
    seed : int
        Governs what is done with the noisy answers, and never the noise itself.
    progress : callable, optional

    Returns
    -------
    Augmentation
        The synthetic rows and their number in each class depend on the model alone: without the
        real rows they are as private as it is.

    Raises
    ------
    UsageError
        The schema does not declare every column, or the strategy does not fit the declared
        classes.
    BudgetExceeded
        The ledger does not allow the budget.

    Notes
    -----
    A class grows if its noisy count is above 0, however many rows it has: refusing a class of
    one row would disclose that row.
    """
    schema = check_declared(plan.schema, learnt.names, learnt.name).with_target(target)
    classes = _declared_classes(schema, target, learnt)
    strategy = check_strategy(classes.to_pylist(), sampling_strategy, schema[target].format)
    fitting, drawing = np.random.SeedSequence(seed).spawn(2)
    task = FitTask(
        plan.engine, plan.all_settings, plan.schema, target, budget=budget, minority=True, seed=seed
    )
    model = learn(
        learnt,
        task,
        stream=fitting,
        spending_file=plan.ledger,
        new_spending_file=plan.new_ledger,
        progress=progress,
    )
    for _, caution in model.cautions:
        warn(caution)
    shares = (model.card.class_shares or ())[: len(classes)]
    counts = [round(model.card.rows * share) for share in shares]
    noisy_counts = dict(zip(classes.to_pylist(), counts, strict=True))
    no_rows = model.codec.schema.empty_table().select(real.names)
    tally = {label: (n, 0) for label, n in noisy_counts.items()}
    augmentation = Augmentation(real, no_rows, target, model, tally, seed)
    try:
        gains = noisy_gains(noisy_counts, strategy)
    except UsageError as error:  # what was spent on the model is not lost with it
        return replace(augmentation, notes=(f"nothing is added: {error}",))
    growing = {c: gains[label] for c, label in enumerate(noisy_counts) if gains.get(label)}
    if not growing:
        return replace(augmentation, notes=(_why_nothing(noisy_counts),))
    (sampling_seed,) = drawing.generate_state(1).tolist()
    n = sum(growing.values())
    batches = rows(
        model.codec, model.model, n, seed=sampling_seed, classes=growing, progress=progress
    )
    synthetic = pa.concat_tables(batches).cast(model.codec.schema).select(real.names)
    labels = synthetic.column(target).cast(classes.type)
    synthetic = synthetic.set_column(real.names.index(target), target, labels)
    gained = {each["values"]: each["counts"] for each in pc.value_counts(labels).to_pylist()}
    tally = {label: (n, gained.get(label, 0)) for label, n in noisy_counts.items()}
    return replace(augmentation, synthetic=synthetic, counts=tally)


def _why_nothing(noisy_counts: Mapping[Any, int]) -> str:
    if any(n <= 0 for n in noisy_counts.values()):
        return (
            "nothing is added: a class has no row that stands out of the noise, so none can be "
            "drawn of it; allow a larger epsilon"
        )
    return "nothing is added: no class lacks rows, as far as noise lets one know"


def _check_target(table: Table, target: str, classes: int, nulls: int) -> None:
    place = f"{table.name}, column {target!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if classes < 2:
        raise DataError(f"{place}: the target has one class; expected two or more; choose another")
    if pa.types.is_temporal(table.schema.field(target).type):
        raise UsageError(
            f"{place}: holds dates or times, which cannot be classes; store them as text or as "
            "categories, or name another target"
        )
    if classes > MAX_CLASSES or 2 * classes > table.n_rows:
        raise DataError(
            f"{place}: has {classes} different values in {table.n_rows} rows, which is too many "
            "for classes; name another target"
        )


def _warn_of_few(smallest: int, counted: str) -> None:
    """Warn where the smallest class is too small for a gain."""
    if smallest <= HANDFUL:
        warn(
            f"a class has {smallest} {counted}s: what is drawn of it says little more than the "
            "other classes do, and hardly any gain can be expected"
        )


def _units_by_class(
    table: Table, target: str, classes: Iterable[Any], groups: npt.NDArray[np.int64]
) -> dict[Any, int]:
    """Return how many units hold rows of each class."""
    return {label: len(distinct(groups[_rows_of(table, target, label)])) for label in classes}


def _rows_to_learn(
    table: Table,
    target: str,
    sizes: Mapping[Any, int],
    growing: set[Any],
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[Table, int]:
    """Return the rows to learn, and k: the fewest rows that anything learnt may rest on.

    `sizes` holds the rows of each class, or its units where rows belong to units.
    """
    smallest = min(sizes[label] for label in growing)
    if plan.holds_rows:
        return table, min(plan.k, *sizes.values(), table.n_units // 2)
    minority_rows = np.concatenate([_rows_of(table, target, label) for label in growing])
    if plan.fit_on == "minority":
        return table.take(np.sort(minority_rows)), max(1, min(plan.k, smallest // 2))
    k = min(plan.k, smallest)
    others = [label for label, n in sizes.items() if n >= k and label not in growing]
    rows_of_others = [_rows_of(table, target, label) for label in others]
    other_rows = np.concatenate([*rows_of_others, np.zeros(0, np.intp)])
    max_others = max(len(minority_rows), OTHER_ROWS)
    if plan.fit_on == "auto" and len(other_rows) > max_others:
        other_rows = rng.choice(other_rows, max_others, replace=False)
    learnt = table.take(np.sort(np.concatenate([minority_rows, other_rows])))
    return learnt, min(k, learnt.n_units // 2)  # units may have rows of several classes


def _rows_of(table: Table, target: str, label: Any) -> npt.NDArray[np.intp]:
    plain = decoded(table.to_arrow([target]).column(0))
    return np.flatnonzero(np.asarray(pc.equal(plain, pa.scalar(label, plain.type))))


def _declared(schema: Schema | None, table: Table, target: str) -> Schema:
    """Return the declared columns, with the target as a category whatever its storage type."""
    declared = [column for column in schema or () if column.name != target]
    dtype = str(table.schema.field(target).type)
    classes = Column(target, Kind.CATEGORICAL, dtype, given=frozenset({"kind"}))
    return Schema((*declared, classes), None if schema is None else schema.unit)


def _declared_classes(schema: Schema, target: str, table: Table) -> pa.Array:
    """Return the classes that the schema declares, in the storage type that it declares."""
    place = f"{table.name}, column {target!r}"
    codec = declared_codec(schema) if schema[target].source is Source.DECLARED else None
    if codec is None or codec.label is None:
        raise UsageError(
            f"{place}: a budget grows classes that the schema declares, and it declares none here; "
            "list the 'levels' of the target"
        )
    coding = codec.codings[codec.label]
    n = len(coding.low) if isinstance(coding, Cells) else len(getattr(coding, "levels", ()))
    if not 2 <= n <= MAX_CLASSES:
        raise UsageError(
            f"{place}: the schema declares {n} classes; expected 2 to {MAX_CLASSES}; "
            "choose another target"
        )
    labels = coding.decode(np.arange(n, dtype=np.int32), np.random.default_rng(0))
    # In the declared type: the one that is stored may rest on a single odd row.
    return labels.cast(arrow_type(coding.column.dtype))
