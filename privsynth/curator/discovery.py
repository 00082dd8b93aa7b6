"""Discover domains: levels and bounds, by charged queries of the private rows."""

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
"""Counts the rows between edges with noise, and gives its scale."""

DISCOVERY_DELTA = 0.1
"""The part of delta for levels that are discovered."""
MIN_DELTA = 2.0**-51
"""The least delta of a threshold on the counts of one row a unit that OpenDP can tell from 0."""
SHARE = 0.02
MAX_SHARE = 0.2
SURE, LIKELY = 5.0, 1.5
"""How many standard deviations of noise a count is to lie above 0 to be believed, and not to be
left out."""
POWERS = 64
YEARS = (-719_162, 2_932_896)
"""The first day of the year 1 and the last one of 9999, counted from that of 1970."""
STEPS = 8
ROUNDS = 3
MARGIN = 1 / 8
"""The part of their distance by which bounds are moved apart, for rows that noise has hidden."""


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
        It is too small for so many columns: a threshold's chance is told in steps of about 1e-16.
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
        Holds a `Table`; pays a fiftieth of its budget a column, a fifth of it at most.
    schema : Schema
        Columns of source ``discovered`` lose whatever domain they had.

    Returns
    -------
    Schema

    Notes
    -----
    Levels are those whose noisy count passes a threshold that a single unit's rows pass with a
    chance within the budget's delta. Bounds come from noisy counts between powers of two, then in
    eight steps between the outermost powers that rows are found in, of which the empty ones are
    left out, three times over. A lone row far out lies beyond them.
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
    """Count the rows of each level, as text; spellings with one reading are one level."""
    values, counts, _ = table.value_counts(column.name)
    levels = comparable(column, values).cast(pa.string()).cast(pa.binary())
    held: dict[str, int] = {}
    for spelled, n in zip(levels.to_pylist(), counts.tolist(), strict=True):
        if spelled is not None:
            text = spelled.decode("utf-8", "replace")
            held[text] = held.get(text, 0) + n
    return held


def _bounds(accountant: Accountant, column: Column, rho: float) -> Bounds:
    ask = partial(_counted, accountant, column, rho / (1 + ROUNDS))
    powers = 2.0 ** np.arange(POWERS)
    least, most = low, high = _around(np.concatenate([-powers[::-1], [0.0], powers]), ask)
    for _ in range(ROUNDS):
        low, high = _trimmed(np.linspace(low, high, STEPS + 1), ask)
    margin = MARGIN * (high - low)
    first, last = max(low - margin, least), min(high + margin, most)
    if column.kind is Kind.NUMERIC:
        return Bounds(first, last)
    if column.kind is Kind.INTEGER:
        return Bounds(math.floor(first), math.ceil(last))
    return Bounds(*_moments(arrow_type(column.dtype), (math.floor(first), math.ceil(last))))


def _moments(dtype: pa.DataType, ticks: Sequence[int]) -> list[str]:
    """Format ticks as ISO 8601 in UTC, clipped to the years 1 to 9999."""
    unit = "D" if pa.types.is_date(dtype) else dtype.unit
    a_day = int(np.timedelta64(1, "D").astype(f"timedelta64[{unit}]").astype(np.int64))
    ends = [max(a_day * YEARS[0], 1 - 2**63), min(a_day * YEARS[1], 2**63 - 1)]
    kept = np.array([min(max(tick, ends[0]), ends[1]) for tick in ticks], dtype=np.int64)
    moments = kept.astype(f"datetime64[{unit}]")
    return [str(text) for text in np.datetime_as_string(moments, unit="s", casting="unsafe")]


def _counted(
    accountant: Accountant, column: Column, rho: float, edges: Floats
) -> tuple[npt.NDArray[np.int64], float]:
    """Count the rows between edges with noise, and give its scale."""
    scale = accountant.scale(1.0, rho)
    question = partial(_between, column, edges)
    return accountant.gaussian("domain", f"bounds of {column.name}", question, 1.0, scale), scale


def _around(edges: Floats, ask: Ask) -> tuple[float, float]:
    """Return the ends of a range that surely holds rows, widened by one power on each side.

    There are few rows in the powers next to it at most. Zero is not crossed for them.
    """
    counts, scale = ask(edges)
    sure = np.flatnonzero(counts > SURE * scale)
    if not len(sure):
        return float(edges[0]), float(edges[-1])
    low, high = float(edges[sure[0]]), float(edges[sure[-1] + 1])
    wider = edges[max(sure[0] - 1, 0)], edges[min(sure[-1] + 2, len(edges) - 1)]
    return low if low == 0 else float(wider[0]), high if high == 0 else float(wider[1])


def _trimmed(edges: Floats, ask: Ask) -> tuple[float, float]:
    """Drop outer steps whose counts together do not exceed the noise."""
    held, scale = ask(edges)
    noise = scale * np.sqrt(np.arange(1, len(held) + 1))
    if held.sum() < SURE * noise[-1]:
        return float(edges[0]), float(edges[-1])
    faint = [np.cumsum(counts) < LIKELY * noise for counts in (held, held[::-1])]
    before, after = (int(np.max(np.flatnonzero(few) + 1, initial=0)) for few in faint)
    if before + after >= len(held):
        return float(edges[0]), float(edges[-1])
    return float(edges[before]), float(edges[len(held) - after])


def _between(column: Column, edges: Floats, table: Table) -> npt.NDArray[np.int64]:
    """Count the rows between edges; those beyond count in the outermost steps."""
    values, counts, _ = table.value_counts(column.name)
    numbers = numbers_in(column, values)
    there = ~np.isnan(numbers)
    step = np.clip(np.searchsorted(edges, numbers[there], side="right") - 1, 0, len(edges) - 2)
    return np.bincount(step, counts[there], minlength=len(edges) - 1).astype(np.int64)
