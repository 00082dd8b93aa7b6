"""Attribute inference: secrets of copied rows are given away, those of honest rows are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.evaluation.attacks import inference as module
from privsynth.evaluation.attacks.inference import (
    attribute_inference,
    excess,
    nearest_without,
    right,
)
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("a", Kind.NUMERIC, "double", nullable=True),
        Column("b", Kind.NUMERIC, "double", nullable=True),
        Column("p", Kind.CATEGORICAL, "string", nullable=True),
        Column("q", Kind.CATEGORICAL, "string", nullable=True, role=Role.TARGET),
    )
)
NAN = float("nan")


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TREES", 3)


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    frame = pd.DataFrame({"a": a, "b": a + rng.normal(size=rows)})
    for name in ("p", "q"):
        frame[name] = np.where(rng.random(rows) < 0.5, "yes", rng.choice(list("uvw"), rows))
    return frame.mask(rng.random(frame.shape) < 0.03)


def attack(*tables: Any, seed: int = 0, schema: Schema = SCHEMA) -> dict[str, Score]:
    scores = attribute_inference(*tables, schema, seed=seed)
    return {score.name.removeprefix("attribute_inference").lstrip("_"): score for score in scores}


def two_columns(rows: str) -> tuple[pd.DataFrame, Schema]:
    frame = pd.DataFrame([list(row) for row in rows.split()], columns=["p", "q"])
    return frame, Schema((SCHEMA["p"], SCHEMA["q"]))


@pytest.mark.parametrize(
    ("synthetic", "rate"), [("ab cd", 1.0), ("ab ce", 0.5), ("ah cg", 0.0), ("xb xb", 0.5)]
)
def test_two_records_worked_by_hand(synthetic: str, rate: float):
    real, schema = two_columns("ab cd")
    made, _ = two_columns(synthetic)
    score = attack(real, real, made, schema=schema)["q"]
    assert score.detail["nearest_train_rate"] == score.detail["nearest_control_rate"] == rate
    assert score.detail["excess"] == 0
    assert score.low is not None
    assert score.low < 0


@pytest.mark.parametrize(
    ("guess", "truth", "tolerance", "wanted"),
    [
        (1.0, 1.0, 0.0, True),
        (1.0, 2.0, 0.0, False),
        (1.0, 1.04, 0.05, True),
        (1.0, 0.96, 0.05, True),
        (1.0, 1.06, 0.05, False),
        (NAN, NAN, 0.05, True),
        (NAN, 1.0, 0.05, False),
        (1.0, NAN, 0.05, False),
    ],
)
def test_a_guess_is_right_near_the_truth_or_missing_like_it(guess, truth, tolerance, wanted):
    assert right(np.array([guess]), np.array([truth]), tolerance).tolist() == [wanted]


def test_the_nearest_row_without_a_column_is_that_of_brute_force(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(module, "POINTS_AT_ONCE", 7)
    rng = np.random.default_rng(0)
    points, others = (
        {name: rng.random((rows, width), dtype=np.float32) for name, width in widths.items()}
        for rows, widths in ((50, {"a": 1, "b": 3, "c": 2}), (80, {"a": 1, "b": 3, "c": 2}))
    )
    found = nearest_without(points, others, ["a", "c"])
    for secret in ("a", "c"):
        one, two = (
            np.concatenate([side[name] for name in side if name != secret], axis=1)
            for side in (points, others)
        )
        apart = ((one[:, None] - two[None]) ** 2).sum(axis=2)
        np.testing.assert_array_equal(found[secret], apart.argmin(axis=1))


def test_numbers_are_right_within_a_twentieth_of_the_range_without_its_outliers():
    frame = pd.DataFrame({"a": np.r_[np.arange(1001.0) / 10, 1e9]})
    secret = module._Secret.of(SCHEMA["a"], frame)
    assert secret.tolerance == pytest.approx(0.05 * 98, rel=0.01)


def test_the_range_is_the_whole_one_where_almost_all_numbers_are_equal():
    frame = pd.DataFrame({"a": np.r_[np.zeros(1000), 20.0]})
    assert module._Secret.of(SCHEMA["a"], frame).tolerance == 1.0


def test_the_excess_has_newcombes_interval():
    # The example of 9 of 10 against 3 of 10 in Newcombe's paper, method 10.
    assert excess(9, 3, 10) == pytest.approx((0.6, 0.1705, 0.8090), abs=1e-4)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(*[st.integers(0, n)] * 2, st.just(n))))
def test_the_excess_lies_in_its_interval_which_turns_with_the_sides(counts):
    value, low, high = excess(*counts)
    assert -1 - 1e-9 <= low <= value <= high <= 1 + 1e-9
    train, control, attacks = counts
    assert excess(control, train, attacks) == pytest.approx((-value, -high, -low))


def test_a_bootstrap_of_train_is_found():
    train = people(800, 1)
    made = train.sample(len(train), replace=True, random_state=0)
    scores = attack(train, people(800, 2), made)
    assert set(scores) == {"a", "b", "p", "q", ""}
    worst = scores[""]
    assert worst.low is not None
    assert worst.low > 0.05
    assert worst.low == max(score.low for score in scores.values() if score.low is not None)
    for score in scores.values():
        assert score.real is not None
        assert score.value == pytest.approx(score.real + score.detail["excess"])
        assert score.detail["rows"] == 800


def test_honest_rows_are_rarely_accused():
    # All columns and attacks of a table err together in 2.5% on this side.
    lows = [attack(*(people(150, 3 * i + j) for j in range(3)), seed=i)[""].low for i in range(10)]
    assert sum(low is not None and low > 0 for low in lows) <= 1


def test_what_holds_for_people_in_general_is_no_excess():
    tables = [people(400, i) for i in range(3)]
    tables = [frame.assign(q=np.where(frame["a"] > 0, "yes", "no")) for frame in tables]
    score = attack(*tables)["q"]
    assert score.value is not None
    assert score.value > 0.85
    assert score.low is not None
    assert score.low < 0
    assert score.detail["population_rate"] > 0.85 > score.detail["baseline_rate"]


def test_the_baseline_always_guesses_what_is_usual_in_the_holdout():
    real, schema = two_columns("ab ab ad")
    holdout, _ = two_columns("ab ab ad")
    assert attack(real, holdout, real, schema=schema)["q"].detail["baseline_rate"] == 2 / 3


def test_the_same_seed_gives_the_same_scores():
    tables = people(150, 1), people(150, 2), people(150, 3)
    assert attack(*tables, seed=5) == attack(*tables, seed=5)


def test_without_a_holdout_it_says_so():
    score = attack(people(50, 1), None, people(50, 2))[""]
    assert score.value is None
    assert score.meaning.startswith("needs a holdout")


def test_a_single_column_leaves_nothing_to_guess_from():
    tables = [people(50, i)[["a"]] for i in range(3)]
    score = attack(*tables, schema=Schema((SCHEMA["a"],)))[""]
    assert score.value is None
    assert score.meaning == "needs a second column to guess from"


def test_constant_columns_are_no_secret():
    tables = [people(60, i).assign(a=1.0, p="x") for i in range(3)]
    assert set(attack(*tables)) == {"b", "q", ""}
    tables = [frame.assign(b=NAN, q=None) for frame in tables]
    score = attack(*tables)[""]
    assert score.value is None
    assert score.meaning == "needs a column that is not constant"


@pytest.mark.parametrize("names", [("a", "b"), ("p", "q")], ids="".join)
def test_tables_of_one_kind_are_attacked(names: tuple[str, str]):
    schema = Schema(tuple(SCHEMA[name] for name in names))
    scores = attack(*(people(100, i)[list(names)] for i in range(3)), schema=schema)
    assert set(scores) == {*names, ""}


@pytest.mark.parametrize("rows", [1, 2, 20])
def test_a_handful_of_synthetic_rows_and_missing_cells(rows: int):
    made = people(rows, 3).assign(a=NAN, p=None)
    scores = attack(people(100, 1), people(100, 2), made)
    assert set(scores) == {"a", "b", "p", "q", ""}


def test_of_many_columns_sixteen_are_guessed_the_target_among_them():
    names, notes = [f"x{i}" for i in range(1000)], list[str]()
    schema = Schema(
        tuple(
            Column(name, Kind.NUMERIC, "double", role=Role.TARGET if name == "x700" else None)
            for name in names
        )
    )
    tables = [
        pd.DataFrame(np.random.default_rng(i).random((40, 1000)), columns=names) for i in range(2)
    ]
    scores = attribute_inference(*tables, tables[0], schema, note=notes.append)
    assert len(scores) == 17
    assert "attribute_inference_x700" in [score.name for score in scores]
    assert [note.split(" columns")[0] for note in notes] == [
        "attribute_inference: 60 of 1,000",
        "attribute_inference: 16 of 60",
    ]
    assert scores[-1].low is not None
    assert scores[-1].low > 0.05


def test_numbers_of_which_there_are_few_are_learnt_as_classes() -> None:
    rng = np.random.default_rng(0)

    def rows(n: int) -> pd.DataFrame:
        a = rng.normal(size=n)
        ill = (a + 0.3 * rng.normal(size=n) > 0.4).astype(float)
        return pd.DataFrame({"a": a, "ill": ill, "visits": rng.integers(0, 40, n).astype(float)})

    schema = Schema(tuple(Column(name, Kind.INTEGER, "int64") for name in ("a", "ill", "visits")))
    score = attack(rows(600), rows(600), rows(3_000), schema=schema)["ill"]
    assert score.detail["model_train_rate"] > 0.8
    assert 0.5 < score.detail["baseline_rate"] < 0.75
