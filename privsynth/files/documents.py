"""Bounded reading of JSON and YAML documents from untrusted sources.

A document is refused, in one line that names file and line, if it is not UTF-8, is larger or
nested more deeply than any of ours, or repeats a key. JSON may contain only finite numbers; YAML
may contain no tag, date or alias that builds anything but plain values. The size of the values is
bounded before they are built.
"""

from __future__ import annotations

import json
import json.decoder
import json.scanner
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from privsynth.errors import ArtefactError, PrivsynthError

__all__ = ["flag", "number", "only", "read_json", "read_text", "read_yaml", "text", "whole"]

MAX_BYTES = 2**24
"""Maximum bytes of a YAML file or a spending file; our largest have a few million."""
MAX_DEPTH = 64
MAX_NODES = 2**21
"""Maximum values of a YAML document, its aliases expanded."""
MAX_MEMORY = 2**29
"""Maximum memory for the values of a JSON document, in bytes, estimated before parsing."""
LIST_BYTES, DICT_BYTES, VALUE_BYTES = 96, 256, 64
"""Bytes of memory of a small list, a small dict, and any other value inside one of them."""


def read_text(path: str | Path, error: type[PrivsynthError], max_bytes: int = MAX_BYTES) -> str:
    """Read a whole text file as UTF-8.

    Parameters
    ----------
    path : str or Path
    error : type of PrivsynthError
        Raised if the file is too large or is not UTF-8.
    max_bytes : int
        The maximum size of the file.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise error(f"{path}: is larger than {max_bytes:,} bytes; check the path")
    try:
        # utf-8-sig, because editors on Windows write a byte order mark.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path}: is not UTF-8; save the file as UTF-8") from None


# JSON


def read_json(data: bytes | str, where: str, error: type[PrivsynthError]) -> Any:
    """Read a JSON document; see the module's notes for what is refused.

    Parameters
    ----------
    data : bytes or str
    where : str
        The name of the document in messages.
    error : type of PrivsynthError
        Raised if the document is refused.
    """
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError:
            raise error(f"{where}: is not UTF-8; save it as UTF-8") from None
    containers = LIST_BYTES * data.count("[") + DICT_BYTES * data.count("{")
    if containers + VALUE_BYTES * data.count(",") > MAX_MEMORY:
        raise error(f"{where}: holds more values than any document of ours; check the file")
    try:
        value = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_not_finite)
        _check_plain(value)
        if "\\u" in data:  # half of a surrogate pair is not a character
            json.dumps(value, ensure_ascii=False).encode()
    except _RepeatedKey as repeated:
        line = _line_of(repeated.key, data)
        raise error(f"{where}{line}: key {repeated.key!r} is given twice; keep one") from None
    except json.JSONDecodeError as fault:
        raise error(f"{where}, line {fault.lineno}: is not JSON; fix the syntax there") from None
    except RecursionError:
        raise error(f"{where}: is nested too deeply") from None
    except ValueError as fault:
        reason = (
            fault.args[0] if type(fault) is ValueError else "holds text that is not valid Unicode"
        )
        raise error(f"{where}: {reason}") from None
    return value


class _RepeatedKey(ValueError):  # noqa: N818  (never leaves this file)
    """A key that occurs twice in one object."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _RepeatedKey(next(key for at, key in enumerate(keys) if key in keys[:at]))
    return entries


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"holds {constant}, which is not JSON")


def _check_plain(value: Any) -> None:
    """Refuse deep nesting, and numbers such as 1e999, which are read as infinite."""
    level = [value]
    for _ in range(MAX_DEPTH):
        if any(math.inf in inner or -math.inf in inner for inner in map(_values, level)):
            raise ValueError("holds a number that is not finite")
        level = [
            inner for outer in level for inner in _values(outer) if isinstance(inner, list | dict)
        ]
        if not level:
            return
    raise ValueError("is nested too deeply")


