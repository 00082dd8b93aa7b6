"""dpmm's MST under a privacy budget, as shipped, on whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from dpmm.pipelines import MSTPipeline  # type: ignore[import-not-found]

__all__ = ["fit", "load", "sample"]


def load(_: Mapping[str, Any]) -> dict[str, str]:
    """Give the version; everything was imported with this module."""
    return {"dpmm": version("dpmm")}


def fit(train: Path, _: str, seed: int, options: Mapping[str, Any]) -> MSTPipeline:
    """Fit to codes, whose number by column is the declared domain."""
    pipeline = MSTPipeline(
        epsilon=options["epsilon"], delta=options["delta"], disable_processing=True
    )
    pipeline.fit(pd.read_parquet(train), domain=dict(options["sizes"]), random_state=seed)
    return pipeline


def sample(model: MSTPipeline, rows: int, out: Path, seed: int) -> None:
    """Draw codes into a file."""
    made: pd.DataFrame = model.generate(n_records=rows, random_state=seed)
    made.to_parquet(out, index=False)
