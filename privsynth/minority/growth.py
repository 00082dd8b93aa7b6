"""More rows of the minority of a table: which rows are learnt, which are drawn, which are kept.

Under a privacy budget the model alone decides on all of it: which classes grow and by how many
rows follows from noisy counts, no row that is drawn is held against a real one, and nothing is
refused for what the rows hold. What was drawn is then as private as the model; the real rows that
it is put behind are not.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel
from privsynth.coding import (
    OTHER,
    Cells,
    Codec,
    LevelCodes,
    SurrogateCodes,
    check_declared,
    declared_codec,
    decoded,
    numbers_of,
)
from privsynth.engines import Progress, cautions
from privsynth.errors import DataError, SamplingError, UsageError, did_you_mean, warn
from privsynth.evaluation import Score
from privsynth.fitting import learn
from privsynth.minority.plan import Plan
from privsynth.minority.selection import chosen
from privsynth.privacy import Budget
from privsynth.sampler import rows
from privsynth.schema import Column, Kind, Schema, Source, infer
from privsynth.table import Table, arrow_type, to_frame
from privsynth.task import FitTask

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Augmentation", "augment_table", "by_label", "grow", "grow_privately"]
HANDFUL = 5
ENOUGH = 20
MAX_CLASSES = 100
MAX_OTHERS = 5_000
MAX_CANDIDATES = 30_000
MAX_TRIES = 20


@dataclass(frozen=True, eq=False)
class Augmentation:
    """What was added to a table, and what is known of it.

    Parameters
    ----------
    real : Table
        The rows that were given.
    synthetic : pyarrow.Table
        The rows that were added: same columns, same types.
    target : str
    model : FittedModel or None
        What drew them; None where nothing was wanted.
    counts : mapping of class to (int, int)
        Real and synthetic rows of each class; under a budget the real ones are as many as its
        noise lets one know.
    seed : int
    notes : tuple of str
        Why nothing was added, where nothing was.
    flag : str, optional
        The column that tells synthetic rows from real ones.
    """

    real: Table
    synthetic: pa.Table
    target: str
    model: FittedModel | None
    counts: Mapping[Any, tuple[int, int]]
    seed: int
    notes: tuple[str, ...] = ()
    flag: str | None = None

    @cached_property
    def attacks(self) -> tuple[Score, ...]:
        """What the attacks on SMOTE find: whether real rows can be told apart, or rebuilt."""
        from privsynth.evaluation import smote_mirrors

        if self.model is None or not self.synthetic.num_rows or not self.real.n_rows:
            return ()
        real, synthetic = self._minority()
        return smote_mirrors(real, synthetic, self.model.schema, seed=self.seed)

    def without_real(self) -> Augmentation:
        """Return the same without the real rows, for what may be kept longer than they are."""
        return replace(self, real=self.real.take(np.zeros(0, int)))

    def table(self) -> pa.Table:
        """Return the real rows, then the synthetic ones."""
        real = self.real.to_arrow()
        names = real.schema.names
        columns = [_joined(real.column(name), self.synthetic.column(name)) for name in names]
        whole = pa.table(columns, names=names).unify_dictionaries()
        if self.flag is None:
            return whole
        synthetic_mask = np.arange(whole.num_rows) >= self.real.n_rows
        return whole.append_column(self.flag, pa.array(synthetic_mask))

    def __repr__(self) -> str:
        # Not the summary, for which attacks are run.
        added, classes = self._gain()
        return f"Augmentation({'; '.join((f'{added} synthetic rows of {classes}', *self.notes))})"

    def _gain(self) -> tuple[str, str]:
        """Return how many rows were added, and of how many classes."""
        added = sum(more for _, more in self.counts.values())
        gained = sum(1 for _, more in self.counts.values() if more)
        return f"{added:,}", f"{gained} class{'' if gained == 1 else 'es'}"

    def summary(self) -> Iterator[str]:
        """Say in a few lines what was added, and what it does not promise."""
        added, classes = self._gain()
        if self.model is not None and self.model.ledger.budget is not None:
            # Not a word rests on the real rows: their number is not told, and no attack reads them.
            yield f"{added} synthetic rows of {classes} behind the real ones"
            yield f"{self.model.card.engine} learnt about {self.model.card.rows:,} rows"
            yield from self.notes
            yield f"guarantee of the model and what it drew: {self.model.ledger.guarantee()}"
            yield (
                "real and synthetic rows together are no private release: only the model behind "
                "the synthetic rows is, and the output is not for sharing"
            )
            return
        yield f"{self.real.n_rows:,} real rows and {added} synthetic ones of {classes}"
        if self.model is None:
            yield from self.notes
            return
        yield f"{self.model.card.engine} learnt {self.model.card.rows:,} rows"
        yield from self.notes
        from privsynth.evaluation import conclusion

        yield conclusion(self.attacks)
        yield "the output holds the real rows: it is for training models, not for sharing"

    def plot(self, out: str | Path) -> None:
        """Draw before and after in one picture, which holds real records.

        Parameters
        ----------
        out : str or Path
            Its suffix decides the form: .png, .svg, .pdf or .html.
        """
        from privsynth.minority.picture import before_after

        if not self.real.n_rows:
            raise UsageError("the real rows were left behind in a copy; plot what was copied")
        real = to_frame(self.real.to_arrow(), "pandas")
        new = to_frame(self.synthetic, "pandas")
        schema = infer(self.real, target=self.target)
        most = max(self.counts, key=lambda label: self.counts[label][0])
        labels = real.pop(self.target), new.pop(self.target)
        before_after(real, labels[0], new, labels[1], schema, out, majority=most, seed=self.seed)

    def _minority(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the real and the synthetic rows of the classes that gained."""
        synthetic = to_frame(self.synthetic, "pandas")
        real = to_frame(self.real.to_arrow(), "pandas")
        gained = [label for label, (_, more) in self.counts.items() if more]
        return real[real[self.target].isin(gained)], synthetic


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
        imbalanced-learn's; the keys of a dict may be the classes as text. A class that has as
        many rows as are asked for is left as it is.
    seed : int
        Same seed, same rows.
    flag : str, optional
        The name of a column that is to tell synthetic rows from real ones.
    progress : callable, optional

    Returns
    -------
    Augmentation

    Raises
    ------
    UsageError
        No such column or class, or a strategy that does not fit the classes.
    DataError
        The target has gaps or one class, a class of one row is to grow, or there is a column
        named as the flag. Under a budget the last alone is refused; see `grow_privately`.
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
    values, value_counts, nulls = table.value_counts(target)
    _check_target(table, target, len(values), nulls)
    counts = dict(zip(values.to_pylist(), value_counts.tolist(), strict=True))
    if isinstance(sampling_strategy, Mapping):
        sampling_strategy = by_label(sampling_strategy, counts, table.formats.get(target))
    gains = _wanted(counts, sampling_strategy)
    return replace(grow(table, target, counts, gains, plan, seed, progress), flag=flag)


