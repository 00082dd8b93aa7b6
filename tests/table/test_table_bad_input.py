"""Bad input: one line that names file, place and remedy, never a value; no output."""

from __future__ import annotations

import errno
import gzip
import importlib
import re
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth.errors import (
    DataError,
    MachineError,
    MissingExtraError,
    PrivsynthError,
    StorageError,
    UsageError,
)
from privsynth.table import check_output, databases, delimited, open_writer, read, write

SECRET = "s3cr3t"


def refused(data: object, kind: type[PrivsynthError] = DataError, **options: str) -> str:
    """Read a table that is refused; return the message, checked to be one line without values."""
    with pytest.raises(kind) as caught:
        read(data, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", "t.csv: is empty"),
        (b"\n \n", "t.csv: is empty"),
        (b"a,b\n", "t.csv: has no rows"),
        (b"a\n", "t.csv: has no rows"),
        (b"a,a\n1,2\n", "column 'a' is in the header 2 times"),
        (b"a, \n1,2\n", "column 2 has no name"),
        (b"a,b\n1,2\ns3cr3t\n", "line 3: has 1 fields where the header has 2"),
        (b"a,b\n1,2\n1,s3cr3t,3\n", "line 3: has 3 fields"),
        (b'a,b\n"1\n2",2\n\n1,s3cr3t,3\n', "line 5: has 3 fields"),
        (b'a,b\n1,2\n3,"s3cr3t\n4,5\n', "line 3: a quotation mark is not closed"),
        (b'a,b\n1,2\n3,"4"s3cr3t\n', "line 3: a quotation mark is not closed"),
        (b'a,"b\n1,2\n', "line 1: a quotation mark is not closed"),
        (b"a,b\n1,2\n3,s3c\0r3t\n", "line 3: holds a NUL byte"),
        (b"a,b\n1,2\n3,s3cr3t\xe9\n", "line 3: is not UTF-8; .* --encoding latin-1"),
        ("a,b\n1,é\n".encode("utf-16"), "is not UTF-8; .* --encoding utf-16"),
        (b"a,b\n1,x\n-inf,x\n", "column 'a', row 2: holds an infinite value; replace it"),
        (b"a,b\n1,x\n2,y\nInfinity,x\n", "column 'a', row 3: holds an infinite value"),
    ],
)
def test_a_csv_file_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, wanted: str, large: bool
) -> None:
    if large:
        monkeypatch.setattr(delimited, "IN_MEMORY", -1)
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    message = refused(path)
    assert message.startswith(str(path))
    assert re.search(wanted, message), message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"", "is empty"),
        (b'{"a": 1}\n{"a": s3cr3t}\n', "line 2: is not JSON"),
        (b'{"a": 1}\n[1]\n', "line 2: is not a JSON object"),
        (b'{"a": 1}\n{"a": 1, "a": 2}\n', "line 2: key 'a' is given twice"),
        (b'{"a": 1}\n{"a": "s3cr3t"}\n', "line 2, column 'a': holds text .* a number"),
        (b'{"a": [1]}\n', "column 'a': holds list"),
        (b'{"a": {"b": 1}}\n', "column 'a': holds struct"),
        (b'{"a": 1.5}\n{"a": 9007199254740993}\n', "line 2, column 'a': .* a float would round"),
        (b'{"a": 18446744073709551616}\n', "line 1, column 'a': .* a float would round"),
        (b'{"a": Infinity}\n', "column 'a', row 1: holds an infinite value"),
        (b'{"a": "s3cr3t\xe9"}\n', "line 1: is not UTF-8"),
    ],
)
def test_json_lines_that_are_wrong(tmp_path: Path, text: bytes, wanted: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(text)
    message = refused(path)
    assert re.search(wanted, message), message


@pytest.mark.parametrize("suffix", [".parquet", ".feather", ".arrow", ".csv.gz", ".jsonl.gz"])
@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"s3cr3t" + b[:9]])
def test_a_damaged_file(tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"t{suffix}"
    write(pa.table({"a": np.random.default_rng(0).normal(size=1000)}), path)
    path.write_bytes(damage(path.read_bytes()))
    assert "is damaged" in refused(path)


def test_pages_that_are_damaged_are_told_when_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write(pa.table({"a": [f"{SECRET}{i}" for i in range(5000)]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:50] + b"\xff" * 5000 + whole[5050:])
    with pytest.raises(DataError, match="is damaged"):
        read(path).to_arrow()


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "t.csv", StorageError)
    assert "no Parquet files" in refused(tmp_path, StorageError)
    assert "no Parquet files" in refused(f"{tmp_path}/*.parquet", StorageError)
    assert "no such database" in refused(f"sqlite:///{tmp_path}/f.db::t", StorageError)
    assert "no such database" in refused(f"duckdb:///{tmp_path}/f.db::t", StorageError)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suffix_names_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"")
    message = refused(tmp_path / "t.xlsx", UsageError)
    assert ".xlsx is not a known suffix" in message
    assert ".parquet" in message


@pytest.mark.parametrize("encoding", ["utf-9", "rot13", "hex"])
def test_an_unknown_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(b"a\n1\n")
    assert "such as utf-8" in refused(tmp_path / "t.csv", UsageError, encoding=encoding)


