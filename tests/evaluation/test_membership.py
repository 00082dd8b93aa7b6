"""Membership inference: what was copied is found, and honest rows are not accused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom, norm

from privsynth.evaluation.attacks.membership import (
    ATTACKS,
    GROUPS,
    auc,
    epsilon,
    membership,
    tpr_at,
)
from privsynth.evaluation.attacks.space import Space, nearest
from privsynth.evaluation.frames import canonical, modelled
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

NAMES = [f"membership_{name}" for name in ("tpr_at_1pct", "tpr_at_01pct", "auc", "epsilon")]


def table(rows: int, seed: int, numbers: int = 4, labels: int = 3) -> pd.DataFrame:
    """Correlated numbers, one with many zeros, and levels that hang on them."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(6, 6))
    x = rng.normal(size=(rows, 6)) @ mix
    x[:, 0] = np.maximum(x[:, 0], 0)
    columns: dict[str, object] = {f"x{i}": x[:, i].round(4) for i in range(numbers)}
    for i in range(labels):
        noisy = x[:, i + 1] + rng.normal(size=rows)
        columns[f"c{i}"] = np.array(["a", "b", "c", "d"])[np.digitize(noisy, [-2, 0, 2])]
    columns["rare"] = np.where(x[:, 5] + rng.normal(size=rows) > 4, "yes", "no")
    return pd.DataFrame(columns)


def schema_of(frame: pd.DataFrame) -> Schema:
    return Schema(
        tuple(
            Column(name, Kind.NUMERIC, "double")
            if pd.api.types.is_numeric_dtype(frame[name])
            else Column(
                name, Kind.CATEGORICAL, "string", role=Role.TARGET if name == "rare" else None
            )
            for name in frame.columns
        )
    )


def attacked(
    train: pd.DataFrame, holdout: pd.DataFrame | None, synthetic: pd.DataFrame, seed: int = 0
) -> dict[str, Score]:
    scores = membership(train, holdout, synthetic, schema_of(train), seed=seed)
    return {score.name: score for score in scores}


def alarms(scores: dict[str, Score]) -> list[str]:
    """The names that miss the standard thresholds."""
    limits = {"tpr_at_1pct": 0.02, "tpr_at_01pct": 0.003, "epsilon": 1.0}
    return [
        name
        for name, score in scores.items()
        for part, limit in limits.items()
        if part in name and score.low is not None and score.low > limit
    ]


TRAIN, HOLDOUT, FRESH = table(3_000, 1), table(3_000, 2), table(3_000, 3)


def with_copies(share: float, jitter: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    copies = TRAIN.sample(int(share * len(TRAIN)), random_state=3).copy()
    for name in copies.select_dtypes("number"):
        copies[name] += jitter * TRAIN[name].std() * rng.normal(size=len(copies))
    return pd.concat([FRESH.iloc[len(copies) :], copies], ignore_index=True)


def test_shares_found_worked_by_hand() -> None:
    outside = np.arange(100.0)  # 1% of them: one may score above the threshold, which is 98
    inside = np.array([98.0, 98.5, 99.0, 99.5] + [0.0] * 6)
    assert tpr_at(inside, outside, 0.01).value == 0.3
    assert tpr_at(inside, outside, 0.001).value == 0.1  # none: the threshold is 99


def test_rows_that_tie_with_the_threshold_are_not_accused_but_bounded_from_above() -> None:
    rate = tpr_at(np.ones(100), np.ones(100), 0.01)
    assert (rate.value, rate.low, rate.high) == (0.0, 0.0, 1.0)


def test_the_lower_bound_dilutes_what_was_found_by_what_is_unsure_of_the_threshold() -> None:
    rate = tpr_at(np.ones(50), np.zeros(100), 0.01)
    at_most = 1 - (0.8 * 0.04) ** (1 / 100)  # of the share beyond the highest of 100
    found = beta.ppf(0.2 * 0.04, 50, 1)
    assert rate.low == pytest.approx(found * 0.01 / at_most)
    assert rate.value == 1.0


def test_with_enough_rows_the_threshold_costs_little() -> None:
    rng = np.random.default_rng(0)
    rate = tpr_at(rng.normal(5, 1, 20_000), rng.normal(0, 1, 20_000), 0.01)
    assert 0.98 < rate.low <= rate.value <= rate.high


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("shift", [0.0, 1.0])
@pytest.mark.parametrize("level", [0.01, 0.001])
@pytest.mark.parametrize("rows", [60, 1_000])
def test_the_bounds_err_in_at_most_5_percent(
    rounded: bool, shift: float, level: float, rows: int
) -> None:
    rng = np.random.default_rng(3)
    trials, digits = 200, 0 if rounded else 12
    # rounded, 2 and 3 are the thresholds with less than the level above them
    threshold = {0.01: 2.5, 0.001: 3.5}[level] if rounded else norm.isf(level)
    true = norm.sf(threshold - shift)
    missed = 0
    for _ in range(trials):
        inside = rng.normal(shift, 1, 2 * rows).round(digits)
        rate = tpr_at(inside, rng.normal(size=rows).round(digits), level)
        missed += not rate.low <= true <= rate.high
    assert binom.sf(missed - 1, trials, 0.05) > 1e-3


def test_the_best_of_several_attacks_is_bounded_as_well() -> None:
    rng = np.random.default_rng(4)
    for level, allowed in ((0.01, 0.01), (0.001, 0.001)):
        wrong = 0
        for _ in range(100):
            lows = [
                tpr_at(rng.normal(size=600), rng.normal(size=300), level, tests=5).low
                for _ in range(5)
            ]
            wrong += max(lows) > allowed
        assert wrong <= 7


def test_auc_by_counting_pairs_and_its_interval_covers() -> None:
    rng = np.random.default_rng(5)
    inside, outside = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 30).astype(float)
    above = inside[:, None] - outside[None]
    brute = ((above > 0) + 0.5 * (above == 0)).mean()
    assert auc(inside, outside).value == pytest.approx(brute)
    bounds = [auc(rng.normal(size=100), rng.normal(size=100)) for _ in range(400)]
    missed = sum(not bound.low <= 0.5 <= bound.high for bound in bounds)
    assert binom.sf(missed - 1, 400, 0.05) > 1e-3