def grow(
    table: Table,
    target: str,
    counts: Mapping[Any, int],
    gains: Mapping[Any, int],
    plan: Plan,
    seed: int,
    progress: Progress | None = None,
) -> Augmentation:
    """Draw as many rows of each class as are wanted; see `augment_table`.

    Parameters
    ----------
    counts, wanted : mapping of class to int
        Rows that each class has, and is to gain.
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
    least = min(counts[label] for label in growing)
    if least < 2:
        raise DataError(
            f"{table.name}, column {target!r}: a class of 1 row is to grow, and nothing can be "
            "learnt from one; leave it out of the sampling strategy, or drop or merge it"
        )
    _warn_of_few(least)
    if plan.selection == "classifiers" and least < ENOUGH:
        warn(
            f"a class has {least} rows, too few for classifiers to learn from: its synthetic rows "
            "are not selected"
        )
    alone = not plan.holds_rows and not plan.traits.needs_rows
    if plan.fit_on == "auto" and least < ENOUGH and alone:
        plan = replace(plan, fit_on="minority")
    streams = np.random.SeedSequence(seed).spawn(2 + len(growing))
    rng = np.random.default_rng(streams[1])
    learnt, k = _learnt(table, target, counts, set(growing), plan, rng)
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
    of_fit = (text for kind, text in model.cautions if kind != "pooled")  # those are put back
    for caution in (*cautions(plan.engine, plan.settings), *of_fit):
        warn(caution)
    parts = []
    for (label, n), stream in zip(growing.items(), streams[2:], strict=True):
        own = _rows_of(table, target, label)
        real = table.take(own).to_arrow()
        if len(own) <= HANDFUL and not plan.traits.copies_rows:
            rare = _apart(model, label, n, stream, real)
        elif plan.selects and len(own) >= ENOUGH:
            rare = _selected(model, label, n, stream, table, own)
        else:
            rare = _drawn(model, label, n, stream)
        parts.append(rare if plan.holds_rows else _unpooled(rare, real, model.codec, rng))
    synthetic = model.codec.followed(pa.concat_tables(parts)).cast(augmentation.synthetic.schema)
    if not plan.traits.copies_rows:
        synthetic = _identified(synthetic, table, model.codec, rng)
    return replace(augmentation, synthetic=synthetic, model=model)


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
        The rows that the synthetic ones are to stand behind; only its columns' types are read.
    learnt : Table
        The same rows as they are learnt: read as `total`.
    target : str
        The column that holds the classes, which the schema declares.
    plan : Plan
    budget : Budget
        The plan's.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's, of the classes' noisy counts. Where it asks for fewer rows of a class
        than there seem to be, none is added.
    seed : int
        Governs what is done with the noisy answers, never the noise.
    progress : callable, optional

    Returns
    -------
    Augmentation
        The synthetic rows, and how many there are of each class, follow from the model alone:
        without the real rows they are as private as it is.

    Raises
    ------
    UsageError
        The schema does not declare all that is needed, or the strategy does not fit the classes
        that it declares.
    BudgetExceeded
        The ledger does not allow the budget.

    Notes
    -----
    A class is grown where its noisy count is above 0, however many rows it has: to refuse one of
    a single row would tell of that row.
    """
    schema = check_declared(plan.schema, learnt.names, learnt.name).with_target(target)
    classes = _declared_classes(schema, target, learnt)
    strategy = _settled(classes.to_pylist(), sampling_strategy, schema[target].format)
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
    gains = _lacking(noisy_counts, strategy)
    growing = {c: gains[label] for c, label in enumerate(noisy_counts) if gains.get(label)}
    none = model.codec.schema.empty_table().select(real.names)
    tally = {label: (n, 0) for label, n in noisy_counts.items()}
    augmentation = Augmentation(real, none, target, model, tally, seed)
    if not growing:
        faint = any(n <= 0 for n in noisy_counts.values())
        why = (
            "a class has no row that stands out of the noise, so none can be drawn of it; allow a "
            "larger epsilon"
            if faint
            else "no class lacks rows, as far as noise lets one know"
        )
        return replace(augmentation, notes=(f"nothing is added: {why}",))
    (stream,) = drawing.generate_state(1).tolist()
    n = sum(growing.values())
    drawn = rows(model.codec, model.model, n, seed=stream, classes=growing, progress=progress)
    synthetic = pa.concat_tables(drawn).cast(model.codec.schema).select(real.names)
    labels = synthetic.column(target).cast(classes.type)
    synthetic = synthetic.set_column(real.names.index(target), target, labels)
    gained = {each["values"]: each["counts"] for each in pc.value_counts(labels).to_pylist()}
    tally = {label: (n, gained.get(label, 0)) for label, n in noisy_counts.items()}
    return replace(augmentation, synthetic=synthetic, counts=tally)


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


