"""Linkability: whether synthetic rows join two halves of a person's record that lie apart.

Also what the three attacks of the framework share: targets from train and from the holdout in
equal numbers, and the risk, which is what the attack gains on train beyond what it gains on
rows that no model has seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.space import MOST_LEVELS, Points, Space, nearest
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent, subsample
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "NEEDS_HOLDOUT",
    "attacked",
    "fitting",
    "linkability",
    "links",
    "near",
    "residual",
    "sides",
    "wilson",
]

ATTACKS = 2_000
ROWS = 50_000
COLUMNS = 60
CELLS = 20_000_000  # most coordinates of the synthetic points, which bounds memory and time
SPLITS = 3
NEIGHBOURS = 5
BLOCK = 128
ERROR = 0.05

NEEDS_HOLDOUT = (
    "needs a holdout: without rows that the model has not seen, what holds for people in general "
    "cannot be told from what was learnt about these"
)


def linkability(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Try to join two halves of real records through the synthetic rows.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        At most 2,000 rows of train and as many of the holdout are attacked, with at most 50,000
        synthetic rows.
    schema : Schema
        Of more than 60 modelled columns, the target and others at random are attacked.
    seed : int
        Governs the rows and columns drawn and how the columns are split.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``linkability``: the risk, (train rate - control rate) / (1 - control rate), of the worst
        of up to 3 splits of the columns into halves and of 1 to 5 neighbours; the 95% interval
        allows for that choice (Bonferroni). ``detail`` has the rates, the attacks on each side,
        and what picking neighbours at random gives (``baseline_rate``). The value is None where
        there is no holdout, or fewer than two columns.

    Notes
    -----
    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs
    2023. An attack succeeds where the nearest synthetic rows of the two halves have a row in
    common. Each half holds about as many columns of fine values as the other.
    """
    name = "linkability"
    columns = attacked(schema, seed, name, note)
    if holdout is None:
        return (Score("attacks", name, None, better="lower", meaning=NEEDS_HOLDOUT),)
    if len(columns) < 2:
        reason = "cannot be tried: a record of fewer than two columns has no two halves"
        return (Score("attacks", name, None, better="lower", meaning=reason),)

    members, others, rows = sides(train, holdout, synthetic, columns, ATTACKS, seed, name, note)
    rows = fitting(rows, seed, name, note)
    halves = _halves(columns, rows, np.random.default_rng([seed, 0x117]))
    tried = []
    for step, split in enumerate(halves):
        progress(name, step, len(halves))
        known = [Space.learn([members, others], half) for half in split]
        synthetic_points = [space.place(rows) for space in known]
        counts = [
            links(*(space.place(side) for space in known), *synthetic_points).sum(axis=0)
            for side in (members, others)
        ]
        tried += list(zip(range(1, NEIGHBOURS + 1), *counts, strict=True))
    progress(name, len(halves), len(halves))

    attacks = len(members)
    risks = [residual(hit, control, attacks, ERROR / len(tried)) for _, hit, control in tried]
    worst = max(range(len(tried)), key=lambda i: risks[i][1])
    k, hit, control = tried[worst]
    value, low, high = risks[worst]
    meaning = (
        f"share of train records of which two halves can be joined through the {k} nearest "
        f"synthetic rows of each, beyond what holds for the holdout: the worst of {len(tried)} ways"
    )
    detail = {
        "train_rate": float(hit / attacks),
        "control_rate": float(control / attacks),
        "baseline_rate": _by_chance(len(rows), k),
        "neighbours": float(k),
        "attacks": float(attacks),
        "rows": float(attacks),
    }
    return (Score("attacks", name, value, low, high, 0.0, "lower", meaning, detail),)


