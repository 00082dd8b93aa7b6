"""What a fit read is never written over, and an output that cannot be written is refused first."""

from __future__ import annotations

import copy
import os
import pickle
import sqlite3
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from click.testing import CliRunner

import privsynth
from privsynth.cli import main
from privsynth.errors import PrivsynthError, StorageError, UsageError
from privsynth.redaction import printable
from privsynth.table import check_distinct, check_output, read, write


def table(n: int = 120) -> pd.DataFrame:
    rows = np.arange(n)
    return pd.DataFrame({"a": rows % 37 + 0.5, "y": np.where(rows % 4, "n", "y")})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table().to_csv("t.csv", index=False)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_proposed_schema_is_not_written_over_its_table() -> None:
    before = Path("t.csv").read_bytes()
    with pytest.raises(UsageError, match="is given as data and as path"):
        privsynth.propose_schema("t.csv").to_yaml("t.csv")
    assert Path("t.csv").read_bytes() == before


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copied_model_is_not_sampled_over_its_table(copied: object) -> None:
    model = copied(privsynth.fit("t.csv", target="y", seed=1))  # type: ignore[operator]
    with pytest.raises(UsageError, match="is given as data and as output"):
        privsynth.sample(model, 5, output="t.csv")


def test_a_model_of_a_dataset_is_not_sampled_over_its_files(folder: Path) -> None:
    (folder / "parts").mkdir()
    table().to_parquet(folder / "parts" / "a.parquet")
    model = privsynth.fit(ds.dataset("parts", format="parquet"), target="y", seed=1)
    with pytest.raises(UsageError, match="as output"):
        privsynth.sample(model, 5, output="parts/a.parquet")
    assert len(pd.read_parquet(folder / "parts" / "a.parquet")) == 120


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "place",
    [
        "duckdb:///t.csv::t",
        "duckdb:///t.parquet::t",
        "sqlite:///t.parquet::t",
        "duckdb:///d.db::v",
        "duckdb:///d.db::no.t",
        "duckdb:///d.db::t.",
        "duckdb:///d.db::.t",
        "sqlite:///s.db::v",
        "sqlite:///s.db::f",
        "sqlite:///s.db::f_content",
        "sqlite:///s.db::sqlite_master",
        "sqlite:///s.db::a.t",
    ],
)
def test_a_database_that_would_not_take_a_table_is_refused_before_any_work(place: str) -> None:
    table().to_parquet("t.parquet")
    with duckdb.connect("d.db") as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a; CREATE VIEW v AS SELECT * FROM t")
    con = sqlite3.connect("s.db")
    con.execute("CREATE TABLE t (a)")
    con.execute("CREATE VIEW v AS SELECT * FROM t")
    con.execute("CREATE VIRTUAL TABLE f USING fts5(a)")
    con.commit()
    con.close()
    before = {path.name: path.read_bytes() for path in Path().iterdir()}
    with pytest.raises(PrivsynthError):
        check_output(place)
    with pytest.raises(PrivsynthError):
        privsynth.fit(
            "t.csv", holdout=0.2, holdout_output=place, budget=privsynth.Budget(1.0),
            schema="none.yaml", ledger="ledger.json", new_ledger=True,
        )  # fmt: skip
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.usefixtures("folder")
def test_a_database_that_takes_a_table_is_left_as_it_is_until_then() -> None:
    with duckdb.connect("d.db") as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a")
    before = Path("d.db").read_bytes()
    for place in ("duckdb:///d.db::t", "duckdb:///d.db::u", "duckdb:///n.db::t", "sqlite:///n::t"):
        check_output(place)
    assert Path("d.db").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["d.db", "t.csv"]


@pytest.mark.usefixtures("folder")
def test_a_catalog_is_the_files_name_up_to_its_first_point() -> None:
    with duckdb.connect("loans.2024.db") as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS a")
    with pytest.raises(UsageError, match="is given as DATA and as -o"):
        check_distinct(
            {"DATA": "duckdb:///loans.2024.db::t"}, {"-o": "duckdb:///loans.2024.db::loans.t"}
        )


def test_a_pipe_is_not_replaced(folder: Path) -> None:
    os.mkfifo(folder / "pipe.csv")
    with pytest.raises(StorageError, match="is a device or a pipe"):
        privsynth.propose_schema("t.csv").to_yaml("pipe.csv")
    with pytest.raises(StorageError, match="is a device or a pipe"):
        check_output("pipe.csv")
    assert not Path("pipe.csv").is_file()