def _settled(classes: Sequence[Any], strategy: Any, spelled: str | None) -> Any:
    """Refuse, before anything is spent, a strategy that does not fit the classes declared."""
    if isinstance(strategy, Mapping):
        return _by_class(dict.fromkeys(classes, 0), by_label(strategy, classes, spelled))
    if not callable(strategy):
        _wanted(dict.fromkeys(classes, 1), strategy)
    return strategy


def _lacking(counts: Mapping[Any, int], strategy: Any) -> dict[Any, int]:
    """Return how many rows each class is to gain, by counts with noise in them."""
    present = {label: n for label, n in counts.items() if n > 0}
    if isinstance(strategy, Mapping):
        return {
            label: max(0, n - present[label]) for label, n in strategy.items() if label in present
        }
    return _wanted(present, strategy) if len(present) > 1 else {}


def _check_target(table: Table, target: str, classes: int, nulls: int) -> None:
    place = f"{table.name}, column {target!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if classes < 2:
        raise DataError(f"{place}: the target has one class, and two are needed; choose another")
    if pa.types.is_temporal(table.schema.field(target).type):
        raise UsageError(
            f"{place}: holds dates or times, which are no classes; store them as text or as "
            "categories, or name another target"
        )
    if classes > MAX_CLASSES or 2 * classes > table.n_rows:
        raise DataError(
            f"{place}: has {classes} different values in {table.n_rows} rows, which is too many "
            "for classes; name another target"
        )


