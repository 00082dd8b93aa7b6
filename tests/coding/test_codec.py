"""The codec: cells and levels that rest on at least k rows, and values that come back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import privsynth
from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_CELLS, Codec
from privsynth.coding.learning import learn
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.errors import DataError, SamplingError
from privsynth.privacy.disclosure import Disclosure
from privsynth.schema.columns import Bounds, Column, Kind, Levels
from privsynth.schema.inference import infer
from privsynth.schema.schema import Schema
from privsynth.table import read


def learnt(frame: pd.DataFrame, k: int = 10, target: str | None = None) -> Codec:
    table = read(frame)
    return learn(table, infer(table, target=target, k=k), Disclosure(k))


def only(values: object, k: int = 10, **column: object) -> Cells | LevelCodes | SurrogateCodes:
    """Learn the coding of one column, with a schema that declares nothing but what is given."""
    table = read(pd.DataFrame({"x": values}))
    declared = Column(**{"name": "x", "dtype": str(table.schema.field("x").type), **column})
    return learn(table, Schema((declared,)), Disclosure(k)).codings[0]


def rows_in_cells(coding: Cells, values: np.ndarray) -> np.ndarray:
    codes = coding.encode(pa.array(values))
    return np.bincount(codes, minlength=coding.size)


def test_a_number_held_by_k_rows_is_an_atom_and_comes_back_as_itself() -> None:
    coding = only([0] * 30 + [7] * 12 + [2**53 + 1] * 10, kind=Kind.INTEGER)
    assert coding.atoms.tolist() == [True, True, True]
    back = coding.decode(np.array([0, 1, 2], dtype=np.int32), np.random.default_rng(0))
    assert back.to_pylist() == [0, 7, 2**53 + 1]


def test_rarer_numbers_share_an_interval_of_at_least_k_rows() -> None:
    values = np.array([0] * 50 + list(range(100, 125)))
    coding = only(values, kind=Kind.INTEGER)
    assert coding.atoms.tolist()[0]
    assert (rows_in_cells(coding, values) >= 10).all()


def test_a_few_numbers_between_atoms_are_given_to_the_nearer_one() -> None:
    coding = only([0] * 20 + [4] * 3 + [10] * 20, kind=Kind.INTEGER)
    assert coding.low.tolist() == [0, 10]
    assert coding.encode(pa.array([4, 6])).tolist() == [0, 1]


def test_an_extreme_held_by_one_row_is_in_no_cell() -> None:
    rng = np.random.default_rng(1)
    values = np.append(rng.normal(size=500), 98765.4321)
    coding = only(values, kind=Kind.NUMERIC)
    assert coding.high.max() < 10
    drawn = coding.draw(coding.encode(pa.array(values)), rng)
    assert drawn.max() < 10


def test_drawn_numbers_keep_the_mean_of_a_skewed_column() -> None:
    rng = np.random.default_rng(2)
    values = np.round(rng.lognormal(8, 1.0, size=20_000), 2)
    coding = only(values, kind=Kind.NUMERIC, decimals=2)
    drawn = coding.draw(coding.encode(pa.array(values)), rng)
    held = np.clip(values, coding.low[0], coding.high[-1])
    assert drawn.mean() == pytest.approx(held.mean(), rel=0.005)
    assert np.array_equal(drawn, np.round(drawn, 2))


def test_integers_on_a_coarse_grid_stay_on_it() -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(0, 4000, size=5000) * 25
    coding = only(values, kind=Kind.INTEGER)
    assert coding.step == 25
    assert not (coding.draw(coding.encode(pa.array(values)), rng) % 25).any()


def test_dates_stay_dates_and_zones_are_kept() -> None:
    days = pd.date_range("2020-01-01", periods=400, tz="Europe/Berlin")
    coding = only(
        np.repeat(days, 3).repeat(1).to_series().reset_index(drop=True), kind=Kind.DATETIME
    )
    back = coding.decode(np.arange(coding.size, dtype=np.int32), np.random.default_rng(0))
    assert str(back.type) == coding.column.dtype
    assert "Europe/Berlin" in coding.column.dtype


def test_levels_under_k_rows_are_pooled_and_never_named() -> None:
    coding = only(["a"] * 40 + ["b"] * 20 + [f"rare{i}" for i in range(12)], kind=Kind.CATEGORICAL)
    assert coding.levels == ("a", "b")
    back = coding.decode(np.array([0, 1, 2], dtype=np.int32), np.random.default_rng(0))
    assert back.to_pylist() == ["a", "b", OTHER]
    assert "rare" not in json.dumps(coding.to_dict())


def test_a_handful_of_rare_levels_become_the_most_frequent_one() -> None:
    coding = only(["a"] * 20 + ["b"] * 30 + ["rare"] * 3, kind=Kind.CATEGORICAL)
    assert not coding.pooled
    assert coding.levels[coding.encode(pa.array(["rare"]))[0]] == "b"


def test_nulls_have_the_last_code_when_k_rows_have_them() -> None:
    coding = only([1.0] * 20 + [2.0] * 20 + [None] * 15, kind=Kind.NUMERIC, nullable=True)
    assert coding.encode(pa.array([1.0, None])).tolist() == [0, 2]
    back = coding.decode(np.array([2, 0], dtype=np.int32), np.random.default_rng(0))
    assert back.to_pylist() == [None, 1.0]


def test_fewer_than_k_nulls_are_not_told() -> None:
    coding = only([1.0] * 20 + [None] * 3, kind=Kind.NUMERIC)
    assert not coding.nullable


def test_an_all_null_column_stays_null() -> None:
    coding = only(pd.Series([None] * 30, dtype="object"), kind=Kind.CATEGORICAL)
    assert coding.size == 1
    back = coding.decode(np.zeros(5, dtype=np.int32), np.random.default_rng(0))
    assert back.null_count == 5


def test_declared_bounds_clip() -> None:
    coding = only(np.arange(1000), kind=Kind.INTEGER, domain=Bounds(200, 700))
    assert coding.low[0] == 200
    assert coding.high[-1] == 700


def test_declared_levels_keep_their_order() -> None:
    values = ["low"] * 20 + ["high"] * 30 + ["mid"] * 25
    coding = only(values, kind=Kind.ORDINAL, domain=Levels(("low", "mid", "high")))
    assert coding.levels == ("low", "mid", "high")
    assert coding.ordered


def test_a_condition_on_an_unknown_level_names_the_nearest() -> None:
    coding = only(["good"] * 20 + ["bad"] * 20, kind=Kind.CATEGORICAL)
    with pytest.raises(SamplingError, match="did you mean 'good'"):
        coding.code_of("goood")


def test_a_condition_is_read_as_the_column_s_own_type() -> None:
    coding = only([0] * 20 + [1] * 20, kind=Kind.INTEGER)
    assert coding.code_of("1") == 1
    with pytest.raises(SamplingError, match="no integer value"):
        coding.code_of("one")


def test_unique_surrogates_stay_unique_over_chunks() -> None:
    coding = only([f"C-{i:05d}" for i in range(200)], kind=Kind.ID, unique=True)
    rng = np.random.default_rng(0)
    parts = [coding.decode(np.zeros(50, dtype=np.int32), rng, start) for start in (0, 50, 100)]
    values = [v for part in parts for v in part.to_pylist()]
    assert len(set(values)) == 150


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.integers(-(2**62), 2**62), st.integers(-20, 20), st.just(None)),
        min_size=30,
        max_size=300,
    ),
    st.integers(1, 12),
)
def test_every_integer_cell_holds_k_rows_and_survives_json(
    values: list[int | None], k: int
) -> None:
    coding = only(pd.array(values, dtype="Int64"), k=k, kind=Kind.INTEGER)
    state = json.loads(json.dumps(coding.to_dict()))
    again = type(coding).from_dict(coding.column, state)
    array = pa.array(values, pa.int64())
    codes = coding.encode(array)
    assert np.array_equal(codes, again.encode(array))
    assert codes.min() >= 0
    assert codes.max() < coding.size
    if isinstance(coding, Cells):
        assert (np.bincount(codes, minlength=coding.size) >= k).all()
        assert len(coding.low) <= 2 * MAX_CELLS + 1
        drawn = coding.decode(codes, np.random.default_rng(0))
        assert np.array_equal(coding.encode(drawn), codes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(-1e12, 1e12, allow_subnormal=False), st.sampled_from([0.0, 1.5, -3.0])),
        min_size=30,
        max_size=300,
    ),
    st.integers(1, 12),
)
def test_every_float_cell_holds_k_rows(values: list[float], k: int) -> None:
    coding = only(np.array(values), k=k, kind=Kind.NUMERIC)
    assert isinstance(coding, Cells)
    assert (rows_in_cells(coding, np.array(values)) >= k).all()
    assert (np.diff(coding.low) > 0).all()
    assert (coding.low[1:] >= coding.high[:-1]).all()


def test_a_whole_table_goes_to_codes_and_back() -> None:
    rng = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, 600),
            "paid": np.where(rng.random(600) < 0.2, np.nan, rng.gamma(2, 50, 600).round(2)),
            "city": rng.choice(["Ulm", "Bonn", "Köln"], 600),
            "late": rng.random(600) < 0.1,
        }
    )
    codec = learnt(frame, target="late")
    table = read(frame).to_arrow()
    codes = codec.encode(table)
    assert codec.classes
    back = codec.decode(codes, rng)
    assert back.schema.names == list(frame.columns)
    assert back.column("city").to_pylist() == frame["city"].tolist()
    assert back.column("late").to_pylist() == frame["late"].tolist()
    assert np.array_equal(codec.encode(back), codes)
    again = Codec.from_dict(
        Schema(tuple(c.column for c in codec.codings)), json.loads(json.dumps(codec.to_dict()))
    )
    assert np.array_equal(again.encode(table), codes)


@pytest.mark.parametrize("present", [10, 13, 19])
def test_a_column_of_under_2k_values_tells_none_of_them(present: int) -> None:
    rng = np.random.default_rng(present)
    values = np.full(100, np.nan)
    values[:present] = 1000 + rng.normal(size=present) * 3.3
    coding = only(values, kind=Kind.NUMERIC)
    assert isinstance(coding, Cells)
    assert coding.low.tolist() == coding.high.tolist()
    assert not set(coding.low.tolist()) & set(values.tolist())


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.INTEGER])
def test_declared_bounds_wider_than_the_data_bring_no_order_statistic_out(kind: Kind) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=900) * 12345.678
    values = np.rint(values * 1e6).astype(np.int64) if kind is Kind.INTEGER else values
    coding = only(values, kind=kind, domain=Bounds(-(10**15), 10**15))
    assert isinstance(coding, Cells)
    stored = {*coding.low.tolist(), *coding.high.tolist()}
    assert not stored & set(values.tolist())


def test_edges_of_dense_integers_are_round_and_not_at_rows() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(100_000, 1_500_000, 23_000)
    coding = only(values, kind=Kind.INTEGER)
    assert isinstance(coding, Cells)
    assert (coding.low[1:] % 100 == 0).all()


def test_one_row_sets_neither_decimals_nor_grid() -> None:
    rng = np.random.default_rng(0)
    amounts = np.append(np.round(rng.normal(size=1999) * 9, 1), -1.2345)
    codec = learnt(pd.DataFrame({"x": amounts, "n": np.append(np.arange(1999) * 25 % 5000, 7)}))
    back = codec.decode(codec.encode(read(pd.DataFrame({"x": amounts, "n": 25})).to_arrow()), rng)
    drawn = back.column("x").to_numpy()
    assert np.array_equal(drawn, np.round(drawn, 1))
    assert codec.codings[1].step == 25


def test_a_dictionary_of_integers_comes_back_as_one() -> None:
    frame = pd.DataFrame({"x": pd.Categorical([3, 5, 7] * 20)})
    codec = learnt(frame)
    table = read(frame).to_arrow()
    back = codec.decode(codec.encode(table), np.random.default_rng(0))
    assert back.column("x").to_pylist() == frame["x"].tolist()
    assert back.schema == table.schema


@pytest.mark.parametrize("value", [2**70, "\ud800", object(), [1]])
def test_a_condition_that_is_no_value_is_one_clear_error(value: object) -> None:
    coding = only([0] * 20 + [1] * 20, kind=Kind.INTEGER)
    with pytest.raises(SamplingError, match="no integer value"):
        coding.code_of(value)


def test_no_invented_integer_id_is_a_real_one() -> None:
    coding = only(np.arange(1, 501), kind=Kind.ID, unique=True)
    drawn = coding.decode(np.zeros(5000, dtype=np.int32), np.random.default_rng(0)).to_pylist()
    assert len(set(drawn)) == 5000
    assert min(drawn) > 500


# ---------------------------------------------------------------- fast paths beside slow ones


class Chances:
    """Gives the chances it was made with, in place of a generator."""

    def __init__(self, chances: np.ndarray) -> None:
        self.chances = chances

    def random(self, n: int) -> np.ndarray:
        return np.resize(self.chances, n)


def shares(coding: Cells, code: int, within: np.ndarray) -> np.ndarray:
    """The share of a cell's numbers at or below each of `within`, worked out piece by piece."""
    rim = coding.step / 2 if coding.low.dtype == np.int64 else 0.0
    low, high = float(coding.low[code]) - rim, float(coding.high[code]) + rim
    mid = float(coding.mid[code])
    left = (high - mid) / (high - low)
    below = np.clip((within - low) / (mid - low), 0, 1) if mid > low else within >= low
    above = np.clip((within - mid) / (high - mid), 0, 1) if high > mid else within >= high
    return left * below + (1 - left) * above


