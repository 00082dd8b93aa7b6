"""JSON and YAML read with care: a file may come from anyone.

A document is refused, in one line that names file and line, where it is not UTF-8, is larger or
nested deeper than any of ours, gives a key twice, holds a number that is not finite (JSON), or a
tag, date or alias that builds anything but plain values (YAML). Nothing is built before the size
of what it would build is known.
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

MOST_BYTES = 2**24
"""The most bytes of a YAML file or a spending file; the largest of ours have a few million."""
MOST_DEPTH = 64
MOST_NODES = 2**21
"""The most values that a YAML document may hold once its aliases are written out."""
MOST_MEMORY = 2**29
"""The most bytes that the values of a JSON document may take, as estimated before it is read."""
LIST, DICT, VALUE = 96, 256, 64
"""Bytes that Python takes for a small list, a small dict, and any other value in one of them."""


def read_text(path: str | Path, error: type[PrivsynthError], most: int = MOST_BYTES) -> str:
    """Read a text file whole.

    Parameters
    ----------
    path : str or Path
    error : type of PrivsynthError
        What is raised where the file is too large or is not UTF-8.
    most : int
        The most bytes that it may have.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise error(f"{path}: is larger than {most:,} bytes; check the path")
    try:
        # utf-8-sig: editors on Windows put a mark in front.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path}: is not UTF-8; save the file as UTF-8") from None


# JSON


def read_json(data: bytes | str, where: str, error: type[PrivsynthError]) -> Any:
    """Read a JSON document.

    Parameters
    ----------
    data : bytes or str
    where : str
        What messages call it.
    error : type of PrivsynthError
        What is raised.
    """
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8")
        except UnicodeDecodeError:
            raise error(f"{where}: is not UTF-8") from None
    containers = LIST * data.count("[") + DICT * data.count("{")
    if containers + VALUE * data.count(",") > MOST_MEMORY:
        raise error(f"{where}: holds more values than any of ours")
    try:
        value = json.loads(data, object_pairs_hook=_once, parse_constant=_not_finite)
        _check_plain(value)
        if "\\u" in data:  # half a pair of surrogates is no character
            json.dumps(value, ensure_ascii=False).encode()
    except _Doubled as doubled:
        line = _line_of(doubled.key, data)
        raise error(f"{where}{line}: key {doubled.key!r} is given twice; keep one") from None
    except json.JSONDecodeError as fault:
        raise error(f"{where}, line {fault.lineno}: is no JSON; mend the syntax there") from None
    except RecursionError:
        raise error(f"{where}: is nested too deeply") from None
    except ValueError as fault:
        reason = fault.args[0] if type(fault) is ValueError else "holds a text that is no Unicode"
        raise error(f"{where}: {reason}") from None
    return value


class _Doubled(ValueError):  # noqa: N818  (never leaves this file)
    """A key that one object gives twice."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _Doubled(next(key for at, key in enumerate(keys) if key in keys[:at]))
    return found


def _not_finite(constant: str) -> NoReturn:
    raise ValueError(f"holds {constant}, which is no JSON")


def _check_plain(value: Any) -> None:
    """Refuse what is nested too deeply, and numbers such as 1e999, which read as infinite."""
    level = [value]
    for _ in range(MOST_DEPTH):
        if any(math.inf in held or -math.inf in held for held in map(_values, level)):
            raise ValueError("holds a number that is not finite")
        level = [
            inner for held in level for inner in _values(held) if isinstance(inner, list | dict)
        ]
        if not level:
            return
    raise ValueError("is nested too deeply")


def _values(held: Any) -> list[Any]:
    if isinstance(held, dict):
        return list(held.values())
    return held if isinstance(held, list) else [held]


def _line_of(key: str, data: str) -> str:
    """Say in which line a key comes for the second time in one object, read again to find out."""
    decoder: Any = json.JSONDecoder(object_pairs_hook=_once)
    starts: list[int] = []

    def read(s_and_end: tuple[str, int], *args: Any) -> Any:
        starts.append(s_and_end[1])
        found = json.decoder.JSONObject(s_and_end, *args)  # type: ignore[attr-defined]
        starts.pop()
        return found

    decoder.parse_object = read
    decoder.scan_once = json.scanner.py_make_scanner(decoder)  # type: ignore[attr-defined]
    try:
        decoder.decode(data)
    except (ValueError, RecursionError):
        again = list(re.finditer(rf"{re.escape(json.dumps(key))}\s*:", data[starts[-1] :]))
        if len(again) > 1:
            return f", line {data.count(chr(10), 0, starts[-1] + again[1].start()) + 1}"
    return ""


# YAML


class _Resolver(yaml.resolver.Resolver):
    """YAML 1.1's own rules for what a word means."""


