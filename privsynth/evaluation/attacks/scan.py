"""The artefact scan: what a model file, a report or a log says of single training rows.

Everything that would leave the house is unpacked and searched for three things: texts that only
few training rows hold, levels that only few hold, and the least and greatest number of a column
where only few hold it. What is found is named by column, rule and place, and never quoted.

A number in an array, or among all numbers of a report, may stand there by chance: of the 16 bits of
a share there are only so many. So the numbers found in one place are held against as many as chance
would give, from how many others lie near by and how finely the place can tell them apart.
"""

from __future__ import annotations

import html
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.coding import as_type
from privsynth.errors import StorageError
from privsynth.evaluation.frames import canonical
from privsynth.evaluation.score import Score
from privsynth.evaluation.units import Ints, row_units, unit_codes
from privsynth.schema import Bounds, Column, Kind, Levels, Schema, Source
from privsynth.table import arrow_type, support_of_rows, support_of_units, value_type

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["scan"]

K = 10
SHORTEST = 4
SHORTEST_IN_BYTES = 8
"""Four bytes of an array of numbers spell some word by chance, eight do not."""
DIGITS = 5
"""Numbers with fewer significant digits stand in any file by chance."""
SIMPLE = 1_000
"""Fractions of whole numbers up to this are shares of rows, such as 1/3, and stand anywhere."""
CHANCE = 1e-4
"""How likely chance may give as many numbers in one place for them to be a finding."""
ID_DIGITS = 7
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
WORD = 7
"""A word in small letters as short as this may stand in any sentence."""
SHOWN = 5
COMMON = frozenset(
    re.findall(
        r"\w+",
        """
        true false none null other unknown missing text name type date time year month week user
        value values level levels list number numeric integer boolean categorical ordinal datetime
        personal column columns rows table model high medium normal male female single married
        string count index code city state country street email phone address class label note
        notes remark test train real synthetic holdout with from that this have been were will
        your more most less than only some each into over under after before left right good late
        early share score scores report privacy utility fidelity attacks summary
        """,
    )
)


@dataclass(frozen=True)
class _Member:
    """A part of what is searched.

    Parameters
    ----------
    name : str
        What it is called in the finding.
    text : str
        Its texts: whole, or the strings of its JSON, one a line.
    tree : JSON value
        What it holds, where it is JSON.
    numbers : frozenset of float
    arrays : mapping of str to ndarray
    bytes : bytes
        What is no text.
    """

    name: str
    text: str = ""
    tree: Any = None
    numbers: frozenset[float] = frozenset()
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    bytes: bytes = b""


@dataclass(frozen=True)
class _Finding:
    """One value found: the rule that it breaks, the column that it comes from, where it stands."""

    kind: str
    column: str
    member: str
    value: Any
    which: str = ""

    def __str__(self) -> str:
        if self.kind == "rows":
            return f"in {self.member} the model's own training rows"
        return f"in {self.member} {self.kind} of column {self.column!r} ({self.which})"


def scan(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    schema: Schema,
    artefact: Path | bytes | None,
    texts: Mapping[str, str],
) -> tuple[Score, ...]:
    """Search a model file, its schema, and texts such as the report for what single rows hold.

    Parameters
    ----------
    train : pandas.DataFrame
        The rows that the model was fitted on.
    holdout : pandas.DataFrame or None
        Other rows: a text that they hold as well is not the training table's own.
    schema : Schema
        Of the table. Levels that a person declared are no finding. Where it names a column of
        units, what fewer than `k` units hold is a finding, not what fewer rows hold.
    artefact : Path, bytes or None
        A saved model; its own `k` is what counts as few rows, and 10 without one.
    texts : mapping of str to str
        Reports, logs and the like, by the name that a finding gives them.

    Returns
    -------
    tuple of Score
        ``artefact_hits`` of family ``"attacks"``: how many findings there are. ``detail`` counts
        them by kind: ``strings``, ``levels``, ``extremes``, and ``rows`` where the model says
        itself that it is training rows.

    Raises
    ------
    StorageError
        The model file cannot be read.
    """
    members = [
        *_unpacked(artefact),
        _json_member("schema", json.dumps(schema.to_dict(), default=str)),
        *(_text_member(name, text) for name, text in texts.items()),
    ]
    card = _card(members)
    k = int(card.get("disclosure", {}).get("k", K))
    name = schema.unit_column
    units = None if name is None else row_units(unit_codes(train[name])[0])
    hits = {
        *_strings(train, holdout, schema, members, k, units),
        *_levels(train, schema, members, k, units),
        *_extremes(train, schema, members, k, units),
    }
    rows = [_Finding("rows", "", "manifest.json", None)] if card.get("holds_rows") else []
    findings = sorted([*hits, *rows], key=lambda each: (each.kind, each.column, each.member))
    kinds = "strings", "levels", "extremes", "rows"
    counts = {kind: float(sum(each.kind == kind for each in findings)) for kind in kinds}
    return (
        Score(
            "attacks",
            "artefact_hits",
            float(len(findings)),
            better="lower",
            meaning=_said(
                findings,
                [member.name for member in members],
                f"fewer than {k} training rows"
                if name is None
                else f"fewer than {k} training units of column {name!r}",
            ),
            detail=counts,
        ),
    )


