"""More rows of the minority: the imbalanced-learn sampler, and tables augmented whole."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import parametrize_with_checks as imblearn_checks
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks as sklearn_checks

import privsynth
from privsynth import MinoritySampler
from privsynth.engines.registry import ENGINES, OVERSAMPLERS
from privsynth.errors import DataError, PrivsynthWarning, SamplingError, UsageError

OURS = ("cart", "copula", "sdv-gaussian-copula")
NETWORKS = tuple(name for name in ENGINES if name not in OURS)
FAST: dict[str, dict[str, Any]] = {
    name: {"settings": {"epochs": 2, "batch_size": 100, "embedding_dim": 16}} for name in NETWORKS
}
samplers = [MinoritySampler(name, random_state=0) for name in (*OURS, *OVERSAMPLERS)]
networks = [MinoritySampler(name, random_state=0, **FAST[name]) for name in NETWORKS]


@imblearn_checks(samplers)
def test_it_is_an_imbalanced_learn_sampler(estimator: Any, check: Any) -> None:
    check(estimator)


@sklearn_checks(samplers)
def test_it_is_a_scikit_learn_estimator(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@imblearn_checks(networks)
def test_a_network_is_an_imbalanced_learn_sampler(estimator: Any, check: Any) -> None:
    check(estimator)


def loans(rows: int = 1500, rare: float = 0.06, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Make a frame of every kind of column, with gaps, and a class that depends on them."""
    rng = np.random.default_rng(seed)
    bad = rng.random(rows) < rare
    frame = pd.DataFrame(
        {
            "paid": np.where(rng.random(rows) < 0.1, np.nan, rng.gamma(2, np.where(bad, 20, 60))),
            "age": rng.integers(18, 80, rows),
            "visits": pd.array(rng.integers(0, 9, rows), dtype="Int64"),
            "town": pd.Categorical(rng.choice(["Ulm", "Bonn", "Trier"], rows)),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "member": rng.random(rows) < np.where(bad, 0.7, 0.3),
            "note": rng.choice(["a", "b", "c"], rows),
        }
    )
    frame.loc[rng.random(rows) < 0.1, ["town", "since"]] = None
    frame.loc[::9, "visits"] = pd.NA
    return frame, pd.Series(np.where(bad, "bad", "good"), name="outcome")


def numeric(rows: int = 600, rare: int = 60, columns: int = 4, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = (np.arange(rows) < rare).astype(int)
    return rng.normal(size=(rows, columns)) + 1.5 * y[:, None], y


@pytest.mark.parametrize("name", [*OURS, "random"])
def test_real_rows_come_first_and_unchanged_and_types_are_kept(name: str) -> None:
    X, y = loans()
    sampler = MinoritySampler(name, random_state=0)
    X2, y2 = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X2.iloc[: len(X)], X)
    assert (X2.dtypes == X.dtypes).all()
    assert y2.value_counts().nunique() == 1
    assert y2.name == "outcome"
    assert sampler.synthetic_mask_.sum() == len(X2) - len(X)
    assert not sampler.synthetic_mask_[: len(X)].any()
    assert set(y2[sampler.synthetic_mask_]) == {"bad"}
    assert X2[sampler.synthetic_mask_].isna().any().sum() >= 3, "gaps are part of the rows"