class _Exponents(_Resolver):
    """The same, with 2e-4 as a number, which is how most people write a learning rate."""


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
    """Read a YAML document that builds nothing but plain values.

    Parameters
    ----------
    document : str
    where : str
        What messages call it.
    error : type of PrivsynthError
        What is raised.
    exponents : bool
        Whether ``2e-4`` is a number; YAML 1.1 takes it for text.

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
        raise error(f"{where}{line}: is not plain YAML; mend the syntax there") from None
    except (yaml.YAMLError, ValueError):
        raise error(f"{where}: is not plain YAML; give plain text and values") from None


class _Fault(Exception):  # noqa: N818  (never leaves this file)
    def __init__(self, event: Any, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = event.start_mark.line + 1, reason


class _Document:
    """The values of a document, built from the parser's events.

    PyYAML's own loader recurses without a bound, writes no line for a date that does not exist,
    keeps the last of two equal keys, and leaves the size of what aliases make to whoever walks it.
    """

    def __init__(self, document: str, resolver: _Resolver) -> None:
        self._events: Iterator[Any] = yaml.parse(document, Loader=_PARSER)
        self._resolver = resolver
        self._build = yaml.constructor.SafeConstructor()
        self._nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}

    def value(self) -> Any:
        """Build the one document; nothing gives None."""
        found = None
        for number, event in enumerate(self._starts()):
            if number:
                raise _Fault(event, "begins a second document")
            found = self._node(next(self._events), 0)
        return found

    def _starts(self) -> Iterator[Any]:
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                yield event

    def _node(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Fault(event, "an alias names no anchor before it")
            found, size = self._anchors[event.anchor]
            self._count(event, size)
            return found
        if depth > MOST_DEPTH:
            raise _Fault(event, "is nested too deeply")
        before = self._nodes
        self._count(event, 1)
        if isinstance(event, yaml.ScalarEvent):
            found = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event, "seq")
            found = [self._node(inner, depth + 1) for inner in self._until(yaml.SequenceEndEvent)]
        else:
            self._check_tag(event, "map")
            found = self._mapping(depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = found, self._nodes - before
        return found

    def _mapping(self, depth: int) -> dict[Any, Any]:
        own: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        for event in self._until(yaml.MappingEndEvent):
            if self._merges(event):
                merged = {**self._merged(event, depth), **merged}
                continue
            key = self._node(event, depth + 1)
            if isinstance(key, list | dict):
                raise _Fault(event, _NOT_PLAIN)
            if key in own:
                raise _Fault(event, f"a key is given twice ({str(key)!r})")
            own[key] = self._node(next(self._events), depth + 1)
        return {**merged, **own}

    def _merges(self, event: Any) -> bool:
        return isinstance(event, yaml.ScalarEvent) and self._tag(event) == f"{_TAG}merge"

    def _merged(self, event: Any, depth: int) -> dict[Any, Any]:
        """Read what ``<<`` takes in: a mapping, or a list of them, of which the first wins."""
        given = self._node(next(self._events), depth + 1)
        parts = given if isinstance(given, list) else [given]
        if not all(isinstance(part, dict) for part in parts):
            raise _Fault(event, "'<<' is wanted before a mapping")
        found: dict[Any, Any] = {}
        for part in parts:
            self._count(event, len(part))
            found = {**part, **found}
        return found

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
            raise _Fault(event, "is no date or number that exists") from None
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
        if self._nodes > MOST_NODES:
            raise _Fault(event, f"holds more than {MOST_NODES:,} values")


# What a document of ours must hold


def whole(value: Any, what: str, least: int = 0, most: int = 2**63 - 1) -> int:
    """Return a whole number of a saved state.

    Raises
    ------
    ArtefactError
        It is none (true is none, and neither is 1.0), or is out of range.
    """
    if type(value) is not int or not least <= value <= most:
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    return value


def number(value: Any, what: str, least: float = 0.0, most: float = 1e300) -> float:
    """Return a finite number of a saved state; see `whole`."""
    if type(value) not in (int, float) or not least <= value <= most:
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    return float(value)


def flag(value: Any, what: str) -> bool:
    """Return true or false of a saved state; see `whole`."""
    if not isinstance(value, bool):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    return value


def text(value: Any, what: str) -> str:
    """Return a text of a saved state; see `whole`."""
    if not isinstance(value, str):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    return value


def only(state: Any, wanted: Mapping[str, bool], what: str) -> Mapping[str, Any]:
    """Return a mapping of a saved state whose keys are known.

    Parameters
    ----------
    state : Any
    wanted : mapping of str to bool
        The keys, and whether each must be there.
    what : str
        What messages call it.

    Raises
    ------
    ArtefactError
        It is no mapping, lacks a key, or has one that is unknown.
    """
    if (
        not isinstance(state, Mapping)
        or not state.keys() <= wanted.keys()
        or any(must and key not in state for key, must in wanted.items())
    ):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    return state
