"""From right guesses to epsilon: the bound of auditing with one training run."""

from __future__ import annotations

import numpy as np

__all__ = ["epsilon_at_least"]

MOST = 20.0


def epsilon_at_least(
    correct: int, guesses: int, *, alpha: float = 0.05, delta: float = 0.0
) -> float:
    """Return the least epsilon that so many right guesses are compatible with.

    Parameters
    ----------
    correct, guesses : int
        Right guesses, and guesses in all, about rows that were put in by the flip of a fair coin.
    alpha : float
        The share of honest mechanisms for which the bound may be wrong.
    delta : float
        Of the claim; each guess may be given away with it.

    Returns
    -------
    float
        0 where guessing alone explains it.

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
    if excess(MOST) < 0:
        return MOST
    return float(brentq(excess, 0.0, MOST))
