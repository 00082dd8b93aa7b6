"""Tables: reading returns what was written, with the same types and in the same order."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from privsynth.errors import SchemaError, UsageError
from privsynth.table import (
    Table,
    arrow_type,
    check_output,
    count,
    delimited,
    open_writer,
    read,
    relation,
    to_frame,
    write,
)


def csv(folder: Path, text: str, name: str = "t.csv") -> Table:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return read(folder / name)


def column(folder: Path, *values: str) -> Table:
    return csv(folder, "\n".join(["a", *values, ""]))


# ---------------------------------------------------------------- how text is typed


@pytest.mark.parametrize(
    ("values", "dtype", "first"),
    [
        (["1", "-5", "0"], "int64", 1),
        (["9007199254740993", "1"], "int64", 2**53 + 1),
        (["9223372036854775808"], "string", "9223372036854775808"),
        (["00123", "5"], "string", "00123"),
        (["+5"], "string", "+5"),
        (["007.5"], "string", "007.5"),
        (["1", "2.5", "1e5"], "double", 1.0),
        ([".5", "5.", "+1.5", "-0"], "double", 0.5),
        (["0.5", "9007199254740993"], "string", "0.5"),
        (["1e400"], "string", "1e400"),
        (["0x10", "1_000"], "string", "0x10"),
        ([" 1", "2 "], "int64", 1),
        (["True", "False"], "bool", True),
        (["true", "TRUE"], "string", "true"),
        (["1", "true"], "string", "1"),
        (["yes", "no"], "string", "yes"),
        (["", ""], "string", None),
    ],
)
def test_a_type_is_given_only_where_every_value_survives_it(
    tmp_path: Path, values: list[str], dtype: str, first: object
) -> None:
    table = column(tmp_path, *values)
    assert str(table.schema.field("a").type) == dtype
    assert table.to_arrow()["a"][0].as_py() == first


@pytest.mark.parametrize(
    ("values", "dtype", "form", "first"),
    [
        (["2020-01-31"], "date32[day]", "%Y-%m-%d", dt.date(2020, 1, 31)),
        (["2020/01/31"], "date32[day]", "%Y/%m/%d", dt.date(2020, 1, 31)),
        (["31/01/2020", "01/02/2020"], "date32[day]", "%d/%m/%Y", dt.date(2020, 1, 31)),
        (["01/31/2020", "01/02/2020"], "date32[day]", "%m/%d/%Y", dt.date(2020, 1, 31)),
        (["31.01.2020"], "date32[day]", "%d.%m.%Y", dt.date(2020, 1, 31)),
        (["1/2/2020", "1/31/2020"], "date32[day]", "%-m/%-d/%Y", dt.date(2020, 1, 2)),
        (
            ["1/31/2020 9:05"],
            "timestamp[us]",
            "%-m/%-d/%Y %-H:%M",
            dt.datetime(2020, 1, 31, 9, 5),
        ),
        (
            ["2020-01-31 10:00"],
            "timestamp[us]",
            "%Y-%m-%d %H:%M",
            dt.datetime(2020, 1, 31, 10),
        ),
        (
            ["2020-01-31T10:00:00.25", "2020-01-31T10:00:00"],
            "timestamp[us]",
            "%Y-%m-%dT%H:%M:%S.%f",
            dt.datetime(2020, 1, 31, 10, 0, 0, 250_000),
        ),
    ],
)
def test_dates_and_times_keep_their_spelling(
    tmp_path: Path, values: list[str], dtype: str, form: str, first: object
) -> None:
    table = column(tmp_path, *values)
    assert str(table.schema.field("a").type) == dtype
    assert table.formats == {"a": form}
    assert table.to_arrow()["a"][0].as_py() == first


@pytest.mark.parametrize(
    ("values", "zone"),
    [
        (["2020-01-01T10:00:00Z"], "UTC"),
        (["2020-01-01T10:00:00+02:00", "2020-06-01T10:00:00+02:00"], "+02:00"),
        (["2020-01-01 10:00:00.125-0330"], "-03:30"),
        (["2020-01-01T10:00:00+01:00", "2020-06-01T10:00:00+02:00"], "UTC"),
    ],
)
def test_an_offset_is_kept_where_it_is_constant(
    tmp_path: Path, values: list[str], zone: str
) -> None:
    table = column(tmp_path, *values)
    assert str(table.schema.field("a").type) == f"timestamp[us, tz={zone}]"
    found = table.to_arrow()["a"].to_pylist()
    assert found == [dt.datetime.fromisoformat(value) for value in values]


@pytest.mark.parametrize("value", ["03/04/2020", "2020-02-30", "20200131", "31/31/2020"])
def test_a_date_that_could_be_another_stays_as_it_is(tmp_path: Path, value: str) -> None:
    assert str(column(tmp_path, value).schema.field("a").type) in ("string", "int64")


@pytest.mark.parametrize("token", ["NA", "N/A", "NaN", "nan", "null", "NULL", "None", '""', " "])
@pytest.mark.parametrize("value", ["1", "1.5", "True", "2020-01-01"])
def test_null_tokens_are_null_among_typed_values(tmp_path: Path, token: str, value: str) -> None:
    assert column(tmp_path, value, token).to_arrow()["a"].null_count == 1


def test_null_tokens_are_values_among_text(tmp_path: Path) -> None:
    table = csv(tmp_path, 'a,b,c\nx,NA,1\nNA,null,2\n"",NA,3\n,NA,4\n')
    assert table.to_arrow()["a"].to_pylist() == ["x", "NA", "", None]
    assert table.to_arrow()["b"].to_pylist() == ["NA", "null", "NA", "NA"]


def test_a_comma_is_a_decimal_sign_where_a_semicolon_is_the_delimiter(tmp_path: Path) -> None:
    text = "a;b;c;d\n1,5;1.234,50;1,5;01,5\n2;-0,25;1.5;1,5\n;1.234.567,00;2;2,5\n"
    assert csv(tmp_path, text).to_arrow().to_pydict() == {
        "a": [1.5, 2.0, None],
        "b": [1234.5, -0.25, 1234567.0],
        "c": ["1,5", "1.5", "2"],  # two decimal signs
        "d": ["01,5", "1,5", "2,5"],
    }
    assert csv(tmp_path, 'a,b\n"1,5",x\n').to_arrow()["a"].to_pylist() == ["1,5"]


@pytest.mark.parametrize("name", ['my "x"', '"', 'a""b', 'two "\n" lines', 'x;"y'])
def test_a_column_name_may_hold_quotation_marks(tmp_path: Path, name: str) -> None:
    table = pa.table({name: [1, 2], "b": ["x", 'say "y"']})
    write(table, tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").to_arrow().equals(table)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_in_the_header(tmp_path: Path, delimiter: str) -> None:
    table = csv(tmp_path, f'a{delimiter}"b,;|c"\n1{delimiter}"x;,|"\n'.replace("/", delimiter))
    assert table.names == ("a", "b,;|c")
    assert table.to_arrow()["b,;|c"].to_pylist() == ["x;,|"]


@pytest.mark.parametrize("ends", [["\n"], ["\r\n"], ["\r\n", "\n"], ["\n", "\r\n"]])
def test_any_mixture_of_line_ends_gives_the_same_rows(tmp_path: Path, ends: list[str]) -> None:
    lines = ["a,b", '1,"x\r\ny"', '2,"p\nq"', "3,z", '4,""']
    text = "".join(line + end for line, end in zip(lines, itertools.cycle(ends), strict=False))
    table = csv(tmp_path, text).to_arrow()
    assert table.to_pylist() == [
        {"a": 1, "b": "x\r\ny"},
        {"a": 2, "b": "p\nq"},
        {"a": 3, "b": "z"},
        {"a": 4, "b": ""},
    ]


def test_a_byte_order_mark_blank_lines_and_a_missing_last_line_end_do_no_harm(
    tmp_path: Path,
) -> None:
    assert csv(tmp_path, "\ufeff\n\na,b\n\n1,2\n3,4").to_arrow().to_pydict() == {
        "a": [1, 3],
        "b": [2, 4],
    }


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_other_encodings_are_read_without_a_second_file(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes("naïve,b\né,1\n".encode(encoding))
    table = read(tmp_path / "t.csv", encoding=encoding)
    assert table.to_arrow().to_pydict() == {"naïve": ["é"], "b": [1]}
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_columns_that_differ_in_case_alone_are_two(tmp_path: Path) -> None:
    table = csv(tmp_path, "a,A\n1,x\n")
    write(table.to_arrow(), tmp_path / "t.jsonl")
    assert read(tmp_path / "t.jsonl").to_arrow().to_pylist() == [{"a": 1, "A": "x"}]


def test_a_large_file_is_scanned_and_gives_what_a_small_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "i": rng.integers(0, 9, 150_000),
            "f": rng.normal(size=150_000).round(6),
            "s": rng.choice(["NA", "b", ""], 150_000),
            "row": np.arange(150_000),
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    kept = read(tmp_path / "t.csv")
    monkeypatch.setattr(delimited, "IN_MEMORY", 0)
    scanned = read(tmp_path / "t.csv")
    assert scanned.n_rows == 150_000
    assert scanned.to_arrow().equals(kept.to_arrow())
    assert scanned.to_arrow(["row"])["row"].to_numpy().tolist() == list(range(150_000))
    assert scanned.value_counts("i")[1].tolist() == kept.value_counts("i")[1].tolist()


# ---------------------------------------------------------------- there and back

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
moments = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
columns = {
    "whole": (pa.int64(), st.integers(-(2**63), 2**63 - 1) | st.just(2**53 + 1)),
    "real": (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    "text": (pa.string(), texts | st.sampled_from(["NA", "00123", "null", "", '"', "a\r\nb"])),
    "flag": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates(dt.date(1000, 1, 1))),
    "time": (pa.timestamp("us"), moments),
    "zoned": (
        pa.timestamp("us", "+02:00"),
        moments.map(lambda m: m.replace(tzinfo=dt.timezone(dt.timedelta(hours=2)))),
    ),
}
anchors = {
    "whole": 1,
    "real": 0.5,
    "text": "a word",
    "flag": True,
    "day": dt.date(2020, 1, 31),
    "time": dt.datetime(2020, 1, 31, 10, 0, 0, 5),
    "zoned": dt.datetime(2020, 1, 31, 10, tzinfo=dt.timezone(dt.timedelta(hours=2))),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 6))
    data = {
        # The first row makes every column's type plain to see, as a real table's rows do.
        name: pa.array(
            [anchors[name], *(draw(st.none() | values) for _ in range(rows))], type=dtype
        )
        for name, (dtype, values) in columns.items()
    }
    return pa.table(data)


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".jsonl", ".parquet", ".feather"])
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(table=tables())
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, table: pa.Table) -> None:
    path = tmp_path / f"t{suffix}"
    write(table, path)
    again = read(path)
    assert again.to_arrow().equals(table)
    write(again.to_arrow(), path, again.formats)
    assert read(path).to_arrow().equals(table)


@pytest.mark.parametrize(
    "text",
    [
        'a,b\n1.5,x\n,""\n',
        'a,b\nTrue,"x, ""y"""\n,z\n',
        "a,b\nFALSE,2020-01-01T10:00:00.250Z\nTRUE,2020-01-01T10:00:00.500Z\n",
        "a,b\n1/5/2020 9:30,05.06.2020\n10/15/2020 10:00,15.06.2020\n",
        "a,b\n2020-01-01 10:00:00+05:30,2020-01-01T10:00:00-0800\n",
        "a\n1\n\n2\n",
        "a\n2020-01-01 10:00:00.123456789\n",
    ],
)
def test_a_text_file_is_written_again_as_it_was_spelled(tmp_path: Path, text: str) -> None:
    table = csv(tmp_path, text)
    write(table.to_arrow(), tmp_path / "again.csv", table.formats)
    assert (tmp_path / "again.csv").read_text() == text


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl.gz", ".parquet", ".arrow"])
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    table = pa.Table.from_pandas(pd.DataFrame({"a": pd.Categorical(["x", "y"]), "b": [1.0, 2.5]}))
    for name in ("one", "two"):
        with open_writer(tmp_path / f"{name}{suffix}", table.schema) as writer:
            writer.write(table)
            writer.write(table)
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert read(tmp_path / f"one{suffix}").to_arrow()["a"].cast(pa.string()).to_pylist() == [
        *"xyxy"
    ]


