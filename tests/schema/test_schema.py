"""A schema says the same after any way through YAML or a dict, and refuses what contradicts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import SchemaError
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
DTYPES = ("int64", "string", "timestamp[us, tz=Europe/Berlin]", "decimal128(10, 2)", "date32[day]")
LEVEL = TEXT | NUMBER | st.booleans()


@st.composite
def columns(draw: st.DrawFn) -> Column:
    domain = draw(
        st.none()
        | st.lists(LEVEL, unique_by=lambda v: (type(v), v), max_size=5).map(
            lambda values: Levels(tuple(values))
        )
        | st.lists(NUMBER, min_size=2, max_size=2).map(sorted).map(lambda ends: Bounds(*ends))
        | st.lists(TEXT, min_size=2, max_size=2).map(sorted).map(lambda ends: Bounds(*ends))
    )
    odd = isinstance(domain, Levels) and any(isinstance(v, bool) for v in domain.values)
    return Column(
        name=draw(TEXT),
        kind=Kind.BOOLEAN if odd else draw(st.sampled_from(Kind)),
        dtype=draw(st.sampled_from([dtype for dtype in DTYPES if dtype != "string"])),
        domain=domain,
        source=draw(st.sampled_from(Source)) if domain is not None else Source.DECLARED,
        nullable=draw(st.booleans()),
        role=draw(st.none() | st.sampled_from([Role.ID, Role.WEIGHT, Role.KEY])),
        unique=draw(st.booleans()),
        decimals=draw(st.none() | st.integers(0, 6)),
        format=draw(st.sampled_from([None, "%d.%m.%Y", "%H o'clock"])),
        personal=draw(st.none() | TEXT),
        why=draw(TEXT),
    )


SCHEMAS = st.lists(columns(), unique_by=lambda c: c.name, max_size=4).map(
    lambda found: Schema(tuple(found))
)


@settings(deadline=None, max_examples=30)
@given(SCHEMAS)
def test_a_schema_survives_a_dict(schema):
    assert Schema.from_dict(schema.to_dict()) == schema


@settings(deadline=None, max_examples=30)
@given(SCHEMAS)
def test_a_schema_survives_yaml(tmp_path_factory, schema):
    path = tmp_path_factory.mktemp("schema") / "s.yaml"
    schema.to_yaml(path)
    assert Schema.from_yaml(path) == schema


def _yaml(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return Schema.from_yaml(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("{name: a, knid: text}", "did you mean 'kind'"),
        ("{name: a, kind: numerc}", "did you mean 'numeric'"),
        ("{name: a, kind: [text]}", "unknown kind"),
        ("{name: a, role: traget}", "did you mean 'target'"),
        ("{name: a, source: infered}", "did you mean 'inferred'"),
        ("{name: a, given: [kind]}", "unknown key 'given'"),
        ("{name: a, levels: [x], bounds: [1, 2]}", "both levels and bounds"),
        ("{name: a, levels: [x, x]}", "twice"),
        ("{name: a, levels: [x, null]}", "nullable: true"),
        ("{name: a, levels: [x, [y]]}", "expected levels"),
        ("{name: a, levels: x}", "as a list"),
        ("{name: a, bounds: [2, 1]}", "wrong way round"),
        ("{name: a, bounds: [1, b]}", "mix numbers and text"),
        ("{name: a, bounds: [1, .nan]}", "finite"),
        ("{name: a, bounds: [1, null]}", "finite"),
        ("{name: a, bounds: [1]}", "as a list"),
        ("{name: a, nullable: 1}", "true or false"),
        ("{name: a, decimals: true}", "whole number"),
        ("{name: a, decimals: -1}", "negative"),
        ("{name: a, dtype: 3}", "int64"),
        ("{name: 2019}", "in quotes"),
        ("[a]", "not a mapping"),
    ],
)
def test_a_wrong_column_is_refused_with_its_mend(tmp_path, entry, words):
    with pytest.raises(SchemaError, match=r"s\.yaml") as caught:
        _yaml(tmp_path, f"columns: [{entry}]")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "columns: 3",
        "columns: []\nverison: 1",
        "version: 99\ncolumns: []",
        "columns: [{name: a}, {name: a}]",
        "columns: [{name: a, role: target}, {name: b, role: target}]",
        "columns: [",
        "columns: [{name: a, bounds: [2019-02-30, 2020-01-01]}]",
        "[" * 3000,
    ],
)
def test_a_file_that_is_no_schema_is_refused(tmp_path, text):
    with pytest.raises(SchemaError):
        _yaml(tmp_path, text)


def test_object_tags_build_nothing(tmp_path):
    made = tmp_path / "made"
    text = f"columns: !!python/object/apply:pathlib.Path.touch [!!python/name:x '{made}']"
    with pytest.raises(SchemaError, match="line 1"):
        _yaml(tmp_path, text)
    assert not made.exists()


def test_dates_without_quotes_are_read_as_iso_text(tmp_path):
    schema = _yaml(tmp_path, "columns: [{name: a, bounds: [2019-01-31, 2020-01-01]}]")
    assert schema["a"].domain == Bounds("2019-01-31", "2020-01-01")


def test_a_file_states_what_it_gives_and_no_more(tmp_path):
    column = _yaml(tmp_path, "columns: [{name: a, nullable: false, levels: [x]}]")["a"]
    assert column.stated == {"nullable", "domain"}
    assert column.source is Source.DECLARED
    assert replace(column, decimals=2).stated == {"nullable", "domain", "decimals"}
    assert Column("a", Kind.CATEGORICAL, "string").stated == {"kind", "dtype"}


def test_there_is_one_target():
    schema = Schema(tuple(Column(name, Kind.INTEGER, "int64") for name in "ab"))
    moved = schema.with_target("a").with_target("b")
    assert moved.target is moved["b"]
    assert moved["a"].role is None
    with pytest.raises(SchemaError, match="no column 'c'"):
        schema.with_target("c")


MISREAD = [
    "yes, no",
    "Yes, No",
    "NO, SE",
    "on, off",
    "a, yes",
    "01, 02",
    "010, 011",
    "08:30, 12:30",
    "a, 12:30",
    "2001-12-14 21:59:43, x",
    "~, a",
    "null, a",
    "a, 1",
]


@pytest.mark.parametrize("levels", MISREAD)
@pytest.mark.parametrize("dtype", [", dtype: string", ""])
def test_levels_that_yaml_misreads_are_refused_and_quotes_asked_for(tmp_path, levels, dtype):
    with pytest.raises(SchemaError, match=r"column 'c'.*quote") as refused:
        _yaml(tmp_path, f"columns:\n- {{name: c, kind: categorical{dtype}, levels: [{levels}]}}\n")
    assert len(str(refused.value).splitlines()) == 1
    quoted = ", ".join(f'"{level}"' for level in levels.split(", "))
    text = f"columns:\n- {{name: c, kind: categorical{dtype}, levels: [{quoted}]}}\n"
    assert _yaml(tmp_path, text)["c"].domain == Levels(tuple(levels.split(", ")))


@pytest.mark.parametrize("levels", ["1_000", "0x1F", "1.5", "1"])
def test_numbers_are_no_levels_of_a_column_of_text(tmp_path, levels):
    entry = f"{{name: c, kind: categorical, dtype: %s, levels: [{levels}]}}"
    with pytest.raises(SchemaError, match="quote"):
        _yaml(tmp_path, f"columns:\n- {entry % 'string'}\n")
    assert _yaml(tmp_path, f"columns:\n- {entry % 'double'}\n")["c"].domain is not None


def test_true_and_false_are_levels_of_a_boolean_column_alone(tmp_path):
    for kind in ("kind: boolean", "kind: categorical, dtype: bool"):
        schema = _yaml(tmp_path, f"columns:\n- {{name: c, {kind}, levels: [no, yes]}}\n")
        assert schema["c"].domain == Levels((False, True))
    with pytest.raises(SchemaError, match="kind: boolean"):
        Schema.from_dict({"columns": [{"name": "c", "dtype": "int64", "levels": [True, 2]}]})
    with pytest.raises(SchemaError, match="quotes"):
        Schema((Column("c", Kind.CATEGORICAL, "string", Levels((True, False))),))


@pytest.mark.parametrize("bounds", ["0, 010", "0, 17:30", "0, 1:30.5"])
def test_bounds_that_yaml_misreads_are_refused(tmp_path, bounds):
    with pytest.raises(SchemaError, match="line 2, column 'c': YAML reads one of the bounds"):
        _yaml(tmp_path, f"columns:\n- {{name: c, kind: numeric, bounds: [{bounds}]}}\n")


def test_a_mapping_that_yaml_misreads_is_refused(tmp_path):
    one = '- {name: a, kind: categorical, dtype: string, levels: ["yes", "no"]}'
    for values, says in (
        ("{yes: 1, no: 2}", "quotes"),
        ('{"yes": yes, "no": no}', "quotes"),
        ('{"yes": 010, "no": 7}', "leading zero"),
    ):
        two = f"- {{name: b, kind: categorical, determined_by: a, mapping: {values}}}"
        with pytest.raises(SchemaError, match=says):
            _yaml(tmp_path, f"columns:\n{one}\n{two}\n")


def test_what_is_written_is_quoted_where_yaml_would_misread_it(tmp_path):
    odd = ("yes", "No", "on", "y", "01", "010", "0x1F", "0o17", "1_000", "1e5", "1.0", "12:30")
    odd += ("2024-01-31", "2001-12-14 21:59:43", "~", "null", "NULL", "", " a ", "=", "<<", ".inf")
    odd += ("-", "- a", "a: b", "a #b", "#", "'", '"', "!x", "&x", "*x", "%", "@", "`", "true", "[")
    determined = Column("b", Kind.CATEGORICAL, "string", determined_by="a")
    pairs = tuple(zip(odd, reversed(odd), strict=True))
    schema = Schema(
        (
            Column("a", Kind.CATEGORICAL, "string", Levels(odd), Source.DECLARED),
            replace(determined, mapping=pairs, source=Source.DECLARED),
        )
    )
    schema.to_yaml(tmp_path / "s.yaml")
    assert Schema.from_yaml(tmp_path / "s.yaml") == schema
