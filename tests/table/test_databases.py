"""Databases: paths are taken literally, files open nothing else, types depend on all batches."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner

from privsynth.cli.program import main
from privsynth.errors import DataError, PrivsynthError, StorageError, UsageError
from privsynth.table import check_distinct, read, write
from privsynth.table.duck import connect, open_file

pytest.importorskip("adbc_driver_sqlite")

CANARY = "CANARY-7f3a"
SCHEMES = ("duckdb", "sqlite")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------- a path is a path

NAMES = [
    "ledger#copy.db",
    "50%25.db",
    "50%.db",
    "a?b.db",
    "a?mode=memory",
    "a b.db",
    "é'\".db",
    "x[1]*.db",
    ":memory:",
    "file:x.db",
    "md:x",
    "temp.db",
    "main.db",
    "a;b&c=d.db",
    "d#e %41[1]/f.db",
]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relative", [True, False])
def test_a_database_is_the_file_that_is_named(
    scheme: str, name: str, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    at = name if relative else f"{tmp_path}/{name}"
    url = f"{scheme}:///{at}::t"
    with pytest.raises(StorageError, match="no such database file"):
        read(url)
    write(pa.table({"a": [1]}), url)
    write(pa.table({"a": [2, 3]}), url)
    assert read(url).to_arrow().to_pydict() == {"a": [2, 3]}
    assert read(url, total=True).n_rows == 2
    assert files(tmp_path) == [name]
    con = {"sqlite": sqlite3, "duckdb": duckdb}[scheme].connect(f"{tmp_path}/{name}")
    assert con.execute("SELECT count(*) FROM t").fetchone() == (2,)
    con.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_encoded_name_is_not_the_file_that_it_would_decode_to(
    scheme: str, tmp_path: Path
) -> None:
    write(pa.table({"a": [1]}), f"{scheme}:///{tmp_path}/50%.db::t")
    write(pa.table({"a": [2]}), f"{scheme}:///{tmp_path}/50%25.db::t")
    write(pa.table({"a": [3]}), f"{scheme}:///{tmp_path}/ledger::t")
    write(pa.table({"a": [4]}), f"{scheme}:///{tmp_path}/ledger#copy.db::t")
    for name, value in {"50%.db": 1, "50%25.db": 2, "ledger": 3, "ledger#copy.db": 4}.items():
        assert read(f"{scheme}:///{tmp_path}/{name}::t").to_arrow()["a"].to_pylist() == [value]


def test_a_name_that_duckdb_cannot_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="rename the file"):
        write(pa.table({"a": [1]}), f"duckdb:///{tmp_path}/\udcff.db::t")
    assert files(tmp_path) == []


@pytest.mark.parametrize("folder", ["d[1]", "d*", "50%25", "a#b?c", "a b", "é"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "arrow", "tsv.gz"])
def test_a_file_is_the_one_that_is_named(folder: str, suffix: str, tmp_path: Path) -> None:
    home = tmp_path / folder
    home.mkdir()
    path = home / f"{folder}.{suffix}"
    write(pa.table({"a": [1, 2]}), path)
    assert read(str(path)).n_rows == 2
    assert files(tmp_path) == [f"{folder}/{folder}.{suffix}"]


@pytest.mark.parametrize("folder", ["d[1]", "d*", "d?[!x]"])
def test_the_folder_of_a_glob_may_hold_brackets(folder: str, tmp_path: Path) -> None:
    for name in (folder, "d1"):
        (tmp_path / name).mkdir()
        write(pa.table({"a": [name]}), tmp_path / name / "x.parquet")
    for pattern in ("*.parquet", "[x].p*", "**/*.parquet"):
        table = read(f"{tmp_path}/{folder}/{pattern}")
        assert table.to_arrow()["a"].to_pylist() == [folder]
    assert read(str(tmp_path / folder)).n_rows == 1


# ---------------------------------------------------------------- a file opens nothing else

VIEWS = {
    "read_csv": "SELECT * FROM read_csv('{}/secret.csv')",
    "read_text": "SELECT content FROM read_text('{}/secret.csv')",
    "read_blob": "SELECT filename FROM read_blob('{}/secret.csv')",
    "read_parquet": "SELECT * FROM read_parquet('{}/secret.parquet')",
    "bare": "SELECT * FROM '{}/secret.parquet'",
    "glob": "SELECT * FROM glob('{}/*')",
    "sniff_csv": "SELECT Prompt FROM sniff_csv('{}/secret.csv')",
    "query": "SELECT * FROM query('SELECT * FROM read_text(''{}/secret.csv'')')",
    "macro": "SELECT * FROM m()",
    "scalar": "SELECT a, (SELECT content FROM read_text('{}/secret.csv')) AS b FROM t",
    "lazy": "SELECT a FROM t UNION ALL SELECT a FROM read_csv('{}/secret.csv')",
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_of_duckdb_reads_no_file(view: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text(f"a,b\n1,{CANARY}\n")
    duckdb.sql("SELECT 1 AS a").write_parquet(f"{tmp_path}/secret.parquet")
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a")
        con.execute(f"CREATE MACRO m() AS TABLE SELECT * FROM read_csv('{tmp_path}/secret.csv')")
        con.execute(f"CREATE VIEW v AS {VIEWS[view].format(tmp_path)}")
    before = files(tmp_path)
    url = f"duckdb:///{tmp_path}/f.db::v"
    for total in (False, True):
        with pytest.raises(DataError, match="is a view that reads outside the database") as caught:
            read(url, total=total)
        assert CANARY not in str(caught.value)
        assert "secret" not in str(caught.value)
    result = CliRunner().invoke(main, ["fit", url, "-o", f"{tmp_path}/m.psyn"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert files(tmp_path) == before


def test_a_view_of_duckdb_reads_no_variable_of_python(tmp_path: Path) -> None:
    secret = pa.table({"a": [CANARY]})
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.register("secret", secret)
        con.execute("CREATE TABLE secret2 (a VARCHAR)")
        con.execute("CREATE VIEW v AS SELECT * FROM secret2")
        con.execute("DROP TABLE secret2")
    place = secret2 = secret
    assert place is secret2
    with pytest.raises(StorageError, match="the database refused"):
        read(f"duckdb:///{tmp_path}/f.db::v")
    with pytest.raises(duckdb.CatalogException):
        connect().execute("SELECT * FROM secret2")


@pytest.mark.parametrize("opened", ["memory", "reading", "writing"])
@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{}/other.db'",
        "COPY (SELECT 1) TO '{}/out.csv'",
        "EXPORT DATABASE '{}/out'",
        "SELECT * FROM read_csv('{}/secret.csv')",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET temp_directory = '{}'",
        "SET allowed_paths = ['{}/secret.csv']",
        "CREATE PERSISTENT SECRET s (TYPE http)",
    ],
)
def test_every_duckdb_is_locked(opened: str, sql: str, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    path = tmp_path / "f.db"
    duckdb.connect(str(path)).close()
    con = connect() if opened == "memory" else open_file(path, read_only=opened == "reading")
    before = files(tmp_path)
    with pytest.raises(duckdb.Error):
        con.execute(sql.format(tmp_path))
    con.close()
    assert files(tmp_path) == before


def test_no_module_opens_a_duckdb_of_its_own() -> None:
    home = Path(read.__code__.co_filename).parent.parent
    opens = [path.name for path in home.rglob("*.py") if "duckdb.connect(" in path.read_text()]
    assert opens == ["duck.py"]


def test_a_table_of_duckdb_is_opened_for_reading_alone(tmp_path: Path) -> None:
    write(pa.table({"a": [1]}), f"duckdb:///{tmp_path}/f.db::t")
    os.chmod(tmp_path / "f.db", 0o400)  # noqa: PTH101
    before = (tmp_path / "f.db").stat().st_mtime_ns
    assert read(f"duckdb:///{tmp_path}/f.db::t").n_rows == 1
    with open_file(tmp_path / "f.db", read_only=True) as con, pytest.raises(duckdb.Error):
        con.execute("INSERT INTO t VALUES (2)")
    assert (tmp_path / "f.db").stat().st_mtime_ns == before


def test_an_error_in_the_middle_of_a_view_quotes_no_value(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.execute(
            "CREATE VIEW v AS SELECT "
            f"CASE WHEN range = 150000 THEN '{CANARY}' ELSE '1' END::INT AS a FROM range(200000)"
        )
    with pytest.raises(StorageError, match="the database refused") as caught:
        read(f"duckdb:///{tmp_path}/f.db::v")
    assert CANARY not in str(caught.value)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    path = tmp_path / "f.db"
    with sqlite3.connect(path) as con:
        con.executescript(
            """
            CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);
            CREATE TABLE fired (what TEXT);
            CREATE TRIGGER i AFTER INSERT ON t BEGIN INSERT INTO fired VALUES ('insert'); END;
            CREATE TRIGGER d BEFORE DELETE ON t BEGIN INSERT INTO fired VALUES ('delete'); END;
            CREATE VIEW loads AS SELECT load_extension('/nowhere.so') AS a;
            CREATE VIEW tokenizer AS SELECT fts3_tokenizer('simple') AS a;
            CREATE VIEW lists AS SELECT name, file FROM pragma_database_list;
            CREATE VIEW fine AS SELECT a + 1 AS a FROM t;
            CREATE TRIGGER o INSTEAD OF INSERT ON fine
            BEGIN INSERT INTO fired VALUES ('instead'); END;
            """
        )
    con.close()
    return path


@pytest.mark.parametrize("view", ["loads", "tokenizer", "lists"])
@pytest.mark.parametrize("total", [False, True])
def test_a_view_of_sqlite_calls_nothing_that_reaches_out(
    hostile: Path, view: str, total: bool
) -> None:
    with pytest.raises(DataError, match="is a view that reads outside the database"):
        read(f"sqlite:///{hostile}::{view}", total=total)
    assert read(f"sqlite:///{hostile}::fine").to_arrow()["a"].to_pylist() == [2]
    assert files(hostile.parent) == ["f.db"]


def test_writing_to_sqlite_fires_no_trigger(hostile: Path) -> None:
    write(pa.table({"a": range(3000)}), f"sqlite:///{hostile}::t")
    write(pa.table({"a": [1]}), f"sqlite:///{hostile}::new")
    with sqlite3.connect(hostile) as con:
        assert con.execute("SELECT * FROM fired").fetchall() == []
        assert con.execute("SELECT count(*) FROM t").fetchone() == (3000,)
    con.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_view_is_not_replaced(scheme: str, tmp_path: Path) -> None:
    url = f"{scheme}:///{tmp_path}/f.db"
    write(pa.table({"a": [1]}), f"{url}::t")
    connects: Callable[..., sqlite3.Connection] = (
        sqlite3.connect if scheme == "sqlite" else duckdb.connect  # type: ignore[assignment]
    )
    con = connects(str(tmp_path / "f.db"))
    con.execute("CREATE VIEW v AS SELECT a FROM t")
    con.close()
    with pytest.raises(UsageError, match="is a view, which is not replaced; name another table"):
        write(pa.table({"a": [2]}), f"{url}::v")
    assert read(f"{url}::v").to_arrow()["a"].to_pylist() == [1]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_schema_main_may_be_named(scheme: str, tmp_path: Path) -> None:
    write(pa.table({"a": [1]}), f"{scheme}:///{tmp_path}/f.db::main.t")
    assert read(f"{scheme}:///{tmp_path}/f.db::t").n_rows == 1
    assert read(f"{scheme}:///{tmp_path}/f.db::main.t").n_rows == 1


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0", b"\0" * 4096, b"DUCK" * 2000])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_no_database_is_refused(scheme: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "f.db").write_bytes(content)
    with pytest.raises(PrivsynthError):
        read(f"{scheme}:///{tmp_path}/f.db::t")
    assert (tmp_path / "f.db").read_bytes() == content


POSTGRESQL = os.environ.get("PRIVSYNTH_TEST_POSTGRESQL", "")
"""A URL without a table, such as ``postgresql://me:secret@localhost/test``."""