GRID = (np.arange(20_000) + 0.5) / 20_000


def test_numbers_inside_a_cell_lie_in_two_uniform_pieces() -> None:
    rng = np.random.default_rng(5)
    coding = only(rng.lognormal(0, 1, 5000), kind=Kind.NUMERIC)
    assert isinstance(coding, Cells)
    for code in range(0, coding.size, 7):
        drawn = np.sort(coding.draw(np.full(len(GRID), code, np.int32), Chances(GRID)))
        assert np.abs(shares(coding, code, drawn) - GRID).max() < 1e-6


@pytest.mark.parametrize("factor", [1, 25])
def test_each_integer_inside_a_cell_has_the_share_of_its_own_unit(factor: int) -> None:
    rng = np.random.default_rng(6)
    coding = only(rng.gamma(2, 3000, 9000).astype(int) * factor, kind=Kind.INTEGER)
    assert isinstance(coding, Cells)
    assert coding.step == factor
    for code in np.flatnonzero(~coding.atoms)[::7]:
        drawn = coding.draw(np.full(len(GRID), code, np.int32), Chances(GRID))
        points = np.arange(coding.low[code], coding.high[code] + 1, factor)
        wanted = np.diff(shares(coding, code, np.append(points, points[-1] + factor) - factor / 2))
        found = np.array([(drawn == point).mean() for point in points])
        assert np.abs(found - wanted).max() <= 3 / len(GRID)
        assert found.sum() == pytest.approx(1)