@pytest.mark.parametrize("name", [*OURS, "smote"])
def test_same_seed_same_rows(name: str) -> None:
    X, y = numeric()
    a, b, c = (MinoritySampler(name, random_state=s).fit_resample(X, y)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_polars_goes_in_and_comes_out() -> None:
    X, y = loans(600)
    frame, labels = pl.from_pandas(X), pl.Series("outcome", y.tolist())
    X2, y2 = MinoritySampler(random_state=0).fit_resample(frame, labels)
    assert isinstance(X2, pl.DataFrame)
    assert X2.schema == frame.schema
    assert X2[: len(X)].equals(frame)
    assert isinstance(y2, pl.Series)
    assert y2.name == "outcome"


@pytest.mark.parametrize("name", ["cart", "smote"])
def test_a_sparse_matrix_gives_the_rows_of_the_dense_one(name: str) -> None:
    X, y = numeric()
    X[np.abs(X) < 0.7] = 0
    dense, _ = MinoritySampler(name, random_state=0).fit_resample(X, y)
    thin, _ = MinoritySampler(name, random_state=0).fit_resample(sparse.csc_matrix(X), y)
    assert thin.format == "csc"
    np.testing.assert_allclose(thin.toarray(), dense)


@pytest.mark.parametrize("labels", [[0, 1], ["no", "yes"], [False, True], [0.0, 1.0], [-5, 7]])
def test_classes_may_be_anything(labels: list[Any]) -> None:
    X, y = numeric()
    given = np.array(labels)[y]
    _, y2 = MinoritySampler("copula", random_state=0).fit_resample(X, given)
    assert y2.dtype == given.dtype
    assert np.unique(y2, return_counts=True)[1].tolist() == [540, 540]


def test_every_class_below_the_majority_is_filled_up() -> None:
    X, y = make_classification(900, n_classes=3, n_informative=5, weights=[0.7, 0.2, 0.1])
    sampler = MinoritySampler(random_state=0)
    _, y2 = sampler.fit_resample(X, y)
    assert len(set(np.bincount(y2))) == 1
    assert set(sampler.report_.counts) == {0, 1, 2}


def test_a_strategy_by_class_adds_what_it_says() -> None:
    X, y = make_classification(900, n_classes=3, n_informative=5, weights=[0.7, 0.2, 0.1])
    before = np.bincount(y)
    sampler = MinoritySampler(random_state=0, sampling_strategy={2: 200})
    _, y2 = sampler.fit_resample(X, y)
    assert np.bincount(y2).tolist() == [before[0], before[1], 200]


@pytest.mark.parametrize("name", ["cart", "random"])
def test_it_works_in_a_pipeline_and_a_grid_search(name: str) -> None:
    X, y = numeric()
    pipeline = make_pipeline(MinoritySampler(name, random_state=0), LogisticRegression())
    assert cross_val_score(pipeline, X, y, scoring="average_precision", cv=3).min() > 0.5
    grid = {"minoritysampler__sampling_strategy": [0.3, 1.0], "logisticregression__C": [0.1, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=3, scoring="average_precision").fit(X, y)
    assert search.best_score_ > 0.5


def test_it_can_be_cloned_and_sent_to_another_process() -> None:
    sampler = MinoritySampler("copula", random_state=3, k=5, settings={})
    again = pickle.loads(pickle.dumps(clone(sampler)))
    assert again.get_params() == sampler.get_params()


def test_names_of_columns_survive_whatever_they_are() -> None:
    X, y = numeric()
    frame = pd.DataFrame(X, columns=["target", "synthetic", "id", "x y"])
    X2, _ = MinoritySampler(random_state=0).fit_resample(frame, y)
    assert list(X2.columns) == list(frame.columns)
    numbered = pd.DataFrame(X)
    assert list(MinoritySampler(random_state=0).fit_resample(numbered, y)[0].columns) == [*range(4)]


def test_a_class_of_one_row_cannot_grow() -> None:
    X, y = numeric(rare=1)
    for name in ("cart", "smote", "random"):
        with pytest.raises(DataError, match="1 row"):
            MinoritySampler(name).fit_resample(X, y)


@pytest.mark.parametrize("name", ["cart", "copula"])
@pytest.mark.parametrize("rare", [2, 3, 5])
def test_a_handful_of_rows_is_warned_of_and_never_copied(name: str, rare: int) -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(300) < rare).astype(int)
    X = rng.integers(0, 3, (300, 4))
    with pytest.warns(PrivsynthWarning, match=f"{rare} rows"):
        X2, _ = MinoritySampler(name, random_state=0).fit_resample(X, y)
    real = {tuple(row) for row in X[:rare].tolist()}
    assert not real & {tuple(row) for row in X2[300:].tolist()}


def test_where_only_copies_can_be_drawn_that_is_said() -> None:
    X = np.zeros((100, 2))
    y = (np.arange(100) < 3).astype(int)
    with (
        pytest.warns(PrivsynthWarning, match="3 rows"),
        pytest.raises(SamplingError, match="is a copy"),
    ):
        MinoritySampler(random_state=0).fit_resample(X, y)


def test_to_show_what_was_added_runs_no_attack() -> None:
    X, y = numeric(rows=100, rare=20)
    sampler = MinoritySampler(engine="random", random_state=0)
    sampler.fit_resample(X, y)
    assert repr(sampler.report_) == "Augmentation(60 synthetic rows of 1 class)"
    assert "attacks" not in vars(sampler.report_)


def test_balanced_data_gains_nothing() -> None:
    X, y = numeric(rows=100, rare=50)
    sampler = MinoritySampler(random_state=0)
    X2, y2 = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(X2, X)
    np.testing.assert_array_equal(y2, y)
    assert sampler.model_ is None
    assert not sampler.synthetic_mask_.any()
    assert sampler.report_.notes == ("every class has the rows asked for: nothing is added",)


@pytest.mark.parametrize("name", ["smote", "borderline-smote", "adasyn"])
def test_gaps_stop_smote_and_the_message_says_what_to_use(name: str) -> None:
    X, y = numeric()
    X[::7, 0] = np.nan
    with pytest.raises(DataError, match="cart, copula or random"):
        MinoritySampler(name).fit_resample(pd.DataFrame(X, columns=list("abcd")), y)
    with pytest.raises(ValueError, match="NaN"):
        MinoritySampler(name).fit_resample(X, y)


def test_infinity_is_refused() -> None:
    X, y = numeric()
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match=r"[Ii]nf"):
        MinoritySampler().fit_resample(X, y)


