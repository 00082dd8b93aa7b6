"""Attacks: what an adversary learns from the synthetic rows, measured by trying.

Import `smote_mirrors` and `conclusion` from here, and every other attack from its module. An
attack never changes a table, and never reports a value of a real row.
"""

from privsynth.evaluation.attacks.mirrors import conclusion, smote_mirrors

__all__ = ["conclusion", "smote_mirrors"]