def test_a_name_that_comes_twice_in_parquet_is_told(tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")
    assert "column 'a' is in the header 2 times" in refused(tmp_path / "t.parquet")


def test_parquet_files_of_other_columns_are_not_mixed(tmp_path: Path) -> None:
    write(pa.table({"a": [1]}), tmp_path / "1.parquet")
    write(pa.table({"b": [1]}), tmp_path / "2.parquet")
    assert "2.parquet: has other columns" in refused(tmp_path)
    (tmp_path / "2.csv").write_text("a\n1\n")
    assert "2.csv is not a Parquet file" in refused(f"{tmp_path}/[0-9].*")


def test_tables_missing_from_a_database_name_the_nearest(tmp_path: Path) -> None:
    for scheme in ("duckdb", "sqlite"):
        url = f"{scheme}:///{tmp_path}/{scheme}.db"
        write(pa.table({"a": [1]}), f"{url}::loans")
        assert "did you mean 'loans'" in refused(f"{url}::loan")
        assert "end the URL with ::TABLE" in refused(url, UsageError)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    (tmp_path / "f.db").write_bytes(b"")
    monkeypatch.setattr(importlib, "import_module", missing)
    url = f"sqlite:///{tmp_path}/f.db::t"
    assert "pip install 'privsynth[sqlite]'" in refused(url, MissingExtraError)
    with pytest.raises(MissingExtraError):
        check_output(url)


def test_a_password_is_not_shown() -> None:
    url = f"postgresql://user:{SECRET}@localhost:1/db"
    refused(f"{url}::t", StorageError)
    refused(url, UsageError)


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (pd.DataFrame({"a": [1, SECRET]}), "column 'a': holds values of mixed types"),
        (pd.DataFrame({"a": [1.5, True]}, dtype=object), "mixed types"),
        (pd.DataFrame({"a": [2**70]}), "beyond 64 bits"),
        (pd.DataFrame({0: [1]}), "column name 0 is not text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column 'a' is in the header 2 times"),
        (pd.DataFrame({"a": [1.0, np.inf]}), "column 'a', row 2: holds an infinite value"),
        (pd.DataFrame({"a": [[1]]}), "column 'a': holds list"),
        (pd.DataFrame({"a": [SECRET.encode()]}), "column 'a': holds binary"),
        (pd.DataFrame({"a": []}), "has no rows"),
        (pd.DataFrame(index=[1]), "has no columns"),
        (pl.DataFrame({"a": [object()]}), "column 'a': holds Python objects"),
        (pa.table([[1], [2]], names=["a", "a"]), "column 'a' is in the header 2 times"),
    ],
)
def test_a_frame_that_is_wrong(frame: object, wanted: str) -> None:
    assert wanted in refused(frame)


@pytest.mark.parametrize("data", [None, 1, [1], pd.Series([1]), pl.Series([1])])
def test_what_is_no_table(data: object) -> None:
    assert "is not a table" in refused(data, UsageError)


# ---------------------------------------------------------------- output


def test_an_output_that_could_not_be_written_is_told_beforehand(tmp_path: Path) -> None:
    for out, kind, wanted in [
        (tmp_path / "none" / "t.csv", StorageError, "folder does not exist"),
        (tmp_path / "t.xlsx", UsageError, "not a known suffix"),
        (tmp_path, UsageError, "is a folder"),
        (f"duckdb:///{tmp_path}/none/f.db::t", StorageError, "folder does not exist"),
        (f"sqlite:///{tmp_path}/f.db", UsageError, "end the URL with ::TABLE"),
    ]:
        with pytest.raises(kind, match=wanted):
            check_output(out)
    check_output(tmp_path / "t.csv")
    check_output("-")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_may_not_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    with pytest.raises(StorageError, match="permission denied"):
        check_output(tmp_path / "t.csv")


def interrupted(
    out: Path | str, table: pa.Table, error: type[BaseException] = KeyboardInterrupt
) -> None:
    with open_writer(out, table.schema) as writer:
        writer.write(table)
        raise error


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".parquet", ".feather"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_run_leaves_the_old_file_alone(
    tmp_path: Path, suffix: str, error: type[BaseException]
) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_bytes(b"old")
    table = pa.table({"a": [1], "c": pa.array(["x"]).dictionary_encode()})
    with pytest.raises(error):
        interrupted(path, table, error)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [(path.name, b"old")]


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
def test_an_interrupted_run_leaves_the_old_database_alone(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}:///{tmp_path}/f.db::t"
    table = pa.table({"a": [1]})
    with pytest.raises(KeyboardInterrupt):
        interrupted(url, table)
    assert list(tmp_path.iterdir()) == []
    write(table, url)
    with pytest.raises(KeyboardInterrupt):
        interrupted(url, pa.table({"a": [2]}))
    assert read(url).to_arrow().equals(table)


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".jsonl", ".parquet", ".feather"])
def test_a_full_disk_is_the_machines_failure(tmp_path: Path, suffix: str) -> None:
    table = pa.table({"a": np.random.default_rng(0).normal(size=100_000)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(MachineError, match="free space"):
            write(table, tmp_path / f"t{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize("told", ["No space left on device", "database or disk is full"])
def test_a_database_on_a_full_disk_leaves_nothing(
    tmp_path: Path, scheme: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("adbc_driver_sqlite")

    class Full(databases.DatabaseSink):
        """The last step fails as on a full disk, which ends the transaction."""

        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            self._con = Mock(wraps=self._con)
            self._con.commit.side_effect = duckdb.Error(told)
            self._con.rollback.side_effect = duckdb.TransactionException("none is active")

    monkeypatch.setattr(databases, "DatabaseSink", Full)
    with pytest.raises(MachineError, match=r"f\.db::t: the disk is full; free space"):
        write(pa.table({"a": [1]}), f"{scheme}:///{tmp_path}/f.db::t")
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_would_mix_up_two_names(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="differ only in case"):
        write(pa.table({"a": [1], "A": [2]}), f"duckdb:///{tmp_path}/f.db::t")


def test_gzip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(b"a\n1\n")
    assert "is damaged" in refused(tmp_path / "t.csv.gz")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"a\n1\n") + gzip.compress(b"2\n"))
    assert read(tmp_path / "t.csv.gz").n_rows == 2
