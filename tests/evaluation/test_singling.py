"""Singling out: predicates of copied rows find their persons, those of honest rows only by luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.evaluation.attacks import singling as module
from privsynth.evaluation.attacks.singling import (
    Table,
    multivariate,
    singling_out,
    univariate,
)
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

NUMBERS, LEVELS = ("a", "b", "c", "d"), ("p", "q", "r")
SCHEMA = Schema(
    tuple(Column(name, Kind.NUMERIC, "double", nullable=True) for name in NUMBERS)
    + tuple(Column(name, Kind.CATEGORICAL, "string", nullable=True) for name in LEVELS)
)
NAN = float("nan")


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TRIES", 2_000)


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    like = rng.normal(size=(rows, 1))
    frame = pd.DataFrame(
        (like + rng.normal(size=(rows, len(NUMBERS)))).round(2), columns=list(NUMBERS)
    )
    for name in LEVELS:
        frame[name] = np.where(rng.random(rows) < 0.5, "yes", rng.choice(list("uvw"), rows))
    return frame.mask(rng.random(frame.shape) < 0.03)


def copies(train: pd.DataFrame) -> pd.DataFrame:
    return train.sample(len(train), replace=True, random_state=0).reset_index(drop=True)


def attack(
    *tables: pd.DataFrame | None, seed: int = 0, schema: Schema = SCHEMA
) -> tuple[Score, ...]:
    return singling_out(*tables, schema, seed=seed)  # type: ignore[arg-type]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def met(columns: list[list[float]], predicate: module.Predicate, row: int) -> bool:
    """Say by hand whether a row meets a predicate."""
    ways = {
        "=": lambda value, wanted: value == wanted,
        "<=": lambda value, wanted: value <= wanted,
        ">=": lambda value, wanted: value >= wanted,
        "missing": lambda value, _: value != value,
    }
    return all(ways[way](columns[place][row], value) for place, way, value in predicate)


def table(columns: list[list[float]], numbers: list[bool]) -> Table:
    return Table.of([np.array(column) for column in columns], numbers)


def test_levels_that_come_once_each_make_a_predicate():
    found = univariate(table([[0, 1, 2, 3], [NAN] * 4], [False, True]), rng())
    assert sorted(found) == [((0, "=", float(level)),) for level in range(4)]


def test_four_rows_with_a_number_that_is_missing_once_make_ten_predicates():
    found = univariate(table([[0, 1, 2, 3], [2, 1, 3, NAN]], [False, True]), rng())
    wanted = [((0, "=", float(level)),) for level in range(4)]
    wanted += [((1, "=", float(number)),) for number in (1, 2, 3)]
    wanted += [((1, "<=", 1.0),), ((1, ">=", 3.0),), ((1, "missing", 0.0),)]
    assert sorted(found) == sorted(wanted)


def test_values_that_come_twice_make_no_predicate():
    assert univariate(table([[0, 0, 1, 1], [5, 5, 7, 7]], [False, True]), rng()) == ()


def test_two_rows_have_two_predicates_of_both_columns():
    # 9.87 is the median of the two (the upper one), so nothing lies above it: both ask for "<=".
    found = multivariate(table([[0, 1], [1.23, 9.87]], [False, True]), rng())
    assert sorted(found) == [
        ((0, "=", 0.0), (1, "<=", 1.23)),
        ((0, "=", 1.0), (1, "<=", 9.87)),
    ]


@settings(max_examples=50)
@given(st.data())
def test_predicates_hold_for_one_row_and_rows_that_meet_them_are_those_by_hand(data):
    cell = st.sampled_from([0.0, 1.0, 2.0, 3.0, NAN])
    rows = data.draw(st.integers(1, 8))
    columns = data.draw(
        st.lists(st.lists(cell, min_size=rows, max_size=rows), min_size=1, max_size=6)
    )
    numbers = data.draw(st.lists(st.booleans(), min_size=len(columns), max_size=len(columns)))
    made = table(columns, numbers)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", 50)
        patch.setattr(module, "TRIES", 50)
        found = univariate(made, rng()) + multivariate(made, rng())
    guesses = module._guesses(made, min(5, len(columns)), 5, rng())
    for predicate in (*found, *guesses):
        assert sorted(made.meeting(predicate)) == [
            row for row in range(rows) if met(columns, predicate, row)
        ]
    assert all(len(made.meeting(predicate)) == 1 for predicate in found)


def test_no_unique_pair_is_missed_for_lack_of_tries():
    # Two levels a column, each pair of them once: all four pairs, and no other predicate.
    found = multivariate(table([[0, 0, 1, 1], [0, 1, 0, 1]], [False, False]), rng())
    assert len(found) == 4


def test_a_bootstrap_of_train_is_found():
    train = people(1000, 1)
    one, many = attack(train, people(1000, 2), copies(train))
    assert one.low is not None
    assert one.low > 0.1
    assert many.low is not None
    assert many.low > 0.1
    for score in (one, many):
        assert score.detail["train_rate"] > score.detail["control_rate"]
        assert score.detail["baseline_rate"] < score.detail["train_rate"]
        assert score.detail["rows"] == 1000


def test_honest_rows_are_rarely_accused():
    # Each half of the 5% counts one side, so 24 scores have half an accusation.
    lows = [
        score.low
        for i in range(12)
        for score in attack(*(people(200, 3 * i + j) for j in range(3)), seed=i)
    ]
    assert np.count_nonzero(lows) <= 2


def test_honest_rows_are_not_accused_where_the_holdout_is_a_tenth_of_train():
    scores = attack(people(3000, 1), people(300, 2), people(3000, 3))
    assert [score.low for score in scores] == [0, 0]
    assert [score.detail["rows"] for score in scores] == [300, 300]


def test_predicates_that_all_find_one_row_count_as_one_piece_of_evidence():
    attacks, none = 100, np.array([], dtype=np.int64)
    one_row, many_rows = np.zeros(30, dtype=np.int64), np.arange(30)
    crowd = module._score("", attacks, one_row, none, 0.0, 50)
    spread = module._score("", attacks, many_rows, none, 0.0, 50)
    assert crowd.detail["effective_attacks"] == pytest.approx(attacks / 30)
    assert spread.detail["effective_attacks"] == attacks
    assert crowd.value == spread.value == 0.3
    assert crowd.low == 0
    assert spread.low > 0.1


def test_the_same_seed_gives_the_same_scores():
    tables = people(200, 1), people(200, 2), people(200, 3)
    assert attack(*tables, seed=5) == attack(*tables, seed=5)


def test_without_a_holdout_it_says_so():
    for score in attack(people(50, 1), None, people(50, 2)):
        assert score.value is None
        assert score.meaning.startswith("needs a holdout")


def test_a_level_that_the_synthetic_table_lacks_meets_no_predicate():
    tables = [pd.DataFrame({"p": list(letters)}) for letters in ("abz", "abz", "abc")]
    one, many = attack(*tables, schema=Schema((SCHEMA["p"],)))
    assert one.detail["attacks"] == 3
    assert one.detail["train_rate"] == one.detail["control_rate"] == pytest.approx(2 / 3)
    assert many.value is None
    assert many.meaning.startswith("cannot be tried")


@pytest.mark.parametrize("names", [("a",), ("a", "b"), ("p", "q"), NUMBERS, LEVELS], ids="".join)
def test_tables_of_one_kind_are_attacked(names: tuple[str, ...]):
    schema = Schema(tuple(SCHEMA[name] for name in names))
    scores = attack(*(people(150, i)[list(names)] for i in range(3)), schema=schema)
    assert [score.name for score in scores] == [
        "singling_out_univariate",
        "singling_out_multivariate",
    ]


def test_constant_and_empty_columns_cannot_single_out():
    tables = [people(100, i)[["a", "b", "p", "q"]] for i in range(3)]
    tables = [frame.assign(a=1.0, b=np.nan, p="x", q=None) for frame in tables]
    schema = Schema(tuple(SCHEMA[name] for name in ("a", "b", "p", "q")))
    assert [score.value for score in attack(*tables, schema=schema)] == [None, None]


def test_of_many_columns_some_are_attacked():
    names, notes = [f"x{i}" for i in range(1000)], list[str]()
    schema = Schema(
        tuple(
            Column(name, Kind.NUMERIC, "double", role=Role.TARGET if name == "x7" else None)
            for name in names
        )
    )
    tables = [
        pd.DataFrame(np.random.default_rng(i).random((50, 1000)), columns=names) for i in range(2)
    ]
    one, many = singling_out(*tables, tables[0], schema, note=notes.append)
    assert one.low is not None
    assert one.low > 0.5
    assert many.low is not None
    assert many.low > 0
    assert notes == ["singling out: 60 of 1,000 columns were drawn at random (seed 0)"]
