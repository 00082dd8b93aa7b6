"""MOSTLY AI's autoregressive network, trained for a limited time."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mostlyai.engine import TabularARGN  # type: ignore[import-not-found]

__all__ = ["fit", "load", "sample"]

warnings.simplefilter("ignore")


def load(_: Mapping[str, Any]) -> dict[str, str]:
    """Give the versions; everything was imported with this module."""
    return {name: version(name) for name in ("mostlyai-engine", "torch")}


def fit(train: Path, _: str, seed: int, options: Mapping[str, Any]) -> TabularARGN:
    """Train; the target needs no naming."""
    frame = pd.read_parquet(train)
    network = TabularARGN(
        max_training_time=options["minutes"],
        workspace_dir=tempfile.mkdtemp(dir=train.parent),
        random_state=seed,
        device="cpu",
        verbose=0,
    )
    network.fit(frame)
    return network


def sample(model: TabularARGN, rows: int, out: Path, _: int) -> None:
    """Draw rows into a file."""
    made: pd.DataFrame = model.sample(n_samples=rows)
    made.to_parquet(out, index=False)
