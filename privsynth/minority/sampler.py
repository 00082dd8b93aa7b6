"""An imbalanced-learn sampler with every engine behind it.

The real rows are returned as they are, so the output is no more private than the input: it is for
training models in-house, not for sharing. That also holds under a privacy budget: the guarantee
covers the model and the synthetic rows it drew, not real and synthetic rows together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
from imblearn.over_sampling.base import BaseOverSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_array, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import validate_data

from privsynth.coding import OTHER, unit_codes
from privsynth.engines import DEFAULT, DEFAULT_PRIVATE, REGISTRY, traits
from privsynth.errors import DataError, UsageError
from privsynth.fitting import check_k
from privsynth.minority.augmentation import Augmentation
from privsynth.minority.growth import grow, grow_privately
from privsynth.minority.plan import FitOn, Plan, Selection
from privsynth.privacy import Budget
from privsynth.schema import Levels, Schema, opened
from privsynth.table import read, to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MinoritySampler"]


class MinoritySampler(BaseOverSampler):  # type: ignore[misc]
    """Over-sampling with synthetic rows, as an imbalanced-learn sampler.

    Parameters
    ----------
    engine : str, optional
        ``"cart"``, ``"copula"``, an ``"sdv-..."`` engine, or one of imbalanced-learn's own:
        ``"smote"``, ``"smotenc"``, ``"borderline-smote"``, ``"adasyn"``, ``"random"``; under a
        budget ``"marginals"``, ``"copula"``, ``"aim"``, ``"mst"`` or ``"independent"``. By
        default ``"cart"``, and ``"marginals"`` under a budget.
    sampling_strategy : float, str, dict or callable
        imbalanced-learn's: ``"auto"`` fills every class up to the most frequent one; a float is
        the rows of the minority for each row of the majority; a dict gives the total rows of each
        class. Under a budget it is applied to noisy counts, so classes come out only about even.
    fit_on : {"auto", "minority", "all"}
        Whether the engine learns the rows of the growing classes alone, or all rows. By default it
        learns those of the growing classes and as many of the others, or up to 5,000 if that is
        more; if a class has fewer than 20 rows, those of the growing classes alone. Under a
        budget all rows are learnt.
    selection : {"auto", "classifiers", "none"}
        Whether two classifiers select, among the rows drawn, those most like the real minority; by
        default they do for ``"cart"`` and ``"copula"``, unless `fit_on` is given. Selection
        sharpens the class: its rows lie a little further from the other classes than the real
        ones do. Under a budget nothing is selected.
    settings : dict, optional
        The engine's hyper-parameters.
    k : int
        The fewest rows that a level, cell or leaf may rest on; lower if a class has fewer rows.
    schema : Schema or path, optional
        The declared columns; the others are inferred. Under a budget it must declare every column
        of `X` (those of an array are ``x0``, ``x1``, ...) and one more with its classes, which is
        `y`.
    budget : Budget, optional
        The privacy loss that each call of `fit_resample` may cause. The guarantee covers the model
        and the rows that it drew, but not what is returned, which holds the real rows.
    ledger : str or Path, optional
        The file in which the owner of the table counts what every fit may spend.
    new_ledger : bool
        Create that file, which must not exist yet: for the first call only.
    random_state : int, RandomState instance or None
        Same seed, same rows. The noise of a budget has no seed.

    Attributes
    ----------
    synthetic_mask_ : ndarray of bool, shape (rows,)
        Which of the returned rows are synthetic.
    model_ : FittedModel or None
        The model that drew them; None where nothing was to be added.
    report_ : Augmentation
        Rows by class, notes, and the scores of the attacks on SMOTE, computed on access.
    sampling_strategy_ : dict
        Rows added, by class.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where `X` has names that are all text.

    Notes
    -----
    ``X`` may be a numpy array, a pandas or polars frame (with categories, gaps and dates), a list
    or a sparse matrix, which is made dense. The result is of the same kind: the real rows first
    and unchanged, then the synthetic ones. Ids, personal data and free text are invented. Under a
    budget, noise may put a gap into a column that has none; if the column's type cannot hold it,
    another drawn value replaces it.

    With `groups` the units of a class are counted where its rows are counted without them: no
    level, cell or leaf rests on fewer than `k` units; `k` is lowered to the units of the smallest
    class, and to half of all units; a unit counts at most as many rows of a class as the k-th
    largest; a class of one unit is refused; one of up to five is
    warned of, and no drawn row is a copy of its rows; classifiers select from 20 units on. The
    rows that a class gains are those of `sampling_strategy` all the same. The engines of
    imbalanced-learn hold rows, so for them units count in these checks of small classes alone: they
    draw between neighbours as without `groups`, also between two rows of one unit. Leave the
    column that names the units out of `X`, where it would be a feature.

    `groups` follows scikit-learn's metadata routing. Where
    ``sklearn.set_config(enable_metadata_routing=True)``, ``set_fit_resample_request(groups=True)``
    asks for them, and imbalanced-learn's ``Pipeline`` and ``cross_validate(..., params={"groups":
    groups})`` hand them on. Without routing a pipeline hands nothing to its samplers.

    A fitted sampler can be copied and pickled, also in a pipeline or a search. The copy does not
    hold the real rows, unless the engine keeps rows, so its ``report_`` has no picture and no
    attacks.

    Examples
    --------
    >>> from privsynth import MinoritySampler
    >>> X2, y2 = MinoritySampler(random_state=0).fit_resample(X, y)  # doctest: +SKIP
    """

    sampling_strategy_: dict[Any, int]

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseOverSampler._parameter_constraints,
        "engine": [StrOptions(set(REGISTRY)), None],
        "fit_on": [StrOptions({"auto", "minority", "all"})],
        "selection": [StrOptions({"auto", "classifiers", "none"})],
        "settings": [Mapping, None],
        "k": [Interval(Integral, 1, None, closed="left")],
        "schema": [Schema, str, Path, None],
        "budget": [Budget, None],
        "ledger": [str, Path, None],
        "new_ledger": ["boolean"],
    }

    def __init__(
        self,
        engine: str | None = None,
        *,
        sampling_strategy: Any = "auto",
        fit_on: FitOn = "auto",
        selection: Selection = "auto",
        settings: Mapping[str, Any] | None = None,
        k: int = Plan.k,
        schema: Schema | str | Path | None = None,
        budget: Budget | None = None,
        ledger: str | Path | None = None,
        new_ledger: bool = False,
        random_state: Any = None,
    ) -> None:
        super().__init__(sampling_strategy=sampling_strategy)
        self.engine = engine
        self.fit_on = fit_on
        self.selection = selection
        self.settings = settings
        self.k = k
        self.schema = schema
        self.budget = budget
        self.ledger = ledger
        self.new_ledger = new_ledger
        self.random_state = random_state

    def fit_resample(self, X: Any, y: Any, groups: Any = None, **params: Any) -> tuple[Any, Any]:
        """Add synthetic rows of the classes below the most frequent one.

        Parameters
        ----------
        X : array-like, frame or sparse matrix, shape (rows, features)
        y : array-like, shape (rows,)
            The classes.
        groups : array-like, shape (rows,), optional
            The unit, such as a person, that each row belongs to: text, whole numbers or
            categories. A row without one is a unit of its own. See the notes of the class.

        Returns
        -------
        X_resampled, y_resampled
            Of the kinds of `X` and `y`; the real rows come first.

        Raises
        ------
        DataError
            A class of one row, or of one unit, is to grow; the engine cannot read a column; or
            `groups` is not one label per row, all of one type.
        SamplingError
            The engine makes no row of a class.
        UsageError
            The schema does not declare what a budget needs, or `groups` stands beside a budget,
            whose unit is a column that the budget names.
        BudgetExceeded
            The ledger does not allow the budget.
        """
        if groups is not None:
            params["groups"] = groups
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
            if self.budget is not None and not hasattr(X, "dtype"):
                X = np.array(X, dtype=object)  # no cell may decide the type of the others
            X = check_array(
                X,
                accept_sparse=["csr", "csc"],
                dtype=None if self._takes_text else "numeric",
                ensure_all_finite=self._finite,
                estimator=self,
            )
            if not self._takes_gaps and getattr(X, "dtype", np.dtype(float)).kind == "O":
                _check_objects(X)
        validate_data(self, X=X, y=y, reset=True, skip_check_array=True)
        y = column_or_1d(y)
        check_consistent_length(X, y)
        return X, y, one_vs_all

    def _fit_resample(self, X: Any, y: Any, groups: Any = None) -> tuple[Any, Any]:
        units = None if groups is None else _units(groups, len(y), self.budget)
        check_k(None if self.k == Plan.k else self.k, self._engine, self.budget)
        declared = opened(self.schema)
        plan = Plan(
            self._engine,
            self.settings,
            self.fit_on,
            self.selection,
            int(self.k),  # a parameter search may pass a numpy integer
            declared,
            self.budget,
            self.ledger,
            bool(self.new_ledger),
        )
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        augmentation = self._grown(
            *_framed(X, y, None if self.budget is None else declared), plan, seed, units
        )
        self.report_ = augmentation
        self.model_ = augmentation.model
        self.synthetic_mask_ = np.arange(len(y) + augmentation.synthetic.num_rows) >= len(y)
        new = to_frame(augmentation.synthetic, "pandas")
        labels = _labels(new.pop(augmentation.target).to_numpy(), y.dtype)
        rng = np.random.default_rng(seed)
        return _appended(X, new, rng), np.concatenate([y, labels])

    def _grown(
        self,
        frame: pd.DataFrame,
        target: str,
        plan: Plan,
        seed: int,
        units: npt.NDArray[np.int64] | None,
    ) -> Augmentation:
        if plan.budget is None:
            y = frame[target].to_numpy()
            counts = dict(zip(*(a.tolist() for a in np.unique(y, return_counts=True)), strict=True))
            gains = {_plain(label): int(n) for label, n in self.sampling_strategy_.items()}
            return grow(read(frame), target, counts, gains, plan, seed, groups=units)
        if plan.schema is not None:
            _check_classes(plan.schema, target, frame[target].to_numpy().dtype)
        table, strategy = read(frame, total=True), self.sampling_strategy
        augmentation = grow_privately(
            table, table, target, plan, plan.budget, sampling_strategy=strategy, seed=seed
        )
        self.sampling_strategy_ = {label: n for label, (_, n) in augmentation.counts.items() if n}
        return augmentation

    def __getstate__(self) -> dict[str, Any]:
        """Drop the real rows: a pickle holds the model and the rows that it drew."""
        state = dict(super().__getstate__())
        if "report_" in state:
            state["report_"] = state["report_"].without_real()
        return state

    @property
    def _engine(self) -> str:
        return self.engine or (DEFAULT if self.budget is None else DEFAULT_PRIVATE)

    @property
    def _finite(self) -> bool | str:
        """scikit-learn's check of numbers: under a budget none is refused."""
        if self.budget is not None:
            return False
        return "allow-nan" if self._takes_gaps else True

    @property
    def _takes_gaps(self) -> bool:
        return not traits(self._engine).holds_rows or traits(self._engine).copies_rows

    @property
    def _takes_text(self) -> bool:
        return self._takes_gaps or self._engine == "smotenc"

    def _more_tags(self) -> dict[str, Any]:
        return {"X_types": ["2darray", "string", "sparse", "dataframe"]}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._takes_gaps
        tags.input_tags.string = self._takes_gaps
        return tags


