"""What each command prints and writes, and how every ending becomes an exit code."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from privsynth import pipeline
from privsynth.cli.program import main
from privsynth.engines.registry import DEFAULT, ENGINES
from privsynth.errors import MachineError, PrivsynthWarning, StorageError

CANARY = "CANARY-7f3a"
COMMANDS = ["schema", "fit", "sample", "evaluate", "inspect", "demo"]


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a table of 200 rows and a model of it."""
    folder = tmp_path_factory.mktemp("cli")
    rows = [
        f"P{i:05d},{20 + i * 7 % 50},{['clerk', 'nurse', 'cook'][i % 3]},"
        f"{'' if i % 10 == 3 else i % 4},{'bad' if i % 5 == 0 else 'good'}"
        for i in range(200)
    ]
    (folder / "data.csv").write_text("\n".join(["id,age,job,visits,Class", *rows]) + "\n")
    arguments = ["--target", "Class", "--seed", 7]
    done(privsynth("fit", folder / "data.csv", "-o", folder / "m.psyn", *arguments))
    return folder


# ---------------------------------------------------------------------------- help


def test_help_answers_without_loading_what_is_heavy() -> None:
    script = (
        "import sys; from privsynth.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = run.stdout.splitlines()[-1]
    for package in ("numpy", "pandas", "pyarrow", "torch", "sdv", "yaml", "rich"):
        assert repr(package) not in loaded


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    text = done(privsynth(command, "--help")).stdout
    assert "--quiet" in text
    assert "--verbose" in text
    assert command in done(privsynth("--help")).stdout


def test_help_names_every_engine_and_the_default() -> None:
    text = CliRunner().invoke(main, ["fit", "--help"], terminal_width=400).stdout
    assert f"[default: {DEFAULT}]" in text
    for name in ENGINES:
        assert name in text


def test_version() -> None:
    assert done(privsynth("--version")).stdout == f"privsynth {version('privsynth')}\n"


def test_without_a_command_the_help_is_shown() -> None:
    result = privsynth()
    assert result.exit_code == 2
    assert "Usage: privsynth" in result.stderr


# ---------------------------------------------------------------------------- schema


def test_schema_prints_a_yaml_that_fit_accepts(folder: Path, tmp_path: Path) -> None:
    data, reviewed = folder / "data.csv", tmp_path / "schema.yaml"
    printed = done(privsynth("schema", data, "--target", "Class")).stdout
    written = done(privsynth("schema", data, "--target", "Class", "-o", reviewed))
    assert written.stdout == ""
    assert "schema.yaml" in written.stderr
    assert reviewed.read_text() == printed
    columns = {column["name"]: column for column in yaml.safe_load(printed)["columns"]}
    assert list(columns) == ["id", "age", "job", "visits", "Class"]
    assert columns["id"]["kind"] == "id"
    assert columns["Class"]["role"] == "target"
    model = tmp_path / "m.psyn"
    done(privsynth("fit", data, "-o", model, "--schema", reviewed, "--seed", 7))
    assert json.loads(done(privsynth("inspect", model, "--json")).stdout)["target"] == "Class"


# ---------------------------------------------------------------------------- fit


def test_fit_says_what_it_learnt_and_claims_no_guarantee(folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.psyn"
    result = done(privsynth("fit", folder / "data.csv", "-o", model, "--target", "Class"))
    assert result.stdout == ""
    for part in ("5 columns", "200 rows", "'Class'", DEFAULT, "'id'", "no formal guarantee"):
        assert part in result.stderr
    assert "(drawn; give --seed" in result.stderr
    assert stat.S_IMODE(model.stat().st_mode) == 0o600


def test_quiet_says_nothing(folder: Path, tmp_path: Path) -> None:
    model, out = tmp_path / "m.psyn", tmp_path / "out.csv"
    for arguments in (
        ["fit", folder / "data.csv", "-o", model],
        ["sample", model, "-n", 5, "-o", out],
    ):
        assert done(privsynth(*arguments, "--quiet")).output == ""


def test_the_seed_that_was_drawn_repeats_the_model(folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1.psyn", tmp_path / "2.psyn"
    said = done(privsynth("fit", folder / "data.csv", "-o", first)).stderr
    seed = said.split("give --seed ")[1].split()[0]
    again = done(privsynth("fit", folder / "data.csv", "-o", second, "--seed", seed))
    assert "(drawn; " not in again.stderr
    assert first.read_bytes() == second.read_bytes()


def test_the_holdout_is_set_aside(folder: Path, tmp_path: Path) -> None:
    model, holdout = tmp_path / "m.psyn", tmp_path / "holdout.csv"
    arguments = ["--target", "Class", "--holdout", 0.25, "--holdout-output", holdout]
    done(privsynth("fit", folder / "data.csv", "-o", model, *arguments))
    header, *rows = holdout.read_text().splitlines()
    everything = (folder / "data.csv").read_text().splitlines()
    assert header == everything[0]
    assert len(rows) == 50
    assert set(rows) <= set(everything)
    assert sum(row.endswith("bad") for row in rows) == 10
    card = json.loads(done(privsynth("inspect", model, "--json")).stdout)
    assert card["rows"] == 150


def test_the_command_line_wins_over_the_config(folder: Path, tmp_path: Path) -> None:
    config, model = tmp_path / "run.yaml", tmp_path / "m.psyn"
    config.write_text(
        "engine: sdv-ctgan\ntarget: Class\nseed: 3\nk: 20\n"
        "settings: {epochs: 1, batch_size: 50, generator_dim: [8, 8]}\n"
    )
    done(
        privsynth(
            *["fit", folder / "data.csv", "-o", model, "--config", config, "--k", 15],
            *["--set", "generator_dim=[16,16]", "--set", "discriminator_lr=1e-4"],
        )
    )
    card = json.loads(done(privsynth("inspect", model, "--json")).stdout)
    assert (card["engine"], card["target"], card["seed"]) == ("sdv-ctgan", "Class", 3)
    assert card["disclosure"]["k"] == 15
    assert card["settings"]["epochs"] == 1
    assert card["settings"]["generator_dim"] == [16, 16]
    assert card["settings"]["discriminator_lr"] == 1e-4


# ---------------------------------------------------------------------------- sample


def test_the_seed_decides_the_rows(folder: Path, tmp_path: Path) -> None:
    outputs = []
    for i, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{i}.csv"
        done(privsynth("sample", folder / "m.psyn", "-n", 40, "-o", out, "--seed", seed))
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1] != outputs[2]


def test_where_gives_only_such_rows(folder: Path) -> None:
    command = ["sample", folder / "m.psyn", "-n", 30, "-o", "-", "--seed", 1]
    header, *rows = done(privsynth(*command, "--where", "Class=bad")).stdout.splitlines()
    assert header == "id,age,job,visits,Class"
    assert len(rows) == 30
    assert all(row.endswith(",bad") for row in rows)
    both = done(privsynth(*command, "--where", "Class=good", "--where", "visits=")).stdout
    assert all(row.endswith(",,good") for row in both.splitlines()[1:])


@pytest.mark.parametrize("condition", ["Clas=bad", "Class=worse", "age=old"])
def test_a_condition_that_cannot_be_met_says_one_line(
    folder: Path, tmp_path: Path, condition: str
) -> None:
    out = tmp_path / "out.csv"
    result = privsynth("sample", folder / "m.psyn", "-n", 5, "-o", out, "--where", condition)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert not out.exists()


def test_rows_on_stdout_are_the_rows_of_the_file(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    command = ["sample", folder / "m.psyn", "-n", 25, "--seed", 1, "-o"]
    done(privsynth(*command, out))
    assert done(privsynth(*command, "-")).stdout == out.read_text()


# ---------------------------------------------------------------------------- evaluate, inspect


def test_evaluate_prints_a_summary_and_writes_reports(folder: Path, tmp_path: Path) -> None:
    synthetic, holdout = tmp_path / "synthetic.csv", tmp_path / "holdout.csv"
    for path, seed in ((synthetic, 1), (holdout, 2)):
        done(privsynth("sample", folder / "m.psyn", "-n", 200, "-o", path, "--seed", seed))
    html, scores = tmp_path / "report.html", tmp_path / "scores.json"
    result = done(
        privsynth(
            *["evaluate", synthetic, "--train", folder / "data.csv", "--holdout", holdout],
            *["--model", folder / "m.psyn", "-o", html, "--json", scores],
        )
    )
    assert "fidelity" in result.stdout.casefold()
    assert "report.html" in result.stderr
    assert {"fidelity", "utility"} <= {
        s["family"] for s in json.loads(scores.read_text())["scores"]
    }
    assert html.read_text().lstrip().lower().startswith("<!doctype html>")


def test_evaluate_takes_an_encoding_for_what_is_not_utf8(folder: Path, tmp_path: Path) -> None:
    real = (folder / "data.csv").read_text().replace("visits", "Größe").replace(",", ";")
    data, model, made = tmp_path / "data.csv", tmp_path / "m.psyn", tmp_path / "made.csv"
    data.write_bytes(real.encode("latin-1"))
    done(privsynth("fit", data, "-o", model, "--encoding", "latin-1", "--seed", 1))
    done(privsynth("sample", model, "-n", 200, "-o", made, "--seed", 1))
    done(privsynth("evaluate", made, "--train", data, "--model", model, "--encoding", "latin-1"))
    refused = privsynth("evaluate", made, "--train", data, "--model", model)
    assert refused.exit_code == 2
    assert "data.csv, line 1: is not UTF-8" in refused.stderr


def test_inspect_shows_the_card(folder: Path) -> None:
    text = done(privsynth("inspect", folder / "m.psyn")).stdout
    card = json.loads(done(privsynth("inspect", folder / "m.psyn", "--json")).stdout)
    assert yaml.safe_load(text) == card
    assert card["engine"] == DEFAULT
    assert card["columns"]["id"] == "id"
    assert card["columns"]["Class"] == "categorical"
    assert card["domains"]["Class"] == {"levels": ["good", "bad"]}
    assert card["domains"]["age"]["bounds"][0] >= 20
    assert "id" not in card["domains"]
    assert card["disclosure"]["k"] == 10
    assert card["holds_rows"] is False
    assert card["guarantee"] == "no formal guarantee"
    assert card["not_covered"]
    assert {event["mechanism"] for event in card["ledger"]} == {"exact"}


# ---------------------------------------------------------------------------- demo


def test_the_demos_are_those_that_are_shipped() -> None:
    shipped = yaml.safe_load((files("privsynth") / "data" / "demos.yaml").read_text())
    (name,) = (p for p in main.commands["demo"].params if p.name == "name")
    assert list(name.type.choices) == list(shipped)


@pytest.mark.slow
def test_demo_writes_all_that_it_promises(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    result = done(privsynth("demo", "intrusion", "-o", out))
    assert {path.name for path in out.iterdir()} == {
        "train.csv",
        "holdout.csv",
        "synthetic.csv",
        "model.psyn",
        "report.html",
        "evaluation.json",
    }
    counts = {
        part: len((out / f"{part}.csv").read_text().splitlines()) - 1
        for part in ("train", "holdout", "synthetic")
    }
    assert counts["train"] == counts["synthetic"]
    assert counts["holdout"] == pytest.approx(counts["train"] / 3, abs=1)
    assert "attack" not in (out / "train.csv").read_text().splitlines()[0].split(",")
    assert "fidelity" in result.stdout.casefold()


# ---------------------------------------------------------------------------- endings


def raising(error: BaseException) -> Callable[..., Any]:
    def verb(*_: Any, **__: Any) -> Any:
        raise error

    return verb


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (MachineError("out.csv: the disk is full; free some space"), 3, "disk is full"),
        (OSError(errno.ENOSPC, "No space left on device", "out.csv"), 3, "out.csv"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "free some space"),
        (MemoryError(), 3, "out of memory"),
        (StorageError("out.csv: cannot be read; check the path"), 2, "cannot be read"),
        (PermissionError(errno.EACCES, "Permission denied", "x.csv"), 2, "x.csv"),
        (StorageError("two\nlines and \x1b[31mcolour"), 2, "two lines and"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyError(CANARY), 3, "a bug in privsynth (KeyError at cmd_"),
        (ValueError(f"bad cell {CANARY}"), 3, "please report"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--verbose"], ["--quiet"]])
def test_every_error_is_one_line_and_a_code(
    error: BaseException,
    code: int,
    says: str,
    flags: list[str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "propose_schema", raising(error))
    result = privsynth("schema", folder / "data.csv", *flags)
    assert result.exit_code == code
    *others, line = result.stderr.splitlines()
    assert line.startswith("privsynth: error: ")
    assert says in line
    assert "\x1b" not in result.output
    assert "Traceback" not in result.output
    assert CANARY not in result.output
    if "--verbose" not in flags:
        assert not others


def test_verbose_says_where_a_bug_was_met(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "propose_schema", raising(KeyError(CANARY)))
    result = privsynth("schema", folder / "data.csv", "--verbose")
    assert "in schema" in result.stderr
    assert CANARY not in result.stderr


@pytest.mark.parametrize("flag", [None, "--quiet"])
def test_only_our_own_warnings_are_shown_and_each_once(
    flag: str | None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = pipeline.propose_schema

    def warning(*given: Any, **named: Any) -> Any:
        for _ in range(2):
            warnings.warn("column 'note' is free text", PrivsynthWarning, stacklevel=1)
            warnings.warn(f"someone else's {CANARY}", UserWarning, stacklevel=1)
        return original(*given, **named)

    monkeypatch.setattr(pipeline, "propose_schema", warning)
    result = done(privsynth("schema", folder / "data.csv", *filter(None, [flag])))
    ours = [line for line in result.stderr.splitlines() if "free text" in line]
    assert ours == ([] if flag else ["privsynth: warning: column 'note' is free text"])
    assert CANARY not in result.output


def start(*arguments: object, **settings: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from privsynth.cli import main; main()"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_DFL),  # nohup ignores it
        **settings,
    )


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "terminated"),
        (signal.SIGHUP, "the terminal has gone"),
    ],
)
def test_a_run_that_is_told_to_stop_leaves_the_old_file_and_no_half_one(
    number: signal.Signals, says: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    run = start("sample", folder / "m.psyn", "-n", 50_000_000, "-o", out, "--seed", 1)
    while not any(path != out for path in tmp_path.iterdir()):  # rows are on their way
        assert run.poll() is None, run.stderr
        time.sleep(0.05)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + number
    assert said.decode().splitlines() == [f"privsynth: error: {says}; no file is left half-written"]
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fit_under_a_budget_is_stopped_while_opendp_waits_for_an_answer(
    number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "1\n2\n3\n" * 50)
    (tmp_path / "s.yaml").write_text(
        "columns:\n- {name: a, kind: integer, dtype: int64, bounds: [0, 9], source: declared}\n"
    )
    script = """
import time
from privsynth.curator import private as private_curator
joint = private_curator._Counts.joint
def slow(*given):
    print("asked", flush=True)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass
    return joint(*given)
private_curator._Counts.joint = slow
from privsynth.cli import main
main()
"""
    command = ["fit", "t.csv", "-o", "m.psyn", "--schema", "s.yaml", "--epsilon", "1"]
    run = subprocess.Popen(
        [sys.executable, "-c", script, *command],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "asked\n"
    time.sleep(0.1)
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 128 + number, said
    (line,) = said.splitlines()
    assert "no file is left half-written" in line
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "s.yaml"}


def test_a_signal_that_a_library_turns_into_its_own_error_is_still_that_signal(
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "1\n2\n3\n" * 50)
    script = """
import os, signal
from privsynth import pipeline
def interrupted(*given, **named):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    except KeyboardInterrupt:
        raise RuntimeError("Query interrupted")
pipeline.propose_schema = interrupted
from privsynth.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "schema", "t.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 143
    assert done.stderr == "privsynth: error: terminated; no file is left half-written\n"


def test_a_signal_that_whoever_started_the_run_ignores_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n" + "1\n2\n3\n" * 50)
    script = """
import os, signal
from privsynth import pipeline
propose = pipeline.propose_schema
def hung_up(*given, **named):
    os.kill(os.getpid(), signal.SIGHUP)
    return propose(*given, **named)
pipeline.propose_schema = hung_up
signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
from privsynth.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "schema", "t.csv"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    run = start("sample", folder / "m.psyn", "-n", 200_000, "-o", "-", "--seed", 1)
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.readline() == b"id,age,job,visits,Class\n"
    run.stdout.close()
    assert run.stderr.read() == b""
    assert run.wait(timeout=60) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_exit_3(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-c", "from privsynth.cli import main; main()"]
        arguments = ["sample", folder / "m.psyn", "-n", "2000", "-o", "-", "--seed", "1"]
        run = subprocess.run(
            [*command, *map(str, arguments)],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
    assert run.returncode == 3
    assert run.stderr.decode().startswith("privsynth: error: ")
    assert len(run.stderr.splitlines()) == 1