def test_parquet_carries_no_metadata_of_another_library(tmp_path: Path) -> None:
    write(pa.Table.from_pandas(pd.DataFrame({"a": [1]})), tmp_path / "t.parquet")
    assert b"pandas" not in (pq.read_schema(tmp_path / "t.parquet").metadata or {})


def test_standard_input_and_output_are_csv() -> None:
    code = "import privsynth.table as t; x = t.read('-'); t.write(x.to_arrow(), '-', x.formats)"
    text = b'a,b\n1,x\n,""\n'
    done = subprocess.run([sys.executable, "-c", code], input=text, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (text, b"")


@pytest.mark.parametrize("url", ["duckdb:///{}/f.db::loans", "sqlite:///{}/f.db::loans"])
def test_databases_are_read_and_written(tmp_path: Path, url: str) -> None:
    url = url.format(tmp_path)
    table = pa.table(
        {
            "i": pa.array([2**53 + 1, None]),
            "s": ["NA", ""],
            "d": pa.array([dt.date(2020, 1, 31), None]),
            "t": pa.array([dt.datetime(2020, 1, 1, 10), None], pa.timestamp("us")),
        }
    )
    check_output(url)
    for _ in range(2):
        write(table, url)
    found = read(url)
    assert found.n_rows == 2
    assert found.to_arrow().equals(table)


def test_rows_of_a_database_keep_their_order(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.execute('CREATE TABLE "a b" AS SELECT range AS i FROM range(200000)')
    table = read(f"duckdb:///{tmp_path}/f.db::a b")
    assert np.array_equal(table.to_arrow()["i"].to_numpy(), np.arange(200_000))


def test_folders_and_globs_of_parquet_are_one_table(tmp_path: Path) -> None:
    for k in (1, 2):
        (tmp_path / f"k={k}").mkdir()
        write(pa.table({"a": [10 * k]}), tmp_path / f"k={k}" / "part.parquet")
    (tmp_path / "_metadata.parquet").write_bytes(b"not a table")
    assert read(tmp_path).to_arrow().to_pydict() == {"a": [10, 20], "k": [1, 2]}
    assert read(str(tmp_path / "*" / "*.parquet")).to_arrow().to_pydict() == {"a": [10, 20]}


def test_text_in_json_lines_stays_text_but_for_times(tmp_path: Path) -> None:
    lines = '{"a": "1", "b": 1, "c": "2020-01-31"}\n{"b": null, "a": "NA", "c": "2020-02-01"}\n'
    (tmp_path / "t.ndjson.gz").write_bytes(gzip.compress(lines.encode()))
    table = read(tmp_path / "t.ndjson.gz")
    assert [str(kind) for kind in table.schema.types] == ["string", "int64", "date32[day]"]
    assert table.formats == {"c": "%Y-%m-%d"}


# ---------------------------------------------------------------- frames


def test_a_pandas_frame_keeps_its_types() -> None:
    frame = pd.DataFrame(
        {
            "i": pd.array([2**53 + 1, None], "Int64"),
            "f": [1.5, np.nan],
            "s": ["x", None],
            "c": pd.Categorical(["lo", "hi"], categories=["lo", "hi"], ordered=True),
            "b": pd.array([True, None], "boolean"),
            "t": pd.to_datetime(["2020-01-01", None]).tz_localize("Europe/Paris"),
        },
        index=[7, 8],
    )
    table = read(frame)
    assert (table.name, table.frame, table.n_rows) == ("the frame", "pandas", 2)
    assert [table.value_counts(name)[2] for name in table.names] == [1, 1, 1, 0, 1, 1]
    pd.testing.assert_frame_equal(
        to_frame(table.to_arrow(), "pandas"), frame.reset_index(drop=True)
    )


def test_a_polars_frame_comes_back_as_one() -> None:
    frame = pl.DataFrame(
        {"s": ["a", None], "c": pl.Series(["x", "y"], dtype=pl.Categorical), "f": [float("nan"), 1]}
    )
    table = read(frame.lazy())
    assert table.frame == "polars"
    assert str(table.schema.field("c").type) == (
        "dictionary<values=string, indices=int32, ordered=0>"
    )
    assert to_frame(table.to_arrow(), "polars")["f"].to_list() == [None, 1.0]


@pytest.mark.parametrize(
    "make", [lambda t: t, lambda t: t.to_reader(), lambda t: t.to_batches()[0]]
)
def test_arrow_in_its_several_forms_is_a_frame(make) -> None:
    data = pa.table(
        {"s": pa.array(["x"], pa.large_string()), "v": pa.array(["y"], pa.string_view())}
    )
    table = read(make(data))
    assert table.frame == "arrow"
    assert table.schema.types == [pa.string(), pa.string()]


def test_a_duckdb_relation_is_a_frame() -> None:
    with duckdb.connect() as con:
        table = read(con.sql("SELECT 1 AS a, 'x' AS b"))
    assert table.to_arrow().to_pylist() == [{"a": 1, "b": "x"}]


def test_to_frame_names_the_kinds_it_knows() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'pandas'"):
        to_frame(pa.table({"a": [1]}), "panda")


# ---------------------------------------------------------------- asking a table


def test_values_are_counted_ascending_and_nulls_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    values = [None if v == 3 else f"v{v}" for v in rng.integers(0, 30, 5000)]
    table = read(pa.table({"a": pa.chunked_array([values[:1000], values[1000:]])}))
    monkeypatch.setattr(relation, "MERGE_ROWS", 5)
    found, counts, nulls = table.value_counts("a")
    wanted = pd.Series(values).value_counts().sort_index()
    assert found.to_pylist() == list(wanted.index)
    assert counts.dtype == np.int64
    assert counts.tolist() == wanted.tolist()
    assert nulls == values.count(None)


def test_batches_are_no_longer_than_asked_and_in_order() -> None:
    table = read(pa.table({"a": list(range(25))}))
    batches = list(table.batches(10))
    assert [batch.num_rows for batch in batches] == [10, 10, 5]
    assert [v for batch in batches for v in batch["a"].to_pylist()] == list(range(25))


@given(st.lists(st.integers(0, 24)))
def test_take_gives_rows_in_the_order_asked(rows: list[int]) -> None:
    data = pa.table(
        {
            "a": pa.chunked_array([list(range(10)), list(range(10, 25))]),
            "c": pa.chunked_array(
                [pa.array(["x"] * 10).dictionary_encode(), pa.array(["y"] * 15).dictionary_encode()]
            ),
        }
    )
    taken = read(data).take(np.array(rows, dtype=np.int64)).to_arrow()
    assert taken["a"].to_pylist() == rows
    assert taken["c"].cast(pa.string()).to_pylist() == ["x" if row < 10 else "y" for row in rows]


def test_rows_and_columns_that_do_not_exist_are_refused() -> None:
    table = read(pa.table({"amount": [1]}))
    with pytest.raises(UsageError, match="outside its 1 rows"):
        table.take(np.array([1]))
    with pytest.raises(UsageError, match="did you mean 'amount'"):
        table.value_counts("amuont")


def test_a_table_shows_no_value() -> None:
    assert repr(read(pa.table({"a": ["secret"]}))) == "Table('the frame', 1 rows, 1 columns)"


@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(),
        pa.uint64(),
        pa.float32(),
        pa.float64(),
        pa.bool_(),
        pa.string(),
        pa.date32(),
        pa.timestamp("ns"),
        pa.timestamp("us", "+02:00"),
        pa.decimal128(10, 2),
        pa.decimal256(50, -2),
        pa.dictionary(pa.int32(), pa.string(), ordered=True),
        pa.dictionary(pa.int32(), pa.timestamp("s", "Europe/Paris")),
    ],
)
def test_arrow_type_reads_what_arrow_prints(kind: pa.DataType) -> None:
    assert arrow_type(str(kind)) == kind


