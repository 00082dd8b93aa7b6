"""How rows of the minority are made: engine, rows learnt, selection."""

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
    """How rows of the minority are made.

    Parameters
    ----------
    engine : str
        An engine's name.
    settings : mapping of str to value, optional
        Its hyper-parameters; for ``cart`` those that are not given are finer than in `fit`.
    fit_on : {"auto", "minority", "all"}
        The rows that it learns: those of the growing classes, or all. By default those of the
        growing classes and as many of the others, 5,000 at least; under 20 rows of a class, whose
        rows would be lost among the others, those of the growing classes alone (a network, which
        learns nothing from so few, keeps the others).
    selection : {"auto", "classifiers", "none"}
        Whether classifiers choose among the rows drawn; see `privsynth.minority.selection`. By
        default they do for privsynth's own engines, unless `fit_on` is given.
    k : int
        The fewest rows that a level, cell or leaf may rest on; fewer where a class has fewer.
    schema : Schema, optional
        What is declared of the columns; the rest is inferred, but nothing under a budget.
    budget : Budget, optional
        The privacy loss that the model may cause. All rows are then learnt, and no classifier
        chooses among the rows drawn, since it would read the real ones outside the budget.
    ledger : str or Path, optional
        The file in which the owner of the table counts what every fit may spend.
    new_ledger : bool
        Open that file, which must not be there yet.

    Raises
    ------
    UsageError
        An unknown engine or setting, or one that a budget, or a table without, does not allow.
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
                "classifiers that select rows are trained on real ones outside the budget; leave "
                "--selection out, or drop --epsilon"
            )
        if self.budget is not None and self.fit_on == "minority":
            raise UsageError(
                "under a budget all rows are learnt, since one model of them tells more of a rare "
                "class than its own rows under noise; leave --fit-on out, or drop --epsilon"
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
        """What is known of the engine."""
        return traits(self.engine)

    @property
    def all_settings(self) -> dict[str, Any]:
        """The engine's settings, with those that learn a small class more finely."""
        return {**self.traits.for_minority, **(self.settings or {})}

    @property
    def selects(self) -> bool:
        """Whether classifiers choose among the rows drawn."""
        if self.selection == "auto":
            return self.traits.selected and self.fit_on == "auto"
        return self.selection == "classifiers"
