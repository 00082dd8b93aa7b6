"""privsynth."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import privsynth

__all__ = ["fit", "load", "sample"]


def load(options: Mapping[str, Any]) -> dict[str, str]:
    """Go through everything once on a toy, so that what is imported late counts as imports."""
    rng = np.random.default_rng(0)
    number = rng.standard_normal(200)
    toy = {"number": number, "level": np.where(number + rng.random(200) > 0, "a", "b")}
    with tempfile.TemporaryDirectory() as folder:
        train = Path(folder) / "train.parquet"
        pq.write_table(pa.table(toy), train)
        settings = {**options["settings"]}
        settings |= {"epochs": 1} if "epochs" in settings else {}
        model = fit(train, "level", 0, {**options, "settings": settings})
        sample(model, 10, Path(folder) / "out.parquet", 0)
    return {"privsynth": version("privsynth")}


def fit(train: Path, target: str, seed: int, options: Mapping[str, Any]) -> privsynth.FittedModel:
    """Fit an engine to the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return privsynth.fit(
            str(train),
            engine=options["engine"],
            target=target,
            seed=seed,
            settings=options["settings"],
        )


def sample(model: privsynth.FittedModel, rows: int, out: Path, seed: int) -> None:
    """Draw rows into a file."""
    privsynth.sample(model, rows, seed=seed, output=str(out))