def test_ids_are_invented_and_not_learnt() -> None:
    X, y = loans(600)
    X.insert(0, "patient_id", [f"P-{i:05d}" for i in range(len(X))])
    sampler = MinoritySampler(random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    new = X2["patient_id"][sampler.synthetic_mask_]
    assert new.is_unique
    assert not set(new) & set(X["patient_id"])


def test_rare_levels_are_those_of_the_real_rows() -> None:
    X, y = loans(600)
    X["town"] = [f"town {i % 97}" for i in range(600)]
    X["street"] = pd.Categorical([f"street {i % 53}" for i in range(600)])
    sampler = MinoritySampler(random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    assert set(X2["town"]) <= set(X["town"])
    assert X2["street"].notna().all()


def test_the_model_is_there_to_draw_more_from() -> None:
    X, y = loans(600)
    sampler = MinoritySampler(random_state=0)
    sampler.fit_resample(X, y)
    more = sampler.model_.sample(30, seed=1, where={"target": "bad"})
    assert len(more) == 30


@pytest.mark.parametrize("fit_on", ["auto", "minority", "all"])
@pytest.mark.parametrize("selection", ["classifiers", "none"])
def test_the_minority_s_moments_are_kept(fit_on: str, selection: str) -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(6000) < 600).astype(int)
    both = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 6000)
    X = np.column_stack([both, rng.gamma(2, 1, 6000)]) + [1, -1, 0] * y[:, None]
    sampler = MinoritySampler(random_state=0, fit_on=fit_on, selection=selection)
    X2, _ = sampler.fit_resample(X, y)
    new, real = X2[sampler.synthetic_mask_], X[y == 1]
    # four standard errors of the real mean; selection sharpens the class by up to half a deviation
    room = real.std(0) * (0.5 if selection == "classifiers" else 4 / np.sqrt(len(real)))
    assert (np.abs(new.mean(0) - real.mean(0)) < room).all()
    assert np.corrcoef(new[:, :2].T)[0, 1] == pytest.approx(0.6, abs=0.15)


def test_rows_are_chosen_where_the_real_minority_lies() -> None:
    rng = np.random.default_rng(0)
    y = (np.arange(4000) < 300).astype(int)
    angle = rng.uniform(0, 2 * np.pi, 4000)
    X = rng.normal(0, 2.5, (4000, 2))
    X[y == 1] = (3 * np.c_[np.cos(angle), np.sin(angle)] + rng.normal(0, 0.2, (4000, 2)))[y == 1]

    def off(selection: str) -> float:
        sampler = MinoritySampler("copula", random_state=0, selection=selection)
        X2, _ = sampler.fit_resample(X, y)
        return float(np.abs(np.hypot(*X2[sampler.synthetic_mask_].T) - 3).mean())

    assert off("classifiers") < 0.6 * off("none"), "a copula alone fills the ring"


