"""Damaged tables are refused in one line that quotes no cell, or read and used in full.

Mutants are read by processes of their own, since a fault in a reader written in C ends the process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import table_mutations
from table_mutations import CANARY, KINDS, corpus, mutant, verdict

FEW, MANY = 200, 4000
BATCH = 1000
COMMANDS = ("schema", "fit", "evaluate")


def complaints(kind: str, first: int, count: int) -> list[str]:
    """Read mutants in a process, and in another those after one that ended it."""
    wrong, at, end = [], first, first + count
    while at < end:
        run = subprocess.run(
            [sys.executable, table_mutations.__file__, kind, str(at), str(end - at)],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = run.stdout.splitlines()
        wrong += [f"{kind} {line}" for line in lines if " WRONG: " in line]
        at += len(lines)
        if at < end:
            wrong.append(f"{kind} {at} ended the process: {run.returncode} {run.stderr[-300:]}")
            at += 1
    return wrong


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_table_is_refused_or_read(kind: str) -> None:
    assert complaints(kind, 0, FEW) == []


@pytest.mark.deep
@pytest.mark.parametrize("first", range(FEW, MANY, BATCH))
@pytest.mark.parametrize("kind", KINDS)
def test_four_thousand_damaged_tables_are_refused_or_read(kind: str, first: int) -> None:
    assert complaints(kind, first, BATCH) == []


@pytest.mark.parametrize("path", list(corpus()), ids=lambda path: path.name)
def test_a_file_that_broke_the_product_once(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    assert verdict(copy, path.read_bytes()) in ("read", "refused")


def told(command: str, number: int) -> str | None:
    """Run a command on a mutant; say what is wrong, or nothing."""
    kind = KINDS[number % len(KINDS)]
    suffix, content = mutant(kind, number)
    with tempfile.TemporaryDirectory() as folder:
        path, model = Path(folder) / f"t{suffix}", Path(folder) / "m.psyn"
        path.write_bytes(content)
        more = {
            "schema": [],
            "fit": ["-o", str(model), "--seed", "1"],
            "evaluate": ["--train", str(path)],
        }
        run = subprocess.run(
            [sys.executable, "-m", "privsynth", command, str(path), *more[command]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=300,
            check=False,
        )
        where = f"{command} {kind} {number}: exit {run.returncode}: {run.stderr[-500:]}"
        if run.returncode == 0:
            return None
        *_, last = run.stderr.splitlines() or [""]
        refused = run.returncode == 2 and last.startswith("privsynth: error: ")
        # A canary that a mutation moved into a column's name is no cell any more.
        quotes = CANARY in last and CANARY not in last.partition(", row")[0]
        left = sorted(file.name for file in Path(folder).iterdir()) != [path.name]
        return (
            None if refused and not quotes and not left and "Traceback" not in run.stderr else where
        )


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_refuse_or_read_damaged_tables(command: str) -> None:
    assert [wrong for number in range(4) if (wrong := told(command, number))] == []


@pytest.mark.deep
@pytest.mark.parametrize("first", range(100, 600, 50))
def test_five_hundred_commands_refuse_or_read_damaged_tables(first: int) -> None:
    numbers = range(first, first + 50)
    assert [
        wrong
        for number in numbers
        if (wrong := told(COMMANDS[number // len(KINDS) % len(COMMANDS)], number))
    ] == []
