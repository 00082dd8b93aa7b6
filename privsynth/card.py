"""The card of a model: what was fitted, to how many rows, by which versions, under which rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

from privsynth.engines import REGISTRY, recipe
from privsynth.errors import ArtefactError, UsageError
from privsynth.files.documents import flag, number, only, text, whole
from privsynth.privacy import Budget, Disclosure
from privsynth.schema import Column, Kind, Schema
from privsynth.table import FRAMES
from privsynth.task import After, FitTask

__all__ = ["Card"]


@dataclass(frozen=True, eq=False)
class Card(Mapping[str, Any]):
    """What a model says of itself, beside its schema and ledger.

    Users read it as a mapping too: ``card["engine"]`` is the entry of the saved JSON.

    Parameters
    ----------
    engine, settings, target, minority, seed, holdout
        As in `privsynth.task.FitTask`; every setting is given.
    rows : int
        Training rows; a noisy count under a budget.
    declared : mapping of str to tuple of str, optional
        The fields of each column that a person declared. Old files do not say.
    class_shares : tuple of float, optional
        The share of each class by its code, where the target has classes.
    frame : str
        The kind of frame that `sample` returns.
    disclosure : Disclosure
        Disclosure control; k is 1 under a budget.
    rules : tuple of str
        What disclosure control did, in words.
    holds_rows : bool
        Whether the model is training rows.
    versions : mapping of str to str or None
        Versions of the packages that the fit rested on.
    cautions : tuple of str, optional
        What noisy counts say a user must know. Only models under a budget keep them.
    measured_by : tuple of (engine, settings), optional
        As in `privsynth.task.FitTask`.
    others : mapping of str to JSON value
        Entries that this version does not know; they are kept when the model is saved again.
    """

    engine: str
    settings: Mapping[str, Any]
    seed: int | None
    rows: int
    target: str | None
    declared: Mapping[str, tuple[str, ...]] | None
    class_shares: tuple[float, ...] | None
    minority: bool
    holdout: float | After | None
    frame: str
    disclosure: Disclosure
    rules: tuple[str, ...]
    holds_rows: bool
    versions: Mapping[str, str | None]
    cautions: tuple[str, ...] | None = None
    measured_by: tuple[str, Mapping[str, Any]] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        return self.to_dict()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_dict())

    def __len__(self) -> int:
        return len(self.to_dict())

    def task(self, schema: Schema, budget: Budget | None) -> FitTask:
        """Return the task that made the model, so that it can be replayed.

        Parameters
        ----------
        schema : Schema
            The model's.
        budget : Budget, optional
            The ledger's.

        Raises
        ------
        UsageError
            The model was saved by a version that did not keep all of the task.
        """
        return FitTask(
            self.engine,
            self.settings,
            self._declared(schema, budget),
            self.target,
            self.disclosure.k,
            budget,
            self.minority,
            self.seed,
            self.holdout,
            self.measured_by,
        )

    def _declared(self, schema: Schema, budget: Budget | None) -> Schema | None:
        """Rebuild what was declared: the fields that the card lists, as the schema has them.

        Under a budget that is the whole schema, whose discovered domains are discovered anew.
        """
        if self.declared is None:
            raise UsageError(
                "the model's card does not say what was declared when it was fitted, so the fit "
                "cannot be replayed; fit the model anew with this version"
            )
        if budget is not None:
            return schema
        columns = tuple(
            _stated(column, frozenset(self.declared[column.name]))
            for column in schema
            if column.name in self.declared
        )
        return Schema(columns, schema.unit) if columns or schema.unit else None

    def to_dict(self) -> dict[str, Any]:
        """Return the card as JSON values; entries without a meaning for the model are left out."""
        state: dict[str, Any] = {
            "engine": self.engine,
            "settings": dict(self.settings),
            "seed": self.seed,
            "rows": self.rows,
            "target": self.target,
            "class_shares": self.class_shares and list(self.class_shares),
            "minority": self.minority,
            "holdout": _holdout_state(self.holdout),
            "frame": self.frame,
            "disclosure": {"k": self.disclosure.k, "rules": list(self.rules)},
            **({} if self.disclosure.unit is None else {"unit": self.disclosure.unit}),
            "holds_rows": self.holds_rows,
            "versions": dict(self.versions),
            **self.others,
        }
        if self.declared is not None:
            state["declared"] = {name: list(given) for name, given in self.declared.items()}
        if self.cautions is not None:
            state["cautions"] = list(self.cautions)
        if self.measured_by is not None:
            engine, settings = self.measured_by
            state["measured_by"] = {"engine": engine, "settings": dict(settings)}
        return dict(sorted(json.loads(json.dumps(state)).items()))

    @classmethod
    def from_dict(cls, state: Any) -> Self:
        """Rebuild a card, and check every entry that others read.

        Raises
        ------
        PrivsynthError
            An entry is missing or damaged, the engine is unknown, or it refuses its settings.
        """
        if not isinstance(state, dict):
            raise ArtefactError("its card is damaged; fit the model anew")
        for key, check in _ENTRIES.items():
            if key not in state:
                raise ArtefactError(f"its card has no {key!r}; fit the model anew")
            check(state[key], f"card's {key!r}")
        for key, check in _OPTIONAL_ENTRIES.items():
            if key in state:
                check(state[key], f"card's {key!r}")
        recipe(state["engine"], state["settings"])
        entries = {key: state[key] for key in _ENTRIES if key != "disclosure"}
        known = {*_ENTRIES, *_OPTIONAL_ENTRIES}
        shares, declared = state["class_shares"], state.get("declared")
        first = state.get("measured_by")
        return cls(
            **entries
            | {
                "class_shares": None if shares is None else tuple(shares),
                "declared": declared and {name: tuple(of) for name, of in declared.items()},
                "holdout": _set_aside(state["holdout"]),
                "disclosure": Disclosure(state["disclosure"]["k"], state.get("unit")),
                "rules": tuple(state["disclosure"]["rules"]),
                "cautions": tuple(state["cautions"]) if "cautions" in state else None,
                "measured_by": first and (first["engine"], first["settings"]),
                "others": {key: value for key, value in state.items() if key not in known},
            }
        )

    def refitted(self, engine: str, settings: Any, shares: tuple[float, ...] | None) -> Self:
        """Return the card of a model that `engine` fitted to what this one had measured."""
        return replace(
            self,
            engine=engine,
            settings=json.loads(json.dumps(settings)),
            class_shares=shares,
            # Of a model that was refitted itself, the one that measured.
            measured_by=self.measured_by or (self.engine, self.settings),
        )


def _stated(column: Column, given: frozenset[str]) -> Column:
    """Return a column with the fields that a person stated, and no other."""
    stated = {name: getattr(column, name) for name in given}
    if "domain" in given:
        stated["source"] = column.source
    unstated = {"name": column.name, "kind": Kind.CATEGORICAL, "dtype": "string"}
    return Column(**{**unstated, **stated, "given": given})


def _holdout_state(holdout: float | After | None) -> Any:
    """Return how the holdout was set aside as a JSON value: a share, or a date and a column."""
    if isinstance(holdout, After):
        return {"after": holdout.date, "column": holdout.column}
    return holdout


def _set_aside(state: Any) -> Any:
    """Rebuild how the holdout was set aside."""
    return After(state["after"], state["column"]) if isinstance(state, Mapping) else state


def _engine(value: Any, what: str) -> None:
    if text(value, what) not in REGISTRY:
        raise ArtefactError(f"its {what} is unknown here; install a newer privsynth")


def _frame(value: Any, what: str) -> None:
    if value not in FRAMES:
        raise ArtefactError(f"its {what} is damaged; fit the model anew")


def _optional(check: Callable[[Any, str], Any]) -> Callable[[Any, str], None]:
    def checked(value: Any, what: str) -> None:
        if value is not None:
            check(value, what)

    return checked


def _list_of(check: Callable[[Any, str], Any], *, empty: bool) -> Callable[[Any, str], None]:
    def checked(value: Any, what: str) -> None:
        if not isinstance(value, list) or not (value or empty):
            raise ArtefactError(f"its {what} is damaged; fit the model anew")
        for entry in value:
            check(entry, what)

    return checked


def _mapping_of(check: Callable[[Any, str], Any]) -> Callable[[Any, str], None]:
    def checked(value: Any, what: str) -> None:
        if not isinstance(value, dict):
            raise ArtefactError(f"its {what} is damaged; fit the model anew")
        for entry in value.values():
            check(entry, what)

    return checked


def _anything(value: Any, what: str) -> None:
    """Accept a value that the engine's recipe checks."""


