"""Propose a schema: what each column means, and a domain under disclosure control.

A column is judged by its name and its distinct values. The schema obeys the disclosure control: a
level is held by at least k rows, a bound is the k-th value from its end, rounded inward, and no
reason quotes a value.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import DataError, SchemaError, UsageError, did_you_mean
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.personal import FEW_ROWS, HANDFUL, Finding, mentions, recognise, words
from privsynth.schema.schema import Schema
from privsynth.schema.surrogates import KINDS, NUMBERS, PLACEHOLDER, check_pattern, learn_pattern
from privsynth.table import Table, arrow_type

__all__ = ["clipped", "infer", "level_values", "round_numbers"]


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ID_WORDS = _set(
    "id ids uid uuid guid identifier identifiant identificador kennung pk mrn rownum rowid "
    "rownames index unnamed"
)
_PEOPLE = _set(
    "patient subject person customer client member user employee student account card holder "
    "participant respondent individual household citizen driver donor voter kunden kunde "
    "cliente paciente"
)
_THINGS = _PEOPLE | _set(
    "case row record order transaction trans claim loan policy contract event visit encounter "
    "invoice session device ticket admission sample specimen message document request"
)
_NUMBER_WORDS = _set(
    "no nr num number key code ref reference nummer numero serial barcode plate vin"
)
# Places are quasi-identifiers, not ids; times are not ids because they are unique and dense.
_PLACES = _set("zip zipcode postal postcode plz cp cap city state county region area")
_TIMES = _set("year day date time month week hour minute second seconds timestamp t")
_WEIGHTS = _set(
    "instance_weight sample_weight sampling_weight survey_weight person_weight final_weight "
    "finalwgt fnlwgt pwgtp wgtp"
)
_DATE_TEXT = (
    r"^\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?:\D|$)"
    r"|^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"
)
_CLOCK = ("Y", "M", "D", "h", "m", "s", "ms", "us", "ns")
_MAX_DECIMALS = 6


@dataclass(frozen=True)
class _Facts:
    """A column's distinct values, with the number of rows that hold each."""

    table: str
    name: str
    stored: pa.DataType
    values: pa.Array
    counts: npt.NDArray[np.int64]
    nulls: int
    order: tuple[Any, ...] | None = None

    @property
    def type(self) -> pa.DataType:
        return self.values.type

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def unique(self) -> bool:
        return self.rows > 1 and len(self.values) == self.rows

    @property
    def scattered(self) -> bool:
        """Whether most rows hold a rare value: one of fewer than FEW_ROWS rows."""
        return bool(2 * self.counts[self.counts < FEW_ROWS].sum() > self.rows)

    @property
    def textual(self) -> bool:
        return bool(pa.types.is_string(self.type))

    @property
    def coded(self) -> bool:
        """Whether the values are stored as categories."""
        return bool(pa.types.is_dictionary(self.stored))

    @property
    def whole(self) -> bool:
        """Whether every value is a whole number, however it is stored."""
        if pa.types.is_integer(self.type):
            return True
        return self.numeric and self.rows > 0 and self.decimals(1) == 0

    @property
    def numeric(self) -> bool:
        return bool(
            pa.types.is_integer(self.type)
            or pa.types.is_floating(self.type)
            or pa.types.is_decimal(self.type)
        )

    @cached_property
    def numbers(self) -> npt.NDArray[Any]:
        """The values, as float64 unless they are integers."""
        if pa.types.is_integer(self.type):
            return np.asarray(self.values)
        return np.asarray(self.values.cast(pa.float64()))

    def decimals(self, k: int) -> int | None:
        """Return the digits after the point that suffice for all but k rows; None beyond 6."""
        stored = np.float32 if self.type == pa.float32() else np.float64
        numbers = self.numbers
        sample = slice(None, None, max(1, len(numbers) // 1000))
        for digits in range(_MAX_DECIMALS + 1):
            few = numbers[sample]
            differs = np.round(few, digits).astype(stored) != few.astype(stored)
            if self.counts[sample][differs].sum() >= k:
                continue
            fits = np.round(numbers, digits).astype(stored) == numbers.astype(stored)
            if self.counts[~fits].sum() < k:
                return digits
        return None

    @cached_property
    def texts(self) -> pa.Array:
        """The values as text; whole numbers without a point."""
        if self.textual or pa.types.is_integer(self.type):
            return self.values.cast(pa.string())
        return pa.array(self.numbers.astype(np.int64)).cast(pa.string())


def infer(
    table: Table,
    *,
    target: str | None = None,
    k: int = 10,
    declared: Schema | None = None,
    narrow: bool = False,
) -> Schema:
    """Propose a schema for a table.

    Parameters
    ----------
    table : Table
        The private rows.
    target : str, optional
        The column to predict; it is never guessed.
    k : int, default=10
        The fewest rows that a level or bound may be held by.
    declared : Schema, optional
        Some or all columns as a person declares them; a field given there overrides inference.
    narrow : bool
        Whether the inferred domains of `declared`, perhaps inferred from more rows, are narrowed
        to what k rows of this table hold.

    Returns
    -------
    Schema
        One column for each of the table's, in its order.

    Raises
    ------
    UsageError
        The target is not in the table, or its values would be invented.
    SchemaError
        A declared column is not in the table, or its declaration contradicts its values.
    DataError
        A column holds an infinite number.
    """
    for name in declared.names if declared else ():
        if name not in table.names:
            raise SchemaError(
                f"schema: {table.name} has no column {name!r}{did_you_mean(name, table.names)}"
            )
    if target is not None and target not in table.names:
        raise UsageError(
            f"{table.name}: no target column {target!r}{did_you_mean(target, table.names)}"
        )
    by_name = {column.name: column for column in declared or ()}
    columns = []
    for name in table.names:
        facts = _facts(table, name)
        column = (
            _declare(by_name[name], facts, k, narrow) if name in by_name else _propose(facts, k)
        )
        columns.append(replace(column, format=table.formats.get(name)))
    schema = Schema(tuple(columns))
    if target is not None:
        schema = schema.with_target(target)
    aim = schema.target
    if aim is not None and aim.kind.surrogate:
        raise UsageError(
            f"{table.name}: the target {aim.name!r} is taken for {_words(aim.kind)} ({aim.why}), "
            "whose values are invented; declare its kind in a schema, or name another target"
        )
    return schema


def _facts(table: Table, name: str) -> _Facts:
    stored = table.schema.field(name).type
    values, counts, nulls = table.value_counts(name)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type) and pc.any(pc.is_inf(values)).as_py():
        raise DataError(
            f"{table.name}, column {name!r}: holds an infinite value; "
            "replace it by a number or leave it empty"
        )
    order = None
    if pa.types.is_dictionary(stored) and stored.ordered:
        column = table.to_arrow([name]).column(0).unify_dictionaries()
        order = tuple(level_values(column.chunk(0).dictionary)) if column.num_chunks else ()
    return _Facts(table.name, name, stored, values, counts, nulls, order)


# Kinds


def _propose(facts: _Facts, k: int) -> Column:
    kind, personal, why = _guess(facts, k)
    return _build(facts, kind, personal, why, k)


def _guess(facts: _Facts, k: int) -> tuple[Kind, str | None, str]:
    """Return the kind, the kind of personal data, and why."""
    if pa.types.is_boolean(facts.type):
        return Kind.BOOLEAN, None, "true or false"
    if facts.order is not None:
        return Kind.ORDINAL, None, "categories with an order"
    # A categorical column has levels, whatever its values, unless none is held by k rows.
    levels = facts.coded and bool((facts.counts >= k).any())
    if pa.types.is_temporal(facts.type):
        if levels:
            return Kind.CATEGORICAL, None, "categories that are dates or times"
        zone = getattr(facts.type, "tz", None)
        return Kind.DATETIME, None, f"dates and times in {zone}" if zone else "dates or times"
    if not facts.rows:
        kind = Kind.NUMERIC if pa.types.is_floating(facts.type) else Kind.INTEGER
        return kind if facts.numeric else Kind.CATEGORICAL, None, "all values are missing"
    finding = _personal(facts)
    if finding is not None:
        kind = Kind.ID if finding.kind == "uuid" else Kind.PERSONAL
        return kind, finding.kind, finding.why
    id_reason = _id_reason(facts)
    if id_reason is not None:
        return Kind.ID, None, id_reason
    if facts.numeric and levels:
        return Kind.CATEGORICAL, None, "categories that are numbers"
    if pa.types.is_integer(facts.type):
        return Kind.INTEGER, None, "whole numbers"
    if facts.numeric:
        return Kind.NUMERIC, None, "numbers"
    return _text_or_levels(facts)


def _personal(facts: _Facts) -> Finding | None:
    if not facts.textual:
        if not facts.whole or np.median(facts.numbers) < 10**6 or facts.numbers[0] < 0:
            return None
        return recognise(facts.name, facts.texts, facts.counts, digits=True)
    return recognise(facts.name, facts.texts, facts.counts)


def _id_reason(facts: _Facts) -> str | None:
    """Return why a column is an id, by its name and its values; None if it is not."""
    parts = words(facts.name)
    if not (facts.textual or facts.whole) or _PLACES.intersection(parts):
        return None
    last = parts[-1] if parts else ""
    front = last.removesuffix("id") if last.endswith("id") and last not in _ID_WORDS else None
    thing = front if front else (parts[-2] if len(parts) > 1 else "")
    if (
        last in _ID_WORDS
        or front in _THINGS
        or (parts[:1] == ("id",) and parts[1:2] and parts[1] in _THINGS)
    ):
        if facts.unique:
            return "unique, named like an id"
        if len(facts.values) > HANDFUL and (facts.scattered or thing in _PEOPLE):
            return f"named like an id, {facts.rows / len(facts.values):.1f} rows a value"
        return None
    if facts.unique and facts.rows >= FEW_ROWS and last in _NUMBER_WORDS:
        return "unique, named like a number that stands for a thing"
    if not facts.textual:
        numbers = facts.numbers
        # Random numbers repeat long before they fill half of a range.
        dense = facts.unique and facts.rows >= 50 and numbers[-1] - numbers[0] < 2 * facts.rows
        return "unique whole numbers in a row" if dense and last not in _TIMES else None
    return _code_reason(facts)


def _code_reason(facts: _Facts) -> str | None:
    values = facts.texts
    if _share(facts, r"^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$") >= 0.9:
        return "values look like hashes"
    if facts.rows < 20 or len(values) < 0.95 * facts.rows or _share(facts, _DATE_TEXT) > 0.5:
        return None
    if _share(facts, r"^[^\s]*\d[^\s]*$") < 0.9:
        return None
    shape = pc.replace_substring_regex(values, pattern=r"\p{Nd}+", replacement="9")
    shape = pc.replace_substring_regex(shape, pattern=r"\p{L}", replacement="A")
    most_common = max(pc.value_counts(shape).field("counts").to_pylist())
    return "nearly unique codes of one form" if most_common >= 0.9 * len(values) else None


def _text_or_levels(facts: _Facts) -> tuple[Kind, str | None, str]:
    values = facts.texts
    if values.to_pylist() == [PLACEHOLDER]:
        return Kind.TEXT, None, "placeholder of a text that was removed"
    mentioned = mentions(values)
    aside = f"; some values contain {mentioned}" if mentioned else ""
    distinct = len(values)
    word_counts = np.asarray(pc.count_substring_regex(values, pattern=r"\S+"))
    average = float((word_counts * facts.counts).sum() / facts.rows)
    nearly_unique = distinct >= 0.9 * facts.rows and not _PLACES.intersection(words(facts.name))
    if distinct > HANDFUL and (nearly_unique or (average >= 4 and facts.scattered)):
        if _share(facts, _DATE_TEXT) > 0.5:
            return (
                Kind.TEXT,
                None,
                "text that looks like dates or times; store dates as dates to model them",
            )
        if average >= 2:
            return Kind.TEXT, None, f"free text: {average:.0f} words a value on average{aside}"
        return Kind.TEXT, None, f"text, nearly every value of it different{aside}"
    return Kind.CATEGORICAL, None, f"text with {_count(distinct, 'level')}{aside}"


def _share(facts: _Facts, pattern: str) -> float:
    hits = pc.sum(pc.match_substring_regex(facts.texts, pattern=pattern)).as_py() or 0
    return float(hits) / max(1, len(facts.texts))


# Domains, under disclosure control


def _build(facts: _Facts, kind: Kind, personal: str | None, why: str, k: int) -> Column:
    column = Column(
        facts.name, kind, str(facts.stored), nullable=facts.nulls >= k, personal=personal, why=why
    )
    if kind.surrogate:
        return _with_pattern(
            replace(column, unique=facts.unique and kind is not Kind.TEXT), facts, k
        )
    if not kind.continuous:
        levels, rare = _levels(facts, kind, k)
        if rare:
            column = replace(column, why=f"{why}; rarer levels pooled (under {k} rows)")
        return replace(column, domain=levels)
    column = replace(column, domain=_bounds(facts, k))
    if kind is Kind.NUMERIC and not pa.types.is_integer(facts.type) and facts.rows:
        column = replace(column, decimals=facts.decimals(k))
    positive = facts.numeric and facts.rows and facts.numbers[0] >= 0
    if positive and "_".join(words(facts.name)) in _WEIGHTS:
        return replace(column, role=Role.WEIGHT, why=f"{why}; named like a survey weight")
    return column


def _with_pattern(column: Column, facts: _Facts, k: int) -> Column:
    """Return the column with the pattern by which its surrogates are invented."""
    if column.kind is Kind.TEXT:
        return column
    column = replace(column, role=Role.ID if column.kind is Kind.ID else None)
    usable = KINDS if facts.textual else NUMBERS
    if column.personal in usable or not facts.rows:
        return column
    if not facts.textual:
        return replace(column, personal=None)
    sizes = (32, 40, 64)
    for size in sizes if column.kind is Kind.ID else ():
        if _share(facts, rf"^[0-9a-f]{{{size}}}$") >= 0.9:
            return replace(column, personal=f"hex{size}")
    return replace(column, personal=learn_pattern(facts.texts, facts.counts, k))


def _levels(facts: _Facts, kind: Kind, k: int) -> tuple[Levels, int]:
    """Return the levels held by at least k rows, and the number of rarer ones."""
    kept = np.flatnonzero(facts.counts >= k)
    if kind is not Kind.ORDINAL:
        kept = kept[np.argsort(-facts.counts[kept], kind="stable")]
    levels = level_values(facts.values.take(pa.array(kept)))
    if facts.order is not None and kind is Kind.ORDINAL:
        levels = [level for level in facts.order if level in set(levels)]
    return Levels(tuple(levels)), len(facts.values) - len(kept)


def _bounds(facts: _Facts, k: int) -> Bounds | None:
    """Return the k-th value from each end, rounded inward; None for fewer than 2k rows."""
    if facts.rows < max(2 * k, 1):
        return None
    if not pa.types.is_temporal(facts.type):
        low, high = clipped(facts.numbers, facts.counts, k, round_numbers)
        return Bounds(_number(low, facts), _number(high, facts))
    low, high = clipped(_wall_clock(facts.values), facts.counts, k, _round_times)
    return Bounds(_iso(low), _iso(high))


def level_values(values: pa.Array) -> list[Any]:
    """Return values as a schema lists levels: text, numbers, booleans, and anything else as text.

    `privsynth.coding.values.as_type` reads the text of dates, times and decimals back.
    """
    kind, types = values.type, pa.types
    plain = types.is_string(kind) or types.is_boolean(kind)
    if not (plain or types.is_integer(kind) or types.is_floating(kind)):
        values = values.cast(pa.string())
    return list(values.to_pylist())


def clipped(
    values: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    k: int,
    rounded: Callable[[Any, bool], Iterator[Any]],
) -> tuple[Any, Any]:
    """Return bounds at or inside the k-th value from each end.

    A value held by k rows is a bound itself. Any other is rounded inward, to the roundest number
    that leaves at most 2k rows outside.
    """
    rows = np.concatenate([[0], np.cumsum(counts)])
    first = int(np.searchsorted(rows[1:], k))
    last = int(np.searchsorted(rows[1:], rows[-1] - k, side="right"))

    def outside(at: Any, side: Literal["left", "right"]) -> int:
        inner = int(rows[np.searchsorted(values, at, side=side)])
        return inner if side == "left" else int(rows[-1]) - inner

    low, high = values[first], values[last]
    if counts[first] < k:
        allowed = (at for at in rounded(low, True) if at <= high and outside(at, "left") <= 2 * k)
        low = next(allowed, low)
    if counts[last] < k:
        allowed = (at for at in rounded(high, False) if at >= low and outside(at, "right") <= 2 * k)
        high = next(allowed, high if high >= low else low)
    return low, high


def round_numbers(value: Any, up: bool) -> Iterator[Any]:
    """Yield ever finer decimal roundings of a number, upward or downward."""
    plain = value.item()
    exact = Decimal(repr(plain))
    finest = min(int(exact.as_tuple().exponent), 0)
    for power in range(exact.adjusted(), finest - 1, -1):
        way = ROUND_CEILING if up else ROUND_FLOOR
        yield type(plain)(exact.quantize(Decimal(1).scaleb(power), way))


def _round_times(value: Any, up: bool) -> Iterator[Any]:
    """Yield ever finer roundings of a moment: to the year, month, day, hour, ..."""
    finest = np.datetime_data(value.dtype)[0]
    for unit in _CLOCK[: _CLOCK.index(finest) + 1]:
        at = value.astype(f"M8[{unit}]")
        yield (at + 1 if up and at < value else at).astype(value.dtype)


def _number(value: Any, facts: _Facts) -> int | float:
    return int(value) if pa.types.is_integer(facts.type) else float(value)


def _wall_clock(values: pa.Array) -> npt.NDArray[Any]:
    """Return moments in the column's own time zone; an hour may occur twice."""
    if pa.types.is_timestamp(values.type) and values.type.tz:
        return np.sort(np.asarray(pc.local_timestamp(values)))
    return np.asarray(values)


def _iso(moment: Any) -> str:
    """Return a moment in ISO 8601, without a time or fraction that is zero."""
    day = moment.astype("M8[D]")
    if day == moment:
        return str(day)
    second = moment.astype("M8[s]")
    return str(second if second == moment else moment)


# Declared columns


def _declare(declared: Column, facts: _Facts, k: int, narrow: bool) -> Column:
    """Return the inferred column, overridden by what is declared."""
    place = f"schema, column {declared.name!r}"
    stated_fields = declared.stated
    if "dtype" in stated_fields:
        _check_dtype(declared, facts, place)
    guessed, personal, why = _guess(facts, k)
    kind = declared.kind if "kind" in stated_fields else _kind_of_domain(declared, guessed, facts)
    if kind is not guessed:
        why = f"declared {kind}" if "kind" in stated_fields else f"a domain is declared; else {why}"
        personal = _personal_kind(facts) if kind in (Kind.ID, Kind.PERSONAL) else None
    _check_kind(kind, facts, place)
    column = _build(facts, kind, personal, why, k)
    free = stated_fields - {"kind", "dtype", "domain"}
    column = replace(column, **{key: getattr(declared, key) for key in free})
    check_pattern(column)
    if declared.determined_by is not None:
        return replace(column, domain=None, unique=False, personal=None, why="declared determined")
    if "domain" not in stated_fields or declared.domain is None:
        return column
    domain = _declared_domain(declared, kind, facts, place)
    if narrow and declared.source is Source.INFERRED:
        domain = _narrowed(domain, column.domain, facts, k)
    return replace(column, domain=domain, source=declared.source)


def _narrowed(
    domain: Levels | Bounds, inferred: Levels | Bounds | None, facts: _Facts, k: int
) -> Levels | Bounds:
    """Return the part of a domain that k rows hold; `inferred` is that of these rows."""
    if isinstance(domain, Levels):
        frequent = set(level_values(facts.values.filter(pa.array(facts.counts >= k))))
        return Levels(tuple(level for level in domain.values if level in frequent))
    if not isinstance(inferred, Bounds):
        return domain
    low, high = (
        max(domain.low, inferred.low, key=_comparable),
        min(domain.high, inferred.high, key=_comparable),
    )
    return Bounds(low, high) if _comparable(low) <= _comparable(high) else inferred


def _comparable(end: Any) -> Any:
    """Return a bound as a number or datetime, which compare with others."""
    return datetime.datetime.fromisoformat(end) if isinstance(end, str) else end


def _personal_kind(facts: _Facts) -> str | None:
    finding = _personal(facts) if facts.textual or facts.numeric else None
    return finding.kind if finding else None


def _kind_of_domain(declared: Column, guessed: Kind, facts: _Facts) -> Kind:
    """Return the kind that a declared domain implies, if no kind is declared."""
    if isinstance(declared.domain, Levels) and (guessed.surrogate or guessed.continuous):
        return Kind.CATEGORICAL
    if isinstance(declared.domain, Bounds) and guessed.surrogate and facts.numeric:
        return Kind.INTEGER if pa.types.is_integer(facts.type) else Kind.NUMERIC
    return guessed


def _check_dtype(declared: Column, facts: _Facts, place: str) -> None:
    try:
        expected = arrow_type(declared.dtype)
    except SchemaError as error:
        raise SchemaError(f"{place}: {error}") from None
    if _family(expected) != _family(facts.stored) and facts.rows:
        raise SchemaError(
            f"{place}: 'dtype' is {declared.dtype}, but {facts.table} stores {facts.stored}; "
            "leave 'dtype' out, or convert the column"
        )


def _family(dtype: pa.DataType) -> str:
    if pa.types.is_dictionary(dtype):
        return _family(dtype.value_type)
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype):
        return "number"
    return "moment" if pa.types.is_temporal(dtype) else str(dtype).removeprefix("large_")


