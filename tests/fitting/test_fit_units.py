"""Privacy units: who names them, what k counts then, and how many rows of one unit count."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import privsynth
from privsynth import Budget, Schema
from privsynth.cli import main
from privsynth.engines.cart.support import counts_of_units, units_of_leaves
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.fitting.units import at_most_the_kth
from privsynth.schema import Unit
from privsynth.table import kth_largest, read

PERSONS = 300
PLANTED = "P-planted"
RARE = {"postcode": "01234", "diagnosis": "Z99"}
ENGINES = ["cart", "copula", "sdv-gaussian-copula"]


def visits(seed: int = 0, planted: int = 0) -> pd.DataFrame:
    """Return visits of persons; the one who is planted has a postcode and a diagnosis alone."""
    rng = np.random.default_rng(seed)
    who = np.repeat(np.arange(PERSONS), rng.integers(1, 6, PERSONS))
    home = rng.integers(0, 8, PERSONS)
    frame = pd.DataFrame(
        {
            "patient": [f"P{i:04d}" for i in who],
            "born": pd.Timestamp("1950-01-01")
            + pd.to_timedelta(rng.integers(0, 20_000, PERSONS)[who], "D"),
            "postcode": [f"8{i:04d}" for i in home[who]],
            "diagnosis": rng.choice(list("abcdef"), len(who)),
            "cost": np.exp(rng.normal(4, 1, len(who))).round(2),
            "outcome": rng.choice(["good", "bad"], len(who), p=[0.8, 0.2]),
        }
    )
    one = {
        "patient": PLANTED,
        "born": pd.Timestamp("1931-02-03"),
        **RARE,
        "cost": 99_999.99,
        "outcome": "good",
    }
    return pd.concat([frame, pd.DataFrame([one] * planted)], ignore_index=True)


def as_frame(frame: pd.DataFrame, place: Path) -> Any:
    return frame


def as_csv(frame: pd.DataFrame, place: Path) -> Any:
    frame.to_csv(place / "t.csv", index=False)
    return place / "t.csv"


def as_parquet(frame: pd.DataFrame, place: Path) -> Any:
    frame.to_parquet(place / "t.parquet")
    return place / "t.parquet"


def by_option(place: Path) -> dict[str, Any]:
    return {"unit": "patient"}


def by_schema(place: Path) -> dict[str, Any]:
    return {"schema": Schema((), Unit("patient"))}


def by_file(place: Path) -> dict[str, Any]:
    (place / "s.yaml").write_text("unit: patient\ncolumns: []\n")
    return {"schema": place / "s.yaml"}


# ------------------------------------------------------------------ what k counts


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("door", [as_frame, as_csv, as_parquet])
@pytest.mark.parametrize("named", [by_option, by_schema, by_file])
def test_no_value_of_one_person_comes_out_however_many_rows_hold_it(
    engine: str,
    door: Callable[[pd.DataFrame, Path], Any],
    named: Callable[[Path], dict[str, Any]],
    tmp_path: Path,
) -> None:
    data = door(visits(planted=40), tmp_path)
    model = privsynth.fit(data, engine=engine, target="outcome", seed=1, **named(tmp_path))
    rows = model.sample(4_000, seed=2)
    for column, value in RARE.items():
        assert not (rows[column] == value).any()
    assert rows["cost"].max() < 50_000
    assert pd.to_datetime(rows["born"]).min() > pd.Timestamp("1945-01-01")
    assert not (rows["patient"] == PLANTED).any()


def test_k_of_rows_lets_one_person_out() -> None:
    """The rule is needed: without a unit the same person is drawn."""
    model = privsynth.fit(visits(planted=40), target="outcome", unit="row", seed=1)
    assert (model.sample(4_000, seed=2)["diagnosis"] == RARE["diagnosis"]).any()


def test_a_combination_of_one_person_comes_out_no_more_often_with_that_person() -> None:
    """Each value is common; together they are one person's, of 30 rows."""
    base = visits()
    one = base.iloc[[0] * 30].assign(
        patient=PLANTED, postcode="80003", diagnosis="f", outcome="bad"
    )
    drawn = []
    for frame in (base, pd.concat([base, one], ignore_index=True)):
        count = 0
        for seed in range(5):
            model = privsynth.fit(frame, target="outcome", unit="patient", seed=seed)
            rows = model.sample(3_000, seed=seed)
            alike = (rows["postcode"] == "80003") & (rows["diagnosis"] == "f")
            count += int((alike & (rows["outcome"] == "bad")).sum())
        drawn.append(count)
    # Without the person about 60 of 15,000; the counts of two fits differ by chance.
    assert drawn[1] <= drawn[0] + 4 * np.sqrt(drawn[0] + 1)


