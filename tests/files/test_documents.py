"""Untrusted JSON and YAML become plain values, or an error of one line naming file and line."""

from __future__ import annotations

import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from privsynth.cli.program import main
from privsynth.errors import BudgetExceeded, PrivsynthError, SchemaError, UsageError
from privsynth.files.documents import MAX_BYTES, read_json, read_text, read_yaml
from privsynth.privacy.budget import Budget, epsilon_of
from privsynth.privacy.spending import reserve
from privsynth.schema.schema import Schema

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{now}: &{now} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, now in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


# YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a: 1\nb: [x, 2.5, true, ~]", {"a": 1, "b": ["x", 2.5, True, None]}),
        ("when: 2024-01-31", {"when": datetime.date(2024, 1, 31)}),
        ("when: '2024-01-31'", {"when": "2024-01-31"}),
        ("when: !!timestamp 2024-01-31", {"when": datetime.date(2024, 1, 31)}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}),
        ("a: .inf", {"a": math.inf}),
        ("1: a\nno: b", {1: "a", False: "b"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: !!str 1", {"a": "1"}),
    ],
)
def test_plain_yaml_is_read_as_it_was(text: str, value: Any) -> None:
    assert read_yaml(text, "s.yaml", SchemaError) == value


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_what_the_safe_loader_reads_is_read_alike(value: Any) -> None:
    text = yaml.safe_dump(value, allow_unicode=False)
    assert read_yaml(text, "s.yaml", SchemaError) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: !!timestamp x", "line 1: is not a valid date or number"),
        ("b: 1\na: 2024-02-30", "line 2: is not a valid date or number"),
        ("a: !!int x", "line 1"),
        ("a: !!binary aGk=", "line 1: an object tag"),
        ("a: !!set {x}", "line 1: an object tag"),
        ("a: !!omap [x: 1]", "line 1: an object tag"),
        ("a: !!python/object:os.system x", "line 1: an object tag"),
        ("a: 1\nb: 2\na: 3", "line 3: a key is given twice ('a')"),
        ("1: a\ntrue: b", "line 2: a key is given twice"),
        ("? [a]\n: 1", "line 1: an object tag or key that is not plain"),
        ("a: *b", "line 1: an alias names no anchor"),
        ("a: &a [*a]", "line 1: an alias names no anchor"),
        ("<<: 1\na: 2", "line 1: '<<'"),
        ("a: 1\n---\nb: 2", "line 2: begins a second document"),
        ("- " * 3_000 + "a", "line 1: is nested too deeply"),
        ("[" * 100_000, "line 1"),
        ("a: [1", "line 1: is not plain YAML"),
        ("a: \x00", "is not plain YAML"),
        ("a: " + "9" * 5_000, "line 1: is not a valid date or number"),
        (LAUGHS, "holds more than"),
    ],
)
def test_yaml_that_is_not_plain_is_one_line_with_its_place(text: str, says: str) -> None:
    with pytest.raises(SchemaError) as caught:
        read_yaml(text, "s.yaml", SchemaError)
    assert str(caught.value).startswith("s.yaml")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_too_large_or_not_utf_8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(SchemaError, match=r"s\.yaml: is larger than"):
        read_text(path, SchemaError)
    path.write_text("a: 1", encoding="utf-16")
    with pytest.raises(SchemaError, match=r"s\.yaml: is not UTF-8"):
        read_text(path, SchemaError)