def _said(findings: list[_Finding], searched: list[str], few: str) -> str:
    if not findings:
        return f"texts, levels and extremes that {few} hold; none is in {', '.join(searched)}"
    places = list(dict.fromkeys(map(str, findings)))
    more = f", and {len(places) - SHOWN} places more" if len(places) > SHOWN else ""
    return f"held by {few}: {'; '.join(places[:SHOWN])}{more}"


def _unpacked(artefact: Path | bytes | None) -> Iterator[_Member]:
    """Yield the members of a model file, or the whole of a file that is no zip."""
    if artefact is None:
        return
    packed = artefact if isinstance(artefact, bytes) else _read(artefact)
    if not zipfile.is_zipfile(io.BytesIO(packed)):
        yield _Member("the model file", bytes=packed)
        return
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".safetensors"):
                yield _array_member(name, data)
            elif name.endswith(".json"):
                yield _json_member(name, data.decode("utf-8", "replace"))
            else:
                yield _Member(name, bytes=data)


def _read(path: Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the path") from None


def _json_member(name: str, text: str) -> _Member:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return _text_member(name, text)
    strings, numbers = _leaves(tree)
    return _Member(
        name, "\n".join(strings), tree, frozenset({*numbers, *_spelled_numbers(strings)})
    )


def _array_member(name: str, data: bytes) -> _Member:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
    except SafetensorError:
        return _Member(name, bytes=data)
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    strings, _ = _leaves(json.loads(header))
    return _Member(name, "\n".join(strings), arrays=arrays, bytes=data)


def _text_member(name: str, text: str) -> _Member:
    """Return a text as a reader sees it, and as a program that reads JSON does."""
    strings: list[str] = []
    if text.lstrip()[:1] in ("{", "["):
        try:
            strings, _ = _leaves(json.loads(text))
        except (ValueError, RecursionError):
            strings = []
    shown = "\n".join([html.unescape(text), *strings])
    numbers = re.findall(NUMBER, shown)
    return _Member(name, shown, numbers=frozenset(float(each.replace(",", "")) for each in numbers))


def _spelled_numbers(strings: Iterable[str]) -> Iterator[float]:
    """Yield the numbers that strings spell from end to end."""
    for text in strings:
        if re.fullmatch(NUMBER, text.strip()):
            yield float(text.replace(",", ""))


def _leaves(tree: Any) -> tuple[list[str], list[float]]:
    """Return all strings of a JSON value, keys too, and all its numbers."""
    strings: list[str] = []
    numbers: list[float] = []
    left = [tree]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            strings += value.keys()
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str):
            strings.append(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers.append(float(value))
    return strings, numbers


def _card(members: Iterable[_Member]) -> Mapping[str, Any]:
    trees = [member.tree for member in members if member.name == "manifest.json"]
    card = trees[0].get("card") if trees and isinstance(trees[0], dict) else None
    return card if isinstance(card, dict) else {}


def _strings(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    schema: Schema,
    members: list[_Member],
    k: int,
    units: Ints | None,
) -> Iterator[_Finding]:
    rare = _rare(train, holdout, schema, k, units)
    if not rare:
        return
    for member in members:
        # A text of two or four bytes a letter is one with zeros between the letters.
        raw = member.bytes, member.bytes.replace(b"\0", b"")
        for text in (
            *_in_text(member.text, rare),
            *_in_bytes(raw[0], rare),
            *_in_bytes(raw[1], rare),
        ):
            yield _Finding("strings", rare[text], member.name, text, "a text of few rows")


def _rare(
    train: pd.DataFrame, holdout: pd.DataFrame | None, schema: Schema, k: int, units: Ints | None
) -> dict[str, str]:
    """Return the telling texts that fewer than k rows or units hold, with their column."""
    import pandas as pd

    rare: dict[str, str] = {}
    plain = {*COMMON, *(name.casefold() for name in schema.names)}
    frequent: set[str] = set()
    for column in schema:
        if column.kind.continuous or column.kind is Kind.BOOLEAN:
            continue
        if units is None:
            counts = train[column.name].dropna().value_counts()
            counts = counts[counts > 0].groupby(counts[counts > 0].index.astype(str)).sum()
        else:
            counts = _holders(train[column.name], units)
        frequent.update(counts.index[counts >= k])
        if holdout is not None:
            frequent.update(pd.unique(holdout[column.name].dropna().astype(str)))
        if isinstance(column.domain, Levels) and column.source is Source.DECLARED:
            frequent.update(map(str, column.domain.values))
        rare.update(dict.fromkeys(counts.index[counts < k], column.name))
    telling = {
        text: name
        for text, name in rare.items()
        if text not in frequent and text.casefold() not in plain and _telling(text)
    }
    # What is part of a frequent text stands wherever that one does.
    parts = set(_in_text("\n".join(frequent), telling))
    return {text: name for text, name in telling.items() if text not in parts}


def _holders(column: pd.Series[Any], units: Ints) -> pd.Series[int]:
    """Return how many units hold each value of a column, by its text."""
    import pandas as pd

    codes, values = pd.factorize(column)
    valued = codes >= 0
    held = pd.DataFrame({"value": codes[valued], "unit": units[valued]}).drop_duplicates()
    texts = np.asarray(values.astype(str), dtype=object)
    held = held.assign(value=texts[held["value"]]).drop_duplicates()
    return held["value"].value_counts()


def _telling(text: str) -> bool:
    """Return whether a text is one that does not stand in any file by chance."""
    letters = any(char.isalpha() for char in text)
    return len(text) >= SHORTEST and (letters or sum(map(str.isdigit, text)) >= ID_DIGITS)


def _in_text(whole: str, texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts that stand in a longer one, as words of it or as a line of it."""
    lines, words = set(whole.split("\n")), set(re.findall(r"\w+", whole))
    for text in texts:
        if text in lines:
            yield text
        elif len(text) <= WORD and text.isalpha() and text.islower():
            continue
        elif words.issuperset(re.findall(r"\w+", text)) and re.search(
            rf"(?<!\w){re.escape(text)}(?!\w)", whole
        ):
            yield text


def _in_bytes(raw: bytes, texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts that stand in bytes; those too short to tell from chance are not sought."""
    size = SHORTEST_IN_BYTES
    legible = b"\n".join(re.findall(rb"[\x20-\x7e\x80-\xff]{%d,}" % size, raw))
    sought = {text: text.encode() for text in texts}
    starts = {each[:size] for each in sought.values() if len(each) >= size}
    met = starts.intersection(legible[i : i + size] for i in range(len(legible) - size + 1))
    for text, each in sought.items():
        if each[:size] in met and each in legible:
            yield text


def _levels(
    train: pd.DataFrame, schema: Schema, members: list[_Member], k: int, units: Ints | None
) -> Iterator[_Finding]:
    for member in members:
        for position, entry in enumerate(_entries(member)):
            levels = entry.get("levels")
            name = entry.get("name", schema.names[position] if position < len(schema) else None)
            if not isinstance(levels, list) or not levels or name not in schema.names:
                continue
            column = schema[name]
            if column.kind.continuous or _declared(column, entry):
                continue
            values = canonical(train, [column])[name]
            counts = values.value_counts() if units is None else _holders(values, units)
            for label in _labels(levels, column):
                if 0 < counts.get(label, 0) < k:
                    yield _Finding("levels", name, member.name, label, "a level of few rows")


def _entries(member: _Member) -> list[Mapping[str, Any]]:
    """Return what a schema or a codec says of each column, in the table's order."""
    tree = member.tree if isinstance(member.tree, dict) else {}
    entries = tree.get("columns") or tree.get("codings") or []
    if not isinstance(entries, list):
        return []
    return [entry if isinstance(entry, dict) else {} for entry in entries]


def _declared(column: Column, entry: Mapping[str, Any]) -> bool:
    own = isinstance(column.domain, Levels) and column.source is Source.DECLARED
    return own or entry.get("source") == Source.DECLARED


def _labels(levels: list[Any], column: Column) -> list[str]:
    import pandas as pd
    import pyarrow as pa

    values = value_type(arrow_type(column.dtype))
    series = pd.Series(levels, dtype=object)
    if pa.types.is_temporal(values):  # the schema spells moments as Arrow does
        series = pd.Series(as_type(levels, values).to_pandas()).astype(object)
    labels = canonical(pd.DataFrame({column.name: series}), [column])[column.name]
    return [str(label) for label in labels.dropna().unique()]


@dataclass(frozen=True)
class _Extreme:
    """A number that lies beyond all but fewer than k rows of its column.

    Parameters
    ----------
    column : str
    position : int
        The column's place in the table.
    value : float
        As `canonical` gives it: moments in seconds.
    which : str
        What a finding calls it.
    last : bool
        Whether it is the least or the greatest of all. Only these are sought where a number has
        no column of its own, since any number stands somewhere by chance.
    forms : tuple of float
        The numbers that it may be stored as, less those that stand anywhere.
    texts : tuple of str
        The texts that it may be written as.
    """

    column: str
    position: int
    value: float
    which: str
    last: bool
    forms: tuple[float, ...]
    texts: tuple[str, ...]


def _extremes(
    train: pd.DataFrame, schema: Schema, members: list[_Member], k: int, units: Ints | None
) -> Iterator[_Finding]:
    columns = [column for column in schema if column.kind.continuous]
    numbers = canonical(train, columns)
    extremes = [
        extreme
        for position, column in enumerate(schema)
        if column.kind.continuous
        for extreme in _beyond(column, position, numbers[column.name].to_numpy(), k, units)
    ]
    for member in members:
        hits = _own(member, extremes, schema) if _entries(member) else _anywhere(member, extremes)
        for extreme in hits:
            yield _Finding("extremes", extreme.column, member.name, extreme.forms, extreme.which)


def _beyond(
    column: Column, position: int, cells: npt.NDArray[Any], k: int, units: Ints | None
) -> Iterator[_Extreme]:
    """Yield the values of a column that lie outside the k-th row or unit from each end."""
    known = ~np.isnan(cells)
    values, holders = cells[known], np.arange(known.sum()) if units is None else units[known]
    distinct, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    support = (
        support_of_rows(counts, 0)
        if units is None
        else support_of_units(places, len(distinct), holders)
    )
    declared = _declared_ends(column)
    ends = (("least", distinct, support.below), ("greatest", distinct[::-1], support.above[::-1]))
    for end_of, ordered, held in ends:
        for rank, end in enumerate(ordered[held < k].tolist()):
            if end in declared:
                continue
            yield _Extreme(
                column.name,
                position,
                end,
                f"its {end_of} value" if rank == 0 else f"one of its {end_of} values",
                rank == 0,
                _forms(column, end),
                _days(column, end, values, holders, k),
            )


def _declared_ends(column: Column) -> frozenset[float]:
    """Return the bounds that a person declared, as `canonical` gives numbers."""
    if not isinstance(column.domain, Bounds) or column.source is not Source.DECLARED:
        return frozenset()
    return _as_numbers([column.domain.low, column.domain.high], column)


def _as_numbers(values: list[Any], column: Column) -> frozenset[float]:
    """Return values of a column, as a schema spells them, as `canonical` gives numbers."""
    import pandas as pd

    frame = pd.DataFrame({column.name: pd.Series(values, dtype=object)})
    return frozenset(canonical(frame, [column])[column.name].dropna().tolist())


def _forms(column: Column, end: float) -> tuple[float, ...]:
    """Return the numbers that an extreme may be stored as, less those that stand anywhere."""
    moments = column.kind is Kind.DATETIME
    forms = (end * 10**power for power in (0, 3, 6, 9)) if moments else iter((end,))
    return tuple(form for form in forms if _digits(form) >= DIGITS and not _simple(form))


def _digits(number: float) -> int:
    """Count a number's significant digits."""
    return len(f"{abs(number):.15e}".split("e")[0].replace(".", "").rstrip("0"))


def _simple(number: float) -> bool:
    """Return whether a number is the share of few rows in few, such as 2/3."""
    near = Fraction(number).limit_denominator(SIMPLE)
    return abs(near.numerator) <= SIMPLE and float(near) == number


def _days(
    column: Column, end: float, values: npt.NDArray[Any], holders: Ints, k: int
) -> tuple[str, ...]:
    """Return the day of an extreme moment as text, where few rows or units are of that day.

    The first of a month is what a bound is rounded to.
    """
    if column.kind is not Kind.DATETIME:
        return ()
    day = np.datetime64(math.floor(end), "s").astype("datetime64[D]")
    same = np.floor(values / 86_400) == math.floor(end / 86_400)
    return (str(day),) if len(np.unique(holders[same])) < k and not str(day).endswith("-01") else ()


def _own(member: _Member, extremes: Iterable[_Extreme], schema: Schema) -> Iterator[_Extreme]:
    """Yield the extremes that stand in what a schema or codec says of their own column.

    Another column's bins may well end where this one does. Bounds are never rounded outward, so
    that an extreme of any digits is a finding there.
    """
    leaves: dict[str | int, tuple[list[str], set[float], frozenset[float]]] = {}
    for i, entry in enumerate(_entries(member)):
        strings, numbers = _leaves(entry)
        name = entry.get("name", schema.names[i] if i < len(schema) else None)
        ends = _bounds(entry, schema[name]) if name in schema.names else frozenset()
        leaves[entry.get("name", i)] = strings, {*numbers, *_spelled_numbers(strings)}, ends
    for extreme in extremes:
        for key in (extreme.column, extreme.position):
            texts, stored, ends = leaves.get(key, _NOTHING)
            if (
                extreme.value in ends
                or stored.intersection(extreme.forms)
                or any(day in text for day in extreme.texts for text in texts)
            ):
                yield extreme


_NOTHING: tuple[list[str], set[float], frozenset[float]] = [], set(), frozenset()


def _bounds(entry: Mapping[str, Any], column: Column) -> frozenset[float]:
    """Return the ends that an entry gives its column, unless a person declared them."""
    if entry.get("source") == Source.DECLARED or not column.kind.continuous:
        return frozenset()
    bounds = entry.get("bounds")
    if isinstance(bounds, list):
        return _as_numbers(bounds, column)
    cells = [*_numbers_of(entry.get("low")), *_numbers_of(entry.get("high"))]
    return frozenset((min(cells), max(cells)) if cells else ())


def _numbers_of(values: Any) -> list[float]:
    return _leaves(values)[1] if isinstance(values, list) else []


def _anywhere(member: _Member, extremes: Iterable[_Extreme]) -> Iterator[_Extreme]:
    """Yield the extremes that stand among the numbers and texts of a member, and not by chance."""
    last = [extreme for extreme in extremes if extreme.last]
    hits = {e for e in last if any(day in member.text for day in e.texts)}
    for array in (np.array(sorted(member.numbers)), *member.arrays.values()):
        hits |= _unlikely(array, last)
    yield from (extreme for extreme in last if extreme in hits)


def _unlikely(array: npt.NDArray[Any], extremes: Sequence[_Extreme]) -> set[_Extreme]:
    """Return the extremes that an array holds, where it holds more of them than chance explains.

    Notes
    -----
    Of the numbers within half of an extreme's size, each equals it with about the chance that two
    neighbours of the array's type are apart by, relative to that size; whole numbers are apart by
    1. The sum of these chances over all extremes is the mean of a Poisson distribution.
    """
    if array.dtype.kind not in "fiu" or not array.size or not extremes:
        return set()
    numbers = np.sort(array.ravel().astype(np.float64))
    whole = numbers[numbers == np.rint(numbers)]
    expected, hits = 0.0, set()
    for extreme in extremes:
        for number, step in _stored(extreme.forms, array.dtype):
            near = whole if step >= 1 else numbers
            reach = abs(number) / 2
            equal = _between(near, number, number)
            others = _between(near, number - reach, number + reach) - equal
            # A type of few bits blurs even a number that has no neighbours.
            blurred = array.dtype.itemsize < 8 and step != 1
            expected += (others + blurred) * step / (2 * reach)
            if equal:
                hits.add(extreme)
    return hits if hits and _at_least(len(hits), expected) < CHANCE else set()


def _stored(forms: Iterable[float], dtype: np.dtype[Any]) -> Iterator[tuple[float, float]]:
    """Yield numbers as a type stores them, where it can, each with the step to the next one."""
    for form in forms:
        if dtype.kind != "f":
            if form.is_integer():
                yield form, max(1.0, float(np.spacing(abs(form))))
            continue
        with np.errstate(over="ignore"):
            near = abs(dtype.type(form))
        if np.isfinite(near) and near > 0:
            step = float(np.spacing(near))
            yield math.copysign(float(near), form), max(1.0, step) if form.is_integer() else step


def _between(ascending: npt.NDArray[Any], low: float, high: float) -> int:
    first = np.searchsorted(ascending, low, side="left")
    return int(np.searchsorted(ascending, high, side="right") - first)


def _at_least(count: int, mean: float) -> float:
    """Return the chance of a Poisson count to be at least so large."""
    from scipy.stats import poisson

    return float(poisson.sf(count - 1, mean))
