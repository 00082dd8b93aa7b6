"""The engines: a recipe that fits, a model that samples, one registry of them all.

Import protocols, `recipe` and the registry from here; a family's own modules are its own
business. An engine sees integer codes alone.
"""

from __future__ import annotations

from privsynth.engines.labels import labels_to_draw
from privsynth.engines.protocols import (
    Model,
    PrivateModel,
    PrivateSynthesizer,
    Progress,
    Refits,
    Synthesizer,
)
from privsynth.engines.registry import (
    DEFAULT,
    DEFAULT_PRIVATE,
    ENGINES,
    OVERSAMPLERS,
    PRIVATE,
    REGISTRY,
    Engine,
    cautions,
    engine,
    recipe,
    traits,
)
from privsynth.engines.stored import ROUNDING

__all__ = [
    "DEFAULT",
    "DEFAULT_PRIVATE",
    "ENGINES",
    "OVERSAMPLERS",
    "PRIVATE",
    "REGISTRY",
    "ROUNDING",
    "Engine",
    "Model",
    "PrivateModel",
    "PrivateSynthesizer",
    "Progress",
    "Refits",
    "Synthesizer",
    "cautions",
    "engine",
    "labels_to_draw",
    "recipe",
    "traits",
]
