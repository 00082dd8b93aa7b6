"""A column that is declared to follow from another is looked up, and costs nothing."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import privsynth
from privsynth.cli.program import main
from privsynth.coding.declared import declared_codec
from privsynth.errors import PrivsynthWarning, SamplingError, SchemaError
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema

YEARS = {"school": 9, "college": 13, "master": 16, "doctor": 16}
DECLARED = Source.DECLARED
DEGREE = Column("degree", Kind.CATEGORICAL, "string", Levels(tuple(YEARS)), DECLARED)
SPENT = Column(
    "years",
    Kind.INTEGER,
    "int64",
    source=DECLARED,
    determined_by="degree",
    mapping=tuple(YEARS.items()),
)
PAID = Column("paid", Kind.CATEGORICAL, "string", Levels(("no", "yes")), DECLARED, role=Role.TARGET)
SCHEMA = Schema((SPENT, DEGREE, PAID))


def people(n: int = 3_000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    degree = rng.choice(list(YEARS), n, p=[0.5, 0.3, 0.15, 0.05])
    paid = np.where(rng.random(n) < 0.1 + 0.2 * (degree == "doctor"), "yes", "no")
    return pd.DataFrame({"years": [YEARS[d] for d in degree], "degree": degree, "paid": paid})


def model(engine: str | None = None, **more: Any) -> privsynth.FittedModel:
    return privsynth.fit(people(), engine=engine, schema=SCHEMA, target="paid", seed=1, **more)


def holds(rows: pd.DataFrame) -> bool:
    return bool((rows["degree"].map(YEARS) == rows["years"]).all())


@pytest.mark.parametrize("engine", ["marginals", "copula", "aim", "mst", "independent"])
def test_the_budget_is_spent_as_if_the_column_were_not_there(engine: str) -> None:
    budget = privsynth.Budget(1.0)
    whole = model(engine, budget=budget)
    rows, schema = people().drop(columns="years"), Schema((DEGREE, PAID))
    without = privsynth.fit(
        rows, engine=engine, schema=schema, target="paid", budget=budget, seed=1
    )
    if engine != "aim":  # which asks what its noisy answers lead it to
        assert whole.ledger.to_dict()["events"] == without.ledger.to_dict()["events"]
    assert "years" not in str(whole.ledger.to_dict())
    assert holds(whole.sample(2_000, seed=1))


@pytest.mark.parametrize("engine", ["cart", "copula", "sdv-gaussian-copula"])
def test_rows_keep_the_dependency_without_a_budget_too(engine: str, tmp_path: Path) -> None:
    fitted = model(engine)
    rows = fitted.sample(1_000, seed=2)
    assert holds(rows)
    assert rows["years"].dtype == np.int64
    fitted.save(tmp_path / "m.psyn")
    pd.testing.assert_frame_equal(privsynth.load(tmp_path / "m.psyn").sample(1_000, seed=2), rows)


def test_rows_between_real_ones_keep_it() -> None:
    real = people().assign(age=np.arange(3_000) % 80)
    made = privsynth.augment(real, target="paid", engine="smotenc", schema=SCHEMA, random_state=0)
    assert holds(made[made["synthetic"]])


def test_a_condition_on_a_value_is_one_on_the_level_that_gives_it() -> None:
    fitted = model(budget=privsynth.Budget(1.0))
    assert set(fitted.sample(40, where={"years": 13}, seed=1)["degree"]) == {"college"}
    assert len(fitted.sample(5, where={"years": 13, "degree": "college"}, seed=1)) == 5
    with pytest.raises(SamplingError, match="more than one level of 'degree'"):
        fitted.sample(5, where={"years": 16}, seed=1)
    with pytest.raises(SamplingError, match="no level of 'degree'"):
        fitted.sample(5, where={"years": 99}, seed=1)
    with pytest.raises(SamplingError, match="no row meets"):
        fitted.sample(5, where={"years": 13, "degree": "school"}, seed=1)


def test_a_level_without_a_value_gives_none() -> None:
    some = replace(SPENT, mapping=(("school", 9), ("college", 13)), nullable=True)
    fitted = privsynth.fit(
        people(), schema=Schema((some, DEGREE, PAID)), budget=privsynth.Budget(3.0), seed=1
    )
    rows = fitted.sample(500, seed=1)
    known = rows["degree"].isin(["school", "college"])
    assert rows["years"].isna().equals(~known)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"determined_by": None}, "give both"),
        ({"mapping": ()}, "give both"),
        ({"determined_by": "degre"}, "did you mean"),
        ({"determined_by": "years"}, "by itself"),
        ({"mapping": tuple((level, None) for level in YEARS)}, "leave out a level"),
        ({"mapping": tuple((level, [9]) for level in YEARS)}, "expected text"),
        ({"mapping": ((("school",), 9),)}, "expected text"),
        ({"role": Role.TARGET}, "is the target"),
        ({"domain": Bounds(0, 20)}, "drop levels, bounds"),
        ({"unique": True}, "drop levels, bounds"),
        ({"kind": Kind.ID}, "drop levels, bounds"),
        ({"mapping": (("school", 9), ("school", 10))}, "lists a level twice"),
        ({"mapping": (*YEARS.items(), ("nursery", 1))}, "not a level of 'degree'"),
        ({"mapping": (("school", 9),)}, "no value for a level"),
    ],
)
def test_a_dependency_that_contradicts_itself(change: dict[str, Any], says: str) -> None:
    paid = replace(PAID, role=None) if "role" in change else PAID
    with pytest.raises(SchemaError, match=says) as caught:
        Schema((replace(SPENT, **change), DEGREE, paid))
    assert "\n" not in str(caught.value)


def test_a_chain_is_refused() -> None:
    third = replace(SPENT, name="again", determined_by="years", mapping=((9, 1),))
    with pytest.raises(SchemaError, match="determined itself"):
        Schema((SPENT, DEGREE, PAID, third))


@pytest.mark.parametrize(
    "by",
    [
        Column("degree", Kind.INTEGER, "int64", Bounds(0, 9), DECLARED),
        Column(
            "degree", Kind.DATETIME, "date32[day]", Bounds("2020-01-01", "2021-01-01"), DECLARED
        ),
        Column("degree", Kind.PERSONAL, "string"),
        Column("degree", Kind.CATEGORICAL, "string", source=DECLARED),
        replace(DEGREE, source=Source.INFERRED),
        replace(DEGREE, source=Source.DISCOVERED),
    ],
    ids=lambda by: f"{by.kind} {by.source}",
)
def test_a_column_whose_levels_are_not_declared_determines_none(by: Column) -> None:
    with pytest.raises(SchemaError, match="no declared levels"):
        Schema((SPENT, by, PAID))


@pytest.mark.parametrize("value", ["many", 9.5, True, 2**70])
@pytest.mark.parametrize("budget", [None, privsynth.Budget(1.0)])
def test_values_of_another_type_are_refused_before_anything_is_spent(
    budget: privsynth.Budget | None, value: Any, tmp_path: Path
) -> None:
    more: dict[str, Any] = (
        {} if budget is None else {"ledger": tmp_path / "ledger", "new_ledger": True}
    )

    def fit() -> None:
        schema = Schema((replace(SPENT, mapping=tuple((d, value) for d in YEARS)), DEGREE, PAID))
        privsynth.fit(people(), schema=schema, budget=budget, seed=1, **more)

    with pytest.raises(SchemaError, match=r"cannot all be read as int64|in quotes") as caught:
        fit()
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("budget", [None, privsynth.Budget(1.0)])
def test_a_boolean_and_numbers_with_levels_determine_values(
    budget: privsynth.Budget | None,
) -> None:
    rows = people().assign(old=lambda t: t["years"] > 12, grade=lambda t: t["years"] // 4)
    rows["word"] = rows["old"].map({True: "long", False: "short"})
    rows["on"] = pd.to_datetime(
        rows["grade"].map({2: "2020-01-31", 3: "2021-01-31", 4: "2022-01-31"})
    )
    word = Column(
        "word",
        Kind.CATEGORICAL,
        "string",
        determined_by="old",
        mapping=((False, "short"), (True, "long")),
    )
    day = Column(
        "on",
        Kind.DATETIME,
        "timestamp[ns]",
        determined_by="grade",
        mapping=((2, "2020-01-31"), (3, "2021-01-31"), (4, "2022-01-31")),
    )
    schema = Schema(
        (
            SPENT,
            DEGREE,
            PAID,
            Column("old", Kind.BOOLEAN, "bool", source=DECLARED),
            Column("grade", Kind.INTEGER, "int64", Levels((2, 3, 4)), DECLARED),
            word,
            day,
        )
    )
    drawn = privsynth.fit(rows, schema=schema, budget=budget, seed=1).sample(500, seed=1)
    assert (drawn["word"] == drawn["old"].map({True: "long", False: "short"})).all()
    assert (drawn["on"].dt.year == drawn["grade"] + 2018).all()


def test_a_level_that_is_pooled_or_missing_gives_none_unless_the_mapping_says() -> None:
    rows = people()
    rows.loc[:400, "degree"] = "nursery"
    rows.loc[401:800, "degree"] = None
    drawn = privsynth.fit(rows, schema=SCHEMA, budget=privsynth.Budget(9.0), seed=1).sample(500)
    none = drawn["degree"].isna() | (drawn["degree"] == "(other)")
    assert 0 < none.sum() < 500
    assert drawn["years"].isna().equals(none)
    listed = replace(DEGREE, domain=Levels((*YEARS, "(other)")))
    said = replace(SPENT, mapping=(*YEARS.items(), ("(other)", 0)))
    schema = Schema((said, listed, PAID))
    drawn = privsynth.fit(rows, schema=schema, budget=privsynth.Budget(9.0), seed=1).sample(500)
    assert drawn["years"].isna().equals(drawn["degree"].isna())
    assert (drawn["years"][drawn["degree"] == "(other)"] == 0).all()


def test_rows_that_contradict_the_mapping_are_counted_and_only_without_a_budget() -> None:
    rows = people()
    rows.loc[rows.index[rows["degree"] == "school"][:7], "years"] = 4
    with pytest.warns(PrivsynthWarning, match=r"'years': 7 of 3000 rows hold another value"):
        drawn = privsynth.fit(rows, schema=SCHEMA, seed=1).sample(300, seed=1)
    assert holds(drawn)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PrivsynthWarning)
        privsynth.fit(rows, schema=SCHEMA, budget=privsynth.Budget(1.0), seed=1)
        privsynth.fit(people(), schema=SCHEMA, seed=1)


def test_what_rows_hold_in_the_column_is_never_read_under_a_budget() -> None:
    codec = declared_codec(SCHEMA)
    odd = people(50).assign(years=["?"] * 50)
    codes = codec.encode(pa.Table.from_pandas(odd))
    assert not codes[:, 0].any()
    assert codec.sizes[0] == 1


def test_the_dependency_is_looked_up_again_in_rows_that_were_changed() -> None:
    codec = declared_codec(SCHEMA)
    rows = pa.Table.from_pandas(people(30))
    shifted = rows.set_column(1, "degree", pa.array(["school", None, "master"] * 10))
    followed = codec.followed(shifted)
    assert followed.column("years").to_pylist() == [9, None, 16] * 10
    assert followed.drop_columns("years").equals(shifted.drop_columns("years"))


def test_the_command_line_takes_it_from_schema_to_report(tmp_path: Path) -> None:
    data, schema, model = (str(tmp_path / f) for f in ("d.csv", "s.yaml", "m.psyn"))
    out, report = str(tmp_path / "o.csv"), str(tmp_path / "r.json")
    people(600).to_csv(data, index=False)
    SCHEMA.to_yaml(schema)
    for line in (
        ["fit", data, "--schema", schema, "--epsilon", "1", "-o", model],
        ["inspect", model],
        ["sample", model, "-n", "200", "--where", "years=13", "-o", out],
        ["sample", model, "-n", "600", "-o", out],
        ["evaluate", out, "--train", data, "--model", model, "--json", report],
    ):
        done = CliRunner().invoke(main, line)
        assert done.exit_code == 0, done.output
    assert holds(pd.read_csv(out).dropna())


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        st.text(max_size=3) | st.integers(-9, 9) | st.floats(0, 1),
        min_size=1,
        max_size=5,
    )
)
def test_a_schema_with_a_dependency_is_read_as_it_was_written(mapping: dict[Any, Any]) -> None:
    columns = (
        replace(DEGREE, domain=Levels(tuple(mapping))),
        replace(SPENT, mapping=tuple(mapping.items())),
    )
    schema = Schema(columns)
    assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema
    with TemporaryDirectory() as folder:
        path = Path(folder) / "s.yaml"
        schema.to_yaml(path)
        assert Schema.from_yaml(path) == schema


def test_a_person_writes_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "columns:\n"
        "- {name: degree, kind: categorical, levels: [a, b]}\n"
        "- {name: years, kind: integer, dtype: int64, determined_by: degree, "
        "mapping: {a: 1, b: 2}}\n"
    )
    schema = Schema.from_yaml(path)
    assert schema["years"].mapping == (("a", 1), ("b", 2))
    assert "mapping:\n    a: 1\n" in schema.to_yaml(path)
    assert Schema.from_yaml(path) == schema
    path.write_text(path.read_text().replace("mapping:", "mapping: 3\n  why:"))
    with pytest.raises(SchemaError):
        Schema.from_yaml(path)