def test_a_value_that_k_persons_hold_once_comes_out() -> None:
    frame = visits()
    first = frame.drop_duplicates("patient").index[:12]
    frame.loc[first, "diagnosis"] = "rare"
    model = privsynth.fit(frame, unit="patient", seed=1)
    levels = model.schema["diagnosis"].domain
    assert "rare" in levels.values


def test_the_unit_s_column_is_an_id_whatever_it_looks_like() -> None:
    frame = visits()
    frame["patient"] = np.unique(frame["patient"], return_inverse=True)[1] % 250
    model = privsynth.fit(frame, unit="patient", seed=1)
    assert model.schema["patient"].kind == "id"
    assert model.schema["patient"].role == "id"
    assert "privacy unit" in model.schema["patient"].why


def test_every_leaf_holds_k_units_and_counts_each_once_for_a_code() -> None:
    rng = np.random.default_rng(0)
    leaf, drawn = rng.integers(0, 4, 500), rng.integers(0, 3, 500)
    units = rng.integers(0, 60, 500)
    counts = counts_of_units(leaf.astype(np.int32), drawn.astype(np.int32), units, (4, 3))
    by_hand = [
        [len(set(units[(leaf == i) & (drawn == j)].tolist())) for j in range(3)] for i in range(4)
    ]
    assert counts.tolist() == by_hand
    assert units_of_leaves(leaf.astype(np.int32), units, 4).tolist() == [
        len(set(units[leaf == i].tolist())) for i in range(4)
    ]


# ------------------------------------------------------------------ how much of a unit counts


def test_a_unit_keeps_as_many_rows_of_a_class_as_the_kth_largest() -> None:
    who = ["a"] * 9 + ["b"] * 4 + ["c"] * 2 + ["d"]
    frame = pd.DataFrame({"who": who, "y": "good", "n": range(16)})
    table = read(frame)
    table = replace(table, units=np.unique(who, return_inverse=True)[1])
    kept, caution = at_most_the_kth(table, "y", 3, np.random.default_rng(0))
    assert kept.to_arrow()["who"].value_counts().to_pylist() == [
        {"values": "a", "counts": 2},
        {"values": "b", "counts": 2},
        {"values": "c", "counts": 2},
        {"values": "d", "counts": 1},
    ]
    assert kept.units is not None
    assert len(kept.units) == 7
    assert caution is not None
    assert "about 56% of the rows are not learnt" in caution.text


def test_each_class_has_a_kth_largest_of_its_own() -> None:
    who = ["a"] * 6 + ["b"] * 2 + ["a"] * 3 + ["b"] * 3
    y = ["good"] * 8 + ["bad"] * 6
    table = replace(
        read(pd.DataFrame({"who": who, "y": y})), units=np.unique(who, return_inverse=True)[1]
    )
    kept, _ = at_most_the_kth(table, "y", 2, np.random.default_rng(0))
    counts = kept.to_arrow().to_pandas().groupby(["y", "who"]).size()
    assert counts.to_dict() == {
        ("bad", "a"): 3,
        ("bad", "b"): 3,
        ("good", "a"): 2,
        ("good", "b"): 2,
    }