@pytest.mark.skipif(not POSTGRESQL, reason="PRIVSYNTH_TEST_POSTGRESQL names no database")
def test_a_server_says_which_tables_are_one() -> None:
    from adbc_driver_postgresql import dbapi

    write(pa.table({"a": [1]}), f"{POSTGRESQL}::privsynth_t")
    with dbapi.connect(POSTGRESQL) as con, con.cursor() as cursor:
        cursor.execute("CREATE VIEW privsynth_v AS SELECT a FROM privsynth_t")
        cursor.execute(
            "CREATE FUNCTION privsynth_f() RETURNS int LANGUAGE sql AS "
            "$$ INSERT INTO privsynth_t VALUES (2) RETURNING a $$"
        )
        cursor.execute("CREATE VIEW privsynth_w AS SELECT privsynth_f() AS a")
        con.commit()
        try:
            for source in ("privsynth_t", "privsynth_v"):
                with pytest.raises(UsageError, match="name another place for out"):
                    check_distinct(
                        {"data": f"{POSTGRESQL}::{source}"},
                        {"out": f"{POSTGRESQL.replace('localhost', '127.0.0.1')}::privsynth_t"},
                    )
            assert read(f"{POSTGRESQL}::privsynth_v").n_rows == 1
            with pytest.raises(DataError, match="is a view that reads outside the database"):
                read(f"{POSTGRESQL}::privsynth_w")
        finally:
            cursor.execute("DROP VIEW privsynth_v, privsynth_w")
            cursor.execute("DROP FUNCTION privsynth_f")
            cursor.execute("DROP TABLE privsynth_t")
            con.commit()


