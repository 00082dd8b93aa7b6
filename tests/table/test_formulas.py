"""Spreadsheet formulas in CSV and TSV: quoted when written, unquoted when read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st

import privsynth as package
from privsynth import pipeline, table
from privsynth.cli.program import main
from privsynth.config import RunConfig
from privsynth.evaluation import minority
from privsynth.table import delimited
from privsynth.table.formulas import escape, unescape

RISKY = [
    *("=", "=1+1", '=HYPERLINK("http://x.example","y")', "@", "@SUM(1)", "\t", "\t=1", "\r"),
    *("\r-5", "==1"),
    *("+SUM(A1)", "-A1", "-x", "- item", "+x", "-2+3+cmd|' /C calc'!A0", "+cmd|' /C calc'!A0"),
    *("-1+1", "+1+1", "-1-1", "+1-1", "--1", "+-5", "-=1", "+=1", "-@x", "-(5)", "-5*5", "-1/2"),
    *("-EUR5", "-R$5", "-US$5", "-$A$5", "-5 A1", "-5;A1", "+1 555 A1", "-5 kg", "-inf", "-0x1F"),
    *("-5\n+cmd", "-5\n", "+49 170 1234567=1", "+12:30", "-'Sheet 1'!A1", "-５"),
]  # fmt: skip
HARMLESS = [
    *("-5", "+5", "- 5", "-5 ", "-.5", "-5.", "-1.234,50", "-1,234.50", "-1 234,50", "-1'234.50"),
    *("-1\u00a0234,50", "-1,23,456.00", "-1e5", "+1.5E-10", "-12.5%", "-12,5 %", "-00123"),
    *("-EUR5.00", "-USD1,234.50", "+€5"),
    *("-$5.00", "-$ 5", "-5€", "-5 €", "-5 EUR", "-5EUR", "-EUR 5", "-US$5.00", "-US$ 5"),
    *("-R$ 5,00", "-5 R$", "-5,00 kr", "-kr. 5", "-5 zł", "-₹5,00,000.00", "-£1,234.50 GBP"),
    *("+49 170 1234567", "+1 (555) 010-9999", "+1-555-0100", "+1-555-0100 x12", "+15550100"),
    *("+49 (0)170/123-4567", "+1 555 0100 ext. 12", "+(555) 010-9999", "+33.1.23.45.67.89"),
    *("-", "+", "--", "---", "+-", "- ", "- -"),
    *("", "'", "''", "x", " =1", " +x", "\n=1", "1-2", "5-", "$-5", "(5)", "a=b", "＝1", "−x"),
    *('"=1"', "x'=1"),
]  # fmt: skip


def csv_bytes(cells: pa.Table, path: Path, **options: bool) -> bytes:
    table.write(cells, path, **options)
    return path.read_bytes()


# ---------------------------------------------------------------------------- the rule


@pytest.mark.parametrize("text", RISKY)
@pytest.mark.parametrize("quotes", ["", "'", "''"])
def test_a_risky_text_gets_a_quote_however_many_it_has(text: str, quotes: str) -> None:
    assert escape(pa.array([quotes + text])).to_pylist() == ["'" + quotes + text]
    assert unescape(pa.array(["'" + quotes + text])).to_pylist() == [quotes + text]


@pytest.mark.parametrize("text", HARMLESS)
@pytest.mark.parametrize("quotes", ["", "'", "''"])
def test_a_harmless_text_stays_however_many_quotes_it_has(text: str, quotes: str) -> None:
    assert escape(pa.array([quotes + text])).to_pylist() == [quotes + text]
    assert unescape(pa.array([quotes + text])).to_pylist() == [quotes + text]


def test_a_risky_text_of_another_program_without_a_quote_is_read_as_it_is() -> None:
    assert unescape(pa.array(RISKY)).to_pylist() == RISKY


SPICED = st.text(
    st.sampled_from("''''==++--@@\t\r\n \"0159.,()%$€/;|xAEURe\u00a0＝é"), max_size=8
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
CELLS = SPICED | st.builds(str.__add__, st.sampled_from(["", "'", "''"]), st.sampled_from(RISKY))


@given(st.lists(st.none() | CELLS, max_size=12), st.integers(0, 3))
@settings(max_examples=500, deadline=None)
def test_every_text_comes_back(texts: list[str | None], start: int) -> None:
    array = pa.array(texts, pa.string()).slice(start)
    written = escape(array)
    assert unescape(written).to_pylist() == array.to_pylist()
    for before, after in zip(array.to_pylist(), written.to_pylist(), strict=True):
        assert after in (before, f"'{before}")
        assert after is None or not after.startswith(("=", "@", "\t", "\r"))


@given(CELLS)
@settings(max_examples=500, deadline=None)
def test_what_is_written_begins_with_a_sign_only_where_no_letter_names_a_cell(text: str) -> None:
    (written,) = escape(pa.array([text])).to_pylist()
    if written.startswith(("+", "-")):
        assert not set(written) & set("=@!|*^&<>{}[]:\n\t\r")


# ---------------------------------------------------------------------------- files


NAMES = CELLS.filter(lambda name: name.strip() and not name.startswith("\ufeff"))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    names = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    n = draw(st.integers(0, 5))
    columns = []
    for _ in names:
        cells = draw(st.lists(st.none() | CELLS, min_size=n, max_size=n))
        column = pa.array(cells, pa.string())
        columns.append(column.dictionary_encode() if draw(st.booleans()) else column)
    return pa.table(columns, names=names)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("escape")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz"])
@pytest.mark.parametrize("way", [True, False])
@given(cells=tables())
@example(
    cells=pa.table({"=a": ["=1", "'=1", None, "", "-5"], "'=a": ["\t", "\r", "'", "'+5", "x"]})
)
@example(cells=pa.table({"\ta": ["x"]}))
@example(cells=pa.table({"\t\ta;b;c": ["x"], "'@": ["\ty"]}))
@settings(max_examples=40, deadline=None)
def test_every_table_of_text_comes_back(place: Path, name: str, way: bool, cells: pa.Table) -> None:
    table.write(cells, place / name, escape=way)
    read = table.read(place / name, total=True, escape=way).to_arrow()
    assert read.column_names == cells.column_names
    for column in cells.column_names:
        assert read[column].to_pylist() == cells[column].to_pylist()


def test_the_quote_stands_inside_quotation_marks_and_in_the_header(tmp_path: Path) -> None:
    cells = pa.table({"=a": ["=1,2", "\rx", "-A1", "'@x", "-5"], "b": ["", None, "x", "+1", "y"]})
    written = csv_bytes(cells, tmp_path / "t.csv").decode()
    assert written == "'=a,b\n\"'=1,2\",\"\"\n\"'\rx\",\n'-A1,x\n''@x,+1\n-5,y\n"
    assert csv_bytes(cells, tmp_path / "u.csv", escape=False).decode() == (
        '=a,b\n"=1,2",""\n"\rx",\n-A1,x\n\'@x,+1\n-5,y\n'
    )


def test_other_types_are_written_as_ever(tmp_path: Path) -> None:
    cells = pa.table(
        {
            "float": [-1.5, float("inf"), -1e300, None],
            "whole": pa.array([-1, -(2**62), 0, None]),
            "decimal": pa.array([-1, 2, 3, None], pa.decimal128(5, 2)),
            "yes": pa.array([True, False, True, None]),
            "day": pa.array([0, -800_000, 1, None], pa.date32()),
            "codes": pa.array([-1, -2, -1, None]).dictionary_encode(),
        }
    )
    assert csv_bytes(cells, tmp_path / "a.csv") == csv_bytes(
        cells, tmp_path / "b.csv", escape=False
    )
    assert b"'" not in (tmp_path / "a.csv").read_bytes()


def test_columns_have_their_types_once_the_quotes_are_gone(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("n,d,t\n-1,2020-01-01,'=x\n2,2021-01-01,'+5\n-3,,'-5 kg\n")
    read = table.read(tmp_path / "t.csv")
    assert [str(kind) for kind in read.schema.types] == ["int64", "date32[day]", "string"]
    assert read.to_arrow()["t"].to_pylist() == ["=x", "'+5", "-5 kg"]
    again = table.read(tmp_path / "t.csv", escape=False)
    assert again.to_arrow()["t"].to_pylist() == ["'=x", "'+5", "'-5 kg"]


@pytest.mark.parametrize("total", [True, False])
def test_a_file_that_is_too_large_to_keep_is_unescaped_in_every_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: bool
) -> None:
    cells = pa.table({"=n": [-1, -2, 3], "@t": ["=1", "'-A1", None], "u": ["-A", "x", "y"]})
    table.write(cells, tmp_path / "t.csv")
    monkeypatch.setattr(delimited, "IN_MEMORY", 0)
    read = table.read(tmp_path / "t.csv", total=total)
    assert list(read.names) == ["=n", "@t", "u"]
    assert read.to_arrow(["u", "@t"]).to_pydict() == cells.select(["u", "@t"]).to_pydict()


@pytest.mark.parametrize("delimiter", [";", "|", "\t"])
def test_files_of_other_delimiters_lose_their_quotes_too(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("'=a;b\n'=1;x\n'-A1;'-1,5\n".replace(";", delimiter))
    read = table.read(path, total=True).to_arrow()
    assert read.to_pydict() == {"=a": ["=1", "-A1"], "b": ["x", "'-1,5"]}


def test_two_names_that_become_one_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("=a,'=a\n1,2\n")
    with pytest.raises(package.DataError, match="in the header 2 times"):
        table.read(tmp_path / "t.csv")
    assert table.read(tmp_path / "t.csv", escape=False).names == ("=a", "'=a")


@pytest.mark.parametrize("name", ["t.jsonl", "t.parquet", "t.feather", "duckdb:///t.db::t"])
def test_other_kinds_of_file_hold_the_texts_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = pa.table({"=a": ["=1", "'=1", "-A1"]})
    table.write(cells, name)
    assert table.read(name).to_arrow().to_pydict() == cells.to_pydict()
    assert table.read(name, escape=False).to_arrow().to_pydict() == cells.to_pydict()


def test_frames_hold_the_texts_themselves() -> None:
    frame = pd.DataFrame({"'=a": ["'=1", "=1"]})
    assert table.read(frame).to_arrow().to_pydict() == {"'=a": ["'=1", "=1"]}


# ---------------------------------------------------------------------------- the commands


LEVELS = ["=1+1", "+SUM(A1)", "-A1", "@home", "'=x", "'-5", "-5", "--", "\tx", "ok"]


def privsynth(*arguments: object, **more: bytes) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **more)  # type: ignore[arg-type]


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def people(n: int, seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < 0.3
    return pa.table(
        {
            "=gain": rng.normal(bad * 1.0, 50).round(2),
            "note": rng.choice(LEVELS, n),
            "-delta": rng.integers(-900, 900, n),
            "@Class": np.where(bad, "=bad", "-good"),
        }
    )


def raw(path: Path | io.StringIO) -> list[list[str]]:
    """The cells that another program reads."""
    if isinstance(path, io.StringIO):
        return list(csv.reader(path))
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as text:
        return list(csv.reader(text))


def values(path: Path) -> set[str | None]:
    return set(table.read(path).to_arrow()["note"].to_pylist())


def runs(cell: str) -> bool:
    """Whether a spreadsheet would run one of the cells of these tests."""
    return cell.startswith(("=", "@", "\t", "+S", "-A", "-g", "-d"))


def none_runs(rows: list[list[str]]) -> bool:
    return not any(runs(cell) for row in rows for cell in row)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    table.write(people(1000, 0), folder / "train.csv")
    table.write(people(1000, 0), folder / "plain.csv", escape=False)
    table.write(people(600, 1), folder / "fresh.csv")
    model = ["-o", folder / "m.psyn", "--target", "@Class", "--seed", 1]
    aside = ["--holdout", 0.4, "--holdout-output", folder / "holdout.csv"]
    done(privsynth("fit", folder / "train.csv", *model, *aside))
    done(privsynth("sample", folder / "m.psyn", "-n", 900, "-o", folder / "s.csv", "--seed", 1))
    return folder


def test_schema_names_the_texts_themselves(folder: Path) -> None:
    proposed = done(privsynth("schema", folder / "train.csv", "--target", "@Class")).stdout
    (folder / "s.yaml").write_text(proposed, encoding="utf-8")
    schema = package.Schema.from_yaml(folder / "s.yaml")
    assert [column.name for column in schema] == ["=gain", "note", "-delta", "@Class"]
    assert set(schema["note"].domain.values) >= set(LEVELS)
    plain = privsynth("schema", folder / "plain.csv", "--target", "@Class", "--no-escape")
    assert done(plain).stdout == proposed.replace("train.csv", "plain.csv")


def test_a_holdout_and_a_sample_hold_no_formula_and_come_back(folder: Path) -> None:
    real = {tuple(row.values()) for row in people(1000, 0).to_pylist()}
    aside = table.read(folder / "holdout.csv").to_arrow()
    assert aside.num_rows == 400
    assert {tuple(row.values()) for row in aside.to_pylist()} <= real
    for name in ("holdout.csv", "s.csv"):
        assert none_runs(raw(folder / name))
        assert raw(folder / name)[0] == ["'=gain", "note", "'-delta", "'@Class"]
        assert values(folder / name) == set(LEVELS)
        assert table.read(folder / name).schema.field("-delta").type == pa.int64()


@pytest.mark.parametrize("way", [[], ["--no-escape"]])
def test_a_sample_is_the_same_whether_it_is_escaped_or_not(
    folder: Path, tmp_path: Path, way: list[str]
) -> None:
    out = tmp_path / "o.tsv.gz"
    given = ["sample", folder / "m.psyn", "-n", 900, "--seed", 1, *way]
    done(privsynth(*given, "-o", out))
    told = table.read(out, escape=not way).to_arrow()
    assert told.to_pydict() == table.read(folder / "s.csv").to_arrow().to_pydict()
    stream = done(privsynth(*given, "-o", "-")).stdout_bytes.decode()
    assert none_runs(raw(io.StringIO(stream, newline=""))) == (not way)


def test_conditions_name_the_texts_themselves(folder: Path, tmp_path: Path) -> None:
    model = package.load(folder / "m.psyn")
    package.sample(model, 50, where={"note": "=1+1"}, output=tmp_path / "o.csv", seed=1)
    assert values(tmp_path / "o.csv") == {"=1+1"}
    assert {row[1] for row in raw(tmp_path / "o.csv")[1:]} == {"'=1+1"}
    assert set(model.sample(50, seed=1)["@Class"]) == {"=bad", "-good"}


def test_a_table_on_standard_input_loses_its_quotes(folder: Path, tmp_path: Path) -> None:
    given = ["fit", "-", "--target", "@Class", "--seed", 1, "-o"]
    text = (folder / "train.csv").read_bytes()
    done(privsynth(*given, tmp_path / "a.psyn", input=text))
    text = (folder / "plain.csv").read_bytes()
    done(privsynth(*given, tmp_path / "b.psyn", "--no-escape", input=text))
    assert (tmp_path / "a.psyn").read_bytes() == (tmp_path / "b.psyn").read_bytes()


def test_no_escape_learns_the_quotes_as_part_of_the_values(folder: Path, tmp_path: Path) -> None:
    given = ["--target", "'@Class", "--seed", 1, "--no-escape"]
    done(privsynth("fit", folder / "train.csv", "-o", tmp_path / "m.psyn", *given))
    model = package.load(tmp_path / "m.psyn")
    assert model.schema.names == ("'=gain", "note", "'-delta", "'@Class")


def test_a_configuration_can_turn_it_off(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("escape: false\ntarget: '@Class'\n")
    assert not RunConfig.from_yaml(tmp_path / "c.yaml").escape
    given = ["--config", tmp_path / "c.yaml", "--seed", 1, "-o", tmp_path / "m.psyn"]
    done(privsynth("fit", folder / "plain.csv", *given))
    assert package.load(tmp_path / "m.psyn").schema.names[0] == "=gain"


@pytest.mark.parametrize("way", [[], ["--no-escape"]])
def test_augment_keeps_the_real_rows_as_they_are(
    folder: Path, tmp_path: Path, way: list[str]
) -> None:
    out, source = tmp_path / "o.csv", folder / ("plain.csv" if way else "train.csv")
    given = ["--target", "@Class", "--engine", "random", "--seed", 1]
    done(privsynth("augment", source, "-o", out, *given, *way))
    real, made = source.read_bytes().splitlines(), out.read_bytes().splitlines()
    assert [line.removesuffix(b",False") for line in made[1:1001]] == real[1:]
    grown = table.read(out, escape=not way)
    assert grown.names == ("=gain", "note", "-delta", "@Class", "synthetic")
    assert none_runs(raw(out)) == (not way)


def test_augment_in_python_gives_the_texts_themselves(folder: Path) -> None:
    grown = package.augment(folder / "train.csv", target="@Class", engine="random", random_state=1)
    assert set(grown["note"]) == set(LEVELS)
    same = package.augment(
        folder / "plain.csv", target="@Class", engine="random", random_state=1, escape=False
    )
    pd.testing.assert_frame_equal(grown, same)


def test_under_a_budget_quotes_are_taken_away_too(folder: Path, tmp_path: Path) -> None:
    columns = [
        {"name": "=gain", "kind": "numeric", "dtype": "double", "bounds": [-300, 300]},
        {"name": "note", "kind": "categorical", "dtype": "string", "levels": LEVELS},
        {"name": "-delta", "kind": "integer", "dtype": "int64", "bounds": [-1000, 1000]},
        {"name": "@Class", "kind": "categorical", "dtype": "string", "levels": ["=bad", "-good"]},
    ]
    (tmp_path / "s.yaml").write_text(json.dumps({"version": 1, "columns": columns}))
    given = ["--schema", tmp_path / "s.yaml", "--target", "@Class", "--epsilon", 50]
    aside = ["--holdout", 0.5, "--holdout-output", tmp_path / "h.csv"]
    done(privsynth("fit", folder / "train.csv", "-o", tmp_path / "m.psyn", *given, *aside))
    done(privsynth("sample", tmp_path / "m.psyn", "-n", 900, "-o", tmp_path / "s.csv"))
    for name in ("h.csv", "s.csv"):
        assert none_runs(raw(tmp_path / name))
        # Levels that no row spells as declared are never drawn.
        assert values(tmp_path / name) == set(LEVELS)


def scores(path: Path) -> dict[str, object]:
    return {score["name"]: score["value"] for score in json.loads(path.read_text())["scores"]}


def test_evaluate_reads_the_same_values_either_way(folder: Path, tmp_path: Path) -> None:
    for name in ("train", "fresh", "s"):
        table.write(
            table.read(folder / f"{name}.csv").to_arrow(), tmp_path / f"{name}.csv", escape=False
        )
    found = []
    for place, way in ((folder, []), (tmp_path, ["--no-escape"])):
        given = ["--train", place / "train.csv", "--holdout", place / "fresh.csv"]
        more = ["--target", "@Class", "--no-attacks", "--json", tmp_path / "e.json"]
        done(privsynth("evaluate", place / "s.csv", *given, *more, *way))
        found.append(scores(tmp_path / "e.json"))
    assert found[0] == found[1]


@pytest.mark.parametrize("way", [[], ["--no-escape"]])
def test_records_at_risk_are_escaped_like_any_table(
    folder: Path, tmp_path: Path, way: list[str]
) -> None:
    named = {"train": people(1000, 0), "fresh": people(600, 1), "leaky": people(1000, 0)}
    for name, rows in named.items():
        table.write(rows, tmp_path / f"{name}.csv", escape=not way)
    given = ["--train", tmp_path / "train.csv", "--holdout", tmp_path / "fresh.csv", *way]
    out = ["--target", "@Class", "--records-at-risk", tmp_path / "risk.csv"]
    done(privsynth("evaluate", tmp_path / "leaky.csv", *given, *out))
    assert len(raw(tmp_path / "risk.csv")) > 700
    assert none_runs(raw(tmp_path / "risk.csv")) == (not way)
    at_risk = table.read(tmp_path / "risk.csv", escape=not way).to_arrow()
    real = {tuple(row.values()) for row in people(1000, 0).to_pylist()}
    assert {tuple(row.values()) for row in at_risk.to_pylist()} <= real


@pytest.mark.parametrize("way", [[], ["--no-escape"]])
def test_a_release_says_whether_its_table_is_escaped_and_verifies(
    folder: Path, tmp_path: Path, way: list[str]
) -> None:
    held_out = tmp_path / "h.csv"
    table.write(table.read(folder / "holdout.csv").to_arrow(), held_out, escape=not way)
    out, source = tmp_path / "r", folder / ("plain.csv" if way else "train.csv")
    given = ["--train", source, "--holdout", held_out, "--seed", 1, *way]
    done(privsynth("release", folder / "m.psyn", "-n", 900, "-o", out, *given))
    done(privsynth("verify", out, "--model", folder / "m.psyn"))
    card = json.loads((out / "card.json").read_text())
    assert card["output"]["escaped"] is (not way)
    assert [c["name"] for c in card["output"]["columns"]] == ["=gain", "note", "-delta", "@Class"]
    told = json.loads((out / "croissant.json").read_text())
    fields = told["recordSet"][0]["field"]
    assert [field["name"] for field in fields] == ["=gain", "note", "-delta", "@Class"]
    # Other readers find a column by what the file's header holds.
    header = raw(out / "synthetic.csv")[0]
    assert [field["source"]["extract"]["column"] for field in fields] == header
    assert none_runs(raw(out / "synthetic.csv")) == (not way)
    assert ("a spreadsheet" in told["description"]) == (not way)


@pytest.mark.parametrize("way", [[], ["--no-escape"]])
def test_the_demo_hands_the_choice_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    chosen: list[bool] = []

    def stop(*_: object, escape: bool, **__: object) -> None:
        chosen.append(escape)
        raise package.UsageError("stopped here")

    monkeypatch.setattr(table, "write", lambda *_, escape: chosen.append(escape))
    monkeypatch.setattr(pipeline, "fit", stop)
    assert privsynth("demo", "fraud", "-o", tmp_path / "d", *way).exit_code == 2
    assert chosen == [not way] * 3


def test_a_judgement_reads_the_texts_themselves(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames: list[pd.DataFrame] = []
    monkeypatch.setattr(minority, "minority_gain", lambda frame, *_, **__: frames.append(frame))
    package.minority_gain(folder / "train.csv", target="@Class")
    package.minority_gain(folder / "plain.csv", target="@Class", escape=False)
    assert set(frames[0]["note"]) == set(LEVELS)
    pd.testing.assert_frame_equal(*frames)


def test_another_engine_on_a_model_reads_no_file_to_unescape(folder: Path) -> None:
    with pytest.raises(package.UsageError, match="escape is given"):
        package.fit(folder / "m.psyn", engine="copula", escape=False)