def _values(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _line_of(key: str, data: str) -> str:
    """Return the line of a key's second occurrence in one object, by parsing the data again."""
    decoder: Any = json.JSONDecoder(object_pairs_hook=_unique_keys)
    starts: list[int] = []

    def read(s_and_end: tuple[str, int], *args: Any) -> Any:
        starts.append(s_and_end[1])
        entries = json.decoder.JSONObject(s_and_end, *args)  # type: ignore[attr-defined]
        starts.pop()
        return entries

    decoder.parse_object = read
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    try:
        decoder.decode(data)
    except (ValueError, RecursionError):
        matches = list(re.finditer(rf"{re.escape(json.dumps(key))}\s*:", data[starts[-1] :]))
        if len(matches) > 1:
            return f", line {data.count(chr(10), 0, starts[-1] + matches[1].start()) + 1}"
    return ""


# YAML


class _Resolver(yaml.resolver.Resolver):
    """YAML 1.1's rules for the type of a plain scalar."""


class _Exponents(_Resolver):
    """The same rules, but 2e-4, as most people write a learning rate, is a number."""


_Exponents.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)

_TAG = "tag:yaml.org,2002:"
_NOT_PLAIN = "an object tag or key that is not plain"
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(
    document: str, where: str, error: type[PrivsynthError], *, exponents: bool = False
) -> Any:
    """Read a YAML document of plain values; see the module's notes for what is refused.

    Parameters
    ----------
    document : str
    where : str
        The name of the document in messages.
    error : type of PrivsynthError
        Raised if the document is refused.
    exponents : bool
        Whether ``2e-4`` is a number; in YAML 1.1 it is text.

    Returns
    -------
    None, bool, int, float, str, datetime.date, list or dict
        The keys of a dict are scalars.
    """
    try:
        return _Document(document, _Exponents() if exponents else _Resolver()).value()
    except _Fault as fault:
        raise error(f"{where}, line {fault.line}: {fault.reason}; give plain YAML values") from None
    except yaml.MarkedYAMLError as fault:
        last = document.count("\n") + (not document.endswith("\n"))
        at = fault.problem_mark
        line = f", line {min(at.line + 1, last)}" if at else ""
        raise error(f"{where}{line}: is not plain YAML; fix the syntax there") from None
    except (yaml.YAMLError, ValueError):
        raise error(f"{where}: is not plain YAML; give plain text and values") from None