def test_a_cell_off_the_grid_gives_its_nearer_end() -> None:
    coding = Cells(
        Column("x", Kind.INTEGER, "int64"),
        np.array([0, 1010]),
        np.array([0, 1060]),
        np.array([0.0, 1030.0]),
        step=1000,
    )
    drawn = coding.draw(np.array([0, 1, 1], np.int32), Chances(np.array([0.5, 0.0, 0.999999])))
    assert drawn.tolist() == [0, 1010, 1060]


EXTREMES = Chances(np.array([0.0, 1 - 2.0**-53, 0.5, 2.0**-53]))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=20, max_size=120),
    st.sampled_from([1, 5, 10**6]),
)
@example([0] * 16 + [-1, -2, -(10**16) - 1, -(10**16) - 1], 1)  # wider than floats are exact
def test_no_chance_leads_an_integer_out_of_its_cell(values: list[int], factor: int) -> None:
    coding = only(np.array(values) // factor * factor, k=2, kind=Kind.INTEGER)
    assert isinstance(coding, Cells)
    codes = np.arange(len(coding.low), dtype=np.int32).repeat(4)
    drawn = coding.decode(codes, EXTREMES)
    assert np.array_equal(coding.encode(drawn.cast(pa.int64())), codes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=20, max_size=120),
    st.sampled_from([None, 2]),
)
def test_no_chance_leads_a_float_out_of_its_cell(values: list[float], digits: int | None) -> None:
    table = np.array(values) if digits is None else np.round(np.clip(values, -1e9, 1e9), digits)
    with np.errstate(all="ignore"):
        coding = only(table, k=2, kind=Kind.NUMERIC, decimals=digits)
    assert isinstance(coding, Cells)
    codes = np.arange(len(coding.low), dtype=np.int32).repeat(4)
    drawn = coding.draw(codes, EXTREMES)
    assert (coding.low[codes] <= drawn).all()
    assert (drawn <= coding.high[codes]).all()


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(-40, 40), min_size=2, max_size=20), st.booleans())
def test_the_nearest_cell_is_that_of_the_shortest_way(ends: set[int], whole: bool) -> None:
    ordered = sorted(ends)[: len(ends) // 2 * 2]
    dtype = np.int64 if whole else np.float64
    low, high = np.array(ordered[::2], dtype), np.array(ordered[1::2], dtype)
    kind, stored = (Kind.INTEGER, "int64") if whole else (Kind.NUMERIC, "double")
    coding = Cells(Column("x", kind, stored), low, high, low.astype(float))
    values = np.arange(-50, 50, 1 if whole else 0.25).astype(dtype)
    far = np.maximum(low - values[:, None], values[:, None] - high)
    wanted = np.maximum(far, 0).argmin(axis=1)  # of two as near, the lower one
    assert coding.encode(pa.array(values)).tolist() == wanted.tolist()
    assert coding._spans(values).tolist() == wanted.tolist()


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", None, "rare"] * 15 + ["a"],
        [1, 2, None, 7] * 15 + [1],
        [1.5, 2.5, None, 7.25] * 15 + [1.5],
    ],
)
def test_a_dictionary_array_has_the_codes_of_its_values(values: list[object]) -> None:
    plain = pa.array(values)
    kind = Kind.CATEGORICAL if pa.types.is_string(plain.type) else Kind.NUMERIC
    declared = Column("x", kind, str(plain.type), nullable=True)
    table = read(pa.table({"x": plain}))
    codec = learn(table, Schema((declared,)), Disclosure(10))
    coded = pa.table({"x": plain.dictionary_encode()})
    assert np.array_equal(codec.encode(coded), codec.encode(pa.table({"x": plain})))


