"""The over-samplers of imbalanced-learn behind the engines' contract."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.engines.registry import OVERSAMPLERS, engine, recipe
from privsynth.errors import (
    ArtefactError,
    ConfigError,
    DataError,
    PrivsynthWarning,
    SamplingError,
    UsageError,
)

METHODS = tuple(OVERSAMPLERS)


def numbers(rows: int = 400, rare: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bad = np.arange(rows) < rare
    return pd.DataFrame(
        {
            "x": rng.normal(bad * 1.0),
            "n": rng.integers(0, 1000, rows) + 100 * bad,
            "z": rng.gamma(2, 3, rows),
            "bad": np.where(bad, "yes", "no"),
        }
    )


def mixed(**options: int) -> pd.DataFrame:
    frame = numbers(**options)
    rng = np.random.default_rng(1)
    frame.insert(1, "town", rng.choice(["Ulm", "Bonn", None], len(frame)))
    frame.insert(2, "member", rng.random(len(frame)) < 0.5)
    frame["since"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(
        rng.integers(0, 900, len(frame)), "D"
    )
    return frame


def data_for(method: str) -> pd.DataFrame:
    return mixed() if method in ("smotenc", "random") else numbers()


def fit(data: pd.DataFrame, method: str, **options: object) -> privsynth.FittedModel:
    return privsynth.fit(data, target="bad", engine=method, minority=True, seed=0, **options)


@pytest.mark.parametrize("method", METHODS)
def test_rows_are_of_the_minority_and_of_the_table_s_types(method: str) -> None:
    data = data_for(method)
    rows = fit(data, method).sample(333, seed=1)
    assert len(rows) == 333
    assert set(rows["bad"]) == {"yes"}
    assert (rows.dtypes == data.dtypes).all()
    rare = data[data["bad"] == "yes"]
    for name in data.select_dtypes("number"):
        assert rows[name].between(rare[name].min(), rare[name].max()).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_rows_and_another_gives_others(method: str) -> None:
    model = fit(data_for(method), method)
    pd.testing.assert_frame_equal(model.sample(50, seed=3), model.sample(50, seed=3))
    assert not model.sample(50, seed=3).equals(model.sample(50, seed=4))


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_holds_rows_is_saved_only_when_that_is_allowed(
    method: str, tmp_path: Path
) -> None:
    model = fit(data_for(method), method)
    assert model.card["holds_rows"]
    with pytest.raises(UsageError, match="--allow-rows"):
        model.save(tmp_path / "m.psyn")
    assert not (tmp_path / "m.psyn").exists()
    model.save(tmp_path / "m.psyn", allow_rows=True)
    again = privsynth.load(tmp_path / "m.psyn")
    pd.testing.assert_frame_equal(again.sample(60, seed=5), model.sample(60, seed=5))


@pytest.mark.parametrize("method", METHODS)
def test_an_over_sampler_refuses_the_whole_table(method: str) -> None:
    with pytest.raises(UsageError, match="minority alone"):
        privsynth.fit(data_for(method), target="bad", engine=method)


@pytest.mark.parametrize("method", METHODS)
def test_a_condition_on_another_column_is_refused(method: str) -> None:
    model = fit(data_for(method), method)
    with pytest.raises(SamplingError, match="target only"):
        model.sample(5, where={"bad": "yes", "n": 100})


@pytest.mark.parametrize("method", ["smote", "borderline-smote", "adasyn"])
def test_what_lies_between_categories_is_not_guessed(method: str) -> None:
    with pytest.raises(DataError, match=r"'town'.*smotenc"):
        fit(mixed(), method)


@pytest.mark.parametrize("method", ["smote", "smotenc", "borderline-smote", "adasyn"])
def test_gaps_in_numbers_are_refused_with_what_to_use(method: str) -> None:
    data = data_for(method)
    data.loc[::5, "x"] = np.nan
    with pytest.raises(DataError, match=r"'x' has 80 missing.*cart"):
        fit(data, method)


def test_smote_rows_lie_on_segments_between_two_rows() -> None:
    data = numbers()
    rare = data.loc[data["bad"] == "yes", ["x", "z"]].to_numpy()
    rows = fit(data.drop(columns="n"), "smote").sample(40, seed=0)[["x", "z"]].to_numpy()
    a, b = rare[:, None], rare[None]
    way = b - a
    for row in rows:
        along = ((row - a) * way).sum(2) / np.maximum((way**2).sum(2), 1e-12)
        off = np.abs(row - a - along[:, :, None] * way).max(2)
        assert ((off < 1e-9) & (along >= 0) & (along <= 1)).any()


def test_random_gives_copies_and_nothing_else() -> None:
    data = mixed()
    rows = fit(data, "random").sample(200, seed=0)
    rare = data[data["bad"] == "yes"]
    merged = rows.merge(rare.drop_duplicates(), how="left", indicator=True)
    assert (merged["_merge"] == "both").all()


def test_ids_are_invented_by_methods_that_draw_between_rows() -> None:
    data = numbers()
    data.insert(0, "patient_id", [f"P-{i:06d}" for i in range(len(data))])
    rows = fit(data, "smote").sample(30, seed=0)
    assert not set(rows["patient_id"]) & set(data["patient_id"])


def test_more_neighbours_than_rows_are_fewer_and_said() -> None:
    with pytest.warns(PrivsynthWarning, match=r"5 neighbours .* 4 rows; 3 are used"):
        model = fit(numbers(rare=4), "smote", k=1)
    assert len(model.sample(20, seed=0)) == 20


@pytest.mark.parametrize("method", ["adasyn", "borderline-smote"])
def test_a_class_far_from_all_others_gives_no_row_between(method: str) -> None:
    data = numbers()
    data["x"] = np.where(data["bad"] == "yes", 1e6, 0) + data["x"]
    with pytest.raises(SamplingError, match="use smote or cart"):
        fit(data, method).sample(10, seed=0)


def test_settings_are_checked() -> None:
    for method, settings in (
        ("smote", {"k_neighbors": 0}),
        ("borderline-smote", {"kind": "other"}),
        ("adasyn", {"k_neighbors": 5}),
    ):
        with pytest.raises(ConfigError):
            recipe(method, settings)


@pytest.mark.parametrize("part", ["rows", "labels", "prior"])
def test_a_damaged_state_is_refused(part: str) -> None:
    meta, arrays = fit(numbers(), "smote").model.state()
    arrays[part] = arrays[part][: len(arrays[part]) // 2]
    with pytest.raises(ArtefactError):
        engine("smote").model.from_state(meta, arrays)


def test_all_columns_being_categories_is_no_case_for_smotenc() -> None:
    with pytest.raises(DataError, match="column of numbers"):
        fit(mixed()[["town", "member", "bad"]], "smotenc")


def test_without_categories_smotenc_is_smote() -> None:
    data = numbers()
    with warnings.catch_warnings():
        warnings.simplefilter("error", PrivsynthWarning)
        a, b = (fit(data, method).sample(25, seed=0) for method in ("smote", "smotenc"))
    pd.testing.assert_frame_equal(a, b)
