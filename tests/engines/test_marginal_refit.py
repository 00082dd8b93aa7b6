"""A model that was fitted under a budget is its own release: others are fitted to it at no cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth.artefact import packed
from privsynth.errors import UsageError
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER, "int64", Bounds(0, 99), Source.DECLARED),
        Column("sex", Kind.CATEGORICAL, "string", Levels(("f", "m")), Source.DECLARED),
        Column("town", Kind.CATEGORICAL, "string", Levels(tuple("abcdef")), Source.DECLARED),
        Column("sick", Kind.CATEGORICAL, "string", Levels(("no", "yes")), Source.DECLARED),
    )
).with_target("sick")


def people(n: int = 3_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    age = rng.integers(0, 100, n)
    return pd.DataFrame(
        {
            "age": age,
            "sex": rng.choice(["f", "m"], n),
            "town": np.array(list("abcdef"))[np.minimum(age // 17, 5)],
            "sick": np.where(rng.random(n) < age / 150, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def fitted() -> privsynth.FittedModel:
    return privsynth.fit(people(), schema=SCHEMA, budget=privsynth.Budget(2.0), seed=1)


@pytest.mark.parametrize("engine", ["marginals", "mst", "aim", "independent"])
def test_another_engine_is_fitted_to_what_was_measured(
    fitted: privsynth.FittedModel, engine: str, tmp_path: Path
) -> None:
    fitted.save(tmp_path / "a.psyn")
    other = privsynth.fit(tmp_path / "a.psyn", engine=engine)
    assert other.card["engine"] == engine
    assert other.ledger == fitted.ledger
    assert packed(privsynth.fit(fitted, engine=engine)) == packed(other)
    rows = other.sample(2_000, seed=3)
    assert abs((rows["sick"] == "yes").mean() - (people()["sick"] == "yes").mean()) < 0.05
    bound = rows.groupby("town")["age"].mean().reindex(list("af"))
    apart = float(bound["f"] - bound["a"])
    assert (apart < 10) if engine == "independent" else (apart > 50)


def test_an_engine_without_marginals_is_refused(fitted: privsynth.FittedModel) -> None:
    with pytest.raises(privsynth.UsageError, match="cannot be fitted to a model"):
        privsynth.fit(fitted, engine="cart")


def test_a_model_without_a_budget_is_refused() -> None:
    plain = privsynth.fit(people(), engine="copula", seed=1)
    with pytest.raises(privsynth.UsageError, match="cannot be fitted to a model"):
        privsynth.fit(plain, engine="mst")


@pytest.mark.parametrize(
    "given",
    [
        {"target": "sex"},
        {"schema": SCHEMA},
        {"seed": 1},
        {"budget": privsynth.Budget(9.0)},
        {"ledger": "l.json"},
        {"minority": True},
        {"holdout": 0.2},
    ],
    ids=lambda given: next(iter(given)),
)
def test_what_cannot_change_in_a_model_is_refused(
    fitted: privsynth.FittedModel, given: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="nothing but engine and settings can change"):
        privsynth.fit(fitted, engine="mst", **given)


def test_a_model_is_shown_in_one_line(fitted: privsynth.FittedModel) -> None:
    said = "FittedModel(marginals, 4 columns, target 'sick', (2, 1e-06)-differential privacy, "
    assert repr(fitted).startswith(said)
    assert len(repr(fitted)) < 200
