"""All that decides a fit but its rows, so that an audit, a comparison or a refit can replay it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from privsynth.engines import Synthesizer, recipe
from privsynth.errors import UsageError
from privsynth.privacy import Budget
from privsynth.schema import Schema, Unit

__all__ = ["After", "FitTask"]


@dataclass(frozen=True)
class After:
    """A holdout of the rows at or after a moment.

    Parameters
    ----------
    date : str
        In ISO 8601; a date without a time is its midnight. Without an offset it is local time in
        the column's zone.
    column : str
        The column of dates or times that is compared with it.

    Examples
    --------
    >>> After("2024-01-31", "opened").moment
    datetime.datetime(2024, 1, 31, 0, 0)

    Raises
    ------
    UsageError
        The date cannot be read, or the column is not named by a text.
    """

    date: str
    column: str

    def __post_init__(self) -> None:
        _ = self.moment
        if not isinstance(self.column, str):
            raise UsageError(f"the holdout's column is given as {self.column!r}; give its name")

    @property
    def moment(self) -> datetime:
        """The date as a moment, with a zone only if it has an offset."""
        try:
            if self.date.isprintable():  # any character may stand before the time
                return datetime.fromisoformat(self.date)
        except (AttributeError, ValueError):
            pass
        raise UsageError(
            f"the holdout's date is given as {self.date!r}; give one such as 2024-01-31 or "
            "2024-01-31T12:00"
        )


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
    holdout : float or After, optional
        What was set aside before the fit: a share, or all after a date. It is kept in the card.
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
    holdout: float | After | None = None
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