def _units(groups: Any, n_rows: int, budget: Budget | None) -> npt.NDArray[np.int64]:
    """Return the unit of each row; under a budget its own unit is the only one."""
    if budget is not None:
        raise UsageError(
            f"groups stand beside a budget whose unit is {budget.unit!r}; leave them out, and name "
            "the column of X that holds them as the budget's unit: Budget(..., unit=COLUMN)"
        )
    units = unit_codes(groups, "groups")
    if len(units) != n_rows:
        raise DataError(f"groups name the units of {len(units)} rows, and X has {n_rows}")
    return units


def _check_objects(X: npt.NDArray[Any]) -> None:
    """Refuse an array of objects with a column that mixes types."""
    import pandas as pd

    for j in range(X.shape[1]):
        if pd.api.types.infer_dtype(X[:, j], skipna=True).startswith("mixed"):
            raise TypeError(
                f"argument must be a string or a number in every cell, and column {j} mixes others "
                "in; give each column one type"
            )


def _from_polars(frame: Any) -> Any:
    """Convert a polars frame to pandas, keeping its types."""
    import pandas as pd

    objects = [name for name, kind in frame.schema.items() if str(kind) == "Object"]
    if objects:
        raise DataError(
            f"column {objects[0]!r}: holds Python objects; turn it into numbers or text"
        )
    return frame.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _framed(X: Any, y: npt.NDArray[Any], schema: Schema | None) -> tuple[pd.DataFrame, str]:
    """Return features and classes in one frame, and the name of the classes' column.

    That name is the one that a schema, if given, declares beside the features.
    """
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
        if schema is None:  # under a budget no cell may decide the type of the others
            frame = frame.infer_objects()
    frame = frame.reset_index(drop=True)
    target = "target"
    while target in frame.columns:
        target += "_"
    if schema is not None:
        target = _declared_target(schema, list(frame.columns))
    frame[target] = y if schema is not None else pd.Series(y).infer_objects()
    return frame, target


