"""Columns: their kinds, domains, roles, and where each domain comes from."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from privsynth.errors import SchemaError, did_you_mean

__all__ = ["Bounds", "Column", "Kind", "Levels", "Role", "Source"]
MAX_DECIMALS = 76
"""The digits that the widest decimal type holds."""
_E = TypeVar("_E", bound=StrEnum)


class Kind(StrEnum):
    """What a column's values mean, which decides how they are modelled."""

    NUMERIC = "numeric"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    ORDINAL = "ordinal"
    DATETIME = "datetime"
    ID = "id"
    PERSONAL = "personal"
    TEXT = "text"

    @property
    def surrogate(self) -> bool:
        """Whether values are invented afresh and never modelled."""
        return self in (Kind.ID, Kind.PERSONAL, Kind.TEXT)

    @property
    def continuous(self) -> bool:
        """Whether values are numbers or moments, modelled in cells."""
        return self in (Kind.NUMERIC, Kind.INTEGER, Kind.DATETIME)


class Role(StrEnum):
    """The purpose of a column."""

    TARGET = "target"
    ID = "id"
    WEIGHT = "weight"
    KEY = "key"


class Source(StrEnum):
    """Where a domain comes from: a person, the private rows, or a charged query."""

    DECLARED = "declared"
    INFERRED = "inferred"
    DISCOVERED = "discovered"


