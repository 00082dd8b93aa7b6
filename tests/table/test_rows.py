"""Text files under a budget: each row is read independently, and none is refused."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.errors import DataError
from privsynth.table import delimited, read, rows
from privsynth.table.bytestream import TextFile

CELLS = st.text(st.sampled_from("ab \",;\n\r\u2603'\t"), max_size=6)


def told(raw: bytes, encoding: str = "utf-8") -> list[tuple[str | None, ...]]:
    """Return the rows of a file of these bytes, read under a budget."""
    held = delimited.read_delimited(
        TextFile(io.BytesIO(raw), "t.csv", encoding), ",", True, escape=False
    )
    columns = [column.to_pylist() for column in held.to_arrow().columns]
    return list(zip(*columns, strict=True))


def spelled(made: list[list[str]], width: int, quoting: Any, end: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, quoting=quoting, lineterminator=end)
    writer.writerows([[f"h{i}" for i in range(width)], *made])
    return text.getvalue().encode()


@st.composite
def files(draw: Any, cells: st.SearchStrategy[str] = CELLS) -> tuple[list[list[str]], int, bytes]:
    width = draw(st.integers(1, 4))
    made = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=8))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    if any("\r" in cell or "\n" in cell for row in made for cell in row):
        quoting = csv.QUOTE_ALL  # the writer would leave a line end that is not its own
    return made, width, spelled(made, width, quoting, end)


@settings(max_examples=60, deadline=None)
@given(files(), st.integers(1, 9), st.booleans())
def test_a_clean_file_is_read_as_without_a_budget(
    of: tuple[list[list[str]], int, bytes], size: int, ended: bool
) -> None:
    made, width, raw = of
    if not ended and made and made[-1][-1]:  # Arrow may take an empty cell at the end for a text
        raw = raw.rstrip(b"\r\n")
    file = TextFile(io.BytesIO(raw), "t.csv", "utf-8")
    layout = delimited._Layout([f"h{i}" for i in range(width)], ",", 0, False, False)
    plain = delimited._texts(file, layout, list(range(width))).read_all()
    expected = list(zip(*[column.to_pylist() for column in plain.columns], strict=True))
    assert told(raw) == expected
    with patch.object(rows, "CHUNK_BYTES", size):
        assert told(raw) == expected


# A cell that begins with the delimiter or a line end may close the quotation mark of another row,
# as it does for any reader: then both are one row.
CLOSED = CELLS.filter(lambda cell: not re.match(r'"*[,\r\n]', cell))
ODD = st.binary(max_size=12) | st.text(st.sampled_from('ab",\0\u2603'), max_size=12).map(str.encode)


@settings(max_examples=60, deadline=None)
@given(files(CLOSED), ODD, st.integers(0, 8), st.booleans())
def test_an_odd_row_changes_no_other(
    of: tuple[list[list[str]], int, bytes], odd: bytes, at: int, ended: bool
) -> None:
    made, width, _ = of
    odd = odd.translate(None, b"\r\n")
    at = min(at, len(made))
    first, last = (spelled(part, width, csv.QUOTE_ALL, "\n") for part in (made[:at], made[at:]))
    last = last.partition(b"\n")[2]
    clean = told(first + last)
    raw = first + odd + (b"\n" if ended or last else b"") + last
    found = told(raw)
    if not odd and width > 1:
        assert found == clean
    elif odd or ended or last:
        assert found[:at] + found[at + 1 :] == clean
    with patch.object(rows, "CHUNK_BYTES", 5):
        assert told(raw) == found


@pytest.mark.parametrize(
    ("odd", "row"),
    [
        (b"1,2", ("1", "2", None)),
        (b"1,2,3,4,5", ("1", "2", "3")),
        (b'1,"2,3', ("1", None, None)),
        (b'"1,2,3', (None, None, None)),
        (b'1,"2"x,3', ("1", None, "3")),
        (b'1,"2""",3', ("1", '2"', "3")),
        (b'1,"",3', ("1", "", "3")),
        (b'1,5",3', ("1", '5"', "3")),
        (b"1,a\0b,3", ("1", None, "3")),
        (b'1,"a\0b",3', ("1", None, "3")),
        (b"1,\xff,3", ("1", None, "3")),
        (b"1,\xed\xa0\x80,3", ("1", None, "3")),
        (b"\xef\xbb\xbf1,2,3", ("\ufeff1", "2", "3")),
        (b",,", (None, None, None)),
        (b" ", (" ", None, None)),
        (b'1,"two\nlines",3', ("1", "two\nlines", "3")),
        (b'1,"two\r\nlines",3', ("1", "two\r\nlines", "3")),
        (b'1,"two\n\xfflines",3', ("1", None, "3")),
        (b"1," + b"x" * 5_000_000 + b",3", ("1", "x" * (rows.MAX_LINE - 2), None)),
    ],
)
def test_what_an_odd_row_is_read_as(odd: bytes, row: tuple[Any, ...]) -> None:
    for ends in (b"\n", b"\r\n"):
        lines = [b"a,b,c", b"x,y,z", odd, b'"q","r","s"', b"u,v,w", b""]
        expected = [("x", "y", "z"), row, ("q", "r", "s"), ("u", "v", "w")]
        assert told(ends.join(lines)) == expected


