"""An output is never an input, however either is spelled."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

import privsynth
from privsynth import Budget, UsageError, pipeline
from privsynth.cli.program import main
from privsynth.table import check_distinct, write

ROWS = pa.table({"a": list(range(40)), "y": ["p", "q"] * 20})


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database of each kind: two tables, and a view of a view of both."""
    folder = tmp_path_factory.mktemp("databases")
    write(ROWS, f"duckdb:///{folder}/f.db::t")
    write(ROWS, f"sqlite:///{folder}/s.db::t")
    for connect, file in ((duckdb.connect, "f.db"), (sqlite3.connect, "s.db")):
        with connect(folder / file) as con:  # type: ignore[operator]
            con.execute("CREATE TABLE base (a INTEGER, y VARCHAR)")
            con.execute("CREATE VIEW v AS SELECT a, y FROM base WHERE a IN (SELECT a FROM t)")
            con.execute("CREATE VIEW w AS SELECT * FROM v")
        con.close()
    return folder


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, databases: Path) -> Path:
    """A folder, the working one, with one of every kind of input."""
    monkeypatch.chdir(tmp_path)
    for folder in ("sub", "real", "parts/sub", "other"):
        (tmp_path / folder).mkdir(parents=True)
    files = ("m.psyn", "schema.yaml", "policy.yaml", "key.pem", "ledger.json", "real/data.csv")
    for name in (*files, "parts/a.parquet", "parts/b.parquet", "real/part.parquet"):
        Path(name).write_text(name)
    Path("config.yaml").write_text("")
    Path("parts/linked.parquet").symlink_to("../real/part.parquet")
    Path("via").symlink_to("real")
    Path("alias").symlink_to("parts")
    Path("link.csv").symlink_to("real/data.csv")
    Path("dangling.parquet").symlink_to("parts/dangling.parquet")
    for name in ("f.db", "s.db"):
        shutil.copy(databases / name, name)
    Path("link.db").symlink_to("s.db")
    os.link("f.db", "hard.db")
    os.link("real/data.csv", "hard.csv")
    return tmp_path


