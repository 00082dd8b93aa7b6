"""The ledger of a table's owner: on the disk before any noise, and patient with others."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from privsynth.errors import PrivsynthWarning, StorageError
from privsynth.privacy import spending
from privsynth.privacy.budget import Budget
from privsynth.privacy.spending import reserve

RUN = "from privsynth.cli import main; main()"
SCHEMA = """
columns:
- {name: a, kind: integer, dtype: int64, bounds: [0, 9], source: declared}
"""


@pytest.fixture
def held(tmp_path: Path) -> Iterator[int]:
    """The folder's lock, as another fit holds it."""
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    yield handle
    os.close(handle)


def waiting(folder: Path) -> subprocess.Popen[str]:
    """A fit that cannot get at its ledger; it has said so."""
    (folder / "t.csv").write_text("a\n" + "1\n2\n3\n" * 50)
    (folder / "s.yaml").write_text(SCHEMA)
    command = ["fit", "t.csv", "-o", "m.psyn", "--schema", "s.yaml", "--epsilon", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, *command, "--ledger", "l.json", "--new-ledger"],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "l.json" in line, line
    assert "waiting for" in line
    assert str(os.getpid()) in line or not Path("/proc/locks").exists()
    return process


def test_a_fit_that_waits_for_a_ledger_says_so_and_goes_on(held: int, tmp_path: Path) -> None:
    run = waiting(tmp_path)
    assert run.poll() is None
    fcntl.flock(held, fcntl.LOCK_UN)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 0, said
    assert len(json.loads((tmp_path / "l.json").read_text())["entries"]) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("held")
def test_a_fit_that_waits_can_be_stopped(number: signal.Signals, tmp_path: Path) -> None:
    run = waiting(tmp_path)
    time.sleep(0.2)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + number
    assert len(said.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "s.yaml"}


def test_one_who_does_not_wait_long_says_nothing(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(spending, "PATIENCE", 30.0)
    later = threading.Timer(0.1, fcntl.flock, (held, fcntl.LOCK_UN))
    later.start()
    reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True)
    assert not recwarn.list


def test_in_python_it_is_a_warning(
    held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "PATIENCE", 0.05)
    later = threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN))
    later.start()
    with pytest.warns(PrivsynthWarning, match="waiting for"):
        reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True)


def test_a_charge_is_on_the_disk_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sync, replace = os.fsync, Path.replace

    def told_sync(handle: int) -> None:
        done.append("folder" if os.path.samestat(os.fstat(handle), tmp_path.stat()) else "file")
        sync(handle)

    def told_replace(self: Path, target: Path) -> Path:
        assert json.loads(self.read_text())["entries"], "what is synced is whole"
        done.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", told_sync)
    monkeypatch.setattr(Path, "replace", told_replace)
    reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True)
    assert done == ["file", "rename", "folder"]


def test_a_charge_that_cannot_be_synced_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True)
    state = json.loads((tmp_path / "l.json").read_text()) | {"epsilon": 9.0}
    (tmp_path / "l.json").write_text(json.dumps(state))
    before = (tmp_path / "l.json").read_bytes()

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StorageError, match=r"l\.json: cannot be written"):
        reserve(tmp_path / "l.json", Budget(0.1), 0.0, "another fit")
    assert (tmp_path / "l.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["l.json"]


def test_a_file_system_that_does_not_sync_folders_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def on_files(handle: int) -> None:
        if os.path.samestat(os.fstat(handle), tmp_path.stat()):
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", on_files)
    assert reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True) > 0


def test_a_file_system_without_locks_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(StorageError, match="cannot be"):
        reserve(tmp_path / "l.json", Budget(1.0), 0.0, "a fit", new=True)
