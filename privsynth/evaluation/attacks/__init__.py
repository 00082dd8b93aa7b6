"""Attacks: what an adversary learns from the synthetic rows, measured by trying."""

from privsynth.evaluation.attacks.mirrors import smote_mirrors, verdict

__all__ = ["smote_mirrors", "verdict"]
