"""The release gate: thresholds on what attacks have shown, and a verdict for each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from privsynth.config import read_settings
from privsynth.errors import ArtefactError, ConfigError, did_you_mean
from privsynth.evaluation.score import Evaluation, Score

__all__ = [
    "HOLDOUT_ROWS",
    "POLICIES",
    "SYNTHETIC_ROWS",
    "Finding",
    "Policy",
    "Verdict",
    "apply_policy",
    "findings_of",
    "overall",
    "passed",
    "policy_file",
    "with_verdict",
]

HOLDOUT_ROWS = 1_000
"""Minimum holdout rows for the verdict "no leak found": 0.1% of fewer is less than one row."""
SYNTHETIC_ROWS = 100
"""Minimum synthetic rows for that verdict: fewer show an attacker hardly anything."""


class Verdict(StrEnum):
    """What a policy concludes from a score. None of the verdicts means a table without risk."""

    FAIL = "FAIL"
    WARN = "WARN"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_FOUND = "no leak found by these attacks"
    MET = "floor met"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


@dataclass(frozen=True)
class Policy:
    """Thresholds: how much attacks may show at most, and how good a table must be at least.

    A threshold is compared with the lower end of a score's 95% interval, so chance alone rarely
    explains a threshold that is missed.

    Parameters
    ----------
    name : str
    replication, near_replication : float
        Share of training rows replicated, exactly and nearly, above that of holdout rows.
    records_at_risk : float
        Number of training rows that may be named as repeated.
    membership_tpr_at_1pct, membership_tpr_at_01pct : float
        Share of members found at a false-positive rate of 1% and of 0.1%.
    membership_epsilon : float
        Empirical epsilon of replacing a row. Violating the *claim* fails under every policy.
    attribute_inference, linkability, singling_out : float
        Success on training rows beyond that on holdout rows.
    artefact_hits : float
        Number of hits that the scan of model, schema, report and log may have.
    floors : mapping of str to float
        Name of a fidelity or utility score -> minimum of the lower end of its interval.
    inconclusive : {"warn", "fail"}
        The verdict on a question that could not be answered.
    missed : {"fail", "warn"}
        The verdict on a missed threshold. Replication and records at risk fail even under
        "warn".

    Raises
    ------
    ConfigError
        A value is of the wrong type or out of range.

    Notes
    -----
    Linkability and singling out have the 5 points of attribute inference: all three are an excess
    over the holdout, 0 for an honest table, so the lower end of the interval is above 5 points
    only if about one guess in ten succeeds because the row was trained on. Near replicas have half
    a point: a model that learns a distribution comes slightly nearer to its own rows without
    repeating any of them.
    """

    name: str = "standard"
    replication: float = 0.0
    near_replication: float = 0.005
    records_at_risk: float = 0.0
    membership_tpr_at_1pct: float = 0.02
    membership_tpr_at_01pct: float = 0.003
    membership_epsilon: float = 1.0
    attribute_inference: float = 0.05
    linkability: float = 0.05
    singling_out: float = 0.05
    artefact_hits: float = 0.0
    floors: Mapping[str, float] = field(default_factory=dict)
    inconclusive: Literal["warn", "fail"] = "warn"
    missed: Literal["fail", "warn"] = "fail"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigError("expected 'name' as a text")
        for key in ("inconclusive", "missed"):
            if getattr(self, key) not in ("warn", "fail"):
                raise ConfigError(f"expected {key!r} as warn or fail")
        for key in _THRESHOLDS:
            limit = math.inf if key in _UNBOUNDED else 1.0
            value = getattr(self, key)
            if not _is_number(value) or not 0 <= value <= limit:
                expected = "a number from 0" if limit == math.inf else "a share between 0 and 1"
                raise ConfigError(f"expected {key!r} as {expected}")
        if not isinstance(self.floors, Mapping) or not all(
            isinstance(name, str) and _is_number(floor) for name, floor in self.floors.items()
        ):
            raise ConfigError("expected 'floors' as names of scores, each with its minimum")

    @classmethod
    def of(cls, source: str | Path) -> Policy:
        """Return a built-in policy by name, or read a policy file.

        Raises
        ------
        ConfigError
            There is neither such a policy nor such a file, or the file cannot be used.
        """
        if source in POLICIES:
            return POLICIES[str(source)]
        if Path(source).exists() or Path(source).suffix in (".yaml", ".yml"):
            return cls.from_yaml(source)
        raise ConfigError(
            f"{source}: is neither a built-in policy nor an existing file"
            f"{did_you_mean(source, POLICIES)}"
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a policy from a YAML file; missing keys are those of ``standard``.

        Raises
        ------
        ConfigError
            The file cannot be read, is not plain YAML, has an unknown key or a built-in name, or a
            value is of the wrong type or out of range.
        """
        path = Path(path)
        state = read_settings(path, [key.name for key in fields(cls)])
        try:
            policy = cls(**{"name": "custom", **state})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        if policy.name in POLICIES:
            raise ConfigError(
                f"{path}: 'name' is that of a built-in policy; give the policy a name of its own"
            )
        return policy

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a policy; refuse a built-in name with other thresholds."""
        policy = cls(**state)
        if POLICIES.get(policy.name, policy) != policy:
            raise ConfigError(f"policy {policy.name!r} does not have its own thresholds")
        return policy


_THRESHOLDS = tuple(key.name for key in fields(Policy) if key.type == "float")
_UNBOUNDED = ("records_at_risk", "membership_epsilon", "artefact_hits")

POLICIES: Mapping[str, Policy] = {
    "strict": Policy("strict", inconclusive="fail"),
    "standard": Policy(),
    "internal": Policy("internal", missed="warn"),
}
"""The built-in policies, by name."""


def policy_file(given: Policy | str | Path | None) -> Path | None:
    """Return the file of a policy; None if it is built in or not a path."""
    return Path(given) if isinstance(given, str | Path) and given not in POLICIES else None


@dataclass(frozen=True)
class Finding:
    """The verdict on one score.

    Parameters
    ----------
    score : str
        Its name.
    verdict : Verdict
    fails : bool
        Whether it stops a release.
    bound : float or None
        What is compared with the threshold: the lower end of the interval, or a count.
    threshold : float
    words : str
        One line for the reader.
    """

    score: str
    verdict: Verdict
    fails: bool
    bound: float | None
    threshold: float
    words: str

    def __str__(self) -> str:
        return f"{self.score}: {self.verdict}: {self.words}"


def with_verdict(
    evaluation: Evaluation, policy: Policy | None, *, claim: float = math.inf
) -> tuple[Evaluation, tuple[Finding, ...]]:
    """Apply a policy, and record its findings in the evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    policy : Policy, optional
        Without one, ``standard`` is applied, and the evaluation says that none was given.
    claim : float
        As in `apply_policy`.

    Returns
    -------
    evaluation : Evaluation
        With the policy, its findings, and a note on each.
    findings : tuple of Finding
    """
    applied = POLICIES["standard"] if policy is None else policy
    findings = apply_policy(evaluation, applied, claim=claim)
    verdict = {
        "policy": applied.to_dict(),
        "policy_given": policy is not None,
        "findings": [asdict(finding) for finding in findings],
    }
    notes = tuple(f"policy {applied.name}: {finding}" for finding in findings)
    recorded = replace(
        evaluation,
        about={**evaluation.about, **verdict},
        notes=(*evaluation.notes, *notes),
    )
    return recorded, findings


def apply_policy(
    evaluation: Evaluation,
    policy: Policy,
    *,
    holdout_rows: int | None = None,
    claim: float = math.inf,
) -> tuple[Finding, ...]:
    """Apply a policy to an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
    policy : Policy
    holdout_rows : int, optional
        Number of rows, or of units where these are judged, that the attacks compared with; by
        default what the evaluation states.
    claim : float
        The epsilon claimed for adding or removing a row; infinite if there is none. An attack that
        bounds the epsilon of replacing a row, which is at most twice that, is compared with twice
        the claim.

    Returns
    -------
    tuple of Finding
        One per gated score, in the evaluation's order; then required scores that are absent; then
        the floors. Single columns appear only if they miss the threshold.

    Notes
    -----
    DCR, NNDR and AUC are diagnostics and are never gated.
    """
    stated_rows = evaluation.about.get("rows")
    rows: Mapping[str, int] = stated_rows if isinstance(stated_rows, Mapping) else {}
    held_out = evaluation.counted("holdout") if holdout_rows is None else holdout_rows
    judged = evaluation.unit or "rows"
    few = _few(held_out, int(rows.get("synthetic", SYNTHETIC_ROWS)), judged)
    findings = [
        _of_units(finding, judged) if evaluation.unit and rule.holdout else finding
        for score in evaluation
        if score.family == "attacks" and (rule := _rule(score.name)) is not None
        for finding in _on_score(score, rule, policy, few, claim, judged)
    ]
    names = {score.name for score in evaluation if score.family == "attacks"}
    absent = [
        _inconclusive(name, policy, getattr(policy, rule.threshold), "was not measured")
        for name, rule in _RULES.items()
        if rule.required and name not in names
    ]
    return (*findings, *absent, *_floors(evaluation, policy))


def passed(findings: Iterable[Finding]) -> bool:
    """Return whether nothing among the findings stops a release."""
    return not any(finding.fails for finding in findings)


def overall(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict among the findings; INCONCLUSIVE if there are none."""
    verdicts = {finding.verdict for finding in findings}
    for verdict in (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE):
        if verdict in verdicts:
            return verdict
    return Verdict.NOT_FOUND if verdicts else Verdict.INCONCLUSIVE


