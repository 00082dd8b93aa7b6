"""Scores of a synthetic table against real ones: fidelity, utility, minority gain, attacks, policy.

Import the names below from here; `minority`, `attacks.audit` and `attacks.scan`, which load more,
are imported by module. Nothing here fits or samples a model, and no engine is known by name.
"""

from __future__ import annotations

from privsynth.evaluation.alike import declared_frame
from privsynth.evaluation.attacks.mirrors import conclusion, smote_mirrors
from privsynth.evaluation.attacks.replication import at_risk
from privsynth.evaluation.attacks.unit_replication import rows_of_units_at_risk
from privsynth.evaluation.evaluators import evaluate_tables
from privsynth.evaluation.frames import canonical, modelled, silent
from privsynth.evaluation.learners import Features
from privsynth.evaluation.policy import (
    HOLDOUT_ROWS,
    POLICIES,
    Finding,
    Policy,
    Verdict,
    apply_policy,
    findings_of,
    overall,
    passed,
    policy_file,
    with_verdict,
)
from privsynth.evaluation.reading import Sources, read_tables, without_inferred
from privsynth.evaluation.score import Evaluation, Score
from privsynth.evaluation.tables import Tables

__all__ = [
    "HOLDOUT_ROWS",
    "POLICIES",
    "Evaluation",
    "Features",
    "Finding",
    "Policy",
    "Score",
    "Sources",
    "Tables",
    "Verdict",
    "apply_policy",
    "at_risk",
    "canonical",
    "conclusion",
    "declared_frame",
    "evaluate_tables",
    "findings_of",
    "modelled",
    "overall",
    "passed",
    "policy_file",
    "read_tables",
    "rows_of_units_at_risk",
    "silent",
    "smote_mirrors",
    "with_verdict",
    "without_inferred",
]
