"""Attacks on units: leaks of persons are found, fresh persons are not accused."""

from __future__ import annotations

import html
import io

import numpy as np
import pandas as pd
import pytest
from patients import SCHEMA, visits
from rich.console import Console
from scipy.stats import binom

import privsynth
from privsynth.evaluation.attacks.unit_membership import best_of, mean_of, unit_membership
from privsynth.evaluation.attacks.unit_replication import rows_of_units_at_risk, unit_replication
from privsynth.evaluation.evaluators import evaluate_frames
from privsynth.evaluation.policy import POLICIES, apply_policy, with_verdict
from privsynth.evaluation.score import Evaluation, Score
from privsynth.report.html import render
from privsynth.report.terminal import summary

NAMES = [f"membership_{name}" for name in ("tpr_at_1pct", "tpr_at_01pct", "auc", "epsilon")]
TRAIN, HOLDOUT, FRESH = visits(1_200, 1), visits(1_000, 2), visits(1_200, 3)


def whole(share: float, seed: int = 0) -> pd.DataFrame:
    """All rows of a share of the training patients."""
    patients = TRAIN["patient"].drop_duplicates().sample(frac=share, random_state=seed)
    return TRAIN[TRAIN["patient"].isin(patients)]


def membership(
    train: pd.DataFrame, holdout: pd.DataFrame | None, synthetic: pd.DataFrame, seed: int = 0
) -> dict[str, Score]:
    scores = unit_membership(train, holdout, synthetic, SCHEMA, seed=seed)
    return {score.name: score for score in scores}


def alarms(scores: dict[str, Score]) -> list[str]:
    """The names that miss the standard thresholds, of units alone."""
    limits = {"tpr_at_1pct": 0.02, "tpr_at_01pct": 0.003, "epsilon": 1.0}
    return [
        name
        for name, score in scores.items()
        for part, limit in limits.items()
        if name.startswith("membership") and part in name and (score.low or 0) > limit
    ]


def test_the_mean_has_the_spread_of_a_mean_of_as_many_rows() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, 4_000)
    unit = np.repeat(np.arange(4_000), sizes)
    scores = 3 + 2 * rng.normal(size=4_000)[unit] + rng.normal(size=len(unit))
    null = unit < 2_000
    means = mean_of(scores[~null], unit[~null] - 2_000, scores[null], unit[null])
    few = sizes[2_000:] < 3
    assert means.mean() == pytest.approx(0, abs=0.1)
    assert means[few].std() == pytest.approx(1, abs=0.1)
    assert means[~few].std() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("between", [0.0, 2.0])
def test_the_best_row_of_many_is_no_higher_than_that_of_few(between: float) -> None:
    rng = np.random.default_rng(0)
    sizes = rng.choice([1, 20], 6_000)
    unit = np.repeat(np.arange(6_000), sizes)
    scores = between * rng.normal(size=6_000)[unit] + rng.normal(size=len(unit))
    null = unit < 3_000
    best = best_of(scores[~null], unit[~null] - 3_000, scores[null], unit[null])
    many = sizes[3_000:] == 20
    shift = np.median(best[many]) - np.median(best[~many])
    assert abs(shift) < 0.35 * scores.std()


def test_leaks_of_whole_units_are_found() -> None:
    leaking = pd.concat([FRESH, whole(0.08)], ignore_index=True)
    scores = membership(TRAIN, HOLDOUT, leaking)
    assert {"membership_tpr_at_1pct", "membership_tpr_at_01pct"} <= set(alarms(scores))
    assert 1_000 < scores["membership_tpr_at_1pct"].detail["members"] <= 1_200
    assert 900 < scores["membership_tpr_at_1pct"].detail["non_members"] <= 1_000


def test_a_leak_of_one_row_each_is_found_by_the_best_row() -> None:
    one = TRAIN.drop_duplicates("patient").sample(frac=0.1, random_state=2)
    scores = membership(TRAIN, HOLDOUT, pd.concat([FRESH, one], ignore_index=True))
    score = scores["membership_tpr_at_1pct"]
    assert "membership_tpr_at_1pct" in alarms(scores)
    assert score.detail["knn_ratio_best"] > 1.1 * score.detail["knn_ratio_mean"]


def test_constant_values_that_stay_together_are_found_by_the_profile() -> None:
    # Ages of a thousandth of a year: with the sex they name a person.
    exact = [
        frame.assign(age=frame["age"] + frame["patient"] % 1_000_000 / 10_000)
        for frame in (TRAIN, HOLDOUT, FRESH)
    ]
    rng = np.random.default_rng(1)
    leaking = exact[2].copy()
    rows = rng.permutation(len(leaking))[:300]
    kept = exact[0].drop_duplicates("patient").sample(300, random_state=1)
    leaking.loc[leaking.index[rows], ["age", "sex"]] = kept[["age", "sex"]].to_numpy()
    detail = membership(exact[0], exact[1], leaking)["membership_tpr_at_1pct"].detail
    assert detail["profile"] > 0.15
    assert detail["profile"] > 3 * detail["knn_ratio_mean"]


