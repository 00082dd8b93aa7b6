"""Small made-up tables of every kind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("id", Kind.ID, "int64", unique=True),
        Column("who", Kind.PERSONAL, "string"),
        Column("age", Kind.INTEGER, "int64", nullable=True),
        Column("income", Kind.NUMERIC, "double"),
        Column("town", Kind.CATEGORICAL, "string"),
        Column("member", Kind.BOOLEAN, "bool"),
        Column("since", Kind.DATETIME, "timestamp[us, tz=UTC]"),
        Column("grade", Kind.ORDINAL, "string"),
        Column("empty", Kind.NUMERIC, "double", nullable=True),
        Column("same", Kind.CATEGORICAL, "string"),
        Column("fraud", Kind.CATEGORICAL, "string", role=Role.TARGET),
    )
)


def make(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    income = np.where(rng.random(rows) < 0.3, 0.0, rng.lognormal(8, 1, rows))
    town = rng.choice(["north", "south", "west"], rows, p=[0.6, 0.3, 0.1])
    odds = (age - 55) / 8 + 2.0 * (town == "south") - 1.5
    frame = pd.DataFrame(
        {
            "id": seed * 1_000_000 + np.arange(rows),
            "who": [f"person {seed} {i}" for i in range(rows)],
            "age": pd.array(age, dtype="Int64"),
            "income": income,
            "town": pd.Categorical(town),
            "member": pd.array(rng.random(rows) < 0.5, dtype="boolean"),
            "since": pd.Timestamp("2020-01-01", tz="UTC")
            + pd.to_timedelta(rng.integers(0, 1000, rows), unit="D"),
            "grade": rng.choice(["low", "mid", "high"], rows),
            "empty": np.full(rows, np.nan),
            "same": "x",
            "fraud": np.where(rng.random(rows) < 1 / (1 + np.exp(-odds)), "bad", "good"),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "age"] = pd.NA
    frame.loc[rng.random(rows) < 0.1, "member"] = pd.NA
    return frame


def shuffled(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {name: frame[name].array.take(rng.permutation(len(frame))) for name in frame.columns}
    )


@pytest.fixture(scope="session")
def schema() -> Schema:
    return SCHEMA


@pytest.fixture(scope="session")
def train() -> pd.DataFrame:
    return make(600, 1)


@pytest.fixture(scope="session")
def holdout() -> pd.DataFrame:
    return make(400, 2)


@pytest.fixture(scope="session")
def synthetic() -> pd.DataFrame:
    return make(600, 3)


@pytest.fixture(scope="session")
def unrelated(train: pd.DataFrame) -> pd.DataFrame:
    return shuffled(train)
