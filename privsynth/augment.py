"""More rows of the minority: synthetic ones, put behind the real rows.

`MinoritySampler` is an imbalanced-learn sampler with every engine behind it; `augment_table` does
the same for a table. The real rows are given back as they are, so what comes out is as private
as what went in: it is for training models in the house, not for sharing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_sampling_strategy, check_target_type
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from privsynth.artefact import FittedModel
from privsynth.engines import DEFAULT, ENGINES, OVERSAMPLERS, Progress, recipe
from privsynth.errors import DataError, PrivsynthWarning, SamplingError, UsageError, known
from privsynth.evaluation.score import Score
from privsynth.fitting import fit_table
from privsynth.infer import infer
from privsynth.sampler import chosen_seed, rows
from privsynth.schema import Column, Kind, Schema
from privsynth.table import Table, read, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Augmentation", "MinoritySampler", "augment_table"]

FitOn = Literal["auto", "minority", "all"]
HANDFUL = 5
ENOUGH = 50
MOST_CLASSES = 100
MOST_TRIES = 20


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
        Real and synthetic rows of each class.
    fit_on : {"minority", "all"}
        The rows that the model learnt.
    seed : int
    notes : tuple of str
        What the user should know.
    """

    real: Table
    synthetic: pa.Table
    target: str
    model: FittedModel | None
    counts: Mapping[Any, tuple[int, int]]
    fit_on: str
    seed: int
    notes: tuple[str, ...] = ()

    @cached_property
    def attacks(self) -> tuple[Score, ...]:
        """What the attacks on SMOTE find: whether real rows can be told apart, or rebuilt."""
        from privsynth.evaluation.attacks.mirrors import smote_mirrors

        if self.model is None:
            return ()
        real, synthetic = self._minority()
        return smote_mirrors(real, synthetic, self.model.schema, seed=self.seed)

    def table(self, flag: str | None = "synthetic") -> pa.Table:
        """Give the real rows, then the synthetic ones, with a column that tells them apart.

        Parameters
        ----------
        flag : str or None
            The column's name; None leaves it out.

        Raises
        ------
        DataError
            The table has a column of that name.
        """
        real = self.real.to_arrow()
        whole = pa.concat_tables([real, self.synthetic.cast(real.schema)]).unify_dictionaries()
        if flag is None:
            return whole
        if flag in whole.column_names:
            raise DataError(
                f"{self.real.name}: has a column {flag!r} already; rename it, or leave the flag "
                "out with --no-flag"
            )
        made = np.arange(whole.num_rows) >= self.real.n_rows
        return whole.append_column(flag, pa.array(made))

    def summary(self) -> Iterator[str]:
        """Say in a few lines what was added, and what it does not promise."""
        added = sum(more for _, more in self.counts.values())
        gained = sum(1 for _, more in self.counts.values() if more)
        yield f"{self.real.n_rows:,} real rows and {added:,} synthetic ones of {gained} classes"
        if self.model is None:
            yield from self.notes
            return
        yield f"{self.model.card['engine']} learnt {self.model.card['rows']:,} rows ({self.fit_on})"
        yield from self.notes
        from privsynth.evaluation.attacks.mirrors import verdict

        yield verdict(self.attacks)
        yield "the output holds the real rows: it is for training models, not for sharing"

    def plot(self, out: str | Path) -> None:
        """Draw before and after in one picture, which holds real records.

        Parameters
        ----------
        out : str or Path
            Its suffix decides the form: .png, .svg, .pdf or .html.
        """
        from privsynth.report.plots import before_after

        real = to_frame(self.real.to_arrow(), "pandas")
        new = to_frame(self.synthetic, "pandas")
        schema = infer(self.real, target=self.target)
        most = max(self.counts, key=lambda label: self.counts[label][0])
        labels = real.pop(self.target), new.pop(self.target)
        before_after(real, labels[0], new, labels[1], schema, out, majority=most, seed=self.seed)

    def _minority(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Give the real and the synthetic rows of the classes that gained."""
        synthetic = to_frame(self.synthetic, "pandas")
        real = to_frame(self.real.to_arrow(), "pandas")
        gained = [label for label, (_, more) in self.counts.items() if more]
        return real[real[self.target].isin(gained)], synthetic


def augment_table(
    table: Table,
    target: str,
    *,
    engine: str | None = None,
    sampling_strategy: Any = "auto",
    fit_on: FitOn = "auto",
    settings: Mapping[str, Any] | None = None,
    k: int = 10,
    schema: Schema | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Augmentation:
    """Draw rows of the minority classes of a table.

    Parameters
    ----------
    table : Table
        The real rows.
    target : str
        The column that holds the classes.
    engine, fit_on, settings, k, schema
        As for `MinoritySampler`.
    sampling_strategy : float, str, dict or callable
        As for `MinoritySampler`; the keys of a dict may be the classes as text. A class that has
        as many rows as are asked for is left as it is.
    seed : int, optional
        Same seed, same rows; drawn afresh by default.
    progress : callable, optional

    Returns
    -------
    Augmentation

    Raises
    ------
    UsageError
        No such column or class, or a strategy that does not fit the classes.
    DataError
        The target has gaps or one class, or a class of one row is to grow.
    """
    name = engine or DEFAULT
    recipe(name, settings)
    if target not in table.names:
        raise UsageError(f"{table.name}: no target column {target!r}{known(target, table.names)}")
    values, held, nulls = table.value_counts(target)
    _check_target(table, target, len(values), nulls)
    counts = dict(zip(values.to_pylist(), held.tolist(), strict=True))
    wanted = _wanted(counts, sampling_strategy)
    return _augmented(
        table,
        target,
        counts,
        wanted,
        name,
        fit_on,
        settings,
        k,
        schema,
        chosen_seed(seed),
        progress,
    )


def _check_target(table: Table, target: str, classes: int, nulls: int) -> None:
    place = f"{table.name}, column {target!r}"
    if nulls:
        raise DataError(f"{place}: the target is missing in {nulls} rows; drop or fill them")
    if classes < 2:
        raise DataError(f"{place}: the target has one class, and two are needed; choose another")
    if classes > MOST_CLASSES or 2 * classes > table.n_rows:
        raise DataError(
            f"{place}: has {classes} different values in {table.n_rows} rows, which is too many "
            "for classes; name another target"
        )


def _wanted(counts: Mapping[Any, int], strategy: Any) -> dict[Any, int]:
    """Give how many rows each class is to gain."""
    if isinstance(strategy, int | float) and not isinstance(strategy, bool):
        return _by_ratio(counts, float(strategy))
    if isinstance(strategy, Mapping):
        return _by_class(counts, strategy)
    # imbalanced-learn sorts classes, and compares them with what is in y.
    classes = list(counts)
    y = np.repeat(np.arange(len(classes)), list(counts.values()))
    try:
        made = check_sampling_strategy(strategy, y, "over-sampling")
    except (TypeError, ValueError):
        raise UsageError(
            "the sampling strategy is none that over-sampling knows; give a ratio, 'minority', "
            "'not majority', 'all', 'auto', or the rows wanted of each class"
        ) from None
    return {classes[c]: int(n) for c, n in made.items()}


def _by_ratio(counts: Mapping[Any, int], ratio: float) -> dict[Any, int]:
    if len(counts) != 2:
        raise UsageError(
            f"a ratio is for two classes, and the target has {len(counts)}; give the rows wanted "
            "of each class with --sampling-strategy, or leave the ratio out to fill all up"
        )
    if not 0 < ratio <= 1:
        raise UsageError(
            f"a ratio of {ratio:g} was given; minority rows by majority rows are wanted, above 0 "
            "and at most 1"
        )
    most = max(counts.values())
    return {label: max(0, int(ratio * most) - n) for label, n in counts.items() if n < most}


def _by_class(counts: Mapping[Any, int], strategy: Mapping[Any, Any]) -> dict[Any, int]:
    named = {**{str(label): label for label in counts}, **{label: label for label in counts}}
    made = {}
    for label, total in strategy.items():
        if label not in named:
            raise UsageError(
                f"the sampling strategy names a class {label!r} that no row has; name classes as "
                "the target spells them"
            )
        if not isinstance(total, int | np.integer) or isinstance(total, bool) or total < 0:
            raise UsageError("the sampling strategy wants whole numbers of rows, one a class")
        if total < counts[named[label]]:
            raise UsageError(
                f"the sampling strategy asks for {total} rows of a class that has "
                f"{counts[named[label]]}; rows are added and never taken away"
            )
        made[named[label]] = int(total) - counts[named[label]]
    return made


def _augmented(
    table: Table,
    target: str,
    counts: Mapping[Any, int],
    wanted: Mapping[Any, int],
    name: str,
    fit_on: FitOn,
    settings: Mapping[str, Any] | None,
    k: int,
    schema: Schema | None,
    seed: int,
    progress: Progress | None,
) -> Augmentation:
    growing = {label: n for label, n in wanted.items() if n}
    tally = {label: (n, growing.get(label, 0)) for label, n in counts.items()}
    on = _fitted_on(name, fit_on, min((counts[label] for label in growing), default=0))
    made = Augmentation(
        table, table.take(np.zeros(0, int)).to_arrow(), target, None, tally, on, seed
    )
    if not growing:
        return replace(made, notes=("every class has the rows asked for: nothing is added",))
    least = min(counts[label] for label in growing)
    if least < 2:
        raise DataError(
            f"{table.name}, column {target!r}: a class of 1 row is to grow, and nothing can be "
            "learnt from one; leave it out of the sampling strategy, or drop or merge it"
        )
    streams = np.random.SeedSequence(seed).spawn(1 + len(growing))
    learnt, fewest = _learnt(table, target, counts, growing, name, on, k)
    notes = []
    if least <= HANDFUL:
        notes.append(
            f"a class has {least} rows: what is drawn of it says little more than the other "
            "classes do, and hardly any gain can be expected"
        )
        warnings.warn(notes[0], PrivsynthWarning, stacklevel=3)
    model = fit_table(
        learnt,
        name,
        recipe(name, settings),
        target=target,
        declared=_declared(schema, learnt, target),
        k=fewest,
        seed=seed,
        stream=streams[0],
        minority=on == "minority" or name in OVERSAMPLERS,
        progress=progress,
    )
    parts = []
    for (label, n), stream in zip(growing.items(), streams[1:], strict=True):
        few = counts[label] <= HANDFUL and name != "random"
        apart = learnt.take(_rows_of(learnt, target, label)).to_arrow() if few else None
        parts.append(_drawn(model, target, label, n, stream, apart))
    synthetic = pa.concat_tables(parts).cast(made.synthetic.schema)
    return replace(made, synthetic=synthetic, model=model, notes=tuple(notes))


def _fitted_on(name: str, fit_on: FitOn, least: int) -> str:
    """Choose the rows to learn."""
    if name in OVERSAMPLERS:
        return "all"
    if fit_on == "auto":
        return "minority" if least >= ENOUGH else "all"
    return fit_on


def _learnt(
    table: Table,
    target: str,
    counts: Mapping[Any, int],
    growing: Mapping[Any, int],
    name: str,
    on: str,
    k: int,
) -> tuple[Table, int]:
    """Give the rows to learn, and the fewest that anything learnt may rest on."""
    least = min(counts[label] for label in growing)
    if name in OVERSAMPLERS:
        return table, min(k, *counts.values())
    if on == "minority":
        kept, fewest = set(growing), max(1, min(k, least // 2))
    else:
        fewest = min(k, least)
        kept = {label for label, n in counts.items() if n >= fewest}
    if len(kept) == len(counts):
        return table, fewest
    held = np.concatenate([_rows_of(table, target, label) for label in kept])
    return table.take(np.sort(held)), fewest


def _rows_of(table: Table, target: str, label: Any) -> npt.NDArray[np.intp]:
    column = table.to_arrow([target]).column(0)
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    return np.flatnonzero(np.asarray(pc.equal(plain, pa.scalar(label, plain.type))))


def _declared(schema: Schema | None, table: Table, target: str) -> Schema:
    """Give what is declared, and that the target is a category whatever it is stored as."""
    said = [column for column in schema or () if column.name != target]
    dtype = str(table.schema.field(target).type)
    aim = Column(target, Kind.CATEGORICAL, dtype, given=frozenset({"kind"}))
    return Schema((*said, aim))


def _drawn(
    model: FittedModel,
    target: str,
    label: Any,
    n: int,
    stream: np.random.SeedSequence,
    apart: pa.Table | None,
) -> pa.Table:
    """Draw rows of a class; none that equals a row of `apart` in every column that is modelled."""
    parts: list[pa.Table] = []
    have = 0
    for seed in stream.generate_state(MOST_TRIES).tolist():
        drawn = pa.concat_tables(
            rows(model.codec, model.model, n - have, seed=seed, where={target: label})
        ).cast(model.codec.schema)
        if apart is not None:
            drawn = drawn.filter(pa.array(~_copies(drawn, apart, model.schema)))
        parts.append(drawn)
        have += drawn.num_rows
        if have == n:
            return pa.concat_tables(parts)
    raise SamplingError(
        f"nearly every row drawn of a class of {0 if apart is None else apart.num_rows} rows is a "
        "copy of one of them; there is too little to learn, so leave the class out or use random"
    )


def _copies(drawn: pa.Table, real: pa.Table, schema: Schema) -> npt.NDArray[np.bool_]:
    """Tell which rows equal one of a few real ones in every modelled column."""
    found = np.zeros(drawn.num_rows, dtype=bool)
    names = [column.name for column in schema if not column.kind.surrogate]
    for i in range(real.num_rows):
        same = np.ones(drawn.num_rows, dtype=bool)
        for name in names:
            value = real.column(name)[i]
            column = drawn.column(name)
            equal = pc.equal(column, value) if value.is_valid else column.is_null()
            same &= np.asarray(pc.fill_null(equal, False))
        found |= same
    return found


class MinoritySampler(BaseOverSampler):  # type: ignore[misc]
    """Over-sampling with synthetic rows, as an imbalanced-learn sampler.

    Parameters
    ----------
    engine : str
        ``"cart"``, ``"copula"``, an ``"sdv-..."`` engine, or one of imbalanced-learn's own:
        ``"smote"``, ``"smotenc"``, ``"borderline-smote"``, ``"adasyn"``, ``"random"``.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's: ``"auto"`` fills every class up to the most frequent one; a float is
        the rows of the minority for each row of the majority; a dict gives rows in all by class.
    fit_on : {"auto", "minority", "all"}
        Whether the engine learns the rows of the growing classes alone, or all rows, of which it
        then draws those classes.
    settings : dict, optional
        The engine's hyper-parameters.
    k : int
        The fewest rows that a level, cell or leaf may rest on; fewer where a class has fewer.
    schema : Schema, optional
        What is declared of the columns; the rest is inferred.
    random_state : int, RandomState instance or None
        Same seed, same rows.

    Attributes
    ----------
    synthetic_mask_ : ndarray of bool, shape (rows,)
        Which rows of what was returned are synthetic.
    model_ : FittedModel or None
        What drew them; None where nothing was wanted.
    report_ : Augmentation
        Rows by class, notes, and, when asked for, what the attacks on SMOTE find.
    sampling_strategy_ : dict
        Rows added, by class.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where `X` has names that are all text.

    Notes
    -----
    ``X`` may be a numpy array, a pandas or polars frame (with categories, gaps and dates), a list
    or a sparse matrix, which is made dense. What is returned is of the same kind: the real rows
    first and unchanged, then the synthetic ones. Ids, personal data and free text are invented.

    Examples
    --------
    >>> from privsynth import MinoritySampler
    >>> X2, y2 = MinoritySampler(random_state=0).fit_resample(X, y)  # doctest: +SKIP
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "engine": [StrOptions({*ENGINES, *OVERSAMPLERS})],
        "fit_on": [StrOptions({"auto", "minority", "all"})],
        "settings": [Mapping, None],
        "k": [Interval(Integral, 1, None, closed="left")],
        "schema": [Schema, None],
    }

    def __init__(
        self,
        engine: str = DEFAULT,
        *,
        sampling_strategy: Any = "auto",
        fit_on: FitOn = "auto",
        settings: Mapping[str, Any] | None = None,
        k: int = 10,
        schema: Schema | None = None,
        random_state: Any = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.engine = engine
        self.fit_on = fit_on
        self.settings = settings
        self.k = k
        self.schema = schema
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any, **params: Any) -> tuple[Any, Any]:
        """Add synthetic rows of the classes below the most frequent one.

        Parameters
        ----------
        X : array-like, frame or sparse matrix, shape (rows, features)
        y : array-like, shape (rows,)
            The classes.

        Returns
        -------
        X_resampled, y_resampled
            Of the kinds of `X` and `y`; the real rows come first.

        Raises
        ------
        DataError
            A class of one row is to grow, or the engine cannot take a column.
        SamplingError
            The engine makes no row of a class.
        """
        if type(X).__module__.split(".")[0] != "polars":
            return super().fit_resample(X, y, **params)  # type: ignore[no-any-return]
        import polars as pl

        labels = y.to_pandas() if isinstance(y, pl.Series) else y
        features, classes = super().fit_resample(_from_polars(X), labels, **params)
        if isinstance(y, pl.Series):
            classes = pl.Series(y.name, classes, dtype=y.dtype)
        return pl.from_pandas(features).cast(dict(X.schema)), classes

    def _check_X_y(  # noqa: N802
        self, X: Any, y: Any
    ) -> tuple[Any, Any, bool]:
        y, one_vs_all = check_target_type(y, indicate_one_vs_all=True)
        if not hasattr(X, "iloc"):
            X = check_array(
                X,
                accept_sparse=["csr", "csc"],
                dtype=None if self._takes_text else "numeric",
                ensure_all_finite="allow-nan" if self._takes_gaps else True,
                estimator=self,
            )
            if not self._takes_gaps and getattr(X, "dtype", np.dtype(float)).kind == "O":
                _check_objects(X)
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        y = column_or_1d(y)
        check_consistent_length(X, y)
        return X, y, one_vs_all

    def _fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        frame, target = _framed(X, y)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        counts = dict(zip(*(a.tolist() for a in np.unique(y, return_counts=True)), strict=True))
        made = _augmented(
            read(frame),
            target,
            counts,
            {_plain(label): int(n) for label, n in self.sampling_strategy_.items()},
            self.engine,
            self.fit_on,
            self.settings,
            self.k,
            self.schema,
            seed,
            None,
        )
        self.report_ = made
        self.model_ = made.model
        self.synthetic_mask_ = np.arange(len(y) + made.synthetic.num_rows) >= len(y)
        new = to_frame(made.synthetic, "pandas")
        labels = new.pop(target).to_numpy().astype(y.dtype)
        return _joined(X, new), np.concatenate([y, labels])

    @property
    def _takes_gaps(self) -> bool:
        return self.engine in ENGINES or self.engine == "random"

    @property
    def _takes_text(self) -> bool:
        return self._takes_gaps or self.engine == "smotenc"

    def _more_tags(self) -> dict[str, Any]:
        return {"X_types": ["2darray", "string", "sparse", "dataframe"]}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps
        tags.input_tags.string = self._takes_gaps
        return tags