def findings_of(evaluation: Evaluation) -> tuple[Finding, ...]:
    """Return the findings stored in an evaluation, in order; empty if no policy was applied.

    Raises
    ------
    ArtefactError
        A finding is damaged.
    """
    try:
        return tuple(
            Finding(**{**state, "verdict": Verdict(state["verdict"])})
            for state in evaluation.about.get("findings", ())
        )
    except (LookupError, TypeError, ValueError):
        raise ArtefactError("a finding of the evaluation is damaged; evaluate again") from None


@dataclass(frozen=True)
class _Rule:
    """How one score is gated: the threshold, and what the score depends on.

    Parameters
    ----------
    threshold : str
        The policy's field.
    unit : {"share", "excess", "epsilon", "count"}
    holdout : bool
        Whether the score depends on a holdout, and so needs enough holdout rows.
    grave : bool
        Whether missing the threshold fails under every policy.
    required : bool
        Whether the score's absence is inconclusive.
    steps : int
        Of an epsilon: number of rows added or removed between its two tables.
    """

    threshold: str
    unit: Literal["share", "excess", "epsilon", "count"] = "share"
    holdout: bool = True
    grave: bool = False
    required: bool = True
    steps: int = 1


_RULES: Mapping[str, _Rule] = {
    "exact_replicas": _Rule("replication", "excess", grave=True),
    "near_replicas": _Rule("near_replication", "excess", grave=True),
    "records_at_risk": _Rule("records_at_risk", "count", grave=True),
    "membership_tpr_at_1pct": _Rule("membership_tpr_at_1pct"),
    "membership_tpr_at_01pct": _Rule("membership_tpr_at_01pct"),
    "membership_epsilon": _Rule("membership_epsilon", "epsilon", steps=2),
    "audit_epsilon": _Rule("membership_epsilon", "epsilon", holdout=False, required=False),
    "attribute_inference": _Rule("attribute_inference", "excess"),
    "linkability": _Rule("linkability", "excess"),
    "singling_out_univariate": _Rule("singling_out", "excess"),
    "singling_out_multivariate": _Rule("singling_out", "excess"),
    "artefact_hits": _Rule("artefact_hits", "count", holdout=False),
}
_GROUPS = ("_isolated", "_minority")
_BY_COLUMN = "attribute_inference_"


