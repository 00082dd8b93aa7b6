"""What linkability, singling out and attribute inference share, after Giomi et al.

Targets come from train and from the holdout in equal numbers; the risk is what an attack gains on
train beyond what it gains on rows that no model has seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from privsynth.evaluation.attacks.space import MAX_LEVELS
from privsynth.evaluation.frames import Note, canonical, modelled, subsample
from privsynth.schema import Column, Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ATTACKS",
    "ERROR",
    "NEEDS_HOLDOUT",
    "POINTS_AT_ONCE",
    "ROWS",
    "attacked",
    "fitting",
    "residual",
    "sides",
    "wilson",
]

ATTACKS = 2_000
ROWS = 50_000
COLUMNS = 60
CELLS = 20_000_000  # most coordinates of the synthetic points, which bounds memory and time
POINTS_AT_ONCE = 128
ERROR = 0.05

NEEDS_HOLDOUT = (
    "needs a holdout: without rows that the model has not seen, what holds for people in general "
    "cannot be told from what was learnt about these"
)


def attacked(schema: Schema, seed: int, name: str, note: Note) -> tuple[Column, ...]:
    """Return the columns to attack: all that are modelled, or the target and others at random."""
    columns = modelled(schema)
    if len(columns) <= COLUMNS:
        return columns
    note(f"{name}: {COLUMNS} of {len(columns):,} columns were drawn at random (seed {seed})")
    order = np.random.default_rng([seed, 0xC01]).permutation(len(columns))
    drawn = sorted(order, key=lambda i: columns[i].role is not Role.TARGET)[:COLUMNS]
    return tuple(columns[i] for i in sorted(drawn))


def sides(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Sequence[Column],
    most: int,
    seed: int,
    name: str,
    note: Note,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return canonical frames: at most `most` train rows, as many of the holdout, the synthetic."""
    rows = min(len(train), len(holdout), most)
    drawn = (
        subsample(train, rows, seed),
        subsample(holdout, rows, seed),
        subsample(synthetic, ROWS, seed, f"{name}: synthetic", note),
    )
    members, others, synthetic_rows = (canonical(frame, columns) for frame in drawn)
    return members, others, synthetic_rows


def fitting(frame: pd.DataFrame, seed: int, name: str, note: Note) -> pd.DataFrame:
    """Return as many synthetic rows of a canonical frame as their points fit in memory."""
    width = sum(
        2 if frame[column].dtype == np.float64 else 2 + min(levels, MAX_LEVELS)
        for column, levels in frame.nunique().items()
    )
    return subsample(frame, max(CELLS // width, 1), seed, f"{name}: synthetic", note)


def wilson(successes: float, attacks: float, error: float) -> tuple[float, float]:
    """Return the centre and the half-width of Wilson's score interval of a rate."""
    z2 = NormalDist().inv_cdf(1 - error / 2) ** 2
    spread = successes * (attacks - successes) / attacks
    return (
        (successes + z2 / 2) / (attacks + z2),
        math.sqrt(z2 * (spread + z2 / 4)) / (attacks + z2),
    )


def residual(
    train: float, control: float, attacks: float, error: float = ERROR
) -> tuple[float, float, float]:
    """Return the risk with its interval.

    Parameters
    ----------
    train, control : float
        Successes on train and on the holdout.
    attacks : float
        How many attacks there were on each.
    error : float
        How often the interval may miss.

    Returns
    -------
    value, low, high : float
        (train rate - control rate) / (1 - control rate), within 0 and 1; 0 where every attack on
        the holdout succeeds, since there is no room for more.

    Notes
    -----
    The interval adds the errors of both rates in quadrature, each by its share in the risk, as
    Giomi et al. do. Rates there are the centres of Wilson's intervals.
    """
    rate, rate_error = wilson(train, attacks, error)
    other, other_error = wilson(control, attacks, error)
    room = 1 - other
    centre = (rate - other) / room
    half = math.hypot(rate_error / room, other_error * (1 - rate) / room**2)
    value = (train - control) / (attacks - control) if control < attacks else 0.0
    low, value, high = (
        min(max(float(figure), 0.0), 1.0) for figure in (centre - half, value, centre + half)
    )
    return value, min(low, value), max(high, value)
