"""The release gate: each threshold by itself, on made-up scores."""

from __future__ import annotations

import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privsynth.errors import ConfigError
from privsynth.evaluation.policy import (
    POLICIES,
    Finding,
    Policy,
    Verdict,
    apply_policy,
    findings_of,
    overall,
    passed,
)
from privsynth.evaluation.score import Evaluation, Score

STANDARD = POLICIES["standard"]

EXCESS = {"value": 0.01, "low": -0.01, "high": 0.01}
QUIET: dict[str, dict[str, float]] = {
    "exact_replicas": EXCESS,
    "near_replicas": EXCESS,
    "records_at_risk": {"value": 0.0},
    "membership_tpr_at_1pct": {"value": 0.011, "low": 0.006, "high": 0.018},
    "membership_tpr_at_01pct": {"value": 0.001, "low": 0.0002, "high": 0.004},
    "membership_epsilon": {"value": 0.1, "low": 0.0},
    "attribute_inference": EXCESS,
    "linkability": EXCESS,
    "singling_out_univariate": EXCESS,
    "singling_out_multivariate": EXCESS,
    "artefact_hits": {"value": 0.0},
}

LEAKS = [
    ("exact_replicas", {"value": 0.02, "low": 0.001, "high": 0.03}, 0.0),
    ("near_replicas", {"value": 0.02, "low": 0.006, "high": 0.03}, 0.005),
    ("records_at_risk", {"value": 1.0}, 0.0),
    ("membership_tpr_at_1pct", {"value": 0.03, "low": 0.021, "high": 0.04}, 0.02),
    ("membership_tpr_at_1pct_isolated", {"value": 0.2, "low": 0.021, "high": 0.4}, 0.02),
    ("membership_tpr_at_1pct_minority", {"value": 0.2, "low": 0.021, "high": 0.4}, 0.02),
    ("membership_tpr_at_01pct", {"value": 0.01, "low": 0.0031, "high": 0.04}, 0.003),
    ("membership_tpr_at_01pct_isolated", {"value": 0.01, "low": 0.0031, "high": 0.04}, 0.003),
    ("membership_tpr_at_01pct_minority", {"value": 0.01, "low": 0.0031, "high": 0.04}, 0.003),
    ("membership_epsilon", {"value": 2.0, "low": 1.01}, 1.0),
    ("membership_epsilon_isolated", {"value": 2.0, "low": 1.01}, 1.0),
    ("membership_epsilon_minority", {"value": 2.0, "low": 1.01}, 1.0),
    ("audit_epsilon", {"value": 1.2, "low": 1.2}, 1.0),
    ("attribute_inference", {"value": 0.8, "low": 0.051, "high": 0.2}, 0.05),
    ("attribute_inference_income", {"value": 0.8, "low": 0.051, "high": 0.2}, 0.05),
    ("linkability", {"value": 0.2, "low": 0.051, "high": 0.3}, 0.05),
    ("singling_out_univariate", {"value": 0.2, "low": 0.051, "high": 0.3}, 0.05),
    ("singling_out_multivariate", {"value": 0.2, "low": 0.051, "high": 0.3}, 0.05),
    ("artefact_hits", {"value": 1.0}, 0.0),
]
GRAVE = {"exact_replicas", "near_replicas", "records_at_risk"}


def attack(name: str, figures: Any) -> Score:
    return Score("attacks", name, better="lower", **figures)


def evaluation(holdout: int = 3_000, **changes: Any) -> Evaluation:
    """An evaluation in which nothing leaks, but for the changes; None takes a score out."""
    figures = {**QUIET, **changes}
    scores = tuple(attack(name, f) for name, f in figures.items() if f is not None)
    return Evaluation(scores, {"rows": {"train": 9_000, "holdout": holdout, "synthetic": 9_000}})


def of(findings: tuple[Finding, ...], name: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.score == name]
    return finding


@pytest.mark.parametrize("name", POLICIES)
def test_a_quiet_evaluation_passes_and_is_not_called_safe(name: str) -> None:
    findings = apply_policy(evaluation(), POLICIES[name])
    assert {finding.score for finding in findings} == set(QUIET)
    assert {finding.verdict for finding in findings} == {Verdict.NOT_FOUND}
    assert passed(findings)
    told = " ".join(str(finding) for finding in findings).lower()
    assert not any(word in told for word in ("anonymous", "compliant", "safe"))


@pytest.mark.parametrize(("name", "figures", "threshold"), LEAKS)
def test_each_threshold_is_held_by_itself(
    name: str, figures: dict[str, Any], threshold: float
) -> None:
    leaking = evaluation(**{name: figures})
    for policy in ("strict", "standard"):
        findings = apply_policy(leaking, POLICIES[policy])
        finding = of(findings, name)
        assert finding.verdict is Verdict.FAIL
        assert finding.threshold == threshold
        assert finding.bound == figures.get("low", figures["value"])
        assert [f.score for f in findings if f.fails] == [name]
        assert not passed(findings)
    inside = apply_policy(leaking, POLICIES["internal"])
    assert of(inside, name).verdict is (Verdict.FAIL if name in GRAVE else Verdict.WARN)
    assert passed(inside) == (name not in GRAVE)


