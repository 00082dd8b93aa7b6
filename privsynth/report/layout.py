"""What every form of the report shares: the order of the scores and how they are spelt."""

from __future__ import annotations

from collections.abc import Mapping

from privsynth.evaluation.score import Evaluation, Score

__all__ = ["DASH", "facts", "families", "figure", "headlines", "interval", "label"]

DASH = "–"

HEADLINES = (
    "marginal_agreement_2way",
    "sdmetrics_quality",
    "tstr_roc_auc_hist_gradient_boosting",
    "tstr_pr_auc_hist_gradient_boosting",
    "tstr_r2_hist_gradient_boosting",
)
"""The scores that a reader is shown first, where the evaluation has them."""

_SPELT = {
    "1way": "1-way",
    "2way": "2-way",
    "3way": "3-way",
    "auc": "AUC",
    "f1": "F1",
    "mae": "MAE",
    "pr": "PR",
    "r2": "R²",
    "roc": "ROC",
    "sdmetrics": "SDMetrics",
    "tstr": "TSTR",
}


def label(name: str) -> str:
    """Give a score's name as words: ``"tstr_roc_auc_ridge"`` is ``"TSTR ROC AUC ridge"``."""
    words = [_SPELT.get(word, word) for word in name.split("_")]
    return " ".join([words[0][:1].upper() + words[0][1:], *words[1:]])


def figure(value: float | None) -> str:
    """Give a figure to three places, or to four digits where it is large."""
    if value is None:
        return DASH
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def interval(score: Score) -> str:
    """Give a score's 95% interval."""
    if score.low is None or score.high is None:
        return DASH
    return f"{figure(score.low)} to {figure(score.high)}"


def headlines(evaluation: Evaluation) -> list[Score]:
    """Give the scores to show first."""
    by_name = {score.name: score for score in evaluation}
    return [by_name[name] for name in HEADLINES if name in by_name]


def families(evaluation: Evaluation) -> dict[str, list[Score]]:
    """Give the scores by family, in the order in which they came."""
    grouped: dict[str, list[Score]] = {}
    for score in evaluation:
        grouped.setdefault(score.family, []).append(score)
    return grouped


def facts(evaluation: Evaluation) -> dict[str, str]:
    """Give what was compared with what, in words."""
    about = evaluation.about
    told: dict[str, str] = {}
    if isinstance(rows := about.get("rows"), Mapping):
        told["rows"] = ", ".join(f"{table} {count:,}" for table, count in rows.items())
    if columns := about.get("columns"):
        told["columns compared"] = str(len(columns))
    if left_out := about.get("left_out"):
        told["left out (id, personal, text)"] = ", ".join(map(str, left_out))
    if (target := about.get("target")) is not None:
        told["target"] = str(target)
    if (seed := about.get("seed")) is not None:
        told["seed"] = str(seed)
    if isinstance(versions := about.get("versions"), Mapping):
        told["versions"] = ", ".join(f"{name} {number}" for name, number in versions.items())
    return told
