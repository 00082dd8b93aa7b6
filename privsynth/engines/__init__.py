"""The engines: a recipe that fits, a model that samples, and the table of them all.

An engine is a frozen dataclass of hyper-parameters. It asks the curator for what it needs of
the private rows and gives a model, which is another type, so nothing is ever "not fitted".
Everything an engine sees and gives is integer codes; the codec alone knows values.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.codec import Codec, Codes
from privsynth.curator import Curator, PrivateCurator
from privsynth.errors import ConfigError, DataError, SamplingError, UsageError, known

__all__ = [
    "DEFAULT",
    "DEFAULT_PRIVATE",
    "ENGINES",
    "OVERSAMPLERS",
    "PRIVATE",
    "Model",
    "PrivateModel",
    "PrivateSynthesizer",
    "Progress",
    "Synthesizer",
    "check_rows",
    "engine",
    "labels_to_draw",
    "recipe",
]

Progress = Callable[[str, int, int], None]
"""Called with a phase, the steps done and the steps in all."""


class Model(Protocol):
    """A fitted value: parameters alone, unless `holds_rows` says otherwise."""

    holds_rows: ClassVar[bool]

    @property
    def answers(self) -> frozenset[int]:
        """The positions of the columns that `where` may name."""
        ...

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes | pa.Table:
        """Draw rows.

        Parameters
        ----------
        n : int
            How many rows; all of them are given.
        rng : numpy.random.Generator
            The only source of chance.
        where : mapping of int to int, optional
            Column position to code: holds for every row given. Positions outside `answers` may
            not be asked for; conditions on them are met by rejection above the engine.

        Returns
        -------
        Codes, shape (n, columns), or pyarrow.Table
            Values, of the columns that are neither ids, personal nor text, are given by a model
            that holds rows, since it draws between them; all others give codes.
        """
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Give JSON values and arrays from which `from_state` rebuilds the model."""
        ...

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model; executes nothing that the state holds.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        ...

    def check(self, codec: Codec) -> None:
        """Refuse a codec that the model was not fitted with, so that what it draws has values.

        Raises
        ------
        ArtefactError
            Their columns, codes or classes differ.
        """
        ...


class Synthesizer(Protocol):
    """A recipe: a frozen dataclass of hyper-parameters."""

    model: ClassVar[type[Model]]

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Model:
        """Learn a model from the curator's answers.

        Raises
        ------
        DataError
            The table has fewer rows than the engine needs.
        """
        ...


class PrivateModel(Model, Protocol):
    """A model that was learnt under a privacy budget: what it tells of the rows is noisy."""

    @property
    def n_rows(self) -> float:
        """About how many rows were learnt from."""
        ...

    def marginal(self, column: int) -> npt.NDArray[np.float64]:
        """Give about the share of each code of a column."""
        ...


class PrivateSynthesizer(Protocol):
    """A recipe that can work under a privacy budget."""

    model: ClassVar[type[PrivateModel]]

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> PrivateModel:
        """Learn a model from the curator's noisy answers, and from nothing else."""
        ...

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table that is too large for this machine, before anything is spent on it.

        Parameters
        ----------
        codec : Codec
            Of the declared schema; columns that are to be discovered count as small.

        Raises
        ------
        UsageError
        """
        ...


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
        raise UsageError(f"no engine {name!r}{known(name, every)}")
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
            raise ConfigError(f"{name} has no setting {key!r}{known(key, settable)}")
        values[key] = _fitting(f"{name}: setting {key!r}", value, hints[key])
    built = cls(**values)
    for key, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{name}: setting {key!r} is {value}; give a finite number")
    return built


def check_rows(engine: str, n: int, k: int) -> None:
    """Refuse a table of fewer rows than k.

    Raises
    ------
    DataError
    """
    if n < max(k, 2):
        raise DataError(
            f"the table has {n} rows, but {engine} needs {max(k, 2)}; give more rows, or lower --k"
        )


def labels_to_draw(
    n: int,
    prior: npt.NDArray[np.float64],
    target: int | None,
    rng: np.random.Generator,
    where: Mapping[int, int] | None,
) -> npt.NDArray[np.int32]:
    """Give the class of each row to draw: the one asked for, or each by its share.

    Parameters
    ----------
    n : int
    prior : ndarray, shape (classes,)
        The share of each class.
    target : int or None
        Position of the target.
    rng : numpy.random.Generator
    where : mapping of int to int, optional
        What `Model.sample` was asked for.

    Returns
    -------
    ndarray of int32, shape (n,)
        In random order; by systematic sampling, so that shares are kept within one row.

    Raises
    ------
    SamplingError
        Another column than the target is asked for, or a class that no training row has.
    """
    if not where:
        total = np.cumsum(prior) / np.sum(prior)
        drawn = np.searchsorted(total, (np.arange(n) + rng.random()) / n, side="right")
        return rng.permutation(np.minimum(drawn, np.flatnonzero(prior)[-1])).astype(np.int32)
    if set(where) != {target}:
        raise SamplingError(
            "the engine answers conditions on a discrete target alone; "
            "leave the others to rejection sampling"
        )
    code = next(iter(where.values()))
    if not 0 <= code < len(prior) or prior[code] == 0:
        raise SamplingError(
            "the model has seen no row of the class that is asked for; ask for another class"
        )
    return np.full(n, code, dtype=np.int32)


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
