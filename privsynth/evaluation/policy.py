"""The release gate: thresholds on what the attacks have shown, and a verdict for each."""

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
"""The fewest holdout rows on which "no leak found" is said: of fewer, 0.1% is less than one."""
SYNTHETIC_ROWS = 100
"""The fewest synthetic rows of which it is said: fewer show an attacker hardly anything."""


class Verdict(StrEnum):
    """What a policy concludes from a score. No verdict means that a table is without risk."""

    FAIL = "FAIL"
    WARN = "WARN"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_FOUND = "no leak found by these attacks"
    MET = "floor met"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


@dataclass(frozen=True)
class Policy:
    """Thresholds: the most that attacks may show, and the least that a table must be worth.

    A threshold is held against the lower end of a score's 95% interval: what is missed was shown,
    and is not a matter of chance.

    Parameters
    ----------
    name : str
    replication, near_replication : float
        Share of training rows replicated, exactly and nearly, above that of holdout rows.
    records_at_risk : float
        How many training rows may be named as repeated.
    membership_tpr_at_1pct, membership_tpr_at_01pct : float
        Members that are found at a false-positive rate of 1% and of 0.1%.
    membership_epsilon : float
        Empirical epsilon, of replacing a row. What breaks the *claim* fails under every policy.
    attribute_inference, linkability, singling_out : float
        Success on training rows beyond that on holdout rows.
    artefact_hits : float
        What the scan of model, schema, report and log may find.
    floors : mapping of str to float
        A fidelity or utility score's name -> the least that the lower end of its interval may be.
    inconclusive : {"warn", "fail"}
        What a question is that could not be answered.
    missed : {"fail", "warn"}
        What a missed threshold is. Replication and records at risk fail even under "warn".

    Raises
    ------
    ConfigError
        A value is of the wrong type or out of range.

    Notes
    -----
    Linkability and singling out stand at the 5 points of attribute inference: all three are an
    excess over the holdout, 0 for an honest table, so the lower end of the interval is above 5
    points only where about one guess in ten or so succeeds because the row was trained on. Near
    replicas have half a point: a model that learns how rows lie comes a little nearer to its own,
    and repeats none of them.
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
            most = math.inf if key in _UNBOUNDED else 1.0
            value = getattr(self, key)
            if not _number(value) or not 0 <= value <= most:
                expected = "a number from 0" if most == math.inf else "a share between 0 and 1"
                raise ConfigError(f"expected {key!r} as {expected}")
        if not isinstance(self.floors, Mapping) or not all(
            isinstance(name, str) and _number(least) for name, least in self.floors.items()
        ):
            raise ConfigError("expected 'floors' as names of scores, each with its least value")

    @classmethod
    def of(cls, given: str | Path) -> Policy:
        """Return a built-in policy by its name, or read a file.

        Raises
        ------
        ConfigError
            There is no such policy, or the file cannot be used.
        """
        if given in POLICIES:
            return POLICIES[str(given)]
        if Path(given).exists() or Path(given).suffix in (".yaml", ".yml"):
            return cls.from_yaml(given)
        raise ConfigError(
            f"{given}: is neither a policy nor a file that is there{did_you_mean(given, POLICIES)}"
        )

    @classmethod
    def from_yaml(cls, path: str | Path) -> Self:
        """Read a policy from a YAML file; what it leaves out is that of ``standard``.

        Raises
        ------
        ConfigError
            The file cannot be read, is no plain YAML, has an unknown key or a built-in's name, or
            a value is of the wrong type or out of range.
        """
        path = Path(path)
        state = read_settings(path, [key.name for key in fields(cls)])
        try:
            policy = cls(**{"name": "custom", **state})
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from None
        if policy.name in POLICIES:
            raise ConfigError(
                f"{path}: 'name' is that of a policy that is built in; give it its own"
            )
        return policy

    def to_dict(self) -> dict[str, Any]:
        """Return the policy as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a policy; a built-in's name with other thresholds is refused."""
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
"""The policies that are built in, by name."""


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
        What was held against the threshold: the lower end of the interval, or a count.
    threshold : float
    words : str
        One line for a person.
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
        How many rows the attacks had to compare with; by default what the evaluation says.
    claim : float
        The epsilon that is claimed for adding or removing a row; infinite where none is. An attack
        that bounds the epsilon of replacing one, which is at most twice that, is held against
        twice the claim.

    Returns
    -------
    tuple of Finding
        One a score that is gated, in the evaluation's order; those that are wanted and absent; the
        floors. Single columns are named only where they miss the threshold.

    Notes
    -----
    DCR, NNDR and AUC are diagnostics and are never gated.
    """
    stated_rows = evaluation.about.get("rows")
    rows: Mapping[str, int] = stated_rows if isinstance(stated_rows, Mapping) else {}
    held_out = int(rows.get("holdout", 0)) if holdout_rows is None else holdout_rows
    few = _few(held_out, int(rows.get("synthetic", SYNTHETIC_ROWS)))
    findings = [
        finding
        for score in evaluation
        if score.family == "attacks" and (rule := _rule(score.name)) is not None
        for finding in _judged(score, rule, policy, few, claim)
    ]
    names = {score.name for score in evaluation if score.family == "attacks"}
    absent = [
        _inconclusive(name, policy, getattr(policy, rule.threshold), "was not measured")
        for name, rule in _RULES.items()
        if rule.wanted and name not in names
    ]
    return (*findings, *absent, *_floors(evaluation, policy))


def passed(findings: Iterable[Finding]) -> bool:
    """Return whether nothing among the findings stops a release."""
    return not any(finding.fails for finding in findings)


def overall(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict among the findings; without any, nothing can be concluded."""
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
        One is damaged.
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
    """How one score is gated: by which threshold, and what it rests on.

    Parameters
    ----------
    threshold : str
        Which of the policy's.
    unit : {"share", "excess", "epsilon", "count"}
    holdout : bool
        Whether it rests on a holdout, and so wants enough of its rows.
    grave : bool
        Whether to miss it fails under every policy.
    wanted : bool
        Whether it is inconclusive where it was not measured.
    steps : int
        Of an epsilon: how many rows are added or removed between its two tables.
    """

    threshold: str
    unit: Literal["share", "excess", "epsilon", "count"] = "share"
    holdout: bool = True
    grave: bool = False
    wanted: bool = True
    steps: int = 1