def _wanted(counts: Mapping[Any, int], strategy: Any) -> dict[Any, int]:
    """Return how many rows each class is to gain."""
    if isinstance(strategy, int | float) and not isinstance(strategy, bool):
        return _by_ratio(counts, float(strategy))
    if isinstance(strategy, Mapping):
        return _by_class(counts, strategy)
    # imbalanced-learn sorts classes, and compares them with what is in y.
    from imblearn.utils import check_sampling_strategy

    classes = list(counts)
    y = np.repeat(np.arange(len(classes)), list(counts.values()))
    try:
        totals = check_sampling_strategy(strategy, y, "over-sampling")
    except (TypeError, ValueError):
        raise UsageError(
            "the sampling strategy is none that over-sampling knows; give a ratio, 'minority', "
            "'not majority', 'all', 'auto', or the number of rows of each class"
        ) from None
    return {classes[c]: int(n) for c, n in totals.items()}


def _by_ratio(counts: Mapping[Any, int], ratio: float) -> dict[Any, int]:
    if len(counts) != 2:
        raise UsageError(
            f"a ratio is for two classes, and the target has {len(counts)}; give the number of "
            "rows of each class with --sampling-strategy, or leave the ratio out to fill all up"
        )
    if not 0 < ratio <= 1:
        raise UsageError(
            f"a ratio of {ratio:g} was given; expected minority rows by majority rows, above 0 "
            "and at most 1"
        )
    most = max(counts.values())
    return {label: max(0, int(ratio * most) - n) for label, n in counts.items() if n < most}


def by_label(
    strategy: Mapping[Any, Any], labels: Iterable[Any], spelled: str | None = None
) -> dict[Any, Any]:
    """Return a sampling strategy whose keys are the labels themselves.

    Parameters
    ----------
    strategy : mapping
        Its keys are labels, or texts: keys of JSON and YAML, or as the file spells them.
    labels : iterable
        The classes.
    spelled : str, optional
        How the file spells them, as `Table.formats` says.

    Raises
    ------
    UsageError
        A key names no class, or two name the same.
    """
    labels = list(labels)
    named: dict[Any, Any] = {}
    for spell in (partial(_spellings, spelled=spelled), _loosely):
        for label in labels:
            for text in spell(label):
                named.setdefault(text, label)
    by_class: dict[Any, Any] = {}
    for key, total in strategy.items():
        if key in labels:
            label = labels[labels.index(key)]
        else:
            texts = [text for text in (*_spellings(key), *_loosely(key)) if text in named]
            if not texts:
                raise UsageError(
                    f"the sampling strategy names a class {str(key)!r} that no row has; name "
                    "classes as the target spells them"
                )
            label = named[texts[0]]
        if label in by_class:
            raise UsageError(f"the sampling strategy names class {str(key)!r} twice; name it once")
        by_class[label] = total
    return by_class


