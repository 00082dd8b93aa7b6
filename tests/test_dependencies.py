"""A column that is declared to follow from another is looked up, and costs nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import privsynth
from privsynth.errors import SamplingError, SchemaError
from privsynth.schema import Bounds, Column, Kind, Levels, Role, Schema, Source

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


@pytest.mark.parametrize("engine", ["marginals", "copula", "mst"])
def test_the_budget_is_spent_as_if_the_column_were_not_there(engine: str) -> None:
    budget = privsynth.Budget(1.0)
    whole = model(engine, budget=budget)
    rows, schema = people().drop(columns="years"), Schema((DEGREE, PAID))
    without = privsynth.fit(
        rows, engine=engine, schema=schema, target="paid", budget=budget, seed=1
    )
    told, plain = ([(e.query, e.detail, e.rho) for e in m.ledger.events] for m in (whole, without))
    assert told == plain
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
        ({"determined_by": "years"}, "determined itself"),
        ({"role": Role.TARGET}, "is the target"),
        ({"domain": Bounds(0, 20)}, "drop levels, bounds"),
        ({"unique": True}, "drop levels, bounds"),
        ({"kind": Kind.ID}, "drop levels, bounds"),
        ({"mapping": (("school", 9), ("school", 10))}, "lists a level twice"),
        ({"mapping": (*YEARS.items(), ("nursery", 1))}, "no level of 'degree'"),
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


def test_a_column_of_numbers_determines_none() -> None:
    age = Column("degree", Kind.INTEGER, "int64", Bounds(0, 9), DECLARED)
    with pytest.raises(SchemaError, match="has no levels"):
        Schema((SPENT, age, PAID))


@pytest.mark.parametrize("budget", [None, privsynth.Budget(1.0)])
def test_values_of_another_type_are_refused(budget: privsynth.Budget | None) -> None:
    odd = replace(SPENT, mapping=tuple((level, "many") for level in YEARS))
    with pytest.raises(SchemaError, match="cannot all be read as int64"):
        privsynth.fit(people(), schema=Schema((odd, DEGREE, PAID)), budget=budget, seed=1)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5) | st.integers(-9, 9) | st.booleans(),
        st.text(max_size=3) | st.integers(-9, 9) | st.floats(0, 1) | st.booleans(),
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
    assert Schema.from_dict(schema.to_dict()) == schema


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
    schema.to_yaml(path)
    assert Schema.from_yaml(path) == schema
    path.write_text(path.read_text().replace("mapping:", "mapping: 3\n  why:"))
    with pytest.raises(SchemaError):
        Schema.from_yaml(path)
