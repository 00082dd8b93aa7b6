"""Units of rows as integers: the same labels are the same unit, whatever stores them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from privsynth.coding import unit_codes
from privsynth.errors import DataError, PrivsynthWarning


@pytest.mark.parametrize(
    "labels",
    [
        [7, 3, 7],
        ["7", "3", "7"],
        ["7", " 3 ", "7.0"],
        np.array([7.0, 3.0, 7.0]),
        np.array([7, 3, 7], dtype=np.uint8),
        np.array([7, 3, 7], dtype=np.float16),
        np.array(["b", "a", "b"]),
        np.array(["b", "a", "b"], dtype=object),
        pd.Series([7, 3, 7], index=[5, 5, 5], dtype="Int64"),
        pd.Series(["b", "a", "b"]).astype("category"),
        pd.Series(["b", "a", "b"], dtype="string[pyarrow]"),
        pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
        pl.Series([7, 3, 7]),
        pl.Series(["b", "a", "b"]).cast(pl.Categorical),
        pa.chunked_array([[7], [3, 7]]),
    ],
    ids=lambda labels: f"{type(labels).__module__}-{getattr(labels, 'dtype', type(labels))}",
)
def test_units_are_numbered_by_their_first_rows_whatever_stores_them(labels: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = unit_codes(labels, "groups")
    assert codes.dtype == np.int64
    assert codes.tolist() == [0, 1, 0]


@pytest.mark.parametrize("labels", [["b", None, "b", None], [7.0, np.nan, 7.0, np.nan]])
def test_a_row_without_a_label_is_a_unit_of_its_own_and_that_is_said(labels: list[Any]) -> None:
    with pytest.warns(PrivsynthWarning, match="groups: 2 rows name no unit"):
        assert unit_codes(labels, "groups").tolist() == [0, 1, 0, 2]


def test_rows_without_any_label_and_no_rows_at_all() -> None:
    with pytest.warns(PrivsynthWarning, match="3 rows name no unit"):
        assert unit_codes([None] * 3, "groups").tolist() == [0, 1, 2]
    assert unit_codes([], "groups").tolist() == []


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        ([1, "secret"], "of several types"),
        (np.array([1, "secret"], dtype=object), "of several types"),
        ([b"\xff\xfe"], "cannot be read"),
        ([1.5, 2.0], "not whole"),
        ([[1], [2]], "rows hold several"),
        (np.zeros((3, 1)), "in one dimension"),
        (pd.DataFrame({"secret": [1, 2]}), "in one dimension"),
        ("secret", "in one dimension"),
        (5, "of several types"),
    ],
)
def test_what_names_no_units_is_refused_without_its_values(labels: Any, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint) as caught:
        unit_codes(labels, "groups")
    assert str(caught.value).startswith("groups: ")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