# ---------------------------------------------------------------- more rows than a batch

BATCH = 1024  # the driver's own, by which it would type a column
FIRST = {"nulls": [None], "integers": [1], "floats": [1.5], "texts": ["x"]}
LAST = {"an integer": 7, "a float": 2.5, "a text": "z", "a null": None, "a large integer": 2**60}


@pytest.mark.parametrize("rows", [BATCH, 70_000])
@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("last", LAST)
def test_a_late_value_of_sqlite_is_read_as_an_early_one(
    tmp_path: Path, rows: int, first: str, last: str
) -> None:
    with sqlite3.connect(tmp_path / "f.db") as con:
        con.execute("CREATE TABLE t (a, b INTEGER)")
        con.executemany("INSERT INTO t VALUES (?, 1)", [tuple(FIRST[first])] * rows)
        con.execute("INSERT INTO t VALUES (?, 1)", (LAST[last],))
        con.execute("CREATE TABLE s AS SELECT * FROM t LIMIT -1 OFFSET ?", (rows - 1,))
    con.close()
    url = f"sqlite:///{tmp_path}/f.db"
    for total in (False, True):
        long, short = (read(f"{url}::{name}", total=total) for name in ("t", "s"))
        assert long.n_rows == rows + 1
        assert long.schema == short.schema
        assert long.to_arrow()["a"].to_pylist()[-2:] == short.to_arrow()["a"].to_pylist()
    texts = read(f"{url}::t", total=True).to_arrow()["a"].to_pylist()
    assert texts[-1] == (None if LAST[last] is None else str(LAST[last]))


def test_a_hugeint_of_more_digits_than_a_decimal_is_refused_by_row_or_missing(
    tmp_path: Path,
) -> None:
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.execute(
            f"CREATE TABLE t AS SELECT i::HUGEINT AS a FROM (VALUES (1), ({2**127 - 1}), (3)) r(i)"
        )
    url = f"duckdb:///{tmp_path}/f.db::t"
    with pytest.raises(
        DataError, match=r"column 'a', row 2: holds a number of more than 38 digits"
    ):
        read(url).to_arrow()
    assert read(url, total=True).to_arrow()["a"].to_pylist() == [1, None, 3]
