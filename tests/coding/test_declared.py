"""The codec of a declared schema: no row decides on it, and every value has a code."""

from __future__ import annotations

import datetime
import json
import sqlite3
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from privsynth.coding.cells import Cells
from privsynth.coding.codec import MAX_CELLS, Codec
from privsynth.coding.declared import check_declared, declared_codec, readable_levels
from privsynth.coding.levels import OTHER, LevelCodes
from privsynth.coding.reading import numbers_in
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.errors import SchemaError, UsageError
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema
from privsynth.table import arrow_type, read

COLUMNS = (
    Column("sex", Kind.CATEGORICAL, "string", Levels(("f", "m")), Source.DECLARED),
    Column("grade", Kind.ORDINAL, "string", Levels(("low", "mid", "high")), Source.DECLARED),
    Column("code", Kind.CATEGORICAL, "int16", Levels((3, 1, 7)), Source.DECLARED),
    Column("tax", Kind.CATEGORICAL, "float", Levels((0.1, 7.0)), Source.DECLARED),
    Column("ill", Kind.BOOLEAN, "bool", None, Source.DECLARED),
    Column("age", Kind.INTEGER, "int8", Bounds(17, 90), Source.DECLARED),
    Column("gain", Kind.INTEGER, "int64", Bounds(0, 99_999), Source.DECLARED),
    Column("debt", Kind.INTEGER, "double", Bounds(-5_000, 40_000), Source.DECLARED),
    Column("huge", Kind.INTEGER, "int64", Bounds(-(2**63), 2**63 - 1), Source.DECLARED),
    Column("amount", Kind.NUMERIC, "double", Bounds(0, 25_000), Source.DECLARED, decimals=2),
    Column("short", Kind.NUMERIC, "float", Bounds(-3, 1e6), Source.DECLARED),
    Column("fee", Kind.NUMERIC, "decimal128(9, 2)", Bounds(250, 18_424.0), Source.DECLARED),
    Column("point", Kind.NUMERIC, "double", Bounds(0.5, 0.5), Source.DECLARED),
    Column("wide", Kind.NUMERIC, "double", Bounds(-1e290, 1e290), Source.DECLARED),
    Column("day", Kind.DATETIME, "date32[day]", Bounds("1900-01-01", "2024-12-31"),
           Source.DECLARED),
    Column("seen", Kind.DATETIME, "timestamp[us]", Bounds("2001-01-01", "2024-01-01T10:30"),
           Source.DECLARED, format="%d/%m/%Y %H:%M"),
    Column("sent", Kind.DATETIME, "timestamp[ns, tz=UTC]", Bounds("2001-01-01", "2024-01-01"),
           Source.DECLARED),
    Column("key", Kind.ID, "int64", unique=True),
    Column("mail", Kind.PERSONAL, "string", personal="email"),
    Column("note", Kind.TEXT, "string"),
)  # fmt: skip
SCHEMA = Schema(COLUMNS)
CODINGS = {coding.name: coding for coding in declared_codec(SCHEMA).codings}


def one(kind: Kind, dtype: str, domain: Levels | Bounds | None, **more: Any) -> Column:
    return Column("x", kind, dtype, domain, **{"source": Source.DECLARED, **more})


def coded(kind: Kind, dtype: str, domain: Levels | Bounds | None, **more: Any) -> Any:
    schema = check_declared(Schema((one(kind, dtype, domain, **more),)), ["x"], "t.csv")
    return declared_codec(schema).codings[0]


