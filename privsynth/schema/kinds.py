"""Guess what a column means from its name and its distinct values; no reason quotes a value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.schema.columns import Kind
from privsynth.schema.facts import Facts
from privsynth.schema.personal import FEW_ROWS, HANDFUL, Finding, mentions, recognise, words
from privsynth.schema.surrogates import PLACEHOLDER

__all__ = ["guess", "names_persons", "personal_kind"]


def guess(facts: Facts, k: int) -> tuple[Kind, str | None, str]:
    """Return the kind of a column, the kind of personal data or None, and the reason."""
    if pa.types.is_boolean(facts.type):
        return Kind.BOOLEAN, None, "true or false"
    if facts.order is not None:
        return Kind.ORDINAL, None, "categories with an order"
    # A categorical column has levels, whatever its values, unless none is held by k rows.
    levels = facts.coded and bool((facts.support.units >= k).any())
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


def personal_kind(facts: Facts) -> str | None:
    """Return the kind of personal data that a column holds, or None."""
    finding = _personal(facts) if facts.textual or facts.numeric else None
    return finding.kind if finding else None


def names_persons(name: str, counts: npt.NDArray[np.int64]) -> bool:
    """Return whether a column is named like persons, and most of its many values are rare.

    Parameters
    ----------
    name : str
    counts : ndarray of int64
        The rows of each of its distinct values.
    """
    # Of values, not of rows: one person may have most of the rows.
    scattered = 2 * (counts < FEW_ROWS).sum() > len(counts)
    last = words(name)[-1:]
    return bool(_PEOPLE.intersection(last) and scattered and len(counts) > HANDFUL)


def _personal(facts: Facts) -> Finding | None:
    if not facts.textual:
        if not facts.whole or np.median(facts.numbers) < 10**6 or facts.numbers[0] < 0:
            return None
        return recognise(facts.name, facts.texts, facts.counts, digits=True)
    return recognise(facts.name, facts.texts, facts.counts)


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
_DATE_TEXT = (
    r"^\s*(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2}))(?:\D|$)"
    r"|^\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?$"
)


def _id_reason(facts: Facts) -> str | None:
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
    if names_persons(facts.name, facts.counts):
        return f"named like persons, {facts.rows / len(facts.values):.1f} rows a value"
    if facts.unique and facts.rows >= FEW_ROWS and last in _NUMBER_WORDS:
        return "unique, named like a number that stands for a thing"
    if not facts.textual:
        numbers = facts.numbers
        # Random numbers repeat long before they fill half of a range.
        dense = facts.unique and facts.rows >= 50 and numbers[-1] - numbers[0] < 2 * facts.rows
        return "unique whole numbers in a row" if dense and last not in _TIMES else None
    return _code_reason(facts)


def _code_reason(facts: Facts) -> str | None:
    values = facts.texts
    if facts.share(r"^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})$") >= 0.9:
        return "values look like hashes"
    if facts.rows < 20 or len(values) < 0.95 * facts.rows or facts.share(_DATE_TEXT) > 0.5:
        return None
    if facts.share(r"^[^\s]*\d[^\s]*$") < 0.9:
        return None
    shape = pc.replace_substring_regex(values, pattern=r"\p{Nd}+", replacement="9")
    shape = pc.replace_substring_regex(shape, pattern=r"\p{L}", replacement="A")
    most_common = max(pc.value_counts(shape).field("counts").to_pylist())
    return "nearly unique codes of one form" if most_common >= 0.9 * len(values) else None


def _text_or_levels(facts: Facts) -> tuple[Kind, str | None, str]:
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
        if facts.share(_DATE_TEXT) > 0.5:
            return (
                Kind.TEXT,
                None,
                "text that looks like dates or times; store dates as dates to model them",
            )
        if average >= 2:
            return Kind.TEXT, None, f"free text: {average:.0f} words a value on average{aside}"
        return Kind.TEXT, None, f"text, nearly every value of it different{aside}"
    return Kind.CATEGORICAL, None, f"text with {_count(distinct, 'level')}{aside}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
