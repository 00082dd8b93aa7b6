"""Attacks: what an adversary learns from the synthetic rows, measured by trying."""

from privsynth.evaluation.attacks.mirrors import conclusion, smote_mirrors

__all__ = ["conclusion", "smote_mirrors"]
