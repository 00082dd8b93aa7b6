"""Versions of packages, and a recipe as JSON values, for the card."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from privsynth.packages import installed_version

__all__ = ["json_values", "versions"]

PACKAGES = (
    "privsynth",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "copulas",
    "ctgan",
    "sdv",
    "opendp",
)
"""The packages that may affect a fit."""


@lru_cache(maxsize=1)
def versions() -> dict[str, str | None]:
    """Return the version of each package that may affect a fit; None if it is not installed."""
    return {package: installed_version(package) for package in PACKAGES}


def json_values(recipe: Any) -> dict[str, Any]:
    """Return every setting of a recipe, as JSON keeps it."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return values