class _Fault(Exception):  # noqa: N818  (never leaves this file)
    def __init__(self, event: Any, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = event.start_mark.line + 1, reason


class _Document:
    """The values of a document, built from the parser's events.

    PyYAML's own loader recurses without a bound, gives no line for an invalid date, keeps the last
    of two equal keys, and does not bound the size of expanded aliases.
    """

    def __init__(self, document: str, resolver: _Resolver) -> None:
        self._events: Iterator[Any] = yaml.parse(document, Loader=_PARSER)
        self._resolver = resolver
        self._build = yaml.constructor.SafeConstructor()
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}

    def value(self) -> Any:
        """Build the only document; an empty stream is None."""
        value = None
        for number, event in enumerate(self._starts()):
            if number:
                raise _Fault(event, "begins a second document")
            value = self._node(next(self._events), 0)
        return value

    def _starts(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield event

    def _node(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Fault(event, "an alias names no anchor above it")
            value, size = self._anchors[event.anchor]
            self._count(event, size)
            return value
        if depth > MAX_DEPTH:
            raise _Fault(event, "is nested too deeply")
        before = self._nodes
        self._count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq")
            value = [self._node(inner, depth + 1) for inner in self._until(yaml.SequenceEndEvent)]
        else:
            self._check_tag(event, "map")
            value = self._mapping(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _mapping(self, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            if self._merges(event):
                merged = {**self._merged(event, depth), **merged}
                continue
            key = self._node(event, depth + 1)
            if isinstance(key, list | dict):
                raise _Fault(event, _NOT_PLAIN)
            if key in entries:
                raise _Fault(event, f"a key is given twice ({str(key)!r})")
            entries[key] = self._node(next(self._events), depth + 1)
        return {**merged, **entries}

    def _merges(self, event: Any) -> bool:
        return isinstance(event, yaml.ScalarEvent) and self._tag(event) == f"{_TAG}merge"

    def _merged(self, event: Any, depth: int) -> dict[Any, Any]:
        """Read the value of ``<<``: a mapping, or a list of them, of which the first wins."""
        value = self._node(next(self._events), depth + 1)
        parts = value if isinstance(value, list) else [value]
        if not all(isinstance(part, dict) for part in parts):
            raise _Fault(event, "'<<' has a value that is not a mapping")
        entries: dict[Any, Any] = {}
        for part in parts:
            self._count(event, len(part))
            entries = {**part, **entries}
        return entries

    def _until(self, end: type[Any]) -> Iterator[Any]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _scalar(self, event: Any) -> Any:
        tag = self._tag(event)
        if tag is None or not tag.startswith(_TAG):
            raise _Fault(event, _NOT_PLAIN)
        node = yaml.ScalarNode(tag, event.value)
        try:
            match tag.removeprefix(_TAG):
                case "null":
                    return None
                case "bool":
                    return self._build.construct_yaml_bool(node)
                case "int":
                    return self._build.construct_yaml_int(node)
                case "float":
                    return self._build.construct_yaml_float(node)
                case "timestamp":
                    return self._build.construct_yaml_timestamp(node)
                case "str" | "value" | "merge":
                    return event.value
        except (ArithmeticError, AttributeError, LookupError, ValueError):
            raise _Fault(event, "is not a valid date or number") from None
        raise _Fault(event, _NOT_PLAIN)

    def _tag(self, event: Any) -> Any:
        if event.tag is not None and event.tag != "!":
            return event.tag
        resolve: Any = self._resolver.resolve
        return resolve(yaml.ScalarNode, event.value, event.implicit)

    def _check_tag(self, event: Any, kind: str) -> None:
        if event.tag not in (None, "!", f"{_TAG}{kind}"):
            raise _Fault(event, _NOT_PLAIN)

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise _Fault(event, f"holds more than {MAX_NODES:,} values")


# Values of a saved state


def whole(value: Any, what: str, minimum: int = 0, maximum: int = 2**63 - 1) -> int:
    """Return a whole number of a saved state.

    Parameters
    ----------
    value : Any
    what : str
        The name of the value in messages.
    minimum, maximum : int
        The range of valid values, both included.

    Raises
    ------
    ArtefactError
        It is not a whole number (``True`` and ``1.0`` are not), or is out of range.
    """
    if type(value) is not int or not minimum <= value <= maximum:
        raise _damaged(what)
    return value


def number(value: Any, what: str, minimum: float = 0.0, maximum: float = 1e300) -> float:
    """Return a finite number of a saved state; see `whole`."""
    if type(value) not in (int, float) or not minimum <= value <= maximum:
        raise _damaged(what)
    return float(value)


def flag(value: Any, what: str) -> bool:
    """Return true or false of a saved state; see `whole`."""
    if not isinstance(value, bool):
        raise _damaged(what)
    return value


def text(value: Any, what: str) -> str:
    """Return a text of a saved state; see `whole`."""
    if not isinstance(value, str):
        raise _damaged(what)
    return value


def only(state: Any, keys: Mapping[str, bool], what: str) -> Mapping[str, Any]:
    """Return a mapping of a saved state that has no unknown keys.

    Parameters
    ----------
    state : Any
    keys : mapping of str to bool
        The known keys, and whether each is required.
    what : str
        The name of the mapping in messages.

    Raises
    ------
    ArtefactError
        It is not a mapping, lacks a required key, or has an unknown one.
    """
    if (
        not isinstance(state, Mapping)
        or not state.keys() <= keys.keys()
        or any(required and key not in state for key, required in keys.items())
    ):
        raise _damaged(what)
    return state


def _damaged(what: str) -> ArtefactError:
    return ArtefactError(f"its {what} is damaged; fit the model anew")