def test_fresh_units_raise_no_alarm_and_the_bounds_hold_what_guessing_gives() -> None:
    outside = 0
    for seed in range(3):
        scores = membership(*(visits(500, 10 * (seed + 1) + i) for i in range(3)), seed)
        assert not alarms(scores)
        for name, guessing in (("tpr_at_1pct", 0.01), ("tpr_at_01pct", 0.001), ("auc", 0.5)):
            score = scores[f"membership_{name}"]
            assert score.low is not None
            assert score.high is not None
            outside += not score.low <= guessing <= score.high
    assert outside <= 1


def test_the_number_of_rows_of_a_unit_does_not_distinguish() -> None:
    few, many = visits(600, 5, 4), visits(900, 6, 8)
    scores = membership(few, many, visits(600, 7))
    assert scores["membership_auc"].detail["members"] > 350
    assert not alarms(scores)
    area = scores["membership_auc"].detail
    for attack in ("likelihood_ratio_mean", "knn_ratio_mean", "knn_ratio_best", "dcr_best"):
        assert area[attack] == pytest.approx(0.5, abs=0.07), attack


@pytest.mark.deep
def test_the_bounds_of_units_err_in_at_most_7_percent() -> None:
    trials = 200
    wrong = dict.fromkeys(("tpr_at_1pct", "tpr_at_01pct", "auc", "epsilon"), 0)
    guessing = {"tpr_at_1pct": 0.01, "tpr_at_01pct": 0.001, "auc": 0.5, "epsilon": 0.0}
    for seed in range(trials):
        scores = membership(*(visits(200, 3 * seed + i) for i in (100, 101, 102)), seed)
        for name, true in guessing.items():
            score = scores[f"membership_{name}"]
            assert score.low is not None
            high = np.inf if score.high is None else score.high
            wrong[name] += not score.low <= true <= high
    assert max(wrong.values()) <= binom.ppf(0.999, trials, 0.05)


def test_the_figures_of_rows_stand_beside_those_of_units() -> None:
    scores = membership(TRAIN, HOLDOUT, FRESH)
    groups = ("", "_isolated", "_minority")
    names = [name + group for group in groups for name in NAMES]
    assert list(scores) == [*names, *(f"row_{name}" for name in names)]
    units, rows = (scores[name].detail for name in ("membership_auc", "row_membership_auc"))
    assert rows["members"] > 0.9 * len(TRAIN)
    assert rows["rows"] == rows["members"] + rows["non_members"]
    assert units["rows"] == rows["rows"]
    assert units["members"] <= 1_200
    assert "training units of column 'patient'" in scores["membership_auc"].meaning


def test_a_unit_of_a_thousand_rows_counts_once() -> None:
    large = TRAIN.sample(1_000, random_state=0).assign(patient=9_999)
    train = pd.concat([TRAIN, large.assign(dose=large["dose"] + 5)], ignore_index=True)
    scores = membership(train, HOLDOUT, pd.concat([FRESH, train.tail(1_000)]))
    assert scores["membership_auc"].detail["members"] <= 1_200
    assert not alarms(scores)


def test_missing_units_are_units_of_one_row() -> None:
    gaps = [
        frame.assign(patient=frame["patient"].where(frame.index % 5 > 0)).head(900)
        for frame in (TRAIN, HOLDOUT)
    ]
    scores = membership(*gaps, FRESH)
    assert scores["membership_auc"].detail["members"] > 400
    assert not alarms(scores)


def test_without_a_holdout_of_units_every_score_says_so() -> None:
    two = HOLDOUT[HOLDOUT["patient"].isin(HOLDOUT["patient"].unique()[:3])]
    for holdout in (None, two):
        scores = membership(TRAIN, holdout, FRESH)
        assert all(score.value is None for score in scores.values())
        assert "needs a holdout" in scores["membership_auc"].meaning


def test_the_same_seed_gives_the_same_scores_of_units() -> None:
    given = TRAIN[:400], HOLDOUT[:300], FRESH[:400]
    assert membership(*given, seed=3) == membership(*given, seed=3)
    assert membership(*given, seed=3) != membership(*given, seed=4)


def replicas(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame
) -> dict[str, Score]:
    return {s.name: s for s in unit_replication(train, holdout, synthetic, SCHEMA)}


