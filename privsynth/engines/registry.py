"""The one table of engines, and how a recipe is built from settings."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, Union, get_args, get_origin, get_type_hints

from privsynth.engines.protocols import Synthesizer
from privsynth.errors import ConfigError, UsageError, did_you_mean

__all__ = ["DEFAULT", "DEFAULT_PRIVATE", "ENGINES", "OVERSAMPLERS", "PRIVATE", "engine", "recipe"]


ENGINES: Mapping[str, str] = {
    "cart": "privsynth.engines.cart:Cart",
    "copula": "privsynth.engines.copula:Copula",
    "sdv-gaussian-copula": "privsynth.engines.sdv:GaussianCopula",
    "sdv-ctgan": "privsynth.engines.sdv:CTGAN",
    "sdv-tvae": "privsynth.engines.sdv:TVAE",
    "sdv-copula-gan": "privsynth.engines.sdv:CopulaGAN",
}
"""Engine name to where its recipe is; a module is imported when it is first asked for."""

OVERSAMPLERS: Mapping[str, str] = {
    "smote": "privsynth.engines.oversample:Smote",
    "smotenc": "privsynth.engines.oversample:Smotenc",
    "borderline-smote": "privsynth.engines.oversample:BorderlineSmote",
    "adasyn": "privsynth.engines.oversample:Adasyn",
    "random": "privsynth.engines.oversample:Random",
}
"""Engines for the minority alone: their models hold training rows."""

PRIVATE: Mapping[str, str] = {
    "marginals": "privsynth.engines.marginal:Marginals",
    "mst": "privsynth.engines.marginal:MST",
    "aim": "privsynth.engines.marginal:AIM",
    "independent": "privsynth.engines.marginal:Independent",
}
"""Engines that work under a privacy budget alone."""

DEFAULT = "cart"
DEFAULT_PRIVATE = "marginals"


def engine(name: str) -> type[Synthesizer]:
    """Find the recipe class of an engine.

    Raises
    ------
    UsageError
        No engine has that name.
    """
    every = {**ENGINES, **PRIVATE, **OVERSAMPLERS}
    if name not in every:
        raise UsageError(f"no engine {name!r}{did_you_mean(name, every)}")
    module, attribute = every[name].split(":")
    found: type[Synthesizer] = getattr(import_module(module), attribute)
    return found


def recipe(name: str, settings: Mapping[str, Any] | None = None) -> Synthesizer:
    """Build an engine's recipe from settings, checked by name and type.

    Parameters
    ----------
    name : str
        An engine's name.
    settings : mapping of str to value, optional
        Hyper-parameters; those not given keep their defaults.

    Raises
    ------
    UsageError
        No such engine, no such hyper-parameter, or a value of the wrong type.
    """
    cls = engine(name)
    if not isinstance(settings or {}, Mapping):
        raise ConfigError(f"settings are wanted as a mapping, not {type(settings).__name__}")
    hints = get_type_hints(cls)
    settable = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    values = {}
    for key, value in (settings or {}).items():
        if key not in settable:
            raise ConfigError(f"{name} has no setting {key!r}{did_you_mean(key, settable)}")
        values[key] = _fitting(f"{name}: setting {key!r}", value, hints[key])
    built = cls(**values)
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: setting {key!r} is {value}; give a finite number")
    return built


def _fitting(place: str, value: Any, hint: Any) -> Any:
    """Give `value` as the annotated type, where it can be taken for one without loss."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        hint = next(kind for kind in inner if kind is not type(None))
        origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_fitting(place, item, inner[0]) for item in value)
    if origin in (dict, Mapping) and isinstance(value, Mapping):
        return dict(value)
    if hint is float and type(value) is int and abs(value) < 2**63:
        return float(value)
    plain = origin or hint
    if not isinstance(value, plain) or (isinstance(value, bool) and plain is not bool):
        wanted = f"a list of {inner[0].__name__}" if origin is tuple else plain.__name__
        raise ConfigError(f"{place} is wanted as {wanted}, not {type(value).__name__}")
    return value