def _check_objects(X: npt.NDArray[Any]) -> None:
    """Refuse a column of an array of objects that is neither numbers nor text."""
    import pandas as pd

    for j in range(X.shape[1]):
        if pd.api.types.infer_dtype(X[:, j], skipna=True).startswith("mixed"):
            raise TypeError(
                f"argument must be a string or a number in every cell, and column {j} mixes others "
                "in; give each column one type"
            )


def _from_polars(frame: Any) -> Any:
    """Give a polars frame to pandas with the types that it has."""
    import pandas as pd

    return frame.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _framed(X: Any, y: npt.NDArray[Any]) -> tuple[pd.DataFrame, str]:
    """Put features and classes in one frame with names; tell the name of the classes' column."""
    import pandas as pd
    from scipy import sparse

    if hasattr(X, "iloc"):
        names = [str(name) for name in X.columns]
        if len(set(names)) < len(names):
            raise DataError("two columns have one name; rename one of them")
        frame = pd.DataFrame({name: _dense(X.iloc[:, j]) for j, name in enumerate(names)})
    else:
        dense_X = X.toarray() if sparse.issparse(X) else X
        frame = pd.DataFrame(dense_X, columns=[f"x{j}" for j in range(X.shape[1])])
        frame = frame.infer_objects()
    frame = frame.reset_index(drop=True)
    target = "target"
    while target in frame.columns:
        target += "_"
    frame[target] = y
    return frame, target


def _dense(series: pd.Series[Any]) -> pd.Series[Any]:
    import pandas as pd

    return series if not isinstance(series.dtype, pd.SparseDtype) else series.sparse.to_dense()


def _joined(X: Any, new: pd.DataFrame) -> Any:
    """Put synthetic rows behind the real ones, in the form that the real ones have."""
    import pandas as pd
    from scipy import sparse

    if hasattr(X, "iloc"):
        new.columns = X.columns
        dtypes = dict(zip(range(X.shape[1]), X.dtypes, strict=True))
        new = pd.concat([new.iloc[:, j].astype(d) for j, d in dtypes.items()], axis=1)
        return pd.concat([X, new], ignore_index=True)
    if sparse.issparse(X):
        return sparse.vstack([X, sparse.csr_matrix(new.to_numpy(dtype=X.dtype))], format=X.format)
    return np.concatenate([X, new.to_numpy(dtype=X.dtype)])
