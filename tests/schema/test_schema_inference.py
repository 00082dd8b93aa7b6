"""What a schema says of a table, and what it must not say."""

from __future__ import annotations

import datetime
import decimal
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import privsynth
from privsynth.errors import DataError, SchemaError, UsageError
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.inference import infer
from privsynth.schema.schema import Schema
from privsynth.schema.surrogates import PLACEHOLDER
from privsynth.table import read

N = 400
RNG = np.random.default_rng(0)


def _infer(columns, **options):
    return infer(read(pa.table(columns)), **options)


def _one(values, name="x", **options):
    return _infer({name: pa.array(values)}, **options)[name]


def _declared(**state):
    return Schema.from_dict({"columns": [{"name": "x", **state}]})


# Kinds


def test_the_text_of_a_synthetic_table_is_still_text():
    assert _one([PLACEHOLDER, None] * 50).kind is Kind.TEXT


def test_storage_types_give_the_plain_kinds():
    utc = datetime.UTC
    schema = _infer(
        {
            "real": pa.array([0.5, 1.25] * 50),
            "whole": pa.array([1, 2] * 50),
            "truth": pa.array([True, False] * 50),
            "level": pa.array(["a", "b"] * 50),
            "coded": pa.array(["a", "b"] * 50).dictionary_encode(),
            "when": pa.array([datetime.datetime(2020, 1, 1, tzinfo=utc)] * 100),
            "day": pa.array([datetime.date(2020, 1, 1)] * 100),
            "grade": pa.DictionaryArray.from_arrays(
                pa.array([0, 1] * 50, pa.int8()), ["low", "high"], ordered=True
            ),
        }
    )
    assert [column.kind for column in schema] == [
        Kind.NUMERIC,
        Kind.INTEGER,
        Kind.BOOLEAN,
        Kind.CATEGORICAL,
        Kind.CATEGORICAL,
        Kind.DATETIME,
        Kind.DATETIME,
        Kind.ORDINAL,
    ]
    assert "tz=UTC" in schema["when"].dtype
    assert schema["grade"].domain == Levels(("low", "high"))
    assert schema["real"].decimals == 2


def test_a_health_like_table():
    schema = _infer(
        {
            "subject_id": RNG.integers(1, 300, N),
            "fake_first_name": [f"first{i % 90}" for i in range(N)],
            "fake_last_name": [f"last{i % 26}" for i in range(N)],
            "clinic_name": [f"clinic {i % 20}" for i in range(N)],
            "test_id": ["covid"] * N,
            "pan_day": RNG.integers(4, 100, N),
            "age": RNG.uniform(0, 99, N).round(1),
        }
    )
    assert [str(column.kind) for column in schema] == [
        "id",
        "personal",
        "personal",
        "categorical",
        "categorical",
        "integer",
        "numeric",
    ]
    assert not schema["subject_id"].unique
    assert schema["subject_id"].role is Role.ID


def test_a_crash_like_table():
    schema = _infer(
        {
            "caseid": [f"{i % 12}:{i // 3}:{i % 2}" for i in range(N)],
            "weight": RNG.uniform(1, 900, N),
            "dvcat": RNG.choice(["10-24", "25-39"], N),
        }
    )
    assert [str(column.kind) for column in schema] == ["id", "numeric", "categorical"]
    assert schema["weight"].role is None