def _share(value: Any, what: str) -> None:
    number(value, what, 0.0, 1.0 + 1e-6)


def _holdout(value: Any, what: str) -> None:
    if not isinstance(value, Mapping):
        _optional(number)(value, what)
        return
    for key in only(value, {"after": True, "column": True}, what):
        text(value[key], what)


def _stated_fields(value: Any, what: str) -> None:
    _list_of(text, empty=True)(value, what)
    if not _FIELDS.issuperset(value):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")


def _disclosure(value: Any, what: str) -> None:
    _mapping_of(_anything)(value, what)
    Disclosure(whole(value.get("k"), what, 1))
    _list_of(text, empty=True)(value.get("rules"), what)


def _measurer(value: Any, what: str) -> None:
    _mapping_of(_anything)(value, what)
    _engine(value.get("engine"), what)
    recipe(value["engine"], value.get("settings"))


_FIELDS = frozenset(entry.name for entry in fields(Column))
_ENTRIES: Mapping[str, Callable[[Any, str], Any]] = {
    "engine": _engine,
    "settings": _mapping_of(_anything),
    "seed": _optional(whole),
    "rows": whole,
    "target": _optional(text),
    "class_shares": _optional(_list_of(_share, empty=False)),
    "minority": flag,
    "holdout": _holdout,
    "frame": _frame,
    "disclosure": _disclosure,
    "holds_rows": flag,
    "versions": _mapping_of(_optional(text)),
}
"""The entries of every card."""
_OPTIONAL_ENTRIES: Mapping[str, Callable[[Any, str], Any]] = {
    "unit": text,
    "declared": _mapping_of(_stated_fields),
    "cautions": _list_of(text, empty=True),
    "measured_by": _measurer,
}