def links(
    first: Points, second: Points, synthetic_first: Points, synthetic_second: Points
) -> npt.NDArray[np.bool_]:
    """Say which records are joined.

    Parameters
    ----------
    first, second : ndarray of float32, shape (n, d) and (n, e)
        The two halves of each record.
    synthetic_first, synthetic_second : ndarray of float32, shape (m, d) and (m, e)
        The same halves of the synthetic rows.

    Returns
    -------
    ndarray of bool, shape (n, 5)
        Whether the nearest rows share one, by the number of neighbours looked at, from 1.
    """
    one = near(first, synthetic_first, NEIGHBOURS)
    two = near(second, synthetic_second, NEIGHBOURS)
    rank = np.arange(NEIGHBOURS)
    shared_at = np.maximum(rank[:, None], rank[None, :])
    shared = one[:, :, None] == two[:, None, :]
    earliest = np.where(shared, shared_at, NEIGHBOURS).min(axis=(1, 2))
    joined: npt.NDArray[np.bool_] = earliest[:, None] <= rank
    return joined


def near(points: Points, others: Points, k: int) -> npt.NDArray[np.intp]:
    """Give the places of the k nearest others, shape (points, k); blocks bound the memory."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        found = [
            nearest(points[start : start + BLOCK], others, k)[1]
            for start in range(0, len(points), BLOCK)
        ]
    return np.concatenate(found)


def attacked(schema: Schema, seed: int, name: str, note: Note) -> tuple[Column, ...]:
    """Give the columns to attack: all that are modelled, or the target and others at random."""
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
    """Give canonical frames: at most `most` train rows, as many of the holdout, the synthetic."""
    rows = min(len(train), len(holdout), most)
    drawn = (
        subsample(train, rows, seed),
        subsample(holdout, rows, seed),
        subsample(synthetic, ROWS, seed, f"{name}: synthetic", note),
    )
    members, others, made = (canonical(frame, columns) for frame in drawn)
    return members, others, made


def fitting(frame: pd.DataFrame, seed: int, name: str, note: Note) -> pd.DataFrame:
    """Give as many synthetic rows of a canonical frame as their points fit in memory."""
    width = sum(
        2 if frame[column].dtype == np.float64 else 2 + min(levels, MOST_LEVELS)
        for column, levels in frame.nunique().items()
    )
    return subsample(frame, max(CELLS // width, 1), seed, f"{name}: synthetic", note)


def wilson(successes: float, attacks: float, error: float) -> tuple[float, float]:
    """Give the centre and the half-width of Wilson's score interval of a rate."""
    z2 = NormalDist().inv_cdf(1 - error / 2) ** 2
    spread = successes * (attacks - successes) / attacks
    return (
        (successes + z2 / 2) / (attacks + z2),
        math.sqrt(z2 * (spread + z2 / 4)) / (attacks + z2),
    )


def residual(
    train: float, control: float, attacks: float, error: float = ERROR
) -> tuple[float, float, float]:
    """Give the risk with its interval.

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


def _halves(
    columns: Sequence[Column], synthetic: pd.DataFrame, rng: np.random.Generator
) -> list[tuple[tuple[Column, ...], tuple[Column, ...]]]:
    """Split the columns in ways that differ: each pair of like fineness goes to both halves."""
    distinct: Any = synthetic.nunique()
    ranked = sorted(columns, key=lambda column: -distinct[column.name])
    found = {}
    for _ in range(SPLITS):
        swap = rng.integers(2, size=(len(ranked) + 1) // 2)
        place = np.arange(len(ranked)) % 2 ^ swap[np.arange(len(ranked)) // 2]
        if place.all() or not place.any():
            place = np.arange(len(ranked)) % 2
        first = tuple(c for c, side in zip(ranked, place, strict=True) if side == place[0])
        second = tuple(c for c in ranked if c not in first)
        found[first] = (first, second)
    return list(found.values())


def _by_chance(rows: int, k: int) -> float:
    """Give how often two draws of k rows, at random from all, share one."""
    return 1.0 - math.comb(rows - k, k) / math.comb(rows, k) if rows > k else 1.0