def test_where_nobody_exceeds_the_kth_every_row_is_learnt() -> None:
    table = replace(read(pa.table({"n": range(6)})), units=np.array([0, 0, 1, 1, 2, 2]))
    assert at_most_the_kth(table, None, 3, np.random.default_rng(0)) == (table, None)


GROUPED = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9)), max_size=30)


@given(GROUPED, st.integers(1, 5), st.integers(0, 2))
def test_the_kth_largest_of_each_group(pairs: list[tuple[int, int]], k: int, at_least: int) -> None:
    pairs.sort(key=lambda pair: pair[0])
    group, counts = (
        (np.array(part, dtype=int) for part in zip(*pairs, strict=True))
        if pairs
        else (np.zeros(0, int), np.zeros(0, int))
    )
    expected = []
    for of, _ in pairs:
        own = sorted((n for g, n in pairs if g == of), reverse=True)
        expected.append(max(at_least, own[k - 1]) if len(own) >= k else at_least)
    assert kth_largest(group, counts, k, at_least=at_least).tolist() == expected


def test_one_unit_with_most_rows_is_said() -> None:
    frame = visits(planted=3_000)
    with pytest.warns(
        PrivsynthWarning, match="a unit counts at most as many rows as each of the 10 largest"
    ):
        model = privsynth.fit(frame, unit="patient", seed=1)
    assert model.card.rows < 1_200


# ------------------------------------------------------------------ who names it


def test_without_a_unit_an_id_that_repeats_is_said_once_and_kept_in_the_card() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = privsynth.fit(visits(), seed=1)
    about = [str(w.message) for w in caught if "privacy unit" in str(w.message)]
    assert len(about) == 1
    assert "column 'patient'" in about[0]
    assert "--unit patient" in about[0]
    assert about[0] in model.card.rules


