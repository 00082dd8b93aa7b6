"""Files that change while they are read lazily, between or during passes, are refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from privsynth.errors import StorageError
from privsynth.table import Table, delimited, read, reading, write
from privsynth.table.fingerprint import END_BYTES, Fingerprint

ROWS = 20_000
SUFFIXES = [".csv", ".csv.gz", ".tsv", ".parquet", ".feather", ".arrow"]


@pytest.fixture(autouse=True)
def lazily(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep no table in memory, however small it is."""
    monkeypatch.setattr(delimited, "IN_MEMORY", -1)
    monkeypatch.setattr(reading, "MAX_CELLS_IN_MEMORY", -1)


def rows(add: int = 0, count: int = ROWS) -> pa.Table:
    return pa.table({"a": pa.array(range(add, add + count)), "b": ["x", "y"] * (count // 2)})


@pytest.fixture(params=SUFFIXES)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"t{request.param}"
    write(rows(), path)
    return path


def replaced(path: Path) -> None:
    other = path.with_name(f"other{''.join(path.suffixes)}")
    write(rows(add=1), other)
    other.replace(path)


def rewritten(path: Path) -> None:
    """Change one byte in place, and set the times back."""
    status = path.stat()
    with path.open("r+b") as raw:
        raw.seek(status.st_size // 2)
        byte = raw.read(1)
        raw.seek(status.st_size // 2)
        raw.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def appended(path: Path) -> None:
    with path.open("ab") as raw:
        raw.write(b"7,x\n")


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def removed(path: Path) -> None:
    path.unlink()


CHANGES = [replaced, rewritten, appended, truncated, removed]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_passes_is_refused_by_name(
    path: Path, change: Callable[[Path], None]
) -> None:
    table = read(path)
    assert table.value_counts("b")[1].tolist() == [ROWS // 2] * 2
    change(path)
    for use in (lambda: table.value_counts("a"), lambda: list(table.batches()), table.to_arrow):
        with pytest.raises(
            StorageError, match="changed while it was read; run again on a copy"
        ) as e:
            use()
        assert str(e.value).startswith(f"{path}: ")


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_during_a_pass_is_refused_before_its_result_is_used(
    path: Path, change: Callable[[Path], None]
) -> None:
    batches = read(path).scan(["a", "b"])
    next(batches)
    change(path)
    with pytest.raises(StorageError, match="changed while it was read"):
        list(batches)


@pytest.mark.parametrize("change", CHANGES)
def test_a_text_file_that_changes_while_it_is_opened_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    monkeypatch.undo()  # a small file is opened in several passes, too
    path = tmp_path / "t.csv"
    write(rows(), path)
    surveyed = delimited.TextFile.survey

    def survey(file: delimited.TextFile, *given: bool, **named: bool) -> object:
        found = surveyed(file, *given, **named)
        change(path)
        return found

    monkeypatch.setattr(delimited.TextFile, "survey", survey)
    with pytest.raises(StorageError, match="changed while it was read"):
        read(path)


def test_json_lines_that_change_while_they_are_opened_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.jsonl"
    write(rows(count=10), path)
    surveyed = delimited.TextFile.survey

    def survey(file: delimited.TextFile, *given: bool, **named: bool) -> object:
        found = surveyed(file, *given, **named)
        appended(path)
        return found

    monkeypatch.setattr(delimited.TextFile, "survey", survey)
    for total in (False, True):
        with pytest.raises(StorageError, match="changed while it was read"):
            read(path, total=total)


def test_a_folder_names_the_file_that_changed(tmp_path: Path) -> None:
    for i in range(3):
        write(rows(add=i, count=100), tmp_path / f"{i}.parquet")
    table = read(tmp_path)
    write(rows(add=9, count=100), tmp_path / "1.parquet")
    with pytest.raises(StorageError, match=r"1\.parquet: changed while it was read"):
        table.value_counts("a")


def test_a_duckdb_file_that_is_replaced_is_refused(tmp_path: Path) -> None:
    write(rows(count=100), f"duckdb:///{tmp_path}/f.db::t")
    write(rows(add=1, count=100), f"duckdb:///{tmp_path}/g.db::t")
    table = read(f"duckdb:///{tmp_path}/f.db::t")
    table.value_counts("a")
    (tmp_path / "g.db").replace(tmp_path / "f.db")
    with pytest.raises(StorageError, match=r"f\.db: changed while it was read"):
        table.value_counts("b")


def test_a_sqlite_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("adbc_driver_sqlite")
    from privsynth.table import databases

    url = f"sqlite:///{tmp_path}/f.db::t"
    write(rows(count=100), url)
    stored = databases._with_arrow_types

    def slowly(table: pa.Table) -> pa.Table:
        appended(tmp_path / "f.db")
        return stored(table)

    monkeypatch.setattr(databases, "_with_arrow_types", slowly)
    with pytest.raises(StorageError, match=r"f\.db: changed while it was read"):
        read(url)


def test_a_file_that_stays_is_read_as_often_as_asked(path: Path) -> None:
    table = read(path)
    path.read_bytes()
    assert table.to_arrow().equals(table.to_arrow())
    assert isinstance(table, Table)


@pytest.mark.parametrize("size", [0, 10, END_BYTES, END_BYTES + 1, 3 * END_BYTES])
@pytest.mark.parametrize("place", ["head", "tail"])
def test_both_ends_of_a_file_are_digested(tmp_path: Path, size: int, place: str) -> None:
    """The check is of the digest, since some file systems keep no precise times."""
    path = tmp_path / "f"
    path.write_bytes(b"\0" * size)
    (before,) = Fingerprint.of([path]).marks.values()
    with path.open("r+b") as raw:
        raw.seek(0 if place == "head" or size == 0 else size - 1)
        raw.write(b"\1")
    (after,) = Fingerprint.of([path]).marks.values()
    assert before is not None
    assert after is not None
    assert before[-1] != after[-1]
