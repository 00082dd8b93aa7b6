"""Every door through which rows come in: one odd row changes nothing for the others, or for words.

Neighbours differ in one row of odd values, as each kind of file and frame can hold it. The codes of
all other rows are the same, the loss is within the ledger, and so are exit codes and messages.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from audits import Case, check_loss, check_silence
from click.testing import CliRunner

from privsynth import MinoritySampler, pipeline
from privsynth.cli.program import main
from privsynth.coding import reading
from privsynth.coding.declared import check_declared, declared_codec
from privsynth.errors import DataError
from privsynth.privacy.budget import Budget
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema
from privsynth.table import Table, frames, jsonlines, read, rows

SECRET = "SECRET-4711"
DAYS = Bounds("2000-01-01", "2030-12-31")


def column(name: str, kind: Kind, dtype: str, domain: Any = None, **more: Any) -> Column:
    return Column(name, kind, dtype, domain, source=Source.DECLARED, **more)


SCHEMA = Schema(
    (
        column("who", Kind.ID, "string"),
        column("job", Kind.CATEGORICAL, "string", Levels(("clerk", "nurse"))),
        column("grade", Kind.ORDINAL, "int64", Levels((1, 2, 3))),
        column("age", Kind.INTEGER, "int64", Bounds(0, 9)),
        column("ill", Kind.BOOLEAN, "bool"),
        column("own", Kind.CATEGORICAL, "int64", Levels((0, 1))),
        column("paid", Kind.NUMERIC, "double", Bounds(0, 5), decimals=1),
        column("share", Kind.NUMERIC, "float", Bounds(0, 1)),
        column("seen", Kind.DATETIME, "timestamp[us]", DAYS, format="%Y-%m-%d %H:%M:%S"),
        column("out", Kind.CATEGORICAL, "string", Levels(("no", "yes")), role=Role.TARGET),
    )
)
NAMES = list(SCHEMA.names)
CODEC = declared_codec(check_declared(SCHEMA, NAMES, "t"))


def clean(n: int = 40) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    start = datetime.datetime(2024, 1, 31)
    return [
        {
            "who": f"p{i}",
            "job": ("clerk", "nurse")[i % 2],
            "grade": 1 + i % 3,
            "age": int(rng.integers(10)),
            "ill": bool(rng.random() < 0.5),
            "own": bool(rng.random() < 0.5),
            "paid": round(float(rng.random() * 5), 1),
            "share": 0.25 * (i % 4),
            "seen": start + datetime.timedelta(days=29 * i, hours=7),
            "out": "yes" if rng.random() < 0.4 else "no",
        }
        for i in range(n)
    ]


ROWS = clean()
FIRST = ROWS[0]
TYPES = pa.schema(
    [
        ("who", pa.string()),
        ("job", pa.string()),
        ("grade", pa.int64()),
        ("age", pa.int64()),
        ("ill", pa.bool_()),
        ("own", pa.bool_()),
        ("paid", pa.float64()),
        ("share", pa.float32()),
        ("seen", pa.timestamp("us")),
        ("out", pa.string()),
    ]
)


# ------------------------------------------------------------------ doors


def delimited(mark: str) -> Callable[[Path, Any], Path]:
    def write(place: Path, odd: bytes | None) -> Path:
        lines = [mark.join(NAMES)]
        lines += [mark.join(str(row[name]) for name in NAMES) for row in ROWS]
        raw = [line.encode() for line in lines]
        half = 21  # the header, and as many rows as elsewhere
        raw = raw if odd is None else [*raw[:half], odd.replace(b",", mark.encode()), *raw[half:]]
        path = place / ("t.csv" if mark == "," else "t.tsv")
        path.write_bytes(b"\n".join(raw) + b"\n")
        return path

    return write


def json_lines(place: Path, odd: bytes | None) -> Path:
    raw = [json.dumps({**row, "seen": str(row["seen"])}).encode() for row in ROWS]
    raw = raw if odd is None else [*raw[:20], odd, *raw[20:]]
    path = place / "t.jsonl"
    path.write_bytes(b"\n".join(raw))
    return path


def arrow_table(odd: dict[str, Any] | None) -> pa.Table:
    table = pa.Table.from_pylist(ROWS, TYPES)
    if odd is None:
        return table
    one = [odd[n] if isinstance(odd.get(n), pa.Array) else pa.array([odd.get(n, FIRST[n])], t)
           for n, t in zip(NAMES, TYPES.types, strict=True)]  # fmt: skip
    middle = pa.Table.from_arrays(one, schema=TYPES)
    return pa.concat_tables([table[:20], middle, table[20:]])


def arrow(place: Path, odd: Any) -> pa.Table:
    return arrow_table(odd)


def parquet(place: Path, odd: Any) -> Path:
    pq.write_table(arrow_table(odd), place / "t.parquet", row_group_size=7)
    return place / "t.parquet"


def parquet_folder(place: Path, odd: dict[str, Any] | None) -> Path:
    """Let pandas choose the types of each file: a gap in one turns its integers into floats."""
    folder = place / "t"
    folder.mkdir(exist_ok=True)
    grown = pandas_grown(place, odd)
    for i, part in enumerate((grown[:25], grown[25:])):
        part.infer_objects().to_parquet(folder / f"{i}.parquet")
    return folder


def feather(place: Path, odd: Any) -> Path:
    pf.write_feather(arrow_table(odd), place / "t.feather")
    return place / "t.feather"


def sqlite(place: Path, odd: dict[str, Any] | None) -> str:
    file = place / "t.db"
    file.unlink(missing_ok=True)
    con = sqlite3.connect(file)
    con.execute("CREATE TABLE t (who TEXT, job TEXT, grade INTEGER, age INTEGER, ill, own,"
                " paid REAL, share, seen TEXT, out TEXT)")  # fmt: skip
    held = [{**row, "seen": str(row["seen"])} for row in ROWS]
    odds = [] if odd is None else [{**held[0], **odd}]
    for row in [*held[:20], *odds, *held[20:]]:
        # SQLite keeps bytes as text where it is told that they are.
        slot = "CAST(? AS TEXT)" if row["job"] == b"\xff\xfe" else "?"
        con.execute(f"INSERT INTO t VALUES ({','.join([slot] * len(NAMES))})", [*row.values()])
    con.commit()
    con.close()
    return f"sqlite:///{file}::t"


def duck(place: Path, odd: Any) -> str:
    file = place / "t.duckdb"
    file.unlink(missing_ok=True)
    with duckdb.connect(str(file)) as con:
        con.register("held", arrow_table(odd))
        con.execute("CREATE TABLE t AS SELECT * FROM held")
    return f"duckdb:///{file}::t"


def pandas(place: Path, odd: dict[str, Any] | None) -> pd.DataFrame:
    frame = pd.DataFrame(ROWS).astype({"share": "float32"})
    if odd is None:
        return frame
    columns = {}
    for name in NAMES:
        if name not in odd:
            one = pd.Series([FIRST[name]]).astype(frame[name].dtype)
            parts = [frame[name][:20], one, frame[name][20:]]
            columns[name] = pd.concat(parts, ignore_index=True)
            continue
        held = np.empty(len(ROWS) + 1, dtype=object)
        for i, value in enumerate([*frame[name][:20], odd[name], *frame[name][20:]]):
            held[i] = value
        columns[name] = pd.Series(held, dtype=object)
    return pd.DataFrame(columns)


def pandas_grown(place: Path, odd: dict[str, Any] | None) -> pd.DataFrame:
    """Let pandas choose the types, as for whoever makes a frame of rows."""
    added = [] if odd is None else [{**FIRST, **odd}]
    return pd.DataFrame([*ROWS[:20], *added, *ROWS[20:]])


def polars(place: Path, odd: dict[str, Any] | None) -> Any:
    pl = pytest.importorskip("polars")
    frame = pl.from_arrow(arrow_table(None))
    if odd is None:
        return frame
    columns = [
        pl.Series(name, [*frame[name][:20], odd.get(name, FIRST[name]), *frame[name][20:]],
                  dtype=pl.Object if name in odd else frame.schema[name])
        for name in NAMES
    ]  # fmt: skip
    return pl.DataFrame(columns)


def line(**values: str) -> bytes:
    return ",".join(str({**FIRST, **values}[name]) for name in NAMES).encode()


LINES = {
    "short": b"SECRET-4711,clerk",
    "long": line() + b",SECRET-4711,1,2,3",
    "an open quotation mark": line(job=f'"{SECRET}'),
    "an open quotation mark in the first cell": line(who=f'"{SECRET}'),
    "text behind a quotation mark": line(job=f'"{SECRET}"x'),
    "NUL": line(job=f"{SECRET}\0"),
    "no characters": line().replace(b"clerk", b"\xff\xfe"),
    "a long line": line(job=SECRET * 1000 + "x" * 5_000_000),
    "blank cells": b",,,,,,,,,",
    "a space": b" ",
    "a byte order mark": b"\xef\xbb\xbf" + line(),
    "a quoted line end": line(job=f'"{SECRET}\n{SECRET}"'),
    "out of the domain": line(job=SECRET, grade="1e400", age="-inf", ill="maybe", paid="nan",
                              share="x", seen="31/31/2024", out=SECRET),
    "another format": line(seen="2024-01-31T00:00:00+02:00", ill="TRUE", age="1.0", paid="1,5"),
}  # fmt: skip
JSON = {
    "another key": json.dumps({**FIRST, "seen": "", SECRET: 1}).encode(),
    "no keys": b"{}",
    "a list": f'["{SECRET}"]'.encode(),
    "no JSON": SECRET.encode(),
    "an end that is missing": b'{"job": "SECRET-4711',
    "a key twice": b'{"job": "SECRET-4711", "job": 1}',
    "other types": b'{"job": 1, "age": "x", "ill": {"a": 1}, "paid": [1], "seen": true}',
    "numbers too large": b'{"age": 1' + b"0" * 5000 + b', "paid": 1e999, "share": NaN}',
    "no characters": b'{"job": "\xff"}',
    "NUL": b'{"job": "\0"}',
    "half a character": b'{"job": "\\ud800"}',
    "deep": b"[" * 100_000,
    "a long line": b'{"job": "' + b"x" * 5_000_000 + b'"}',
}
_RAW = pa.array([b"\xff\xfe"], pa.binary())
TYPED = {
    "nulls": dict.fromkeys(NAMES),
    "extremes": {
        "grade": 2**63 - 1,
        "age": -(2**63),
        "paid": float("inf"),
        "share": float("-inf"),
        "job": SECRET,
        "out": SECRET,
    },
    "NaN": {"paid": float("nan"), "share": float("nan"), "age": None},
    "far moments": {"seen": pa.array([2**62]).view(pa.timestamp("us"))},
    "far moments before": {"seen": pa.array([-(2**62)]).view(pa.timestamp("us"))},
    "the last moment": {"seen": datetime.datetime.max},
}
NOT_TEXT = {
    "no characters": {"job": pa.Array.from_buffers(pa.string(), 1, _RAW.buffers()),
                      "out": pa.Array.from_buffers(pa.string(), 1, _RAW.buffers())},
}  # fmt: skip
GAPS = {
    "nulls": dict.fromkeys(NAMES),
    "gaps in numbers": {"grade": None, "age": None, "ill": None, "seen": None},
    "fractions": {"grade": 1.5, "age": float("inf")},
}
DYNAMIC = {
    "nulls": dict.fromkeys(NAMES),
    "text for numbers": dict.fromkeys(NAMES, SECRET),
    "bytes": dict.fromkeys(NAMES, b"\xff\x00"),
    "numbers for text": dict.fromkeys(NAMES, 1.5),
    "large numbers": dict.fromkeys(NAMES, 2**63 - 1),
    "infinity": dict.fromkeys(NAMES, float("inf")),
    "NUL": dict.fromkeys(NAMES, f"{SECRET}\0x"),
    "no characters": dict.fromkeys(NAMES, b"\xff\xfe"),
}


class Hostile:
    """An object that answers nothing."""

    __hash__ = None  # type: ignore[assignment]

    def refuse(self, *_: Any) -> Any:
        raise RuntimeError(SECRET)

    __eq__ = __ne__ = __str__ = __repr__ = __bool__ = __len__ = __float__ = __int__ = refuse
    __iter__ = __index__ = __lt__ = refuse


OBJECTS: dict[str, dict[str, Any]] = {
    what: dict.fromkeys(NAMES, value)
    for what, value in {
        "None": None,
        "NaN": float("nan"),
        "NA": pd.NA,
        "NaT": pd.NaT,
        "text": SECRET,
        "half a character": "\ud800",
        "a dict": {SECRET: 1},
        "a list": [SECRET],
        "sNaN": Decimal("sNaN"),
        "a decimal": Decimal("1e999999"),
        "a huge integer": 10**5000,
        "bytes": SECRET.encode(),
        "complex": 1j,
        "a longdouble": np.longdouble(1),
        "true": True,
        "a date": datetime.date(2024, 1, 31),
        "a moment elsewhere": pd.Timestamp("2024-01-31", tz="Asia/Kolkata"),
        "hostile": Hostile(),
    }.items()
}
GROWN = {
    **{what: OBJECTS[what] for what in ("None", "NaN", "NA", "text", "true", "a date", "bytes")},
    "complex numbers": dict.fromkeys(("grade", "age", "paid", "share"), 1j),
}
DOORS: dict[str, tuple[Callable[[Path, Any], Any], dict[str, Any]]] = {
    "CSV": (delimited(","), LINES),
    "TSV": (delimited("\t"), LINES),
    "JSON lines": (json_lines, JSON),
    "Parquet": (parquet, {**TYPED, **NOT_TEXT}),
    "Parquet folder": (parquet_folder, GAPS),
    "Feather": (feather, {**TYPED, **NOT_TEXT}),
    "Arrow": (arrow, {**TYPED, **NOT_TEXT}),
    "SQLite": (sqlite, DYNAMIC),
    "DuckDB": (duck, TYPED),
    "pandas": (pandas, OBJECTS),
    "pandas of rows": (pandas_grown, GROWN),
    "polars": (polars, OBJECTS),
}
EVERY = [(door, odd) for door, (_, odds) in DOORS.items() for odd in odds]
FILES = ["CSV", "TSV", "JSON lines", "Parquet", "Parquet folder", "Feather", "SQLite", "DuckDB"]


@contextmanager
def silent() -> Iterator[None]:
    """A warning would be a message, too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def opened(door: str, place: Path, odd: str | None) -> Table:
    make, odds = DOORS[door]
    if door == "SQLite":
        pytest.importorskip("adbc_driver_sqlite")
    source = make(place, None if odd is None else odds[odd])
    with silent():
        return read(source, total=True, columns=NAMES)