_RULES: Mapping[str, _Rule] = {
    "exact_replicas": _Rule("replication", "excess", grave=True),
    "near_replicas": _Rule("near_replication", "excess", grave=True),
    "records_at_risk": _Rule("records_at_risk", "count", grave=True),
    "membership_tpr_at_1pct": _Rule("membership_tpr_at_1pct"),
    "membership_tpr_at_01pct": _Rule("membership_tpr_at_01pct"),
    "membership_epsilon": _Rule("membership_epsilon", "epsilon", steps=2),
    "audit_epsilon": _Rule("membership_epsilon", "epsilon", holdout=False, wanted=False),
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


def _few(holdout: int, synthetic: int) -> str:
    """Return which table is too small for an attack to be conclusive; empty if none is."""
    if holdout < HOLDOUT_ROWS:
        return f"a holdout of {holdout:,} rows is too small; at least {HOLDOUT_ROWS:,} are needed"
    if synthetic < SYNTHETIC_ROWS:
        least = SYNTHETIC_ROWS
        return f"a synthetic table of {synthetic:,} rows is too small; at least {least} are needed"
    return ""


def _judged(score: Score, rule: _Rule, policy: Policy, few: str, claim: float) -> Iterator[Finding]:
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
        why = f"{few}; {_smallest(score, rule, allowed)}"
        yield _inconclusive(score.name, policy, allowed, why, bound)
    else:
        words = f"{_spelt(max(bound, 0), rule)} shown, and {_spelt(allowed, rule)} is allowed"
        if rule.unit == "count":
            words = f"{_spelt(bound, rule)} found, and {_spelt(allowed, rule)} allowed"
        yield Finding(score.name, Verdict.NOT_FOUND, False, bound, allowed, words)


def _missed(
    score: Score, rule: _Rule, policy: Policy, bound: float, allowed: float, claim: float
) -> Finding:
    violated = rule.unit == "epsilon" and bound > rule.steps * claim
    fails = rule.grave or violated or policy.missed == "fail"
    how = "" if rule.unit == "count" else "at least "
    words = f"{how}{_spelt(bound, rule)} was found, and policy {policy.name!r} allows"
    words = f"{words} {_spelt(allowed, rule)}"
    if score.name == "artefact_hits" and score.meaning:
        words = f"{words}; {score.meaning}"  # which columns and rules, and where
    if violated:
        least = bound / rule.steps
        words = f"claim violated: epsilon is at least {least:.3g}, and {claim:.3g} is claimed"
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
    for name, floor in policy.floors.items():
        least = float(floor)
        score = scores.get(name)
        if score is None:
            hint = did_you_mean(name, scores)
            words = f"a floor of {least:.3g} is set, and there is no such score{hint}"
            yield Finding(name, Verdict.FAIL, True, None, least, words)
            continue
        bound = _finite(score.value if score.low is None else score.low)
        if score.better != "higher":
            words = f"a floor of {least:.3g} is set on a score of which more is not better"
            yield Finding(name, Verdict.FAIL, True, bound, least, words)
        elif bound is None:
            why = score.meaning or "could not be measured"
            fails = policy.inconclusive == "fail"
            yield Finding(name, Verdict.INCONCLUSIVE, fails, None, least, why)
        elif bound < least:
            words = f"at least {bound:.3g} was reached; expected {least:.3g}"
            yield Finding(name, missed, policy.missed == "fail", bound, least, words)
        else:
            words = f"at least {bound:.3g} was reached; expected {least:.3g}"
            yield Finding(name, Verdict.MET, False, bound, least, words)


def _smallest(score: Score, rule: _Rule, threshold: float) -> str:
    """Return how large a leak must be for its lower bound to pass the threshold."""
    members = int(score.detail.get("members", 0))
    if rule.unit == "count" and "least" in score.detail:
        return f"fewer than {score.detail['least']:,.0f} rows would have gone unseen"
    if rule.unit == "share" and members:
        least = _least_share(members, threshold)
    elif score.low is not None and score.high is not None:
        # As far above the threshold as this interval reaches to one side of its middle.
        least = threshold + (score.high - score.low) / 2
    else:
        return f"no leak up to {_spelt(threshold, rule)} could have been seen"
    return f"the smallest leak that could have been seen is about {_spelt(least, rule)}"


def _least_share(n: int, threshold: float) -> float:
    """Return the least share of `n` whose Clopper-Pearson bound (95%) is above the threshold."""
    import numpy as np
    from scipy.stats import beta

    hits = np.arange(1, n + 1)
    above = beta.ppf(0.025, hits, n - hits + 1) > threshold
    return float(hits[above][0] / n) if above.any() else 1.0


def _spelt(figure: float, rule: _Rule) -> str:
    if rule.unit == "count":
        return f"{figure:,.0f}"
    if rule.unit == "epsilon":
        return f"epsilon {figure:.3g}"
    points = " points" if rule.unit == "excess" else "%"
    return f"{100 * figure:.3g}{points}"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