@pytest.mark.parametrize(("name", "figures", "threshold"), LEAKS)
def test_a_bound_on_the_threshold_is_met(
    name: str, figures: dict[str, Any], threshold: float
) -> None:
    key = "low" if "low" in figures else "value"
    assert passed(
        apply_policy(evaluation(**{name: {**figures, key: threshold}}), POLICIES["strict"])
    )


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_only_the_bound_counts_and_not_the_figure(value: float, low: float) -> None:
    leaking = evaluation(linkability={"value": value, "low": low, "high": 1.0})
    assert passed(apply_policy(leaking, STANDARD)) == (low <= STANDARD.linkability)


# an attack on a replaced row bounds at most twice the epsilon of adding or removing one
@pytest.mark.parametrize(("name", "claim"), [("membership_epsilon", 0.25), ("audit_epsilon", 0.5)])
def test_a_claim_that_is_violated_fails_under_every_policy(name: str, claim: float) -> None:
    leaking = evaluation(**{name: {"value": 0.9, "low": 0.6}})
    assert passed(apply_policy(leaking, STANDARD))
    assert passed(apply_policy(leaking, STANDARD, claim=1.25 * claim))
    for policy in POLICIES.values():
        finding = of(apply_policy(leaking, policy, claim=claim), name)
        assert finding.verdict is Verdict.FAIL
        assert f"claim violated: epsilon is at least {1.2 * claim:.3g}" in finding.words
        assert finding.threshold == 0.5


def test_the_worst_verdict_is_that_of_all() -> None:
    assert overall(()) is Verdict.INCONCLUSIVE
    findings = apply_policy(evaluation(), STANDARD)
    assert overall(findings) is Verdict.NOT_FOUND
    few = apply_policy(evaluation(50), STANDARD)
    assert overall((*findings, *few)) is Verdict.INCONCLUSIVE
    leaking = evaluation(linkability={"value": 0.2, "low": 0.06, "high": 0.3})
    assert overall((*few, *apply_policy(leaking, POLICIES["internal"]))) is Verdict.WARN
    assert overall((*few, *apply_policy(leaking, STANDARD))) is Verdict.FAIL


def test_findings_come_back_from_an_evaluation_that_was_written() -> None:
    told = evaluation(50)
    findings = apply_policy(told, STANDARD)
    told = replace(told, about={**told.about, "findings": [asdict(f) for f in findings]})
    assert findings_of(Evaluation.from_json(told.to_json())) == findings
    assert findings_of(evaluation()) == ()


def test_distances_and_auc_are_never_gated() -> None:
    told = evaluation(
        dcr={"value": 0.0, "low": 1.0},
        nndr={"value": 0.0, "low": 1.0},
        membership_auc={"value": 1.0, "low": 1.0},
    )
    findings = apply_policy(told, POLICIES["strict"])
    assert {finding.score for finding in findings} == set(QUIET)
    assert passed(findings)


def test_few_holdout_rows_are_inconclusive_and_say_what_could_have_been_seen() -> None:
    figures = {"value": 0.0, "low": 0.0, "high": 0.07, "detail": {"members": 50.0}}
    small = evaluation(50, membership_tpr_at_1pct=figures)
    findings = apply_policy(small, STANDARD)
    finding = of(findings, "membership_tpr_at_1pct")
    assert finding.verdict is Verdict.INCONCLUSIVE
    # of 50 members, 4 hits have a Clopper-Pearson bound of 2.2%, and 3 one of 1.3%
    assert "about 8%" in finding.words
    assert of(findings, "artefact_hits").verdict is Verdict.NOT_FOUND
    assert passed(findings)
    assert passed(apply_policy(small, POLICIES["internal"]))
    assert not passed(apply_policy(small, POLICIES["strict"]))
    assert passed(apply_policy(small, POLICIES["strict"], holdout_rows=1_000))


def test_few_synthetic_rows_are_inconclusive_and_a_leak_in_them_still_fails() -> None:
    def of_rows(synthetic: int, **changes: Any) -> Evaluation:
        rows = {"train": 9_000, "holdout": 3_000, "synthetic": synthetic}
        return replace(evaluation(**changes), about={"rows": rows})

    assert {f.verdict for f in apply_policy(of_rows(100), STANDARD)} == {Verdict.NOT_FOUND}
    findings = apply_policy(of_rows(30), STANDARD)
    assert of(findings, "linkability").verdict is Verdict.INCONCLUSIVE
    assert "a synthetic table of 30 rows" in of(findings, "linkability").words
    assert of(findings, "artefact_hits").verdict is Verdict.NOT_FOUND
    leaking = of_rows(30, exact_replicas={"value": 0.1, "low": 0.01, "high": 0.2})
    assert of(apply_policy(leaking, STANDARD), "exact_replicas").verdict is Verdict.FAIL


def test_a_leak_that_few_rows_show_still_fails() -> None:
    small = evaluation(50, exact_replicas={"value": 1.0, "low": 0.9, "high": 1.0})
    assert of(apply_policy(small, STANDARD), "exact_replicas").verdict is Verdict.FAIL


