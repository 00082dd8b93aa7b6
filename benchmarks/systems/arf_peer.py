"""Adversarial random forests by arfpy, which knows neither nulls nor whole numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arfpy import arf  # type: ignore[import-not-found]

__all__ = ["fit", "load", "sample"]

MISSING = "(missing)"
FLAG = "(missing) "

warnings.simplefilter("ignore")


@dataclass(frozen=True)
class Forest:
    """A forest, and what is to be undone in its rows."""

    forest: arf.arf
    dtypes: pd.Series[Any]
    flagged: tuple[str, ...]


def load(_: Mapping[str, Any]) -> dict[str, str]:
    """Give the versions; everything was imported with this module."""
    return {name: version(name) for name in ("arfpy", "scikit-learn")}


def fit(train: Path, target: str, seed: int, options: Mapping[str, Any]) -> Forest:
    """Make a null a level of its own, or the median beside a flag; then fit and estimate."""
    np.random.seed(seed)  # noqa: NPY002 - arfpy draws from it
    given = pd.read_parquet(train)
    numbers = [c for c in given.columns if pd.api.types.is_numeric_dtype(given[c]) and c != target]
    flagged = tuple(c for c in numbers if given[c].isna().any())
    frame = given.copy()
    for name in frame.columns:
        if name in numbers:
            frame[name] = frame[name].astype(float).fillna(frame[name].median())
        else:
            known = frame[name].astype(object)
            frame[name] = known.where(known.notna(), MISSING).astype(str).astype("category")
    for name in flagged:
        frame[FLAG + name] = given[name].isna().map({True: "y", False: "n"}).astype("category")
    forest = arf.arf(frame, num_trees=options["trees"], verbose=False, random_state=seed)
    forest.forde()
    return Forest(forest, given.dtypes, flagged)


def sample(model: Forest, rows: int, out: Path, _: int) -> None:
    """Draw rows, put the nulls back, round whole numbers, and write the file."""
    made = model.forest.forge(rows)
    for name in model.flagged:
        made[name] = made[name].where(made[FLAG + name].astype(str) == "n")
    for name in model.dtypes.index:
        dtype = model.dtypes[name]
        if pd.api.types.is_numeric_dtype(dtype):
            values = pd.to_numeric(made[name].astype(object))
            whole = pd.api.types.is_integer_dtype(dtype)
            made[name] = values.round().astype(dtype) if whole else values
        else:
            made[name] = made[name].astype(object).where(made[name] != MISSING, None)
    made[list(model.dtypes.index)].to_parquet(out, index=False)
