"""SDV's own synthesizers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import sdv.single_table
from sdv.metadata import Metadata

__all__ = ["fit", "load", "sample"]

warnings.simplefilter("ignore")


def load(_: Mapping[str, Any]) -> dict[str, str]:
    """Give the versions; everything was imported with this module."""
    return {name: version(name) for name in ("sdv", "copulas", "ctgan", "torch")}


def fit(train: Path, target: str, seed: int, options: Mapping[str, Any]) -> Any:
    """Detect the metadata, say that the target is a category, and fit."""
    import numpy as np
    import torch

    np.random.seed(seed)  # noqa: NPY002 - the synthesizers draw from it
    torch.manual_seed(seed)
    tables = {"table": pd.read_parquet(train)}
    metadata = Metadata.detect_from_dataframes(tables, infer_keys=None)
    metadata.update_column(target, sdtype="categorical")
    synthesizer = getattr(sdv.single_table, options["class"])(metadata, **options["settings"])
    synthesizer.fit(tables)
    return synthesizer


def sample(model: Any, rows: int, out: Path, _: int) -> None:
    """Draw rows into a file."""
    made: pd.DataFrame = model.sample(rows)["table"]
    made.to_parquet(out, index=False)
