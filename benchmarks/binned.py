"""A declared table as small whole numbers and back, for peers that model nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from privsynth.coding.cells import Cells
from privsynth.coding.codec import Codec, Coding
from privsynth.coding.declared import declared_codec
from privsynth.coding.levels import LevelCodes
from privsynth.schema.schema import Schema

__all__ = ["BINS", "binned"]

BINS = 32


def binned(schema: Schema, bins: int = BINS) -> Codec:
    """Cut numbers into even bins between their declared bounds; levels are as declared.

    Parameters
    ----------
    schema : Schema
        Every domain is declared.
    bins : int
        At most; a column whose grid has fewer values has one bin for each.

    Returns
    -------
    Codec
        Of the codes of each column the last is that of null, where the schema allows nulls. A
        drawn number is uniform within its bin, on the column's own grid.
    """
    whole = declared_codec(schema)
    return Codec(tuple(_coding(coding, bins) for coding in whole.codings), whole.target)


def _coding(coding: Coding, bins: int) -> Coding:
    nullable = coding.column.nullable
    if isinstance(coding, LevelCodes):
        return replace(coding, pooled=False, nullable=nullable)
    if not isinstance(coding, Cells) or (coding.atoms.all() and len(coding.low) <= bins):
        return replace(coding, nullable=nullable)
    low, high, unit = coding.low[0], coding.high[-1], 10.0 ** (coding.column.decimals or 0)
    if coding.low.dtype == np.int64:
        starts = low + (int(high - low) + 1) * np.arange(bins) // bins
        ends = np.append(starts[1:] - 1, high)
    elif coding.column.decimals is not None:
        first, points = round(low * unit), round((high - low) * unit) + 1
        marks = first + points * np.arange(min(bins, points) + 1) // min(bins, points)
        starts, ends = marks[:-1] / unit, (marks[1:] - 1) / unit
    else:
        edges = np.linspace(low, high, bins + 1)
        starts, ends = edges[:-1], np.append(np.nextafter(edges[1:-1], -np.inf), high)
    return replace(coding, low=starts, high=ends, mid=starts / 2 + ends / 2, nullable=nullable)
