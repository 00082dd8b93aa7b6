"""What every engine under a privacy budget must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.engines.registry import PRIVATE
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema

AREAS = tuple(f"a{i}" for i in range(700))
SCHEMA = Schema(
    (
        Column("id", Kind.ID, "int64", unique=True, source=Source.DECLARED),
        Column("age", Kind.INTEGER, "int64", Bounds(0, 99), Source.DECLARED),
        Column("gain", Kind.NUMERIC, "double", Bounds(0.0, 1e5), Source.DECLARED, nullable=True),
        Column("seen", Kind.DATETIME, "timestamp[us]", Bounds("2020-01-01", "2024-12-31"),
               Source.DECLARED),
        Column("area", Kind.CATEGORICAL, "string", Levels(AREAS), Source.DECLARED),
        Column("sick", Kind.CATEGORICAL, "string", Levels(("no", "yes")), Source.DECLARED),
    )
).with_target("sick")  # fmt: skip


def people(n: int = 4_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 100, n)
    gain = np.where(rng.random(n) < 0.8, 0.0, rng.gamma(2, 5_000, n).clip(0, 1e5))
    days = pd.to_timedelta(rng.integers(0, 1_800, n), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "age": age,
            "gain": np.where(rng.random(n) < 0.1, np.nan, gain),
            "seen": (pd.Timestamp("2020-01-01") + days).astype("datetime64[us]"),
            "area": [f"a{i}" for i in np.minimum(rng.geometric(0.02, n), 699)],
            "sick": np.where(rng.random(n) < age / 300, "yes", "no"),
        }
    )


@pytest.fixture(scope="module", params=[*PRIVATE, "copula"])
def fitted(request: pytest.FixtureRequest) -> privsynth.FittedModel:
    budget = privsynth.Budget(3.0)
    return privsynth.fit(people(), engine=request.param, schema=SCHEMA, budget=budget, seed=1)


def test_rows_keep_to_the_declared_domains_and_types(fitted: privsynth.FittedModel) -> None:
    rows = fitted.sample(3_000, seed=2)
    real = people()
    assert list(rows.columns) == list(real.columns)
    assert (rows.dtypes == real.dtypes).all()
    assert rows["age"].between(0, 99).all()
    assert rows["gain"].dropna().between(0, 1e5).all()
    assert set(rows["area"].dropna()) <= {*AREAS, "(other)"}
    assert set(rows["sick"]) <= {"no", "yes"}
    assert abs((rows["gain"] == 0).mean() - (real["gain"] == 0).mean()) < 0.1
    assert abs((rows["sick"] == "yes").mean() - (real["sick"] == "yes").mean()) < 0.05


def test_the_same_seed_gives_the_same_rows_from_the_saved_model_too(
    fitted: privsynth.FittedModel, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "m.psyn")
    again = privsynth.load(tmp_path / "m.psyn").sample(500, seed=5)
    pd.testing.assert_frame_equal(again, fitted.sample(500, seed=5))


def test_conditions_are_met_exactly(fitted: privsynth.FittedModel) -> None:
    assert set(fitted.sample(200, where={"sick": "yes"}, seed=1)["sick"]) == {"yes"}
    rows = fitted.sample(200, where={"age": 40, "sick": "no"}, seed=1)
    assert set(rows["age"]) == {40}
    assert set(rows["sick"]) == {"no"}


def test_classes_can_be_balanced(fitted: privsynth.FittedModel) -> None:
    rows = fitted.sample(1_000, balance=1.0, seed=1)
    assert abs((rows["sick"] == "yes").mean() - 0.5) < 0.01


def test_what_is_known_of_the_rows_is_noisy_and_within_the_budget(
    fitted: privsynth.FittedModel,
) -> None:
    guarantee = fitted.ledger.guarantee()
    assert guarantee.formal
    assert guarantee.epsilon == 3.0
    assert fitted.ledger.rho <= privsynth.Budget(3.0).rho()
    assert abs(fitted.card["rows"] - 4_000) < 500
    assert not fitted.model.holds_rows


@pytest.mark.parametrize("engine", [*PRIVATE, "copula"])
def test_two_fits_with_one_seed_differ(engine: str) -> None:
    one, two = (
        privsynth.fit(
            people(300), engine=engine, schema=SCHEMA, budget=privsynth.Budget(1.0), seed=1
        ).sample(200, seed=1)
        for _ in range(2)
    )
    assert not one.equals(two)


def test_the_minority_is_drawn_from_a_model_of_all_rows() -> None:
    model = privsynth.fit(
        people(), schema=SCHEMA, budget=privsynth.Budget(3.0), minority=True, seed=1
    )
    assert set(model.sample(300, seed=1)["sick"]) == {"yes"}


def test_a_table_without_rows_is_not_refused() -> None:
    model = privsynth.fit(people().head(0), schema=SCHEMA, budget=privsynth.Budget(1.0), seed=1)
    assert len(model.sample(50, seed=1)) == 50


@pytest.mark.parametrize("names", [["id"], ["id", "age"], ["age"], ["sick"]])
def test_narrow_tables_are_learnt(names: list[str], tmp_path: Path) -> None:
    schema = Schema(tuple(column for column in SCHEMA if column.name in names))
    for engine in (*PRIVATE, "copula"):
        model = privsynth.fit(
            people()[names], engine=engine, schema=schema, budget=privsynth.Budget(1.0), seed=1
        )
        model.save(tmp_path / "m.psyn")
        rows = privsynth.load(tmp_path / "m.psyn").sample(100, seed=1)
        assert rows.shape == (100, len(names))