def test_epsilon_of_pairs_worked_by_hand() -> None:
    # 1% of 1,000 pairs: 10 right of 10; p ** 10 = 0.05 / 4 at p = 0.6452, logit 0.598
    inside = np.concatenate([np.full(10, 9.0), np.zeros(990)])
    assert epsilon(inside, np.zeros(1_000)).low == pytest.approx(0.598, abs=1e-3)
    assert epsilon(np.zeros(50), np.zeros(50)).low == 0
    assert epsilon(np.zeros(0), np.zeros(50)).low == 0


@pytest.mark.parametrize("true", [0.0, 1.0])
def test_epsilon_is_claimed_too_high_in_at_most_5_percent(true: float) -> None:
    rng = np.random.default_rng(6)
    wrong = 0
    for _ in range(300):
        right = rng.random(200) < 1 / (1 + np.exp(-true))
        size = rng.random(200) + 0.1
        wrong += epsilon(np.where(right, size, -size), np.zeros(200)).low > true
    assert binom.sf(wrong - 1, 300, 0.05) > 1e-3


def test_honest_tables_raise_no_alarm_and_the_bounds_hold_what_guessing_gives() -> None:
    outside = 0
    for seed in range(5):
        rows = table(2_400, 100 + seed)
        scores = attacked(rows[:800], rows[800:1_600], rows[1_600:], seed)
        assert not alarms(scores)
        for name, guessing in (("tpr_at_1pct", 0.01), ("tpr_at_01pct", 0.001), ("auc", 0.5)):
            score = scores[f"membership_{name}"]
            assert score.low is not None
            assert score.high is not None
            outside += not score.low <= guessing <= score.high
    assert outside <= 2


def test_copied_rows_are_found() -> None:
    bootstrap = TRAIN.sample(len(TRAIN), replace=True, random_state=1)
    for synthetic in (bootstrap, with_copies(0.05), with_copies(0.05, 0.02)):
        scores = attacked(TRAIN, HOLDOUT, synthetic)
        assert {"membership_tpr_at_1pct", "membership_tpr_at_01pct"} <= set(alarms(scores))
    scores = attacked(TRAIN, HOLDOUT, with_copies(0.01))
    assert {"membership_tpr_at_01pct", "membership_epsilon"} & set(alarms(scores))
    low = scores["membership_tpr_at_01pct"].low
    assert low is not None
    assert low < 0.01 + 0.001


def test_a_leak_of_the_rare_class_or_of_lonely_rows_shows_in_their_own_scores() -> None:
    rare = TRAIN[TRAIN["rare"] == "yes"]
    leaking = pd.concat([FRESH.iloc[len(rare) :], rare], ignore_index=True)
    scores = attacked(TRAIN, HOLDOUT, leaking)
    own, all_rows = scores["membership_tpr_at_1pct_minority"], scores["membership_tpr_at_1pct"]
    assert own.value is not None
    assert all_rows.value is not None
    assert own.value > 0.9
    assert own.value > 2 * all_rows.value
    assert "membership_tpr_at_1pct_minority" in alarms(scores)

    columns = modelled(schema_of(TRAIN))
    real = [canonical(frame, columns) for frame in (TRAIN, HOLDOUT)]
    space = Space.learn(real, columns)
    apart = nearest(space.place(real[0]), space.place(real[1]), 5)[0][:, -1]
    lonely = TRAIN[apart >= np.quantile(apart, 0.9)]
    leaking = pd.concat([FRESH.iloc[len(lonely) :], lonely], ignore_index=True)
    scores = attacked(TRAIN, HOLDOUT, leaking)
    own, all_rows = scores["membership_tpr_at_1pct_isolated"], scores["membership_tpr_at_1pct"]
    assert own.value is not None
    assert all_rows.value is not None
    assert own.value > all_rows.value
    assert "membership_tpr_at_1pct_isolated" in alarms(scores)


