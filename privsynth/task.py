"""All that decides a fit, so that others can replay it: the audit, a comparison, a refit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from privsynth.artefact import FittedModel
from privsynth.engines import OVERSAMPLERS, Progress, recipe
from privsynth.errors import UsageError
from privsynth.fitting import fit_privately, fit_table, minority_rows, refitted
from privsynth.privacy import Budget
from privsynth.schema import Column, Kind, Schema
from privsynth.table import Table

__all__ = ["FitTask"]


@dataclass(frozen=True)
class FitTask:
    """All that decides a fit but its rows and its seed.

    Parameters
    ----------
    engine : str
        An engine's name.
    settings : mapping of str to value
        Its hyper-parameters.
    target : str, optional
        The column to be predicted.
    declared : Schema, optional
        What a person declared of the columns; the rest is inferred, but nothing under a budget.
    k : int
        Disclosure control, without a budget.
    budget : Budget, optional
        The privacy loss allowed.
    minority : bool
        Whether the model draws the classes below the most frequent one alone.
    refits : tuple of (engine, settings), optional
        The engine that is fitted to what `engine` has measured, where there is another.
    """

    engine: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    target: str | None = None
    declared: Schema | None = None
    k: int = 10
    budget: Budget | None = None
    minority: bool = False
    refits: tuple[str, Mapping[str, Any]] | None = None

    @classmethod
    def of(cls, fitted: FittedModel) -> Self:
        """Read the task from the card, schema and ledger of a model.

        Raises
        ------
        UsageError
            The model was saved by a version that did not keep all of it.
        """
        card, budget = fitted.card, fitted.ledger.budget
        task = cls(
            card["engine"],
            card["settings"],
            card["target"],
            _declared(fitted),
            card["disclosure"]["k"],
            budget,
            bool(card["minority"]),
        )
        if "measured_by" not in card:
            return task
        first = card["measured_by"]
        refits = (task.engine, task.settings)
        return replace(task, engine=first["engine"], settings=first["settings"], refits=refits)

    def fit(
        self,
        train: Table,
        *,
        seed: int,
        stream: np.random.SeedSequence,
        account: str | Path | None = None,
        new_account: bool = False,
        holdout: float | None = None,
        progress: Progress | None = None,
        privately: Callable[..., FittedModel] = fit_privately,
    ) -> FittedModel:
        """Fit to the rows of a table, which was read as `total` under a budget.

        Parameters
        ----------
        train : Table
        seed : int
            What the card says of chance.
        stream : numpy.random.SeedSequence
            Where the engine's chance comes from; the noise of a budget has no seed.
        account : str or Path, optional
            The file in which a budget is counted. A replay on other rows has none.
        new_account : bool
            Whether that file is opened by this fit.
        holdout : float, optional
            The share that was set aside, for the card.
        progress : callable, optional
        privately : callable
            `privsynth.fitting.private.fit_privately`, or one with an accountant that records.

        Returns
        -------
        FittedModel
        """
        synthesizer = recipe(self.engine, self.settings)
        if self.budget is not None:
            model = privately(
                train,
                self.engine,
                synthesizer,
                target=self.target,
                declared=self.declared,
                budget=self.budget,
                account=account,
                new_account=new_account,
                seed=seed,
                stream=stream,
                minority=self.minority,
                holdout=holdout,
                progress=progress,
            )
            return model if self.refits is None else _refitted(model, *self.refits)
        rare = self.minority and self.engine not in OVERSAMPLERS
        return fit_table(
            minority_rows(train, self._aim) if rare else train,
            self.engine,
            synthesizer,
            target=self.target,
            declared=self.declared,
            k=self.k,
            seed=seed,
            stream=stream,
            minority=self.minority,
            holdout=holdout,
            progress=progress,
        )

    @property
    def _aim(self) -> str | None:
        """The target, as an option or the schema names it."""
        if self.target is not None or self.declared is None or self.declared.target is None:
            return self.target
        return self.declared.target.name


def _refitted(model: FittedModel, name: str, settings: Mapping[str, Any]) -> FittedModel:
    return refitted(model, name, recipe(name, settings))


def _declared(fitted: FittedModel) -> Schema | None:
    """Rebuild what was declared: the fields that the card lists, as the model's schema has them.

    Under a budget that is the whole schema, whose discovered domains are discovered anew.
    """
    listed = fitted.card.get("declared")
    if not isinstance(listed, Mapping):
        raise UsageError(
            "the model's card does not say what was declared when it was fitted, so the fit cannot "
            "be replayed; fit the model anew with this version"
        )
    if fitted.ledger.budget is not None:
        return fitted.schema
    columns = tuple(
        _stated(column, frozenset(listed[column.name]))
        for column in fitted.schema
        if column.name in listed
    )
    return Schema(columns) if columns else None


def _stated(column: Column, given: frozenset[str]) -> Column:
    """Give a column with the fields that a person stated, and no other."""
    said = {name: getattr(column, name) for name in given}
    if "domain" in given:
        said["source"] = column.source
    return Column(
        **{"name": column.name, "kind": Kind.CATEGORICAL, "dtype": "string", **said, "given": given}
    )
