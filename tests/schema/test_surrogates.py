"""Surrogates are invented, typed, repeatable, and unique where the real values are."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cl import rut
from stdnum.es import dni
from stdnum.gb import nhs
from stdnum.nl import bsn

from privsynth.errors import SamplingError, SchemaError
from privsynth.schema.columns import Column, Kind
from privsynth.schema.surrogates import KINDS, PLACEHOLDER, learn_pattern, surrogates


def _column(personal=None, kind=Kind.PERSONAL, dtype="string", unique=False):
    return Column("x", kind, dtype, personal=personal, unique=unique)


def _draw(column, n=500, seed=0, **options):
    return surrogates(column, n, np.random.default_rng(seed), **options)


@pytest.mark.parametrize("personal", [*KINDS, "AA-9999", "{INV}_99", "9", None])
def test_unique_values_differ_over_all_chunks(personal):
    column = _column(personal, unique=True)
    chunks = [_draw(column, 1500, seed, start=1500 * seed) for seed in range(3)]
    together = pa.concat_arrays(chunks)
    assert pc.count_distinct(together).as_py() == 4500
    assert together.equals(_draw(column, 4500, 9))
    assert together.null_count == 0


@pytest.mark.parametrize("personal", [*KINDS, "AA-9999", None])
def test_a_seed_gives_the_same_values_and_another_does_not(personal):
    column = _column(personal)
    assert _draw(column, seed=1).equals(_draw(column, seed=1))
    assert not _draw(column, seed=1).equals(_draw(column, seed=2))


@pytest.mark.parametrize(
    ("personal", "valid"),
    [
        ("iban", iban.is_valid),
        ("credit_card", luhn.is_valid),
        ("ca.sin", luhn.is_valid),
        ("br.cpf", cpf.is_valid),
        ("cl.rut", rut.is_valid),
        ("es.dni", dni.is_valid),
        ("gb.nhs", nhs.is_valid),
        ("nl.bsn", bsn.is_valid),
    ],
)
def test_checksums_hold(personal, valid):
    assert all(map(valid, _draw(_column(personal, unique=True), 300).to_pylist()))


@pytest.mark.parametrize(
    ("personal", "form"),
    [
        ("email", r"[^@]+@example\.(com|org)"),
        ("phone", r"\(\d{3}\) 555-01\d\d( x\d+)?"),
        ("ipv4", r"(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+"),
        ("ipv6", r"2001:db8:[0-9a-f:]+"),
        ("ssn", r"9\d\d-\d\d-\d{4}"),
        ("mac", r"02(:[0-9a-f]{2}){5}"),
        ("credit_card", r"9{3}\d{13}"),
        ("gb.nhs", r"999\d{7}"),
        ("uuid", r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"),
    ],
)
def test_values_reach_nobody(personal, form):
    assert all(re.fullmatch(form, text) for text in _draw(_column(personal)).to_pylist())


def test_a_pattern_is_filled():
    texts = _draw(_column("{INV}-99/Aa", kind=Kind.ID, unique=True)).to_pylist()
    assert all(re.fullmatch(r"INV-\d\d/[A-Z][a-z]", text) for text in texts)


def test_beyond_its_capacity_a_pattern_stays_unique():
    texts = _draw(_column("99", unique=True), 250).to_pylist()
    assert len(set(texts)) == 250
    assert sorted(texts[:100]) == [f"{i:02}" for i in range(100)]


def test_ids_are_numbered_in_their_storage_type():
    column = _column(kind=Kind.ID, dtype="int64", unique=True)
    assert _draw(column, 3, start=5).equals(pa.array([6, 7, 8]))
    assert _draw(_column(kind=Kind.ID, dtype="double"), 10).type == pa.float64()


def test_repeated_ids_come_from_a_pool():
    for dtype in ("int64", "string"):
        ids = _draw(_column(kind=Kind.ID, dtype=dtype), 2000, pool=40)
        assert pc.count_distinct(ids).as_py() == 40


def test_other_storage_types_are_kept():
    dtype = str(pa.dictionary(pa.int32(), pa.string()))
    assert str(_draw(_column("email", dtype=dtype)).type) == dtype
    phones = _draw(_column("phone", dtype="int64", unique=True))
    assert phones.type == pa.int64()
    assert pc.count_distinct(phones).as_py() == 500


def test_too_narrow_a_type_is_refused():
    with pytest.raises(SamplingError, match="int8"):
        _draw(_column(kind=Kind.ID, dtype="int8", unique=True), 200)


def test_free_text_is_a_placeholder():
    assert set(_draw(_column(kind=Kind.TEXT)).to_pylist()) == {PLACEHOLDER}
    assert len(_draw(_column(kind=Kind.TEXT), 0)) == 0


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(SchemaError, match="did you mean 'email'"):
        _draw(_column("emial"))


def test_a_pattern_is_learnt_from_many_rows_only():
    codes = pa.array([f"INV-{i:04}" for i in range(40)] + ["x"])
    counts = np.ones(41, dtype=np.int64)
    assert learn_pattern(codes, counts, 10) == "{INV}-9999"
    assert learn_pattern(codes.slice(0, 9), counts[:9], 10) is None
    mixed = pa.array([f"{chr(65 + i % 26)}{i:03}" for i in range(60)])
    assert learn_pattern(mixed, np.ones(60, dtype=np.int64), 10) == "A999"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**9), st.sampled_from([*KINDS, "A9a-9", "99999999999999999999"]))
def test_a_value_depends_on_its_row_alone(row, personal):
    column = _column(personal, unique=True)
    assert _draw(column, 3, 1, start=row)[1].equals(_draw(column, 1, 2, start=row + 1)[0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, unique=True)
)
def test_what_is_learnt_can_always_be_filled(texts):
    pattern = learn_pattern(pa.array(texts), np.full(len(texts), 10), 10)
    if pattern is not None:
        assert pc.count_distinct(_draw(_column(pattern, unique=True), 50)).as_py() == 50
