"""Replicas: copies are found and named, and what owes nothing to single rows is not accused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from privsynth.evaluation.attacks import replication as module
from privsynth.evaluation.attacks.replication import at_risk, replication, risky
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("id", Kind.ID, "int64", unique=True),
        Column("age", Kind.INTEGER, "int64", nullable=True),
        Column("income", Kind.NUMERIC, "double"),
        Column("gain", Kind.NUMERIC, "double"),
        Column("rate", Kind.NUMERIC, "double"),
        Column("town", Kind.CATEGORICAL, "string"),
        Column("grade", Kind.ORDINAL, "string"),
    )
)
CODED = Schema(tuple(Column(name, Kind.CATEGORICAL, "string") for name in "abcde"))


def people(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kind = rng.integers(4, size=rows)
    age = pd.array(rng.normal(30 + 8 * kind, 9, rows).round(), dtype="Int64")
    age[rng.random(rows) < 0.05] = pd.NA
    return pd.DataFrame(
        {
            "id": seed * 1_000_000 + np.arange(rows),
            "age": age,
            "income": rng.lognormal(7 + kind / 3, 0.6, rows).round(-1),
            "gain": np.where(rng.random(rows) < 0.9, 0.0, rng.gamma(2, 3000, rows).round()),
            "rate": rng.normal(kind, 1, rows).round(2),
            "town": rng.choice(["north", "south", "east", "west"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "grade": np.array(["low", "mid", "high", "top"])[kind],
        }
    )


def codes(rows: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    odds = [0.5, 0.2, 0.1, 0.08, 0.06, 0.04, 0.02]
    return pd.DataFrame({name: rng.choice(list("tuvwxyz"), rows, p=odds) for name in "abcde"})


def jittered(rows: pd.DataFrame, amount: float, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = rows.copy()
    for name in ("age", "income", "gain", "rate"):
        numbers = rows[name].astype(float)
        rows[name] = numbers + amount * numbers.std() * rng.normal(size=len(rows))
    return rows


def with_copies(fresh: pd.DataFrame, copies: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([fresh.iloc[len(copies) :], copies], ignore_index=True)


def by_name(scores: tuple[Score, ...]) -> dict[str, Any]:
    return {score.name: score for score in scores}


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    return people(3000, 1)


@pytest.fixture(scope="module")
def holdout() -> pd.DataFrame:
    return people(1000, 2)


@pytest.fixture(scope="module")
def fresh() -> pd.DataFrame:
    return people(3000, 3)


def chosen(train: pd.DataFrame, share: float) -> np.ndarray:
    return np.random.default_rng(9).choice(len(train), int(share * len(train)), replace=False)


def test_copies_by_hand() -> None:
    schema = Schema((Column("x", Kind.NUMERIC, "double"),))
    train, holdout, synthetic = (
        pd.DataFrame({"x": values})
        for values in ([0.0, 10.0, 20.0, 20.0], [30.0, 40.0, 45.0], [0.0, 20.0, 44.9, 33.0, 11.0])
    )
    score = by_name(replication(train, holdout, synthetic, schema))
    # 20 comes twice, so of the training rows 0 alone is a replica; 10 and 45 have near ones
    assert (score["exact_replicas"].value, score["exact_replicas"].real) == (0.25, 0.0)
    assert score["exact_replicas"].detail["with_repeated"] == 0.75
    assert (score["near_replicas"].value, score["near_replicas"].real) == (0.5, 1 / 3)
    assert score["records_at_risk"].value == 0


def test_verbatim_copies_are_found_and_named(
    train: pd.DataFrame, holdout: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    copied = chosen(train, 0.05)
    synthetic = with_copies(fresh, train.iloc[copied])
    score = by_name(replication(train, holdout, synthetic, SCHEMA))
    assert score["exact_replicas"].value == pytest.approx(0.05, abs=0.002)
    assert 0.035 < score["exact_replicas"].low < 0.05 < score["exact_replicas"].high
    assert score["near_replicas"].low > 0
    named = at_risk(train, holdout, synthetic, SCHEMA)
    assert score["records_at_risk"].value == len(named)
    assert np.isin(copied, named).mean() >= 0.9
    assert np.isin(named, copied).mean() >= 0.9


def test_one_copy_in_a_hundred_is_beyond_chance(
    train: pd.DataFrame, holdout: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    synthetic = with_copies(fresh, train.iloc[chosen(train, 0.01)])
    assert by_name(replication(train, holdout, synthetic, SCHEMA))["exact_replicas"].low > 0


@pytest.mark.parametrize("amount", [0.001, 0.01, 0.03])
def test_copies_with_a_little_noise_are_found_though_a_column_is_mostly_zero(
    amount: float, train: pd.DataFrame, holdout: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    synthetic = with_copies(fresh, jittered(train.iloc[chosen(train, 0.05)], amount))
    score = by_name(replication(train, holdout, synthetic, SCHEMA))
    assert score["exact_replicas"].low <= 0
    assert score["near_replicas"].low > 0


def test_noise_too_small_to_matter_hides_no_record(
    train: pd.DataFrame, holdout: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    copied = chosen(train, 0.05)
    synthetic = with_copies(fresh, jittered(train.iloc[copied], 1e-4))
    named = at_risk(train, holdout, synthetic, SCHEMA)
    assert np.isin(copied, named).mean() >= 0.9
    assert np.isin(named, copied).mean() >= 0.9


def test_fresh_rows_put_no_record_at_risk_in_twenty_tables() -> None:
    for seed in range(20):
        real = people(1500, 100 + seed)
        scores = replication(real[:600], real[600:900], real[900:], SCHEMA, seed=seed)
        score = by_name(scores)
        assert score["records_at_risk"].value == 0
        assert score["exact_replicas"].low <= 0
        assert score["near_replicas"].low <= 0


@pytest.mark.parametrize("rows", [(400, 400), (1000, 200), (200, 600)])
def test_rows_that_coincide_often_give_no_false_alarm(rows: tuple[int, int]) -> None:
    beyond = 0
    for seed in range(10):
        train, holdout = (codes(n, 3 * seed + i) for i, n in enumerate(rows))
        score = by_name(replication(train, holdout, codes(500, 3 * seed + 2), CODED))
        assert score["exact_replicas"].detail["with_repeated"] > 0.3
        assert score["records_at_risk"].value == 0
        for name in ("exact_replicas", "near_replicas"):
            beyond += not score[name].low <= 0 <= score[name].high
    assert beyond <= 1


def test_a_row_that_comes_often_is_no_leak_however_often_it_is_repeated() -> None:
    train, holdout = codes(900, 1), codes(300, 2)
    often = train.duplicated(keep=False)
    scores = by_name(replication(train, holdout, train[often], CODED))
    assert scores["exact_replicas"].value == 0
    assert scores["exact_replicas"].detail["with_repeated"] > 0.3
    assert scores["records_at_risk"].value == 0


def test_a_synthetic_table_that_is_the_training_table_puts_all_at_risk(
    train: pd.DataFrame, holdout: pd.DataFrame
) -> None:
    score = by_name(replication(train, holdout, train, SCHEMA))
    assert score["exact_replicas"].value > 0.95
    assert score["exact_replicas"].low > 0.9
    assert score["records_at_risk"].value > 0.95 * len(train)


def test_a_bootstrap_is_found_by_fifty_holdout_rows(
    train: pd.DataFrame, holdout: pd.DataFrame
) -> None:
    synthetic = train.sample(len(train), replace=True, random_state=1)
    score = by_name(replication(train, holdout[:50], synthetic, SCHEMA))
    assert score["exact_replicas"].low > 0.4
    assert score["records_at_risk"].value > 0.5 * len(train)
    assert score["records_at_risk"].detail["non_members"] == 50


def test_copies_of_repeated_and_of_single_rows_are_told_apart(
    train: pd.DataFrame, holdout: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    twice = pd.concat([train, train[:100]], ignore_index=True)
    copied = np.arange(50, 250)
    named = at_risk(twice, holdout, with_copies(fresh, twice.iloc[copied]), SCHEMA)
    assert not np.isin(named, np.arange(100)).any()
    assert np.isin(np.arange(100, 250), named).mean() >= 0.9


def test_without_a_holdout_there_is_the_share_alone(
    train: pd.DataFrame, fresh: pd.DataFrame
) -> None:
    copied = chosen(train, 0.05)
    score = by_name(replication(train, None, with_copies(fresh, train.iloc[copied]), SCHEMA))
    exact = score.pop("exact_replicas")
    assert exact.value == pytest.approx(0.05, abs=0.002)
    assert (exact.low, exact.high, exact.real) == (None, None, None)
    assert "the difference needs a holdout" in exact.meaning
    for each in score.values():
        assert each.value is None
        assert each.meaning.startswith("needs a holdout: ")


def test_same_seed_same_scores_and_the_order_of_rows_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    fresh: pd.DataFrame,
) -> None:
    synthetic = with_copies(fresh, train.iloc[:150])
    order = np.random.default_rng(0).permutation(len(synthetic))
    once = replication(train, holdout, synthetic, SCHEMA)
    assert once == replication(train, holdout, synthetic.iloc[order], SCHEMA)
    monkeypatch.setattr(module, "MAX_ROWS", 1000)
    drawn = [replication(train, holdout, synthetic, SCHEMA, seed=4) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_of_a_large_table_all_exact_replicas_are_counted_and_named(
    monkeypatch: pytest.MonkeyPatch,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    fresh: pd.DataFrame,
) -> None:
    for name in ("MAX_ROWS", "MAX_HOLDOUT", "MAX_REFERENCE"):
        monkeypatch.setattr(module, name, 500)
    copied = chosen(train, 0.05)
    synthetic = with_copies(fresh, train.iloc[copied])
    notes: list[str] = []
    score = by_name(replication(train, holdout, synthetic, SCHEMA, note=notes.append))
    assert notes == [
        "near replicas: 1,000 of 4,000 real rows were searched for, among 500 of 3,000 synthetic "
        "rows; exact replicas: all rows"
    ]
    assert score["exact_replicas"].value == pytest.approx(0.05, abs=0.002)
    assert score["near_replicas"].detail["rows"] == 500
    assert np.isin(copied, at_risk(train, holdout, synthetic, SCHEMA)).mean() >= 0.9


@pytest.mark.parametrize("columns", [["age", "income", "rate"], ["town", "grade"], ["gain"]])
def test_tables_of_one_kind_of_column_are_scored(columns: list[str]) -> None:
    schema = Schema(tuple(SCHEMA[name] for name in columns))
    tables = [people(300, seed)[columns] for seed in (1, 2, 3)]
    for score in replication(*tables, schema):
        assert score.value is not None


def test_constant_columns_and_tiny_tables_give_nothing() -> None:
    same = people(200, 1).assign(town="north", rate=1.0)
    same.loc[:, ["age", "income", "gain", "grade"]] = [40, 1.0, 0.0, "low"]
    for tables in ((same, same[:50], same), (same[:1], same[:1], same[:1])):
        for score in replication(*tables, SCHEMA):
            assert score.value == 0
    one = [people(1, seed) for seed in (1, 2, 3)]
    assert by_name(replication(*one, SCHEMA))["records_at_risk"].value == 0


def test_a_hundred_copies_as_the_whole_synthetic_table_are_found(
    train: pd.DataFrame, holdout: pd.DataFrame
) -> None:
    score = by_name(replication(train, holdout, train[:100], SCHEMA))
    assert score["exact_replicas"].low > 0
    assert score["records_at_risk"].value >= 90


def test_the_nearest_other_row_is_the_one_that_brute_force_finds() -> None:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(60, 4)).astype(np.float32)
    points[7] = points[5]
    reference = np.sort(rng.choice(60, 25, replace=False))
    apart = np.linalg.norm(points[:, None] - points[reference][None], axis=2)
    apart[reference, np.arange(25)] = np.inf
    found = module._to_others(points, np.arange(60), points[reference], reference)
    np.testing.assert_allclose(found, apart.min(axis=1), rtol=1e-5, atol=1e-6)


def test_the_records_chosen_are_those_of_benjamini_and_hochberg() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        members, others = int(rng.integers(50, 400)), int(rng.integers(50, 400))
        scores, calibration = rng.normal(size=members), rng.normal(size=others)
        scores[: members // 3] += 3
        if seed % 2:
            scores, calibration = scores.round(), calibration.round()
        p = (1 + (calibration[None] >= scores[:, None]).sum(axis=1)) / (others + 1)
        ranked = np.sort(p)
        passed = np.flatnonzero(
            ranked <= module.MAX_FALSE_ALARMS * np.arange(1, members + 1) / members
        )
        limit = ranked[passed[-1]] if len(passed) else -1.0
        np.testing.assert_array_equal(risky(scores, calibration, members, others), p <= limit)


def test_no_scores_choose_nothing() -> None:
    assert len(risky(np.empty(0), np.empty(0), 10, 10)) == 0
    assert risky(np.ones(100), np.empty(0), 100, 100).all()
    assert not risky(np.ones(10), np.empty(0), 100, 100).any()


@pytest.mark.parametrize(
    "counts", [(40, 400, 0, 100), (5, 50, 5, 60), (0, 90, 0, 30), (30, 30, 10, 20), (0, 40, 9, 9)]
)
def test_the_interval_holds_the_differences_that_a_score_test_does_not_reject(
    counts: tuple[int, int, int, int],
) -> None:
    hits, tries, others, of = counts
    low, high = module._difference(*counts)

    def statistic(difference: float) -> float:
        def surprise(p: float) -> float:
            q = min(max(p - difference, 0.0), 1.0)
            return -float(binom.logpmf(hits, tries, p) + binom.logpmf(others, of, q))

        bounds = (max(0.0, difference), min(1.0, 1 + difference))
        p = minimize_scalar(surprise, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
        q = p - difference
        spread = np.sqrt(p * (1 - p) / tries + q * (1 - q) / of)
        return float(abs(hits / tries - others / of - difference) / spread)

    for end in (low, high):
        if abs(end) < 1:
            assert statistic(end) == pytest.approx(3.0902, rel=1e-3)
    assert low < hits / tries - others / of < high or abs(hits / tries - others / of) == 1
