"""Discovery of domains: levels and bounds, by charged queries about the private rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Floats
from privsynth.coding import comparable, numbers_in, readable_levels
from privsynth.errors import UsageError
from privsynth.privacy import Accountant, Budget
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source
from privsynth.table import Table, arrow_type

__all__ = ["DISCOVERY_DELTA", "discover", "discovery_delta", "to_discover"]

Ask = Callable[[Floats], tuple[npt.NDArray[np.int64], float]]
"""Counts the rows between edges with noise; returns the counts and the scale of the noise."""

DISCOVERY_DELTA = 0.1
"""The part of delta that is spent on discovering levels."""
MIN_DELTA = 2.0**-51
"""The smallest delta of a threshold, for one row per unit, that OpenDP distinguishes from 0."""
SHARE = 0.02
"""The part of rho that discovering one column costs."""
MAX_SHARE = 0.2
"""The maximum part of rho that discovering all columns costs."""
SURE, LIKELY = 5.0, 1.5
"""How many standard deviations of noise above 0 make a count certain, and keep it in the range."""
POWERS = 64
YEARS = (-719_162, 2_932_896)
"""The first day of the year 1 and the last day of 9999, in days since the start of 1970."""
STEPS = 8
ROUNDS = 3
MARGIN = 1 / 8
"""The part of their distance by which bounds are moved out, for rows hidden by noise."""


def to_discover(schema: Schema) -> tuple[Column, ...]:
    """Return the columns whose domain is to be discovered."""
    return tuple(
        c
        for c in schema
        if c.source is Source.DISCOVERED and not (c.kind.surrogate or c.determined_by)
    )


def discovery_delta(schema: Schema, budget: Budget) -> float:
    """Return the part of a budget's delta that discovering levels spends.

    Raises
    ------
    UsageError
        It is too small for so many columns: OpenDP computes delta in steps of about 1e-16.
    """
    columns = sum(not column.kind.continuous for column in to_discover(schema))
    if not columns:
        return 0.0
    delta = DISCOVERY_DELTA * budget.delta
    if delta / columns < MIN_DELTA * budget.rows_per_unit:
        raise UsageError(
            f"delta {budget.delta:g} is too small to discover the levels of {columns} columns with "
            f"up to {budget.rows_per_unit} rows a unit; declare levels, or give a delta of "
            f"{columns * MIN_DELTA * budget.rows_per_unit / DISCOVERY_DELTA:.2g} or more"
        )
    return delta


def discover(accountant: Accountant, schema: Schema) -> Schema:
    """Fill in the domains that the schema leaves to be discovered.

    Parameters
    ----------
    accountant : Accountant
        Of a `Table`; a column costs a fiftieth of its budget, and all columns at most a fifth.
    schema : Schema
        The domains of columns of source ``discovered`` are replaced.

    Returns
    -------
    Schema

    Notes
    -----
    Levels are those whose noisy count exceeds a threshold; the probability that one unit's rows
    exceed it alone is within the budget's delta. Bounds start from noisy counts between powers of
    two. The range of powers that hold rows is cut into eight steps, and empty outer steps are
    dropped, three times over. A lone outlier lies beyond the bounds.
    """
    open_columns = to_discover(schema)
    if not open_columns:
        return schema
    rho = accountant.rho * min(SHARE, MAX_SHARE / len(open_columns))
    by_keys = [column for column in open_columns if not column.kind.continuous]
    delta = accountant.budget.delta * DISCOVERY_DELTA / max(len(by_keys), 1) * (1 - 1e-9)
    domains: dict[str, Levels | Bounds] = {}
    for column in open_columns:
        if column.kind is Kind.BOOLEAN:
            domains[column.name] = Levels((False, True))
        elif column.kind.continuous:
            domains[column.name] = _bounds(accountant, column, rho)
        else:
            domains[column.name] = _levels(accountant, column, rho, delta)
    columns = (replace(c, domain=domains[c.name]) if c.name in domains else c for c in schema)
    return schema.with_columns(columns)


def _levels(accountant: Accountant, column: Column, rho: float, delta: float) -> Levels:
    noisy_counts = accountant.keys(
        "domain", f"levels of {column.name}", partial(_spelled, column), rho, delta
    )
    return Levels(readable_levels(column, list(noisy_counts)))


def _spelled(column: Column, table: Table) -> Mapping[str, int]:
    """Count the rows of each level, as text; spellings of one value are one level."""
    values, counts, _ = table.value_counts(column.name)
    levels = comparable(column, values).cast(pa.string()).cast(pa.binary())
    level_counts: dict[str, int] = {}
    for spelling, n in zip(levels.to_pylist(), counts.tolist(), strict=True):
        if spelling is not None:
            text = spelling.decode("utf-8", "replace")
            level_counts[text] = level_counts.get(text, 0) + n
    return level_counts


def _bounds(accountant: Accountant, column: Column, rho: float) -> Bounds:
    ask = partial(_counted, accountant, column, rho / (1 + ROUNDS))
    powers = 2.0 ** np.arange(POWERS)
    min_bound, max_bound = low, high = _around(np.concatenate([-powers[::-1], [0.0], powers]), ask)
    for _ in range(ROUNDS):
        low, high = _trimmed(np.linspace(low, high, STEPS + 1), ask)
    margin = MARGIN * (high - low)
    first, last = max(low - margin, min_bound), min(high + margin, max_bound)
    if column.kind is Kind.NUMERIC:
        return Bounds(first, last)
    if column.kind is Kind.INTEGER:
        return Bounds(math.floor(first), math.ceil(last))
    return Bounds(*_moments(arrow_type(column.dtype), (math.floor(first), math.ceil(last))))


def _moments(dtype: pa.DataType, ticks: Sequence[int]) -> list[str]:
    """Format ticks as ISO 8601 in UTC, clipped to the years 1 to 9999."""
    unit = "D" if pa.types.is_date(dtype) else dtype.unit
    ticks_per_day = int(np.timedelta64(1, "D").astype(f"timedelta64[{unit}]").astype(np.int64))
    ends = [max(ticks_per_day * YEARS[0], 1 - 2**63), min(ticks_per_day * YEARS[1], 2**63 - 1)]
    clipped = np.array([min(max(tick, ends[0]), ends[1]) for tick in ticks], dtype=np.int64)
    moments = clipped.astype(f"datetime64[{unit}]")
    return [str(text) for text in np.datetime_as_string(moments, unit="s", casting="unsafe")]


def _counted(
    accountant: Accountant, column: Column, rho: float, edges: Floats
) -> tuple[npt.NDArray[np.int64], float]:
    """Count the rows between edges with noise; return the counts and the scale of the noise."""
    scale = accountant.scale(1.0, rho)
    question = partial(_between, column, edges)
    return accountant.gaussian("domain", f"bounds of {column.name}", question, 1.0, scale), scale


def _around(edges: Floats, ask: Ask) -> tuple[float, float]:
    """Return the range from the first to the last certain count, widened by one power on each side.

    The next powers may hold a few rows that noise hides. The range is not widened across zero.
    """
    counts, scale = ask(edges)
    certain = np.flatnonzero(counts > SURE * scale)
    if not len(certain):
        return float(edges[0]), float(edges[-1])
    low, high = float(edges[certain[0]]), float(edges[certain[-1] + 1])
    wider = edges[max(certain[0] - 1, 0)], edges[min(certain[-1] + 2, len(edges) - 1)]
    return low if low == 0 else float(wider[0]), high if high == 0 else float(wider[1])


def _trimmed(edges: Floats, ask: Ask) -> tuple[float, float]:
    """Drop the outer steps on each side whose cumulated counts are within the noise."""
    step_counts, scale = ask(edges)
    noise = scale * np.sqrt(np.arange(1, len(step_counts) + 1))
    if step_counts.sum() < SURE * noise[-1]:
        return float(edges[0]), float(edges[-1])
    within_noise = [
        np.cumsum(counts) < LIKELY * noise for counts in (step_counts, step_counts[::-1])
    ]
    before, after = (int(np.max(np.flatnonzero(faint) + 1, initial=0)) for faint in within_noise)
    if before + after >= len(step_counts):
        return float(edges[0]), float(edges[-1])
    return float(edges[before]), float(edges[len(step_counts) - after])


def _between(column: Column, edges: Floats, table: Table) -> npt.NDArray[np.int64]:
    """Count the rows between edges; rows beyond them count in the outermost steps."""
    values, counts, _ = table.value_counts(column.name)
    numbers = numbers_in(column, values)
    present = ~np.isnan(numbers)
    step = np.clip(np.searchsorted(edges, numbers[present], side="right") - 1, 0, len(edges) - 2)
    return np.bincount(step, counts[present], minlength=len(edges) - 1).astype(np.int64)