# Whole tables


def test_a_frame_gains_rows_and_a_flag() -> None:
    X, y = loans(600)
    grown = privsynth.augment(X.assign(outcome=y), target="outcome", random_state=0)
    assert list(grown.columns) == [*X.columns, "outcome", "synthetic"]
    assert not grown["synthetic"][:600].any()
    assert grown["synthetic"][600:].all()
    assert grown["outcome"].value_counts().nunique() == 1
    plain = privsynth.augment(X.assign(outcome=y), target="outcome", random_state=0, flag=False)
    pd.testing.assert_frame_equal(plain, grown.drop(columns="synthetic"))


def test_a_strategy_may_be_a_function_of_the_target() -> None:
    frame, y = loans()
    given = []

    def half_of_the_largest(labels: Any) -> dict[Any, int]:
        classes, counts = np.unique(labels, return_counts=True)
        given.append(sorted(counts.tolist()))
        return {
            c: max(int(n), int(counts.max()) // 2) for c, n in zip(classes, counts, strict=True)
        }

    table = frame.assign(out=y)
    grown = privsynth.augment(
        table, target="out", sampling_strategy=half_of_the_largest, random_state=0
    )
    counts = pd.Series(y).value_counts()
    assert given == [sorted(counts.tolist())]
    assert (grown["out"] == counts.idxmin()).sum() == counts.max() // 2


def test_a_ratio_is_minority_by_majority() -> None:
    X, y = numeric(rare=20)
    data = pd.DataFrame(X, columns=list("abcd")).assign(y=y)
    grown = privsynth.augment(data, target="y", sampling_strategy=0.5, random_state=0)
    assert grown["y"].value_counts().to_dict() == {0: 580, 1: 290}
    same = privsynth.augment(data, target="y", sampling_strategy=0.01, random_state=0)
    assert len(same) == len(data), "a ratio that is there already adds nothing"


@pytest.mark.parametrize(
    ("strategy", "classes", "message"),
    [
        (1.5, 2, "above 0 and at most 1"),
        (0.0, 2, "above 0 and at most 1"),
        (0.5, 3, "has 3; give the number of"),
        (1.5, 3, "has 3; give the number of"),
        ({"9": 100}, 2, "no row has"),
        ({"1": 3}, 2, "never taken away"),
        ({"1": 30.5}, 2, "not a whole number"),
        ("most", 2, "none that over-sampling knows"),
    ],
)
def test_a_strategy_that_does_not_fit_is_refused(strategy: Any, classes: int, message: str) -> None:
    X, y = numeric(rare=60)
    data = pd.DataFrame(X, columns=list("abcd")).assign(y=y)
    if classes == 3:
        data.loc[:9, "y"] = 2
    with pytest.raises(UsageError, match=message):
        privsynth.augment(data, target="y", sampling_strategy=strategy)


def test_a_target_that_is_no_class_is_refused() -> None:
    X, y = numeric()
    data = pd.DataFrame(X, columns=list("abcd")).assign(y=y)
    with pytest.raises(UsageError, match="no target column"):
        privsynth.augment(data, target="z")
    with pytest.raises(DataError, match="different values"):
        privsynth.augment(data, target="a")
    with pytest.raises(DataError, match="one class"):
        privsynth.augment(data.assign(y=1), target="y")
    with pytest.raises(DataError, match="missing in 2 rows"):
        privsynth.augment(data.assign(y=[None, None, *y[2:]]), target="y")
    with pytest.raises(DataError, match="'synthetic' already"):
        privsynth.augment(data.rename(columns={"a": "synthetic"}), target="y")


def test_nothing_but_our_own_warnings_are_raised() -> None:
    X, y = loans(600)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MinoritySampler(random_state=0).fit_resample(X, y)