def check_codes(door: str, place: Path, odd: str) -> None:
    """The codes of all rows but the odd one are those that they have without it."""
    before, after = opened(door, place, None), opened(door, place, odd)
    assert before.n_rows == len(ROWS)
    assert after.n_rows == len(ROWS) + 1
    with silent():
        codes = CODEC.encode(opened(door, place, None).to_arrow())
        grown = CODEC.encode(opened(door, place, odd).to_arrow())
        assert [len(np.unique(codes[:, j])) > 1 for j in range(1, len(NAMES))] == [True] * 9
        assert np.delete(grown, 20, axis=0).tolist() == codes.tolist()
        names = {c: after.value_counts(c) for c in NAMES}
    assert set(names) == set(NAMES)


@pytest.mark.parametrize(("door", "odd"), EVERY)
def test_one_odd_row_changes_no_other_code(door: str, odd: str, tmp_path: Path) -> None:
    check_codes(door, tmp_path, odd)


@pytest.mark.parametrize("door", DOORS)
def test_through_every_door_the_same_rows_have_the_same_codes(door: str, tmp_path: Path) -> None:
    expected = CODEC.encode(arrow_table(None))
    assert CODEC.encode(opened(door, tmp_path, None).to_arrow()).tolist() == expected.tolist()


CASE = Case("independent", Budget(4.0, 1e-5), SCHEMA)
OPEN = Schema(
    tuple(
        Column(c.name, c.kind, c.dtype, None, Source.DISCOVERED, format=c.format)
        if c.name in ("job", "grade", "age", "paid", "seen")
        else c
        for c in SCHEMA
    )
)


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
@pytest.mark.parametrize("door", DOORS)
def test_an_odd_row_costs_what_the_ledger_says_through_every_door(
    door: str, tmp_path: Path
) -> None:
    odds = list(DOORS[door][1])
    before = opened(door, tmp_path, None).loaded()
    for odd in (odds[0], odds[-1], *(o for o in odds if o in ("extremes", "sNaN", "long"))):
        after = opened(door, tmp_path, odd).loaded()
        check_loss(CASE, before, after)
        check_loss(Case("independent", Budget(4.0, 1e-5), OPEN), before, after)


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
@pytest.mark.parametrize("door", DOORS)
def test_the_artefact_rests_on_the_answers_alone_through_every_door(
    door: str, tmp_path: Path
) -> None:
    odd = next(iter(DOORS[door][1]))
    before = opened(door, tmp_path, None).loaded()
    # check_silence ends with an empty table of its own columns
    check_silence(CASE, before, [opened(door, tmp_path, odd).loaded(), before.take(np.arange(0))],
                  nothing=before.take(np.arange(0)))  # fmt: skip