def test_a_unit_is_replicated_if_any_of_its_rows_is() -> None:
    kept = whole(0.1)
    scores = replicas(TRAIN, HOLDOUT, pd.concat([FRESH, kept.drop_duplicates("patient")]))
    for name in ("exact_replicas", "near_replicas"):
        assert scores[name].value == pytest.approx(0.1, abs=0.04)
        assert scores[name].low is not None
        assert scores[name].low > 0.05
    assert scores["records_at_risk"].value == pytest.approx(120, abs=6)
    assert scores["records_at_risk"].detail["members"] == 1_200
    rows = rows_of_units_at_risk(
        TRAIN, HOLDOUT, pd.concat([FRESH, kept.drop_duplicates("patient")]), SCHEMA
    )
    named = TRAIN.iloc[rows]
    assert kept["patient"].isin(named["patient"]).mean() > 0.95


def test_near_copies_of_units_are_at_risk() -> None:
    kept = whole(0.1).assign(dose=lambda frame: frame["dose"] + 1e-4)
    scores = replicas(TRAIN, HOLDOUT, pd.concat([FRESH, kept]))
    assert scores["exact_replicas"].value == 0
    assert scores["near_replicas"].low is not None
    assert scores["near_replicas"].low > 0.05
    assert (scores["records_at_risk"].value or 0) > 80


def test_a_row_that_one_unit_has_often_identifies_it_and_one_of_two_units_does_not() -> None:
    often = pd.concat([TRAIN, *[TRAIN.head(1)] * 3], ignore_index=True)
    scores = replicas(often, HOLDOUT, TRAIN.head(1))
    assert scores["exact_replicas"].value == pytest.approx(1 / 1_200)
    other = pd.concat([TRAIN, TRAIN.head(1).assign(patient=5)], ignore_index=True)
    assert replicas(other, HOLDOUT, TRAIN.head(1))["exact_replicas"].value == 0


def test_fresh_units_are_not_replicated() -> None:
    for seed in range(3):
        tables = [visits(500, 10 * (seed + 1) + i) for i in range(3)]
        scores = replicas(*tables)
        assert scores["records_at_risk"].value == 0
        assert scores["near_replicas"].low is not None
        assert scores["near_replicas"].low < 0.005


def test_words_say_what_the_units_are_called() -> None:
    scored = evaluate_frames(TRAIN[:900], HOLDOUT[:600], FRESH[:900], SCHEMA)
    scored, findings = with_verdict(scored, None)
    assert Evaluation.from_json(scored.to_json()).about["unit"]["column"] == "patient"
    by_score = {finding.score: finding for finding in findings}
    assert not [name for name in by_score if name.startswith("row_")]
    words = by_score["membership_tpr_at_1pct"].words
    counts = scored.about["unit"]["units"]
    assert f"a holdout of {counts['holdout']} units of column 'patient' is too small" in words
    assert words.endswith("judged by units of column 'patient'")
    line = f"Attacks and policy judge units of column 'patient', not rows: train {counts['train']}"
    for verbose in (False, True):
        console = Console(record=True, width=200, file=io.StringIO())
        console.print(summary(scored, verbose=verbose))
        text = console.export_text()
        assert line in text
        assert "Training units an attack may find" in text
        assert ("Row membership AUC" in text) == verbose
    page = render(scored)
    assert html.escape(line, quote=True).replace("&#x27;", "&#39;") in page
    assert "Row membership" not in page
    assert '"row_membership_auc"' in scored.to_json()


@pytest.mark.parametrize(
    "unit", [{"units": {}}, {"column": 3, "units": {}}, {"column": "a", "units": {"train": -1}}]
)
def test_a_damaged_unit_is_refused(unit: dict[str, object]) -> None:
    text = Evaluation((), {"unit": unit}).to_json()
    with pytest.raises(privsynth.errors.ArtefactError, match="missing or unknown"):
        Evaluation.from_json(text)


def verdicts(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame) -> list[str]:
    scored = evaluate_frames(train, holdout, synthetic, SCHEMA)
    return [f.score for f in apply_policy(scored, POLICIES["standard"]) if f.fails]


@pytest.mark.slow
def test_planted_units_fail_the_standard_policy_and_fresh_units_pass() -> None:
    for seed in range(3):
        assert not verdicts(
            visits(1_100, 20 + seed), visits(1_050, 30 + seed), visits(1_100, 40 + seed)
        )
        leaking = pd.concat([FRESH, whole(0.08, seed)], ignore_index=True)
        failed = verdicts(TRAIN, HOLDOUT, leaking)
        assert {"membership_tpr_at_1pct", "exact_replicas", "records_at_risk"} <= set(failed)
