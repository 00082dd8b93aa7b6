"""What every form of the report shares: the order of the scores and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from privsynth.evaluation import Evaluation, Finding, Score, Verdict, findings_of, overall, passed

__all__ = [
    "DASH",
    "Judgement",
    "Risk",
    "facts",
    "families",
    "figure",
    "headlines",
    "interval",
    "judgement",
    "label",
    "notes",
    "of_augmentation",
    "of_difference",
    "risks",
    "unit",
]

DASH = "–"

HEADLINES = (
    "marginal_agreement_2way",
    "sdmetrics_quality",
    "tstr_roc_auc_hist_gradient_boosting",
    "tstr_pr_auc_hist_gradient_boosting",
    "tstr_r2_hist_gradient_boosting",
)
"""The scores that are shown first, if the evaluation has them."""

RISKS = {
    "membership_tpr_at_1pct": "Training {} an attack may find",
    "membership_tpr_at_1pct_minority": "The same of the rarest class",
}
"""The scores whose upper bounds are headlines, and the words for each."""
BESIDE = "row_"
"""What the names of the figures of rows begin with that stand beside those of units."""
GAIN = "gain_pr_auc_"
DIFFERENCES = ("exact_replicas", "near_replicas", "attribute_inference")

_SPELLINGS = {
    "1way": "1-way",
    "2way": "2-way",
    "3way": "3-way",
    "01pct": "0.1%",
    "1pct": "1%",
    "auc": "AUC",
    "f1": "F1",
    "mae": "MAE",
    "pr": "PR",
    "r2": "R²",
    "roc": "ROC",
    "sdmetrics": "SDMetrics",
    "tpr": "TPR",
    "tstr": "TSTR",
}


def label(name: str) -> str:
    """Return a score's name as words: ``"tstr_roc_auc_ridge"`` is ``"TSTR ROC AUC ridge"``."""
    words = [_SPELLINGS.get(word, word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def figure(value: float | None) -> str:
    """Return a figure with three decimals, or as a whole number from 100 up."""
    if value is None:
        return DASH
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def interval(score: Score) -> str:
    """Return a score's 95% interval."""
    if score.low is None or score.high is None:
        return DASH
    what = "difference " if of_difference(score) else ""
    return f"{what}{figure(score.low)} to {figure(score.high)}"


def of_difference(score: Score) -> bool:
    """Return whether a score's interval is of its difference from the holdout."""
    return score.family == "attacks" and score.name.startswith(DIFFERENCES)


@dataclass(frozen=True)
class Risk:
    """The worst attack's upper confidence bound.

    Parameters
    ----------
    words : str
        What the bound is about.
    bound : float or None
        The upper end of the interval; None if it is not known.
    beside : str
        What to compare it with, or why it is not known.
    """

    words: str
    bound: float | None
    beside: str


@dataclass(frozen=True)
class Judgement:
    """What a policy says of a table, for the head of a report.

    Parameters
    ----------
    verdict : Verdict
        The worst one.
    sentence : str
    findings : tuple of Finding
        Failures first, then warnings, then questions that could not be answered.
    accepted : str
        The reason for releasing the table all the same; empty if none was given.
    """

    verdict: Verdict
    sentence: str
    findings: tuple[Finding, ...]
    accepted: str = ""


def headlines(evaluation: Evaluation) -> list[Score]:
    """Return the scores to show first."""
    by_name = {score.name: score for score in evaluation}
    # an augmentation's headlines come first in the evaluation, one for each judged method
    gains = [score for score in evaluation if score.name.startswith(GAIN)]
    judged = gains[: len(evaluation.about.get("methods", ()))]
    return [*(by_name[name] for name in HEADLINES if name in by_name), *judged]


def of_augmentation(evaluation: Evaluation) -> bool:
    """Return whether an augmentation is judged, rather than a synthetic table."""
    return "splits" in evaluation.about


def risks(evaluation: Evaluation) -> list[Risk]:
    """Return the upper bounds of the worst attack, on average and for the rare class."""
    by_name = {score.name: score for score in evaluation}
    judged = "rows" if evaluation.unit is None else "units"
    return [
        _risk(words.format(judged), by_name[name])
        for name, words in RISKS.items()
        if name in by_name
    ]


def _risk(words: str, score: Score) -> Risk:
    if score.high is None:
        return Risk(words, None, score.meaning)
    beside = "upper 95% bound of the worst attack at 1% false alarms"
    return Risk(words, score.high, f"{beside}; guessing finds {score.real or 0:.0%}")


def judgement(evaluation: Evaluation) -> Judgement | None:
    """Return what the policy says; None if the evaluation stores no findings."""
    findings = findings_of(evaluation)
    if not findings:
        return None
    order = (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE)
    reported = [finding for verdict in order for finding in findings if finding.verdict is verdict]
    counts = Counter(finding.verdict for finding in reported)
    words = "".join(f", {counts[verdict]} {verdict}" for verdict in order if counts[verdict])
    outcome = "is met" if passed(findings) else "is not met"
    name = evaluation.about["policy"]["name"]
    sentence = f"Policy {name!r} {outcome}: {len(findings)} figures judged{words}."
    if not evaluation.about.get("policy_given", True):
        sentence += " No policy was given, so this verdict stops nothing."
    reason = evaluation.about.get("accepted_risk")
    accepted = "" if reason is None else f"The risk was accepted, with this reason: {reason}"
    return Judgement(overall(findings), sentence, tuple(reported), accepted)


def notes(evaluation: Evaluation) -> list[str]:
    """Return the notes, without those that repeat a finding."""
    name = evaluation.about.get("policy", {}).get("name")
    verdicts = {f"policy {name}: {finding}" for finding in findings_of(evaluation)}
    return [note for note in evaluation.notes if note not in verdicts]


def unit(evaluation: Evaluation) -> str | None:
    """Return whose privacy was judged, in words; None where that is each row's."""
    if evaluation.unit is None:
        return None
    counts = evaluation.about["unit"]["units"]
    sizes = ", ".join(f"{table} {count:,}" for table, count in counts.items())
    return f"Attacks and policy judge {evaluation.unit}, not rows: {sizes}."


def families(evaluation: Evaluation, *, verbose: bool = False) -> dict[str, list[Score]]:
    """Return the scores by family, in the order of the evaluation.

    The figures of rows that stand beside those of units are left out, unless `verbose`.
    """
    grouped: dict[str, list[Score]] = {}
    for score in evaluation:
        if verbose or not score.name.startswith(BESIDE):
            grouped.setdefault(score.family, []).append(score)
    return grouped


def facts(evaluation: Evaluation) -> dict[str, str]:
    """Return what was compared with what, in words."""
    about = evaluation.about
    lines: dict[str, str] = {}
    if isinstance(rows := about.get("rows"), Mapping):
        lines["rows"] = ", ".join(f"{table} {count:,}" for table, count in rows.items())
    if columns := about.get("columns"):
        lines["columns compared"] = str(len(columns))
    if left_out := about.get("left_out"):
        lines["left out (id, personal, text)"] = ", ".join(map(str, left_out))
    if (target := about.get("target")) is not None:
        lines["target"] = str(target)
    splits = about.get("splits", {})
    if "units" in splits:
        lines["units"] = f"{splits['units']:,} of {splits['unit']}, each whole within a fold"
    if (seed := about.get("seed")) is not None:
        lines["seed"] = str(seed)
    if isinstance(versions := about.get("versions"), Mapping):
        lines["versions"] = ", ".join(f"{name} {number}" for name, number in versions.items())
    return lines
