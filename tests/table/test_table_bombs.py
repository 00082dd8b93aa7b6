"""Compression bombs and hostile types are refused in one line."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from privsynth.errors import DataError, PrivsynthError, StorageError
from privsynth.schema.inference import infer
from privsynth.table import limits, read, reading, to_frame
from privsynth.table.limits import LINE

SECRET = "s3cr3t"
MANY = "x" * (LINE + (1 << 21))


def refused(data: object, kind: type[PrivsynthError] = DataError, **options: Any) -> str:
    with pytest.raises(kind) as caught:
        read(data, **options).to_arrow()
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits low enough for a test to reach."""
    monkeypatch.setattr(limits, "UNPACKED", 1 << 20)
    monkeypatch.setattr(limits, "CELLS", 1 << 17)
    monkeypatch.setattr(limits, "SPARSE", 1 << 12)


# ---------------------------------------------------------------- text


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize(
    ("name", "line"),
    [("t.csv.gz", b"0,0\n"), ("t.tsv.gz", b"0\t0\n"), ("t.jsonl.gz", b'{"a":0}\n')],
)
def test_a_gzip_bomb_is_refused(
    small: None, tmp_path: Path, name: str, line: bytes, total: bool
) -> None:
    (tmp_path / name).write_bytes(gzip.compress(line * (1 << 20)))
    message = refused(tmp_path / name, total=total)
    assert f"{name}: unpacks to more than 200 times its size" in message


def test_a_gzip_of_many_members_is_counted_whole(small: None, tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"0,0\n" * 60_000) * 8)
    assert "unpacks to more than" in refused(tmp_path / "t.csv.gz")


def test_a_table_that_packs_well_is_read(small: None, tmp_path: Path) -> None:
    """Constant columns beside a digit: packed 27-fold, above the size always allowed."""
    digits = np.random.default_rng(0).integers(0, 10, 60_000)
    rows = "".join(f"0,0,0,NA,false,{digit}\n" for digit in digits)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(("a,b,c,d,e,f\n" + rows).encode()))
    assert read(tmp_path / "t.csv.gz").n_rows == 60_000


WATCHED = """
import resource, subprocess, sys
run = subprocess.run([sys.executable, "-m", *sys.argv[1:]], stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(run.returncode)
"""
# A small process between: the peak of a child counts the memory of the process that forked it.