@pytest.mark.parametrize("options", [{"unit": "row"}, {"schema": Schema((), Unit())}])
def test_whoever_says_that_rows_are_meant_is_not_warned(options: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        privsynth.fit(visits(), seed=1, **options)
    assert not [w for w in caught if "privacy unit" in str(w.message)]


def test_a_unit_that_is_different_in_every_row_is_said() -> None:
    frame = visits().assign(patient=lambda f: [f"R{i:05d}" for i in range(len(f))])
    with pytest.warns(PrivsynthWarning, match="each row is a unit"):
        privsynth.fit(frame, unit="patient", seed=1)


def test_rows_without_a_unit_are_units_of_their_own() -> None:
    frame = visits()
    frame.loc[: len(frame) // 2, "patient"] = None
    with pytest.warns(PrivsynthWarning, match=r"is missing in \d+ rows, each of which is a unit"):
        model = privsynth.fit(frame, unit="patient", seed=1)
    assert model.card.rows == len(frame)


def test_the_card_and_the_schema_keep_the_unit(tmp_path: Path) -> None:
    model = privsynth.fit(visits(), unit="patient", seed=1)
    model.save(tmp_path / "m.psyn")
    again = privsynth.load(tmp_path / "m.psyn")
    assert again.card == model.card
    assert again.card.disclosure.unit == again.card["unit"] == "patient"
    assert again.schema.unit == Unit("patient")
    assert any("10 units of column 'patient'" in rule for rule in again.card.rules)
    assert again.sample(50, seed=1).equals(model.sample(50, seed=1))


@pytest.mark.parametrize(
    ("state", "unit"),
    [("patient", Unit("patient")), ("row", Unit()), ({"column": "row"}, Unit("row"))],
)
def test_a_unit_is_read_and_written_alike(state: Any, unit: Unit) -> None:
    assert Unit.parse(state) == unit
    assert unit.to_value() == state
    schema = Schema((), unit)
    assert Schema.from_dict(schema.to_dict()) == schema
    assert schema.to_dict()["version"] == 2
    assert Schema(()).to_dict()["version"] == 1


def test_a_column_called_row_can_be_the_unit() -> None:
    frame = visits().rename(columns={"patient": "row"})
    model = privsynth.fit(frame, unit={"column": "row"}, seed=1)
    assert model.card.disclosure.unit == "row"
    assert "units of column 'row'" in model.card.disclosure.counted


def constant(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(patient="one")


def fractions(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(patient=np.arange(len(frame)) % 90 + 0.5)


def missing(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(patient=None)


def few(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(patient=np.arange(len(frame)) % 19)


@pytest.mark.parametrize(
    ("change", "options", "says"),
    [
        (
            None,
            ["--unit", "patent"],
            "expected 'row' or the name of a column; did you mean 'patient'",
        ),
        (constant, ["--unit", "patient"], "every row has the same value"),
        (fractions, ["--unit", "patient"], "holds fractions"),
        (missing, ["--unit", "patient"], "is missing in every row"),
        (None, ["--unit", "born"], "store it as text or whole numbers"),
        (few, ["--unit", "patient"], "has 19 privacy units to train on, and at least 20"),
        (None, ["--unit", ""], "expected 'row' or the name of a column"),
        (None, ["--unit", "outcome", "--target", "outcome"], "both the unit and the target"),
        (None, ["--unit", "patient", "--schema", "row.yaml"], "name it once, or alike"),
        (None, ["--schema", "bad.yaml"], "unit: expected 'row' or the name of a column"),
        (None, ["--unit", "patient", "--schema", "number.yaml"], "which is modelled"),
    ],
)
def test_a_unit_that_cannot_be_one_is_refused_and_nothing_is_written(
    change: Callable[[pd.DataFrame], pd.DataFrame] | None,
    options: list[str],
    says: str,
    tmp_path: Path,
) -> None:
    frame = visits() if change is None else change(visits())
    frame.to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "row.yaml").write_text("unit: row\ncolumns: []\n")
    (tmp_path / "bad.yaml").write_text("unit: [patient]\ncolumns: []\n")
    (tmp_path / "number.yaml").write_text(
        "columns:\n- {name: patient, kind: categorical, dtype: string}\n"
    )
    output = tmp_path / "m.psyn"
    options = [str(tmp_path / o) if o.endswith(".yaml") else o for o in options]
    result = CliRunner().invoke(
        main, ["fit", str(tmp_path / "t.csv"), "-o", str(output), "--seed", "1", *options]
    )
    assert result.exit_code == 2, result.output
    assert says in result.output.replace("\n", " ")
    assert not output.exists()


# ------------------------------------------------------------------ under a budget


def declared(**patient: Any) -> Schema:
    return Schema.from_dict(
        {
            "columns": [
                {"name": "patient", "kind": "id", "dtype": "string", **patient},
                {
                    "name": "outcome",
                    "kind": "categorical",
                    "dtype": "string",
                    "levels": ["good", "bad"],
                    "source": "declared",
                },
            ]
        }
    )


@pytest.mark.parametrize(
    ("schema", "budget", "options", "protects"),
    [
        (declared(), Budget(1.0), {"unit": "patient"}, "patient"),
        (declared(), Budget(1.0), {"unit": "row"}, "row"),
        (declared(), Budget(1.0, unit="patient"), {}, "patient"),
        (declared(), Budget(1.0, unit="row"), {}, "row"),
        (declared(), Budget(1.0, rows_per_unit=3), {"unit": "patient"}, "patient"),
        (declared(unique=True), Budget(1.0), {}, "row"),
        (replace(declared(), unit=Unit("patient")), Budget(1.0), {}, "patient"),
        (replace(declared(), unit=Unit()), Budget(1.0), {}, "row"),
    ],
)
@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_whoever_answers_whose_privacy_a_budget_keeps_is_heard(
    schema: Schema, budget: Budget, options: dict[str, Any], protects: str
) -> None:
    frame = visits()[["patient", "outcome"]]
    model = privsynth.fit(frame, schema=schema, budget=budget, seed=1, **options)
    assert model.ledger.budget is not None
    assert model.ledger.budget.unit == protects


@pytest.mark.parametrize(
    ("schema", "budget", "options", "says"),
    [
        (declared(), Budget(1.0), {}, "say --unit patient"),
        (declared(unique=False), Budget(1.0), {}, "say --unit patient"),
        (declared(), Budget(1.0, unit="row"), {"unit": "patient"}, "name it once, or alike"),
        (replace(declared(), unit=Unit()), Budget(1.0, unit="patient"), {}, "name it once"),
        (declared(), Budget(1.0, rows_per_unit=3), {"unit": "row"}, "rows_per_unit is 1"),
        (declared(), Budget(1.0), {"unit": {"column": "row"}}, "rename the column called row"),
        (
            declared(unique=True),
            Budget(1.0),
            {"unit": "outcome", "target": "outcome"},
            "both the unit and the target",
        ),
    ],
)
def test_under_a_budget_the_unit_is_not_guessed_and_nothing_is_charged(
    schema: Schema, budget: Budget, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    ledger = tmp_path / "l.json"
    with pytest.raises(UsageError, match=says):
        privsynth.fit(
            visits()[["patient", "outcome"]],
            schema=schema,
            budget=budget,
            ledger=ledger,
            new_ledger=True,
            **options,
        )
    assert not ledger.exists()


def test_too_few_units_are_refused_in_python_too() -> None:
    with pytest.raises(DataError, match="19 privacy units"):
        privsynth.fit(few(visits()), unit="patient", seed=1)


def test_a_column_of_persons_is_an_id_and_none_is_listed(tmp_path: Path) -> None:
    """One person of many rows would otherwise be a level, in the schema that is reviewed."""
    frame = visits(planted=40)
    huge = privsynth.propose_schema(visits(planted=5_000))
    assert huge["patient"].kind == "id"
    by_unit = privsynth.propose_schema(frame, target="outcome", unit="patient")
    assert by_unit.unit == Unit("patient")
    assert not any(value in by_unit.to_yaml() for value in (PLANTED, "1931", "01234", "Z99"))
    schema = privsynth.propose_schema(frame, target="outcome")
    assert schema["patient"].kind == "id"
    assert PLANTED not in schema.to_yaml(tmp_path / "s.yaml")
    privsynth.fit(frame, schema=tmp_path / "s.yaml", unit="patient", seed=1)


def test_categories_that_are_constant_within_persons_are_judged() -> None:
    frame = visits().assign(sex=lambda f: f["patient"].str[-1].isin(list("13579")).map(str))
    frame["sex"] = frame["sex"].astype("category")
    inside = frame["patient"] < "P0200"
    train, holdout = frame[inside], frame[~inside].drop(columns="sex")
    holdout = holdout.assign(sex=pd.Categorical(frame.loc[~inside, "sex"].astype(str)))
    model = privsynth.fit(train, unit="patient", seed=1)
    report = privsynth.evaluate(
        model.sample(400, seed=1), train=train, holdout=holdout, unit="patient", seed=1
    )
    assert report.evaluation.about["unit"]["column"] == "patient"


@pytest.mark.parametrize(
    ("ids", "says"),
    [(None, "is missing in every row"), ("A", "every row has the same value")],
)
def test_a_holdout_whose_units_cannot_be_told_apart_is_refused(ids: Any, says: str) -> None:
    frame = visits()
    inside = frame["patient"] < "P0200"
    holdout = frame[~inside].assign(patient=ids)
    with pytest.raises(DataError, match=says):
        privsynth.evaluate(frame[inside], train=frame[inside], holdout=holdout, unit="patient")