def test_a_fraud_and_a_census_like_table_flag_nothing():
    schema = _infer(
        {
            "fnlwgt": RNG.choice(10**6, N, replace=False),
            "native-country": RNG.choice(["Cuba", "India", "Peru"], N),
            "AddressChange_Claim": RNG.choice(["no change", "1 year"], N),
            "RepNumber": RNG.integers(1, 17, N),
            "emp_length": RNG.choice(["emp_1", "emp_2"], N),
            "addr_state": RNG.choice(["NY", "CA"], N),
            "total_bal_il": RNG.choice(10**5, N, replace=False),
            "INDP": [str(i) for i in RNG.integers(100, 330, N)],
            "contact": RNG.choice(["telephone", "cellular"], N),
        }
    )
    assert not [column.name for column in schema if column.kind.surrogate]
    assert schema["fnlwgt"].role is Role.WEIGHT


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("id", [7 * i for i in range(N)]),
        ("CustomerID", [f"c{i}x" for i in range(N)]),
        ("policy_number", [10**6 + 37 * i for i in range(N)]),
        ("x", list(range(1, N + 1))),
        ("x", [f"INV-{i:05}" for i in range(N)]),
        ("x", [f"{i:08x}-0000-4000-8000-000000000000" for i in range(N)]),
        ("x", [f"{i:032x}" for i in range(N)]),
        ("patient_id", [i % 20 for i in range(N)]),
        ("member_id", [float(3 * i) for i in range(N)]),
    ],
)
def test_ids(name, values):
    assert _one(values, name).kind is Kind.ID


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("store_id", [i % 15 for i in range(N)], Kind.INTEGER),
        ("number", [i % 50 for i in range(N)], Kind.INTEGER),
        ("year", list(range(1600, 1600 + N)), Kind.INTEGER),
        ("paid", RNG.choice(10**6, N, replace=False), Kind.INTEGER),
        ("zip", [f"{i:05}" for i in range(0, 50 * N, 50)], Kind.CATEGORICAL),
        ("code", [f"C{i % 150}" for i in range(N)], Kind.CATEGORICAL),
        ("filename", [f"my file {i // 9} of many things" for i in range(N)], Kind.TEXT),
        ("at", [f"{i // 60:02}:{i % 60:02}:00" for i in range(N)], Kind.TEXT),
        ("note", [f"seen on day {i}, doing well" for i in range(N)], Kind.TEXT),
        ("at", [f"{1 + i % 28}/{1 + i % 12}/{1600 + i}" for i in range(N)], Kind.TEXT),
    ],
)
def test_not_ids(name, values, kind):
    assert _one(values, name).kind is kind


def test_an_email_in_a_note_is_told_and_not_quoted():
    column = _one(["fine"] * 50 + ["write to ann@example.com"], "note")
    assert column.kind is Kind.CATEGORICAL
    assert "some values contain an email address" in column.why
    assert "ann" not in Schema((column,)).to_yaml()


def test_an_all_null_column_keeps_its_storage_kind():
    schema = _infer(
        {
            "text": pa.nulls(30, pa.string()),
            "real": pa.nulls(30, pa.float64()),
            "whole": pa.nulls(30, pa.int64()),
        }
    )
    assert [str(column.kind) for column in schema] == ["categorical", "numeric", "integer"]
    assert all(column.nullable for column in schema)
    assert schema["text"].domain == Levels(())
    assert schema["real"].domain is None


def test_a_tiny_table_is_told_nothing_of():
    schema = _infer({"a": pa.array([1.5, 2.5]), "b": pa.array(["x", "y"])})
    assert schema["a"].domain is None
    assert schema["b"].domain == Levels(())


def test_infinity_is_refused_by_name():
    with pytest.raises(DataError, match="'x'"):
        _one([1.0, float("inf")])


def test_decimals_are_those_that_every_value_keeps():
    cents = [decimal.Decimal(f"{i}.25") for i in range(60)]
    assert _one(pa.array(cents, pa.decimal128(12, 4))).decimals == 2
    assert _one(pa.array([0.1, 2.25] * 30, pa.float32())).decimals == 2
    assert _one([1 / 3, 0.5] * 30).decimals is None
    assert _one([float(i % 7) for i in range(60)]).decimals == 0


# Disclosure control


def test_levels_are_those_that_k_rows_hold_by_frequency():
    column = _one(["b"] * 12 + ["a"] * 12 + ["c"] * 30 + ["rare"] * 9)
    assert column.domain == Levels(("c", "a", "b"))
    assert column.why == "text with 4 levels; rarer levels pooled (under 10 rows)"
    assert column.source is Source.INFERRED
    assert _one(["b"] * 2 + ["a"], k=2).domain == Levels(("b",))


def test_an_extreme_that_many_rows_share_is_kept_and_another_is_not():
    values = [0] * 20 + list(range(100, 200)) + [98_765]
    assert _one(values).domain == Bounds(0, 190)
    assert _one([*values, *[98_765] * 9]).domain == Bounds(0, 98_765)