# ------------------------------------------------------------------ words


def words(place: Path, source: Any, *command: str) -> tuple[int, list[str]]:
    """Run a command, and give its exit code and its lines without noisy figures."""
    (place / "s.yaml").unlink(missing_ok=True)
    SCHEMA.to_yaml(place / "s.yaml")
    given = [command[0], str(source), "--schema", str(place / "s.yaml"), "--epsilon", "8",
             "--engine", "independent", "--seed", "1", *command[1:]]  # fmt: skip
    result = CliRunner().invoke(main, given)
    assert SECRET not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    noisy = ("about", "synthetic rows of", "nothing is added")
    lines = result.output.splitlines()
    return result.exit_code, [told for told in lines if not any(word in told for word in noisy)]


COMMANDS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "fit": lambda place: ("fit", "-o", str(place / "m.psyn")),
    "fit with a holdout": lambda place: (
        "fit", "-o", str(place / "m.psyn"), "--holdout", "0.5",
        "--holdout-output", str(place / "aside.csv"),
    ),
    "fit with a holdout in time": lambda place: (
        "fit", "-o", str(place / "m.psyn"), "--unit", "who", "--holdout-after", "2024-02-10",
        "--holdout-column", "seen", "--holdout-output", str(place / "aside.csv"),
    ),
    "augment": lambda place: (
        "augment", "-o", str(place / "grown.csv"), "--target", "out", "--no-flag",
    ),
}  # fmt: skip


