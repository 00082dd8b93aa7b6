"""Privacy units: a value tells by itself whose row it is, however its column is stored."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import privsynth
from privsynth.coding.reading import unit_texts
from privsynth.errors import UsageError
from privsynth.fitting import splitting
from privsynth.fitting.splitting import at_most_per_unit
from privsynth.privacy.budget import Budget
from privsynth.schema.columns import Bounds, Column, Kind, Source
from privsynth.schema.schema import Schema
from privsynth.table import read

UTC = datetime.UTC
NOON = datetime.datetime(2024, 1, 31, 12, tzinfo=UTC)
BERLIN = NOON.astimezone(ZoneInfo("Europe/Berlin"))
DAWN = datetime.datetime(2024, 1, 31)


def text(values: list[Any], kind: pa.DataType) -> list[str | None]:
    return unit_texts(pa.array(values, kind)).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([7, -7, 0], pa.int8()),
        ([7, -7, 0], pa.int64()),
        ([7.0, -7.0, -0.0], pa.float64()),
        ([7.0, -7.0, -0.0], pa.float32()),
        ([Decimal("7.00"), Decimal("-7.00"), Decimal("0.00")], pa.decimal128(9, 2)),
        (["7", "-7", "0"], pa.string()),
        (["7.0", " -7.00 ", "-0"], pa.string()),
        (["+7", "-7.", "0.0"], pa.string()),
    ],
)
def test_a_whole_number_is_one_unit_however_it_is_stored(
    values: list[Any], kind: pa.DataType
) -> None:
    assert text(values, kind) == ["7", "-7", "0"]


def test_large_numbers_are_not_drawn_together() -> None:
    ids = [2**53 - 1, 2**53, 123456789012345678, 10**15]
    assert text(ids, pa.int64()) == [str(n) for n in ids]
    assert text([float(10**15), 1e17], pa.float64()) == [str(10**15), str(10**17)]
    assert text([1e300, 0.1, 1.50], pa.float64()) == text(["1e+300", "0.1", "1.5"], pa.string())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([NOON], pa.timestamp("us", "UTC")),
        ([NOON], pa.timestamp("ns", "Europe/Berlin")),
        ([BERLIN], pa.timestamp("s", "America/New_York")),
        ([NOON.replace(tzinfo=None)], pa.timestamp("ms")),
        (["2024-01-31T12:00:00Z"], pa.string()),
        (["2024-01-31 12:00:00.000"], pa.string()),
        (["2024-01-31 12:00:00"], pa.string()),
    ],
)
def test_a_moment_is_one_unit_in_every_zone(values: list[Any], kind: pa.DataType) -> None:
    assert text(values, kind) == ["2024-01-31 12:00:00"]


def test_a_part_of_a_second_is_kept() -> None:
    moment = NOON.replace(microsecond=500_000)
    for unit in ("ms", "us", "ns"):
        assert text([moment], pa.timestamp(unit, "UTC")) == ["2024-01-31 12:00:00.5"]


def test_a_day_is_one_unit_as_a_date_and_as_its_first_moment() -> None:
    for values, kind in (
        ([DAWN.date()], pa.date32()),
        ([DAWN.date()], pa.date64()),
        ([DAWN], pa.timestamp("us")),
        (["2024-01-31"], pa.string()),
    ):
        assert text(values, kind) == ["2024-01-31"]


def test_what_is_not_the_same_stays_apart() -> None:
    kept = ["1", "01", "1.5", "1e0", "A", "a", "", "1.0.0", "v1.10", "v1.1", "10"]
    kept += ["10.0.0.1", "10.0.0.10", "2024-01-31 10:00:00", "2024-01-31 10:00:00.5"]
    found = text(kept, pa.string())
    assert len(set(found)) == len(kept)


def test_missing_values_are_of_one_unit() -> None:
    for column in (
        pa.array([None, 1.0, float("nan"), 1.0]),
        pa.array([None, "a", None, "a"]),
    ):
        units = splitting.unit_numbers(
            read(pa.table({"u": column}), total=True), "u", missing_together=True
        )
        assert units[0] == units[2] != units[1] == units[3]


STORED: list[Callable[[list[int]], Any]] = [
    lambda ids: pd.Series(ids),
    lambda ids: pd.Series([*map(float, ids)]),
    lambda ids: pd.Series(ids, dtype=object),
    lambda ids: pd.Series([str(i) if i % 2 else float(i) for i in ids], dtype=object),
    lambda ids: pd.Series([*map(str, ids)]).astype("category"),
    lambda ids: pd.Series(ids, dtype="Int64"),
    lambda ids: pd.Series([Decimal(i) for i in ids]),
]


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("gap", [False, True])
def test_rows_of_a_unit_are_bounded_whatever_another_row_holds(
    stored: Callable[[list[int]], Any], gap: bool
) -> None:
    ids = [*range(20)] * 5
    frame = pd.DataFrame({"u": stored(ids), "x": range(100)})
    if gap:  # which makes floats of integers, and objects of what was none
        frame = frame.reindex(range(101)).fillna({"x": 100}).astype({"x": int})
    kept = at_most_per_unit(read(frame, total=True), Budget(1.0, unit="u", rows_per_unit=2))
    rows = kept.to_arrow(["x"]).column(0).to_numpy()
    held = np.bincount(rows[rows < 100] % 20, minlength=20)
    assert held.tolist() == [2] * 20
    assert kept.n_rows == 40 + gap


def test_a_dictionary_that_lists_a_value_twice_has_one_unit_of_it() -> None:
    column = pa.DictionaryArray.from_arrays([0, 1, 2, 0], pa.array(["a", "a", " a"]))
    units = splitting.unit_numbers(
        read(pa.table({"u": column}), total=True), "u", missing_together=True
    )
    assert len(set(units.tolist())) == 1


def test_how_a_row_is_grouped_rests_on_its_own_value() -> None:
    """With any odd row more, the others are grouped as before."""
    base = ["1", "1.0", "01", " 2", "2", "x", None]

    def parts(values: list[str | None]) -> list[bool]:
        table = read(pa.table({"u": pa.array(values, pa.string())}), total=True)
        units = splitting.unit_numbers(table, "u", missing_together=True)[: len(base)]
        return [bool(a == b) for a in units for b in units]

    for odd in ("1", "01.0", "nan", "\0", "2024-01-31", "1e400", None, "", "-0"):
        assert parts([*base, odd]) == parts(base), odd


def test_a_unit_that_is_no_column_is_refused() -> None:
    table = read(pa.table({"u": [1, 2]}), total=True)
    with pytest.raises(UsageError, match="unit is 'v'"):
        at_most_per_unit(table, Budget(1.0, unit="v"))


def test_the_unit_row_is_a_row_even_where_a_column_has_that_name() -> None:
    frame = pd.DataFrame({"row": [1] * 400, "x": np.arange(400) % 4})
    schema = Schema(
        (
            Column("row", Kind.INTEGER, "int64", Bounds(0, 3), Source.DECLARED),
            Column("x", Kind.INTEGER, "int64", Bounds(0, 3), Source.DECLARED),
        )
    )
    table = read(frame, total=True)
    assert at_most_per_unit(table, Budget(1.0, unit="row")).n_rows == 400
    model = privsynth.fit(frame, schema=schema, budget=Budget(50.0, unit="row"), seed=1)
    assert 380 < model.card["rows"] < 420, "one row of the only value of 'row' would be left"
    assert model.ledger.guarantee().unit == "row"
    with pytest.raises(UsageError, match="rows_per_unit is 1"):
        Budget(1.0, unit="row", rows_per_unit=2)