TEXTS = st.one_of(
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(repr),
    st.dates().map(str),
    st.datetimes().map(lambda t: t.isoformat()),
    st.sampled_from(["", " 7 ", "1,5", "1.234,5", "NA", "inf", "true", "01/02/2003 04:05", "-"]),
)
ARRAYS = st.one_of(
    st.lists(st.none() | TEXTS).map(lambda v: pa.array(v, pa.string())),
    st.lists(st.none() | TEXTS).map(lambda v: pa.array(v, pa.large_string())),
    st.lists(st.none() | TEXTS).map(lambda v: pa.array(v, pa.string()).dictionary_encode()),
    st.lists(st.none() | st.floats()).map(lambda v: pa.array(v, pa.float64())),
    st.lists(st.none() | st.floats(width=32)).map(lambda v: pa.array(v, pa.float32())),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(lambda v: pa.array(v, pa.int64())),
    st.lists(st.none() | st.integers(0, 2**64 - 1)).map(lambda v: pa.array(v, pa.uint64())),
    st.lists(st.none() | st.booleans()).map(lambda v: pa.array(v, pa.bool_())),
    st.lists(st.none() | st.dates()).map(lambda v: pa.array(v, pa.date32())),
    st.lists(st.none() | st.dates()).map(lambda v: pa.array(v, pa.date64())),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1)).map(
        lambda v: pa.array(v, pa.int64()).view(pa.timestamp("s", "Europe/Rome"))
    ),
    st.lists(st.none() | st.times()).map(lambda v: pa.array(v, pa.time64("us"))),
    st.lists(st.none() | st.binary(max_size=4)).map(lambda v: pa.array(v, pa.binary())),
    st.lists(st.none() | st.decimals(-(10**6), 10**6, places=3)).map(
        lambda v: pa.array(v, pa.decimal128(12, 3))
    ),
    st.lists(st.none() | st.lists(st.integers(0, 9))).map(
        lambda v: pa.array(v, pa.list_(pa.int64()))
    ),
    st.integers(0, 4).map(pa.nulls),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CODINGS)), ARRAYS)
def test_any_value_of_any_type_has_a_code_and_the_rows_beside_it_do_not_change_it(
    name: str, values: pa.Array
) -> None:
    coding = CODINGS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        codes = Codec((coding,)).encode(pa.table({name: values}))[:, 0]
        alone = [coding.encode(values.slice(i, 1))[0] for i in range(len(values))]
    assert codes.tolist() == alone
    assert all(0 <= code < coding.size for code in codes)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([c.name for c in COLUMNS if not c.kind.surrogate]), st.integers(0, 2**32))