def test_bounds_of_money_are_round():
    column = _one([100 + i + 0.37 for i in range(1000)])
    assert column.domain == Bounds(110.0, 1090.0)
    assert column.decimals == 2


def test_big_integers_are_exact():
    top = 2**53 + 1
    assert _one([top] * 10 + [top + 2] * 10).domain == Bounds(top, top + 2)


def test_datetimes_are_bounded_by_the_clock_of_their_zone():
    hours = pd.date_range("2020-01-01", periods=5000, freq="h", tz="Europe/Berlin")
    column = _one(pa.array(hours))
    assert column.domain == Bounds("2020-01-01T09:00:00", "2020-07-26T23:00:00")
    days = [datetime.date(2000, 1, 1)] * 15 + [datetime.date(2001, 1, d) for d in range(1, 31)]
    assert _one(days).domain == Bounds("2000-01-01", "2001-01-21")


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=60)
    | st.lists(st.floats(-1e9, 1e9).map(lambda x: x + 0.0), min_size=1, max_size=60),
    st.integers(1, 5),
)
def test_bounds_never_show_an_extreme_of_few_rows(values, k):
    column = _one(values, k=k, declared=_declared(kind=_kind(values)))
    if len(values) < 2 * k:
        assert column.domain is None
        return
    low, high = column.domain.low, column.domain.high
    ordered = sorted(values)
    assert ordered[k - 1] <= low <= high <= ordered[-k]
    for end, extreme in ((low, ordered[0]), (high, ordered[-1])):
        assert end != extreme or values.count(extreme) >= k


def _kind(values):
    return "integer" if isinstance(values[0], int) else "numeric"


def test_no_reason_or_domain_holds_a_rare_value():
    schema = _infer(
        {
            "name": [f"canary{i}" for i in range(N)],
            "level": ["common"] * (N - 1) + ["canary"],
            "amount": [*RNG.uniform(0, 1000, N - 1), 987654.321],
            "note": [f"the canary sang {i} times" for i in range(N)],
        }
    )
    text = schema.to_yaml()
    assert "canary" not in text
    assert "987" not in text


def test_the_pattern_of_an_id_is_learnt():
    column = _one([f"INV-{i:05}" for i in range(N)])
    assert column.personal == "{INV}-99999"
    assert column.unique
    assert _one([f"{i:032x}" for i in range(N)]).personal == "hex32"


# What a person declares


def test_declared_fields_win_one_by_one():
    table = {"x": pa.array([1, 2, 3, 4] * 20), "y": pa.array(["a", "b"] * 40)}
    schema = _infer(table, declared=_declared(bounds=[0, 9], why="stars"))
    assert schema["x"] == Column(
        "x", Kind.INTEGER, "int64", Bounds(0, 9), Source.DECLARED, why="stars"
    )
    assert schema["y"].domain == Levels(("a", "b"))
    codes = _infer(table, declared=_declared(kind="categorical"))["x"]
    assert codes.domain == Levels((1, 2, 3, 4))
    assert codes.source is Source.INFERRED
    levels = _infer(table, declared=_declared(levels=[1, 2, 3]))["x"]
    assert (levels.kind, levels.source) == (Kind.CATEGORICAL, Source.DECLARED)


def test_a_proposed_schema_declares_the_same_schema_again(tmp_path):
    table = read(
        pa.table(
            {
                "id": pa.array(range(N)),
                "mail": [f"u{i}@example.com" for i in range(N)],
                "pay": RNG.uniform(0, 9, N),
                "sex": RNG.choice(["f", "m"], N),
                "when": pd.date_range("2020-01-01", periods=N),
            }
        )
    )
    proposed = infer(table, target="sex")
    assert infer(table, declared=proposed) == proposed
    proposed.to_yaml(tmp_path / "s.yaml")
    assert infer(table, declared=Schema.from_yaml(tmp_path / "s.yaml")) == proposed
    changed = Schema(tuple(replace(c, domain=Levels(("f",))) for c in proposed if c.name == "sex"))
    assert infer(table, declared=changed)["sex"].domain == Levels(("f",))


