"""Damaged table files, the same for the same numbers, and a process that reads them.

Run as ``python table_mutations.py KIND FIRST COUNT``: it reads that many mutants, which may end
it in a signal, and prints what became of each.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from privsynth.errors import MachineError, PrivsynthError
from privsynth.schema.inference import infer
from privsynth.table import read, to_frame

CANARY = "CANARY7f3a"
KINDS = ("csv", "parquet", "arrow", "jsonl")
ROWS = 40
SECONDS = 20
"""Processor seconds that a mutant may take."""
GROWTH = 1 << 20
"""KiB by which the process may grow."""
STUCK = 300


def table() -> pa.Table:
    """Every type that a file can hold; the first rows hold no canary, which a header may join."""
    n = range(ROWS)
    texts = [None if i % 7 == 3 else f"{CANARY if i > 3 else 'w'}{i}" for i in n]
    return pa.table(
        {
            "whole": pa.array(n, pa.int64()),
            "real": [i * 0.37 for i in n],
            "text": texts,
            "level": pa.array([f"l{i % 3}" for i in n]).dictionary_encode(),
            "flag": [i % 2 == 0 for i in n],
            "day": pa.array([i * 13 for i in n], pa.date32()),
            "time": pa.array([i * 86_400_000_001 for i in n], pa.timestamp("us")),
            "zoned": pa.array([i * 86_400_000_000 for i in n], pa.timestamp("us", "Europe/Berlin")),
        }
    )


def typed_table() -> pa.Table:
    """What only Arrow and Parquet hold."""
    n = range(ROWS)
    return pa.table(
        {
            "long": pa.array([f"{CANARY}{i}" for i in n], pa.large_string()),
            "amount": pa.array([Decimal(i) / 4 for i in n], pa.decimal128(12, 2)),
            "clock": pa.array(n, pa.time32("s")),
            "nanos": pa.array(n, pa.timestamp("ns", "+02:00")),
            "small": pa.array([i % 100 for i in n], pa.uint8()),
            "none": pa.nulls(ROWS),
            "ranks": pa.DictionaryArray.from_arrays(
                pa.array([i % 2 for i in n], pa.int8()), pa.array([5, 6]), ordered=True
            ),
        }
    )


@cache
def seeds(kind: str) -> list[tuple[str, bytes]]:
    """Sound files of a kind, each with its suffix."""
    if kind == "csv":
        return [(suffix, _csv(mark).encode()) for suffix, mark in [(".csv", ","), (".tsv", "\t")]]
    if kind == "jsonl":
        return [(".jsonl", _json_lines().encode())]
    if kind == "parquet":
        return [
            (".parquet", _parquet(rows, compression, version))
            for rows in (table(), typed_table())
            for compression in ("none", "snappy", "zstd")
            for version in ("1.0", "2.0")
        ]
    return [
        (".arrow", _arrow(rows, compression, make))
        for rows in (table(), typed_table())
        for compression in (None, "lz4", "zstd")
        for make in (pa.ipc.new_file, pa.ipc.new_stream)
    ]


def mutant(kind: str, number: int) -> tuple[str, bytes]:
    """Make the mutant of a number: its suffix and its bytes."""
    chance = random.Random(f"{kind} {number}")
    suffix, content = chance.choice(seeds(kind))
    if kind in ("csv", "jsonl"):
        change = chance.choice([_bytes_changed, _lines_changed, _cells_changed, _cells_changed])
        content = change(content, chance)
        packed = chance.randrange(4)
        if packed == 0:
            return suffix + ".gz", gzip.compress(content, mtime=0)
        if packed == 1:
            return suffix + ".gz", _bytes_changed(gzip.compress(content, mtime=0), chance)
        return suffix, content
    change = chance.choice([_bytes_changed, _numbers_changed, _numbers_changed, _ends_changed])
    return suffix, change(content, chance)


def consume(path: Path) -> None:
    """Read a table in all the ways in which the product reads one."""
    found = read(path)
    infer(found)
    for name in found.names:
        found.value_counts(name)
    rows = found.to_arrow()
    rows.validate(full=True)
    assert rows.num_rows == found.n_rows
    to_frame(rows, "pandas")
    assert sum(batch.num_rows for batch in found.batches(7)) == found.n_rows
    total = read(path, total=True)
    total.to_arrow().validate(full=True)


def verdict(path: Path, content: bytes) -> str:
    """Say what became of a file: ``read``, ``refused``, or what is wrong with the product."""
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    try:
        consume(path)
        said = "read"
    except MachineError as error:
        said = f"WRONG: the machine is blamed: {error}"
    except PrivsynthError as error:
        message = str(error)
        # A canary that a mutation moved into a column's name is no cell any more.
        quotes = CANARY in message and CANARY not in message.partition(", row")[0]
        said = "WRONG: not one line, or quotes a cell" if "\n" in message or quotes else "refused"
    except Exception as error:
        said = f"WRONG: {type(error).__module__}.{type(error).__name__}: {error}"
    if time.process_time() - start > SECONDS:
        said = "WRONG: takes too long"
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before > GROWTH:
        said = "WRONG: takes too much memory"
    return said.replace("\n", " ")


def main(kind: str, first: int, count: int) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            suffix, content = mutant(kind, number)
            signal.alarm(STUCK)
            said = verdict(Path(folder) / f"t{suffix}", content)
            sys.stdout.write(f"{number} {said}\n")
            sys.stdout.flush()


# Sound files


def _csv(mark: str) -> str:
    rows = table().to_pylist()
    lines = [mark.join(rows[0])]
    for i, row in enumerate(rows):
        cells = ["" if value is None else str(value) for value in row.values()]
        if i % 5 == 4:
            cells[2] = f'"{cells[2]}{mark}""\n"'
        lines.append(mark.join(cells))
    return "\n".join(lines) + "\n"


def _json_lines() -> str:
    return "".join(json.dumps(row, default=str) + "\n" for row in table().to_pylist())


def _parquet(rows: pa.Table, compression: str, version: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(
        rows, sink, compression=compression, data_page_version=version, row_group_size=15
    )
    return sink.getvalue()


def _arrow(
    rows: pa.Table, compression: str | None, make: Callable[..., pa.RecordBatchWriter]
) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    with make(sink, rows.schema, options=options) as writer:
        for batch in rows.to_batches(max_chunksize=15):
            writer.write_batch(batch)
    return sink.getvalue()


# What is done to them

ODD_BYTES = [0, 1, 34, 10, 13, 44, 127, 128, 255]
ODD_NUMBERS = [0, 1, -1, 7, 2**31 - 1, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]
ODD_CELLS = [
    "",
    " ",
    "NA",
    "nan",
    "inf",
    "-Infinity",
    "1e400",
    "-1e-400",
    "0" * 300,
    "9" * 400,
    "-0",
    "+1",
    "1.",
    ".5",
    "1_000",
    "0x1F",
    str(2**63),
    str(-(2**63)),
    str(2**64),
    "0000-00-00",
    "0000-01-01",
    "0001-01-01",
    "9999-12-31",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2020-02-30",
    "2020-01-01T25:00:00Z",
    "2020-01-01 10:00:00.123456789",
    "31/12/0000",
    "99999999-01-01",
    "true",
    "TRUE",
    "'",
    '"',
    '""',
    "\u2028",
    "\ufeff",
    "\u0000",
    "\ud800",
    "\U0001f600",
    "é" * 50,
    "[1]",
    "{}",
    "[" * 600,
    "=1+1",
    "\x1b[31m",
    "x" * 70000,
]


def _bytes_changed(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        if not changed:
            break
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0:
                changed[at] ^= 1 << chance.randrange(8)
            case 1:
                changed[at] = chance.choice(ODD_BYTES)
            case 2:
                del changed[at : at + chance.randrange(1, 40)]
            case 3:
                changed[at:at] = chance.randbytes(chance.randrange(1, 20))
            case 4:
                start = chance.randrange(len(changed))
                changed[at:at] = changed[start : start + chance.randrange(1, 64)]
            case 5 if chance.randrange(8) == 0:
                del changed[at:]
    return bytes(changed)


def _numbers_changed(content: bytes, chance: random.Random) -> bytes:
    """Write odd integers where a format keeps its lengths and offsets."""
    changed = bytearray(content)
    for _ in range(chance.choice([1, 1, 2, 3])):
        width = chance.choice([1, 2, 4, 4, 8, 8])
        at = chance.randrange(len(changed) - width) // width * width
        number = chance.choice([*ODD_NUMBERS, len(changed), chance.randrange(1 << 16)])
        if chance.randrange(3) == 0:
            number = int.from_bytes(changed[at : at + width], "little") + chance.randrange(-3, 4)
        changed[at : at + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed)


def _ends_changed(content: bytes, chance: random.Random) -> bytes:
    """Change the metadata, which stand at the head and at the tail."""
    edge = min(len(content) // 2, chance.choice([300, 2000]))
    change = chance.choice([_bytes_changed, _numbers_changed])
    if chance.randrange(2):
        return change(content[:edge], chance) + content[edge:]
    return content[:-edge] + change(content[-edge:], chance)


def _lines_changed(content: bytes, chance: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    for _ in range(chance.choice([1, 2, 5])):
        at = chance.randrange(1, len(lines))
        match chance.randrange(5):
            case 0:
                lines[at:at] = lines[at : at + 1]
            case 1 if len(lines) > 2:
                del lines[at]
            case 2:
                lines[at] = lines[at].rstrip() + lines[at][:9] + b"\n"
            case 3:
                lines[at] = lines[at].rstrip() + chance.choice([b"\r", b"\r\n", b"\n\n", b""])
            case 4:
                lines[at] = lines[at][: chance.randrange(len(lines[at]) + 1)]
    return b"".join(lines)


def _cells_changed(content: bytes, chance: random.Random) -> bytes:
    """Put odd values, and odd keys, between the marks of a text file."""
    text = content.decode()
    marks = [i for i, character in enumerate(text) if character in ",\t:\n"]
    for _ in range(chance.choice([1, 1, 3, 30])):
        k = chance.randrange(len(marks) - 1)
        if k >= len(marks) or marks[k + 1] >= len(text):
            continue
        odd = chance.choice(ODD_CELLS)
        if text.startswith("{") and chance.randrange(3):
            odd = json.dumps(odd)
        start, end = marks[k] + 1, marks[k + 1]
        text = text[:start] + odd + text[end:]
        marks = [i for i, character in enumerate(text) if character in ",\t:\n"]
    return text.encode("utf-8", "surrogatepass")


def corpus() -> Iterator[Path]:
    """The files that broke the product once."""
    folder = Path(__file__).parent / "corpus" / "tables"
    return (path for path in sorted(folder.iterdir()) if path.name != "README.md")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
