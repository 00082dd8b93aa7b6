"""The columns of a table: their kinds, domains, roles, and where each domain came from."""

from __future__ import annotations

import datetime
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import yaml

from privsynth.documents import read_text, read_yaml
from privsynth.errors import SchemaError, known
from privsynth.storage import replacing

__all__ = ["Bounds", "Column", "Kind", "Levels", "Role", "Schema", "Source", "opened"]

FORMAT_VERSION = 1
MOST_DECIMALS = 76
"""The digits that the widest decimal type holds."""
_E = TypeVar("_E", bound=StrEnum)
_WANTED: dict[str, tuple[type, str]] = {
    "dtype": (str, "text, such as 'int64'"),
    "nullable": (bool, "true or false"),
    "unique": (bool, "true or false"),
    "decimals": (int, "a whole number"),
    "format": (str, "text"),
    "personal": (str, "text"),
    "determined_by": (str, "the name of a column"),
    "why": (str, "text"),
}


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
        """Whether values lie on a line and are modelled in bins."""
        return self in (Kind.NUMERIC, Kind.INTEGER, Kind.DATETIME)


class Role(StrEnum):
    """What a column is there for."""

    TARGET = "target"
    ID = "id"
    WEIGHT = "weight"
    KEY = "key"


class Source(StrEnum):
    """Where a domain came from: a person, the private rows, or a charged query."""

    DECLARED = "declared"
    INFERRED = "inferred"
    DISCOVERED = "discovered"


