"""From right guesses to epsilon: the bound of an audit with one training run."""

from __future__ import annotations

import numpy as np

__all__ = ["epsilon_at_least"]

MAX_EPSILON = 20.0


def epsilon_at_least(
    correct: int, guesses: int, *, alpha: float = 0.05, delta: float = 0.0
) -> float:
    """Return the smallest epsilon that is compatible with so many right guesses.

    Parameters
    ----------
    correct, guesses : int
        Number of right guesses, and of all guesses, about rows included by a fair coin flip.
    alpha : float
        The probability that the bound is wrong for an honest mechanism.
    delta : float
        The claim's delta, the probability with which each row may be given away.

    Returns
    -------
    float
        0 if chance explains the guesses.

    Notes
    -----
    Under epsilon the right guesses are stochastically at most binomial with success probability
    ``e^epsilon / (1 + e^epsilon)`` (Steinke, Nasr & Jagielski 2023, Theorem 2.1); `delta` adds at
    most ``2 * guesses * delta`` to the tail.
    """
    from scipy.optimize import brentq
    from scipy.stats import binom

    if not guesses:
        return 0.0

    def excess(epsilon: float) -> float:
        tail = binom.sf(correct - 1, guesses, 1 / (1 + np.exp(-epsilon)))
        return float(tail) + 2 * guesses * delta - alpha

    if excess(0.0) >= 0:
        return 0.0
    if excess(MAX_EPSILON) < 0:
        return MAX_EPSILON
    return float(brentq(excess, 0.0, MAX_EPSILON))
