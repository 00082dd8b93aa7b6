"""Rows that train and holdout share: counted, told of, and refused where chance cannot explain."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import DataError
from privsynth.evaluation.overlap import Overlap, check_overlap, overlap, without_holdout
from privsynth.schema.columns import Column, Kind
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("id", Kind.ID, "int64"),
        Column("x", Kind.NUMERIC, "double", nullable=True),
        Column("town", Kind.CATEGORICAL, "string"),
    )
)


def table(x: object, town: object = "a") -> pd.DataFrame:
    frame = pd.DataFrame({"x": x, "town": town})
    return frame.assign(id=np.arange(len(frame)))


def coded(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return table(rng.poisson(40, rows) * 10.0, rng.choice(list("abcdefghijkl"), rows))


def test_counts_by_hand() -> None:
    train = table([1.0, 1.0, 2.0, 3.0, np.nan])
    holdout = table([1.0, 3.0, np.nan, 4.0])
    # 2 of 5 training rows have a twin in train, so 4 holdout rows would have 1.6
    assert overlap(train, holdout, SCHEMA) == Overlap(3, 1.6, False, False)


def test_rows_that_never_come_twice_do_not_overlap() -> None:
    assert overlap(table(np.arange(9.0)), table(np.arange(9.0, 12)), SCHEMA) == Overlap(
        0, 0.0, False, False
    )


def test_a_random_split_of_a_coded_table_is_never_refused() -> None:
    for seed in range(20):
        whole = coded(1200, seed)
        train, holdout = whole[:900], whole[900:]
        found = overlap(train, holdout, SCHEMA)
        assert found.count > 50
        assert found.expected == pytest.approx(found.count, rel=0.4)
        assert not found.excessive
        check_overlap(train, holdout, SCHEMA)


def test_training_rows_put_into_the_holdout_are_refused() -> None:
    train, holdout = table(np.arange(900.0)), table(np.arange(900.0, 1200))
    found = overlap(train, pd.concat([holdout[30:], train[:30]]), SCHEMA)
    assert (found.count, found.expected, found.excessive) == (30, 0.0, True)
    with pytest.raises(DataError, match="30 of 300 holdout rows equal training rows"):
        check_overlap(train, pd.concat([holdout[30:], train[:30]]), SCHEMA)


def test_two_rows_that_are_equal_by_chance_are_told_of() -> None:
    train, holdout = table(np.arange(900.0)), table(np.arange(898.0, 1198))
    notes: list[str] = []
    check_overlap(train, holdout, SCHEMA, notes.append)
    assert len(notes) == 1
    assert notes[0].startswith("2 of 300 holdout rows")


def test_a_holdout_that_is_the_training_table_is_refused() -> None:
    train = coded(400, 1)
    assert overlap(train, train, SCHEMA).wholly_inside
    assert without_holdout(train, train, SCHEMA) is train
    with pytest.raises(DataError, match="400 of 400"):
        check_overlap(train, train, SCHEMA)


def test_a_training_file_that_still_holds_the_holdout_is_fine() -> None:
    whole = table(np.arange(1000.0))
    holdout = whole[:200]
    assert overlap(whole, holdout, SCHEMA).wholly_inside
    check_overlap(without_holdout(whole, holdout, SCHEMA), holdout, SCHEMA)


def test_one_row_for_all_and_no_holdout_are_fine() -> None:
    same = table(np.ones(90))
    assert not overlap(same, same[:20], SCHEMA).excessive
    assert not overlap(table(np.arange(1.0)), table(np.arange(1.0, 2)), SCHEMA).excessive
    check_overlap(same, None, SCHEMA)
