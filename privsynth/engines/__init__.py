"""The engines: a recipe that fits, a model that samples, and the table of them all.

An engine is a frozen dataclass of hyper-parameters. It asks the curator for what it needs of
the private rows and gives a model, which is another type, so nothing is ever "not fitted".
Everything an engine sees and gives is integer codes; the codec alone knows values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from privsynth.codec import Codes
from privsynth.curator import Curator

__all__ = ["Model", "Progress", "Synthesizer"]

Progress = Callable[[str, int, int], None]
"""Called with a phase, the steps done and the steps in all."""


class Model(Protocol):
    """A fitted value: parameters alone, unless `holds_rows` says otherwise."""

    holds_rows: ClassVar[bool]

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows.

        Parameters
        ----------
        n : int
            How many rows; all of them are given.
        rng : numpy.random.Generator
            The only source of chance.
        where : mapping of int to int, optional
            Column position to code: holds for every row given. Engines answer for the target
            alone; other conditions are met by rejection above them.

        Returns
        -------
        Codes, shape (n, columns)
        """
        ...

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Give JSON values and arrays from which `from_state` rebuilds the model."""
        ...

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Rebuild a model; executes nothing that the state holds."""
        ...


class Synthesizer(Protocol):
    """A recipe: a frozen dataclass of hyper-parameters."""

    def fit(self, curator: Curator, rng: np.random.Generator) -> Model:
        """Learn a model from the curator's answers."""
        ...