def _spellings(label: Any, spelled: str | None = None) -> Iterator[str]:
    """Yield the texts that mean a label: Python's, JSON's, and the file's."""
    if isinstance(label, np.generic):
        label = label.item()
    yield str(label)
    if isinstance(label, bool):
        yield str(label).lower()
        yield str(int(label))
        if spelled is not None and spelled.count("/") == 1:
            true, false = spelled.split("/")
            yield true if label else false
    elif isinstance(label, datetime.date):
        yield label.isoformat()
        if spelled is not None:
            with suppress(ValueError):
                yield label.strftime(spelled)
    elif isinstance(label, int | float | Decimal) and math.isfinite(label):
        yield repr(float(label))
        if label == int(label):
            yield str(int(label))


def _loosely(label: Any) -> Iterator[str]:
    """Yield texts that mean a label where no other label is written so."""
    text = str(label).strip()
    if isinstance(label, bool | np.bool_):
        yield from (("true", "yes", "y", "t") if label else ("false", "no", "n", "f"))
    if isinstance(label, datetime.datetime):
        yield label.date().isoformat()
    yield text.casefold()
    with suppress(ValueError, OverflowError):
        number = float(text)
        if number.is_integer():
            yield str(int(number))


def _by_class(counts: Mapping[Any, int], strategy: Mapping[Any, Any]) -> dict[Any, int]:
    gains = {}
    for label, total in strategy.items():
        if not isinstance(total, int | np.integer) or isinstance(total, bool) or total < 0:
            raise UsageError("the sampling strategy wants whole numbers of rows, one a class")
        if total < counts[label]:
            raise UsageError(
                f"the sampling strategy asks for {total} rows of a class that has "
                f"{counts[label]}; rows are added and never taken away"
            )
        gains[label] = int(total) - counts[label]
    return gains


def _warn_of_few(least: int) -> None:
    """Say what so few rows cannot give."""
    if least <= HANDFUL:
        warn(
            f"a class has {least} rows: what is drawn of it says little more than the other "
            "classes do, and hardly any gain can be expected"
        )


