"""A schema: the columns of a table, and their YAML form."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from privsynth.errors import SchemaError, UsageError, did_you_mean
from privsynth.files import replacing
from privsynth.files.documents import read_text, read_yaml
from privsynth.schema.columns import Column, Role, check_quoted, is_scalar, levels_of
from privsynth.schema.unit import Unit
from privsynth.table import check_distinct

__all__ = ["Schema", "opened"]

FORMAT_VERSION = 2
_KEYS = ("version", "unit", "columns")


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in its order.

    Parameters
    ----------
    columns : tuple of Column
    unit : Unit, optional
        Whose privacy is kept; None where nothing is said of it.
    sources : mapping of str to path
        The files it was proposed from; YAML is never written over one of them.
    """

    columns: tuple[Column, ...]
    unit: Unit | None = None
    sources: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

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
            check_quoted(column, f"schema, column {column.name!r}")
            if column.determined_by is not None or column.mapping:
                _check_determined(column, by_name)
        unit = self.unit_column
        if unit is not None and unit in by_name and by_name[unit].role is Role.TARGET:
            raise SchemaError(f"column {unit!r} is both the unit and the target; name another")

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def target(self) -> Column | None:
        """The column to predict, if there is one."""
        return next((column for column in self.columns if column.role is Role.TARGET), None)

    @property
    def unit_column(self) -> str | None:
        """The column that names the privacy unit; None if each row is a unit."""
        return None if self.unit is None else self.unit.column

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise SchemaError(f"no column {name!r}{did_you_mean(name, self.names)}")

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def with_target(self, name: str) -> Schema:
        """Return the schema with `name`, and no other column, as the target."""
        self[name]
        return self.with_columns(
            replace(column, role=Role.TARGET)
            if column.name == name
            else replace(column, role=None)
            if column.role is Role.TARGET
            else column
            for column in self.columns
        )

    def with_columns(self, columns: Iterable[Column]) -> Schema:
        """Return a schema of other columns, of the same unit."""
        return Schema(tuple(columns), self.unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the schema as YAML or JSON values.

        Its version is the first that knows all that it says, so that older programs read it.
        """
        unit = {} if self.unit is None else {"unit": self.unit.to_value()}
        columns = [column.to_dict() for column in self.columns]
        return {"version": FORMAT_VERSION if unit else 1, **unit, "columns": columns}

    @classmethod
    def from_dict(cls, state: Any, where: str = "schema") -> Schema:
        """Rebuild a schema; `where` names the file in messages.

        Raises
        ------
        SchemaError
            It is not a schema, its version is too new, or a column is wrong.
        """
        if not isinstance(state, Mapping) or not isinstance(state.get("columns"), list):
            raise SchemaError(
                f"{where}: no list of columns; write one with 'privsynth schema DATA -o {where}'"
            )
        for key in state:
            if key not in _KEYS:
                raise SchemaError(f"{where}: unknown key {key!r}{did_you_mean(key, _KEYS)}")
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
            unit = Unit.parse(state["unit"]) if state.get("unit") is not None else None
            return cls(tuple(columns), unit)
        except UsageError as error:
            raise SchemaError(f"{where}: {str(error).removeprefix('schema, ')}") from None

    def to_yaml(self, path: str | Path | None = None) -> str:
        """Return the schema as YAML; write it to `path`, if given."""
        state = self.to_dict()
        for column in state["columns"]:
            if "mapping" in column:
                column["mapping"] = dict(column["mapping"])
        text = yaml.dump(state, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        if path is not None:
            check_distinct(self.sources, {"path": path})
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_yaml(cls, path: str | Path) -> Schema:
        """Read a schema from a YAML file.

        Raises
        ------
        SchemaError
            The file cannot be read, is not plain YAML (no tag is evaluated), or is not a schema.
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
"""Numbers that YAML 1.1 reads as octal or in base 60."""


def _check_spelled(text: str, where: str) -> None:
    """Refuse values that YAML 1.1 reads otherwise than written: 010 as 8, and 12:30 as 750."""
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


class _Dumper(yaml.SafeDumper):
    """A safe dumper that escapes unprintable text: PyYAML breaks lines at NEL and loses it."""


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def opened(given: Schema | str | Path | None) -> Schema | None:
    """Return a schema; read it from its YAML file if a path is given."""
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
            f"{place}: is determined by {by!r}, which is not a column of the schema"
            f"{did_you_mean(by, list(columns))}"
        )
    other = columns[by]
    if other.determined_by is not None:
        raise SchemaError(
            f"{place}: is determined by {by!r}, which is determined itself; name the column that "
            "determines both"
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
    if not all(is_scalar(entry) for pair in column.mapping for entry in pair):
        raise SchemaError(
            f"{place}: expected text, numbers or true/false in 'mapping'; leave out a level "
            "without a value, and say 'nullable: true'"
        )
    levels = [level for level, _ in column.mapping]
    if len(set(levels)) < len(levels):
        raise SchemaError(f"{place}: 'mapping' lists a level twice; list each level once")
    listed = levels_of(other)
    if not listed:
        raise SchemaError(
            f"{place}: is determined by {by!r}, which has no declared levels; list them, with "
            "'source: declared'"
        )
    if not set(levels) <= listed:
        raise SchemaError(
            f"{place}: 'mapping' names a value that is not a level of {by!r}; mend it, and put "
            'texts such as "yes" and "01" in quotes'
        )
    if not column.nullable and not listed <= set(levels):
        raise SchemaError(
            f"{place}: 'mapping' has no value for a level of {by!r}; add it, or say 'nullable: "
            "true'"
        )