@pytest.mark.parametrize("dtype", ["int46", "decimal128(99, 2)", "timestamp[h]", "list<item: a>"])
def test_arrow_type_names_the_types_it_knows(dtype: str) -> None:
    with pytest.raises(SchemaError, match="known: int8"):
        arrow_type(dtype)


# ---------------------------------------------------------------- counting


@given(st.data())
def test_counts_are_those_of_counting_one_by_one(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    row = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    rows = data.draw(st.lists(row, max_size=20))
    clique = data.draw(st.permutations(range(len(sizes))))[: data.draw(st.integers(0, len(sizes)))]
    codes = np.array(rows, dtype=np.int32).reshape(len(rows), len(sizes))
    found = count(codes, sizes, clique)
    assert found.dtype == np.int64
    assert found.shape == tuple(sizes[c] for c in clique)
    for cell in np.ndindex(found.shape):
        assert found[cell] == sum(tuple(r[c] for c in clique) == cell for r in rows)


def test_a_code_beyond_its_size_is_never_counted() -> None:
    with pytest.raises(ValueError, match="invalid"):
        count(np.array([[2]]), [2], [0])


def test_importing_the_package_leaves_arrow_and_duckdb_alone() -> None:
    code = "import sys, privsynth.table; print({'pyarrow', 'duckdb', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_postgresql_types_that_arrow_lacks_are_read_as_numbers_or_text() -> None:
    from privsynth.table.databases import _with_arrow_types

    money, mood = (pa.opaque(pa.string(), name, "PostgreSQL") for name in ("numeric", "mood"))
    text = pa.array(["12.50", None, "3"])
    table = pa.table(
        {
            "paid": pa.ExtensionArray.from_storage(money, text),
            "mood": pa.ExtensionArray.from_storage(mood, text),
        }
    )
    plain = _with_arrow_types(table)
    assert plain.column("paid").to_pylist() == [12.5, None, 3.0]
    assert plain.column("mood").to_pylist() == ["12.50", None, "3"]


# ---------------------------------------------------------------- dictionary arrays and encodings

KINDS = [
    pa.int8(),
    pa.uint32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.date32(),
    pa.timestamp("s"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns", "Europe/Paris"),
    pa.decimal128(38, 2),
]


def some(kind: pa.DataType, n: int, different: int) -> pa.Array:
    """Values of a type, a tenth of them null."""
    raw = np.random.default_rng(n).integers(0, different, n)
    null = np.arange(n) % 10 == 3
    if pa.types.is_boolean(kind):
        return pa.array(raw % 2 == 0, mask=null)
    if kind == pa.date32():
        return pa.array(raw.astype(np.int32), mask=null).view(kind)
    if pa.types.is_temporal(kind):
        return pa.array(raw, mask=null).view(kind)
    return pa.array(raw, mask=null).cast(kind)


@pytest.mark.parametrize("different", [5, 120])
@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_reader_of_parquet_is_told_the_declared_schema_alone(
    tmp_path: Path, kind: pa.DataType, coded: bool, different: int
) -> None:
    plain = some(kind, 200, different)
    given_ = pa.table({"x": plain.dictionary_encode() if coded else plain})
    for declared in {kind, given_.schema.field("x").type}:
        schema = pa.schema([("x", declared)])
        wanted = pa.table({"x": plain if declared == kind else plain.dictionary_encode()})
        pq.write_table(wanted, tmp_path / "usual.parquet")
        with open_writer(tmp_path / "t.parquet", schema) as writer:
            writer.write(given_)
            writer.write(given_.slice(0, 7))
        usual, found = (
            pq.ParquetFile(tmp_path / f"{name}.parquet", pre_buffer=False)
            for name in ("usual", "t")
        )
        assert found.schema.equals(usual.schema)
        assert found.metadata.metadata == usual.metadata.metadata
        rows = found.read()
        assert rows.schema == usual.read().schema
        assert rows["x"].to_pylist() == [*plain.to_pylist(), *plain.to_pylist()[:7]]


def test_only_columns_whose_values_repeat_have_a_dictionary_in_parquet(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "alone": rng.random(5000),
            "wide": rng.integers(0, 10**9, 5000),
            "few": rng.integers(0, 9, 5000),
            "text": pa.array(rng.integers(0, 9, 5000)).cast(pa.string()),
        }
    )
    write(table, tmp_path / "t.parquet")
    group = pq.ParquetFile(tmp_path / "t.parquet").metadata.row_group(0)
    held = {table.column_names[i]: group.column(i).has_dictionary_page for i in range(4)}
    assert held == {"alone": False, "wide": False, "few": True, "text": True}
    assert read(tmp_path / "t.parquet").to_arrow().equals(table)


def test_an_output_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    with open_writer(tmp_path / "t.parquet", schema):
        pass
    assert pq.read_table(tmp_path / "t.parquet").schema == schema


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "arrow"])
def test_a_dictionary_array_is_written_as_its_values(
    tmp_path: Path, suffix: str, kind: pa.DataType
) -> None:
    if suffix == "jsonl" and pa.types.is_decimal(kind):
        pytest.skip("no decimals in JSON lines")
    plain = some(kind, 50, 9)
    text = pa.array(["a", 'b "c"', "", None, "d,e"] * 10)
    for name, table in {
        "plain": pa.table({"x": plain, "y": text}),
        "coded": pa.table({"x": plain.dictionary_encode(), "y": text.dictionary_encode()}),
    }.items():
        schema = pa.schema([("x", kind), ("y", pa.string())])
        with open_writer(tmp_path / f"{name}.{suffix}", schema) as writer:
            writer.write(table)
    one, two = (tmp_path / f"{name}.{suffix}" for name in ("plain", "coded"))
    if suffix == "arrow":  # what lies under a null is nobody's business
        assert read(one).to_arrow().equals(read(two).to_arrow())
    else:
        assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("url", ["duckdb:///{}/f.db::loans", "sqlite:///{}/f.db::rows"])