def test_a_cell_over_many_lines_ends_where_it_began_when_it_gets_too_long() -> None:
    lines = [f"{i},{i}" for i in range(20_000)]
    for long, kept in ((rows.MAX_SPAN // 2, True), (rows.MAX_SPAN, False)):
        text = "\n".join(["a,b", '"' + "y\n" * (long // 2) + '",1', *lines, ""])
        found = told(text.encode())
        assert (len(found) == len(lines) + 1) == kept
        assert found[-len(lines) :] == [(str(i), str(i)) for i in range(20_000)]


def test_line_ends_of_every_kind_and_blank_lines() -> None:
    assert told(b"\n\r\na,b\r1,2\n\n3,4\r\n\r\r5,6") == [("1", "2"), ("3", "4"), ("5", "6")]
    assert told(b"a\n1\n\n2\n") == [("1",), (None,), ("2",)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "cp1252", "shift_jis", "utf-8-sig"])
def test_another_encoding_is_read_by_the_same_rules(encoding: str) -> None:
    text = 'a,b\n1,"2\n3"\n4\n5,"6\n7,\x008\n'
    expected = [("1", "2\n3"), ("4", None), ("5", None), ("7", None)]
    assert told(text.encode(encoding), encoding) == expected


def test_bytes_that_are_no_characters_in_another_encoding_make_a_cell_missing() -> None:
    assert told(b"a,b\n1,\x81\n2,\xe9\n", "cp1252") == [("1", None), ("2", "\xe9")]
    assert told(b"a,b\n1,\x80\n2,x\n", "ascii") == [("1", None), ("2", "x")]


@pytest.mark.parametrize("raw", [b"", b"\n\n", b'a,"b\n1,2\n', b"a,a\n1,2\n", b"a, \n1,2\n"])
def test_what_is_wrong_with_the_file_as_a_whole_is_refused(raw: bytes) -> None:
    with pytest.raises(DataError):
        told(raw)


def test_a_header_alone_is_a_table() -> None:
    for raw in (b"a,b", b"a,b\n", b'"a\nb",c\n'):
        assert told(raw) == []


def test_a_large_file_is_read_by_the_same_rules_in_every_scan(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b'a,b\n1,"2\n3\n4,5,6\n' * 50))
    kept = read(path, total=True)
    with patch.object(delimited, "IN_MEMORY", 1):
        table = read(path, total=True)
        assert table.n_rows == kept.n_rows == 50 * 4 - 1
        assert table.to_arrow(["b"]) == kept.to_arrow(["b"])


def test_without_a_budget_today_s_refusals_stay() -> None:
    for raw in (b"a,b\n1\n", b'a,b\n1,"2\n', b"a,b\n1,\0\n", b"a,b\n1,\xff\n"):
        with pytest.raises(DataError):
            delimited.read_delimited(TextFile(io.BytesIO(raw), "t.csv", "utf-8"), ",")


# JSON lines


def objects(path: Path, raw: bytes, columns: tuple[str, ...] = ("a", "b")) -> list[dict[str, Any]]:
    path.write_bytes(raw)
    return read(path, total=True, columns=columns).to_arrow().to_pylist()


@pytest.mark.parametrize(
    ("odd", "row"),
    [
        (b'{"a": 1, "b": 2, "SECRET": 3}', {"a": "1", "b": "2"}),
        (b'{"b": 2}', {"a": None, "b": "2"}),
        (b"{}", {"a": None, "b": None}),
        (b'{"a": {"b": 1}, "b": [1]}', {"a": None, "b": None}),
        (b'{"a": true, "b": null}', {"a": "true", "b": None}),
        (b'{"a": 1e999, "b": 1' + b"0" * 5000 + b"}", {"a": "1e999", "b": "1" + "0" * 5000}),
        *(
            (line, {"a": None, "b": None})
            for line in (
                b'{"a": 1, "a": 2, "b": 1}', b'{"a": 1', b"[1, 2]", b"7", b"null", b"x",
                b'{"a": 1}}', b'{"a": "\xff", "b": 1}', b"\0", b'{"a": 01}', b"[" * 100_000,
                b'{"a":' * 100_000,
                b'{"a": "\0"}', b'{"a": 1}\r{"b": 2}', b'{"b": "' + b"x" * 5_000_000 + b'"}',
            )
        ),
    ],
)  # fmt: skip
def test_an_odd_line_of_json_is_a_row_and_changes_no_other(
    tmp_path: Path, odd: bytes, row: dict[str, Any]
) -> None:
    path = tmp_path / "t.jsonl"
    first, last = b'{"a": 1, "b": "x"}', b'{"b": 2.50, "a": false}'
    others = [{"a": "1", "b": "x"}, {"a": "false", "b": "2.50"}]
    assert objects(path, b"\n".join([first, odd, last])) == [others[0], row, others[1]]
    assert objects(path, b"\r\n".join([odd, first, last, b""])) == [row, *others]
    assert objects(path, b"\n\n".join([first, last, odd, b" "])) == [*others, row]


def test_json_lines_have_the_columns_of_the_schema_even_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b"")
    table = read(path, total=True, columns=["b", "a"])
    assert (table.names, table.n_rows) == (("b", "a"), 0)


def test_json_lines_in_another_encoding_and_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    lines = [json.dumps({"a": i, "b": "\u2603"}, ensure_ascii=False) for i in range(40)]
    path.write_bytes(gzip.compress("\n".join(lines).encode("utf-16")))
    kept = read(path, encoding="utf-16", total=True, columns=["b", "a"]).to_arrow()
    assert kept["a"].to_pylist() == [str(i) for i in range(40)]
    from privsynth.table import jsonlines

    with (
        patch.object(jsonlines, "IN_MEMORY", 1),
        patch.object(jsonlines, "ROWS_AT_ONCE", 7),
        patch.object(rows, "CHUNK_BYTES", 5),
    ):
        table = read(path, encoding="utf-16", total=True, columns=["b", "a"])
        assert table.n_rows == 40
        assert table.to_arrow(["a"])["a"].to_pylist() == kept["a"].to_pylist()


# Types of their own


def test_text_that_is_not_utf_8_is_missing(tmp_path: Path) -> None:
    import pyarrow.feather as pf
    import pyarrow.parquet as pq

    raw = pa.array([b"ok", b"\xff", None, b"\xe2\x98\x83"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 4, raw.buffers(), raw.null_count)
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, 3, 0], pa.int32()), text)
    plain = pa.table({"a": text, "n": [1, 2, 3, 4]})
    pq.write_table(plain, tmp_path / "t.parquet")
    pf.write_feather(plain, tmp_path / "t.feather")
    for source in (plain, tmp_path / "t.parquet", tmp_path / "t.feather"):
        held = read(source, total=True).to_arrow().to_pydict()
        assert held == {"a": ["ok", None, None, "\u2603"], "n": [1, 2, 3, 4]}
    found = read(pa.table({"a": coded}), total=True).to_arrow()["a"]
    assert found.to_pylist() == ["ok", None, None, "\u2603", "ok"]
