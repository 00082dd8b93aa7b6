"""What an engine is: a recipe that fits, and a model that samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Codes
from privsynth.coding import Codec
from privsynth.curator import Curator, PrivateCurator

__all__ = ["Model", "PrivateModel", "PrivateSynthesizer", "Progress", "Synthesizer"]

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
