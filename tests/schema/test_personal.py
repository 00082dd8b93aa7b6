"""Personal data is recognised by name and by value, without false alarms."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from privsynth.schema import personal
from privsynth.schema.personal import mentions, name_kind, recognise, value_kind, words


def _found(name, values, rows=1, **options):
    counts = np.full(len(values), rows, dtype=np.int64)
    finding = recognise(name, pa.array(values, pa.string()), counts, **options)
    return finding and finding.kind


def test_a_name_is_split_into_plain_words():
    assert words("AddressChange_Claim") == ("address", "change", "claim")
    assert words("homePhoneNo") == ("home", "phone", "no")
    assert words("Straße-Prénom.IPAddress2") == ("strasse", "prenom", "ip", "address", "2")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("fake_first_name", "first_name"),
        ("FirstName", "first_name"),
        ("Vorname", "first_name"),
        ("Prénom", "first_name"),
        ("surname", "last_name"),
        ("apellido", "last_name"),
        ("customerName", "name"),
        ("nom_client", "name"),
        ("emailAddress", "email"),
        ("E-Mail", "email"),
        ("homePhone", "phone"),
        ("telefono_cliente", "phone"),
        ("Strasse", "address"),
        ("address_line_2", "address"),
        ("src_ip", "ipv4"),
        ("ip_address", "ipv4"),
        ("mac_address", "mac"),
        ("cc_num", "credit_card"),
        ("IBAN", "iban"),
        ("ssn", "ssn"),
        ("passport_no", "passport"),
        ("aadhaar_number", "national_id"),
        ("cpf", "national_id"),
    ],
)
def test_a_personal_name_is_known_in_any_dress(name, kind):
    assert name_kind(name) == kind


@pytest.mark.parametrize(
    "name",
    [
        "clinic_name",
        "device_name",
        "filename",
        "country_name",
        "product_name",
        "native-country",
        "emp_length",
        "AddressChange_Claim",
        "address_change_claim",
        "ipaddr_count",
        "email_count",
        "phone_type",
        "addr_state",
        "email_domain",
        "zip",
        "city",
        "state",
        "income",
        "relationship",
        "shipping",
        "recipe",
        "unnamed",
    ],
)
def test_an_ordinary_name_is_not_personal(name):
    assert name_kind(name) is None


def test_a_handful_of_levels_held_by_many_rows_names_nobody():
    assert _found("phone", ["none", "yes"], rows=500) is None
    assert _found("address", ["1 year", "no change", "under 6 months"], rows=900) is None


def test_last_names_are_personal_even_where_each_is_frequent():
    assert _found("last_name", [f"house{chr(97 + i)}" for i in range(26)], 600) == "last_name"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"user.{i}@mail.example.com" for i in range(30)], "email"),
        ([f"10.0.{i}.7" for i in range(30)], "ipv4"),
        ([f"2001:db8::{i:x}" for i in range(30)], "ipv6"),
        ([f"00:1b:44:11:3a:{i:02x}" for i in range(30)], "mac"),
        ([f"123e4567-e89b-12d3-a456-4266141740{i:02}" for i in range(30)], "uuid"),
        ([f"+49 30 9018{i:04}" for i in range(30)], "phone"),
        ([f"212-555-01{i:02}" for i in range(30)], "phone"),
        ([f"9{i:02}-45-6789" for i in range(30)], "ssn"),
    ],
)
def test_values_speak_whatever_the_name(values, kind):
    assert _found("col_7", values) == kind


def test_a_checksum_decides_where_a_shape_does_not():
    from stdnum import iban, luhn
    from stdnum.pl import pesel

    cards = [f"42424242424{i:04}" for i in range(40)]
    assert _found("x", [c + luhn.calc_check_digit(c) for c in cards]) == "credit_card"
    assert _found("x", [c + "0" for c in cards]) is None
    accounts = [f"{i:018}" for i in range(40)]
    valid = [f"DE{iban.calc_check_digits('DE00' + a)}{a}" for a in accounts]
    assert _found("x", valid) == "iban"
    assert _found("x", [f"DE00{a}" for a in accounts]) is None
    born = [f"800101{i:04}" for i in range(40)]
    assert _found("x", [b + pesel.calc_check_digit(b) for b in born]) == "pl.pesel"


def test_times_versions_amounts_and_cases_are_not_personal():
    assert _found("case", [f"2:{i}:1" for i in range(100)]) is None
    assert _found("at", [f"12:{i // 60:02}:{i % 60:02}" for i in range(100)]) is None
    assert _found("day", [f"2019-01-{i:02}" for i in range(1, 29)]) is None
    assert _found("balance", [str(1234567 + 7 * i) for i in range(100)], digits=True) is None


def test_digits_need_the_name_to_be_a_phone():
    numbers = [str(2125550100 + i) for i in range(50)]
    assert _found("mobile", numbers, digits=True) == "phone"
    assert _found("units", numbers, digits=True) is None


def test_names_of_people_are_known_without_a_name():
    people = [
        f"{a} {b}"
        for a in ("John", "Mary", "Linda", "Paul")
        for b in ("Smith", "Jones", "Hill", "Clark")
    ]
    assert _found("contact", people) == "name"
    assert _found("pilot", [", ".join(reversed(p.split())) for p in people]) == "name"
    assert (
        _found(
            "dish",
            [
                f"fried {x}"
                for x in [
                    "egg",
                    "ham",
                    "fish",
                    "rice",
                    "pork",
                    "beef",
                    "lamb",
                    "corn",
                    "kale",
                    "bean",
                    "yam",
                    "fig",
                    "pea",
                ]
            ],
        )
        is None
    )
    assert _found("town", ["Austin", "Virginia", "Madison", "Jackson", "Paris"] * 3) is None


def test_a_few_values_are_mentioned_not_judged():
    texts = [f"note {i}" for i in range(50)]
    assert mentions(pa.array([*texts, "ask ann@example.com"])) == "an email address"
    assert mentions(pa.array([*texts, "host 10.1.2.3 down"])) == "an IP address"
    assert mentions(pa.array([*texts, "call (212) 555-0100"])) == "a phone number"
    assert mentions(pa.array(texts)) is None
    assert _found("note", [*texts, "ann@example.com"]) is None


def test_a_reason_quotes_no_value():
    values = pa.array([f"user{i}@example.com" for i in range(30)])
    finding = recognise("mail", values, np.ones(30, dtype=np.int64))
    assert "@" not in finding.why
    assert value_kind(pa.array([], pa.string())) is None


def test_a_checksum_that_stumbles_over_a_region_is_no_match() -> None:
    # Valid as to its checksum, of a region that the format's tables do not have.
    def stumble(text: str) -> bool:
        raise KeyError("county")

    assert personal._passes(stumble, "11999919900307001X") is False
