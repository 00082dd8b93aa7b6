"""Surrogates: invented values for id, personal and text columns; none is learnt from a real one.

They cannot reach or charge a person: emails are at example.com and example.org (RFC 2606), phone
numbers in the block 555-0100 to 555-0199 reserved for fiction, IP addresses in the documentation
ranges (RFC 5737, RFC 3849) and beyond those in the reserved 240.0.0.0/4, MAC addresses locally
administered (IEEE 802), social security numbers in the area 9xx, which is never issued, card
numbers with the leading digit 9, which no card network issues, IBANs of a bank "TEST" that does not
exist, and NHS numbers in the test range 999. Other national ids are random, with a valid checksum
where one is easily computed: such a number may exist by chance.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.errors import SamplingError, SchemaError, did_you_mean
from privsynth.schema.columns import Column, Kind
from privsynth.table import arrow_type, value_type

__all__ = ["KINDS", "PLACEHOLDER", "check_pattern", "learn_pattern", "surrogates"]

PLACEHOLDER = "[text removed]"
"""The value of every cell of a free-text column."""

Indices: TypeAlias = npt.NDArray[np.int64]
Texts: TypeAlias = pa.Array

_ANY_PATTERN = "AA999999"
_MAX_PATTERN_LENGTH = 64
_PATTERN = re.compile(r"(?:\{[^{}]+\}|[9Aa]|[^\w{}]|_)+")
_PART = re.compile(r"\{([^{}]+)\}|([9Aa])|([^\w{}]|_)")
_SLOTS = {"9": "0123456789", "A": "ABCDEFGHJKLMNPQRSTUVWXYZ", "a": "abcdefghjkmnpqrstuvwxyz"}
# Indices are mixed within 2**40 and multiplied by less than 2**22, so that int64 holds the product.
_MIX_RANGE = 1 << 40


def surrogates(
    column: Column,
    n: int,
    rng: np.random.Generator,
    *,
    start: int = 0,
    pool: int | None = None,
) -> pa.Array:
    """Invent values for a column of ids, personal data or free text.

    Parameters
    ----------
    column : Column
        Its `personal` names one of `KINDS`, or is a pattern: ``9`` stands for a digit, ``A`` and
        ``a`` for a letter; ``{text}`` and punctuation stand for themselves.
    n : int
        The number of values.
    rng : numpy.random.Generator
        The only source of randomness.
    start : int, default=0
        The number of the first row in the whole table: the values of a unique column are a
        one-to-one function of the row's number, so that chunks never share one.
    pool : int, optional
        The number of distinct values to draw from, if values repeat; `n` by default, so that some
        occur twice.

    Returns
    -------
    pyarrow.Array, shape (n,)
        Of the column's storage type, without nulls.

    Raises
    ------
    SamplingError
        The storage type cannot hold so many distinct values.
    SchemaError
        `personal` is neither a known kind nor a pattern.
    """
    dtype = arrow_type(column.dtype)
    plain = value_type(dtype)
    if column.kind is Kind.TEXT:
        return pa.repeat(pa.scalar(PLACEHOLDER), n).cast(dtype)
    if column.unique:
        index = np.arange(start, start + n, dtype=np.int64)
    else:
        index = rng.integers(0, max(1, n if pool is None else pool), n, dtype=np.int64)
    try:
        if pa.types.is_string(plain) or pa.types.is_large_string(plain):
            values = _texts(column, index).cast(plain)
        else:
            values = pa.array(_numbers(column, index)).cast(plain)
    except pa.ArrowInvalid:
        raise SamplingError(
            f"column {column.name!r}: is stored as {column.dtype}, which cannot hold so many "
            "invented values; ask for fewer rows, or store it as text"
        ) from None
    return values.dictionary_encode().cast(dtype) if dtype != plain else values


def learn_pattern(values: pa.Array, counts: npt.NDArray[np.int64], k: int) -> str | None:
    """Learn the most frequent pattern of a column's values, if at least k rows have it.

    Parameters
    ----------
    values : pyarrow.Array of string
        Distinct values.
    counts : ndarray of int64, shape (len(values),)
        The number of rows that hold each.
    k : int
        The fewest rows that the pattern, or a constant letter in it, may be held by.

    Returns
    -------
    str or None
        A pattern as `surrogates` reads it. A letter that nearly all its rows share is kept.
    """
    templates = _template(values)
    names, row_counts = _tally(templates, counts)
    if not len(names) or row_counts.max() < k:
        return None
    template = names[int(np.argmax(row_counts))]
    if not 0 < len(template) <= _MAX_PATTERN_LENGTH or not _PATTERN.fullmatch(template):
        return None
    in_template = np.asarray(pc.equal(templates, template))
    rows = counts[in_template]
    texts = values.filter(pa.array(in_template))
    return re.sub(
        r"\}\{",
        "",
        "".join(_constant(texts, rows, at, char, k) for at, char in enumerate(template)),
    )


def check_pattern(column: Column) -> None:
    """Check that a column's `personal` is a kind or a pattern.

    Raises
    ------
    SchemaError
        It is neither.
    """
    named = column.personal
    if named is not None and named not in KINDS and not _PATTERN.fullmatch(named):
        raise SchemaError(
            f"column {column.name!r}: unknown 'personal' {named!r}; give a kind or a pattern of "
            f"9, A, a and {{text}}{did_you_mean(named, KINDS)}"
        )


def _texts(column: Column, index: Indices) -> Texts:
    check_pattern(column)
    generate = KINDS.get(column.personal or "")
    return generate(index) if generate else _fill(column.personal or _ANY_PATTERN, index)


def _numbers(column: Column, index: Indices) -> Indices:
    """Return integers: for an id the row's own number, else the digits of the invented text."""
    check_pattern(column)
    if column.kind is Kind.ID or column.personal not in NUMBERS:
        return index + 1
    digits = pc.replace_substring_regex(_texts(column, index), pattern=r"\D", replacement="")
    return np.asarray(digits.cast(pa.int64()))