def _learnt(
    table: Table,
    target: str,
    counts: Mapping[Any, int],
    growing: set[Any],
    plan: Plan,
    rng: np.random.Generator,
) -> tuple[Table, int]:
    """Return the rows to learn, and the fewest that anything learnt may rest on."""
    least = min(counts[label] for label in growing)
    if plan.holds_rows:
        return table, min(plan.k, *counts.values())
    own = np.concatenate([_rows_of(table, target, label) for label in growing])
    if plan.fit_on == "minority":
        return table.take(np.sort(own)), max(1, min(plan.k, least // 2))
    k = min(plan.k, least)
    enough = [label for label, n in counts.items() if n >= k and label not in growing]
    others = [_rows_of(table, target, label) for label in enough]
    rest = np.concatenate([*others, np.zeros(0, np.intp)])
    most = max(len(own), MAX_OTHERS)
    if plan.fit_on == "auto" and len(rest) > most:
        rest = rng.choice(rest, most, replace=False)
    return table.take(np.sort(np.concatenate([own, rest]))), k


def _rows_of(table: Table, target: str, label: Any) -> npt.NDArray[np.intp]:
    column = table.to_arrow([target]).column(0)
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return np.flatnonzero(np.asarray(pc.equal(plain, pa.scalar(label, plain.type))))


def _declared(schema: Schema | None, table: Table, target: str) -> Schema:
    """Return what is declared, and that the target is a category whatever it is stored as."""
    declared = [column for column in schema or () if column.name != target]
    dtype = str(table.schema.field(target).type)
    aim = Column(target, Kind.CATEGORICAL, dtype, given=frozenset({"kind"}))
    return Schema((*declared, aim))


def _drawn(model: FittedModel, label: Any, n: int, stream: np.random.SeedSequence) -> pa.Table:
    """Draw rows of a class."""
    (seed,) = stream.generate_state(1).tolist()
    where = {str(model.card.target): label}
    drawn = rows(model.codec, model.model, n, seed=seed, where=where)
    return pa.concat_tables(drawn).cast(model.codec.schema)


def _selected(
    model: FittedModel,
    label: Any,
    n: int,
    stream: np.random.SeedSequence,
    table: Table,
    own: npt.NDArray[np.intp],
) -> pa.Table:
    """Draw candidates of a class and keep those that classifiers choose.

    They are chosen as codes, and values are drawn afresh for every row that is kept.
    """
    codec, rng = model.codec, np.random.default_rng(stream)
    where = codec.conditions({str(model.card.target): label})
    others = np.setdiff1d(np.arange(table.n_rows), own)
    most = max(len(own), MAX_OTHERS)
    if len(others) > most:
        others = np.sort(rng.choice(others, most, replace=False))
    real, rest = (codec.encode(table.take(some).to_arrow()) for some in (own, others))
    with threadpool_limits(1):  # sums depend on how many threads have shared them
        candidates = model.model.sample(min(2 * n, MAX_CANDIDATES), rng, where=where)
        if isinstance(candidates, pa.Table):
            raise UsageError("a model that holds rows gives no candidates to select from")
        kept = candidates[chosen(codec, real, rest, candidates, n, rng)]
    return codec.decode(np.asfortranarray(kept), rng).cast(codec.schema)


def _unpooled(
    synthetic: pa.Table, real: pa.Table, codec: Codec, rng: np.random.Generator
) -> pa.Table:
    """Put levels of the class's real rows where the codec has pooled the rare ones.

    The real rows stand beside the synthetic ones, and a level of neither says nothing.
    """
    for j, coding in enumerate(codec.codings):
        field = synthetic.schema.field(j)
        if isinstance(coding, Cells) and pa.types.is_dictionary(field.type):
            near = _nearest(synthetic.column(j), real.column(coding.name), coding)
            synthetic = synthetic.set_column(j, field, near)
        if not (isinstance(coding, LevelCodes) and coding.pooled):
            continue
        plain = decoded(real.column(coding.name))
        known = pa.array(coding.levels, plain.type)
        pooled = plain.filter(pc.invert(pc.is_in(plain, known))).drop_null()
        some = pooled if len(pooled) else known if len(known) else plain.drop_null()
        if not len(some):
            continue
        old = synthetic.column(j).combine_chunks()
        values = old.dictionary_decode() if pa.types.is_dictionary(old.type) else old
        drawn = some.take(pa.array(rng.integers(len(some), size=len(values))))
        put = pc.if_else(pc.fill_null(pc.equal(values, OTHER), False), drawn, values)
        put = put.dictionary_encode().cast(old.type) if values is not old else put
        synthetic = synthetic.set_column(j, synthetic.schema.field(j), put)
    return synthetic


def _nearest(drawn: pa.ChunkedArray, real: pa.ChunkedArray, coding: Cells) -> pa.Array:
    """Return the real category nearest to each number drawn, where categories are numbers."""
    categories = real.combine_chunks().dictionary_decode().unique().drop_null()
    if not len(categories):
        return drawn
    stored, _ = numbers_of(categories, coding.low.dtype)
    order = np.argsort(stored, kind="stable")
    numbers, valid = numbers_of(drawn, coding.low.dtype)
    at = np.searchsorted(stored[order], numbers).clip(1, max(len(stored) - 1, 1)) - 1
    above = np.minimum(at + 1, len(stored) - 1)
    low, high = stored[order][at].astype(float), stored[order][above].astype(float)
    nearest = order[np.where(numbers - low <= high - numbers, at, above)]
    indices = pa.array(nearest.astype(np.int32), mask=~valid)
    return pa.DictionaryArray.from_arrays(indices, categories, ordered=drawn.type.ordered)


def _identified(
    synthetic: pa.Table, real: Table, codec: Codec, rng: np.random.Generator
) -> pa.Table:
    """Return synthetic rows ids of their own: none is another's, and none a real row's."""
    n = synthetic.num_rows
    for j, coding in enumerate(codec.codings):
        if not (isinstance(coding, SurrogateCodes) and coding.column.unique):
            continue
        old = synthetic.column(j).combine_chunks()
        taken = real.value_counts(coding.name)[0]
        fresh = pa.nulls(0, old.type)
        for i in range(MAX_TRIES):
            if len(fresh) >= n:
                break
            identifiers = coding.decode(np.zeros(n, np.int32), rng, i * n).cast(old.type)
            fresh = pa.concat_arrays(
                [fresh, identifiers.filter(pc.invert(pc.is_in(identifiers, taken)))]
            )
        if len(fresh) >= n:
            kept = pc.if_else(old.is_valid(), fresh.slice(0, n), old)
            synthetic = synthetic.set_column(j, synthetic.schema.field(j), kept)
    return synthetic


def _apart(
    model: FittedModel, label: Any, n: int, stream: np.random.SeedSequence, real: pa.Table
) -> pa.Table:
    """Draw rows of a class, none of which is a copy of one of its few real rows.

    What columns have to do with each other cannot be learnt from so few rows, and an engine that
    tries gives the rows themselves; so the values of each column are dealt out anew.
    """
    parts: list[pa.Table] = []
    have = 0
    for each in stream.spawn(MAX_TRIES):
        drawn = _drawn(model, label, n - have, each)
        rng = np.random.default_rng(each)
        deals = [pa.array(rng.permutation(drawn.num_rows)) for _ in drawn.column_names]
        columns = [c.take(deal) for c, deal in zip(drawn.columns, deals, strict=True)]
        drawn = pa.table(columns, schema=drawn.schema)
        drawn = drawn.filter(pa.array(~_copies(drawn, real, model.schema)))
        parts.append(drawn)
        have += drawn.num_rows
        if have == n:
            return pa.concat_tables(parts)
    raise SamplingError(
        f"nearly every row drawn of a class of {real.num_rows} rows is a copy of one of them; "
        "there is too little to learn, so leave the class out or use random"
    )


def _copies(drawn: pa.Table, real: pa.Table, schema: Schema) -> npt.NDArray[np.bool_]:
    """Return which rows equal one of a few real ones in every modelled column."""
    copies = np.zeros(drawn.num_rows, dtype=bool)
    names = [column.name for column in schema if not column.kind.surrogate]
    for i in range(real.num_rows):
        same = np.ones(drawn.num_rows, dtype=bool)
        for name in names:
            value = real.column(name)[i]
            column = drawn.column(name)
            equal = pc.equal(column, value) if value.is_valid else column.is_null()
            same &= np.asarray(pc.fill_null(equal, False))
        copies |= same
    return copies


def _joined(real: pa.ChunkedArray, synthetic: pa.ChunkedArray) -> pa.ChunkedArray:
    """Put synthetic values behind real ones, in the first type that holds both."""
    for kind in (real.type, synthetic.type):
        with suppress(pa.ArrowException):
            return pa.chunked_array([*real.cast(kind).chunks, *synthetic.cast(kind).chunks], kind)
    return _joined(real.cast(pa.string()), synthetic.cast(pa.string()))
