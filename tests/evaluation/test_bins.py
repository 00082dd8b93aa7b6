"""Bins and canonical frames: what is counted as one value."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.evaluation.bins import learn_cuts, learn_levels
from privsynth.evaluation.frames import canonical, modelled, subsample
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema


def test_a_heavy_atom_has_a_bin_of_its_own() -> None:
    zeros = pd.Series([0.0] * 65 + [float(i) for i in range(1, 36)])
    bins = learn_cuts(zeros)
    codes = bins.codes(pd.Series([-1.0, 0.0, 0.5, 1.0, 35.0, 99.0]))
    assert codes[0] < codes[1] < codes[2]  # below, the atom, above
    assert codes[2] == codes[3]
    assert codes[4] == codes[5]  # what lies outside belongs to the last bin


def test_a_constant_column_parts_below_equal_and_above() -> None:
    bins = learn_cuts(pd.Series([7.0] * 5))
    assert bins.codes(pd.Series([6.0, 7.0, 8.0, np.nan])).tolist() == [0, 1, 2, 3]
    assert bins.size == 4


def test_quantile_bins_of_distinct_values_hold_equal_shares() -> None:
    values = pd.Series(np.random.default_rng(0).normal(size=1000))
    counts = np.bincount(learn_cuts(values).codes(values))
    assert len(counts) == 10
    assert counts.min() >= 99
    assert counts.max() <= 101


def test_a_column_without_a_value_has_one_bin_and_the_missing() -> None:
    bins = learn_cuts(pd.Series([np.nan, np.nan]))
    assert bins.codes(pd.Series([np.nan, 1.0])).tolist() == [1, 0]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1))
def test_every_number_has_a_code_within_the_size(values: list[float]) -> None:
    column = pd.Series(values, dtype=float)
    bins = learn_cuts(column)
    codes = bins.codes(column)
    assert ((codes >= 0) & (codes < bins.size)).all()
    assert ((codes == bins.size - 1) == column.isna()).all()


def test_levels_go_by_frequency_then_other_unseen_missing() -> None:
    train = pd.Series(["b", "b", "b", "a", "a", "c"], dtype="category")
    bins = learn_levels(train, top=2)
    asked = pd.Series(["b", "a", "c", "z", None], dtype="category")
    assert bins.names == ("b", "a", "c")
    assert bins.codes(asked).tolist() == [0, 1, 2, 3, 4]
    assert bins.size == 5


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (Kind.INTEGER, pd.Series([1, 2, None], dtype="Int64"), pd.Series([1.0, 2.0, np.nan])),
        (Kind.CATEGORICAL, pd.Series([1, 2, None], dtype="Int64"), pd.Series([1.0, 2.0, np.nan])),
        (Kind.CATEGORICAL, pd.Series([1, 2]), pd.Series(["1", "2"])),
        (Kind.CATEGORICAL, pd.Series(["x", "y"]), pd.Series(["x", "y"], dtype="category")),
        (Kind.BOOLEAN, pd.Series([True, False, None], dtype="boolean"), pd.Series([1, 0, None])),
        (Kind.BOOLEAN, pd.Series([True, False]), pd.Series(["True", "False"])),
        (Kind.NUMERIC, pd.Series([0.5, 1.5]), pd.Series([Decimal("0.5"), Decimal("1.5")])),
        (
            Kind.DATETIME,
            pd.to_datetime(pd.Series(["2020-01-01", "2020-01-02"])),
            pd.Series([dt.date(2020, 1, 1), dt.date(2020, 1, 2)]),
        ),
        (
            Kind.DATETIME,
            pd.to_datetime(pd.Series(["2020-01-01T00:00Z"])),
            pd.to_datetime(pd.Series(["2020-01-01T01:00+01:00"])),
        ),
    ],
)
def test_one_kind_reads_alike_however_it_is_stored(
    kind: Kind, one: pd.Series, other: pd.Series
) -> None:
    columns = (Column("c", kind, "any"),)
    left, right = (canonical(pd.DataFrame({"c": series}), columns)["c"] for series in (one, other))
    assert left.isna().sum() == one.isna().sum()
    assert left.astype(object).where(left.notna(), None).tolist() == (
        right.astype(object).where(right.notna(), None).tolist()
    )


def test_infinity_is_missing() -> None:
    frame = pd.DataFrame({"c": [1.0, np.inf, -np.inf]})
    assert canonical(frame, (Column("c", Kind.NUMERIC, "double"),))["c"].isna().tolist() == [
        False,
        True,
        True,
    ]


def test_ids_keys_personal_and_text_are_not_modelled() -> None:
    kept = Column("x", Kind.NUMERIC, "double")
    schema = Schema(
        (
            kept,
            Column("i", Kind.ID, "int64"),
            Column("p", Kind.PERSONAL, "string"),
            Column("t", Kind.TEXT, "string"),
            Column("k", Kind.CATEGORICAL, "string", role=Role.KEY),
        )
    )
    assert modelled(schema) == (kept,)


def test_a_subsample_keeps_the_order_and_says_so() -> None:
    notes: list[str] = []
    frame = pd.DataFrame({"c": range(100)})
    drawn = subsample(frame, 10, 3, "train", notes.append)
    assert drawn["c"].is_monotonic_increasing
    assert drawn.equals(subsample(frame, 10, 3))
    assert notes == ["train rows: 10 of 100 were drawn at random (seed 3)"]
    assert subsample(frame, 100, 3) is frame