@dataclass(frozen=True)
class Levels:
    """The values that a column may take, in order."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        if not all(_scalar(value) for value in self.values):
            raise SchemaError(
                "levels are wanted as text, numbers or true/false; a missing value is no level, "
                "say 'nullable: true' instead, and quote the text \"null\""
            )
        if len({(type(value), value) for value in self.values}) != len(self.values):
            raise SchemaError("levels are listed twice; list each level once")


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
            raise SchemaError("bounds are wanted as two finite numbers, or two dates")
        if self.low > self.high:  # type: ignore[operator]
            raise SchemaError("bounds are the wrong way round; give [low, high]")


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name : str
        As in the table's header.
    kind : Kind
        What its values mean.
    dtype : str
        Arrow's name of the type in which values are stored, such as ``"int64"``.
    domain : Levels or Bounds, optional
        The values it may take; None for a column that is never modelled or not yet bounded.
    source : Source
        Where `domain` came from.
    nullable : bool
        Whether values may be missing.
    role : Role, optional
        What it is there for.
    unique : bool
        Whether no value comes twice (id and personal columns).
    decimals : int, optional
        Digits after the point of a numeric column; None where there is no fixed number.
    format : str, optional
        How a text file spells its values: ``"True/False"`` or a `strftime` pattern.
    personal : str, optional
        The kind of personal data (``"email"``, ``"name"``, ...) or, for an id, its pattern.
    determined_by : str, optional
        The column whose level decides on the value, as `mapping` says: such a column is never
        modelled, and costs nothing under a privacy budget.
    mapping : tuple of (level, value) pairs
        The value that follows from each level.
    why : str
        Why it was given this kind, for the person who reviews the schema.
    given : frozenset of str, optional
        The fields that a file gave; None for a column built in Python. Neither compared nor saved.
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
        """The fields that a person gave, in a file or since; they win over what is inferred."""
        blank = Column("", Kind.CATEGORICAL, "string")
        changed = {f.name for f in fields(self) if getattr(self, f.name) != getattr(blank, f.name)}
        given = {"kind", "dtype"} if self.given is None else self.given
        return frozenset(changed | given) - {"name", "source", "given"}

    def to_dict(self) -> dict[str, Any]:
        """Give the column as YAML or JSON values, leaving out what is unset."""
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
            # Pairs, since JSON would make text of the keys of a mapping.
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
        from privsynth.table import arrow_type

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
                raise SchemaError(f"{place}: unknown key {key!r}{known(key, sorted(allowed))}")
        if "levels" in state and "bounds" in state:
            raise SchemaError(f"{place}: has both levels and bounds; keep one of them")
        try:
            domain = _domain(state)
        except SchemaError as error:
            raise SchemaError(f"{place}: {error}") from None
        for key, (wanted, words) in _WANTED.items():
            if key in state and type(state[key]) is not wanted:
                raise SchemaError(f"{place}: {key!r} is wanted as {words}")
        if state.get("decimals", 0) < 0:
            raise SchemaError(f"{place}: 'decimals' is negative; give 0 for whole numbers")
        if state.get("decimals", 0) > MOST_DECIMALS:
            raise SchemaError(f"{place}: 'decimals' is above {MOST_DECIMALS}, which no type holds")
        try:
            arrow_type(state.get("dtype", "string"))
        except SchemaError as error:
            raise SchemaError(f"{place}: {error}") from None
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
        _check_quoted(column, place)
        return column


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in its order."""

    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            twice = min(name for name, count in Counter(names).items() if count > 1)
            raise SchemaError(f"column {twice!r} is listed twice; list each column once")
        targets = [column.name for column in self.columns if column.role is Role.TARGET]
        if len(targets) > 1:
            raise SchemaError(f"columns {targets} are all the target; keep one 'role: target'")
        by_name = {column.name: column for column in self.columns}
        for column in self.columns:
            _check_quoted(column, f"schema, column {column.name!r}")
            if column.determined_by is not None or column.mapping:
                _check_determined(column, by_name)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def target(self) -> Column | None:
        """The column to be predicted, where there is one."""
        return next((column for column in self.columns if column.role is Role.TARGET), None)

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(f"no column {name!r}{known(name, self.names)}")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def with_target(self, name: str) -> Schema:
        """Give the schema with `name`, and no other column, as the target."""
        self[name]
        return Schema(
            tuple(
                replace(column, role=Role.TARGET)
                if column.name == name
                else replace(column, role=None)
                if column.role is Role.TARGET
                else column
                for column in self.columns
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the schema as YAML or JSON values."""
        return {"version": FORMAT_VERSION, "columns": [column.to_dict() for column in self.columns]}

    @classmethod
    def from_dict(cls, state: Any, where: str = "schema") -> Schema:
        """Rebuild a schema; `where` names the file in messages.

        Raises
        ------
        SchemaError
            The shape is not a schema's, its version is too new, or a column is wrong.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("columns"), list):
            raise SchemaError(
                f"{where}: no list of columns; write one with 'privsynth schema DATA -o {where}'"
            )
        for key in state:
            if key not in ("version", "columns"):
                raise SchemaError(
                    f"{where}: unknown key {key!r}{known(key, ['version', 'columns'])}"
                )
        version = state.get("version", FORMAT_VERSION)
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            shown = version if isinstance(version, int | str) else type(version).__name__
            raise SchemaError(
                f"{where}: schema version {shown!r}, but this privsynth reads up to "
                f"{FORMAT_VERSION}; install a newer one"
            )
        columns = []
        for entry in state["columns"]:
            if not isinstance(entry, Mapping):
                raise SchemaError(f"{where}: a column is not a mapping; give 'name' and 'kind'")
            columns.append(Column.from_dict(entry, where))
        try:
            return cls(tuple(columns))
        except SchemaError as error:
            raise SchemaError(f"{where}: {str(error).removeprefix('schema, ')}") from None

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Give the schema as YAML, and write it to `path` where one is given."""
        state = self.to_dict()
        for column in state["columns"]:
            if "mapping" in column:
                column["mapping"] = dict(column["mapping"])
        text = yaml.dump(state, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """Read a schema from a YAML file.

        Raises
        ------
        SchemaError
            The file cannot be read, is no plain YAML (tags build nothing), or is no schema.
        """
        try:
            text = read_text(path, SchemaError)
        except OSError as error:
            raise SchemaError(
                f"{path}: cannot be read ({error.strerror}); check the path"
            ) from None
        state = read_yaml(text, str(path), SchemaError)
        schema = cls.from_dict(state, str(path))
        _check_spelled(text, str(path))
        return schema


_ODD_NUMBER = re.compile(r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)$")
"""What YAML 1.1 reads as octal, or as a number of minutes or seconds."""


def _check_spelled(text: str, where: str) -> None:
    """Refuse what YAML reads as another value than is written: 010 is 8 to it, and 12:30 is 750."""
    try:
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        raise SchemaError(f"{where}: is not plain YAML; give plain text and values") from None
    for column in _entries(root, "columns"):
        dtype = getattr(_entry(column, "dtype"), "value", None)
        for key in ("levels", "bounds", "mapping"):
            for node in _leaves(_entry(column, key)):
                tag = node.tag.removeprefix("tag:yaml.org,2002:")
                moment = tag == "timestamp" and dtype in (None, "string") and len(node.value) > 10
                if moment or (tag in ("int", "float") and _ODD_NUMBER.match(node.value)):
                    name = getattr(_entry(column, "name"), "value", "")
                    raise SchemaError(
                        f"{where}, line {node.start_mark.line + 1}, column {name!r}: YAML reads "
                        f"one of the {key} as another value than is written, since it is a time "
                        "or has a colon or a leading zero; quote a text, and write a number plainly"
                    )


def _entry(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of a key of a YAML mapping."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _entries(node: yaml.Node | None, key: str) -> list[yaml.Node]:
    """Return the entries of a sequence that is the value of a key."""
    value = _entry(node, key)
    return value.value if isinstance(value, yaml.SequenceNode) else []


def _leaves(node: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Yield the scalars of a sequence, a mapping or a sequence of pairs."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.MappingNode):
        for pair in node.value:
            yield from (part for part in pair if isinstance(part, yaml.ScalarNode))
    elif isinstance(node, yaml.SequenceNode):
        for part in node.value:
            inner = part.value if isinstance(part, yaml.SequenceNode) else [part]
            yield from (leaf for leaf in inner if isinstance(leaf, yaml.ScalarNode))


def _check_quoted(column: Column, place: str) -> None:
    """Refuse levels that YAML, for want of quotes, has read as other than the text they are."""
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
            f"{place}: holds text, and a level of it is a number; put each level in quotes, such "
            'as "01"'
        )


class _Dumper(yaml.SafeDumper):
    """Safe YAML that escapes what is not printable: PyYAML breaks lines at NEL and loses it."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def _member(enum: type[_E], value: Any, place: str, key: str) -> _E:
    try:
        return enum(value)
    except ValueError:
        given = value if isinstance(value, str) else type(value).__name__
        hint = known(given, [str(member) for member in enum])
        raise SchemaError(f"{place}: unknown {key} {given!r}{hint}") from None


def _check_format(kind: Kind, form: str | None, place: str) -> None:
    """Refuse a format by which no date can be written: it would fail once rows are."""
    if kind is not Kind.DATETIME or form is None:
        return
    from privsynth.table.spelling import is_pattern

    if not is_pattern(form):
        raise SchemaError(f"{place}: its format is no strftime pattern; give one, or drop it")


def _domain(state: Mapping[str, Any]) -> Levels | Bounds | None:
    if "levels" in state:
        if not isinstance(state["levels"], list):
            raise SchemaError("levels are wanted as a list")
        return Levels(tuple(_plain(value) for value in state["levels"]))
    if "bounds" in state:
        bounds = state["bounds"]
        if not isinstance(bounds, list) or len(bounds) != 2:
            raise SchemaError("bounds are wanted as a list [low, high]")
        return Bounds(*(_plain(value) for value in bounds))
    return None


def _pairs(state: Any, place: str) -> tuple[tuple[Any, Any], ...]:
    """Read a mapping, or a list of pairs."""
    pairs = list(state.items()) if isinstance(state, Mapping) else state
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
    ):
        raise SchemaError(
            f"{place}: 'mapping' is wanted as a mapping of the other column's levels to values"
        )
    return tuple((_plain(level), _plain(value)) for level, value in pairs)


def opened(given: Schema | str | Path | None) -> Schema | None:
    """Give a schema, read from its YAML file where a path is given."""
    return Schema.from_yaml(given) if isinstance(given, str | Path) else given


def _check_determined(column: Column, columns: Mapping[str, Column]) -> None:
    """Refuse a dependency that contradicts itself or the rest of the schema."""
    place, by = f"schema, column {column.name!r}", column.determined_by
    if by is None or not column.mapping:
        raise SchemaError(f"{place}: give both 'determined_by' and 'mapping', or neither")
    if by == column.name:
        raise SchemaError(f"{place}: is determined by itself; name another column")
    if by not in columns:
        raise SchemaError(
            f"{place}: is determined by {by!r}, which the schema has no column for"
            f"{known(by, list(columns))}"
        )
    other = columns[by]
    if other.determined_by is not None:
        raise SchemaError(
            f"{place}: is determined by {by!r}, which is determined itself; name the column that "
            "the others follow from"
        )
    if column.role is Role.TARGET:
        raise SchemaError(
            f"{place}: is the target, which is modelled; drop 'determined_by' and 'mapping'"
        )
    if column.kind.surrogate or column.unique or column.domain is not None:
        raise SchemaError(
            f"{place}: its values follow from 'mapping'; drop levels, bounds and 'unique', and "
            "give a kind such as categorical or integer"
        )
    if not all(_scalar(entry) for pair in column.mapping for entry in pair):
        raise SchemaError(
            f"{place}: 'mapping' is wanted of text, numbers or true/false; a level without a "
            "value is left out of it, and the column said to be 'nullable: true'"
        )
    levels = [level for level, _ in column.mapping]
    if len(set(levels)) < len(levels):
        raise SchemaError(f"{place}: 'mapping' lists a level twice; list each level once")
    listed = _levels_of(other)
    if not listed:
        raise SchemaError(
            f"{place}: is determined by {by!r}, of which no levels are declared; list them, with "
            "'source: declared'"
        )
    if not set(levels) <= listed:
        raise SchemaError(
            f"{place}: 'mapping' names what is no level of {by!r}; mend it, and put texts such as "
            '"yes" and "01" in quotes'
        )
    if not column.nullable and not listed <= set(levels):
        raise SchemaError(
            f"{place}: 'mapping' has no value for a level of {by!r}; add it, or say 'nullable: "
            "true'"
        )


def _levels_of(column: Column) -> set[Any]:
    """Give the levels that are known before any row is read; none where there are none such."""
    values: set[Any] = set()
    if isinstance(column.domain, Levels) and column.source is Source.DECLARED:
        values = set(column.domain.values)
    if column.kind is Kind.BOOLEAN and values <= {False, True}:
        return {False, True}
    return set() if column.kind.surrogate else values


def _plain(value: Any) -> Any:
    """Give a date as ISO 8601 text: YAML reads one that has no quotes as a date."""
    return value.isoformat() if isinstance(value, datetime.date) else value


def _scalar(value: Any) -> bool:
    return isinstance(value, str | bool | int) or _finite(value)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
