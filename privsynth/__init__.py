"""Synthetic tables that can be shared, with the truth about them.

>>> import privsynth
>>> model = privsynth.fit("loans.csv", target="Class", seed=7)  # doctest: +SKIP
>>> rows = model.sample(10_000, seed=1)  # doctest: +SKIP
>>> report = privsynth.evaluate(rows, train=train, holdout=holdout)  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from privsynth.errors import (
    ArtefactError,
    BudgetExceeded,
    ConfigError,
    DataError,
    MachineError,
    MissingExtraError,
    PrivsynthError,
    PrivsynthWarning,
    SamplingError,
    SchemaError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from privsynth.artefact import FittedModel, load
    from privsynth.minority.sampler import MinoritySampler
    from privsynth.pipeline import (
        Report,
        augment,
        evaluate,
        fit,
        minority_gain,
        propose_schema,
        sample,
    )
    from privsynth.privacy import Budget
    from privsynth.schema import Schema

__version__ = "0.1.0"

__all__ = [
    "ArtefactError",
    "Budget",
    "BudgetExceeded",
    "ConfigError",
    "DataError",
    "FittedModel",
    "MachineError",
    "MinoritySampler",
    "MissingExtraError",
    "PrivsynthError",
    "PrivsynthWarning",
    "Report",
    "SamplingError",
    "Schema",
    "SchemaError",
    "StorageError",
    "UsageError",
    "augment",
    "evaluate",
    "fit",
    "load",
    "minority_gain",
    "propose_schema",
    "sample",
]

# Loaded when first asked for: importing privsynth costs no pandas, no torch and no half a second.
_HOMES = {
    "Budget": "privsynth.privacy",
    "FittedModel": "privsynth.artefact",
    "MinoritySampler": "privsynth.minority.sampler",
    "Report": "privsynth.report",
    "Schema": "privsynth.schema",
    "augment": "privsynth.pipeline",
    "evaluate": "privsynth.pipeline",
    "fit": "privsynth.pipeline",
    "load": "privsynth.artefact",
    "minority_gain": "privsynth.pipeline",
    "propose_schema": "privsynth.pipeline",
    "sample": "privsynth.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'privsynth' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
