"""All that decides a fit but its rows, so that an audit, a comparison or a refit can replay it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from privsynth.engines import Synthesizer, recipe
from privsynth.privacy import Budget
from privsynth.schema import Schema, Unit

__all__ = ["FitTask"]


@dataclass(frozen=True)
class FitTask:
    """All that decides a fit but its rows.

    Parameters
    ----------
    engine : str
        An engine's name.
    settings : mapping of str to value
        Its hyper-parameters; those not given keep their defaults.
    declared : Schema, optional
        What a person declared of the columns. The rest is inferred, but nothing under a budget.
    target : str, optional
        The column to be predicted; the schema's by default.
    k : int
        Disclosure control without a budget: nothing in the model rests on fewer rows than this.
    budget : Budget, optional
        The privacy loss allowed, and the unit that it protects.
    minority : bool
        Whether the model draws the classes below the most frequent one alone.
    seed : int, optional
        Governs the engine's chance; the noise of a budget has no seed.
    holdout : float, optional
        The share of rows that was set aside before the fit; kept in the card.
    measured_by : tuple of (engine, settings), optional
        The engine whose noisy measurements `engine` is fitted to, if it is another one.
    """

    engine: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    declared: Schema | None = None
    target: str | None = None
    k: int = 10
    budget: Budget | None = None
    minority: bool = False
    seed: int | None = None
    holdout: float | None = None
    measured_by: tuple[str, Mapping[str, Any]] | None = None

    @property
    def recipe(self) -> Synthesizer:
        """Return the engine's recipe, with its settings checked.

        Raises
        ------
        UsageError
            No such engine or setting, or a value of the wrong type.
        """
        return recipe(self.engine, self.settings)

    @property
    def unit(self) -> Unit | None:
        """Return the privacy unit that the schema names."""
        return None if self.declared is None else self.declared.unit

    @property
    def label(self) -> str | None:
        """Return the name of the target, as the task or the schema gives it."""
        if self.target is not None or self.declared is None or self.declared.target is None:
            return self.target
        return self.declared.target.name