def digest(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def refused(world: Path, arguments: list[str], *says: str) -> None:
    before = digest(world)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert "name another place for" in line, line
    for part in says:
        assert part in line, line
    assert digest(world) == before


# ---------------------------------------------------------------- every output of every command

TARGET = ["--target", "y"]

OUTPUTS: dict[str, Callable[[str, str], list[str]]] = {
    "schema -o": lambda data, out: ["schema", data, "-o", out],
    "fit -o": lambda data, out: ["fit", data, "-o", out, "--target", "y"],
    "fit --holdout-output": lambda data, out: [
        *("fit", data, "-o", "spare.psyn", "--holdout-output", out, "--holdout", "0.2")
    ],
    "fit --ledger": lambda data, out: [
        *("fit", data, "-o", "spare.psyn", "--epsilon", "1", "--ledger", out)
    ],
    "sample -o": lambda data, out: ["sample", data, "-n", "5", "-o", out],
    "augment -o": lambda data, out: ["augment", data, "-o", out, *TARGET],
    "augment --plot": lambda data, out: [
        *("augment", data, "-o", "spare.csv", "--plot", out, *TARGET)
    ],
    "augment --report": lambda data, out: [
        *("augment", data, "-o", "spare.csv", "--report", out, *TARGET)
    ],
    "augment --json": lambda data, out: [
        *("augment", data, "-o", "spare.csv", "--json", out, *TARGET)
    ],
    "augment --ledger": lambda data, out: [
        *("augment", data, "-o", "spare.csv", "--epsilon", "1", "--ledger", out, *TARGET)
    ],
    "evaluate -o": lambda data, out: ["evaluate", data, "--train", "x.csv", "-o", out],
    "evaluate --json": lambda data, out: ["evaluate", "x.csv", "--train", data, "--json", out],
    "evaluate --records-at-risk": lambda data, out: [
        *("evaluate", "x.csv", "--train", "y.csv", "--holdout", data, "--records-at-risk", out)
    ],
    "release -o": lambda data, out: [*("release", "m.psyn", "-n", "5", "--train", data, "-o", out)],
}

SAME_FILE = [
    "real/data.csv",
    "./real/data.csv",
    "sub/../real/data.csv",
    "via/data.csv",
    "link.csv",
    "hard.csv",
    "{}/real/data.csv",
]
SAME_PART = [
    ("parts", "parts/a.parquet"),
    ("parts", "parts/new.parquet"),
    ("parts", "parts/sub/new.parquet"),
    ("parts", "alias/new.parquet"),
    ("parts", "real/part.parquet"),
    ("parts", "dangling.parquet"),
    ("alias", "{}/parts/new.parquet"),
    ("parts/*.parquet", "parts/a.parquet"),
    ("parts/*.parquet", "parts/new.parquet"),
    ("parts/*.parquet", "./sub/../alias/new.parquet"),
    ("{}/p*/[a-z]*.parquet", "parts/z.parquet"),
    ("**/*.parquet", "other/z.parquet"),
    ("parts/**", "parts/sub/z.parquet"),
]
SAME_DATABASE = [
    ("duckdb:///f.db::t", "f.db"),
    ("duckdb:///f.db::t", "hard.db"),
    ("duckdb:///f.db::t", "f.db.wal"),
    ("sqlite:///s.db::t", "link.db"),
    ("sqlite:///s.db::t", "s.db-journal"),
]


# A refused command changes nothing, so that one world serves all spellings.
@pytest.mark.parametrize("command", OUTPUTS)
def test_no_command_writes_over_its_input(world: Path, command: str) -> None:
    for spelling in SAME_FILE:
        refused(world, OUTPUTS[command]("real/data.csv", spelling.format(world)))
        refused(world, OUTPUTS[command](spelling.format(world), "real/data.csv"))


@pytest.mark.parametrize("command", [name for name in OUTPUTS if not name.startswith("release")])
def test_no_command_writes_into_the_folder_or_glob_that_it_reads(world: Path, command: str) -> None:
    for data, out in SAME_PART:
        refused(world, OUTPUTS[command](data.format(world), out.format(world)))


@pytest.mark.parametrize("command", [name for name in OUTPUTS if not name.startswith("sample")])
def test_no_command_writes_over_the_database_that_it_reads(world: Path, command: str) -> None:
    for data, out in SAME_DATABASE:
        refused(world, OUTPUTS[command](data, out))


@pytest.mark.parametrize("command", ["fit --holdout-output", "augment -o"])
@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("duckdb:///f.db", "duckdb:////{}/f.db"),
        ("duckdb:///./sub/../f.db", "duckdb:///hard.db"),
        ("sqlite:///s.db", "sqlite:///link.db"),
        ("SQLITE:///s.db", "duckdb:///s.db"),
    ],
)
def test_one_table_of_a_database_is_one_place(
    world: Path, command: str, url: str, other: str
) -> None:
    for table in ("t", "T", "main.t", "MAIN.T"):
        out = f"{other.format(str(world)[1:])}::{table}"
        refused(world, OUTPUTS[command](f"{url}::t", out))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fit", "d.csv", "-o", "schema.yaml", "--schema", "schema.yaml"], "--schema"),
        (["fit", "d.csv", "-o", "config.yaml", "--config", "config.yaml"], "--config"),
        (["fit", "m.psyn", "-o", "./m.psyn"], "DATA"),
        (["fit", "d.csv", "-o", "new", "--holdout", ".2", "--holdout-output", "new"], "--output"),
        (["fit", "d.csv", "-o", "x", "--epsilon", "1", "--ledger", "./x"], "--ledger"),
        (["augment", "d.csv", "-o", "n.csv", "--target", "y", "--json", "./n.csv"], "--json"),
        (["augment", "d.csv", "-o", "n.csv", "--target", "y", "--plot", "n.csv"], "--plot"),
        (
            ["augment", "d.csv", "-o", "duckdb:///n.db::t", "--target", "y", "--report", "n.db"],
            "--report",
        ),
        (["augment", "d.csv", "-o", "x.csv", "--target", "y", "--report", "a", "--json", "a"], "-"),
        (["evaluate", "s.csv", "--train", "t.csv", "-o", "e", "--json", "e"], "--json"),
        (["evaluate", "s.csv", "--train", "t.csv", "--model", "m.psyn", "-o", "m.psyn"], "--model"),
        (
            ["evaluate", "s.csv", "--train", "t", "--policy", "policy.yaml", "-o", "policy.yaml"],
            "--policy",
        ),
        (["release", "real/m", "-n", "5", "--train", "t.csv", "-o", "via"], "MODEL"),
        (["release", "m.psyn", "-n", "5", "--train", "via/data.csv", "-o", "real"], "--train"),
        (["release", "m.psyn", "-n", "5", "--train", "parts/*", "-o", "parts/rel"], "--train"),
        (
            ["release", "m.psyn", "-n", "5", "--train", "t.csv", "--sign", "real/k", "-o", "real"],
            "--sign",
        ),
        (
            *(
                [
                    "release",
                    "m.psyn",
                    "-n",
                    "1",
                    "--train",
                    "t",
                    "--policy",
                    "real/p",
                    "-o",
                    "real",
                ],
            ),
            "--policy",
        ),
    ],
)
def test_models_schemas_policies_keys_and_outputs_are_told_apart(
    world: Path, arguments: list[str], says: str
) -> None:
    for name in ("m", "k", "p"):
        (world / "real" / name).write_text("x")
    refused(world, arguments, says)