def check_words(door: str, place: Path, odd: str, command: str) -> None:
    make, odds = DOORS[door]
    if door == "SQLite":
        pytest.importorskip("adbc_driver_sqlite")
    # A holdout's coin may leave the odd row out.
    for _ in range(4 if "holdout" in command else 1):
        told = [
            words(place, make(place, value), *COMMANDS[command](place))
            for value in (None, odds[odd])
        ]
        assert told[0] == told[1]
        assert told[0][0] == 0, told[0]


@pytest.mark.parametrize("door", FILES)
def test_no_row_decides_on_exit_codes_and_messages(door: str, tmp_path: Path) -> None:
    for odd in DOORS[door][1]:
        check_words(door, tmp_path, odd, "fit")


@pytest.mark.slow
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "fit"])
@pytest.mark.parametrize("door", FILES)
def test_no_row_decides_on_the_words_of_other_commands(
    door: str, command: str, tmp_path: Path
) -> None:
    for odd in DOORS[door][1]:
        check_words(door, tmp_path, odd, command)


@pytest.mark.parametrize(
    "aside", [{"holdout": 0.3}, {"holdout_after": "2024-02-10", "holdout_column": "seen"}]
)
@pytest.mark.parametrize("door", ["pandas", "pandas of rows", "polars", "Arrow"])
def test_no_row_of_a_frame_is_refused_or_warned_of(
    door: str, aside: dict[str, Any], tmp_path: Path
) -> None:
    make, odds = DOORS[door]
    for odd in odds.values():
        with silent():
            warnings.filterwarnings("ignore", "column .*about", UserWarning)
            warnings.filterwarnings("ignore", "the holdout is the rows at or after", UserWarning)
            model = pipeline.fit(
                make(tmp_path, odd),
                schema=SCHEMA,
                budget=Budget(8.0),
                engine="independent",
                **aside,
                holdout_output=tmp_path / "aside.parquet",
            )
        assert model.ledger.guarantee().epsilon == 8.0
        assert (tmp_path / "aside.parquet").exists()


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_no_row_is_refused_by_the_sampler(tmp_path: Path) -> None:
    for odd in OBJECTS:
        frame = pandas(tmp_path, {**OBJECTS[odd], "out": "no"})
        X, y = frame.drop(columns="out"), frame["out"].astype(str)
        sampler = MinoritySampler("independent", budget=Budget(8.0), schema=SCHEMA, random_state=1)
        sampler.fit_resample(X, y)
        assert sampler.model_ is not None


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
@pytest.mark.parametrize("text", ["m.psyn", "-"])
def test_a_frame_whose_text_names_a_file_is_a_frame(text: str) -> None:
    class Frame(pd.DataFrame):  # type: ignore[misc]
        def __str__(self) -> str:
            return text

    frame = Frame(ROWS)
    model = pipeline.fit(frame, schema=SCHEMA, budget=Budget(1.0), engine="independent")
    assert model.schema.names == SCHEMA.names
    grown = pipeline.augment(
        frame, target="out", schema=SCHEMA, budget=Budget(8.0), engine="independent"
    )
    assert len(grown) >= len(ROWS)


