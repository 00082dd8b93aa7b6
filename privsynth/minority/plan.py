"""The plan of an augmentation: its engine, the rows that it learns, and selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from privsynth.engines import DEFAULT, Engine, recipe, traits
from privsynth.errors import UsageError
from privsynth.fitting import check_private
from privsynth.privacy import Budget
from privsynth.schema import Schema

__all__ = ["FitOn", "Plan", "Selection"]

FitOn = Literal["auto", "minority", "all"]
Selection = Literal["auto", "classifiers", "none"]


@dataclass(frozen=True)
class Plan:
    """How synthetic rows of the minority are drawn.

    Parameters
    ----------
    engine : str
        An engine's name.
    settings : mapping of str to value, optional
        Its hyper-parameters; for ``cart`` the defaults are finer than in `fit`.
    fit_on : {"auto", "minority", "all"}
        The rows that it learns: those of the growing classes, or all. By default those of the
        growing classes and as many of the others, or up to 5,000 if that is more. A class of
        fewer than 20 rows would be lost among the others, so then only the growing classes are
        learnt, except by a network, which learns nothing from so few rows.
    selection : {"auto", "classifiers", "none"}
        Whether classifiers choose among the rows drawn; see `privsynth.minority.selection`. By
        default they do for ``cart`` and ``copula``, unless `fit_on` is given.
    k : int
        The fewest rows that a level, cell or leaf may rest on; lower if a class has fewer rows.
    schema : Schema, optional
        The declared columns; the others are inferred, but not under a budget.
    budget : Budget, optional
        The privacy loss that the model may cause. All rows are then learnt, and no classifier
        selects among the rows drawn, since it would read real rows outside the budget.
    ledger : str or Path, optional
        The file in which the owner of the table counts what every fit may spend.
    new_ledger : bool
        Create that file, which must not exist yet.

    Raises
    ------
    UsageError
        An unknown engine or setting, or one that does not work with, or without, a budget.
    """

    engine: str = DEFAULT
    settings: Mapping[str, Any] | None = None
    fit_on: FitOn = "auto"
    selection: Selection = "auto"
    k: int = 10
    schema: Schema | None = None
    budget: Budget | None = None
    ledger: str | Path | None = None
    new_ledger: bool = False

    def __post_init__(self) -> None:
        given = recipe(self.engine, self.settings)
        check_private(self.engine, given, self.budget, self.ledger, self.new_ledger)
        if self.budget is not None and self.selection == "classifiers":
            raise UsageError(
                "classifiers that select rows read real rows outside the budget; leave "
                "--selection out, or drop --epsilon"
            )
        if self.budget is not None and self.fit_on == "minority":
            raise UsageError(
                "under a budget all rows are learnt, since a noisy model of all rows describes a "
                "rare class better than one of its few rows; leave --fit-on out, or drop --epsilon"
            )
        for name, known in (("fit_on", get_args(FitOn)), ("selection", get_args(Selection))):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name} was given as {getattr(self, name)!r}; expected {', '.join(known)}"
                )
        if self.fit_on != "auto" and self.holds_rows:
            raise UsageError(
                f"{self.engine} draws between the rows of each class and learns nothing; use cart "
                "or copula, or leave --fit-on out"
            )
        if self.selection == "classifiers" and self.holds_rows:
            raise UsageError(
                f"{self.engine} draws between rows, and its rows are not selected; use cart or "
                "copula, or leave the selection out"
            )

    @property
    def holds_rows(self) -> bool:
        """Whether the engine is one of imbalanced-learn's."""
        return self.traits.holds_rows

    @property
    def traits(self) -> Engine:
        """The engine's traits."""
        return traits(self.engine)

    @property
    def all_settings(self) -> dict[str, Any]:
        """The settings, over the engine's defaults for a small class."""
        return {**self.traits.for_minority, **(self.settings or {})}

    @property
    def selects(self) -> bool:
        """Whether classifiers choose among the rows drawn."""
        if self.selection == "auto":
            return self.traits.selected and self.fit_on == "auto"
        return self.selection == "classifiers"