def test_a_ledger_of_a_configuration_is_an_output_too(world: Path) -> None:
    (world / "real/config.yaml").write_text("epsilon: 1\nledger: data.csv\n")
    refused(
        world,
        ["fit", "hard.csv", "-o", "x.psyn", "--config", "real/config.yaml"],
        "is given as DATA and as --ledger",
    )


def test_the_files_of_the_demo_are_told_apart(world: Path) -> None:
    Path("sub/train.csv").symlink_to("../other/train.csv")
    Path("sub/holdout.csv").symlink_to("../other/train.csv")
    refused(world, ["demo", "-o", "sub"], "is given as train.csv and as holdout.csv")


@pytest.mark.parametrize("out", ["real/data.csv", "hard.csv"])
def test_what_the_shell_puts_behind_a_dash_is_seen(world: Path, out: str) -> None:
    before = digest(world)
    with Path("real/data.csv").open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, "-m", "privsynth", "augment", "-", "--target", "y", "-o", out],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "is given as DATA and as --output" in done.stderr
    assert digest(world) == before


# ---------------------------------------------------------------- what stays allowed


@pytest.mark.parametrize(
    ("data", "out"),
    [
        ("real/data.csv", "real/new.csv"),
        ("real/data.csv", "real/data.csv.gz"),
        ("real/data.csv", "-"),
        ("-", "real/data.csv"),
        ("parts", "parts/report.html"),
        ("parts", "parts/new.csv"),
        ("parts", "parts/_new.parquet"),
        ("parts", "parts/.new.parquet"),
        ("parts", "other/new.parquet"),
        ("parts/*.parquet", "parts/report.html"),
        ("parts/*.parquet", "parts/sub/new.parquet"),
        ("parts/*.parquet", "parts/.new.parquet"),
        ("parts/[ab].parquet", "parts/c.parquet"),
        ("duckdb:///f.db::t", "duckdb:///f.db::t2"),
        ("duckdb:///f.db::t", "duckdb:///f.db::s.t"),
        ("duckdb:///f.db::t", "duckdb:///g.db::t"),
        ("sqlite:///s.db::t", "sqlite:///s.db::base"),
        ("sqlite:///s.db::w", "sqlite:///s.db::new"),
        ("duckdb:///f.db::w", "duckdb:///f.db::new"),
        ("duckdb:///f.db::t", "f.db.csv"),
        ("postgresql://h/d::t", "postgresql://h/e::t"),
        ("postgresql://h/d::t", "sqlite:///s.db::t"),
        (None, "real/data.csv"),
        (ROWS, "real/data.csv"),
        ("real/data.csv", None),
    ],
)
def test_another_place_is_another_place(world: Path, data: Any, out: Any) -> None:
    check_distinct({"data": data}, {"output": out})


def test_two_tables_of_one_database_are_two_outputs(world: Path) -> None:
    check_distinct({}, {"a": "sqlite:///n.db::a", "b": "sqlite:///n.db::b"})
    with pytest.raises(UsageError, match="is given as a and as b"):
        check_distinct({}, {"a": "sqlite:///n.db::a", "b": "sqlite:///./n.db::A"})


# ---------------------------------------------------------------- databases


