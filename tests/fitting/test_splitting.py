"""A holdout by units and in time, held against tables that are worked out by hand."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import DataError, UsageError
from privsynth.fitting.splitting import (
    MAX_STRATA,
    Parts,
    split,
    split_after,
    split_after_privately,
    unit_numbers,
)
from privsynth.privacy import Budget
from privsynth.schema import Bounds, Column, Kind, Schema, Source
from privsynth.table import Table, read
from privsynth.task import After

SEED = 7
BY_ROWS = {"y": [0, 5, 10, 18, 21, 22], None: [4, 5, 12, 17, 21, 22]}
"""What was set aside of the same table before units could be named, by target."""


def seeded(seed: int = SEED) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed)


def table(**columns: Any) -> Table:
    return read(pa.table(columns))


def column(part: Table | None, name: str = "row") -> list[Any]:
    assert part is not None
    return part.to_arrow([name]).column(0).to_pylist()  # type: ignore[no-any-return]


# ------------------------------------------------------------------ by unit


def test_a_row_without_a_value_is_a_unit_of_its_own_unless_they_are_one_together() -> None:
    data = table(u=["a", None, " a", "b", None])
    assert unit_numbers(data, "u").tolist() == [0, 2, 0, 1, 3]
    assert unit_numbers(data, "u", missing_together=True).tolist() == [0, 2, 0, 1, 2]


def test_a_unit_is_one_however_its_column_spells_it() -> None:
    assert unit_numbers(table(u=["1", "1.0", "01", " 1 "]), "u").tolist() == [0, 0, 1, 0]


def test_a_missing_unit_column_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"'persn'; expected .*; did you mean 'person'"):
        split(table(person=["a", "b"]), 0.5, None, seeded(), "persn")


PERSONS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(0, 12)),
        st.sampled_from(["often", "seldom", "rare", None]),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None, max_examples=200)
@given(PERSONS, st.floats(0.05, 0.95), st.integers(0, 99))
def test_each_row_is_on_one_side_with_all_of_its_unit(
    rows: list[tuple[int | None, str | None]], share: float, seed: int
) -> None:
    persons, classes = zip(*rows, strict=True)
    # Each row without a person is a unit of its own.
    unit_of = [("row", i) if u is None else ("unit", u) for i, u in enumerate(persons)]
    data = table(
        row=range(len(rows)), u=pa.array(persons, pa.int64()), y=pa.array(classes, pa.string())
    )
    try:
        train, holdout = split(data, share, "y", seeded(seed), "u")
    except DataError:  # too few units for the share
        return
    sides = column(train), column(holdout)
    assert sorted(sides[0] + sides[1]) == list(range(len(rows)))
    units = [{unit_of[row] for row in side} for side in sides]
    assert not units[0] & units[1]

    # Each stratum, of units by their rarest class, gives its share within one unit.
    pairs = set(zip(unit_of, classes, strict=True))
    holders = {y: sum(c == y for _, c in pairs) for y in dict.fromkeys(classes)}
    order = sorted(holders, key=holders.__getitem__)  # equal ones as they come in the table
    rarest: dict[tuple[str, int], int] = {}
    for unit, y in zip(unit_of, classes, strict=True):
        rarest[unit] = min(order.index(y), rarest.get(unit, len(order)))
    for stratum in range(len(order)):
        members = {unit for unit, rank in rarest.items() if rank == stratum}
        assert abs(len(members & units[1]) - share * len(members)) < 1


def test_a_unit_is_in_the_stratum_of_the_class_that_the_fewest_units_have() -> None:
    # "fraud" has more rows than "late", yet fewer units: of 40 units 4 have fraud and 8 are late.
    persons = [*range(40), *range(4), *[0] * 20, *range(2, 10)]
    classes = ["fine"] * 40 + ["fraud"] * 24 + ["late"] * 8
    for seed in range(20):
        _, holdout = split(table(u=persons, y=classes), 0.5, "y", seeded(seed), "u")
        aside = set(column(holdout, "u"))
        assert len(aside & {*range(4)}) == 2  # units 2 and 3 are late too, and count as fraud
        assert len(aside & {*range(4, 10)}) == 3
        assert len(aside) == 20


def test_a_target_of_many_values_does_not_stratify() -> None:
    few, many = (table(u=range(400), y=np.arange(400) % n) for n in (MAX_STRATA, MAX_STRATA + 1))
    sides = [column(split(data, 0.5, "y", seeded(), "u")[1], "u") for data in (few, many)]
    assert set(Counter(np.array(sides[0]) % MAX_STRATA).values()) == {4}
    assert sides[1] == column(split(many, 0.5, None, seeded(), "u")[1], "u")


def test_units_too_few_for_a_share_are_counted() -> None:
    data = table(u=["a"] * 500 + ["b"] * 500)
    with pytest.raises(DataError, match="has 2 units in column 'u', too few to set aside 10%"):
        split(data, 0.1, None, seeded(), "u")


@pytest.mark.parametrize("unit", [None, "row"])
def test_without_a_unit_the_same_rows_are_set_aside_as_before(unit: str | None) -> None:
    data = table(row=range(24), y=["often", "seldom", "often"] * 8)
    assert column(split(data, 0.25, "y", seeded(), unit)[1]) == BY_ROWS["y"]
    assert column(split(data, 0.25, None, seeded(), unit)[1]) == BY_ROWS[None]


def test_units_that_are_rows_are_split_as_rows() -> None:
    data = table(row=range(24), u=[f"p{i}" for i in range(24)])
    assert column(split(data, 0.25, None, seeded(), "u")[1]) == BY_ROWS[None]


# ------------------------------------------------------------------ in time

DAYS = [date(2024, 1, day) for day in (5, 20, 10, 31, 1)]


def placed(parts: Parts) -> tuple[list[int], list[int], int, int]:
    return column(parts.train), column(parts.holdout), parts.dropped_rows, parts.dropped_units


def test_rows_at_or_after_the_date_are_set_aside() -> None:
    data = table(row=range(6), day=[*DAYS, None])
    assert placed(split_after(data, "day", "2024-01-20")) == ([0, 2, 4, 5], [1, 3], 0, 0)
    assert placed(split_after(data, "day", "2024-01-20", "row")) == ([0, 2, 4, 5], [1, 3], 0, 0)
    # A day is its midnight, which is before noon.
    assert placed(split_after(data, "day", "2024-01-20T12:00")) == ([0, 1, 2, 4, 5], [3], 0, 0)


#                person, day in January (0: missing), where the row belongs with a cut on the 15th
BY_HAND = [
    ("early", 3, "train"),
    ("both", 10, "train"),
    ("late", 15, "holdout"),
    ("both", 20, "dropped"),
    ("early", 14, "train"),
    ("late", 0, "holdout"),
    ("both", 0, "train"),
    ("unknown", 0, "train"),
    ("both", 15, "dropped"),
    ("late", 30, "holdout"),
    (None, 20, "holdout"),
    (None, 2, "train"),
    (None, 0, "train"),
    ("also both", 31, "dropped"),
    ("also both", 1, "train"),
]


def by_hand() -> pa.Table:
    days = [date(2024, 1, day) if day else None for _, day, _ in BY_HAND]
    people = [person for person, _, _ in BY_HAND]
    return pa.table({"row": range(len(BY_HAND)), "u": people, "day": days})


def belonging(where: str) -> list[int]:
    return [row for row, (_, _, place) in enumerate(BY_HAND) if place == where]


def test_a_unit_is_set_aside_if_its_first_row_is_late() -> None:
    parts = split_after(read(by_hand()), "day", "2024-01-15", "u")
    assert placed(parts) == (belonging("train"), belonging("holdout"), 3, 2)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.integers(0, 9)), st.one_of(st.none(), st.integers(1, 28))
        ),
        min_size=1,
        max_size=50,
    )
)
def test_no_unit_is_on_both_sides_of_a_date(rows: list[tuple[int | None, int | None]]) -> None:
    people = [person for person, _ in rows]
    days = [None if day is None else date(2024, 1, day) for _, day in rows]
    data = table(
        row=range(len(rows)), u=pa.array(people, pa.int64()), day=pa.array(days, pa.date32())
    )
    try:
        parts = split_after(data, "day", "2024-01-15", "u")
    except DataError:
        return
    train, holdout = column(parts.train), column(parts.holdout)
    assert not {people[row] for row in train} & {people[row] for row in holdout} - {None}
    assert not set(train) & set(holdout)
    dropped = {*range(len(rows))} - {*train, *holdout}
    assert len(dropped) == parts.dropped_rows
    assert len({people[row] for row in dropped}) == parts.dropped_units
    cut = date(2024, 1, 15)
    assert all((day := days[row]) is None or day < cut for row in train)
    assert all((day := days[row]) is None or day >= cut for row in holdout)
    assert all((day := days[row]) is not None and day >= cut for row in dropped)


UTC_NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "cut", "aside"),
    [
        # 22:00 in UTC is midnight in Berlin and 18:00 in New York.
        ("Europe/Berlin", "2024-07-02", [1, 2]),
        ("America/New_York", "2024-07-02", [2]),
        ("UTC", "2024-07-02", [2]),
        ("+02:00", "2024-07-02", [1, 2]),
        # An offset says the moment, whatever the column's zone is.
        ("America/New_York", "2024-07-01T22:00Z", [1, 2]),
        ("Europe/Berlin", "2024-07-01T20:00-02:00", [1, 2]),
        ("UTC", "2024-07-01T22:00:00.000001+00:00", [2]),
    ],
)
def test_a_date_is_of_the_columns_zone(zone: str, cut: str, aside: list[int]) -> None:
    hours = [0, 10, 30]  # after noon
    at = pa.array([UTC_NOON + pd.Timedelta(hours=h) for h in hours], pa.timestamp("us", zone))
    assert placed(split_after(table(row=range(3), at=at), "at", cut))[1] == aside


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_part_of_a_second_counts(unit: str) -> None:
    data = table(
        row=range(2),
        at=pa.array([1_700_000_000, 1_700_000_001])
        .cast(pa.timestamp("s"))
        .cast(pa.timestamp(unit)),
    )
    assert placed(split_after(data, "at", "2023-11-14T22:13:20.000001"))[1] == [1]
    with pytest.raises(DataError, match="no row is at or after"):
        split_after(data, "at", "9999-12-31")
    with pytest.raises(DataError, match="no row is before"):
        split_after(data, "at", "0001-01-01")


@pytest.mark.parametrize("cut", ["2018-11-04", "2018-11-04T00:30"])
def test_a_time_that_clocks_skip_is_the_next_one_that_they_show(cut: str) -> None:
    # In Sao Paulo 2018-11-04 began at 01:00, which is 03:00 in UTC.
    moments = [datetime(2018, 11, 4, 2, 59, 59, tzinfo=UTC), datetime(2018, 11, 4, 3, tzinfo=UTC)]
    at = pa.array(moments, pa.timestamp("us", "America/Sao_Paulo"))
    assert placed(split_after(table(row=range(2), at=at), "at", cut))[:2] == ([0], [1])


def test_dates_that_are_categories_are_dates() -> None:
    days = pa.array([date(2024, 1, 1), date(2024, 2, 1)]).dictionary_encode()
    assert placed(split_after(table(row=range(2), day=days), "day", "2024-01-15"))[1] == [1]


@pytest.mark.parametrize(
    ("name", "cut", "says"),
    [
        ("dya", "2024-01-15", "no column 'dya'; did you mean 'day'"),
        ("row", "2024-01-15", "column 'row': is of type int64"),
        ("u", "2024-01-15", "column 'u': is of type string"),
        ("day", "soon", "date is given as 'soon'; give one such as 2024-01-31"),
        ("day", "2024-02-30", "date is given as '2024-02-30'"),
        ("day", "", "date is given as ''"),
        ("day", "2024-01-15\n12:00", "date is given as '2024-01-15\\n12:00'"),
        ("day", 20240115, "date is given as 20240115"),
        ("day", "2024-01-15T00:00Z", "its times have no zone"),
    ],
)
def test_what_cannot_be_compared_with_a_date_is_one_line(name: str, cut: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_after(read(by_hand()), name, cut)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("cut", "unit", "says"),
    [
        ("2025-01-01", "u", "no row is at or after 2025-01-01; give an earlier date"),
        ("2000-01-01", None, "no row is before 2000-01-01; give a later date"),
        ("2024-01-02", "same", "every unit in column 'same' with a row at or after 2024-01-02"),
    ],
)
def test_a_side_without_rows_is_refused(cut: str, unit: str | None, says: str) -> None:
    data = by_hand().append_column("same", pa.array([1] * len(BY_HAND)))
    data = data.filter(pa.compute.is_valid(data["day"]))
    with pytest.raises(DataError, match=says):
        split_after(read(data), "day", cut, unit)


# ------------------------------------------------------------------ in time, under a budget


def declared(dtype: str = "date32[day]", kind: Kind = Kind.DATETIME) -> Schema:
    days = Column("day", kind, dtype, Bounds("2024-01-01", "2024-12-31"), source=Source.DECLARED)
    return Schema((days,))


def in_private(data: pa.Table, schema: Schema, unit: str) -> tuple[list[int], list[int]]:
    table = read(data, total=True)
    parts = split_after_privately(table, schema, After("2024-01-15", "day"), Budget(1.0, unit=unit))
    return column(parts[0]), column(parts[1])


def test_under_a_budget_the_rows_without_a_unit_are_one() -> None:
    # Those of None are on the 20th and the 2nd: the unit is learnt, less its late row.
    train, holdout = in_private(by_hand(), declared(), "u")
    assert train == belonging("train")
    assert holdout == [row for row in belonging("holdout") if BY_HAND[row][0] is not None]


@pytest.mark.parametrize("left_out", sorted({person for person, _, _ in BY_HAND if person}))
def test_under_a_budget_no_unit_decides_on_another(left_out: str) -> None:
    whole = in_private(by_hand(), declared(), "u")
    others = by_hand().filter(pa.array([person != left_out for person, _, _ in BY_HAND]))
    for side, without in zip(whole, in_private(others, declared(), "u"), strict=True):
        assert without == [row for row in side if BY_HAND[row][0] != left_out]


@pytest.mark.parametrize("odd", ["soon", "2024-99-99", "", None])
def test_under_a_budget_an_odd_cell_is_a_gap_and_changes_no_other(odd: str | None) -> None:
    texts = [None if day is None else str(day) for day in by_hand()["day"].to_pylist()]
    data = by_hand().set_column(2, "day", pa.array(texts))
    extra = pa.table({"row": [99], "u": ["odd"], "day": pa.array([odd], pa.string())})
    train, holdout = in_private(by_hand(), declared(), "u")
    assert in_private(pa.concat_tables([data, extra]), declared(), "u") == ([*train, 99], holdout)


def test_under_a_budget_a_side_may_be_empty() -> None:
    data = by_hand().filter(pa.array([place == "train" for _, _, place in BY_HAND]))
    assert in_private(data, declared(), "u") == (belonging("train"), [])


def test_under_a_budget_the_declaration_says_what_a_date_is() -> None:
    numbers = Schema((Column("day", Kind.INTEGER, "int64", Bounds(0, 9), source=Source.DECLARED),))
    with pytest.raises(UsageError, match="schema, column 'day': is of type int64"):
        in_private(by_hand(), numbers, "u")
    with pytest.raises(UsageError, match="schema: no column 'dya'"):
        split_after_privately(read(by_hand()), declared(), After("2024-01-15", "dya"), Budget(1.0))