# JSON


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1,\n "a": 2}', "line 2: key 'a' is given twice"),
        ('{"x": [{"b": 1},\n {"b": 1,\n "c": 2,\n "b": 3}]}', "line 4: key 'b' is given twice"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": [1, 1e999]}', "not finite"),
        ('{"a": }', "line 1: is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 80 + "]" * 80, "nested too deeply"),
        ('"\\ud800"', "not valid Unicode"),
        ("9" * 5_000, "j.json"),
    ],
)
def test_json_that_is_not_plain_is_one_line_with_its_place(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_json(text, "j.json", UsageError)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(PLAIN)
def test_plain_json_is_read_as_python_reads_it(value: Any) -> None:
    text = json.dumps(value).replace("Infinity", "1")
    assert read_json(text, "j.json", UsageError) == json.loads(text)


# Schemas


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{name: a, dtype: 'timestamp[us, tz=Nowhere/Nothing]'}", "unknown dtype"),
        ("{name: a, dtype: 'decimal256(99, 2)'}", "unknown dtype"),
        ("{name: a, dtype: 'decimal128(10, 99999999999)'}", "unknown dtype"),
        ("{name: a, kind: numeric, decimals: 400}", "'decimals' is above"),
        ("{name: a, kind: numeric, bounds: [.nan, 1]}", "two finite numbers"),
        ("{name: a, kind: numeric, bounds: [0, .inf]}", "two finite numbers"),
        ("{name: a, kind: numeric, bounds: [0, 1" + "0" * 400 + "]}", "two finite numbers"),
        ("{name: a, levels: [.nan]}", "levels"),
        ("{name: a, kind: datetime, format: '%Q'}", "strftime"),
        ("{name: a, kind: text, kind: id}", "line 2: a key is given twice ('kind')"),
        ("{name: a, kind: {b: c}}", "unknown kind"),
    ],
)
def test_a_column_that_no_table_can_have_is_refused_by_name(
    entry: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"columns:\n- {entry}\n")
    with pytest.raises(SchemaError, match=r"s\.yaml") as caught:
        Schema.from_yaml(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dictionary_of_dictionaries_is_no_type(tmp_path: Path) -> None:
    dtype = "dictionary<values=" * 2_000 + "string" + ", indices=int32, ordered=0>" * 2_000
    with pytest.raises(SchemaError, match="unknown dtype"):
        Schema.from_dict({"columns": [{"name": "a", "dtype": dtype}]})


def privsynth(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "".join(f"{i % 7},{'xy'[i % 2]}\n" for i in range(60)))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "columns: [{name: a, levels: [!!timestamp x]}]",
        "columns: [{name: a, dtype: 'decimal256(99, 2)'}]",
        "columns: [{name: a, dtype: 'timestamp[us, tz=No/Where]'}]",
        "columns: [{name: a, bounds: [1, 1e308], bounds: [1, 2]}]",
        LAUGHS,
    ],
)
def test_a_hostile_schema_ends_in_exit_2_and_writes_nothing(
    text: str, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "s.yaml").write_text(text)
    result = privsynth("fit", data, "-o", tmp_path / "m.psyn", "--schema", tmp_path / "s.yaml")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "s.yaml" in line
    assert not (tmp_path / "m.psyn").exists()


# Spending files


def ledger(**changes: Any) -> str:
    entry = {"what": "a fit", "epsilon": 0.5, "delta": 1e-7, "rho": 0.01, "delta_spent": 0.0}
    head = {"format": "privsynth-ledger", "version": 1, "epsilon": 3.0, "delta": 1e-6}
    own = {key: changes.pop(key) for key in list(changes) if key in entry}
    state = {**head, "unit": "row", "rows_per_unit": 1, "entries": [{**entry, **own}], **changes}
    return json.dumps(state, indent=1)


HOSTILE = {
    "a rho of 1e308": (ledger(rho=1e308), "entry 1 has no 'rho'"),
    "a rho below zero": (ledger(rho=-1.0), "entry 1 has no 'rho'"),
    "a rho of text": (ledger(rho="1"), "entry 1 has no 'rho'"),
    "a rho that is true": (ledger(rho=True), "entry 1 has no 'rho'"),
    "a rho that is infinite": (ledger(rho=5.5).replace("5.5", "1e999"), "not finite"),
    "a rho that is NaN": (ledger(rho=math.nan), "NaN"),
    "a delta above one": (ledger(delta_spent=2.0), "entry 1 has no 'delta_spent'"),
    "entries of text": (ledger(entries=["x"]), "entry 1 has no 'rho'"),
    "no entries": (ledger(entries=None), "entries"),
    "a total of text": (ledger(unit=5), "unit"),
    "a total of 1e308 rows": (ledger(rows_per_unit=1e308), "rows_per_unit"),
    "a key given twice": (
        ledger().replace('"unit"', '"unit": "row",\n "unit"'),
        "line 7: key 'unit'",
    ),
    "deep nesting": ("[" * 100_000, "nested too deeply"),
    "no JSON": ("{", "line 1: is not JSON"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_damaged_spending_file_is_refused_and_stays(case: str, tmp_path: Path) -> None:
    text, says = HOSTILE[case]
    path = tmp_path / "ledger.json"
    path.write_text(text)
    with pytest.raises(PrivsynthError, match=r"ledger\.json") as caught:
        reserve(path, Budget(0.5, 1e-7), 0.0, "a fit")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_text() == text


def test_a_spending_file_that_is_not_utf_8_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "ledger.json"
    path.write_text(ledger(), encoding="utf-16")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="is not UTF-8"):
        reserve(path, Budget(0.5, 1e-7), 0.0, "a fit")
    assert path.read_bytes() == before


def test_many_entries_that_add_up_to_too_much_are_too_much(tmp_path: Path) -> None:
    entry = {"epsilon": 1.0, "delta": 1e-6, "rho": 900.0, "delta_spent": 0.0}
    path = tmp_path / "ledger.json"
    path.write_text(ledger(entries=[entry] * 2_000))
    with pytest.raises(BudgetExceeded, match="inf is spent"):
        reserve(path, Budget(0.5, 1e-7), 0.0, "a fit")


def test_the_epsilon_of_a_loss_beyond_any_budget_is_infinite() -> None:
    assert epsilon_of(1e308, 1e-6) == math.inf
    assert 0 <= epsilon_of(5e-324, 1e-6) < 1e-9
    assert 0.01 < epsilon_of(1e-3, 1e-6) < epsilon_of(1.0, 1e-6) < math.inf
