"""What a killed run leaves is removed by the next run in the same folder."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import StorageError
from privsynth.files import leftovers
from privsynth.files.atomic import beside, put_new, replacing
from privsynth.files.leftovers import TEMPORARY, prefix, sweep

SCHEMA = """
columns:
- {name: age, kind: integer, dtype: int64, bounds: [0, 99], source: declared}
- {name: sick, kind: categorical, dtype: string, levels: ['no', 'yes'], source: declared,
   role: target}
"""

# Kills itself in the place of what puts a finished file there: all of it has been written by then.
KILLED = """
import os, sys
from pathlib import Path
def kill(*given, **named):
    os.kill(os.getpid(), 9)
if sys.argv[1] == "release":
    from privsynth.releases import bundle
    bundle.put = kill
elif "::" in sys.argv[-1]:
    from privsynth.table import databases
    databases.put_new = kill
else:
    Path.chmod = kill
from privsynth.cli.program import main
main()
"""
RUN = "from privsynth.cli.program import main; main()"


def run(script: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    rng = np.random.default_rng(0)
    for name, n in (("train", 400), ("holdout", 200)):
        age = rng.integers(0, 99, n)
        sick = np.where(rng.random(n) < 0.3, "yes", "no")
        pd.DataFrame({"age": age, "sick": sick}).to_csv(folder / f"{name}.csv", index=False)
    (folder / "s.yaml").write_text(SCHEMA)
    given = ("fit", "train.csv", "--target", "sick", "--engine", "copula", "--seed", 1)
    done = run(RUN, *given, "-o", "m.psyn", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def commands(folder: Path) -> dict[str, list[object]]:
    """One command for each kind of output, in the working folder; inputs are in `folder`."""
    train, model = folder / "train.csv", folder / "m.psyn"
    fit = ["fit", train, "--target", "sick", "--engine", "copula", "-o", "m.psyn"]
    augment = ["augment", train, "--target", "sick", "--engine", "smote"]
    judged = ["--train", train, "--holdout", folder / "holdout.csv", "--target", "sick"]
    evaluate = ["evaluate", train, *judged, "--no-attacks"]
    return {
        "schema": ["schema", train, "-o", "s.yaml"],
        "fit": fit,
        "holdout": [*fit, "--holdout", 0.5, "--holdout-output", "h.csv"],
        "ledger": ["fit", train, "--schema", folder / "s.yaml", "--epsilon", 1, "-o", "m.psyn",
                   "--ledger", "l.json", "--new-ledger"],
        "sample": ["sample", model, "-n", 50, "-o", "t.csv"],
        "parquet": ["sample", model, "-n", 50, "-o", "t.parquet"],
        "duckdb": ["sample", model, "-n", 50, "-o", "duckdb:///t.db::t"],
        "sqlite": ["sample", model, "-n", 50, "-o", "sqlite:///t.db::t"],
        "augment": [*augment, "-o", "t.csv"],
        "report": [*evaluate, "-o", "r.html"],
        "figures": [*evaluate, "--json", "r.json"],
        "release": ["release", model, "-n", 120, "-o", "out", *judged[:4]],
    }  # fmt: skip


NAMES = tuple(commands(Path()))
SLOW = {"ledger", "augment", "report", "figures", "release"}


def left(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if ".privsynth-" in path.name]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in NAMES]
)
def test_what_a_killed_run_leaves_is_private_and_gone_after_the_next(
    name: str, folder: Path, tmp_path: Path
) -> None:
    if name == "sqlite":
        pytest.importorskip("adbc_driver_sqlite")
    if name == "augment":
        (tmp_path / "t.csv").write_text("old")
    command = commands(folder)[name]
    killed = run(KILLED, *command, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert left(tmp_path), "the run was killed before it wrote anything"
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in left(tmp_path)} == {0}
    there = {path.name for path in tmp_path.iterdir()} - {path.name for path in left(tmp_path)}
    assert there <= ({"t.csv"} if name == "augment" else set())
    # Another output beside them is enough.
    done = run(RUN, *commands(folder)["schema"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not left(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*there, "s.yaml"}


def killed_inside(folder: Path, stop: str) -> int:
    """Kill a process that has created temporary files; return its pid."""
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom privsynth.files.atomic import *\n"
        f"{stop}\nprint(os.getpid(), flush=True)\nos.kill(os.getpid(), 9)"
    )
    done = run(script, cwd=folder)
    return int(done.stdout)


def test_a_folder_and_all_in_it_goes(tmp_path: Path) -> None:
    killed_inside(
        tmp_path,
        "c = beside(Path('out')); f = c.__enter__(); (f / 'sub').mkdir();"
        "(f / 'sub' / 'rows.csv').write_text('1')",
    )
    (found,) = left(tmp_path)
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    sweep(tmp_path)
    assert not left(tmp_path)


def test_a_folder_that_was_moved_aside_comes_back(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "card.json").write_text("old")
    killed_inside(
        tmp_path,
        "from privsynth.files import atomic\natomic._exchange = lambda *_: False\n"
        "rename = Path.rename\n"
        "def once(self, target):\n"
        "    rename(self, target)\n"
        "    print(os.getpid(), flush=True); os.kill(os.getpid(), 9)\n"
        "Path.rename = once\n"
        "with beside(Path('out').resolve()) as f:\n"
        "    (f / 'card.json').write_text('new'); put(f, Path('out').resolve())",
    )
    assert not (tmp_path / "out").exists()
    with replacing(tmp_path / "other.csv") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "out" / "card.json").read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "other.csv"}


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of writing."""
    script = (
        "import sys\nfrom privsynth.files.atomic import *\n"
        "with replacing('a.csv') as a, beside('b') as b:\n"
        "    (b / 'rows.csv').write_text('1')\n"
        "    print('ready', flush=True); sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_beside_another_takes_nothing_from_it(
    writing: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert len(left(tmp_path)) == 2
    with replacing(tmp_path / "a.csv") as temporary:  # the same output, even
        temporary.write_text("ours")
    assert len(left(tmp_path)) == 2
    writing.communicate("")
    assert writing.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_that_was_killed_and_not_yet_waited_for_is_gone(
    writing: subprocess.Popen[str], tmp_path: Path
) -> None:
    os.kill(writing.pid, signal.SIGKILL)
    while b") Z " not in Path(f"/proc/{writing.pid}/stat").read_bytes():
        time.sleep(0.01)
    sweep(tmp_path)
    assert not left(tmp_path)


def planted(folder: Path, **changes: str) -> Path:
    """Create a temporary file of a process that has ended, or of another process."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host, world = leftovers._machine()
    parts = {"host": host, "world": world, "pid": str(ended.pid), "start": "1", **changes}
    place = folder / (
        f".t.csv.privsynth-{parts['host']}-{parts['world']}-{parts['pid']}-{parts['start']}"
        f"-0a1b2c3d{parts.get('ending', '.tmp')}"
    )
    place.write_text("rows")
    return place


def test_a_file_whose_process_has_ended_goes(tmp_path: Path) -> None:
    place = planted(tmp_path)
    sweep(tmp_path)
    assert not place.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_pid_that_another_process_has_now_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    place = planted(tmp_path, pid=str(os.getpid()), start="1")
    ours = tmp_path / f"{prefix(tmp_path / 't.csv')}0a1b2c3d{TEMPORARY}"
    ours.touch()
    sweep(tmp_path)
    assert not place.exists()
    assert ours.exists()


@pytest.mark.parametrize("whose", [{"host": "0" * 8}, {"world": "0" * 8}])
def test_a_file_of_another_machine_stays_until_it_is_old(
    whose: dict[str, str], tmp_path: Path
) -> None:
    place = planted(tmp_path, **whose)
    sweep(tmp_path)
    assert place.exists()
    old = time.time() - leftovers.MAX_AGE - 60
    os.utime(place, (old, old))
    sweep(tmp_path)
    assert not place.exists()


def test_a_file_from_before_the_machine_was_started_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, elsewhere = planted(tmp_path, world="0" * 8), planted(tmp_path, host="0" * 8)
    monkeypatch.setattr(leftovers, "_boot_time", lambda: time.time() + 60)
    sweep(tmp_path)
    assert not here.exists()
    assert elsewhere.exists()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    host, world = leftovers._machine()
    kept = [
        tmp_path / name
        for name in (
            "t.csv",
            ".t.csv.tmp",
            ".t.csv.privsynth-1.tmp",
            f".t.csv.privsynth-{host}-{world}-1-1-0a1b2c3d.csv",
            f".t.csv.privsynth-{host}-{world}-1-1-0a1b2c3d.tmp.bak",
            f"t.csv.privsynth-{host}-{world}-1-1-0a1b2c3d.tmp",
            f".t.csv.privsynth-{host}-{world}-x-1-0a1b2c3d.tmp",
            f".t.csv.privsynth-{host.upper()}X-{world}-1-1-0a1b2c3d.tmp",
        )
    ]
    for path in kept:
        path.write_text("mine")
    (tmp_path / "rows.csv").write_text("mine")
    link = planted(tmp_path)
    link.unlink()
    link.symlink_to(tmp_path / "rows.csv")
    sweep(tmp_path)
    assert all(path.read_text() == "mine" for path in [*kept, tmp_path / "rows.csv"])
    assert link.is_symlink()


def test_what_another_user_owns_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = planted(tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: place.stat().st_uid + 1)
    sweep(tmp_path)
    assert place.exists()


def test_what_cannot_be_removed_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = planted(tmp_path)
    unlink = Path.unlink

    def refusing(self: Path, missing_ok: bool = False) -> None:
        if self == place:
            raise PermissionError(13, "Permission denied")
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", refusing)
    with replacing(tmp_path / "t.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "t.csv").read_text() == "new"


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a\nb"])
def test_a_target_of_any_name_has_a_temporary_name_that_is_swept(name: str, tmp_path: Path) -> None:
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("new")
        assert leftovers._NAME.fullmatch(temporary.name)
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_has_the_mode_of_a_new_one_in_the_end(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with replacing(tmp_path / "t.csv"):
            pass
        with replacing(tmp_path / "m.psyn", mode=0o600):
            pass
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "t.csv").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "m.psyn").stat().st_mode) == 0o600


def test_an_interrupt_between_any_two_steps_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os\nfrom privsynth.files import atomic\n"
        "close = os.close\n"
        "def interrupted(handle):\n    close(handle)\n    raise KeyboardInterrupt\n"
        "atomic.os.close = interrupted\n"
        "atomic.replacing('t.csv').__enter__()\n"
    )
    done = run(script, cwd=tmp_path)
    assert done.returncode in (1, 130, -signal.SIGINT)
    assert "KeyboardInterrupt" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_in_use_when_the_program_ends_is_cleared(tmp_path: Path) -> None:
    script = (
        "from privsynth.files.atomic import *\n"
        "kept = [replacing('t.csv'), beside('out')]\n"
        "folder = [c.__enter__() for c in kept][1]\n"
        "(folder / 'rows.csv').write_text('1')\n"
        "import os; os.fork() or os._exit\n"
        "raise SystemExit(3)\n"
    )
    assert run(script, cwd=tmp_path).returncode == 3
    assert not list(tmp_path.iterdir())


def test_a_new_file_does_not_replace_what_was_put_there_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    for links in (True, False):
        if not links:
            monkeypatch.setattr(os, "link", no_links)
        with beside(tmp_path / "t.db") as folder:
            (folder / "t.db").write_text("ours")
            (tmp_path / "t.db").write_text("theirs")
            with pytest.raises(StorageError, match="meanwhile"):
                put_new(folder / "t.db", tmp_path / "t.db")
            assert (tmp_path / "t.db").read_text() == "theirs"
            (tmp_path / "t.db").unlink()
            put_new(folder / "t.db", tmp_path / "t.db")
        assert (tmp_path / "t.db").read_text() == "ours"
        (tmp_path / "t.db").unlink()
    assert not list(tmp_path.iterdir())
