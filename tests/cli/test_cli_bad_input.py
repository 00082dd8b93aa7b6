"""Bad input ends in exit 2 and one line that mends it; nothing is written, no cell is quoted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from privsynth.cli.program import main

CANARY = "CANARY-7f3a"
HEADER = "age,job,Class"


def lines(*extra: str, n: int = 60) -> str:
    rows = [f"{20 + i % 40},{'clerk' if i % 3 else 'nurse'},{i % 2}" for i in range(n)]
    return "\n".join([HEADER, *rows, *extra]) + "\n"


def privsynth(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, *says: str) -> str:
    """Check that a run ended in exit 2 and one line that says all of `says`; give the line."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("privsynth: error: ")
    assert "Traceback" not in line
    for part in says:
        assert part in line, line
    assert CANARY not in result.output
    return line


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    path.write_text(lines())
    return path


BAD_TABLES = {
    "empty": (b"", ["empty"]),
    "blank": (b"\n\n", []),
    "header-only": (b"age,job,Class\n", ["no rows"]),
    "ragged": (lines(f"31,{CANARY}").encode(), ["62"]),
    "too-wide": (lines(f"31,{CANARY},1,2").encode(), ["62"]),
    "not-utf-8": (lines(f"31,{CANARY}é,1").encode("latin-1"), ["--encoding"]),
    "open-quote": (lines(f'31,"{CANARY},1', "32,clerk,0").encode(), ["quot"]),
    "nul-byte": (lines(f"31,{CANARY}\0,1").encode(), ["NUL"]),
    "duplicate-header": (f"age,age,Class\n1,{CANARY},1\n".encode(), ["'age'"]),
    "blank-header": (f"age,,Class\n1,{CANARY},1\n".encode(), ["header"]),
    "infinite": (lines(f"inf,{CANARY},1").encode(), ["'age'", "inf"]),
    "target-null": (lines(f"31,{CANARY},").encode(), ["'Class'"]),
    "single-class": (
        "\n".join([HEADER, *(f"{20 + i},{CANARY},1" for i in range(60))]).encode(),
        ["'Class'"],
    ),
    "too-few-rows": (f"{HEADER}\n31,{CANARY},1\n32,{CANARY},0\n".encode(), ["rows"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_a_bad_table_is_refused_and_the_old_model_stays(case: str, tmp_path: Path) -> None:
    content, says = BAD_TABLES[case]
    data, model = tmp_path / "bad.csv", tmp_path / "model.psyn"
    data.write_bytes(content)
    model.write_bytes(b"old")
    result = privsynth("fit", data, "-o", model, "--target", "Class", "--seed", 1)
    refused(result, "bad.csv", *says)
    assert model.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "model.psyn"]


@pytest.mark.parametrize(
    "case", ["empty", "header-only", "ragged", "not-utf-8", "open-quote", "nul-byte"]
)
def test_schema_and_evaluate_refuse_it_too(case: str, tmp_path: Path, table: Path) -> None:
    content, says = BAD_TABLES[case]
    data = tmp_path / "bad.csv"
    data.write_bytes(content)
    refused(privsynth("schema", data), "bad.csv", *says)
    refused(privsynth("evaluate", data, "--train", table), "bad.csv", *says)
    refused(privsynth("evaluate", table, "--train", data), "bad.csv", *says)


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.csv"
    refused(privsynth("schema", missing), "none.csv")
    refused(privsynth("fit", missing, "-o", tmp_path / "m.psyn", "--seed", 1), "none.csv")


def test_a_missing_target_names_the_nearest(table: Path, tmp_path: Path) -> None:
    model = tmp_path / "m.psyn"
    result = privsynth("fit", table, "-o", model, "--target", "Clas", "--seed", 1)
    refused(result, "good.csv", "'Clas'", "did you mean 'Class'")
    refused(privsynth("schema", table, "--target", "class"), "did you mean 'Class'")
    assert not model.exists()


def test_an_all_null_column_is_no_error(tmp_path: Path) -> None:
    data = tmp_path / "nulls.csv"
    rows = "".join(f"{i % 9},,{i % 2}\n" for i in range(60))
    data.write_text("age,never,Class\n" + rows)
    model, out = tmp_path / "m.psyn", tmp_path / "out.csv"
    assert privsynth("fit", data, "-o", model, "--target", "Class").exit_code == 0
    assert privsynth("sample", model, "-n", 20, "-o", out).exit_code == 0
    header, *drawn = out.read_text().splitlines()
    assert header == "age,never,Class"
    assert len(drawn) == 20
    assert all(line.split(",")[1] == "" for line in drawn)


# ------------------------------------------------------------------ names and settings


def test_an_unknown_engine_is_refused_before_the_data_is_read(tmp_path: Path) -> None:
    result = privsynth(
        "fit", tmp_path / "never-read.csv", "-o", tmp_path / "m.psyn", "--engine", "sdv-ctgn"
    )
    refused(result, "'sdv-ctgn'", "did you mean 'sdv-ctgan'")


def test_an_unknown_hyper_parameter_names_the_nearest(table: Path, tmp_path: Path) -> None:
    arguments = ["fit", table, "-o", tmp_path / "m.psyn", "--engine", "sdv-ctgan"]
    refused(privsynth(*arguments, "--set", "epoch=3"), "epoch", "epochs")
    refused(privsynth(*arguments, "--set", "epochs=many"), "epochs")
    refused(privsynth(*arguments, "--set", "epochs"), "KEY=VALUE")


def test_an_unknown_config_key_names_the_nearest(table: Path, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("taget: Class\n")
    result = privsynth("fit", table, "-o", tmp_path / "m.psyn", "--config", config)
    refused(result, "run.yaml", "'taget'", "did you mean 'target'")


def test_object_tags_build_nothing(table: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    bad = tmp_path / "bad.yaml"
    bad.write_text(f"columns: !!python/object/apply:os.mkdir ['{trap}']\n")
    for option in ("--config", "--schema"):
        result = privsynth("fit", table, "-o", tmp_path / "m.psyn", option, bad, "--seed", 1)
        refused(result, "bad.yaml")
    assert not trap.exists()


def test_a_schema_that_names_another_column_is_refused(table: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    schema.write_text("version: 1\ncolumns:\n- {name: agee, kind: integer}\n")
    result = privsynth("fit", table, "-o", tmp_path / "m.psyn", "--schema", schema, "--seed", 1)
    refused(result, "'agee'", "'age'")


# ------------------------------------------------------------------ outputs


@pytest.mark.parametrize("case", ["missing-folder", "a-folder"])
def test_an_output_that_cannot_be_written_is_found_before_any_work(
    case: str, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    out = {"missing-folder": tmp_path / "none" / "o.csv", "a-folder": tmp_path / "folder.csv"}[case]
    never, model = tmp_path / "never-read.csv", tmp_path / "m.psyn"
    refused(privsynth("schema", never, "-o", out), str(out))
    refused(privsynth("fit", never, "-o", out, "--seed", 1), str(out))
    holdout = ["--holdout", "0.2", "--holdout-output", out]
    refused(privsynth("fit", never, "-o", model, *holdout), str(out))
    refused(privsynth("sample", never, "-n", 5, "-o", out), str(out))
    for option in ("-o", "--json"):
        refused(privsynth("evaluate", never, "--train", table, option, out), str(out))


def test_a_demo_folder_that_cannot_be_made_is_named(table: Path, tmp_path: Path) -> None:
    refused(privsynth("demo", "-o", tmp_path / "none" / "demo"), "none")
    refused(privsynth("demo", "-o", table), "good.csv")


def test_a_folder_without_write_permission_is_found_before_any_work(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    refused(privsynth("fit", "never-read.csv", "-o", locked / "m.psyn"), str(locked))


def test_an_output_that_is_an_input_is_refused(table: Path, tmp_path: Path) -> None:
    before = table.read_bytes()
    elsewhere = tmp_path / "." / "good.csv"
    refused(privsynth("fit", table, "-o", elsewhere), "good.csv", "DATA")
    refused(privsynth("schema", table, "-o", table), "good.csv", "DATA")
    same = ["--holdout", "0.2", "--holdout-output", table]
    refused(privsynth("fit", table, "-o", tmp_path / "m.psyn", *same), "good.csv")
    both = tmp_path / "both.csv"
    same = ["--holdout", "0.2", "--holdout-output", both]
    refused(privsynth("fit", table, "-o", both, *same), "both.csv")
    refused(privsynth("sample", both, "-n", 5, "-o", both), "both.csv", "MODEL")
    assert table.read_bytes() == before


def test_an_unknown_suffix_is_found_before_any_work(tmp_path: Path) -> None:
    refused(privsynth("sample", tmp_path / "never-read", "-n", 5, "-o", tmp_path / "out.xyz"))


# ------------------------------------------------------------------ options


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sample", "m.psyn", "-n", "0", "-o", "o.csv"], "-n"),
        (["sample", "m.psyn", "-n", "-5", "-o", "o.csv"], "-n"),
        (["sample", "m.psyn", "-n", "many", "-o", "o.csv"], "-n"),
        (["sample", "m.psyn", "-n", "5"], "-o"),
        (["sample", "m.psyn", "-n", "5", "-o", "o.csv", "--where", "Class"], "COL=VALUE"),
        (["sample", "m.psyn", "-n", "5", "-o", "o.csv", "--where", "=1"], "COL=VALUE"),
        (["sample", "m.psyn", "-n", "5", "-o", "o.csv", *["--where", "a=1"] * 2], "'a' twice"),
        (["sample", "m.psyn", "-n", "5", "-o", "o.csv", "--sede", "1"], "--seed"),
        (["fit", "d.csv"], "-o"),
        (["fit", "-o", "m.psyn"], "DATA"),
        (["fit", "d.csv", "-o", "m.psyn", "--k", "0"], "--k"),
        (["fit", "d.csv", "-o", "m.psyn", "--holdout", "1"], "--holdout"),
        (["fit", "d.csv", "-o", "m.psyn", "--holdout", "0"], "--holdout"),
        (["fit", "d.csv", "-o", "m.psyn", "--holdout", "0.2"], "--holdout-output"),
        (["fit", "d.csv", "-o", "m.psyn", "--holdout-output", "h.csv"], "--holdout"),
        (["fit", "d.csv", "-o", "m.psyn", "--seed", "-1"], "--seed"),
        (["fit", "d.csv", "-o", "m.psyn", "--quiet", "--verbose"], "--quiet"),
        (["evaluate", "s.csv"], "--train"),
        (["demo", "frauds"], "fraud"),
        (["smaple"], "sample"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(privsynth(*arguments), says)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------ models


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"PK\x05\x06" + b"\0" * 18], ids=["empty", "text", "zip"]
)
def test_a_broken_model_is_one_line(content: bytes, tmp_path: Path, table: Path) -> None:
    model, out = tmp_path / "broken.psyn", tmp_path / "out.csv"
    model.write_bytes(content)
    out.write_text("old")
    refused(privsynth("inspect", model), "broken.psyn")
    refused(privsynth("sample", model, "-n", 5, "-o", out, "--seed", 1), "broken.psyn")
    refused(privsynth("evaluate", table, "--train", table, "--model", model), "broken.psyn")
    assert out.read_text() == "old"


def test_a_condition_that_no_row_can_meet_leaves_the_old_output(
    table: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "m.psyn", tmp_path / "out.csv"
    assert privsynth("fit", table, "-o", model, "--target", "Class").exit_code == 0
    out.write_text("old")
    for where in (f"Class={CANARY}", f"job={CANARY}", "Clas=1", "age="):
        result = privsynth("sample", model, "-n", 5, "-o", out, "--seed", 1, "--where", where)
        refused(result)
    assert out.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"good.csv", "m.psyn", "out.csv"}
