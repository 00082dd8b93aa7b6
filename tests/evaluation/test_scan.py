"""The artefact scan: planted leaks are found, and what the engines save holds none."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import save as pack_arrays

import privsynth
from privsynth.errors import StorageError
from privsynth.evaluation.attacks.scan import scan
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema
from privsynth.schema.unit import Unit

DATA = Path(privsynth.__file__).parent / "data"
DEMOS = yaml.safe_load((DATA / "demos.yaml").read_text())
NAME, TOWN, MOST, LAST = "Zebulonia", "Xanadu-on-Sea", 98765432.125, "2093-07-11"
SCHEMA = Schema(
    (
        Column("case", Kind.ID, "int64", unique=True),
        Column("who", Kind.PERSONAL, "string"),
        Column("town", Kind.CATEGORICAL, "string", Levels(("Bonn", "Ulm")), Source.INFERRED),
        Column("amount", Kind.NUMERIC, "double", Bounds(0.0, 500.0), Source.INFERRED),
        Column("count", Kind.INTEGER, "int64"),
        Column("seen", Kind.DATETIME, "timestamp[us]"),
        Column("story", Kind.TEXT, "string"),
    )
)


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        {
            "case": 70_000_000 + rng.permutation(400),
            "who": rng.choice(["Ada Byron", "Ben Nevis", "Cleo Patra"], 400),
            "town": rng.choice(["Bonn", "Ulm"], 400),
            "amount": rng.gamma(2, 50, 400).round(3),
            "count": rng.integers(0, 9, 400),
            "seen": pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 30, 400), "D"),
            "story": [f"came on day {i % 40} and left" for i in range(400)],
        }
    )
    frame.loc[3, "who"] = NAME
    frame.loc[4, "town"] = TOWN
    frame.loc[5, "amount"] = MOST
    frame.loc[6, "count"] = 7_654_321
    frame.loc[7, "seen"] = pd.Timestamp(LAST)
    frame.loc[8, "story"] = "said he had seen the yeti"
    return frame


def packed(arrays: dict[str, np.ndarray] | None = None, **members: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, tree in members.items():
            archive.writestr(f"{name}.json", json.dumps(tree))
        if arrays is not None:
            archive.writestr("params.safetensors", pack_arrays(arrays))
    return buffer.getvalue()


def hits(train: pd.DataFrame, artefact: Any = None, **texts: str) -> Score:
    (score,) = scan(train, None, SCHEMA, artefact, texts)
    assert (score.family, score.name, score.better) == ("attacks", "artefact_hits", "lower")
    assert score.value == sum(score.detail.values())
    for value in (NAME, TOWN, "98765432", "7654321", LAST, "yeti"):
        assert value not in score.meaning
    return score


def found(score: Score) -> dict[str, float]:
    return {kind: count for kind, count in score.detail.items() if count}


def test_a_clean_model_and_report_have_no_hits(train: pd.DataFrame) -> None:
    model = packed(
        {"shares": np.linspace(0, 1, 500), "counts": np.arange(5000)},
        model={"classes": 2, "order": list(range(40))},
        codec={"codings": [{}, {}, {"levels": ["Bonn", "Ulm"]}, {"low": [0.0], "high": [500.0]}]},
    )
    score = hits(train, model, report="Ada Byron of Bonn: 98765 of 70,000,000 <b>left</b>")
    assert score.value == 0
    assert score.meaning.startswith("texts, levels and extremes that fewer than 10 training rows")


@pytest.mark.parametrize("place", ["key", "value", "sentence"])
def test_a_name_in_a_json_member_is_found(train: pd.DataFrame, place: str) -> None:
    tree = {"key": {NAME: 1}, "value": [[{"a": NAME}]], "sentence": f"seen: {NAME}, once"}[place]
    score = hits(train, packed(model=tree))
    assert found(score) == {"strings": 1}
    assert "in model.json strings of column 'who'" in score.meaning


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-32-le"])
def test_a_text_in_an_array_of_bytes_is_found(train: pd.DataFrame, encoding: str) -> None:
    raw = np.frombuffer(f"..{NAME}!".encode(encoding), dtype=np.uint8)
    assert found(hits(train, packed({"noise": raw}))) == {"strings": 1}


def test_a_file_that_is_no_zip_is_searched_as_bytes(train: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x93NUMPY" + NAME.encode() + b"\0\0")
    assert found(hits(train, path)) == {"strings": 1}
    with pytest.raises(StorageError, match="cannot be read"):
        hits(train, tmp_path / "none.bin")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (f"<td>{NAME}</td>", "who"),
        ('{"rows": ["said he had seen the yeti"]}', "story"),
        ("row 70000009 was read", "case"),
        ("Xanadu&#45;on&#45;Sea", "town"),
    ],
)
def test_a_text_in_a_report_or_log_is_found(train: pd.DataFrame, text: str, column: str) -> None:
    score = hits(train, log=text)
    assert found(score) == {"strings": 1}
    assert f"in log strings of column {column!r}" in score.meaning


def test_parts_of_words_and_what_others_hold_too_are_no_findings(train: pd.DataFrame) -> None:
    assert hits(train, log=f"un{NAME}n, Ada, Bonn, left, came on day").value == 0
    other = train.assign(who=NAME)
    (score,) = scan(train, other, SCHEMA, None, {"log": NAME})
    assert score.value == 0


@pytest.mark.parametrize("member", ["schema", "codec"])
def test_a_level_of_few_rows_is_found(train: pd.DataFrame, member: str) -> None:
    entries: list[dict[str, Any]] = [{"name": name} for name in SCHEMA.names]
    entries[2]["levels"] = ["Bonn", "Ulm", TOWN, "Nowhere"]
    tree = {"columns": entries} if member == "schema" else {"codings": entries}
    score = hits(train, packed(**{member: tree}))
    assert found(score) == {"strings": 1, "levels": 1}
    assert f"in {member}.json levels of column 'town'" in score.meaning


def test_a_short_level_of_few_rows_is_found_as_a_level_alone(train: pd.DataFrame) -> None:
    few = train.copy()
    few.loc[:8, "town"] = "Au"
    codings = [{}, {}, {"levels": ["Au", "Bonn", "Ulm"]}]
    assert found(hits(few, packed(codec={"codings": codings}))) == {"levels": 1}
    few.loc[9, "town"] = "Au"
    assert found(hits(few, packed(codec={"codings": codings}))) == {}


def test_a_level_that_a_person_declared_is_no_finding(train: pd.DataFrame) -> None:
    town = Column("town", Kind.CATEGORICAL, "string", Levels(("Bonn", TOWN)), Source.DECLARED)
    schema = Schema(tuple(town if column.name == "town" else column for column in SCHEMA))
    model = packed(schema=schema.to_dict(), codec={"codings": [{}, {}, {"levels": [TOWN]}]})
    (score,) = scan(train, None, schema, model, {})
    assert score.value == 0


def test_a_level_of_few_rows_in_the_schema_handed_in_is_found(train: pd.DataFrame) -> None:
    town = Column("town", Kind.CATEGORICAL, "string", Levels(("Bonn", TOWN)), Source.INFERRED)
    schema = Schema(tuple(town if column.name == "town" else column for column in SCHEMA))
    (score,) = scan(train, None, schema, None, {})
    assert found(score) == {"strings": 1, "levels": 1}


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, MOST]),
        np.array([1.0, MOST], dtype=np.float32),
        np.array([[3, 7_654_321]]),
        np.array([pd.Timestamp(LAST).value // 1000]),
        np.array([pd.Timestamp(LAST).timestamp()]),
    ],
)
def test_an_extreme_in_an_array_is_found(train: pd.DataFrame, array: np.ndarray) -> None:
    score = hits(train, packed({"edges": array}))
    assert found(score) == {"extremes": 1}
    assert "in params.safetensors extremes of column" in score.meaning


@pytest.mark.parametrize("text", ["at most 98,765,432.125", "max=9.8765432125e7", f"till {LAST}."])
def test_an_extreme_in_a_text_is_found(train: pd.DataFrame, text: str) -> None:
    assert found(hits(train, log=text)) == {"extremes": 1}


def test_an_extreme_among_the_bins_is_found_in_its_own_column_alone(train: pd.DataFrame) -> None:
    codings: list[dict[str, Any]] = [{} for _ in SCHEMA]
    codings[4]["high"] = [MOST]
    assert found(hits(train, packed(codec={"codings": codings}))) == {}
    codings[3]["high"] = [7.5, MOST]
    assert found(hits(train, packed(codec={"codings": codings}))) == {"extremes": 1}


@pytest.mark.parametrize(
    ("entry", "finds"),
    [
        ({"name": "age", "bounds": [18, 97]}, 1),
        ({"name": "age", "bounds": ["18", "97"]}, 1),
        ({"name": "age", "bounds": [18, 97], "source": "declared"}, 0),
        ({"name": "age", "bounds": [20, 90]}, 0),
        ({"low": [18, 40], "high": [39, 97]}, 1),
        ({"low": [20, 40], "high": [39, 90], "mid": [20, 97]}, 0),
    ],
)
def test_a_column_s_own_bound_is_found_however_few_digits_it_has(
    entry: dict[str, Any], finds: int
) -> None:
    frame = pd.DataFrame({"age": [*range(20, 60)] * 10 + [97, 18]})
    schema = Schema((Column("age", Kind.INTEGER, "int64", Bounds(20, 59)),))
    member = {"columns": [entry]} if "bounds" in entry else {"codings": [entry]}
    (score,) = scan(frame, None, schema, packed(part=member), {})
    assert score.detail["extremes"] == (2 * finds)


def test_an_extreme_in_a_json_member_is_found(train: pd.DataFrame) -> None:
    for tree in ({"most": MOST}, {"most": f"{MOST:,}"}, ["until", f"{LAST}T00:00:00"]):
        assert found(hits(train, packed(model=tree))) == {"extremes": 1}


def test_an_extreme_that_k_rows_hold_is_no_finding(train: pd.DataFrame) -> None:
    many = train.copy()
    many.loc[:9, "amount"] = MOST
    assert hits(many, log=str(MOST)).value == 0


def test_the_models_own_k_counts(train: pd.DataFrame) -> None:
    few = train.copy()
    few.loc[:3, "who"] = NAME
    card = {"card": {"disclosure": {"k": 4}}}
    assert hits(few, packed(manifest=card, model=[NAME])).value == 0
    assert hits(few, packed(model=[NAME])).value == 1


def test_a_model_that_says_that_it_holds_rows_is_a_hit(train: pd.DataFrame) -> None:
    score = hits(train, packed(manifest={"card": {"holds_rows": True}}))
    assert found(score) == {"rows": 1}
    assert "in manifest.json the model's own training rows" in score.meaning


def test_damaged_members_and_tables_without_values_are_no_error(train: pd.DataFrame) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.json", b"{" + NAME.encode() + b"\xff")
        archive.writestr("params.safetensors", b"\1\2" + NAME.encode())
        archive.writestr("manifest.json", b"[]")
    assert found(hits(train, buffer.getvalue())) == {"strings": 2}
    empty = train.assign(amount=np.nan, who=None, seen=pd.NaT, town=None)
    assert scan(empty, empty, SCHEMA, None, {"log": "nothing"})[0].value == 0


@pytest.mark.parametrize("demo", DEMOS)
def test_what_honest_engines_save_has_no_hits(demo: str, tmp_path: Path) -> None:
    table = pd.read_csv(DATA / DEMOS[demo]["table"])
    half = len(table) // 4
    train, holdout = table[half:].reset_index(drop=True), table[:half]
    for engine in ("cart", "copula", "sdv-gaussian-copula"):
        model = privsynth.fit(train, engine=engine, target=DEMOS[demo]["target"], seed=1)
        model.save(tmp_path / "m.psyn")
        (score,) = scan(train, holdout, model.schema, tmp_path / "m.psyn", {})
        assert score.value == 0, (engine, score.meaning)
        assert "params.safetensors" in score.meaning


def test_a_saved_over_sampler_is_a_hit_by_design(tmp_path: Path) -> None:
    table = pd.read_csv(DATA / DEMOS["fraud"]["table"])
    model = privsynth.fit(table, engine="smotenc", target="Class", seed=1, minority=True)
    model.save(tmp_path / "m.psyn", allow_rows=True)
    (score,) = scan(table, None, model.schema, tmp_path / "m.psyn", {})
    assert score.detail["rows"] == 1


# ------------------------------------------------------------- what chance gives is no finding


def fractions(rows: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({f"f{j}": rng.random(rows).round(5) for j in range(30)})


FRACTIONS = Schema(tuple(Column(f"f{j}", Kind.NUMERIC, "double") for j in range(30)))


def scored(frame: pd.DataFrame, schema: Schema, artefact: bytes) -> Score:
    (score,) = scan(frame, None, schema, artefact, {})
    return score


def test_shares_in_half_precision_hold_a_fraction_by_chance() -> None:
    shares = np.random.default_rng(0).random(20_000).astype(np.float16)
    frame = fractions()
    # The array holds the least and greatest value of some column as nearly as it can.
    assert np.isin(frame.to_numpy().max(axis=0).astype(np.float16), shares).any()
    assert scored(frame, FRACTIONS, packed({"shares": shares})).value == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_rows_in_an_array_are_found_among_many_numbers(dtype: type) -> None:
    frame = fractions()
    noise = np.random.default_rng(1).random(20_000).astype(dtype)
    assert scored(frame, FRACTIONS, packed({"noise": noise})).value == 0
    rows = np.concatenate([noise, frame.to_numpy().ravel().astype(dtype)])
    assert scored(frame, FRACTIONS, packed({"rows": rows})).value > 15


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_single_extreme_among_the_edges_of_bins_is_found(
    train: pd.DataFrame, dtype: type
) -> None:
    edges = np.append(np.linspace(0, MOST, 255, endpoint=False), MOST).astype(dtype)
    score = hits(train, packed({"edges": edges}))
    assert found(score) == {"extremes": 1}
    assert "extremes of column 'amount' (its greatest value)" in score.meaning


def test_the_share_of_a_few_rows_in_a_few_is_no_finding() -> None:
    frame = pd.DataFrame({"rate": np.append(np.full(50, 0.5), [2 / 3, 1 / 3])})
    schema = Schema((Column("rate", Kind.NUMERIC, "double"),))
    model = packed(model={"shares": [1 / 3, 2 / 3]})
    assert scored(frame, schema, model).value == 0


def test_any_value_beyond_the_kth_is_sought_in_what_is_said_of_its_column(
    train: pd.DataFrame,
) -> None:
    few = train.copy()
    few.loc[9, "amount"] = 87_654_321.5
    codings: list[dict[str, Any]] = [{} for _ in SCHEMA]
    codings[3]["high"] = [7.5, 87_654_321.5]
    score = hits(few, packed(codec={"codings": codings}))
    assert found(score) == {"extremes": 1}
    assert "in codec.json extremes of column 'amount' (one of its greatest values)" in score.meaning


def test_a_day_among_another_column_s_bounds_is_no_finding(train: pd.DataFrame) -> None:
    codings: list[dict[str, Any]] = [{} for _ in SCHEMA]
    codings[3]["until"] = LAST
    assert hits(train, packed(codec={"codings": codings})).value == 0
    codings[5]["until"] = LAST
    assert found(hits(train, packed(codec={"codings": codings}))) == {"extremes": 1}


def test_a_bound_that_a_person_declared_is_no_finding(train: pd.DataFrame) -> None:
    declared = Column("amount", Kind.NUMERIC, "double", Bounds(0.0, MOST), Source.DECLARED)
    schema = Schema(tuple(declared if c.name == "amount" else c for c in SCHEMA))
    model = packed(schema=schema.to_dict())
    (score,) = scan(train, None, schema, model, {})
    assert score.value == 0


def test_a_level_that_is_a_moment_is_counted(train: pd.DataFrame) -> None:
    when = pd.Series(pd.to_datetime(["2020-01-01"] * 397 + ["2021-03-04"] * 3))
    column = Column(
        "seen",
        Kind.CATEGORICAL,
        "dictionary<values=timestamp[us], indices=int32, ordered=0>",
        Levels(("2020-01-01 00:00:00.000000", "2021-03-04 00:00:00.000000")),
        Source.INFERRED,
    )
    frame = pd.DataFrame({"seen": pd.Categorical(when)})
    (score,) = scan(frame, None, Schema((column,)), None, {})
    assert score.detail["levels"] == 1


# --------------------------------------------------------------------- null and planted, whole way


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "lending_club", "covid_testing"])
def test_own_models_have_no_finding_and_planted_leaks_are_found(name: str) -> None:
    from sklearn import datasets

    from benchmarks.scans import SHIPPED, SMALL, case, planted, scanned

    if name in SMALL:
        frame, target = getattr(datasets, f"load_{name}")(as_frame=True).frame, SMALL[name]
    else:
        frame, target = pd.read_csv(SHIPPED / f"{name}.csv.gz").head(1500), None
    made = case(frame, target, "cart", 1)
    assert scanned(made, privsynth.artefact.packed(made.model)).value == 0
    for kind, leak in planted(made):
        score = scanned(made, leak)
        assert score.value > 0, kind


def test_a_leaked_training_maximum_is_found_though_the_holdout_holds_a_larger_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from privsynth.evaluation import evaluators

    monkeypatch.setattr(evaluators, "EVALUATORS", ())
    monkeypatch.setattr(evaluators, "ATTACKS", ())
    rng = np.random.default_rng(0)
    whole = pd.DataFrame(
        {"paid": rng.gamma(2, 50, 1000).round(2), "town": rng.choice(["Ulm", "Bonn"], 1000)}
    )
    whole.loc[3, "paid"], whole.loc[900, "paid"] = 7654.32, 98765.43
    train, holdout = whole[:800], whole[800:]
    paid = {"name": "paid", "kind": "numeric", "dtype": "double", "bounds": [0, 100_000]}
    schema = privsynth.Schema.from_dict({"columns": [paid]})
    model = privsynth.fit(train, engine="copula", schema=schema, seed=0)
    for named, leaked in (("clean.psyn", False), ("leak.psyn", True)):
        coding = model.codec.codings[0]
        if leaked:
            coding.high[-1] = 7654.32
        model.save(tmp_path / named)
        report = privsynth.evaluate(
            model.sample(800, seed=0),
            train=whole,
            holdout=holdout,
            model=tmp_path / named,
            policy="standard",
        )
        (score,) = [s for s in report.scores if s.name == "artefact_hits"]
        assert score.value == leaked
    assert "in codec.json extremes of column 'paid' (its greatest value)" in score.meaning
    (finding,) = [f for f in report.findings or () if f.score == "artefact_hits"]
    assert "extremes of column 'paid' (its greatest value)" in finding.words
    assert "7654" not in finding.words


def test_a_schema_inferred_for_an_evaluation_is_no_leak_of_a_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from privsynth.evaluation import evaluators

    monkeypatch.setattr(evaluators, "EVALUATORS", ())
    monkeypatch.setattr(evaluators, "ATTACKS", ())
    rng = np.random.default_rng(0)
    whole = pd.DataFrame({"x": rng.normal(size=300), "town": ["Ulm"] * 288 + ["Xanadu"] * 12})
    holdout = whole.iloc[[*range(60), 298, 299, 297, 296, 295]]  # Xanadu: 12 rows in all, 7 here
    report = privsynth.evaluate(whole.assign(x=0.0), train=whole, holdout=holdout)
    (score,) = [s for s in report.scores if s.name == "artefact_hits"]
    assert score.value == 0


def test_what_few_units_hold_is_found_however_many_rows_hold_it() -> None:
    rng = np.random.default_rng(2)
    of = np.repeat(np.arange(60), 10)
    train = pd.DataFrame(
        {
            "who": [f"p{i:03}" for i in of],
            "town": np.where(of == 3, TOWN, rng.choice(["Bonn", "Ulm"], 600)),
            "amount": np.where(of == 5, MOST, rng.gamma(2, 50, 600).round(3)),
            "seen": np.where(of == 7, pd.Timestamp(LAST), pd.Timestamp("2021-01-01")),
        }
    )
    schema = Schema(
        (
            Column("who", Kind.ID, "string"),
            Column("town", Kind.CATEGORICAL, "string", Levels(("Bonn", TOWN)), Source.INFERRED),
            Column("amount", Kind.NUMERIC, "double", Bounds(0.0, MOST), Source.INFERRED),
            Column("seen", Kind.DATETIME, "timestamp[us]"),
        )
    )
    texts = {"log": f"the last one was on {LAST}"}
    (rows,) = scan(train, None, schema, None, texts)
    assert rows.value == 0
    (units,) = scan(train, None, replace(schema, unit=Unit("who")), None, texts)
    assert units.detail == {"strings": 1.0, "levels": 1.0, "extremes": 2.0, "rows": 0.0}
    assert "held by fewer than 10 training units of column 'who'" in units.meaning