def _check_kind(kind: Kind, facts: _Facts, place: str) -> None:
    """Refuse a kind that the stored values cannot have."""
    if not facts.rows:
        return
    moment = pa.types.is_temporal(facts.type)
    other = Kind.NUMERIC if facts.numeric else Kind.CATEGORICAL
    mend = {
        Kind.NUMERIC: None if facts.numeric else "store it as numbers, or declare it categorical",
        Kind.INTEGER: None if facts.whole else f"store it as whole numbers, or declare it {other}",
        Kind.DATETIME: None if moment else "store it as dates, or declare it categorical",
        Kind.BOOLEAN: None if len(facts.values) <= 2 else "it has more than two values",
        Kind.TEXT: None if facts.textual else "only a text column can hold placeholder text",
    }.get(kind, None if facts.coded or not moment else f"declare it {Kind.DATETIME}")
    if kind in (Kind.ID, Kind.PERSONAL) and moment:
        mend = f"declare it {Kind.DATETIME}"
    if kind in (Kind.ID, Kind.PERSONAL) and pa.types.is_boolean(facts.type):
        mend = f"declare it {Kind.BOOLEAN}"
    if kind is Kind.BOOLEAN and moment:
        mend = f"declare it {Kind.DATETIME}"
    if kind in (Kind.ID, Kind.PERSONAL) and facts.numeric and not facts.whole:
        mend = f"declare it {Kind.NUMERIC}"
    if mend:
        raise SchemaError(f"{place}: is declared {kind} but stored as {facts.stored}; {mend}")


