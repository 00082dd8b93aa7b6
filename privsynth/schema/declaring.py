"""Declared columns: what a person says of a column, checked against its values."""

from __future__ import annotations

import datetime
from typing import Any

import pyarrow as pa

from privsynth.errors import SchemaError
from privsynth.schema.columns import Bounds, Column, Kind, Levels
from privsynth.schema.domains import level_values
from privsynth.schema.facts import Facts
from privsynth.table import arrow_type

__all__ = [
    "check_dtype",
    "check_kind",
    "declared_domain",
    "kind_of_domain",
    "kind_words",
    "narrowed",
]


def check_dtype(declared: Column, facts: Facts, place: str) -> None:
    """Refuse a storage type of another family than the stored one."""
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


def kind_of_domain(declared: Column, guessed: Kind, facts: Facts) -> Kind:
    """Return the kind that a declared domain implies, if no kind is declared."""
    if isinstance(declared.domain, Levels) and (guessed.surrogate or guessed.continuous):
        return Kind.CATEGORICAL
    if isinstance(declared.domain, Bounds) and guessed.surrogate and facts.numeric:
        return Kind.INTEGER if pa.types.is_integer(facts.type) else Kind.NUMERIC
    return guessed


def check_kind(kind: Kind, facts: Facts, place: str) -> None:
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


def declared_domain(declared: Column, kind: Kind, facts: Facts, place: str) -> Levels | Bounds:
    """Return the domain that a column declares, checked against its kind and stored type."""
    domain = declared.domain
    assert domain is not None  # noqa: S101
    if kind.surrogate:
        raise SchemaError(f"{place}: {kind_words(kind)} has no levels or bounds; drop them")
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


def _fits(value: Any, facts: Facts) -> bool:
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


def _moment(text: str, facts: Facts, place: str) -> str:
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


def narrowed(
    domain: Levels | Bounds, inferred: Levels | Bounds | None, facts: Facts, k: int
) -> Levels | Bounds:
    """Return the part of a domain that k units hold; `inferred` is that of these rows."""
    if isinstance(domain, Levels):
        frequent = set(level_values(facts.values.filter(pa.array(facts.support.units >= k))))
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


def kind_words(kind: Kind) -> str:
    """Return the words by which messages name a kind of surrogates."""
    return {Kind.ID: "an id", Kind.PERSONAL: "personal data", Kind.TEXT: "free text"}[kind]
