"""The registry of engines, and how a recipe is built from settings."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import import_module
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from privsynth.engines.protocols import Cautious, Synthesizer
from privsynth.errors import ConfigError, UsageError, did_you_mean

__all__ = [
    "DEFAULT",
    "DEFAULT_PRIVATE",
    "ENGINES",
    "OVERSAMPLERS",
    "PRIVATE",
    "REGISTRY",
    "Engine",
    "cautions",
    "engine",
    "recipe",
    "traits",
]


@dataclass(frozen=True)
class Engine:
    """Where an engine's recipe is, and what callers need to know of it before it is imported.

    Parameters
    ----------
    path : str
        ``module:class`` of the recipe.
    holds_rows : bool
        Whether its models are training rows. Such an engine draws rows of the minority alone.
    budget : {"refused", "allowed", "required"}
        Whether it works under a privacy budget.
    copies_rows : bool
        Whether what it draws are copies of rows, ids included.
    needs_rows : bool
        Whether it learns nothing from a handful of rows of one class.
    selected : bool
        Whether classifiers choose among the minority rows that it draws, by default.
    needs : tuple of str
        Packages that its fit imports and a slim installation lacks; sampling needs none of them.
    for_minority : mapping of str to value
        Settings that learn a small class more finely. They tell an attacker more of a row, which
        does not matter where the synthetic rows stand beside the real ones.
    """

    path: str
    holds_rows: bool = False
    budget: Literal["refused", "allowed", "required"] = "refused"
    copies_rows: bool = False
    needs_rows: bool = False
    selected: bool = False
    needs: tuple[str, ...] = ()
    for_minority: Mapping[str, Any] = field(default_factory=dict)


NETWORKS = ("ctgan", "torch", "copulas")
"""Packages that a fit of CTGAN's networks imports."""

REGISTRY: Mapping[str, Engine] = {
    "cart": Engine(
        "privsynth.engines.cart:Cart",
        selected=True,
        for_minority={"class_leaf": 10, "shrinkage": 1.0},
    ),
    "copula": Engine("privsynth.engines.copula:Copula", budget="allowed", selected=True),
    "sdv-gaussian-copula": Engine("privsynth.engines.sdv:GaussianCopula", needs=("copulas",)),
    "sdv-ctgan": Engine("privsynth.engines.sdv:CTGAN", needs=NETWORKS, needs_rows=True),
    "sdv-tvae": Engine("privsynth.engines.sdv:TVAE", needs=NETWORKS, needs_rows=True),
    "sdv-copula-gan": Engine("privsynth.engines.sdv:CopulaGAN", needs=NETWORKS, needs_rows=True),
    "marginals": Engine("privsynth.engines.marginal:Marginals", budget="required"),
    "mst": Engine("privsynth.engines.marginal:MST", budget="required"),
    "aim": Engine("privsynth.engines.marginal:AIM", budget="required"),
    "independent": Engine("privsynth.engines.marginal:Independent", budget="required"),
    "smote": Engine("privsynth.engines.oversample:Smote", holds_rows=True),
    "smotenc": Engine("privsynth.engines.oversample:Smotenc", holds_rows=True),
    "borderline-smote": Engine("privsynth.engines.oversample:BorderlineSmote", holds_rows=True),
    "adasyn": Engine("privsynth.engines.oversample:Adasyn", holds_rows=True),
    "random": Engine("privsynth.engines.oversample:Random", holds_rows=True, copies_rows=True),
}
"""Every engine by name; its module is imported when it is first asked for."""

ENGINES = tuple(n for n, e in REGISTRY.items() if not e.holds_rows and e.budget != "required")
"""Engines that learn a whole table without a budget."""
OVERSAMPLERS = tuple(n for n, e in REGISTRY.items() if e.holds_rows)
"""Engines for the minority alone, whose models hold training rows."""
PRIVATE = tuple(n for n, e in REGISTRY.items() if e.budget == "required")
"""Engines that work under a privacy budget alone."""

DEFAULT = "cart"
DEFAULT_PRIVATE = "marginals"


def traits(name: str) -> Engine:
    """Return what is known of an engine.

    Raises
    ------
    UsageError
        No engine has that name.
    """
    if name not in REGISTRY:
        raise UsageError(f"no engine {name!r}{did_you_mean(name, REGISTRY)}")
    return REGISTRY[name]


def engine(name: str) -> type[Synthesizer]:
    """Import the recipe class of an engine.

    Raises
    ------
    UsageError
        No engine has that name.
    """
    module, attribute = traits(name).path.split(":")
    cls: type[Synthesizer] = getattr(import_module(module), attribute)
    return cls


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
        raise ConfigError(f"settings were given as {type(settings).__name__}; expected a mapping")
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


def cautions(name: str, settings: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Return what a user should know of the settings that they gave."""
    built = recipe(name, settings)
    return tuple(built.cautions()) if isinstance(built, Cautious) else ()


def _fitting(place: str, value: Any, hint: Any) -> Any:
    """Return `value` as the annotated type, if it converts without loss."""
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
        expected = f"a list of {inner[0].__name__}" if origin is tuple else plain.__name__
        raise ConfigError(f"{place} was given as {type(value).__name__}; expected {expected}")
    return value