@pytest.mark.slow
@pytest.mark.parametrize("command", ["schema", "fit"])
def test_five_mib_that_unpack_to_three_gb_end_in_exit_2_in_flat_memory(
    tmp_path: Path, command: str
) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"0,0\n" * (1 << 24)) * 50)
    output = ["-o", str(tmp_path / "m.psyn")] if command == "fit" else []
    run = subprocess.run(
        [sys.executable, "-c", WATCHED, "privsynth", command, str(path), *output],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    (line,) = run.stderr.splitlines()
    assert "unpacks to more than" in line
    assert int(run.stdout) < 1 << 20
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv.gz"]


ROWS = {"field.csv", "commas.csv", "quote.csv", "quoted.csv", "returns.csv", "line.jsonl"}


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("field.csv", f"a,b\n1,{MANY}\n", "line 2: a row is longer than 16 MiB"),
        ("header.csv", f"{MANY}\n1\n", "line 1: a row is longer than 16 MiB"),
        ("names.csv", "a," * (LINE // 2 + (1 << 20)) + "b\n1\n", "a row is longer than 16 MiB"),
        ("commas.csv", "a,b\n" + "," * len(MANY) + "\n", "line 2: a row is longer than 16 MiB"),
        ("quote.csv", 'a,b\n1,"' + "xxxxxxx\n" * (LINE // 8 + 9), "a row is longer than 16 MiB"),
        ("quoted.csv", "a,b\n1,2\n1" + ',"x\n"' * (LINE // 5 + 99), "a row is longer than 16 MiB"),
        ("quoted-header.csv", "a" + ',"x\n"' * (LINE // 5 + 99), "a row is longer than 16 MiB"),
        ("returns.csv", f"a,b\r1,{MANY}\r", "line 2: a row is longer than 16 MiB"),
        ("wide.csv", ",".join(f"c{i}" for i in range(20_000)) + "\n", "has 20000 columns"),
        ("same.csv", "a," * 20_000 + "b\n1\n", "has 20001 columns"),
        ("line.jsonl", f'{{"a": 1}}\n{{"a": "{MANY}"}}\n', "line 2: a row is longer than 16 MiB"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith((".csv", "l")) else "",
)
def test_rows_and_headers_without_an_end(
    tmp_path: Path, name: str, text: str, wanted: str, total: bool
) -> None:
    (tmp_path / name).write_text(text, newline="")
    if total and name in ROWS:
        # Under a budget no row is refused for its length: what is too long of it is left out.
        assert read(tmp_path / name, total=True).n_rows > 0
        return
    message = refused(tmp_path / name, total=total)
    assert wanted in message
    assert len(message) < 1000


@pytest.mark.parametrize("depth", [300, 100_000, 1_000_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a": ', "}")])
def test_json_that_nests_without_an_end(tmp_path: Path, depth: int, start: str, end: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n\n\n{"a": ' + start * depth + "1" + end * depth + "}\n")
    assert len(refused(path)) < 1000


def test_brackets_in_texts_nest_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps({"a": "[{" * 50_000}) + "\n")
    assert read(path).to_arrow()["a"].to_pylist() == ["[{" * 50_000]


@pytest.mark.parametrize("total", [False, True])
def test_json_lines_whose_keys_all_differ(small: None, tmp_path: Path, total: bool) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text("".join(f'{{"k{i}":{i}}}\n' for i in range(2000)))
    assert "most of which lack most keys" in refused(path, total=total)


def test_json_lines_whose_keys_differ_after_the_first_mib(small: None, tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    same = '{"a": 1, "b": "x"}\n' * 70_000
    path.write_text(same + "".join(f'{{"k{i}":{i}}}\n' for i in range(2000)))
    assert "most of which lack most keys" in refused(path)


def test_json_lines_with_a_type_or_key_that_comes_late_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1, "b": "x"}\n' * 70_000 + '{"a": 1.5, "c": true}\n')
    rows = read(path).to_arrow()
    assert rows.schema.types == [pa.float64(), pa.string(), pa.bool_()]
    assert rows.slice(70_000).to_pylist() == [{"a": 1.5, "b": None, "c": True}]


def test_standard_input_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PIPED", 1 << 22)

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            assert size > 0, "asks for all of it"
            return b"1\n" * (size // 2)

    monkeypatch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Endless()}))
    assert "standard input: is longer than 4 MiB" in refused("-")


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet", "t.feather"])
def test_a_device_is_no_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to("/dev/zero")
    assert "is not a regular file" in refused(tmp_path / name, StorageError)


# ---------------------------------------------------------------- Parquet, Arrow, DuckDB


def zeros(n: int) -> pa.Table:
    return pa.table({"a": np.zeros(n, dtype=np.int64), "b": np.zeros(n, dtype=np.int64)})


def test_parquet_that_declares_rows_without_bytes(small: None, tmp_path: Path) -> None:
    pq.write_table(zeros(2_000_000), tmp_path / "t.parquet")
    assert "declares 2000000 rows of 2 columns in" in refused(tmp_path / "t.parquet")
    assert "declares 2000000 rows of 2 columns in" in refused(tmp_path)


@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_parquet_that_unpacks_to_far_more(small: None, tmp_path: Path, compression: str) -> None:
    rows = pa.table({"a": ["x" * 1_000_000] * 10})
    pq.write_table(rows, tmp_path / "t.parquet", compression=compression, use_dictionary=False)
    assert "unpacks to more than" in refused(tmp_path / "t.parquet")


def test_parquet_whose_dictionary_spells_out_to_far_more(small: None, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": ["x" * 100_000] * 100}), tmp_path / "t.parquet")
    assert "unpacks to more than" in refused(tmp_path / "t.parquet")


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("make", [pa.ipc.new_file, pa.ipc.new_stream])
@pytest.mark.parametrize("suffix", [".feather", ".arrow"])
def test_arrow_that_unpacks_to_far_more(
    small: None, tmp_path: Path, compression: str, make: Any, suffix: str
) -> None:
    path = tmp_path / f"t{suffix}"
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with make(path, zeros(1).schema, options=options) as writer:
        writer.write_table(zeros(1_000_000))
    assert "unpacks to more than" in refused(path)


def test_arrow_whose_buffers_claim_lengths_that_no_machine_has(tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    rows = pa.table({"a": np.arange(1000)})
    with pa.ipc.new_file(path, rows.schema, options=options) as writer:
        writer.write_table(rows)
    claimed, content = (8000).to_bytes(8, "little"), path.read_bytes()
    assert content.count(claimed) == 1
    path.write_bytes(content.replace(claimed, (1 << 45).to_bytes(8, "little")))
    assert "unpacks to more than" in refused(path)


def test_arrow_that_declares_rows_without_buffers(small: None, tmp_path: Path) -> None:
    path = tmp_path / "t.arrow"
    rows = pa.table({"a": pa.nulls(5_000_000)})
    with pa.ipc.new_file(path, rows.schema) as writer:
        writer.write_table(rows)
    assert "declares 5000000 rows" in refused(path)


def test_duckdb_that_declares_rows_without_bytes(small: None, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "f.db")) as con:
        con.execute("CREATE VIEW t AS SELECT 1 AS a FROM range(1000000000000)")
    assert "rows of 1 columns" in refused(f"duckdb:///{tmp_path}/f.db::t")


@pytest.mark.parametrize("scheme", ["duckdb", "sqlite"])
@pytest.mark.parametrize(
    "content", [b"", b"s3cr3t", b"SQLite format 3\0" + b"\0" * 200, b"\1" * 9999]
)
def test_a_file_that_is_no_database(tmp_path: Path, scheme: str, content: bytes) -> None:
    pytest.importorskip("adbc_driver_sqlite")
    (tmp_path / "f.db").write_bytes(content)
    refused(f"{scheme}:///{tmp_path}/f.db::t", PrivsynthError)


# ---------------------------------------------------------------- hostile columns


def text(offsets: list[int], characters: bytes) -> pa.Array:
    buffers = [None, pa.py_buffer(np.array(offsets, np.int32)), pa.py_buffer(characters)]
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)


def coded(codes: list[int], values: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), values, safe=False)


DAMAGED = {
    "characters": text([0, 1, 3], b"a\xff\xfe"),
    "offsets": text([0, 1000, 3], b"abc"),
    "codes": coded([0, 9999], pa.array(["a", "b"])),
    "negative codes": coded([0, -5], pa.array(["a", "b"])),
    "dictionary": coded([0, 1], text([0, 1000, 3], b"abc")),
    "codes of times": coded([0, 9999], pa.array([1, 2], pa.timestamp("us"))),
}


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_column_is_refused_at_every_door(tmp_path: Path, case: str, total: bool) -> None:
    rows = pa.table({"a": DAMAGED[case], "b": [1, 2]})
    if total and case == "characters":
        assert read(rows, total=True).to_arrow()["a"].to_pylist() == ["a", None]
        return
    assert "column 'a': is damaged" in refused(rows, total=total)
    assert "column 'a': is damaged" in refused(rows.to_batches()[0], total=total)
    for make in (pa.ipc.new_file, pa.ipc.new_stream):
        with make(tmp_path / "t.arrow", rows.schema) as writer:
            writer.write_table(rows)
        assert "column 'a': is damaged" in refused(tmp_path / "t.arrow", total=total)


def test_text_in_parquet_that_is_no_text_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": DAMAGED["characters"]}), tmp_path / "t.parquet")
    assert "column 'a': is damaged" in refused(tmp_path / "t.parquet")


UNKNOWN = {
    "decimal256": pa.array([Decimal("1" * 50)], pa.decimal256(60, 2)),
    "negative scale": pa.array([Decimal(100)], pa.decimal128(5, -2)),
    "zone": pa.array([1], pa.timestamp("us", "Nowhere/X")),
    "zone that is a path": pa.array([1], pa.timestamp("us", "../../etc/passwd")),
    "zone that is a folder": pa.array([1], pa.timestamp("us", "America")),
    "offset": pa.array([1], pa.timestamp("us", "+25:00")),
    "zone of levels": pa.array([1], pa.timestamp("us", "Nowhere/X")).dictionary_encode(),
    "interval": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "duration": pa.array([1], pa.duration("s")),
    "union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
    "list": pa.array([[1]]),
    "map": pa.array([[("s3cr3t", 1)]], pa.map_(pa.string(), pa.int64())),
    "struct": pa.array([{"s3cr3t": 1}]),
    "run-end": pa.RunEndEncodedArray.from_arrays([1], [5]),
    "dictionary of dictionary": coded([0], pa.array(["a"]).dictionary_encode()),
    "extension": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1"])),
    "binary": pa.array([b"s3cr3t"]),
}


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("case", UNKNOWN)
def test_a_type_that_no_column_may_have(tmp_path: Path, case: str, total: bool) -> None:
    rows = pa.table({"a": UNKNOWN[case]})
    assert "column 'a': holds" in refused(rows, total=total)
    with pa.ipc.new_file(tmp_path / "t.arrow", rows.schema) as writer:
        writer.write_table(rows)
    refused(tmp_path / "t.arrow", total=total)


FAR = {
    "seconds": pa.array([0, 2**62], pa.timestamp("s")),
    "microseconds": pa.array([0, -(2**63)], pa.timestamp("us")),
    "days": pa.array([0, 2**31 - 1], pa.date32()),
    "year 0": pa.array([0, -719_163], pa.date32()),
    "year 10000": pa.array([0, 2_932_897], pa.date32()),
    "milliseconds": pa.array([0, 2**62], pa.int64()).view(pa.date64()),
    "levels": pa.array([0, 2**62], pa.timestamp("s")).dictionary_encode(),
    "times of day": pa.array([0, 2**62], pa.int64()).view(pa.time64("ns")),
    "zoned": pa.array([0, 253_402_300_799], pa.timestamp("s", "Pacific/Kiritimati")),
}


@pytest.mark.parametrize("case", FAR)
def test_a_time_without_a_year_is_refused_with_its_row_or_missing_under_a_budget(
    tmp_path: Path, case: str
) -> None:
    rows = pa.table({"a": FAR[case]})
    with pa.ipc.new_file(tmp_path / "t.arrow", rows.schema) as writer:
        writer.write_table(rows)
    for door in (rows, tmp_path / "t.arrow"):
        assert "column 'a', row 2: holds a time outside" in refused(door)
        assert read(door, total=True).to_arrow()["a"].is_valid().to_pylist() == [True, False]


def test_the_first_and_last_year_are_read() -> None:
    days = [datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]
    times = [datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)]
    rows = pa.table({"a": pa.array(days), "b": pa.array(times, pa.timestamp("us"))})
    assert read(rows).to_arrow().equals(rows)


@pytest.mark.parametrize(
    "texts",
    [
        ["0000-01-01"],
        ["0000-01-01T10:00:00"],
        ["01/13/0000"],
        ["9999-12-31T23:59:59-14:00", "2020-01-01T00:00:00Z"],
    ],
)
def test_a_year_that_python_has_not_stays_text(tmp_path: Path, texts: list[str]) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "\n".join(texts) + "\n")
    rows = read(tmp_path / "t.csv")
    assert rows.to_arrow()["a"].to_pylist() == texts
    infer(rows)


def test_date64_off_a_whole_day_is_floored(tmp_path: Path) -> None:
    """One ms before 1970 lies on the last day of 1969; Arrow's own cast refuses or cuts."""
    ticks = pa.array([-1, 0, 86_400_001, None], pa.int64()).view(pa.date64())
    days = [datetime.date(1969, 12, 31), datetime.date(1970, 1, 1), datetime.date(1970, 1, 2), None]
    with pa.ipc.new_file(tmp_path / "t.arrow", pa.schema([("a", pa.date64())])) as writer:
        writer.write_table(pa.table({"a": ticks}))
    for door in (
        pa.table({"a": ticks}),
        pa.table({"a": ticks.dictionary_encode()}),
        tmp_path / "t.arrow",
    ):
        for total in (False, True):
            column = read(door, total=total).to_arrow()["a"]
            assert column.to_pylist() == days


@pytest.mark.parametrize(
    "column",
    [
        coded([0, 1], pa.array(["a", None])),
        coded([0, 1], pa.array(["a", "a"])),
        coded([0, 1], pa.nulls(2)),
        coded([0, 1], pa.array([1.0, float("nan")])),
    ],
)
def test_levels_that_are_null_or_come_twice_are_read(column: pa.Array) -> None:
    rows = read(pa.table({"a": column}))
    infer(rows)
    frame = to_frame(rows.to_arrow(), "pandas")
    wanted = [None if value != value else value for value in column.to_pylist()]
    assert frame["a"].astype(object).where(frame["a"].notna(), None).tolist() == wanted


def test_a_fixed_offset_reaches_polars_as_utc() -> None:
    polars = pytest.importorskip("polars")
    rows = pa.table({"a": pa.array([0], pa.timestamp("us", "+0530"))})
    frame = to_frame(read(rows).to_arrow(), "polars")
    assert frame["a"].dtype == polars.Datetime("us", "UTC")


# ---------------------------------------------------------------- folders of Parquet

TYPED = {
    "integers": pa.array([1, 2]),
    "texts": pa.array(["x", "y"]),
    "levels": pa.array(["x", "y"]).dictionary_encode(),
    "ranks": pa.array([5, 6]).dictionary_encode(),
    "days": pa.array([1, 2], pa.date32()),
    "zoned": pa.array([1, 2], pa.timestamp("us", "Europe/Berlin")),
    "flags": pa.array([True, False]),
    "amounts": pa.array([1, 2], pa.decimal128(10, 2)),
    "nothing": pa.nulls(2),
}


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("folders", ["", "p="])
@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("case", TYPED)
def test_a_column_without_a_value_in_one_file_fits_any_type(
    tmp_path: Path,
    case: str,
    first: int,
    folders: str,
    total: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = [TYPED[case], pa.nulls(2)]
    parts = [pa.table({"a": [1, 2], "c": column}) for column in values][:: 1 - 2 * first]
    for i, part in enumerate(parts):
        folder = tmp_path / f"{folders}{i}"
        folder.mkdir()
        pq.write_table(part, folder / "t.parquet")
    wanted = [value for part in parts for value in part["c"].to_pylist()]
    for most in (reading.MAX_CELLS_IN_MEMORY, -1):
        monkeypatch.setattr(reading, "MAX_CELLS_IN_MEMORY", most)
        table = read(tmp_path, total=total)
        assert table.to_arrow(["c"])["c"].to_pylist() == wanted
        assert table.value_counts("c")[2] == sum(value is None for value in wanted)


def test_files_of_other_types_still_differ_beside_one_without_a_value(tmp_path: Path) -> None:
    for i, column in enumerate([pa.nulls(1), pa.array([1]), pa.array(["x"])]):
        pq.write_table(pa.table({"a": column}), tmp_path / f"{i}.parquet")
    assert "2.parquet: has other columns or types" in refused(tmp_path)