@dataclass(frozen=True)
class Levels:
    """The values that a column may take, in order."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not all(is_scalar(value) for value in self.values):
            raise SchemaError(
                "expected levels as text, numbers or true/false; for missing values say "
                "'nullable: true' instead of a level, and quote the text \"null\""
            )
        if len({(type(value), value) for value in self.values}) != len(self.values):
            raise SchemaError("a level is listed twice; list each level once")


@dataclass(frozen=True)
class Bounds:
    """The least and greatest value of a column; ISO 8601 text for a datetime."""

    low: int | float | str
    high: int | float | str

    def __post_init__(self) -> None:
        texts = isinstance(self.low, str), isinstance(self.high, str)
        if any(texts) and not all(texts):
            raise SchemaError("bounds mix numbers and text; give both in the column's own form")
        if not any(texts) and not (_finite(self.low) and _finite(self.high)):
            raise SchemaError("expected bounds as two finite numbers, or two dates")
        if self.low > self.high:  # type: ignore[operator]
            raise SchemaError("bounds are the wrong way round; give [low, high]")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name : str
        As in the table's header.
    kind : Kind
        What its values mean.
    dtype : str
        Arrow's name of the type in which values are stored, such as ``"int64"``.
    domain : Levels or Bounds, optional
        The values it may take; None if it is never modelled, or not yet known.
    source : Source
        Where `domain` comes from.
    nullable : bool
        Whether values may be missing.
    role : Role, optional
        Its purpose.
    unique : bool
        Whether no value occurs twice (id and personal columns).
    decimals : int, optional
        Digits after the point of a numeric column; None if they are not fixed.
    format : str, optional
        How a text file spells its values: ``"True/False"`` or a `strftime` pattern.
    personal : str, optional
        The kind of personal data (``"email"``, ``"name"``, ...) or, for an id, its pattern.
    determined_by : str, optional
        The column whose level determines the value, through `mapping`. A determined column is
        never modelled, and costs no privacy budget.
    mapping : tuple of (level, value) pairs
        The value for each level of that column.
    why : str
        The reason for its kind, for the person who reviews the schema.
    given : frozenset of str, optional
        The fields given in a file; None for a column built in Python. Neither compared nor saved.
    """

    name: str
    kind: Kind
    dtype: str
    domain: Levels | Bounds | None = None
    source: Source = Source.INFERRED
    nullable: bool = False
    role: Role | None = None
    unique: bool = False
    decimals: int | None = None
    format: str | None = None
    personal: str | None = None
    determined_by: str | None = None
    mapping: tuple[tuple[Any, Any], ...] = ()
    why: str = ""
    given: frozenset[str] | None = field(default=None, compare=False, repr=False)

    @property
    def stated(self) -> frozenset[str]:
        """The fields that a person stated; they override what is inferred."""
        blank = Column("", Kind.CATEGORICAL, "string")
        changed = {f.name for f in fields(self) if getattr(self, f.name) != getattr(blank, f.name)}
        given = {"kind", "dtype"} if self.given is None else self.given
        return frozenset(changed | given) - {"name", "source", "given"}

    def to_dict(self) -> dict[str, Any]:
        """Return the column as YAML or JSON values, leaving out what is unset."""
        state: dict[str, Any] = {"name": self.name, "kind": str(self.kind), "dtype": self.dtype}
        if isinstance(self.domain, Levels):
            state["levels"] = list(self.domain.values)
        elif isinstance(self.domain, Bounds):
            state["bounds"] = [self.domain.low, self.domain.high]
        if self.domain is not None or self.source is Source.DISCOVERED:
            state["source"] = str(self.source)
        state["nullable"] = self.nullable
        if self.role is not None:
            state["role"] = str(self.role)
        if self.unique:
            state["unique"] = True
        for key in ("decimals", "format", "personal"):
            if getattr(self, key) is not None:
                state[key] = getattr(self, key)
        if self.determined_by is not None:
            state["determined_by"] = self.determined_by
            # Pairs, since JSON would turn the keys of a mapping into text.
            state["mapping"] = [list(pair) for pair in self.mapping]
        if self.why:
            state["why"] = self.why
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any], where: str = "schema") -> Column:
        """Rebuild a column; `where` names the file in messages.

        Raises
        ------
        SchemaError
            A key, kind, role or source is unknown, or a domain contradicts itself.
        """
        allowed = {f.name for f in fields(cls)} - {"domain", "given"} | {"levels", "bounds"}
        name = state.get("name")
        if not isinstance(name, str):
            raise SchemaError(
                f"{where}: a column has no name; give each column a 'name', in quotes where it "
                "looks like a number"
            )
        place = f"{where}, column {name!r}"
        for key in state:
            if key not in allowed:
                raise SchemaError(
                    f"{place}: unknown key {key!r}{did_you_mean(key, sorted(allowed))}"
                )
        if "levels" in state and "bounds" in state:
            raise SchemaError(f"{place}: has both levels and bounds; keep one of them")
        try:
            domain = _domain(state)
        except SchemaError as error:
            raise SchemaError(f"{place}: {error}") from None
        _check_fields(state, place)
        kind = _member(Kind, state.get("kind", "categorical"), place, "kind")
        _check_format(kind, state.get("format"), place)
        column = cls(
            name=name,
            kind=kind,
            dtype=state.get("dtype", "string"),
            domain=domain,
            source=_member(Source, state.get("source", "declared"), place, "source"),
            nullable=state.get("nullable", False),
            role=_member(Role, state["role"], place, "role") if state.get("role") else None,
            unique=state.get("unique", False),
            decimals=state.get("decimals"),
            format=state.get("format"),
            personal=state.get("personal"),
            determined_by=state.get("determined_by"),
            mapping=_pairs(state.get("mapping", {}), place),
            why=state.get("why", ""),
            given=frozenset("domain" if key in ("levels", "bounds") else key for key in state),
        )
        check_quoted(column, place)
        return column


_FIELD_TYPES: dict[str, tuple[type, str]] = {
    "dtype": (str, "text, such as 'int64'"),
    "nullable": (bool, "true or false"),
    "unique": (bool, "true or false"),
    "decimals": (int, "a whole number"),
    "format": (str, "text"),
    "personal": (str, "text"),
    "determined_by": (str, "the name of a column"),
    "why": (str, "text"),
}


