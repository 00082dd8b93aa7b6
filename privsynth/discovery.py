"""Domains that are discovered: levels and bounds by charged queries of the private rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.accountant import Accountant
from privsynth.declared import numbers_in
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source
from privsynth.table import Table, arrow_type

__all__ = ["DISCOVERY_DELTA", "discover", "to_discover"]

DISCOVERY_DELTA = 0.1
"""The part of delta for levels that are discovered."""
SHARE = 0.02
MOST_SHARE = 0.2
FINE = 256
SURE = 4.0
"""How many standard deviations of the noise a count is to lie above 0 to be believed."""
POWERS = 64


def to_discover(schema: Schema) -> tuple[Column, ...]:
    """Give the columns whose domain is to be discovered."""
    return tuple(
        c
        for c in schema
        if c.source is Source.DISCOVERED and not (c.kind.surrogate or c.determined_by)
    )


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
    chance within the budget's delta. Bounds come from noisy counts between powers of two, and
    then between 256 finer steps inside the outermost powers that rows are found in.
    """
    wanted = to_discover(schema)
    if not wanted:
        return schema
    rho = accountant.rho * min(SHARE, MOST_SHARE / len(wanted))
    by_keys = [column for column in wanted if not column.kind.continuous]
    delta = accountant.budget.delta * DISCOVERY_DELTA / max(len(by_keys), 1) * (1 - 1e-9)
    found: dict[str, Levels | Bounds] = {}
    for column in wanted:
        if column.kind is Kind.BOOLEAN:
            found[column.name] = Levels((False, True))
        elif column.kind.continuous:
            found[column.name] = _bounds(accountant, column, rho)
        else:
            found[column.name] = _levels(accountant, column, rho, delta)
    return Schema(tuple(replace(c, domain=found[c.name]) if c.name in found else c for c in schema))


def _levels(accountant: Accountant, column: Column, rho: float, delta: float) -> Levels:
    held = accountant.keys(
        "domain", f"levels of {column.name}", partial(_spelled, column.name), rho, delta
    )
    if pa.types.is_integer(arrow_type(column.dtype)):
        return Levels(tuple(sorted(int(key) for key in held if _whole(key))))
    return Levels(tuple(held))


def _spelled(name: str, table: Table) -> Mapping[str, int]:
    """Count the rows of each value, as text."""
    values, counts, _ = table.value_counts(name)
    texts = values.cast(pa.string()).to_pylist()
    return dict(zip(texts, counts.tolist(), strict=True))


def _whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _bounds(accountant: Accountant, column: Column, rho: float) -> Bounds:
    edges = np.concatenate([-(2.0 ** np.arange(POWERS)[::-1]), [0.0], 2.0 ** np.arange(POWERS)])
    for _ in range(2):
        scale = accountant.scale(1.0, rho / 2)
        held = accountant.gaussian(
            "domain",
            f"bounds of {column.name}",
            partial(_between, column, edges),
            1.0,
            scale,
        )
        sure = np.flatnonzero(held > SURE * scale)
        low, high = (sure[0], sure[-1]) if len(sure) else (0, len(held) - 1)
        edges = np.linspace(edges[low], edges[high + 1], FINE + 1)
    first, last = float(edges[0]), float(edges[-1])
    if column.kind is Kind.NUMERIC:
        return Bounds(first, last)
    if column.kind is Kind.INTEGER:
        return Bounds(math.floor(first), math.ceil(last))
    dtype = arrow_type(column.dtype)
    ticks = pa.array([math.floor(first), math.ceil(last)], pa.int64())
    texts = pc.strftime(ticks.cast(dtype, safe=False), format="%Y-%m-%dT%H:%M:%S").to_pylist()
    return Bounds(*texts)


def _between(column: Column, edges: npt.NDArray[np.float64], table: Table) -> npt.NDArray[np.int64]:
    """Count the rows between edges; those beyond count in the outermost steps."""
    values, counts, _ = table.value_counts(column.name)
    numbers = numbers_in(column, values)
    there = ~np.isnan(numbers)
    step = np.clip(np.searchsorted(edges, numbers[there], side="right") - 1, 0, len(edges) - 2)
    return np.bincount(step, counts[there], minlength=len(edges) - 1).astype(np.int64)