def _template(values: pa.Array) -> pa.Array:
    others = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}]"
    for pattern, slot in ((r"\p{Ll}", "a"), (others, "A"), (r"\p{Nd}", "9")):
        values = pc.replace_substring_regex(values, pattern=pattern, replacement=slot)
    return values


def _tally(
    values: pa.Array, counts: npt.NDArray[np.int64]
) -> tuple[list[str], npt.NDArray[np.int64]]:
    grouped = (
        pa.table({"value": values, "rows": counts}).group_by("value").aggregate([("rows", "sum")])
    ).sort_by("value")
    return grouped["value"].to_pylist(), grouped["rows_sum"].to_numpy()


def _constant(texts: pa.Array, rows: npt.NDArray[np.int64], at: int, char: str, k: int) -> str:
    """Return a letter that nearly all rows share as ``{letter}``, and any other slot as it is."""
    if char not in "Aa":
        return char
    letters, row_counts = _tally(pc.utf8_slice_codeunits(texts, at, at + 1), rows)
    top = int(np.argmax(row_counts))
    shared = row_counts[top] >= max(k, 0.95 * row_counts.sum()) and letters[top].isalpha()
    return f"{{{letters[top]}}}" if shared else char


# Generators: each is vectorised, and a one-to-one function from row numbers to texts.


def _mix(index: Indices, size: int) -> Indices:
    """Permute ``index % size`` over ``range(size)``, so that surrogates show no order."""
    factor = min(max(1, int(size * 0.618)), (1 << 22) - 1)
    while math.gcd(factor, size) != 1:
        factor -= 1
    code = index % size
    for _ in range(3):
        code = (code * factor + int(size * 0.7548)) % size
    return code


def _joined(*parts: Texts | str) -> Texts:
    return pc.binary_join_element_wise(*parts, "")


def _spelt(numbers: Indices, width: int = 0) -> Texts:
    return pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=width, padding="0")


def _pick(options: Sequence[str] | pa.Array, codes: Indices) -> Texts:
    return pa.array(options, type=pa.string()).take(pa.array(codes))


def _again(texts: Texts, block: Indices, mark: str = "") -> Texts:
    """Append the number of the round to texts that would repeat earlier ones."""
    return pc.if_else(pa.array(block > 0), _joined(texts, mark, _spelt(block + 1)), texts)


