"""The deep audit: rows are planted, the whole pipeline runs again, and an attacker guesses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.onerun import epsilon_at_least
from privsynth.evaluation.attacks.space import Space, nearest
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent, subsample
from privsynth.evaluation.score import Score
from privsynth.privacy import Budget
from privsynth.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Refit", "audit", "unable"]

Refit = Callable[["pd.DataFrame", int], "pd.DataFrame"]
"""Training rows and a seed -> synthetic rows, as many, of a model fitted anew."""

RUNS = 8
CANARIES = 100
ROWS = 5_000
CERTAIN = 0.2
"""The share of canaries that the attacker guesses; it abstains on the others."""


def audit(
    train: pd.DataFrame,
    schema: Schema,
    refit: Refit,
    *,
    claim: float = float("inf"),
    budget: Budget | None = None,
    typed: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows,
    seed: int = 0,
    runs: int = RUNS,
    canaries: int = CANARIES,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Plant rows by coin flips, fit and draw anew, and bound the epsilon of the whole pipeline.

    Parameters
    ----------
    train : pandas.DataFrame
        Real rows, into which canaries are put.
    schema : Schema
    refit : callable
        The pipeline: everything that the private rows go through on their way to a table.
    claim : float
        The epsilon that is claimed; infinite where none is, and the budget's where one is given.
    budget : Budget, optional
        What is claimed of the pipeline. The rows that are planted are units of it then: each with
        a value of its own in the unit's column, and as many times as a unit has rows.
    typed : callable
        Reads rows such as those of `train` as the schema's kinds; `refit` is given them unread.
    seed : int
    runs, canaries : int
        How often the pipeline runs, and how many rows are planted, each with probability 1/2.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``audit_epsilon``: a 95% lower bound. Above the claim, the claim is violated.

    Notes
    -----
    A canary takes each cell from another real row, so that it is like none. The attacker sees
    the synthetic rows and knows the canaries and the other rows; guesses go to the canaries that
    lie nearest and farthest, compared with how near the real rows are. The bound is that of
    Steinke, Nasr & Jagielski (*Privacy Auditing with One (1) Training Run*, NeurIPS 2023), whose
    argument holds for the guesses of several runs together, since their coins are independent.
    """
    import pandas as pd

    rng = np.random.default_rng([seed, 61])
    real = subsample(train, ROWS, seed, "audit: train", note).reset_index(drop=True)
    canaries = min(canaries, max(len(real) // 10, 1))
    columns = modelled(schema)
    claim = claim if budget is None else budget.epsilon
    delta = 0.0 if budget is None else budget.delta
    copies = 1 if budget is None else budget.rows_per_unit
    correct = guesses = 0
    for run in range(runs):
        progress("deep audit", run, runs)
        planted = _canaries(real, canaries, rng)
        if budget is not None and budget.unit in planted.columns:
            planted[budget.unit] = _fresh_units(canaries, rng)
        inside = rng.random(canaries) < 0.5
        given = pd.concat([real, *copies * [planted[inside]]], ignore_index=True)
        drawn = canonical(refit(given, int(rng.integers(2**31))), columns)
        known, secret = canonical(typed(real), columns), canonical(typed(planted), columns)
        space = Space.learn([known], columns)
        points = space.place(secret)
        far = nearest(points, space.place(known))[0][:, 0]
        near = nearest(points, space.place(drawn))[0][:, 0]
        score = np.log((far + 1e-3) / (near + 1e-3))
        right, guessed = _guessed(score, inside, rng)
        correct, guesses = correct + right, guesses + guessed
    progress("deep audit", runs, runs)
    low = epsilon_at_least(correct, guesses, delta=delta)
    violated = low > claim
    words = (
        f"95% lower bound of epsilon of the whole pipeline: {correct} of {guesses} guesses about "
        f"planted rows were right, over {runs} fits"
    )
    if violated:
        words = f"claim violated: epsilon {claim:g} is claimed; {words}"
    return (
        Score(
            "attacks",
            "audit_epsilon",
            low,
            low,
            None,
            better="lower",
            meaning=words,
            detail={"correct": float(correct), "guesses": float(guesses)},
        ),
    )


def unable(why: str) -> tuple[Score, ...]:
    """Return the score of an audit whose fits failed: nothing was found out."""
    words = f"the fit cannot be replayed on planted rows: {why}"
    return (Score("attacks", "audit_epsilon", math.nan, better="lower", meaning=words),)


def _fresh_units(n: int, rng: np.random.Generator) -> pd.Series[Any]:
    """Name units that no real row has: under a budget a unit is read as text, whatever its type."""
    import pandas as pd

    return pd.Series([f"planted unit {rng.bytes(8).hex()}" for _ in range(n)], dtype=object)


def _canaries(real: pd.DataFrame, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Make rows each of whose cells is another real row's."""
    import pandas as pd

    cells = {
        name: real[name].iloc[rng.integers(len(real), size=n)].reset_index(drop=True)
        for name in real.columns
    }
    return pd.DataFrame(cells)


def _guessed(
    score: npt.NDArray[np.floating], inside: npt.NDArray[np.bool_], rng: np.random.Generator
) -> tuple[int, int]:
    """Guess "in" for the highest scores and "out" for the lowest; count the right ones."""
    sure = max(1, int(CERTAIN * len(score) / 2))
    order = np.argsort(score + 1e-9 * rng.random(len(score)), kind="stable")
    right = int((~inside[order[:sure]]).sum() + inside[order[-sure:]].sum())
    return right, 2 * sure