def test_the_least_number_of_rows_at_risk_is_told() -> None:
    small = evaluation(600, records_at_risk={"value": 0.0, "detail": {"least": 12.0}})
    assert "fewer than 12 rows" in of(apply_policy(small, STANDARD), "records_at_risk").words


@pytest.mark.parametrize("figure", [None, math.nan])
def test_a_score_without_a_figure_is_inconclusive(figure: float | None) -> None:
    needy = {"value": figure, "low": figure, "meaning": "needs a holdout: nothing to compare"}
    findings = apply_policy(evaluation(linkability=needy), STANDARD)
    finding = of(findings, "linkability")
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "needs a holdout" in finding.words
    assert "any size" in finding.words


def test_an_attack_that_is_left_out_is_missed() -> None:
    for name in QUIET:
        strict = apply_policy(evaluation(**{name: None}), POLICIES["strict"])
        assert of(strict, name).verdict is Verdict.INCONCLUSIVE
        assert not passed(strict)


def test_an_empty_evaluation_is_all_inconclusive() -> None:
    findings = apply_policy(Evaluation(()), STANDARD)
    assert {finding.verdict for finding in findings} == {Verdict.INCONCLUSIVE}


def test_floors_are_held_against_the_lower_end() -> None:
    def with_floor(least: float, **figures: Any) -> Finding:
        score = Score("fidelity", "marginal_agreement_1way", **figures)
        quiet = evaluation()
        told = replace(quiet, scores=(*quiet.scores, score))
        return apply_policy(told, replace(STANDARD, floors={"marginal_agreement_1way": least}))[-1]

    assert with_floor(0.9, value=0.95, low=0.91, high=0.97).verdict is Verdict.MET
    assert with_floor(0.9, value=0.95, low=0.89, high=0.97).verdict is Verdict.FAIL
    assert with_floor(0.9, value=0.95).verdict is Verdict.MET
    assert with_floor(0.9, value=0.85).fails
    assert with_floor(0.9, value=None, meaning="too few rows").verdict is Verdict.INCONCLUSIVE
    wrong = with_floor(0.9, value=0.95, better="lower")
    assert wrong.fails
    assert "more is not better" in wrong.words


def test_a_floor_on_a_score_that_is_not_there_fails_and_names_the_nearest() -> None:
    finding = apply_policy(evaluation(), replace(STANDARD, floors={"linkabilty": 0.5}))[-1]
    assert finding.fails
    assert "'linkability'" in finding.words


def test_a_policy_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("linkability: 0.2\ninconclusive: fail\nfloors: {tstr_f1: 0.5}\n")
    policy = Policy.of(path)
    assert policy == Policy("custom", linkability=0.2, inconclusive="fail", floors={"tstr_f1": 0.5})
    assert Policy.from_dict(policy.to_dict()) == policy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("linkabilty: 0.1", "unknown key 'linkabilty'; did you mean 'linkability'"),
        ("linkability: 2", "expected 'linkability' as a share between 0 and 1"),
        ("linkability: -0.1", "expected 'linkability' as a share"),
        ("linkability: yes", "expected 'linkability' as a share"),
        ("linkability: .nan", "expected 'linkability' as a share"),
        ("membership_epsilon: .inf", "expected 'membership_epsilon' as a number"),
        ("inconclusive: maybe", "expected 'inconclusive' as warn or fail"),
        ("missed: ignore", "expected 'missed' as warn or fail"),
        ("floors: 0.9", "expected 'floors' as"),
        ("floors: {tstr_f1: high}", "expected 'floors' as"),
        ("name: strict", "built-in"),
        ("name: 1", "expected 'name' as a text"),
        ("- strict", "is not a mapping"),
        ("name: !!python/name:os.system x", "plain YAML"),
    ],
)
def test_a_policy_file_that_is_wrong_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Policy.of(path)
    assert "p.yaml" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_policy_names_those_there_are() -> None:
    assert Policy.of("strict") is POLICIES["strict"]
    with pytest.raises(ConfigError, match=r"'strict'.*known: strict, standard, internal"):
        Policy.of("stricht")
    with pytest.raises(ConfigError, match="cannot be read"):
        Policy.of("not_there.yaml")


def test_a_built_in_name_cannot_stand_for_other_thresholds() -> None:
    assert Policy.from_dict(STANDARD.to_dict()) == STANDARD
    with pytest.raises(ConfigError, match="does not have its own thresholds"):
        Policy.from_dict({**STANDARD.to_dict(), "linkability": 0.9})


def test_every_threshold_is_tested_here() -> None:
    numbers = {key.name for key in fields(Policy) if key.type == "float"}
    grouped = {"replication", "near_replication", "singling_out"}
    assert numbers - grouped <= {name for name, _, _ in LEAKS}


def test_the_shipped_policy_is_read() -> None:
    folder = Path(__file__).parents[2] / "configs" / "policies"
    for path in folder.glob("*.yaml"):
        assert Policy.of(path).name == path.stem