def _check_classes(schema: Schema, target: str, dtype: np.dtype[Any]) -> None:
    """Refuse declared classes that do not fit the type of y, which the caller chose."""
    domain = schema[target].domain
    if not isinstance(domain, Levels):
        return
    try:
        _labels(np.array(domain.values, dtype=object), dtype)
    except (TypeError, ValueError):
        raise UsageError(
            f"y is stored as {dtype}, and the schema declares classes of {target!r} that this type "
            "cannot hold; list them as the table spells them"
        ) from None


def _labels(synthetic: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Cast classes to the type of the real ones, without truncating text."""
    import pyarrow as pa

    if dtype.kind == "U":
        return synthetic.astype(str)
    if synthetic.dtype == object and dtype.kind in "biuf":  # numpy casts the text "false" to True
        with suppress(pa.ArrowException):
            return np.asarray(pa.array(synthetic).cast(pa.from_numpy_dtype(dtype)).to_numpy(False))
    return synthetic.astype(dtype)


def _declared_target(schema: Schema, features: Sequence[str]) -> str:
    """Return the one column that a schema declares beside the features."""
    others = [name for name in schema.names if name not in features]
    if len(others) != 1:
        raise UsageError(
            f"the schema declares {len(others)} columns beside those of X; expected one under a "
            "budget, which is y; name X's columns as the schema does"
        )
    return others[0]


def _dense(series: Any) -> Any:
    import pandas as pd

    return series.sparse.to_dense() if isinstance(series.dtype, pd.SparseDtype) else series


def _appended(X: Any, new: pd.DataFrame, rng: np.random.Generator) -> Any:
    """Append synthetic rows to the real ones, in the container and types of those."""
    import pandas as pd
    from scipy import sparse

    if hasattr(X, "iloc"):
        new.columns = X.columns
        return pd.concat([X, _typed(new, X.dtypes, rng)], ignore_index=True)
    try:
        rows = new.to_numpy(dtype=X.dtype)
    except (TypeError, ValueError):
        rows = _typed(new, [X.dtype] * X.shape[1], rng).to_numpy(dtype=X.dtype)
    if sparse.issparse(X):
        return sparse.vstack([X, sparse.csr_matrix(rows)], format=X.format)
    return np.concatenate([X, rows])


def _typed(new: pd.DataFrame, dtypes: Iterable[Any], rng: np.random.Generator) -> Any:
    """Cast synthetic columns to the types of the real ones."""
    import pandas as pd

    columns = (new.iloc[:, j] for j in range(new.shape[1]))
    return pd.concat([_cast(c, d, rng) for c, d in zip(columns, dtypes, strict=True)], axis=1)


def _cast(column: Any, dtype: Any, rng: np.random.Generator) -> Any:
    """Cast a column; if its type cannot hold gaps, other values of the column replace them.

    Noise may draw a gap, or a level outside the schema, where no real row has one.
    """
    categories = getattr(dtype, "categories", None)
    if categories is not None and categories.dtype.kind == "M":
        # Moments of another unit or zone equal none of the categories until they are converted.
        with suppress(TypeError, ValueError):
            column = column.astype(categories.dtype)
    try:
        return column.astype(dtype)
    except (TypeError, ValueError):
        gaps = (column.isna() | column.eq(OTHER).fillna(False)).to_numpy(dtype=bool)
        if not gaps.all():
            present = np.flatnonzero(~gaps)
            source = np.where(gaps, rng.choice(present, len(gaps)), np.arange(len(gaps)))
            with suppress(TypeError, ValueError):
                return column.take(source).astype(dtype).set_axis(column.index)
    raise UsageError(
        f"column {column.name!r}: its type, {dtype}, cannot hold the values drawn; give it one "
        "that holds gaps, such as Int64, or mend what the schema declares"
    )