def _fill(pattern: str, index: Indices) -> Texts:
    """Fill a pattern one-to-one; append a counter beyond its capacity."""
    parts = _PART.findall(pattern)
    sizes = np.array([len(_SLOTS[slot]) for _, slot, _ in reversed(parts) if slot], dtype=float)
    unique = int((np.cumprod(sizes) <= _MIX_RANGE).sum())
    capacity = math.prod(int(size) for size in sizes[:unique])
    code, filled = _mix(index, capacity), 0
    pieces: list[Texts | str] = []
    for literal, slot, mark in reversed(parts):
        if slot:
            size = len(_SLOTS[slot])
            digit = code % size if filled < unique else _mix(index * (2 * filled + 3), size)
            pieces.append(_pick(list(_SLOTS[slot]), digit))
            code, filled = code // size, filled + 1
        else:
            pieces.append(literal or mark)
    blank = _pick([""], np.zeros_like(index))
    return _again(_joined(blank, *reversed(pieces)), index // capacity, "-")


@cache
def _names(attribute: str) -> tuple[str, ...]:
    provider = importlib.import_module("faker.providers.person.en_US").Provider
    return tuple(sorted(getattr(provider, attribute)))


def _one_of(options: Sequence[str], index: Indices) -> Texts:
    return _again(_pick(options, _mix(index, len(options))), index // len(options), " ")


def _first_name(index: Indices) -> Texts:
    return _one_of(_names("first_names"), index)


def _last_name(index: Indices) -> Texts:
    return _one_of(_names("last_names"), index)


def _pair(index: Indices, between: str) -> Texts:
    first, last = _names("first_names"), _names("last_names")
    size = len(first) * len(last)
    code = _mix(index, size)
    pair = _joined(_pick(first, code % len(first)), between, _pick(last, code // len(first)))
    return _again(pair, index // size, between)


def _name(index: Indices) -> Texts:
    return _pair(index, " ")


def _user_name(index: Indices) -> Texts:
    return pc.utf8_lower(_pair(index, "."))


def _email(index: Indices) -> Texts:
    return _joined(_user_name(index), _pick(["@example.com", "@example.org"], index % 2))


def _phone(index: Indices) -> Texts:
    areas = [str(area) for area in range(201, 990) if area % 100 != 11]
    size = len(areas) * 100
    code = _mix(index, size)
    phone = _joined("(", _pick(areas, code // 100), ") 555-01", _spelt(code % 100, 2))
    return _again(phone, index // size, " x")


def _address(index: Indices) -> Texts:
    streets, ways = _names("last_names"), ("Street", "Avenue", "Road", "Lane")
    size = len(streets) * len(ways) * 999
    code = _mix(index, size)
    number, code = code // (len(streets) * len(ways)) + 1, code % (len(streets) * len(ways))
    street = _pick(streets, code % len(streets)), " ", _pick(ways, code // len(streets))
    return _again(_joined(_spelt(number), " ", *street), index // size, ", Apt. ")


def _ipv4(index: Indices) -> Texts:
    nets = ("192.0.2.", "198.51.100.", "203.0.113.")
    few, many = _mix(index, len(nets) * 256), _mix(index, 1 << 28)
    documented = _joined(_pick(nets, few // 256), _spelt(few % 256))
    parts = [_joined(".", _spelt(many >> shift & 255)) for shift in (16, 8, 0)]
    reserved = _joined(_spelt(240 + (many >> 24)), *parts)
    return pc.if_else(pa.array(index < len(nets) * 256), documented, reserved)


def _hexes(numbers: Indices, width: int) -> Texts:
    digits = list("0123456789abcdef")
    return _joined(*(_pick(digits, numbers >> 4 * at & 15) for at in reversed(range(width))))


def _ipv6(index: Indices) -> Texts:
    code = _mix(index, _MIX_RANGE)
    groups = [_hexes(code >> shift & 0xFFFF, 4) for shift in (32, 16, 0)]
    return _joined("2001:db8:", groups[0], "::", groups[1], ":", groups[2])


def _mac(index: Indices) -> Texts:
    code = _mix(index, _MIX_RANGE)
    return _joined("02", *(_joined(":", _hexes(code >> s & 255, 2)) for s in (32, 24, 16, 8, 0)))


def _uuid(index: Indices) -> Texts:
    """Return texts of the form of a random UUID (RFC 9562, version 4)."""
    code, other, third = (_mix(index * times, _MIX_RANGE) for times in (1, 7, 11))
    return _joined(
        _hexes(code & 0xFFFFFFFF, 8),
        "-",
        _hexes(other & 0xFFFF, 4),
        "-4",
        _hexes(other >> 16 & 0xFFF, 3),
        "-8",
        _hexes(other >> 28 & 0xFFF, 3),
        "-",
        _hexes(code >> 32, 2),
        _hexes(third, 10),
    )


def _hash(index: Indices, width: int) -> Texts:
    """Return hexadecimal digits; the last ten are one-to-one, the others only look random."""
    pairs = [_hexes(_mix(index * (2 * at + 3), _MIX_RANGE) >> 8, 2) for at in range(width // 2 - 5)]
    return _joined(*pairs, _hexes(_mix(index, _MIX_RANGE), 10))


def _digits(numbers: Indices, width: int) -> npt.NDArray[np.int64]:
    return numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10


def _undigits(digits: npt.NDArray[np.int64]) -> Texts:
    return _joined(*(_spelt(column) for column in digits.T))


def _luhn(body: npt.NDArray[np.int64]) -> Texts:
    """Return digits followed by their check digit, as text (ISO/IEC 7812, annex B)."""
    doubled = body.copy()
    every = slice((body.shape[1] + 1) % 2, None, 2)
    doubled[:, every] = np.where(body[:, every] > 4, 2 * body[:, every] - 9, 2 * body[:, every])
    return _undigits(np.column_stack([body, -doubled.sum(axis=1) % 10]))


def _credit_card(index: Indices) -> Texts:
    front = np.full((len(index), 3), 9)
    return _luhn(np.column_stack([front, _digits(_mix(index, 10**12), 12)]))


def _iban(index: Indices) -> Texts:
    """Return IBANs of British form with valid check digits (mod 97; ISO 13616)."""
    body = _mix(index, 10**12)
    bank = [int(digit) for letter in "TEST" for digit in str(ord(letter) - 55)]
    country = [int(digit) for digit in "161100"]  # GB00, moved to the end
    rest = np.zeros_like(body)
    for digit in (*bank, *_digits(body, 14).T, *country):
        rest = (rest * 10 + digit) % 97
    return _joined("GB", _spelt(98 - rest, 2), "TEST", _spelt(body, 14))


def _ssn(index: Indices) -> Texts:
    """Return numbers of area 900-999 and group 01-49, which are neither SSNs nor taxpayer ids."""
    size = 100 * 49 * 9999
    code = _mix(index, size)
    area, group, serial = 900 + code % 100, code // 100 % 49 + 1, code // 4900 + 1
    return _again(
        _joined(_spelt(area), "-", _spelt(group, 2), "-", _spelt(serial, 4)), index // size, "-"
    )


def _checked(
    front: str, width: int, weights: Sequence[int], signs: str = "0123456789"
) -> Callable[[Indices], Texts]:
    """Build a generator of ids whose weighted digits and check digit sum to 0 modulo 11.

    If `signs` has none for a check digit of 10, the first free digit is raised by one; this changes
    the check digit, since the weight of that digit is not a multiple of 11.
    """

    def generate(index: Indices) -> Texts:
        free = width - (len(signs) < 11)
        number = _mix(index, 10**free)
        body = _digits(number + int(front or 0) * 10**width, len(front) + width)
        check = -(body @ np.array(weights)) % 11
        body[check >= len(signs), len(front)] += 1
        check = -(body @ np.array(weights)) % 11
        return _again(_joined(_undigits(body), _pick(list(signs), check)), index // 10**free, "-")

    return generate


def _cpf(index: Indices) -> Texts:
    """Return Brazilian CPF numbers with both check digits."""
    digits = _digits(_mix(index, 10**9), 9)
    for weight in (10, 11):
        check = -(digits @ np.arange(weight, 1, -1)) % 11 % 10
        digits = np.column_stack([digits, check])
    return _again(_undigits(digits), index // 10**9, "-")


def _dni(index: Indices) -> Texts:
    """Return Spanish DNI numbers with their check letter."""
    number = _mix(index, 10**8)
    letter = _pick(list("TRWAGMYFPDXBNJZSQVHLCKE"), number % 23)
    return _again(_joined(_spelt(number, 8), letter), index // 10**8, "-")


def _sin(index: Indices) -> Texts:
    """Return Canadian SINs with the leading digit 0, which is never issued (Luhn)."""
    return _again(_luhn(_digits(_mix(index, 10**7), 8)), index // 10**7, "-")


KINDS: Mapping[str, Callable[[Indices], Texts]] = {
    "name": _name,
    "first_name": _first_name,
    "last_name": _last_name,
    "user_name": _user_name,
    "email": _email,
    "phone": _phone,
    "address": _address,
    "ipv4": _ipv4,
    "ipv6": _ipv6,
    "mac": _mac,
    "uuid": _uuid,
    "iban": _iban,
    "credit_card": _credit_card,
    "ssn": _ssn,
    "br.cpf": _cpf,
    "ca.sin": _sin,
    "cl.rut": _checked("", 8, (3, 2, 7, 6, 5, 4, 3, 2), "0123456789K"),
    "es.dni": _dni,
    "gb.nhs": _checked("999", 6, range(10, 1, -1)),
    "nl.bsn": _checked("", 8, (-9, -8, -7, -6, -5, -4, -3, -2)),
    "hex32": partial(_hash, width=32),
    "hex40": partial(_hash, width=40),
    "hex64": partial(_hash, width=64),
}
"""The generator of each kind of personal data, by the name in `Column.personal`."""

NUMBERS = frozenset(("phone", "credit_card", "ssn", "br.cpf", "ca.sin", "gb.nhs", "nl.bsn"))
"""The kinds that consist of digits, and can be stored as integers."""