# ------------------------------------------------------------------ bugs that are planted


def red(door: str, odd: str, place: Path) -> None:
    with pytest.raises((AssertionError, DataError, ValueError)):
        check_codes(door, place, odd)


def test_objects_that_python_spells_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spelled(values: Any) -> pa.Array:
        return pa.array([None if value is None else repr(value) for value in values], pa.string())

    monkeypatch.setattr(frames, "texts_of_objects", spelled)
    red("pandas", "None", tmp_path)
    red("polars", "None", tmp_path)


def test_words_that_are_no_numbers_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = reading._floats

    def floats(plain: pa.Array) -> pa.Array:
        """Read true as 1 where it is a boolean, and not where it is a word."""
        if pa.types.is_string(plain.type):
            plain = pc.replace_substring_regex(plain, "(?i)true", "yes")
        return honest(plain)

    monkeypatch.setattr(reading, "_floats", floats)
    red("pandas", "None", tmp_path)


def test_a_row_that_is_refused_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise DataError("a row is odd")

    monkeypatch.setattr(rows._Shape, "_repaired", refuse)
    red("CSV", "short", tmp_path)
    monkeypatch.setattr(jsonlines, "_values", refuse)
    red("JSON lines", "no keys", tmp_path)


def test_a_quotation_mark_that_swallows_rows_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = rows._Shape._cleaned

    def swallowing(self: Any, data: bytes, start: int, *, last: bool) -> Any:
        at = data.find(b'"', start)
        return honest(self, data[:at] if at >= 0 else data, start, last=last)

    monkeypatch.setattr(rows._Shape, "_cleaned", swallowing)
    red("CSV", "an open quotation mark", tmp_path)


def test_a_message_that_rests_on_a_row_would_be_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import click

    honest = rows._Shape._repaired

    def talkative(self: Any, row: bytes) -> bytes:
        click.echo("a row was mended", err=True)
        return honest(self, row)

    monkeypatch.setattr(rows._Shape, "_repaired", talkative)
    with pytest.raises(AssertionError):
        check_words("CSV", tmp_path, "long", "fit")