def _check_fields(state: Mapping[str, Any], place: str) -> None:
    """Refuse fields of the wrong type, impossible decimals and an unknown storage type."""
    from privsynth.table import arrow_type

    for key, (expected, words) in _FIELD_TYPES.items():
        if key in state and type(state[key]) is not expected:
            raise SchemaError(f"{place}: expected {key!r} as {words}")
    if state.get("decimals", 0) < 0:
        raise SchemaError(f"{place}: 'decimals' is negative; give 0 for whole numbers")
    if state.get("decimals", 0) > MAX_DECIMALS:
        raise SchemaError(
            f"{place}: 'decimals' is above {MAX_DECIMALS}, which no type holds; give fewer"
        )
    try:
        arrow_type(state.get("dtype", "string"))
    except SchemaError as error:
        raise SchemaError(f"{place}: {error}") from None


def check_quoted(column: Column, place: str) -> None:
    """Refuse levels that YAML did not read as text because quotes are missing."""
    listed = column.domain.values if isinstance(column.domain, Levels) else ()
    values = (*listed, *(value for _, value in column.mapping))
    dtype = None if column.given is not None and "dtype" not in column.given else column.dtype
    if column.kind is Kind.BOOLEAN or dtype == "bool":
        return
    if any(isinstance(value, bool) for value in values):
        raise SchemaError(
            f"{place}: a level is true or false, as YAML reads yes, no, on and off; put each level "
            'in quotes ("yes", "no"), or give \'kind: boolean\''
        )
    text = dtype == "string" or (dtype is None and any(isinstance(v, str) for v in values))
    if text and not all(isinstance(value, str) for value in values):
        raise SchemaError(
            f"{place}: holds text, but one of its levels is a number; put each level in quotes, "
            'such as "01"'
        )


def _member(enum: type[_E], value: Any, place: str, key: str) -> _E:
    try:
        return enum(value)
    except ValueError:
        shown = value if isinstance(value, str) else type(value).__name__
        hint = did_you_mean(shown, [str(member) for member in enum])
        raise SchemaError(f"{place}: unknown {key} {shown!r}{hint}") from None


def _check_format(kind: Kind, form: str | None, place: str) -> None:
    """Refuse a format that cannot write a date."""
    if kind is not Kind.DATETIME or form is None:
        return
    from privsynth.table.spelling import is_pattern

    if not is_pattern(form):
        raise SchemaError(f"{place}: its format is not a strftime pattern; give one, or drop it")


def _domain(state: Mapping[str, Any]) -> Levels | Bounds | None:
    if "levels" in state:
        if not isinstance(state["levels"], list):
            raise SchemaError("expected levels as a list")
        return Levels(tuple(_iso_text(value) for value in state["levels"]))
    if "bounds" in state:
        bounds = state["bounds"]
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise SchemaError("expected bounds as a list [low, high]")
        return Bounds(*(_iso_text(value) for value in bounds))
    return None


def _pairs(state: Any, place: str) -> tuple[tuple[Any, Any], ...]:
    """Read a mapping, or a list of pairs."""
    pairs = list(state.items()) if isinstance(state, Mapping) else state
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise SchemaError(
            f"{place}: expected 'mapping' as a mapping of the other column's levels to values"
        )
    return tuple((_iso_text(level), _iso_text(value)) for level, value in pairs)


def levels_of(column: Column) -> set[Any]:
    """Return the levels that are known without the rows; empty if there are none."""
    values: set[Any] = set()
    if isinstance(column.domain, Levels) and column.source is Source.DECLARED:
        values = set(column.domain.values)
    if column.kind is Kind.BOOLEAN and values <= {False, True}:
        return {False, True}
    return set() if column.kind.surrogate else values


def _iso_text(value: Any) -> Any:
    """Return a date as ISO 8601 text, since YAML reads an unquoted one as a date."""
    return value.isoformat() if isinstance(value, datetime.date) else value


def is_scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or _finite(value)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