def test_a_database_is_given_the_values_of_a_dictionary_array(tmp_path: Path, url: str) -> None:
    plain = pa.table({"x": ["a", None, "b"], "n": [1, 2, 1]})
    with open_writer(url.format(tmp_path), plain.schema) as writer:
        writer.write(pa.table([c.dictionary_encode() for c in plain.columns], plain.column_names))
    assert read(url.format(tmp_path)).to_arrow().equals(plain)


def test_a_table_may_be_called_rows_in_a_database(tmp_path: Path) -> None:
    with open_writer(f"duckdb:///{tmp_path}/f.db::rows", pa.schema([("a", pa.int64())])) as writer:
        writer.write(pa.table({"a": [1]}))
        writer.write(pa.table({"a": [2]}))
    assert read(f"duckdb:///{tmp_path}/f.db::rows").to_arrow().to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_values_of_every_type_are_counted_as_one_by_one(kind: pa.DataType, coded: bool) -> None:
    parts = [some(kind, n, 12) for n in (60, 70)]
    values = [v for part in parts for v in part.to_pylist()]
    held = {v: values.count(v) for v in values if v is not None}
    column = pa.chunked_array([p.dictionary_encode() if coded else p for p in parts])
    found, counts, nulls = read(pa.table({"x": column})).value_counts("x")
    assert found.type == kind
    assert dict(zip(found.to_pylist(), counts.tolist(), strict=True)) == held
    order = found.to_pylist()
    assert order == sorted(order)
    assert nulls == values.count(None)


