"""Recognise personal data, by a column's name and by its values. No model, no network.

Names are split into words, so that ``fake_first_name``, ``FirstName`` and ``Prénom`` match and
``device_name`` does not. Distinct values are matched by regular expressions, and a sample of them
by checksums (python-stdnum).
"""

from __future__ import annotations

import importlib
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Finding", "mentions", "name_kind", "recognise", "value_kind", "words"]

SAMPLE = 300
"""Distinct values that are checked one by one; more would change no result."""
HANDFUL = 12
"""A column of at most this many levels, each held by many rows, does not identify a person."""
FEW_ROWS = 10
"""A value held by fewer rows than this may identify a person."""
MAJORITY = 0.8
_CHECKED = 10
"""A checksum proves nothing on fewer distinct values."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+|[^\W\d_A-Za-z]+")

_PERSON = (
    "patient(?:en)?|client|customer|kunden?|cliente|paciente|person(?:en)?|persona|member|user|"
    "employee|staff|student|teacher|doctor|physician|nurse|provider|driver|owner|holder|insured|"
    "(?:policy|card|account)_?holder|beneficiary|applicant|borrower|lender|debtor|payee|payer|"
    "sender|recipient|mother|father|spouse|child|parent|guardian|contact|author|buyer|seller|"
    "tenant|voter|witness|victim|subject|salarie|employe|empleado|usuario|mitarbeiter"
)
_NO = "(?:number|num|nummer|no|nr|numero)"
_TAIL = (
    rf"(?:_(?:{_PERSON}|line|full|home|work|mobile|private|primary|secondary|personal|main|"
    r"billing|shipping|mailing|text|of|de|du|del|der|des|la|le|\d+))*$"
)
_NAMES: dict[str, str] = {
    "email": r"e_?mails?|(?:e_?)?mail_?(?:address|addr|adresse|id)|mail|correo(?:_electronico)?|"
    r"courriel|adresse_(?:e_?)?mail",
    "mac": r"mac(?:_?(?:address|addr|adresse))?",
    "ipv4": r"(?:ip(?:_?v?_?[46])?|remote)_?(?:address|addr|adresse)|ip(?:_?v?_?[46])?|"
    r"adresse_ip|direccion_ip",
    "iban": rf"iban(?:_?{_NO})?",
    "credit_card": rf"(?:credit|debit|payment|bank)_?card(?:_?{_NO})?|card_?{_NO}|cc_?{_NO}|"
    rf"kreditkarten?(?:_?{_NO})?|carte_(?:bancaire|de_credit|credit)|"
    r"tarjeta(?:_(?:de_)?credito)?|pan",
    "ssn": rf"ssn|social_?security(?:_?{_NO})?",
    "passport": rf"passport(?:_?(?:{_NO}|id))?|reisepass(?:_?{_NO})?|passeport|pasaporte",
    "national_id": rf"national_?(?:id|identity|identifier|insurance)(?:_?{_NO})?|nino|ni_?{_NO}|"
    rf"aadha+r(?:_?{_NO})?|cpf|dni|nie|nif|nhs_?{_NO}|pesel|personnummer|codice_?fiscale|"
    rf"steuer_?(?:id|{_NO})|sozialversicherungs_?{_NO}|tax_?id|bsn|curp|personal_?(?:id|code|{_NO})|"
    rf"id_?card(?:_?{_NO})?|(?:drivers?|driving)_?licen[cs]e(?:_?{_NO})?|"
    r"numero_(?:de_)?securite_sociale",
    "phone": rf"(?:(?:tele|mobile|cell|home|work)_?)?phone(?:_?{_NO})?|(?:mobile|cell|fax)_?{_NO}|"
    rf"tel|mobile|cell|fax|telefon(?:_?{_NO})?|telefono|telephone|handy(?:_?{_NO})?|msisdn|movil",
    "user_name": r"(?:user|login|screen|nick)_?name|benutzername|nom_d_?utilisateur",
    "first_name": r"(?:first|given|fore|middle|christian)_?name|fname|vorname|prenoms?|"
    r"(?:primer|segundo)_nombre|nombre_de_pila",
    "last_name": r"(?:last|sur|family|maiden)_?name|lname|nachname|familienname|zuname|"
    r"nom_(?:de_)?famille|apellidos?(?:_(?:paterno|materno))?",
    "name": rf"(?:full|legal|complete|vollstaendiger|{_PERSON})_?names?|name_of|"
    r"nombre_completo|(?:nom|nombre)_(?:du_|de_la_|del_|de_)?(?:client|patient|cliente|paciente|"
    r"salarie|empleado|usuario|persona)|nom_complet",
    "address": r"(?:(?:street|home|postal|mailing|residential|billing|shipping|delivery|work)_?)?"
    r"(?:address|addr)|street(?:_?name)?|adresse|anschrift|wohnort_?strasse|strasse|rue|"
    r"direccion|domicilio|calle",
}
_NAME_RES = {
    kind: re.compile(rf"(?:^|_)(?:{pattern}){_TAIL}") for kind, pattern in _NAMES.items()
} | {"bare": re.compile(r"^(?:name|names|nom|nombre)$")}

_EMAIL = r"[A-Za-z0-9._%+'\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)*\.[A-Za-z]{2,}"
_IPV4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_PHONE = r"(?:\+\d[\d ().\-/]{6,18}\d|\(\d{2,5}\) ?\d[\d .\-/]{4,12}\d|\d{3}[.\- ]\d{3}[.\- ]\d{4})"
_UUID = r"\{?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\}?"
_IBAN = r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}"
_CARD = r"[3-6]\d{12,18}|[3-6]\d{3}(?:[ -]\d{4,6}){2,3}(?:[ -]\d{1,3})?"

# Only formats with a checksum: the others would match on their shape alone.
_NATIONAL = tuple(
    re.findall(
        r"\S+",
        "be.nn bg.egn br.cpf ca.sin ch.ssn cl.rut cn.ric de.idnr ee.ik es.dni es.nie fi.hetu "
        "fr.nir gb.nhs hr.oib in_.aadhaar it.codicefiscale kr.rrn lt.asmens mx.curp nl.bsn "
        "no.fodselsnummer pl.pesel ro.cnp se.personnummer tr.tckimlik za.idnr",
    )
)


@dataclass(frozen=True)
class Finding:
    """The kind of personal data recognised, and why, without quoting a value."""

    kind: str
    why: str


def words(name: str) -> tuple[str, ...]:
    """Split a column's name into lower-case words without accents.

    >>> words("AddressChange_Claim")
    ('address', 'change', 'claim')
    """
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    return tuple(word.casefold() for word in _WORD.findall(plain))


def name_kind(name: str) -> str | None:
    """Return the kind of personal data that a column's name says it holds, or None.

    The last word counts, except for a qualifier (``address_line_2``): ``email_count`` is a count,
    and ``address_change`` a change.
    """
    joined = "_".join(words(name))
    return next((kind for kind, pattern in _NAME_RES.items() if pattern.search(joined)), None)


def value_kind(values: pa.Array, *, named: str | None = None) -> tuple[str, float] | None:
    """Return the kind of personal data, or ``"uuid"``, that a clear majority of values are.

    Parameters
    ----------
    values : pyarrow.Array of string
        Distinct values.
    named : str, optional
        The kind that the column's name says; then digits alone suffice for a phone number.

    Returns
    -------
    tuple of (str, float), or None
        The kind, and the share of the values that match it.
    """
    if len(values) == 0:
        return None
    sample = _sample(values)
    for kind, pattern, check in _SHAPES:
        if kind == "credit_card" and len(values) < _CHECKED and named != kind:
            continue
        matching = _matching(sample, _NAMED_SHAPES[kind] if kind == named else pattern)
        if check is not None:
            matching = [text for text in matching if check(text)]
        if len(matching) >= MAJORITY * len(sample):
            return kind, len(matching) / len(sample)
    return _national(sample, 1 if named == "national_id" else _CHECKED)


def mentions(values: pa.Array) -> str | None:
    """Return what some distinct values contain, such as ``"an email address"``, or None."""
    patterns = (
        ("an email address", _EMAIL),
        ("an IP address", rf"\b{_IPV4}\b"),
        ("a phone number", rf"(?:^|[^\w.\-]){_PHONE}(?:$|[^\w\-])"),
    )
    for label, pattern in patterns:
        if pc.any(pc.match_substring_regex(values, pattern=pattern)).as_py():
            return label
    return None


def recognise(
    name: str, values: pa.Array, counts: npt.NDArray[np.int64], *, digits: bool = False
) -> Finding | None:
    """Recognise a column of personal data, or of UUIDs.

    Parameters
    ----------
    name : str
        The column's name.
    values : pyarrow.Array of string
        Its distinct values, as text.
    counts : ndarray of int64, shape (len(values),)
        The number of rows that hold each.
    digits : bool, default=False
        Whether they are stored as numbers; then the name alone is weaker evidence.

    Returns
    -------
    Finding or None
        Its kind is one of `surrogates.KINDS`, ``"passport"``, ``"national_id"`` or ``"uuid"``.
    """
    if len(values) == 0:
        return None
    named = name_kind(name)
    match = value_kind(values, named=named)
    if match is not None:
        kind, share = match
        says = f"name says {_label(named)}; " if named not in (None, "bare") else ""
        return Finding(kind, f"{says}{share:.0%} of values look like {_label(kind, article=True)}")
    scattered = counts[counts < FEW_ROWS].sum() / counts.sum() >= 0.5
    if named in ("first_name", "last_name") and not digits:
        return Finding(named, f"name says {_label(named)}")
    if named in ("bare", "name") and not digits and _person_names(values):
        return Finding("name", "name says name of a person")
    if len(values) <= HANDFUL and not scattered:
        return None
    if digits and named not in ("passport", "national_id", "ssn", "credit_card"):
        return None
    if named in ("bare", "name"):
        return Finding("name", "name says name of a person") if scattered else None
    if named is not None:
        return Finding(named, f"name says {_label(named)}") if scattered else None
    if len(values) > HANDFUL and _person_names(values):
        return Finding("name", "most values are made of known first and last names")
    return None


def _label(kind: str | None, *, article: bool = False) -> str:
    label = {
        "email": "email address",
        "ipv4": "IP address",
        "ipv6": "IP address",
        "mac": "MAC address",
        "iban": "IBAN",
        "ssn": "social security number",
        "uuid": "UUID",
        "bare": "name",
        "national_id": "national id",
        "phone": "phone number",
    }.get(kind or "", f"national id ({kind})" if kind and "." in kind else f"{kind}")
    label = label.replace("_", " ") if "." not in label else label
    vowel = label[0] in "aeioI"
    return f"{'an' if vowel else 'a'} {label}" if article else label


def _sample(values: pa.Array) -> list[str]:
    spread = np.linspace(0, len(values) - 1, min(SAMPLE, len(values))).astype(np.int64)
    return [str(text).strip() for text in values.take(pa.array(spread)).to_pylist()]


def _matching(sample: list[str], pattern: str) -> list[str]:
    whole = re.compile(pattern)
    return [text for text in sample if whole.fullmatch(text)]


def _is_ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_card(text: str) -> bool:
    from stdnum import luhn

    digits = re.sub(r"\D", "", text)
    return len(digits) >= 13 and bool(luhn.is_valid(digits))


def _is_iban(text: str) -> bool:
    from stdnum import iban

    return bool(iban.is_valid(text))


_SHAPES: tuple[tuple[str, str, Callable[[str], bool] | None], ...] = (
    ("email", _EMAIL, None),
    ("uuid", _UUID, None),
    ("mac", r"(?:[0-9A-Fa-f]{2}[:\-]){5}[0-9A-Fa-f]{2}", None),
    ("ipv4", _IPV4, _is_ip(4)),
    ("ipv6", r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*", _is_ip(6)),
    ("ssn", r"\d{3}-\d{2}-\d{4}", None),
    ("iban", _IBAN, _is_iban),
    ("credit_card", _CARD, _is_card),
    ("phone", _PHONE, None),
)
# If the name says the kind, digits alone suffice.
_NAMED_SHAPES = {kind: pattern for kind, pattern, _ in _SHAPES} | {
    "phone": rf"{_PHONE}|\+?\d[\d ().\-/]{{5,18}}\d",
    "ssn": r"\d{3}-?\d{2}-?\d{4}|\d{7,9}",
}


def _national(sample: list[str], min_values: int) -> tuple[str, float] | None:
    """Try the checksums of many countries; a random number passes at most one in ten."""
    shaped = _matching(sample, r"(?=(?:\D*\d){6})[\dA-Za-z][\dA-Za-z .\-/+]{6,20}")
    if len(sample) < min_values or len(shaped) < MAJORITY * len(sample):
        return None
    best, best_count = "", 0
    for name in _NATIONAL:
        check = partial(_passes, importlib.import_module(f"stdnum.{name}").is_valid)
        # Nearly all formats fail on the first few values.
        if any(map(check, shaped[:20])):
            valid = sum(map(check, shaped))
            best, best_count = (name, valid) if valid > best_count else (best, best_count)
    return (best, best_count / len(sample)) if best_count >= MAJORITY * len(sample) else None


def _passes(check: Callable[[str], bool], text: str) -> bool:
    """Return whether a checksum holds; False for a region that the format does not know."""
    try:
        return bool(check(text))
    except LookupError:
        return False


@lru_cache(maxsize=1)
def _name_lists() -> tuple[pa.Array, pa.Array]:
    """Return Faker's first and last names of some large languages, in lower case."""
    first: set[str] = set()
    last: set[str] = set()
    for locale in ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "pt_BR", "sv_SE"):
        provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        for names, attribute in ((first, "first_names"), (last, "last_names")):
            names.update(name.casefold() for name in getattr(provider, attribute, ()))
    return pa.array(sorted(first)), pa.array(sorted(last))


def _person_names(values: pa.Array) -> bool:
    """Return whether most values are "first last", in either order, of known names.

    One word alone proves nothing: towns and states (Austin, Virginia) are first names too.
    """
    word_lists = (re.findall(r"[^\W\d_][\w'’\-]*", text.casefold()) for text in _sample(values))
    sample = [parts for parts in word_lists if len(parts) > 1]
    needed = 0.6 * min(SAMPLE, len(values))
    if len(sample) < needed:  # cheaper than compiling the pattern below
        return False
    shaped = pc.match_substring_regex(
        values, pattern=r"^\s*(?:\p{L}[\p{L}'’.\-]*[,.]?\s+){1,3}\p{L}[\p{L}'’.\-]*\s*$"
    )
    if (pc.sum(shaped).as_py() or 0) < 0.6 * len(values):
        return False
    first, last = (set(names.to_pylist()) for names in _name_lists())
    return sum(_is_person(parts, first, last) for parts in sample) >= needed


def _is_person(parts: Sequence[str], first: set[str], last: set[str]) -> bool:
    return (parts[0] in first and parts[-1] in last) or (
        parts[0] in last and any(part in first for part in parts[1:])
    )
