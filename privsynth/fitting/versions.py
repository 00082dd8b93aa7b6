"""What a card says of the software: the versions of the packages, and a recipe as JSON values."""

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
"""The packages that a fit may rest on."""


@lru_cache(maxsize=1)
def versions() -> dict[str, str | None]:
    """Return the version of each package that a fit may rest on; None for one that is absent."""
    return {package: installed_version(package) for package in PACKAGES}


def json_values(recipe: Any) -> dict[str, Any]:
    """Return every setting of a recipe, as JSON keeps it."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(recipe)))
    return values