def test_what_is_decoded_lies_in_the_declared_domain_and_has_its_code_again(
    name: str, seed: int
) -> None:
    coding = CODINGS[name]
    codes = np.arange(coding.size, dtype=np.int32).repeat(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = coding.decode(codes, np.random.default_rng(seed))
    stored = drawn.cast(arrow_type(coding.column.dtype))
    assert coding.encode(stored).tolist() == codes.tolist()
    assert stored.null_count == 3
    if isinstance(coding.column.domain, Bounds):
        numbers = numbers_in(coding.column, stored)[:-3]
        ends = [coding.column.domain.low, coding.column.domain.high]
        low, high = numbers_in(coding.column, pa.array(ends))
        assert low <= numbers.min() <= numbers.max() <= high


@settings(max_examples=100, deadline=None)
@example(0.0, 3.4e-45, None, "float", 0)
@example(-4e-45, 7e-45, None, "float", 0)
@given(
    st.floats(-1e12, 1e12), st.floats(0, 1e12), st.none() | st.integers(0, 6),
    st.sampled_from(["double", "float", "decimal128(20, 3)", "int64"]), st.integers(0, 2**32),
)  # fmt: skip
def test_a_grid_of_any_bounds_is_sound(
    low: float, width: float, decimals: int | None, dtype: str, seed: int
) -> None:
    coding = coded(Kind.NUMERIC, dtype, Bounds(low, low + width), decimals=decimals)
    assert coding.size <= MAX_CELLS
    assert (coding.low <= coding.high).all()
    assert (coding.high[:-1] <= coding.low[1:]).all()
    codes = np.arange(coding.size, dtype=np.int32)
    assert Cells.from_dict(coding.column, coding.to_dict()).size == coding.size
    if decimals is None and dtype != "decimal128(20, 3)" and dtype != "int64":
        back = coding.decode(codes, np.random.default_rng(seed))
        assert coding.encode(back).tolist() == codes.tolist()


def test_zero_and_both_bounds_are_cells_of_their_own() -> None:
    for name in ("gain", "debt", "amount", "short", "fee", "wide"):
        coding = CODINGS[name]
        atoms = coding.low[coding.atoms]
        assert coding.low[0] == coding.high[0]
        assert coding.low[-1] == coding.high[-1]
        if coding.low[0] <= 0:
            assert 0 in atoms, name


def test_few_whole_numbers_have_a_cell_each() -> None:
    assert CODINGS["age"].low.tolist() == list(range(17, 91))
    tenths = coded(Kind.NUMERIC, "double", Bounds(0, 2), decimals=1)
    assert tenths.low.tolist() == [i / 10 for i in range(21)]


def test_cells_are_fine_near_zero_and_no_wider_than_a_hundredth_of_the_range() -> None:
    for name in ("gain", "amount"):
        low, high = CODINGS[name].low.astype(float), CODINGS[name].high.astype(float)
        width = high - low
        assert width.max() < high[-1] / 100
        near = (low > high[-1] / 500) & (low < high[-1] / 10)
        assert (width[near] < 0.1 * low[near]).all()


def test_dates_are_spread_evenly_and_fall_on_the_step_of_their_format() -> None:
    for name, step in (("seen", 60 * 10**6), ("sent", 10**9), ("day", 1)):
        coding = CODINGS[name]
        assert (coding.low % step == 0).all()
        width = (coding.high - coding.low)[1:-1].astype(float)
        assert width[width > 0].min() > 0.8 * width.max()


def test_what_cannot_be_placed_goes_to_the_nearest_cell_or_to_null() -> None:
    age = CODINGS["age"]
    last, null = age.size - 2, age.size - 1
    given_ = ["-4", "17", " 18 ", "18.4", "1e9", "inf", "-inf", "nan", "x", None, "9" * 5000]
    assert age.encode(pa.array(given_)).tolist() == [0, 0, 1, 1, last, last, 0, null, null, null, last]  # fmt: skip # noqa: E501
    floats = pa.array([np.inf, -np.inf, np.nan, 1e300, 18.0])
    assert age.encode(floats).tolist() == [last, 0, null, last, 1]
    assert age.encode(pa.array([2**64 - 1], pa.uint64())).tolist() == [last]
    assert age.encode(pa.array([datetime.date(2020, 1, 2)])).tolist() == [null]


def test_an_unknown_text_is_other_and_an_unknown_number_is_null() -> None:
    sex, code, grade = CODINGS["sex"], CODINGS["code"], CODINGS["grade"]
    assert sex.encode(pa.array(["f", "m", "q", None, OTHER])).tolist() == [0, 1, 2, 3, 2]
    back = sex.decode(np.arange(4, dtype=np.int32), np.random.default_rng(0))
    assert back.to_pylist() == ["f", "m", OTHER, None]
    assert code.encode(pa.array(["3", "1.0", "7", "8", "x", None])).tolist() == [0, 1, 2, 3, 3, 3]
    assert grade.encode(pa.array(["high", "none"])).tolist() == [2, 3]
    assert grade.ordered
    assert not sex.ordered


def test_a_level_named_other_takes_what_is_unknown() -> None:
    coding = coded(Kind.CATEGORICAL, "string", Levels((OTHER, "a")))
    assert coding.size == 3
    assert coding.encode(pa.array(["a", OTHER, "z", None])).tolist() == [0, 1, 1, 2]


def test_booleans_are_read_from_words_and_numbers() -> None:
    ill = CODINGS["ill"]
    texts = pa.array(["False", "true", "TRUE", "0", "1", "2", "yes", None])
    assert ill.encode(texts).tolist() == [0, 1, 1, 0, 1, 2, 2, 2]
    assert ill.encode(pa.array([0, 1, 5])).tolist() == [0, 1, 2]


def test_times_are_read_in_their_format_as_iso_and_with_an_offset() -> None:
    seen, sent = CODINGS["seen"].column, CODINGS["sent"].column
    texts = pa.array(["02/03/2020 04:05", "2020-03-02T04:05", "31/31/2020 00:00"])
    moment = datetime.datetime(2020, 3, 2, 4, 5, tzinfo=datetime.UTC).timestamp()
    assert numbers_in(seen, texts)[:2].tolist() == [moment * 1e6, moment * 1e6]
    assert np.isnan(numbers_in(seen, texts)[2])
    zoned = pa.array(["2020-03-02T06:05:00+02:00", "2020-03-02 04:05:00Z"])
    assert numbers_in(sent, zoned).tolist() == [moment * 1e9, moment * 1e9]


def test_surrogates_have_one_code_whatever_is_missing() -> None:
    for name in ("key", "mail", "note"):
        coding = CODINGS[name]
        assert isinstance(coding, SurrogateCodes)
        assert coding.size == 1
        assert coding.encode(pa.array([None, "x", "x"])).tolist() == [0, 0, 0]
        assert len(coding.decode(np.zeros(3, np.int32), np.random.default_rng(0))) == 3


def test_the_codec_comes_back_from_json_and_still_takes_any_value() -> None:
    codec = declared_codec(SCHEMA)
    again = Codec.from_dict(SCHEMA, json.loads(json.dumps(codec.to_dict())))
    assert again.sizes == codec.sizes
    rows = pa.table({name: ["?", "1", None, "2020-01-01"] for name in SCHEMA.names})
    assert (again.encode(rows) == codec.encode(rows)).all()


def test_conditions_name_values_as_with_a_learnt_codec() -> None:
    codec = declared_codec(SCHEMA)
    at = codec.conditions({"sex": "m", "age": 18, "ill": True, "grade": None})
    assert list(at.values()) == [1, 1, 1, 3]


def test_a_target_is_told_to_the_codec() -> None:
    codec = declared_codec(SCHEMA.with_target("ill"))
    assert codec.target == SCHEMA.names.index("ill")
    assert codec.classes


# What is refused


def test_a_domain_that_is_missing_or_inferred_is_refused_by_name_with_both_ways_out() -> None:
    schema = Schema(
        (
            Column("a", Kind.INTEGER, "int64", Bounds(0, 9), Source.INFERRED),
            Column("b", Kind.CATEGORICAL, "string", None, Source.DECLARED),
            Column("c", Kind.CATEGORICAL, "string", None, Source.DISCOVERED),
            Column("d", Kind.ID, "string"),
        )
    )
    with pytest.raises(UsageError) as caught:
        check_declared(schema, ["a", "b", "c", "d"], "t.csv")
    message = str(caught.value)
    assert "'a', 'b' " in message
    assert "'c'" not in message
    assert "source: declared" in message
    assert "source: discovered" in message
    assert "\n" not in message


def test_no_schema_at_all_is_refused() -> None:
    with pytest.raises(UsageError, match="none was given"):
        check_declared(None, ["a"], "t.csv")


def test_other_columns_than_the_tables_are_refused_both_ways() -> None:
    schema = Schema((one(Kind.BOOLEAN, "bool", None),))
    with pytest.raises(SchemaError, match=r"t\.csv has no column 'x'"):
        check_declared(schema, ["y"], "t.csv")
    with pytest.raises(SchemaError, match="does not name 'y'"):
        check_declared(schema, ["x", "y"], "t.csv")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (one(Kind.CATEGORICAL, "string", Bounds(0, 1)), "list its levels"),
        (one(Kind.DATETIME, "timestamp[us]", Bounds("2020-02-30", "2021-01-01")), "in ISO 8601"),
        (one(Kind.DATETIME, "timestamp[us]", Bounds(1, 2)), "two dates"),
        (one(Kind.DATETIME, "string", Bounds("2020-01-01", "2021-01-01")), "another kind"),
        (one(Kind.DATETIME, "date32[day]", None, source=Source.DISCOVERED, format="%"), "strftime"),
        (one(Kind.INTEGER, "int64", Bounds(0.5, 3)), "whole numbers"),
        (one(Kind.INTEGER, "int8", Bounds(0, 300)), "beyond what int8"),
        (one(Kind.NUMERIC, "double", Bounds("a", "b")), "two numbers"),
        (one(Kind.NUMERIC, "string", Bounds(0, 1)), "another kind"),
        (one(Kind.NUMERIC, "double", Bounds(0, 1), decimals=400), "decimals"),
        (one(Kind.INTEGER, "int64", Levels((1, 1.5))), "read as int64"),
        (one(Kind.INTEGER, "int64", Levels((2**70,))), "read as int64"),
        (one(Kind.CATEGORICAL, "int64", Levels(("a",))), "read as int64"),
        (one(Kind.CATEGORICAL, "int64", Levels(("1", 1))), "the same int64"),
        (one(Kind.CATEGORICAL, "string", Levels(())), "no level"),
        (one(Kind.BOOLEAN, "bool", Levels(("yes", "no"))), "read as bool"),
        (one(Kind.NUMERIC, "float63", Bounds(0, 1)), "unknown dtype"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(column: Column, said: str) -> None:
    with pytest.raises(SchemaError, match=said) as caught:
        check_declared(Schema((column,)), ["x"], "t.csv")
    assert "column 'x'" in str(caught.value)


def test_a_kind_without_a_storage_type_has_the_usual_one(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(
        "columns:\n"
        "- {name: a, kind: integer, bounds: [0, 9]}\n"
        "- {name: b, kind: numeric, bounds: [0, 9]}\n"
        "- {name: c, kind: boolean}\n"
        "- {name: d, kind: datetime, bounds: [2020-01-01, 2021-01-01]}\n"
        "- {name: e, levels: [x, y]}\n"
        "- {name: f, levels: [1, 2]}\n",
        encoding="utf-8",
    )
    schema = check_declared(Schema.from_yaml(path), list("abcdef"), "t.csv")
    dtypes = ["int64", "double", "bool", "timestamp[us]", "string", "int64"]
    assert [column.dtype for column in schema] == dtypes
    assert len(declared_codec(schema).sizes) == 6


def test_a_domain_to_be_discovered_may_be_left_out_and_survives_yaml(tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    column = Column("a", Kind.INTEGER, "int64", None, Source.DISCOVERED)
    Schema((column,)).to_yaml(path)
    again = Schema.from_yaml(path)
    assert again.columns == (column,)
    assert check_declared(again, ["a"], "t.csv") == again


def test_discovered_domains_beyond_the_storage_type_are_cut_to_it() -> None:
    wide = Bounds(-(2**63), 2**63)
    for kind, dtype in ((Kind.INTEGER, "int16"), (Kind.INTEGER, "int64"), (Kind.NUMERIC, "float")):
        column = one(kind, dtype, wide, source=Source.DISCOVERED)
        coding = declared_codec(Schema((column,))).codings[0]
        back = coding.decode(np.arange(coding.size, dtype=np.int32), np.random.default_rng(0))
        assert coding.encode(back).tolist() == list(range(coding.size))
    dates = one(Kind.DATETIME, "date32[day]", Bounds("-", "x"), source=Source.DISCOVERED)
    assert declared_codec(Schema((dates,))).sizes[0] > 1
    codes = one(Kind.CATEGORICAL, "int16", None, source=Source.DISCOVERED)
    assert readable_levels(codes, ("7", "99999999999", "1")) == (1, 7)
    empty = one(Kind.CATEGORICAL, "string", Levels(()), source=Source.DISCOVERED)
    coding = declared_codec(Schema((empty,))).codings[0]
    assert isinstance(coding, LevelCodes)
    assert coding.encode(pa.array(["a", None])).tolist() == [0, 1]


# Reading without a look at the rows


def test_a_text_file_is_read_as_text_whatever_its_rows_spell(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,d\n1,2020-01-01\n2,2020-01-02\n", encoding="utf-8")
    (tmp_path / "b.csv").write_text("n,d\n1,2020-01-01\nfoo,inf\n", encoding="utf-8")
    (tmp_path / "c.csv").write_text("n,d\n", encoding="utf-8")
    tables = [read(tmp_path / f"{name}.csv", total=True) for name in "abc"]
    assert len({table.schema for table in tables}) == 1
    assert [table.n_rows for table in tables] == [2, 2, 0]
    values, counts, nulls = tables[2].value_counts("n")
    assert (len(values), len(counts), nulls) == (0, 0, 0)


def test_json_lines_of_mixed_types_are_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"a": 1, "b": [1]}\n{"a": "x", "c": true}\n\n{"a": 1e999, "b": NaN, "c": "\\ud800"}\n',
        encoding="utf-8",
    )
    found = read(path, total=True).to_arrow().to_pydict()
    assert found == {
        "a": ["1", "x", "1e999"],
        "b": [None, None, "NaN"],
        "c": [None, "true", "?"],
    }


def test_sqlite_gives_text(tmp_path: Path) -> None:
    pytest.importorskip("adbc_driver_sqlite")
    con = sqlite3.connect(tmp_path / "d.db")
    con.execute('CREATE TABLE t (a INTEGER, "b c" TEXT)')
    con.execute("INSERT INTO t VALUES (1, 'x'), ('foo', 2.5), (NULL, x'00ff')")
    con.commit()
    con.close()
    table = read(f"sqlite:///{tmp_path}/d.db::t", total=True)
    assert table.to_arrow().to_pydict() == {"a": ["1", "foo", None], "b c": ["x", "2.5", None]}


def test_objects_of_any_kind_are_read_value_by_value() -> None:
    values = [1, "x", None, float("nan"), True, 10**5000, -(2**70), datetime.date(2020, 1, 2)]
    values += [pd.NaT, pd.NA, Decimal("1.5"), b"x", [1], "\ud800", np.int8(3), np.inf, object()]
    table = read(pd.DataFrame({"a": pd.Series(values, dtype=object)}), total=True)
    texts = ["1", "x", None, None, "true", "inf", str(-(2**70)), "2020-01-02"]
    texts += [None, None, "1.5", None, None, "?", "3", "inf", None]
    assert table.to_arrow().column(0).to_pylist() == texts
    for i in range(len(values)):
        alone = read(pd.DataFrame({"a": pd.Series(values[i : i + 1], dtype=object)}), total=True)
        assert alone.to_arrow().column(0).to_pylist() == texts[i : i + 1]


def test_frames_keep_the_types_that_they_are_stored_in() -> None:
    frame = pd.DataFrame(
        {
            "f": [np.inf, 1.0, np.nan],
            "c": pd.Categorical(["u", None, "v"]),
            "m": pd.Categorical([1, "v", None]),
            "i": pd.array([1, None, 3], dtype="Int64"),
        }
    )
    table = read(frame, total=True)
    assert [str(entry.type) for entry in table.schema] == [
        "double",
        "dictionary<values=string, indices=int32, ordered=0>",
        "dictionary<values=string, indices=int32, ordered=0>",
        "int64",
    ]
    assert table.to_arrow().to_pydict()["m"] == ["1", "v", None]
    empty = read(frame.iloc[:0], total=True)
    assert [empty.value_counts(name)[2] for name in empty.names] == [0, 0, 0, 0]


def test_a_file_and_a_frame_of_the_same_rows_have_the_same_codes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    codec = declared_codec(SCHEMA)
    rows = codec.decode(
        np.stack([rng.integers(0, size, 200) for size in codec.sizes], 1).astype(np.int32), rng
    ).cast(codec.schema)
    frame = rows.to_pandas(
        types_mapper={pa.int8(): pd.Int8Dtype(), pa.bool_(): pd.BooleanDtype()}.get
    )
    frame["huge"] = frame["amount"]  # floats would round what a text spells out
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True, date_format="iso", double_precision=15)  # fmt: skip # noqa: E501
    frame.to_parquet(tmp_path / "a.parquet")
    sources = [frame, *(tmp_path / f"a.{kind}" for kind in ("csv", "jsonl", "parquet"))]
    codes = [codec.encode(read(source, total=True).to_arrow()) for source in sources]
    for other in codes[1:]:
        for j, name in enumerate(SCHEMA.names):
            if name != "wide":
                assert (codes[0][:, j] == other[:, j]).all(), name


def test_the_target_role_of_the_schema_is_kept() -> None:
    schema = Schema((one(Kind.BOOLEAN, "bool", None, role=Role.TARGET),))
    assert declared_codec(check_declared(schema, ["x"], "t.csv")).target == 0


def test_no_folder_decides_how_another_is_read(tmp_path: Path) -> None:
    for month in ("01", "02"):
        (tmp_path / f"month={month}").mkdir()
        pq.write_table(pa.table({"a": [1, 2]}), tmp_path / f"month={month}" / "p.parquet")
    before = read(tmp_path, total=True).to_arrow(["month"]).column(0).to_pylist()
    (tmp_path / "month=x").mkdir()
    pq.write_table(pa.table({"a": [3]}), tmp_path / "month=x" / "p.parquet")
    after = read(tmp_path, total=True).to_arrow(["month"]).column(0).to_pylist()
    assert before == ["01", "01", "02", "02"]
    assert after[:4] == before