def test_the_scores_are_named_and_say_what_they_rest_on() -> None:
    scores = attacked(TRAIN, HOLDOUT, FRESH)
    assert list(scores) == [name + group for group in GROUPS for name in NAMES]
    assert not alarms(scores)
    for score in scores.values():
        assert score.family == "attacks"
        assert score.value is not None
        assert score.low is not None
        assert score.low <= score.value <= (np.inf if score.high is None else score.high)
        assert set(score.detail) == {*ATTACKS, "members", "non_members", "rows"}
    assert scores["membership_auc"].detail["non_members"] == 3_000
    isolated = scores["membership_auc_isolated"].detail
    assert isolated["rows"] == pytest.approx(0.05 * 6_000, abs=2)


def test_the_same_seed_gives_the_same_scores() -> None:
    given = TRAIN[:500], HOLDOUT[:400], FRESH[:500]
    assert attacked(*given, seed=3) == attacked(*given, seed=3)
    assert attacked(*given, seed=3) != attacked(*given, seed=4)


def test_without_a_holdout_every_score_says_so() -> None:
    for holdout in (None, HOLDOUT[:3]):
        scores = attacked(TRAIN, holdout, FRESH)
        assert list(scores) == [name + group for group in GROUPS for name in NAMES]
        assert all(score.value is None and score.low is None for score in scores.values())
        assert all("needs a holdout" in score.meaning for score in scores.values())


def test_a_holdout_of_50_rows_gives_wide_bounds_and_leaves_out_small_groups() -> None:
    scores = attacked(TRAIN, HOLDOUT[:50], with_copies(0.05))
    assert scores["membership_auc"].detail["non_members"] == 50
    assert not [name for name in alarms(scores) if "tpr" in name]
    for group in GROUPS[1:]:
        score = scores[f"membership_auc{group}"]
        assert score.value is None
        assert "at least 50 of each are needed" in score.meaning


@pytest.mark.parametrize(("numbers", "labels"), [(5, 0), (0, 3)])
def test_tables_of_numbers_or_of_levels_alone(numbers: int, labels: int) -> None:
    rows = table(3_000, 7, numbers, labels)
    if not labels:
        rows = rows.drop(columns="rare")
    scores = attacked(rows[:1_000], rows[1_000:2_000], rows[2_000:])
    assert not alarms(scores)
    groups = GROUPS if labels else GROUPS[:2]
    assert list(scores) == [name + group for group in groups for name in NAMES]
    copied = attacked(rows[:1_000], rows[1_000:2_000], rows[:1_000])
    assert bool(alarms(copied)) == (not labels)  # few distinct rows: a copy proves nothing


def test_constant_and_empty_columns_and_missing_cells_are_borne() -> None:
    rows = table(2_400, 8)
    rows["x1"] = rows["x1"].where(np.arange(2_400) % 5 > 0)
    rows["empty"], rows["same"], rows["one"] = np.nan, "x", 1.0
    scores = attacked(rows[:800], rows[800:1_600], rows[1_600:])
    assert not alarms(scores)
    assert alarms(attacked(rows[:800], rows[800:1_600], rows[:800]))
    still = pd.DataFrame({"same": ["x"] * 90, "one": 1.0})
    scores = attacked(still[:30], still[30:60], still[60:])
    assert scores["membership_auc"].value == 0.5
    assert not alarms(scores)


def test_few_synthetic_rows_and_a_train_smaller_than_the_holdout_are_borne() -> None:
    assert not alarms(attacked(TRAIN[:300], HOLDOUT[:900], FRESH[:2]))
    scores = attacked(TRAIN[:300], HOLDOUT[:900], FRESH[:300])
    assert scores["membership_auc"].detail["non_members"] == 300


def test_whole_numbers_may_name_classes() -> None:
    frames = [frame.assign(rare=(frame["rare"] == "yes") * 1) for frame in (TRAIN, HOLDOUT, FRESH)]
    columns = [column for column in schema_of(TRAIN) if column.name != "rare"]
    target = Column("rare", Kind.INTEGER, "int64", role=Role.TARGET)
    scores = membership(*frames, Schema((*columns, target)))
    counts = {s.name: s.detail["members"] for s in scores if s.name.startswith("membership_auc")}
    assert counts["membership_auc_minority"] == (TRAIN["rare"] == "yes").sum()