@pytest.mark.usefixtures("folder")
def test_settings_that_change_nothing_are_refused() -> None:
    runner = CliRunner()
    Path("c.yaml").write_text("target: y\nholdout: 0.2\nholdout_output: h.csv\n")
    result = runner.invoke(main, ["augment", "t.csv", "--config", "c.yaml", "-o", "o.csv"])
    assert (result.exit_code, "leave 'holdout' out" in result.output) == (2, True)
    Path("d.yaml").write_text("target: y\nfit_on: minority\n")
    result = runner.invoke(main, ["fit", "t.csv", "--config", "d.yaml", "-o", "o.psyn"])
    assert (result.exit_code, "changes nothing in a fit" in result.output) == (2, True)


@pytest.mark.usefixtures("folder")
def test_a_schema_that_no_model_file_holds_is_refused_before_it_is_charged() -> None:
    Path("s.yaml").write_text(
        "columns:\n- {name: a, kind: numeric, dtype: double, bounds: [0, 40], source: declared, "
        f"why: '{'x' * 3_000_000}'}}\n"
        "- {name: y, kind: categorical, dtype: string, levels: ['n', 'y'], source: declared}\n"
    )
    with pytest.raises(UsageError, match="shorten its levels"):
        privsynth.fit(
            "t.csv", schema="s.yaml", budget=privsynth.Budget(1.0), ledger="l.json", new_ledger=True
        )
    assert not Path("l.json").exists()


@pytest.mark.usefixtures("folder")
def test_a_spending_file_whose_entry_costs_less_than_it_says_is_refused() -> None:
    import json

    from privsynth.privacy.spending import reserve

    budget = privsynth.Budget(1.0)
    reserve("l.json", privsynth.Budget(2.0), 0.0, "first", new=True)
    state = json.loads(Path("l.json").read_text())
    state["entries"][0]["rho"] = 1e-9
    Path("l.json").write_text(json.dumps(state))
    with pytest.raises(UsageError, match="entry 1 has rho"):
        reserve("l.json", budget, 0.0, "second")


@pytest.mark.usefixtures("folder")
def test_an_encoding_in_which_lines_run_together_is_refused() -> None:
    with pytest.raises(UsageError, match="UTF7"):
        read("t.csv", encoding="UTF7")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("encoding", ["iso2022_jp", "ISO-2022-JP-2", "hz"])
def test_an_encoding_in_which_a_row_changes_those_after_it_is_refused_under_a_budget(
    encoding: str,
) -> None:
    with pytest.raises(UsageError, match="switches between alphabets"):
        read("t.csv", encoding=encoding, total=True).to_arrow()
    assert read("t.csv", encoding=encoding).n_rows == 120


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("option", ["fit_on", "selection"])
def test_a_plan_that_is_misspelled_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} was given as 'bogus'"):
        privsynth.augment(table(), target="y", **{option: "bogus"})


@pytest.mark.usefixtures("folder")
def test_a_header_with_a_byte_order_mark_comes_back() -> None:
    names = ("\ufeff=1+1", "k")
    write(pa.table([["a", "b"], [1, 2]], names=list(names)), "bom.csv")
    assert Path("bom.csv").read_bytes().startswith(b'"')
    assert read("bom.csv").names == names


@pytest.mark.parametrize("engine", ["random", "cart", "smotenc"])
def test_categories_of_zoned_moments_are_no_gaps(engine: str) -> None:
    rng = np.random.default_rng(0)
    moments = pd.date_range("2020", periods=4, tz="UTC")[rng.integers(0, 4, 300)]
    X = pd.DataFrame({"a": rng.normal(size=300), "c": pd.Series(moments).astype("category")})
    y = np.where(rng.random(300) < 0.2, 1, 0)
    X2, _ = privsynth.MinoritySampler(engine=engine, random_state=0).fit_resample(X, y)
    assert X2["c"][300:].notna().all()
    assert X2["c"].dtype == X["c"].dtype


def test_a_password_that_looks_hidden_is_hidden() -> None:
    assert "s3cr3t" not in printable("postgresql://u:***s3cr3t@127.0.0.1:1/d::t")


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_a_strategy_that_does_not_suit_a_fold_is_no_bug() -> None:
    frame = table(200)
    report = privsynth.minority_gain(
        frame, target="y", engine="random", sampling_strategy=0.335, folds=2, repeats=1
    )
    assert any("do not suit" in words or "random" in words for words in report.verdicts)