@pytest.mark.parametrize("url", ["duckdb:///f.db", "sqlite:///s.db"])
def test_a_view_is_also_the_tables_that_it_reads(world: Path, url: str) -> None:
    for view in ("v", "w", "V"):
        for table in ("base", "t", "main.BASE"):
            with pytest.raises(UsageError, match="is one of the tables that data reads"):
                check_distinct({"data": f"{url}::{view}"}, {"output": f"{url}::{table}"})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql://h/d::t", "postgresql://h/d::public.t"),
        ("postgresql://u:x@H:5432/d::t", "POSTGRES://v@h/d::t"),
        ("postgresql://h/d?sslmode=require::t", "postgresql:///d?host=h&port=5432::t"),
        ("postgresql://localhost/d::t", "postgresql://127.0.0.1/d::t"),
        ("postgresql:///d?host=/var/run/postgresql::t", "postgresql://[::1]/d::t"),
        ("postgresql://a:1,b:2/d::t", "postgresql://b:2/d::t"),
        ("postgresql://u@h::t", "postgresql://h/u::t"),
        ("postgresql://h/my%20d::t", "postgresql://h/my d::t"),
        ("postgresql://u:p%40@h/d::t", "postgresql://u:p@@h/d::t"),
    ],
)
def test_one_table_of_a_server_is_one_place(one: str, other: str) -> None:
    for data, out in ((one, other), (other, one)):
        with pytest.raises(UsageError, match="is given as data and as output"):
            check_distinct({"data": data}, {"output": out})


def test_a_file_system_that_ignores_case_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Folder"
    folder.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr("privsynth.table.identity._ignores_case", lambda _: True)
        with pytest.raises(UsageError, match="is given as a and as b"):
            check_distinct({}, {"a": folder / "T.csv", "b": folder / "t.CSV"})
    check_distinct({}, {"a": folder / "T.csv", "b": folder / "t.CSV"})


# ---------------------------------------------------------------- the Python functions


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200).round(2), "y": rng.integers(0, 2, 200)})
    frame.to_csv("train.csv", index=False)
    os.link("train.csv", "hard.csv")
    return frame


def test_fit_keeps_its_table(table: pd.DataFrame) -> None:
    before = Path("train.csv").read_bytes()
    with pytest.raises(UsageError, match="is given as data and as holdout_output"):
        privsynth.fit("train.csv", holdout=0.2, holdout_output="hard.csv", seed=1)
    with pytest.raises(UsageError, match="is given as data and as ledger"):
        privsynth.fit("train.csv", schema="s.yaml", budget=Budget(1.0), ledger="hard.csv")
    with pytest.raises(UsageError, match="is given as data and as ledger"):
        privsynth.augment("train.csv", target="y", budget=Budget(1.0), ledger="hard.csv")
    assert Path("train.csv").read_bytes() == before


def test_a_model_and_its_rows_are_not_put_in_the_place_of_what_it_learnt(
    table: pd.DataFrame,
) -> None:
    model = privsynth.fit(
        "train.csv", target="y", seed=1, holdout=0.2, holdout_output="holdout.csv"
    )
    before = Path("train.csv").read_bytes()
    for out in ("./train.csv", "hard.csv", "holdout.csv"):
        with pytest.raises(UsageError, match="name another place"):
            privsynth.sample(model, 10, output=out)
        with pytest.raises(UsageError, match="name another place"):
            model.save(out)
    assert Path("train.csv").read_bytes() == before
    model.save("m.psyn")
    privsynth.sample(privsynth.load("m.psyn"), 10, output="new.csv")


def test_a_model_keeps_no_frame(table: pd.DataFrame) -> None:
    assert dict(privsynth.fit(table, target="y", seed=1).sources) == {}


def test_an_evaluation_keeps_its_tables(table: pd.DataFrame) -> None:
    table.head(50).to_csv("holdout.csv", index=False)
    for name in ("train.csv", "./holdout.csv", "s.csv"):
        with pytest.raises(UsageError, match="and as records_at_risk"):
            privsynth.evaluate(
                "s.csv", train="hard.csv", holdout="holdout.csv", records_at_risk=name
            )
    report = privsynth.evaluate(table.sample(100, random_state=1), train="train.csv", attacks=False)
    before = Path("train.csv").read_bytes()
    with pytest.raises(UsageError, match="is given as train and as path"):
        report.to_json("hard.csv")
    with pytest.raises(UsageError, match="is given as train and as path"):
        report.to_html("train.csv")
    assert Path("train.csv").read_bytes() == before


def test_a_release_keeps_what_it_is_made_from(table: pd.DataFrame) -> None:
    Path("key.pem").write_text("x")
    for name, at in {"train": "train.csv", "sign": "key.pem", "policy": "./train.csv"}.items():
        given = {"train": "/t.csv", name: at}
        with pytest.raises(UsageError, match=f"is to be replaced, and holds {name}"):
            pipeline.release("/m.psyn", 10, ".", **given)  # type: ignore[arg-type]


def test_a_dataset_of_arrow_is_its_files(tmp_path: Path) -> None:
    write(ROWS, tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="is one of the files behind data"):
        check_distinct({"data": ds.dataset(tmp_path)}, {"output": tmp_path / "a.parquet"})