def test_codes_of_levels_and_atoms_are_given_as_they_are() -> None:
    frame = pd.DataFrame({"s": ["a", "b"] * 20, "n": [3, 5] * 20, "late": [True, False] * 20})
    table = read(frame).to_arrow()
    codec = learnt(frame)
    back = codec.decode(codec.encode(table), np.random.default_rng(0))
    assert [str(kind) for kind in back.schema.types] == [
        "dictionary<values=string, indices=int32, ordered=0>",
        "dictionary<values=int64, indices=int32, ordered=0>",
        "bool",
    ]
    again = codec.decode(codec.encode(table), np.random.default_rng(1))
    assert back["s"].chunk(0).dictionary is not None
    assert back["s"].chunk(0).dictionary.equals(again["s"].chunk(0).dictionary)
    assert back.cast(codec.schema).equals(table)


def test_a_code_that_no_cell_has_is_refused() -> None:
    rng = np.random.default_rng(0)
    for coding in (
        only(rng.normal(size=100), kind=Kind.NUMERIC),
        only([1, 2] * 20, kind=Kind.INTEGER),
    ):
        with pytest.raises((IndexError, pa.ArrowInvalid)):
            coding.decode(np.array([coding.size], np.int32), rng)


def test_whole_numbers_beyond_the_largest_integer_are_one_clear_error() -> None:
    values = pa.array([2**63 + 5, 7] * 50, pa.uint64())
    with pytest.raises(DataError, match=r"column 'u': holds whole numbers of 2\*\*63 or more"):
        privsynth.fit(pa.table({"u": values, "c": ["a", "b"] * 50}))
