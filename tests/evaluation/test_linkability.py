"""Linkability: halves of records that were copied are joined, those of honest rows are not."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.evaluation.attacks import linkability as module
from privsynth.evaluation.attacks import risk
from privsynth.evaluation.attacks.linkability import linkability, links, near
from privsynth.evaluation.attacks.risk import residual, wilson
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

NUMBERS, LEVELS = ("a", "b", "c", "d"), ("p", "q", "r")
SCHEMA = Schema(
    tuple(Column(name, Kind.NUMERIC, "double", nullable=True) for name in NUMBERS)
    + tuple(Column(name, Kind.CATEGORICAL, "string", nullable=True) for name in LEVELS)
)


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    like = rng.normal(size=(rows, 1))
    frame = pd.DataFrame(like + rng.normal(size=(rows, len(NUMBERS))), columns=list(NUMBERS))
    for name in LEVELS:
        frame[name] = np.where(rng.random(rows) < 0.5, "yes", rng.choice(list("uvw"), rows))
    return frame.mask(rng.random(frame.shape) < 0.03)


def copies(train: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    return train.sample(len(train), replace=True, random_state=seed).reset_index(drop=True)


def attack(*tables: pd.DataFrame | None, seed: int = 0, schema: Schema = SCHEMA) -> Score:
    (score,) = linkability(*tables, schema, seed=seed)  # type: ignore[arg-type]
    return score


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


SYNTHETIC = column(0, 1, 4, 9)


def test_four_records_worked_by_hand():
    # Nearest one: record 0 meets row 0 by both halves; record 1 meets rows 0 and 1, record 2
    # rows 2 and 3, record 3 rows 0 and 2. Nearest two: 0, 1 and 0, 1; 0, 1 and 1, 0; 2, 1 and
    # 3, 2; 0, 1 and 2, 1.
    joined = links(column(0, 0, 4, 0), column(0, 1, 9, 4), SYNTHETIC, SYNTHETIC)
    assert joined[:, 0].tolist() == [True, False, False, False]
    assert joined[:, 1:].all()


def test_the_share_of_four_records_has_wilsons_interval():
    assert wilson(1, 4, 0.05) == pytest.approx((0.372472, 0.326886), abs=1e-5)
    assert wilson(4, 4, 0.05) == pytest.approx((0.755055, 0.244945), abs=1e-5)


def test_neighbours_at_random_share_a_row_as_often_as_combinatorics_says():
    assert module._by_chance(4, 1) == pytest.approx(1 / 4)
    assert module._by_chance(4, 2) == pytest.approx(5 / 6)
    assert module._by_chance(4, 3) == module._by_chance(2, 5) == 1.0


def test_links_are_those_of_brute_force():
    rng = np.random.default_rng(0)
    one, two, made_one, made_two = (
        rng.random((rows, 3), dtype=np.float32) for rows in (300, 300, 40, 40)
    )
    joined = links(one, two, made_one, made_two)
    for row, k in product(range(300), range(1, 6)):
        first = np.argsort(((made_one - one[row]) ** 2).sum(axis=1))[:k]
        second = np.argsort(((made_two - two[row]) ** 2).sum(axis=1))[:k]
        assert joined[row, k - 1] == bool(set(first) & set(second))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    points = np.random.default_rng(0).random((100, 4), dtype=np.float32)
    whole = near(points, points, 3)
    monkeypatch.setattr(module, "POINTS_AT_ONCE", 7)
    np.testing.assert_array_equal(near(points, points, 3), whole)


def test_the_risk_is_the_gain_over_the_room_that_is_left():
    assert residual(900, 850, 1000)[0] == pytest.approx(1 / 3)
    assert residual(900, 800, 1000)[0] == pytest.approx(1 / 2)
    assert residual(10, 20, 1000)[:2] == (0.0, 0.0)
    assert residual(1000, 1000, 1000)[:2] == (0.0, 0.0)


def test_the_interval_adds_the_errors_in_quadrature(monkeypatch: pytest.MonkeyPatch):
    # Rates 0.9 and 0.85, each 0.02 off: 0.02 / 0.15 and 0.02 * 0.1 / 0.15 ** 2 make 0.16.
    monkeypatch.setattr(risk, "wilson", lambda hits, attacks, _: (hits / attacks, 0.02))
    assert residual(900, 850, 1000) == pytest.approx((1 / 3, 0.173, 0.494), abs=1e-3)


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(*[st.integers(0, n)] * 2, st.just(n))))
def test_the_risk_lies_in_its_interval_and_both_in_the_unit_interval(counts):
    value, low, high = residual(*counts)
    assert 0 <= low <= value <= high <= 1


def test_a_bootstrap_of_train_is_found():
    train = people(600, 1)
    score = attack(train, people(600, 2), copies(train))
    assert score.low is not None
    assert score.low > 0.2
    assert score.detail["train_rate"] > score.detail["control_rate"] > 0
    assert score.detail["attacks"] == score.detail["rows"] == 600


def test_honest_rows_are_rarely_accused():
    # Each half of the 5% counts one side, so 12 tables have a third of an accusation.
    lows = [attack(*(people(150, 3 * i + j) for j in range(3)), seed=i).low for i in range(12)]
    assert np.count_nonzero(lows) <= 2


def test_as_many_train_rows_are_attacked_as_there_are_holdout_rows():
    assert attack(people(500, 1), people(120, 2), people(300, 3)).detail["attacks"] == 120


def test_the_same_seed_gives_the_same_score():
    tables = people(200, 1), people(200, 2), people(200, 3)
    assert attack(*tables, seed=5) == attack(*tables, seed=5)


def test_without_a_holdout_it_says_so():
    score = attack(people(50, 1), None, people(50, 2))
    assert score.value is None
    assert score.meaning.startswith("needs a holdout")


def test_a_single_column_has_no_halves():
    schema = Schema((SCHEMA["a"],))
    tables = [people(50, i)[["a"]] for i in range(3)]
    score = attack(*tables, schema=schema)
    assert score.value is None
    assert "fewer than two columns" in score.meaning


@pytest.mark.parametrize(
    "names", [("a", "b"), ("p", "q"), NUMBERS, LEVELS], ids=lambda names: "".join(names)
)
def test_tables_of_one_kind_are_attacked(names: tuple[str, ...]):
    schema = Schema(tuple(SCHEMA[name] for name in names))
    tables = [people(150, i)[list(names)] for i in range(3)]
    assert attack(*tables, schema=schema).value is not None


@pytest.mark.parametrize("rows", [1, 3, 5])
def test_constant_and_empty_columns_and_a_handful_of_synthetic_rows(rows: int):
    tables = [people(100, i).assign(a=1.0, b=np.nan, p="x", q=None) for i in range(2)]
    score = attack(*tables, tables[0].head(rows))
    assert score.value is not None
    assert score.low == 0


def test_of_many_columns_some_are_attacked_the_target_among_them():
    names = [f"x{i}" for i in range(1000)]
    columns = [Column(name, Kind.NUMERIC, "double") for name in names]
    columns[700] = Column("x700", Kind.NUMERIC, "double", role=Role.TARGET)
    schema, notes = Schema(tuple(columns)), list[str]()
    tables = [
        pd.DataFrame(np.random.default_rng(i).random((50, 1000)), columns=names) for i in range(2)
    ]
    (score,) = linkability(*tables, copies(tables[0]), schema, note=notes.append)
    assert score.low is not None
    assert score.low > 0
    assert notes == ["linkability: 60 of 1,000 columns were drawn at random (seed 0)"]
    assert "x700" in [c.name for c in module.attacked_columns(schema, 0, "", print)]