def _declared_domain(declared: Column, kind: Kind, facts: _Facts, place: str) -> Levels | Bounds:
    domain = declared.domain
    assert domain is not None  # noqa: S101
    if kind.surrogate:
        raise SchemaError(f"{place}: {_words(kind)} has no levels or bounds; drop them")
    if isinstance(domain, Levels):
        if kind in (Kind.NUMERIC, Kind.DATETIME):
            raise SchemaError(f"{place}: has levels but is declared {kind}; declare it categorical")
        if not all(_fits(value, facts) for value in domain.values):
            raise SchemaError(
                f"{place}: levels are not of the stored type, {facts.type}; "
                "put quotes around text such as 'yes' or '1', and none around numbers"
            )
        return domain
    if not kind.continuous:
        raise SchemaError(f"{place}: has bounds but is {kind}; give levels")
    if isinstance(domain.low, str) is not (kind is Kind.DATETIME):
        expected = "dates such as '2024-01-31'" if kind is Kind.DATETIME else "numbers"
        raise SchemaError(f"{place}: expected bounds as {expected}")
    if kind is not Kind.DATETIME:
        return domain
    return Bounds(*(_moment(str(end), facts, place) for end in (domain.low, domain.high)))


def _fits(value: Any, facts: _Facts) -> bool:
    if facts.textual:
        return isinstance(value, str)
    if isinstance(value, str) and (
        pa.types.is_temporal(facts.type) or pa.types.is_decimal(facts.type)
    ):
        return _readable(value, facts.type)
    if pa.types.is_boolean(facts.type):
        return isinstance(value, bool)
    if pa.types.is_temporal(facts.type):
        return False
    whole = type(value) is int or (type(value) is float and value.is_integer())
    return whole if pa.types.is_integer(facts.type) else type(value) in (int, float)


def _readable(text: str, dtype: pa.DataType) -> bool:
    try:
        return bool(pa.array([text]).cast(dtype)[0].is_valid)
    except pa.ArrowException:
        return False


def _moment(text: str, facts: _Facts, place: str) -> str:
    """Return a bound in the column's time zone."""
    zone = getattr(facts.type, "tz", None)
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return text
        if zone is None:
            raise ValueError
    except ValueError:
        raise SchemaError(
            f"{place}: a bound cannot be read as a date; write it like '2024-01-31' or "
            "'2024-01-31T12:00:00'" + (", without a time zone" if zone is None else "")
        ) from None
    local = moment.astimezone(pa.lib.string_to_tzinfo(zone))
    return local.replace(tzinfo=None).isoformat()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _words(kind: Kind) -> str:
    return {Kind.ID: "an id", Kind.PERSONAL: "personal data", Kind.TEXT: "free text"}[kind]
