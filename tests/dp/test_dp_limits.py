"""What a budget, a ledger and a schema may say: refused in one line before anything is spent."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from audits import ENGINES, NAMES, SCHEMA, rows
from click.testing import CliRunner, Result

import privsynth
from privsynth.cli.program import main
from privsynth.coding.codec import Codec
from privsynth.coding.declared import declared_codec, readable_levels
from privsynth.curator.discovery import discovery_delta
from privsynth.curator.private import MAX_CELLS
from privsynth.engines.marginal.oneway import MAX_SPARE, groups_that_fit
from privsynth.engines.registry import engine, recipe
from privsynth.errors import BudgetExceeded, ConfigError, PrivsynthWarning, UsageError
from privsynth.fitting import learn
from privsynth.minority.sampler import MinoritySampler
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import MAX_ROWS_PER_UNIT, Budget
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema
from privsynth.table import read
from privsynth.task import FitTask

FOUND = Source.DISCOVERED
GIVEN = Source.DECLARED


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [",".join(value or "" for value in row) for row in rows(60, per_unit=3)]
    Path("t.csv").write_text("\n".join([",".join(NAMES), *lines]) + "\n")
    SCHEMA.to_yaml("s.yaml")
    return tmp_path


def fit(*more: object) -> Result:
    given = ["fit", "t.csv", "-o", "m.psyn", "--schema", "s.yaml", "--seed", "1", *map(str, more)]
    return CliRunner().invoke(main, given)


def refused(result: Result, *says: str) -> None:
    assert result.exit_code == 2, result.output
    line = result.stderr.splitlines()[-1]
    assert "rror" in line
    for part in says:
        assert part in result.stderr, result.stderr
    assert "Traceback" not in result.output
    assert not Path("m.psyn").exists()


# ------------------------------------------------------------------ numbers


def kind_of(value: object) -> str:
    """Name a case by its type: pytest cannot spell the longest numbers."""
    return type(value).__name__


@pytest.mark.parametrize(
    "epsilon", [1e-5, 1e-16, 1e-300, 5e-324, 10**400, 10**5000, -(10**400)], ids=kind_of
)
def test_an_epsilon_beyond_what_a_mechanism_can_do_is_refused(epsilon: Any) -> None:
    with pytest.raises(UsageError, match="epsilon") as told:
        Budget(epsilon)
    assert len(str(told.value)) < 200


@pytest.mark.parametrize("delta", [1e-101, 1e-300, 5e-324])
def test_a_delta_beyond_what_a_mechanism_can_do_is_refused(delta: float) -> None:
    with pytest.raises(UsageError, match="delta"):
        Budget(1.0, delta)


@pytest.mark.parametrize(
    "value",
    [0, -1, MAX_ROWS_PER_UNIT + 1, 10**9, 10**30, 10**5000, 1.0, True, "1", None, np.nan],
    ids=kind_of,
)
def test_rows_of_a_unit_are_a_whole_number_in_reach(value: Any) -> None:
    with pytest.raises(UsageError, match=r"rows_per_unit.*whole number from 1"):
        Budget(1.0, unit="who", rows_per_unit=value)


@pytest.mark.parametrize("value", [0, -1, 10**16, 10**5000, 2.0, True, "9"], ids=kind_of)
def test_the_declared_number_of_rows_is_a_whole_number_in_reach(value: Any) -> None:
    with pytest.raises(UsageError, match=r"n_rows.*whole number from 1"):
        Budget(1.0, 1e-9, n_rows=value)


def test_noise_beyond_64_bits_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(UsageError, match="drowns every count"):
        Budget(1e-4, unit="who", rows_per_unit=10**6)


@pytest.mark.parametrize(
    "value", [np.float32(2), np.float64(2), np.int8(2), np.int64(2), Fraction(2, 1), 2]
)
def test_numbers_of_any_type_are_taken(value: Any) -> None:
    budget = Budget(value, unit="who", rows_per_unit=np.int32(3), n_rows=np.int64(10))
    assert budget.epsilon == 2
    assert type(budget.epsilon) in (int, float)
    assert (type(budget.rows_per_unit), type(budget.n_rows)) == (int, int)
    json.dumps(Ledger(budget=budget).to_dict())


@pytest.mark.parametrize("value", [np.bool_(True), Decimal(1), 1 + 0j, np.array([1.0]), [1.0]])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="expected a number"):
        Budget(value)


EDGES = [
    Budget(1e-4),
    Budget(1e-4, 1e-100),
    Budget(1e308),
    Budget(1e6, 1e-100),
    Budget(1.0, unit="who", rows_per_unit=10**6),
    Budget(1e-3, 1e-100, unit="who", rows_per_unit=10**4),
]


@pytest.mark.parametrize("budget", EDGES, ids=str)
@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_every_budget_that_is_taken_can_be_fitted(name: str, budget: Budget) -> None:
    if name == "aim" and budget.epsilon < 1:
        budget = Budget(1e-3, unit=budget.unit, rows_per_unit=budget.rows_per_unit)
    data = pa.table([list(column) for column in zip(*rows(40), strict=True)], names=list(NAMES))
    model = privsynth.fit(data, schema=SCHEMA, engine=name, budget=budget, seed=1)
    assert len(model.sample(20, seed=1)) == 20
    assert str(model.ledger.guarantee())


@pytest.mark.parametrize(
    "more",
    [
        ("--epsilon", "1e-16"),
        ("--epsilon", "1e999"),
        ("--epsilon", "one"),
        ("--epsilon", ""),
        ("--epsilon", "1", "--delta", "1e-300"),
        ("--epsilon", "1", "--delta", "1e300"),
        ("--epsilon", "1", "--unit", "who", "--rows-per-unit", "1000000000"),
        ("--epsilon", "1", "--unit", "who", "--rows-per-unit", "1" + "0" * 400),
        ("--epsilon", "1", "--unit", "who", "--rows-per-unit", "0"),
        ("--epsilon", "1", "--unit", "who", "--rows-per-unit", "1e3"),
        ("--epsilon", "1", "--unit", ""),
        ("--epsilon", "1", "--unit", "row", "--rows-per-unit", "2"),
        ("--epsilon", "1", "--new-ledger"),
        ("--new-ledger",),
        ("--epsilon", "1", "--set", "errors=1e-300"),
        ("--epsilon", "1", "--set", "codes=0.9999999999999999"),
        ("--epsilon", "1", "--set", "pull=0"),
        ("--epsilon", "1", "--set", "pull=.nan"),
        ("--epsilon", "1", "--set", "batches=1000000000"),
        ("--epsilon", "1", "--set", "most_cells=1000000000000"),
        ("--epsilon", "1", "--engine", "aim", "--set", "pull=.inf"),
        ("--epsilon", "1", "--engine", "mst", "--set", "most_groups=1"),
        ("--epsilon", "1", "--engine", "copula", "--set", "shrinkage=.inf"),
    ],
)
def test_an_option_out_of_range_ends_in_one_line(
    place: Path, more: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: Any) -> None:
        raise AssertionError("an accountant was made")

    monkeypatch.setattr(Accountant, "__init__", never)
    refused(fit(*more))


def test_a_mechanism_is_not_asked_for_next_to_nothing() -> None:
    asked = Accountant(np.zeros(1), Ledger(budget=Budget(1.0)))
    for rho in (0.0, -1.0, 1e-300, float("nan")):
        with pytest.raises(BudgetExceeded, match="drown"):
            asked.scale(1.0, rho)


# ------------------------------------------------------------------ the ledger's file


def test_a_ledger_that_is_not_there_is_not_opened_by_a_slip_of_the_pen(place: Path) -> None:
    refused(fit("--epsilon", 1, "--ledger", "l.json"), "l.json: there is no such", "--new-ledger")
    assert not Path("l.json").exists()
    assert fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger").exit_code == 0
    kept = Path("l.json").read_bytes()
    Path("m.psyn").unlink()
    refused(fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger"), "l.json: exists")
    assert Path("l.json").read_bytes() == kept


def test_python_opens_a_ledger_where_it_is_told_to(place: Path) -> None:
    budget = Budget(4.0)
    given: dict[str, Any] = {"schema": "s.yaml", "budget": budget, "ledger": "l.json"}
    for call in (
        lambda **more: privsynth.fit("t.csv", seed=1, **given, **more),
        lambda **more: privsynth.augment("t.csv", target="out", **given, **more),
    ):
        with pytest.raises(UsageError, match="no such ledger"):
            call()
        call(new_ledger=True)
        with pytest.raises(UsageError, match=r"l\.json: exists"):
            call(new_ledger=True)
        with pytest.raises(BudgetExceeded):
            call()
        Path("l.json").unlink()
    with pytest.raises(UsageError, match="no ledger is named"):
        privsynth.fit("t.csv", schema="s.yaml", budget=budget, new_ledger=True)
    schema = Schema(
        (
            Column("x0", Kind.INTEGER, "int64", Bounds(0, 3), GIVEN),
            Column("y", Kind.CATEGORICAL, "int64", Levels((0, 1)), GIVEN),
        )
    )
    sampler = MinoritySampler(budget=budget, schema=schema, ledger="l.json", random_state=0)
    X, y = np.arange(80)[:, None] % 4, np.repeat([0, 1], [60, 20])
    with pytest.raises(UsageError, match="no such ledger"):
        sampler.fit_resample(X, y)
    sampler.set_params(new_ledger=True).fit_resample(X, y)
    assert len(json.loads(Path("l.json").read_text())["entries"]) == 1


# ------------------------------------------------------------------ delta beside the rows


def test_a_delta_above_one_in_the_noisy_number_of_rows_is_warned_of() -> None:
    frame = pd.DataFrame({"x": np.arange(3_000) % 4})
    schema = Schema((Column("x", Kind.INTEGER, "int64", Bounds(0, 3), GIVEN),))
    with pytest.warns(PrivsynthWarning, match=r"delta is 0\.0009.*by the noisy count"):
        model = privsynth.fit(frame, schema=schema, budget=Budget(3.0, 9e-4), seed=1)
    assert any("noisy count" in caution for caution in model.card["cautions"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = privsynth.fit(frame, schema=schema, budget=Budget(3.0, 1e-5), seed=1)
    assert model.card["cautions"] == []


# ------------------------------------------------------------------ what is found out


def discovered(kind: Kind, dtype: str, *more: Column, role: Role | None = None) -> Schema:
    return Schema((Column("c", kind, dtype, None, FOUND, role=role), *more))


def found(values: Sequence[Any], schema: Schema, epsilon: float = 1e4) -> Any:
    """Fit a table of text whose values each come 200 times."""
    every = pa.array([*values] * 200, pa.string())
    table = pa.table(
        {"c": every, **{n: pa.nulls(len(every), pa.string()) for n in schema.names[1:]}}
    )
    budget = Budget(epsilon, 1e-5)
    return privsynth.fit(table, schema=schema, engine="independent", budget=budget, seed=1)


ONE_AND_TWO = ["1", "01", " 1", "1.0", "+1", "2", "02", "x", "9" * 400, "1e400", None]


def levels(model: Any) -> tuple[Any, ...]:
    return tuple(model.schema["c"].domain.values)


@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_spellings_that_are_read_as_one_level_are_one_level() -> None:
    model = found(ONE_AND_TWO, discovered(Kind.CATEGORICAL, "int8"))
    assert levels(model) == (1, 2)
    shares = np.asarray(model.model.marginal(0))
    assert np.allclose(shares, [5 / 11, 2 / 11, 4 / 11], atol=0.02)
    reals = found(
        ["0.50", "0,5", ".5", "5e-1", "-0.0", "0", "inf", "nan"],
        discovered(Kind.CATEGORICAL, "double"),
    )
    assert levels(reals) == (0.0, 0.5)
    days = ["2024-01-31", "2024-01-31 00:00:00", " 2024-01-31", "2024-02-30", "infinity"]
    assert levels(found(days, discovered(Kind.CATEGORICAL, "date32[day]"))) == ("2024-01-31",)
    texts = ["a", "A", " a", "a\0", "", "yes", "(other)"]
    assert set(levels(found(texts, discovered(Kind.CATEGORICAL, "string")))) == set(texts)
    truths = found(["true", "TRUE", " True", "1", "x"], discovered(Kind.CATEGORICAL, "bool"))
    assert levels(truths) == (True,)


def test_levels_that_a_type_does_not_hold_are_dropped() -> None:
    def kept(dtype: str, *keys: str) -> tuple[Any, ...]:
        return readable_levels(Column("c", Kind.CATEGORICAL, dtype, None, FOUND), keys)

    assert kept("int8", "200", "10", "9", "-128", "-129") == (-128, 9, 10)
    assert kept("uint64", str(2**63 - 1), "-1") == (2**63 - 1,)
    assert kept("double", "inf", "-inf", "2.5", "10") == (2.5, 10.0)
    assert kept("decimal128(4, 2)", "1.5", "1e9", "1.234") == (1.5,)
    assert kept("date32[day]", "0", str(2**40)) == ("1970-01-01",)


ODD = {
    "numbers": ONE_AND_TWO,
    "dates": ["2024-01-31", "0001-01-01", "9999-12-31", "290000-01-01", "-infinity", "x", None],
    "texts": ["a", "a\0b", "x" * 100_000, "\u2028", "null", "(other)", "", None],
    "reals": ["0.1", "1e-320", "1e308", "1e309", "-0.0", "nan", None],
    "ends": [str(2**63 - 1), str(-(2**63)), str(2**63)],
    "nothing": [None],
    "one": ["1"],
}
KINDS = [
    (Kind.NUMERIC, "double"),
    (Kind.NUMERIC, "float"),
    (Kind.NUMERIC, "decimal128(5, 2)"),
    (Kind.INTEGER, "int8"),
    (Kind.INTEGER, "uint64"),
    (Kind.DATETIME, "date32[day]"),
    (Kind.DATETIME, "timestamp[ns]"),
    (Kind.DATETIME, "timestamp[s, tz=UTC]"),
    (Kind.CATEGORICAL, "string"),
    (Kind.CATEGORICAL, "int8"),
    (Kind.CATEGORICAL, "double"),
    (Kind.CATEGORICAL, "bool"),
    (Kind.CATEGORICAL, "timestamp[us]"),
    (Kind.CATEGORICAL, "timestamp[ns, tz=Europe/Berlin]"),
    (Kind.CATEGORICAL, "decimal128(5, 2)"),
    (Kind.ORDINAL, "string"),
    (Kind.BOOLEAN, "bool"),
]


@pytest.mark.parametrize(("kind", "dtype"), KINDS)
@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
def test_nothing_that_rows_hold_makes_a_fit_fail_once_it_is_charged(
    kind: Kind, dtype: str, tmp_path: Path
) -> None:
    for case, values in ODD.items():
        for epsilon, role in ((1e4, None), (0.1, Role.TARGET)):
            model = found(values, discovered(kind, dtype, role=role), epsilon)
            model.save(tmp_path / "m.psyn")
            again = privsynth.load(tmp_path / "m.psyn")
            assert len(again.sample(20, seed=1)) == 20, (case, epsilon)
            model.schema.to_yaml(tmp_path / "s.yaml")
            assert Schema.from_yaml(tmp_path / "s.yaml") == model.schema, (case, epsilon)


def test_a_target_of_which_no_class_is_found_is_warned_of_and_fitted() -> None:
    for name in ("marginals", "copula", "mst"):
        other = Column("d", Kind.CATEGORICAL, "string", Levels(("a", "b")), GIVEN)
        table = pa.table({"c": [f"rare {i}" for i in range(300)], "d": ["a", "b", "b"] * 100})
        with pytest.warns(PrivsynthWarning, match="column 'c': no class was found"):
            model = privsynth.fit(
                table,
                schema=discovered(Kind.CATEGORICAL, "string", other, role=Role.TARGET),
                engine=name,
                budget=Budget(5.0),
                seed=1,
            )
        assert len(model.sample(10, seed=1)) == 10


def test_a_column_that_follows_from_a_discovered_one_is_refused_or_fitted() -> None:
    follows = Column(
        "b", Kind.INTEGER, "int64", None, GIVEN, determined_by="c", mapping=((True, 1), (False, 0))
    )
    model = found(["true", "x", None], discovered(Kind.BOOLEAN, "bool", follows))
    assert set(model.sample(200, seed=1)["b"].drop_null().to_pylist()) <= {0, 1}
    with pytest.raises(UsageError, match="no declared levels"):
        discovered(
            Kind.CATEGORICAL,
            "string",
            Column("b", Kind.INTEGER, "int64", determined_by="c", mapping=(("a", 1),)),
        )


def test_a_delta_too_small_for_a_threshold_is_refused_before_anything_is_spent(
    tmp_path: Path,
) -> None:
    schema = discovered(Kind.CATEGORICAL, "string")
    ledger = tmp_path / "l.json"
    table = pa.table({"c": ["a"] * 300})
    for budget in (Budget(1.0, 1e-16), Budget(1.0, 1e-9, unit="c", rows_per_unit=10**6)):
        with pytest.raises(UsageError, match="too small to discover"):
            privsynth.fit(table, schema=schema, budget=budget, ledger=ledger, new_ledger=True)
    assert not ledger.exists()
    least = 2.0**-51 / 0.1 * 1.01
    assert discovery_delta(schema, Budget(1.0, least)) == pytest.approx(least / 10)
    privsynth.fit(table, schema=schema, budget=Budget(5.0, least), engine="independent", seed=1)


# ------------------------------------------------------------------ what is checked beforehand


def test_a_minority_without_classes_is_refused_before_anything_is_spent(place: Path) -> None:
    more = ("--epsilon", 1, "--ledger", "l.json", "--new-ledger", "--minority")
    numeric = Schema(
        tuple(
            Column(c.name, Kind.NUMERIC, "double", Bounds(0, 5), GIVEN, role=Role.TARGET)
            if c.name == "paid"
            else Column(c.name, c.kind, c.dtype, c.domain, GIVEN)
            for c in SCHEMA
        )
    )
    numeric.to_yaml("s.yaml")
    refused(fit(*more), "few classes")
    assert not Path("l.json").exists()


def wide(columns: int, size: int, kind: Kind = Kind.INTEGER) -> Codec:
    return declared_codec(
        Schema(
            tuple(Column(f"c{i}", kind, "int64", Bounds(0, size), GIVEN) for i in range(columns))
        )
    )


def test_pairs_of_many_columns_are_counted_in_fewer_groups() -> None:
    few, many = wide(20, 200), wide(600, 200)
    assert groups_that_fit(few, 40) == 40
    groups = groups_that_fit(many, 40)
    assert 4 <= groups < 40
    cells = 600 * 599 / 2 * (groups + MAX_SPARE) ** 2
    assert cells <= MAX_CELLS
    for name in ("marginals", "mst", "aim", "copula", "independent"):
        recipe(name, None).check_codec(many)  # type: ignore[attr-defined]


def test_a_table_too_large_for_memory_is_refused_before_anything_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["privsynth.engines.marginal.oneway"]
    monkeypatch.setattr(module, "MAX_CELLS", 100)
    for name in ENGINES:
        with pytest.raises(UsageError, match="merge levels"):
            recipe(name, None).check_codec(wide(2, 200))  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "MAX_CELLS", 1_000)
    for name in ("marginals", "mst", "aim"):
        with pytest.raises(UsageError, match="leave columns out"):
            recipe(name, None).check_codec(wide(20, 20))  # type: ignore[attr-defined]

    def refuse(self: object, codec: Codec) -> None:
        raise UsageError("too large")

    monkeypatch.setattr(engine("marginals"), "check_codec", refuse)
    ledger = tmp_path / "l.json"
    declared = Schema((Column("y", Kind.CATEGORICAL, "string", Levels(("a", "b")), GIVEN),))
    with pytest.raises(UsageError, match="too large"):
        learn(
            read(pa.table({"y": ["a", "b"]}), total=True),
            FitTask("marginals", declared=declared, budget=Budget(1.0), seed=1),
            spending_file=ledger,
            new_spending_file=True,
        )
    assert not ledger.exists()


def test_settings_out_of_range_are_refused_in_python() -> None:
    for name, settings in (
        ("marginals", {"codes": 1e-9}),
        ("marginals", {"codes": 0.4, "target": 0.4, "errors": 0.1999}),
        ("marginals", {"pull": -1.0}),
        ("aim", {"most_cells": 10**12}),
        ("mst", {"most_groups": 10**9}),
    ):
        with pytest.raises(ConfigError):
            recipe(name, settings)