def test_a_dictionary_with_a_null_and_a_value_twice_is_counted_by_value() -> None:
    values = pa.array(["b", "a", None, "b"])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, None, 3]), values)
    found, counts, nulls = read(pa.table({"x": column})).value_counts("x")
    assert (found.to_pylist(), counts.tolist(), nulls) == (["a", "b"], [1, 3], 2)


def test_a_column_is_counted_once_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    table = read(pa.table({"a": [1, 2, 2], "b": ["x", "y", "y"]}))
    scans = []
    counted = Table("t", table.schema, 3, lambda names: (scans.append(names), table.scan(names))[1])
    first, again = counted.value_counts("a"), counted.value_counts("a")
    assert first is again
    monkeypatch.setattr(relation, "MAX_KEPT_BYTES", 0)
    assert counted.value_counts("b")[1].tolist() == counted.value_counts("b")[1].tolist()
    assert scans == [["a"], ["b"], ["b"]]


def test_narrow_codes_are_counted_without_running_over() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 200, (500, 3)).astype(np.uint8)
    assert np.array_equal(
        count(codes, [200, 200, 200], [2, 0]), count(codes.astype(int), [200] * 3, [2, 0])
    )
    assert count(codes, [200, 200, 200], [2, 0]).sum() == 500


@pytest.mark.parametrize("code", [-1, 3])
def test_a_code_outside_its_column_is_told_apart_from_another_cell(code: int) -> None:
    with pytest.raises(ValueError, match="invalid code"):
        count(np.array([[1, 1], [1, code]]), [3, 3], [0, 1])


def test_texts_of_a_parquet_file_come_as_plain_text_whatever_its_pages_hold(tmp_path: Path) -> None:
    texts = pa.array(["a", "b", None, "a"] * 50, pa.string())
    whole = pa.table({"some": texts, "none": pa.nulls(200, pa.string()), "n": pa.array(range(200))})
    pq.write_table(whole, tmp_path / "t.parquet", row_group_size=30)
    table = read(tmp_path / "t.parquet")
    assert table.to_arrow().equals(whole)
    assert table.take(np.array([199, 0, 2])).to_arrow().equals(whole.take(pa.array([199, 0, 2])))
    values, counts, nulls = table.value_counts("some")
    assert (values.to_pylist(), counts.tolist(), nulls) == (["a", "b"], [100, 50], 50)
    assert table.value_counts("none")[2] == 200
