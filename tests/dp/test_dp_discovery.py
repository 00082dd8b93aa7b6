"""Domains that are discovered: what they hold, what they leave out, and what they cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from audits import OPEN, rows, table

import privsynth
from privsynth.coding.declared import declared_codec
from privsynth.coding.reading import readings
from privsynth.curator.discovery import DISCOVERY_DELTA, MAX_SHARE, SHARE, discover
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema
from privsynth.table import arrow_type, read

RNG = np.random.default_rng(1)
AGES = RNG.normal(45, 15, 20_000).round().clip(18, 95)
AMOUNTS = RNG.lognormal(4, 1.0, 20_000).round(2)
JOBS = RNG.choice(["clerk", "nurse", "smith"], 20_000, p=[0.5, 0.3, 0.2])


def asked(kind: Kind, dtype: str) -> Column:
    return Column("x", kind, dtype, None, Source.DISCOVERED)


def found(column: Column, values: Any, epsilon: float = 1.0) -> Any:
    """Discover one column's domain, the delta for levels as a fit shares it out."""
    ledger = Ledger(budget=Budget(epsilon))
    keeps = Accountant(read(pa.table({"x": values}), total=True), ledger, 1e-7)
    domain = discover(keeps, Schema((column,)))["x"].domain
    assert ledger.rho <= SHARE * keeps.rho * (1 + 1e-9)
    return domain


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        (Kind.INTEGER, "int64", AGES.astype(np.int64)),
        (Kind.INTEGER, "int64", -AGES.astype(np.int64)),
        (Kind.INTEGER, "int64", 10**15 + AGES.astype(np.int64) * 10**13),
        (Kind.NUMERIC, "double", AGES - 45),
        (Kind.NUMERIC, "double", AMOUNTS),
        (Kind.NUMERIC, "double", AMOUNTS * 1e-3),
    ],
)
def test_bounds_hold_nearly_all_rows_and_are_not_much_wider(
    kind: Kind, dtype: str, values: Any
) -> None:
    domain = found(asked(kind, dtype), values)
    assert np.mean((values < domain.low) | (values > domain.high)) < 0.05
    low, high = np.quantile(values, [0.001, 0.999])
    assert domain.high - domain.low < 4 * (high - low)


def test_a_lone_row_far_out_moves_no_bound() -> None:
    ages = AGES.astype(np.int64)
    ages[:3] = 10**15, -(10**15), 2**62
    domain = found(asked(Kind.INTEGER, "int64"), ages)
    assert domain.low > -1_000
    assert domain.high < 1_000


def test_columns_without_a_value_below_zero_get_no_bound_there() -> None:
    for values in (AMOUNTS, RNG.exponential(0.1, 20_000), np.zeros(20_000)):
        assert found(asked(Kind.NUMERIC, "double"), values).low >= 0


@pytest.mark.parametrize(
    "dtype",
    [
        "date32[day]",
        "timestamp[s]",
        "timestamp[us]",
        "timestamp[ns]",
        "timestamp[ms, tz=Asia/Tokyo]",
    ],
)
def test_bounds_of_dates_and_times(dtype: str) -> None:
    days = np.datetime64("2015-06-01") + RNG.integers(0, 1_500, 20_000)
    column = asked(Kind.DATETIME, dtype)
    domain = found(column, pa.array(days).cast(pa.timestamp("s")).cast(arrow_type(dtype)))
    low, high = np.array([domain.low, domain.high], dtype="datetime64[s]")
    assert np.mean((days < low) | (days > high)) < 0.05
    assert high - low < np.timedelta64(20_000, "D")
    assert readings(column, pa.array([domain.low, domain.high]), np.int64)[1].all()


@pytest.mark.parametrize("dtype", ["date32[day]", "timestamp[s]", "timestamp[ns]"])
@pytest.mark.parametrize("values", [[], [None] * 9, ["no date"] * 9])
def test_dates_that_cannot_be_found_have_bounds_of_the_calendar(
    dtype: str, values: list[Any]
) -> None:
    column = asked(Kind.DATETIME, dtype)
    domain = found(column, pa.array(values, pa.string()))
    codec = declared_codec(Schema((replace(column, domain=domain),)))
    assert codec.sizes[0] > 2


def test_levels_that_many_rows_hold_are_found_and_those_of_few_are_not() -> None:
    jobs = JOBS.astype(object)
    jobs[:400] = [f"rare {i}" for i in range(400)]
    assert found(asked(Kind.CATEGORICAL, "string"), jobs) == Levels(("clerk", "nurse", "smith"))


def test_codes_in_whole_numbers_are_found_as_such() -> None:
    codes = np.where(JOBS == "clerk", 7, 110).astype(np.int32)
    codes[:2] = -5
    assert found(asked(Kind.CATEGORICAL, "int32"), codes) == Levels((7, 110))


@pytest.mark.parametrize("values", [[], [None] * 50, ["x"] * 3])
def test_nothing_is_refused_where_nothing_can_be_found(values: list[Any]) -> None:
    empty = pa.array(values, pa.string())
    assert found(asked(Kind.CATEGORICAL, "string"), empty) == Levels(())
    bounds = found(asked(Kind.INTEGER, "int64"), empty)
    assert isinstance(bounds, Bounds)
    assert bounds.low < -(2**40)
    assert bounds.high > 2**40


def test_columns_share_what_discovery_may_cost() -> None:
    columns = [
        *(Column(f"c{i}", Kind.CATEGORICAL, "string", None, Source.DISCOVERED) for i in range(20)),
        *(Column(f"n{i}", Kind.INTEGER, "int64", None, Source.DISCOVERED) for i in range(4)),
    ]
    data = pa.table({c.name: JOBS[:500] if c.name[0] == "c" else AGES[:500] for c in columns})
    ledger = Ledger(budget=Budget(2.0))
    keeps = Accountant(read(data, total=True), ledger, DISCOVERY_DELTA * 1e-6)
    discover(keeps, Schema(tuple(columns)))
    assert ledger.rho == pytest.approx(MAX_SHARE * keeps.rho)
    assert 0.5 * DISCOVERY_DELTA * 1e-6 < ledger.delta <= DISCOVERY_DELTA * 1e-6


def test_the_owner_s_ledger_counts_the_delta_of_discovered_levels(tmp_path: Path) -> None:
    path, budget = tmp_path / "l.json", Budget(3.0, 1e-5)
    data = table(rows(200)).to_arrow()
    model = privsynth.fit(data, schema=OPEN, budget=budget, ledger=path, new_ledger=True, seed=1)
    (entry,) = json.loads(path.read_text())["entries"]
    assert entry["delta_spent"] == DISCOVERY_DELTA * budget.delta >= model.ledger.delta > 0
    assert entry["rho"] == budget.rho(entry["delta_spent"]) >= model.ledger.rho
