"""Linkability: whether synthetic rows help to join two halves of a person's record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.risk import (
    ERROR,
    MAX_ATTACKS,
    NEEDS_HOLDOUT,
    POINTS_AT_ONCE,
    attacked_columns,
    residual,
    sides,
    within_memory,
)
from privsynth.evaluation.attacks.space import Points, Space, nearest
from privsynth.evaluation.frames import Note, Progress, silent
from privsynth.evaluation.score import Score
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["linkability", "links", "near"]

SPLITS = 3
NEIGHBOURS = 5


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
        Determines the rows and columns drawn, and how the columns are split.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``linkability``: the risk, (train rate - control rate) / (1 - control rate), of the worst
        of up to 3 splits of the columns into halves and of 1 to 5 neighbours; the 95% interval
        allows for that choice (Bonferroni). ``detail`` has the rates, the attacks on each side,
        and the rate of picking neighbours at random (``baseline_rate``). The value is None
        without a holdout, or with fewer than two columns.

    Notes
    -----
    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs
    2023. An attack succeeds if the nearest synthetic rows of the two halves have a row in common.
    Columns with many distinct values are spread evenly over the halves.
    """
    name = "linkability"
    columns = attacked_columns(schema, seed, name, note)
    if holdout is None:
        return (Score("attacks", name, None, better="lower", meaning=NEEDS_HOLDOUT),)
    if len(columns) < 2:
        reason = "cannot be tried: a record of fewer than two columns has no two halves"
        return (Score("attacks", name, None, better="lower", meaning=reason),)

    members, others, rows = sides(train, holdout, synthetic, columns, MAX_ATTACKS, seed, name, note)
    rows = within_memory(rows, seed, name, note)
    halves = _halves(columns, rows, np.random.default_rng([seed, 0x117]))
    attempts = []
    for step, split in enumerate(halves):
        progress(name, step, len(halves))
        spaces = [Space.learn([members, others], half) for half in split]
        synthetic_points = [space.place(rows) for space in spaces]
        counts = [
            links(*(space.place(side) for space in spaces), *synthetic_points).sum(axis=0)
            for side in (members, others)
        ]
        attempts += list(zip(range(1, NEIGHBOURS + 1), *counts, strict=True))
    progress(name, len(halves), len(halves))

    attacks = len(members)
    risks = [residual(hit, control, attacks, ERROR / len(attempts)) for _, hit, control in attempts]
    worst = max(range(len(attempts)), key=lambda i: risks[i][1])
    k, hit, control = attempts[worst]
    value, low, high = risks[worst]
    meaning = (
        f"share of train records of which two halves can be joined through the {k} nearest "
        "synthetic rows of each, beyond what holds for the holdout: the worst of "
        f"{len(attempts)} ways"
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
    """Return which records the attack joins.

    Parameters
    ----------
    first, second : ndarray of float32, shape (n, d) and (n, e)
        The two halves of each record.
    synthetic_first, synthetic_second : ndarray of float32, shape (m, d) and (m, e)
        The same halves of the synthetic rows.

    Returns
    -------
    ndarray of bool, shape (n, 5)
        Whether the nearest rows share one, by the number of neighbours compared, from 1.
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
    """Return indices of the k nearest others, shape (points, k); blocks bound the memory."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        blocks = [
            nearest(points[start : start + POINTS_AT_ONCE], others, k)[1]
            for start in range(0, len(points), POINTS_AT_ONCE)
        ]
    return np.concatenate(blocks)


def _halves(
    columns: Sequence[Column], synthetic: pd.DataFrame, rng: np.random.Generator
) -> list[tuple[tuple[Column, ...], tuple[Column, ...]]]:
    """Split the columns in several ways; of two similarly granular columns, each half gets one."""
    distinct: Any = synthetic.nunique()
    ranked = sorted(columns, key=lambda column: -distinct[column.name])
    splits = {}
    for _ in range(SPLITS):
        swap = rng.integers(2, size=(len(ranked) + 1) // 2)
        half_of = np.arange(len(ranked)) % 2 ^ swap[np.arange(len(ranked)) // 2]
        if half_of.all() or not half_of.any():
            half_of = np.arange(len(ranked)) % 2
        first = tuple(c for c, side in zip(ranked, half_of, strict=True) if side == half_of[0])
        second = tuple(c for c in ranked if c not in first)
        splits[first] = (first, second)
    return list(splits.values())


def _by_chance(rows: int, k: int) -> float:
    """Return the probability that two random draws of k rows share one."""
    return 1.0 - math.comb(rows - k, k) / math.comb(rows, k) if rows > k else 1.0
