"""The two protocols of an engine: a recipe that fits, and a model that samples.

A new engine is a module with the two, and an entry in `privsynth.engines.registry`; the contract
tests then run over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Codes
from privsynth.coding import Codec
from privsynth.curator import Curator, PrivateCurator

__all__ = [
    "Cautious",
    "Model",
    "PrivateModel",
    "PrivateSynthesizer",
    "Progress",
    "Refits",
    "Synthesizer",
]

Progress = Callable[[str, int, int], None]
"""Called with a phase, the steps done and the number of steps."""


class Model(Protocol):
    """A fitted value: parameters alone, or training rows if `holds_rows` says so."""

    holds_rows: ClassVar[bool]

    @property
    def answers(self) -> frozenset[int]:
        """Return the positions of the columns that `where` may name."""
        ...

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes | pa.Table:
        """Draw rows.

        Parameters
        ----------
        n : int
            How many rows; exactly so many are returned.
        rng : numpy.random.Generator
            The only source of chance.
        where : mapping of int to int, optional
            Column position to code: every row has that code there. Only positions in `answers`
            are allowed; the sampler meets conditions on other columns by rejection.

        Returns
        -------
        Codes, shape (n, columns), or pyarrow.Table
            A model that holds rows draws between them and returns values, of the columns that
            are neither ids, personal nor text. All others return codes.
        """
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays from which `from_state` rebuilds the model."""
        ...

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model; nothing in the state is executed.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        ...

    def check(self, codec: Codec) -> None:
        """Refuse a codec that the model was not fitted with: its codes would have no values.

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
    """A model that was fitted under a privacy budget: its counts of the rows are noisy."""

    @property
    def n_rows(self) -> float:
        """Return the noisy number of training rows."""
        ...

    def marginal(self, column: int) -> npt.NDArray[np.float64]:
        """Return the noisy share of each code of a column."""
        ...


@runtime_checkable
class PrivateSynthesizer(Protocol):
    """A recipe that works under a privacy budget."""

    model: ClassVar[type[PrivateModel]]

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> PrivateModel:
        """Learn a model from the curator's noisy answers alone."""
        ...

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table that is too large for this machine, before any budget is spent.

        Parameters
        ----------
        codec : Codec
            Of the declared schema; columns whose domain is still to be discovered count as small.

        Raises
        ------
        UsageError
        """
        ...


@runtime_checkable
class Refits(Protocol):
    """A recipe that can be fitted to what another engine has measured, at no further cost."""

    def refit(self, model: Any) -> PrivateModel:
        """Fit to the noisy measurements that a model keeps."""
        ...


@runtime_checkable
class Cautious(Protocol):
    """A recipe some of whose settings a user should be warned of."""

    def cautions(self) -> Iterable[str]:
        """Yield a line for each such setting."""
        ...