@pytest.mark.parametrize(
    ("values", "said", "words"),
    [
        (["a", "b"], {"kind": "numeric"}, "categorical"),
        (["a", "b"], {"kind": "integer"}, "categorical"),
        (["a", "b"], {"kind": "datetime"}, "categorical"),
        ([0.5, 1.5], {"kind": "integer"}, "numeric"),
        ([0.5, 1.5], {"kind": "id"}, "numeric"),
        ([1, 2], {"kind": "text"}, "text column"),
        ([True, False], {"kind": "numeric"}, "numbers"),
        (["a", "b", "c"], {"kind": "boolean"}, "two values"),
        ([datetime.date(2020, 1, 1)] * 2, {"kind": "categorical"}, "datetime"),
        ([datetime.date(2020, 1, 1)] * 2, {"bounds": [1, 2]}, "2024-01-31"),
        ([datetime.date(2020, 1, 1)] * 2, {"bounds": ["soon", "then"]}, "2024-01-31"),
        (["yes", "no"], {"levels": [True, False]}, "quotes"),
        ([1, 2], {"levels": ["1", "2"]}, "quotes"),
        ([1, 2], {"kind": "numeric", "levels": [1]}, "categorical"),
        (["a", "b"], {"bounds": [1, 2]}, "give levels"),
        ([1, 2], {"kind": "integer", "bounds": ["1", "2"]}, "numbers"),
        (["a", "b"], {"kind": "id", "levels": ["a"]}, "drop them"),
        (["a", "b"], {"dtype": "int64"}, "dtype"),
        (["a", "b"], {"dtype": "int46"}, "int46"),
        (["a", "b"], {"kind": "personal", "personal": "emial"}, "'email'"),
    ],
)
def test_what_contradicts_the_values_is_refused_with_its_mend(values, said, words):
    with pytest.raises(SchemaError, match="'x'") as caught:
        _one(values * 20, declared=_declared(**said))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_declared_bounds_of_moments_are_put_on_the_columns_clock():
    hours = pa.array(pd.date_range("2020-01-01", periods=50, freq="h", tz="Europe/Berlin"))
    said = _declared(bounds=["2020-01-01T00:00:00+00:00", "2020-02-01"])
    assert _one(hours, declared=said).domain == Bounds("2020-01-01T01:00:00", "2020-02-01")


def test_an_unknown_column_or_target_is_named_with_the_nearest():
    with pytest.raises(SchemaError, match="did you mean 'income'"):
        _one([1, 2], "income", declared=Schema((Column("incom", Kind.INTEGER, "int64"),)))
    with pytest.raises(UsageError, match="did you mean 'income'"):
        _one([1, 2], "income", target="Income")


def test_a_target_is_never_guessed_and_never_invented():
    table = {"target": pa.array([0, 1] * 50), "id": pa.array(range(100))}
    assert _infer(table).target is None
    assert _infer(table, target="target").target.name == "target"
    with pytest.raises(UsageError, match="declare its kind"):
        _infer(table, target="id")
    said = Schema.from_dict({"columns": [{"name": "id", "kind": "integer"}]})
    assert _infer(table, target="id", declared=said)["id"].kind is Kind.INTEGER


def test_a_fit_keeps_of_a_schema_inferred_from_more_rows_what_its_own_rows_hold() -> None:
    frame = pd.DataFrame({"grade": ["a"] * 40 + ["b"] * 25 + ["c"] * 12, "paid": range(77)})
    schema = privsynth.Schema.from_dict(infer(read(frame)).to_dict())
    train = frame.drop(index=[*range(65, 70), *range(10)])  # 7 rows of c are left
    model = privsynth.fit(train, schema=schema, engine="copula", seed=0)
    assert model.schema["grade"].domain == Levels(("a", "b"))
    assert model.schema["paid"].domain == infer(read(train))["paid"].domain
    stated = schema.to_dict()
    stated["columns"][0]["source"] = "declared"
    declared = privsynth.Schema.from_dict(stated)
    model = privsynth.fit(train, schema=declared, engine="copula", seed=0)
    assert model.schema["grade"].domain == Levels(("a", "b", "c"))
