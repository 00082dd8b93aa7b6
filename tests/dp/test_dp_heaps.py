"""Values on which rows heap up are found under the budget, and cost nothing where none can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from audits import (
    SCHEMA,
    WIDE,
    WORST,
    Case,
    Row,
    check_heap,
    check_loss,
    check_silence,
    rows,
    table,
)

import privsynth
from privsynth.coding.declared import declared_codec
from privsynth.coding.grid import units_of
from privsynth.curator.frequent import SHARE, frequent_values
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Bounds, Column, Kind, Source
from privsynth.schema.schema import Schema
from privsynth.table import read

pytestmark = pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")

SPREAD = np.random.default_rng(3).gamma(1.5, 9_000, 6_000).clip(0, 99_999)
PAID = Column("paid", Kind.INTEGER, "int64", Bounds(0, 99_999), Source.DECLARED)
RATE = Column("rate", Kind.NUMERIC, "double", Bounds(0, 99.999), Source.DECLARED, decimals=3)
SEEN = Column(
    "seen", Kind.DATETIME, "date32[day]", Bounds("1000-01-01", "2400-12-31"), Source.DECLARED
)


def found(column: Column, values: Any, epsilon: float = 3.0) -> tuple[set[int], Ledger]:
    ledger = Ledger(budget=Budget(epsilon))
    asked = Accountant(read(pa.table({column.name: values}), total=True), ledger)
    return set(frequent_values(asked, Schema((column,)))[column.name]), ledger


def test_values_that_many_rows_share_are_found_in_integers() -> None:
    paid = SPREAD.astype(np.int64)
    paid[:400], paid[400:700] = 31_337, 31_400
    told, ledger = found(PAID, paid)
    assert {31_337, 31_400} <= told
    assert ledger.rho <= SHARE * Budget(3.0).rho()


def test_values_that_many_rows_share_are_found_in_decimals() -> None:
    rate = np.round(SPREAD / 1_000, 3)
    rate[:400] = 3.142
    told, _ = found(RATE, rate)
    assert 3_142 in told
    codec = declared_codec(Schema((RATE,)), {"rate": told})
    assert 3.142 in codec.codings[0].low  # type: ignore[union-attr]


def test_days_that_many_rows_share_are_found() -> None:
    day = np.datetime64("1970-01-01") + SPREAD.astype(np.int64)
    day[:400] = np.datetime64("2001-09-09")
    told, _ = found(SEEN, pa.array(day))
    assert int(np.datetime64("2001-09-09").astype(int)) in told


def test_hardly_any_value_is_found_where_rows_heap_up_on_none() -> None:
    # By chance 0 to 7 of 100,000 values, once in a hundred times more: hence the median of nine,
    # which fails once in a hundred million runs.
    told = [len(found(PAID, SPREAD.astype(np.int64), epsilon=1.0)[0]) for _ in range(9)]
    assert np.median(told) <= 8


def test_a_value_that_is_found_is_drawn_as_often_as_it_is_held() -> None:
    paid = SPREAD.astype(np.int64)
    paid[:600] = 31_337
    model = privsynth.fit(
        pa.table({"paid": paid}), schema=Schema((PAID,)), budget=Budget(3.0), seed=1
    )
    drawn = model.sample(6_000, seed=1)["paid"].to_numpy()
    assert abs((drawn == 31_337).mean() - 0.1) < 0.03


@pytest.mark.parametrize(
    "column",
    [
        Column("age", Kind.INTEGER, "int64", Bounds(0, 120), Source.DECLARED),
        Column("x", Kind.NUMERIC, "double", Bounds(0, 1), Source.DECLARED),
        Column("at", Kind.INTEGER, "int64", Bounds(-(2**62), 2**62), Source.DECLARED),
        Column("ok", Kind.BOOLEAN, "bool", None, Source.DECLARED),
    ],
)
def test_nothing_is_asked_where_no_search_would_end(column: Column) -> None:
    ledger = Ledger(budget=Budget(1.0))
    asked = Accountant(read(pa.table({column.name: [0, 1]}), total=True), ledger)
    assert frequent_values(asked, Schema((column,))) == {}
    assert not ledger.events


def test_the_units_of_a_column_are_those_of_its_cells() -> None:
    units = units_of(RATE)
    assert units is not None
    cells = units.cells(units.starts([3_142]))
    assert cells.decode(cells.encode(pa.array([3.142])), np.random.default_rng(0))[0].as_py() == (
        3.142
    )
    assert np.all(cells.low[1:] > cells.high[:-1])
    assert units_of(SCHEMA["job"]) is None


@pytest.mark.parametrize("name", ["marginals", "copula"])
def test_a_search_costs_no_more_than_its_ledger_says(name: str) -> None:
    made = rows(120)
    empty: Row = (None,) * len(WORST)
    for row in (WORST, empty):
        check_loss(Case(name, Budget(4.0, 1e-5), WIDE), table(made), table([*made, row]))


def test_a_row_on_a_heap_costs_no_more_than_another() -> None:
    check_heap()


def test_a_search_learns_from_answers_alone() -> None:
    case = Case("independent", Budget(4.0, 1e-5), WIDE)
    check_silence(case, table(rows(80)), [table([WORST] * 9), table([])])
