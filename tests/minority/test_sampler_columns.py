"""The sampler and `augment` over every type of column, every spelling of a class, and pickles."""

from __future__ import annotations

import copy
import datetime
import pickle
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import privsynth
from privsynth import MinoritySampler
from privsynth.engines.oversample import Oversampled
from privsynth.engines.registry import OVERSAMPLERS
from privsynth.errors import DataError, UsageError
from privsynth.minority.strategy import by_label
from privsynth.table import read

# ------------------------------------------------------------------- categories, types and labels

ROWS = 300


def _columns() -> dict[str, object]:
    rng = np.random.default_rng(5)
    days = pd.to_datetime(["2020-01-01", "2021-01-01", "2022-01-01"])
    pick = rng.integers(0, 3, ROWS)
    return {
        "categories of integers": pd.Categorical(np.array([30, 10, 20])[pick]),
        "categories of floats": pd.Categorical(np.array([0.5, 2.0, 4.0])[pick]),
        "categories of booleans": pd.Categorical(pick > 0),
        "categories of dates": pd.Categorical(days[pick]),
        "categories of text": pd.Categorical(
            np.array(["a", "b", "c"])[pick], categories=["c", "a", "unused", "b"]
        ),
        "categories in order": pd.Categorical(
            np.array([30, 10, 20])[pick], categories=[30, 10, 20], ordered=True
        ),
        "moments in order": pd.Categorical(days[pick], ordered=True),
        "categories nearly all different": pd.Categorical(rng.integers(0, 150, ROWS)),
        "bool": pick > 0,
        "boolean": pd.array(pick > 0, dtype="boolean"),
        "Int64": pd.array(rng.integers(0, 99, ROWS), dtype="Int64"),
        "int8": rng.integers(0, 99, ROWS).astype(np.int8),
        "float32": rng.normal(size=ROWS).astype(np.float32),
        "above 2**53": rng.integers(2**61, 2**62, ROWS),
        "nanoseconds": pd.to_datetime("2001-01-01").as_unit("ns")
        + pd.to_timedelta(rng.integers(0, 6 * 10**17, ROWS), unit="ns"),
        "days": pd.to_datetime("2001-01-01") + pd.to_timedelta(rng.integers(0, 900, ROWS), "D"),
        "string": pd.array(np.array(["a", "b", "c"])[pick], dtype="string"),
        "Arrow's integers": pd.array(rng.integers(0, 99, ROWS), dtype="int64[pyarrow]"),
        "Arrow's text": pd.array(np.array(["a", "b", "c"])[pick], dtype="string[pyarrow]"),
        "objects": np.array(rng.integers(0, 9, ROWS), dtype=object),
    }


COLUMNS = _columns()
LEVELS = {
    name
    for name, values in COLUMNS.items()
    if isinstance(values, pd.Categorical) or name in ("bool", "boolean", "string", "Arrow's text")
}
SAMPLERS = ("smote", "smotenc", "borderline-smote", "adasyn", "random", "cart", "copula")


@pytest.mark.parametrize("engine", SAMPLERS)
@pytest.mark.parametrize("name", COLUMNS)
def test_every_type_of_column_comes_back_as_it_is_or_is_refused_by_name(
    name: str, engine: str
) -> None:
    rng = np.random.default_rng(6)
    X = pd.DataFrame({"c": COLUMNS[name], "x": rng.normal(size=ROWS)})
    y = pd.Series((np.arange(ROWS) < 60).astype(int), name="y")
    sampler = MinoritySampler(engine, random_state=0)
    if engine in ("smote", "borderline-smote", "adasyn") and name in LEVELS:
        with pytest.raises(DataError, match="column 'c' holds categories"):
            sampler.fit_resample(X, y)
        return
    grown, _ = sampler.fit_resample(X, y)
    made = grown["c"].iloc[ROWS:]
    assert len(made)
    assert grown["c"].dtype == X["c"].dtype
    assert not made.isna().any()
    if X["c"].dtype == "category" or X["c"].nunique() < 5:
        assert set(made) <= set(X["c"])
    elif pd.api.types.is_integer_dtype(X["c"].dtype) and engine != "cart":
        assert made.between(X["c"].min(), X["c"].max()).all()
    table = privsynth.augment(X.assign(y=y), target="y", engine=engine, random_state=0)
    assert table["c"].dtype == X["c"].dtype
    assert not table["c"].isna().any()


@pytest.mark.parametrize("engine", ["smote", "smotenc", "adasyn", "borderline-smote"])
def test_what_all_rows_hold_is_exact_beyond_what_a_float_holds(engine: str) -> None:
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "same": np.full(ROWS, 2**62 + 1),
            "when": np.full(ROWS, np.datetime64("2020-02-03T04:05:06.123456789")),
            "x": rng.normal(size=ROWS),
        }
    )
    grown, _ = MinoritySampler(engine, random_state=0).fit_resample(X, np.arange(ROWS) < 60)
    assert set(grown["same"]) == {2**62 + 1}
    assert set(grown["when"]) == {X["when"].iloc[0]}


def test_the_ends_of_a_segment_are_rows_bit_for_bit() -> None:
    from privsynth.engines.oversample.columns import Line

    values = np.array([-(2**62) - 3, 2**62 + 1, 5])
    line = Line(values, pa.int64())
    assert line.decode(line.floats).to_pylist() == values.tolist()
    between = line.decode(line.floats * 0.5).to_pylist()
    assert all(values.min() <= value <= values.max() for value in between)


@pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")
def test_numbers_too_far_apart_are_refused_with_their_column() -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(40) < 4).astype(np.int32)  # each row's 3 neighbours: one near, two far
    far = np.where(np.arange(40) % 2, 1.7e308, -1.7e308)
    rows = {"x": rng.normal(size=40), "far": far, "y": labels}
    settings, prior = {"k_neighbors": 5}, np.array([0.0, 0.25])
    model = Oversampled("smote", settings, pa.table(rows), labels, 2, "y", (), prior)
    with pytest.raises(DataError, match="'far'"):
        model.sample(200, rng)


def test_errors_of_imbalanced_learn_that_are_not_its_own_answer_are_not_hidden() -> None:
    labels = (np.arange(40) < 10).astype(np.int32)
    rows = {"x": np.full(40, np.nan), "y": labels}
    prior = np.array([0.0, 0.25])
    model = Oversampled("smote", {"k_neighbors": 5}, pa.table(rows), labels, 1, "y", (), prior)
    with pytest.raises(ValueError, match="NaN"):
        model.sample(20, np.random.default_rng(0))


@pytest.mark.parametrize("engine", [*SAMPLERS, "sdv-gaussian-copula"])
def test_a_fitted_sampler_is_copied_and_pickled_without_the_real_rows(engine: str) -> None:
    rng = np.random.default_rng(0)
    rows = 4000
    X = pd.DataFrame({"x": rng.normal(size=rows), "secret": rng.normal(size=rows)})
    y = np.arange(rows) < 300
    sampler = MinoritySampler(engine, sampling_strategy={True: 400}, random_state=0)
    sampler.fit_resample(X, y)
    packed = pickle.dumps(sampler)
    for again in (pickle.loads(packed), copy.deepcopy(sampler)):
        drawn, same = (s.model_.sample(20, seed=1) for s in (sampler, again))
        pd.testing.assert_frame_equal(drawn, same)
        assert again.report_.counts == sampler.report_.counts
        assert again.report_.attacks == ()
    majority = X["secret"].iloc[300:].to_numpy()
    if engine not in OVERSAMPLERS:
        assert not any(value.tobytes() in packed for value in majority)
    assert clone(sampler).get_params() == sampler.get_params()


def test_a_search_with_the_sampler_in_it_can_be_saved(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), np.arange(400) < 60
    steps = make_pipeline(MinoritySampler(random_state=0), LogisticRegression())
    search = GridSearchCV(steps, {"minoritysampler__engine": ["copula", "smote"]}, cv=2).fit(X, y)
    joblib.dump(search, tmp_path / "search.joblib")
    again = joblib.load(tmp_path / "search.joblib")
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_a_table_in_memory_is_pickled_and_one_that_is_read_as_needed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"a": [1, 2, 3]})
    table = read(frame)
    assert pickle.loads(pickle.dumps(table)).to_arrow().equals(table.to_arrow())
    monkeypatch.setattr("privsynth.table.reading.MAX_CELLS_IN_MEMORY", 0)
    frame.to_parquet(tmp_path / "t.parquet")
    lazy = read(tmp_path / "t.parquet")
    with pytest.raises(UsageError, match="cannot be pickled"):
        pickle.dumps(lazy)
    assert copy.deepcopy(lazy) is lazy


@pytest.mark.parametrize(
    ("labels", "spelled", "key", "label"),
    [
        ([True, False], None, "true", True),
        ([True, False], None, "True", True),
        ([True, False], "yes/no", "yes", True),
        ([True, False], "1/0", "0", False),
        ([True, False], None, True, True),
        ([0, 1], None, "1", 1),
        ([0, 1], None, "1.0", 1),
        ([0.0, 1.0], None, "1", 1.0),
        ([0.0, 1.0], None, 1, 1.0),
        (["1", "01"], None, "01", "01"),
        (["1", "01"], None, 1, "1"),
        (["true", "false"], None, True, "true"),
        (["Yes", "No"], None, "yes", "Yes"),
        (["bad", "good"], None, "bad", "bad"),
        ([datetime.date(2020, 1, 2)], None, "2020-01-02", datetime.date(2020, 1, 2)),
        ([datetime.date(2020, 1, 2)], "%d.%m.%Y", "02.01.2020", datetime.date(2020, 1, 2)),
        ([datetime.datetime(2020, 1, 2)], None, "2020-01-02", datetime.datetime(2020, 1, 2)),
    ],
)
def test_a_class_is_named_as_json_yaml_python_or_the_file_spells_it(
    labels: list, spelled: str | None, key: object, label: object
) -> None:
    (found,) = by_label({key: 200}, labels, spelled)
    assert found == label
    assert type(found) is type(label)


def test_an_unknown_class_and_one_that_is_named_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="'maybe' that no row has"):
        by_label({"maybe": 5}, [True, False])
    with pytest.raises(UsageError, match="twice"):
        by_label({"1": 5, "1.0": 6}, [0, 1])


@pytest.mark.parametrize("engine", ["smote", "random"])
def test_options_that_an_over_sampler_does_not_read_are_refused(engine: str) -> None:
    X = pd.DataFrame({"x": np.arange(60.0), "y": ["a"] * 50 + ["b"] * 10})
    for options in ({"k": 5}, {"fit_on": "all"}, {"selection": "classifiers"}):
        with pytest.raises(UsageError):
            privsynth.augment(X, target="y", engine=engine, **options)
