"""What every registered engine owes: held to it by being in the table of engines."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.engines.registry import ENGINES, engine, recipe
from privsynth.errors import (
    ConfigError,
    DataError,
    PrivsynthError,
    PrivsynthWarning,
    SamplingError,
    UsageError,
)

NETWORK = {"epochs": 2, "batch_size": 100, "embedding_dim": 16}
NETWORKS = ("sdv-ctgan", "sdv-tvae", "sdv-copula-gan")
SETTINGS: dict[str, dict[str, Any]] = dict.fromkeys(NETWORKS, NETWORK)
every_engine = pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in SETTINGS else ()) for n in ENGINES]
)


def table(rows: int = 800, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bad = rng.random(rows) < 0.1
    paid = np.where(bad, rng.gamma(2, 20, rows), rng.gamma(2, 60, rows)).round(2)
    frame = pd.DataFrame(
        {
            "paid": np.where(rng.random(rows) < 0.2, np.nan, paid),
            "age": rng.integers(18, 80, rows),
            "town": np.where(
                bad, rng.choice(["Ulm", "Bonn"], rows), rng.choice(["Bonn", "Mainz", "Trier"], rows)
            ),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
            "code": rng.choice([f"c{i:02d}" for i in range(30)], rows),
            "always": 7,
            "never": pd.Series([None] * rows, dtype=object),
            "member": rng.random(rows) < 0.4,
            "id": [f"N-{i:05d}" for i in range(rows)],
            "bad": np.where(bad, "yes", "no"),
        }
    )
    frame.loc[rng.random(rows) < 0.15, "town"] = None
    return frame


@pytest.fixture(scope="module")
def fitted() -> dict[str, privsynth.FittedModel]:
    return {}


def model_of(name: str, fitted: dict[str, Any]) -> privsynth.FittedModel:
    if name not in fitted:
        fitted[name] = privsynth.fit(
            table(), engine=name, target="bad", seed=3, settings=SETTINGS.get(name)
        )
    return fitted[name]


@every_engine
def test_columns_types_nulls_and_class_shares_are_kept(name: str, fitted: dict[str, Any]) -> None:
    real, made = table(), model_of(name, fitted).sample(6000, seed=1)
    assert made.dtypes.equals(real.dtypes)
    assert (made["always"] == 7).all()
    assert made["never"].isna().all()
    assert made["id"].is_unique
    share = (real["bad"] == "yes").mean()
    assert (made["bad"] == "yes").mean() == pytest.approx(share, abs=0.001)
    for column in real:
        assert made[column].isna().mean() == pytest.approx(real[column].isna().mean(), abs=0.03)


@every_engine
def test_the_same_seed_gives_the_same_bytes(name: str, fitted: dict[str, Any], tmp_path) -> None:
    model = model_of(name, fitted)
    again = privsynth.fit(table(), engine=name, target="bad", seed=3, settings=SETTINGS.get(name))
    for each, path in ((model, tmp_path / "a"), (again, tmp_path / "b")):
        each.save(path)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert model.sample(300, seed=1).equals(again.sample(300, seed=1))
    assert not model.sample(300, seed=1).equals(model.sample(300, seed=2))


@every_engine
@pytest.mark.parametrize("value", ["yes", "no"])
def test_a_condition_on_the_target_holds_in_every_row(
    name: str, value: str, fitted: dict[str, Any]
) -> None:
    made = model_of(name, fitted).sample(400, seed=1, where={"bad": value})
    assert len(made) == 400
    assert (made["bad"] == value).all()


@every_engine
def test_other_conditions_are_met_by_rejection(name: str, fitted: dict[str, Any]) -> None:
    model = model_of(name, fitted)
    made = model.sample(50, seed=1, where={"town": "Bonn", "bad": "no", "paid": None})
    assert (made["town"] == "Bonn").all()
    assert made["paid"].isna().all()
    with pytest.raises(SamplingError, match="no column 'twon'"):
        model.sample(5, where={"twon": "Bonn"})


@every_engine
def test_a_saved_model_gives_the_same_rows(name: str, fitted: dict[str, Any], tmp_path) -> None:
    model = model_of(name, fitted)
    model.save(tmp_path / "m.psyn")
    assert privsynth.load(tmp_path / "m.psyn").sample(200, seed=4).equals(model.sample(200, seed=4))


@every_engine
def test_the_state_is_json_and_arrays_and_a_damaged_one_is_refused(
    name: str, fitted: dict[str, Any]
) -> None:
    meta, arrays = model_of(name, fitted).model.state()
    json.dumps(meta)
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert all(array.dtype.kind in "iuf" for array in arrays.values())
    for key in arrays:
        damaged = {**arrays, key: arrays[key][:0]}
        if arrays[key].size:
            with pytest.raises((PrivsynthError, ValueError, LookupError)):
                engine(name).model.from_state(meta, damaged)
        break


@every_engine
@pytest.mark.parametrize("target", [None, "age"])
def test_a_table_without_classes_is_learnt_too(name: str, target: str | None) -> None:
    model = privsynth.fit(
        table(300), engine=name, target=target, seed=1, settings=SETTINGS.get(name)
    )
    assert len(model.sample(100, seed=1)) == 100


@every_engine
def test_too_few_rows_and_wrong_settings_are_one_clear_error(name: str) -> None:
    with pytest.raises(DataError, match="at least 20"):
        privsynth.fit(table(15), engine=name, settings=SETTINGS.get(name))
    with pytest.raises(ConfigError, match="has no setting 'epocks'"):
        recipe(name, {"epocks": 3})


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'sdv-ctgan'"):
        recipe("sdv-ctgann")


def test_trees_keep_the_nulls_that_several_columns_share() -> None:
    rng = np.random.default_rng(0)
    gone = rng.random(3000) < 0.3
    frame = pd.DataFrame(
        {f"c{i}": np.where(gone, np.nan, rng.gamma(2, 10, 3000).round(1)) for i in range(8)}
    )
    frame["y"] = rng.choice(["a", "b"], 3000)
    made = privsynth.fit(frame, engine="cart", target="y", seed=1).sample(20_000, seed=1)
    assert (made.isna().mean() - frame.isna().mean()).abs().max() < 0.01


def test_a_column_of_which_nothing_is_left_is_told() -> None:
    frame = table(400)
    frame["story"] = [f"was seen on day {i} and went home after {i % 9} hours" for i in range(400)]
    frame["zip"] = [f"{i % 300:05d}" for i in range(400)]
    with pytest.warns(PrivsynthWarning) as told:
        privsynth.fit(frame, target="bad", seed=1)
    assert sorted(str(each.message).split()[1] for each in told) == ["'story'", "'zip'"]
