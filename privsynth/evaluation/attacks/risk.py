"""What linkability, singling out and attribute inference share, after Giomi et al.

Targets come from train and from the holdout in equal numbers; the risk is an attack's success on
train beyond its success on rows that no model has seen.
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
    "ERROR",
    "MAX_ATTACKS",
    "MAX_ROWS",
    "NEEDS_HOLDOUT",
    "POINTS_AT_ONCE",
    "attacked_columns",
    "residual",
    "sides",
    "wilson",
    "within_memory",
]

MAX_ATTACKS = 2_000
MAX_ROWS = 50_000
MAX_COLUMNS = 60
MAX_CELLS = 20_000_000  # coordinates of the synthetic points; bounds memory and time
POINTS_AT_ONCE = 128
ERROR = 0.05

NEEDS_HOLDOUT = (
    "needs a holdout: without rows that the model has not seen, what holds for people in general "
    "cannot be told from what was learnt about these"
)


def attacked_columns(schema: Schema, seed: int, name: str, note: Note) -> tuple[Column, ...]:
    """Return the columns to attack: all modelled ones, or the target and a random sample."""
    columns = modelled(schema)
    if len(columns) <= MAX_COLUMNS:
        return columns
    note(f"{name}: {MAX_COLUMNS} of {len(columns):,} columns were drawn at random (seed {seed})")
    order = np.random.default_rng([seed, 0xC01]).permutation(len(columns))
    chosen = sorted(order, key=lambda i: columns[i].role is not Role.TARGET)[:MAX_COLUMNS]
    return tuple(columns[i] for i in sorted(chosen))


def sides(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Sequence[Column],
    max_rows: int,
    seed: int,
    name: str,
    note: Note,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return canonical frames: equally many rows of train and holdout, and the synthetic rows."""
    rows = min(len(train), len(holdout), max_rows)
    samples = (
        subsample(train, rows, seed),
        subsample(holdout, rows, seed),
        subsample(synthetic, MAX_ROWS, seed, f"{name}: synthetic", note),
    )
    members, others, synthetic_rows = (canonical(frame, columns) for frame in samples)
    return members, others, synthetic_rows


def within_memory(frame: pd.DataFrame, seed: int, name: str, note: Note) -> pd.DataFrame:
    """Return as many rows of a canonical frame as points fit in memory."""
    width = sum(
        2 if frame[column].dtype == np.float64 else 2 + min(levels, MAX_LEVELS)
        for column, levels in frame.nunique().items()
    )
    return subsample(frame, max(MAX_CELLS // width, 1), seed, f"{name}: synthetic", note)


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
        Number of attacks on each.
    error : float
        Probability that the interval misses.

    Returns
    -------
    value, low, high : float
        (train rate - control rate) / (1 - control rate), within 0 and 1; 0 if every attack on
        the holdout succeeds, since there is no room for more.

    Notes
    -----
    As in Giomi et al., the interval adds the errors of both rates in quadrature, each by its
    effect on the risk; the rates in it are the centres of Wilson's intervals.
    """
    rate, rate_error = wilson(train, attacks, error)
    control_rate, control_error = wilson(control, attacks, error)
    room = 1 - control_rate
    centre = (rate - control_rate) / room
    margin = math.hypot(rate_error / room, control_error * (1 - rate) / room**2)
    value = (train - control) / (attacks - control) if control < attacks else 0.0
    low, value, high = (
        min(max(float(figure), 0.0), 1.0) for figure in (centre - margin, value, centre + margin)
    )
    return value, min(low, value), max(high, value)