def _rule(name: str) -> _Rule | None:
    if name.startswith(_BY_COLUMN):
        return _RULES["attribute_inference"]
    for group in _GROUPS:
        if name.startswith("membership_") and name.endswith(group):
            name = name.removesuffix(group)
    return _RULES.get(name)


def _of_units(finding: Finding, judged: str) -> Finding:
    return replace(finding, words=f"{finding.words}; judged by {judged}")


def _few(holdout: int, synthetic: int, judged: str = "rows") -> str:
    """Return which table is too small for an attack to be conclusive; empty if none is."""
    if holdout < HOLDOUT_ROWS:
        least = f"at least {HOLDOUT_ROWS:,} are needed"
        return f"a holdout of {holdout:,} {judged} is too small; {least}"
    if synthetic < SYNTHETIC_ROWS:
        needed = SYNTHETIC_ROWS
        return f"a synthetic table of {synthetic:,} rows is too small; at least {needed} are needed"
    return ""


def _on_score(
    score: Score, rule: _Rule, policy: Policy, few: str, claim: float, judged: str
) -> Iterator[Finding]:
    threshold = float(getattr(policy, rule.threshold))
    bound = _finite(score.value if rule.unit == "count" else score.low)
    allowed = min(threshold, rule.steps * claim) if rule.unit == "epsilon" else threshold
    if bound is not None and bound > allowed:
        yield _missed(score, rule, policy, bound, allowed, claim)
    elif score.name.startswith(_BY_COLUMN):
        return
    elif bound is None:
        why = score.meaning or "could not be measured"
        yield _inconclusive(score.name, policy, allowed, why)
    elif rule.holdout and few:
        why = f"{few}; {_detectable_leak(score, rule, allowed, judged)}"
        yield _inconclusive(score.name, policy, allowed, why, bound)
    else:
        words = f"{_text(max(bound, 0), rule)} shown, and {_text(allowed, rule)} is allowed"
        if rule.unit == "count":
            words = f"{_text(bound, rule)} found, and {_text(allowed, rule)} allowed"
        yield Finding(score.name, Verdict.NOT_FOUND, False, bound, allowed, words)


def _missed(
    score: Score, rule: _Rule, policy: Policy, bound: float, allowed: float, claim: float
) -> Finding:
    violated = rule.unit == "epsilon" and bound > rule.steps * claim
    fails = rule.grave or violated or policy.missed == "fail"
    how = "" if rule.unit == "count" else "at least "
    words = f"{how}{_text(bound, rule)} was found, and policy {policy.name!r} allows"
    words = f"{words} {_text(allowed, rule)}"
    if score.name == "artefact_hits" and score.meaning:
        words = f"{words}; {score.meaning}"  # columns, rules and places
    if violated:
        per_row = bound / rule.steps
        words = f"claim violated: epsilon is at least {per_row:.3g}, and {claim:.3g} is claimed"
    verdict = Verdict.FAIL if fails else Verdict.WARN
    return Finding(score.name, verdict, fails, bound, allowed, words)


def _inconclusive(
    name: str, policy: Policy, threshold: float, why: str, bound: float | None = None
) -> Finding:
    if bound is None:
        why = f"{why}; a leak of any size would have gone unseen"
    fails = policy.inconclusive == "fail"
    return Finding(name, Verdict.INCONCLUSIVE, fails, bound, threshold, why)


def _floors(evaluation: Evaluation, policy: Policy) -> Iterator[Finding]:
    scores = {score.name: score for score in reversed(evaluation.scores)}
    missed = Verdict.FAIL if policy.missed == "fail" else Verdict.WARN
    for name, value in policy.floors.items():
        floor = float(value)
        score = scores.get(name)
        if score is None:
            hint = did_you_mean(name, scores)
            words = f"a floor of {floor:.3g} is set, and there is no such score{hint}"
            yield Finding(name, Verdict.FAIL, True, None, floor, words)
            continue
        bound = _finite(score.value if score.low is None else score.low)
        if score.better != "higher":
            words = f"a floor of {floor:.3g} is set on a score of which more is not better"
            yield Finding(name, Verdict.FAIL, True, bound, floor, words)
        elif bound is None:
            why = score.meaning or "could not be measured"
            fails = policy.inconclusive == "fail"
            yield Finding(name, Verdict.INCONCLUSIVE, fails, None, floor, why)
        elif bound < floor:
            words = f"at least {bound:.3g} was reached; expected {floor:.3g}"
            yield Finding(name, missed, policy.missed == "fail", bound, floor, words)
        else:
            words = f"at least {bound:.3g} was reached; expected {floor:.3g}"
            yield Finding(name, Verdict.MET, False, bound, floor, words)


def _detectable_leak(score: Score, rule: _Rule, threshold: float, judged: str) -> str:
    """Describe how large a leak must be for its lower bound to exceed the threshold."""
    members = int(score.detail.get("members", 0))
    if rule.unit == "count" and "least" in score.detail:
        return f"fewer than {score.detail['least']:,.0f} {judged} would have gone unseen"
    if rule.unit == "share" and members:
        smallest = _min_share(members, threshold)
    elif score.low is not None and score.high is not None:
        # Half the width of this interval above the threshold.
        smallest = threshold + (score.high - score.low) / 2
    else:
        return f"no leak up to {_text(threshold, rule)} could have been seen"
    return f"the smallest leak that could have been seen is about {_text(smallest, rule)}"


def _min_share(n: int, threshold: float) -> float:
    """Return the smallest share of `n` whose lower Clopper-Pearson bound exceeds the threshold."""
    import numpy as np
    from scipy.stats import beta

    hits = np.arange(1, n + 1)
    above = beta.ppf(0.025, hits, n - hits + 1) > threshold
    return float(hits[above][0] / n) if above.any() else 1.0


def _text(figure: float, rule: _Rule) -> str:
    if rule.unit == "count":
        return f"{figure:,.0f}"
    if rule.unit == "epsilon":
        return f"epsilon {figure:.3g}"
    points = " points" if rule.unit == "excess" else "%"
    return f"{100 * figure:.3g}{points}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
