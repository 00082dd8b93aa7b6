"""Bad input under a budget: usage errors alone are refused, and no message rests on the rows."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from audits import NAMES, SCHEMA, Row, rows
from click.testing import CliRunner, Result

from privsynth.artefact import load
from privsynth.cli.program import main
from privsynth.coding.codec import Codec
from privsynth.coding.declared import declared_codec
from privsynth.curator.private import PrivateCurator
from privsynth.engines.registry import ENGINES, OVERSAMPLERS, PRIVATE, engine
from privsynth.errors import BudgetExceeded, DataError, UsageError
from privsynth.fitting import check_private
from privsynth.privacy.accountant import Accountant
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Ledger
from privsynth.privacy.spending import reserve
from privsynth.schema.columns import Column, Kind, Levels, Source
from privsynth.schema.schema import Schema
from privsynth.table import read

CLEAN = rows(60, per_unit=3)
SECRET = "SECRET-4711"
UNPROVEN = [
    name
    for name in [*ENGINES, *OVERSAMPLERS]
    if not name.startswith("sdv") and not hasattr(engine(name), "fit_privately")
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("t.csv", CLEAN)
    SCHEMA.to_yaml("s.yaml")
    return tmp_path


def write(name: str, made: Sequence[Row]) -> None:
    lines = [",".join(value or "" for value in row) for row in made]
    Path(name).write_text("\n".join([",".join(NAMES), *lines]) + "\n")


def fit(*more: object, data: str = "t.csv", schema: str | None = "s.yaml") -> Result:
    given = ["fit", data, "-o", "m.psyn", "--seed", "1", *(str(part) for part in more)]
    return CliRunner().invoke(main, [*given, *(["--schema", schema] if schema else [])])


def refused(result: Result, *says: str) -> None:
    """Exit 2, one line that says all of `says`, and no model."""
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("privsynth: error: ")
    for part in says:
        assert part in line, line
    assert not Path("m.psyn").exists()


def no_noise(patch: pytest.MonkeyPatch) -> None:
    """From now on, no accountant may be made: what is refused is refused before."""

    def never(*given: Any) -> None:
        raise AssertionError("an accountant was made")

    patch.setattr(Accountant, "__init__", never)


@pytest.mark.parametrize("epsilon", ["0", "-1", "nan", "inf", "-inf"])
def test_an_epsilon_out_of_range(
    place: Path, epsilon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_noise(monkeypatch)
    refused(fit("--epsilon", epsilon), "epsilon", "above 0")


@pytest.mark.parametrize("delta", ["0", "-1e-9", "1e-3", "0.5", "nan", "inf"])
def test_a_delta_out_of_range(place: Path, delta: str, monkeypatch: pytest.MonkeyPatch) -> None:
    no_noise(monkeypatch)
    refused(fit("--epsilon", 1, "--delta", delta), "delta", "below 0.001")


def test_a_delta_that_tells_a_whole_row_of_a_declared_number() -> None:
    with pytest.raises(UsageError, match="below one in 5000 rows"):
        Budget(1.0, 1 / 5000, n_rows=5000)
    assert Budget(1.0, 1 / 5001, n_rows=5000).n_rows == 5000


@pytest.mark.parametrize("value", [True, "1", None])
def test_an_epsilon_that_is_no_number(value: Any) -> None:
    with pytest.raises(UsageError, match="expected a number"):
        Budget(value)


@pytest.mark.parametrize("name", UNPROVEN)
def test_an_engine_without_a_guarantee(place: Path, name: str) -> None:
    refused(fit("--epsilon", 1, "--engine", name), name, "no formal guarantee", "marginals")


def test_the_engines_that_are_named_as_private_are() -> None:
    result = _message(lambda: check_private("cart", object(), Budget(1.0)))  # type: ignore[arg-type]
    named = result.split("choose one of ")[1].split(", or drop")[0].split(", ")
    for name in named:
        assert hasattr(engine(name), "fit_privately")


def test_cliques_larger_than_memory() -> None:
    many = Levels(tuple(f"{i:x}" for i in range(9_000)))
    schema = Schema(
        tuple(Column(name, Kind.CATEGORICAL, "string", many, Source.DECLARED) for name in "ab")
    )
    ledger = Ledger(budget=Budget(1.0))
    empty = read(pa.table({"a": pa.array([], "string"), "b": pa.array([], "string")}), total=True)
    asked = PrivateCurator(Accountant(empty, ledger), declared_codec(schema))
    for ask in (
        lambda: asked.measure([(0, 1)], asked.left),
        lambda: asked.errors({(0, 1): np.zeros(1)}, asked.left),
    ):
        assert "81,036,004" in _message(ask)
    assert not ledger.events


def _message(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_engine_without_a_budget(place: Path, name: str) -> None:
    refused(fit("--engine", name), name, "--epsilon")


@pytest.mark.parametrize("option", ["--delta", "--unit", "--rows-per-unit", "--ledger"])
def test_a_part_of_a_budget_without_a_budget(place: Path, option: str) -> None:
    value = {"--delta": "1e-7", "--unit": "who", "--rows-per-unit": "2", "--ledger": "l.json"}
    refused(fit(option, value[option]), option, "--epsilon")


def test_an_inferred_domain(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CliRunner().invoke(main, ["schema", "t.csv", "-o", "inferred.yaml"])
    assert made.exit_code == 0, made.output
    no_noise(monkeypatch)
    result = fit("--epsilon", 1, schema="inferred.yaml")
    refused(result, "'job'", "'age'", "source: declared", "source: discovered")


def test_no_schema(place: Path) -> None:
    refused(fit("--epsilon", 1, schema=None), "--schema", "declared domains")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("- 0\n  - 9", "- 9\n  - 0", "age"),
        ("- 0\n  - 9", "- .nan\n  - 9", "age"),
        ("- clerk\n  - nurse", "- clerk\n  - clerk", "job"),
        ("name: job", "name: jobs", "jobs"),
    ],
)
def test_a_declaration_that_contradicts_itself_or_the_table(
    place: Path, old: str, new: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path("s.yaml").read_text()
    assert old in text, text
    Path("s.yaml").write_text(text.replace(old, new, 1))
    no_noise(monkeypatch)
    refused(fit("--epsilon", 1), says)


def test_a_target_or_a_unit_that_is_no_column(place: Path) -> None:
    refused(fit("--epsilon", 1, "--target", "outs"), "'outs'")
    refused(fit("--epsilon", 1, "--unit", "whom"), "'whom'", "row")
    refused(fit("--epsilon", 1, "--rows-per-unit", 2), "rows_per_unit is 1")


# ------------------------------------------------------------------ rows decide on no message


def changed(**values: str | None) -> Sequence[Row]:
    """Put values in the first row's place, column by column."""
    first = tuple(values.get(name, value) for name, value in zip(NAMES, CLEAN[0], strict=True))
    return [first, *CLEAN[1:]]


def everywhere(column: str, value: str | None) -> Sequence[Row]:
    at = NAMES.index(column)
    return [(*row[:at], value, *row[at + 1 :]) for row in CLEAN]


ODD: dict[str, Sequence[Row]] = {
    "values outside the domain": changed(job=SECRET, age="1000000", paid="-77", ill="perhaps"),
    "text for numbers": changed(age=SECRET, paid=SECRET, ill=SECRET),
    "infinities": changed(age="inf", paid="-inf"),
    "numbers too large": changed(age="1" + "0" * 400, paid="1e999"),
    "nulls": changed(job=None, age=None, ill=None, paid=None, out=None),
    "one class": everywhere("out", "no"),
    "no class": everywhere("out", None),
    "classes never declared": everywhere("out", SECRET),
    "a column of nulls": everywhere("age", None),
    "one row": CLEAN[:1],
    "no rows": [],
    "rows a hundred times": CLEAN * 100,
    "one person": [("crowd", *row[1:]) for row in CLEAN * 100],
    "nobody": everywhere("who", None),
}


def check_same_words(made: Sequence[Row], *more: object) -> None:
    """What is said of a table, but for noisy figures, is what is said of a clean one."""
    write("clean.csv", CLEAN)
    write("odd.csv", made)
    words = []
    for data in ("clean.csv", "odd.csv"):
        result = fit("--epsilon", 2, *more, data=data)
        assert result.exit_code == 0, f"exit {result.exit_code}"
        assert SECRET not in result.output
        words.append([line for line in result.output.splitlines() if "about" not in line])
        assert SECRET.encode() not in Path("m.psyn").read_bytes()
        assert load("m.psyn").ledger.guarantee().epsilon == 2.0
    assert words[0] == words[1]


@pytest.mark.parametrize("case", ODD)
def test_no_row_decides_on_what_is_said(place: Path, case: str) -> None:
    check_same_words(ODD[case], *(["--unit", "who"] if case in ("one person", "nobody") else []))


@pytest.mark.parametrize("name", [name for name in PRIVATE if name != "marginals"])
def test_no_row_decides_on_what_is_said_by_any_engine(place: Path, name: str) -> None:
    for case in ("values outside the domain", "no class", "no rows"):
        check_same_words(ODD[case], "--engine", name)


def test_a_column_of_which_hardly_anything_can_be_read_is_warned_of(place: Path) -> None:
    large: list[Row] = [(row[0], "Clerk", *row[2:]) for row in rows(900)]
    write("odd.csv", large)
    result = fit("--epsilon", 9, data="odd.csv")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "does not declare" in line]
    assert "column 'job': about" in line
    assert "Clerk" not in line


def test_a_rare_class_is_warned_of(place: Path) -> None:
    write("odd.csv", [(*row[:-1], "no") for row in rows(900)])
    result = fit("--epsilon", 9, data="odd.csv")
    assert result.exit_code == 0, result.output
    assert "column 'out': class yes has about" in result.stderr


def test_a_model_of_odd_rows_draws_rows_of_the_domain(place: Path) -> None:
    write("odd.csv", [*ODD["values outside the domain"], *ODD["nulls"], *ODD["infinities"]])
    assert fit("--epsilon", 2, data="odd.csv").exit_code == 0
    drawn = load("m.psyn").sample(200, seed=1)
    assert set(drawn["job"].dropna()) <= {"clerk", "nurse", "smith", "(other)"}
    assert drawn["age"].dropna().between(0, 9).all()
    assert drawn["paid"].dropna().between(0, 5).all()


def test_a_refusal_that_rests_on_a_value_would_be_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Codec.encode

    def strict(self: Any, batch: Any, *how: Any) -> Any:
        if SECRET in batch.column("job").to_pylist():
            raise DataError("job: holds a value that its levels do not name")
        return honest(self, batch, *how)

    monkeypatch.setattr(Codec, "encode", strict)
    with pytest.raises(AssertionError, match="exit"):
        check_same_words(ODD["values outside the domain"])


def test_a_warning_that_rests_on_a_value_would_be_seen(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import click

    honest = Codec.encode

    def talkative(self: Any, batch: Any, *how: Any) -> Any:
        if SECRET in batch.column("job").to_pylist():
            click.echo("job: a value was pooled", err=True)
        return honest(self, batch, *how)

    monkeypatch.setattr(Codec, "encode", talkative)
    with pytest.raises(AssertionError):
        check_same_words(ODD["values outside the domain"])


# ------------------------------------------------------------------ the account of a table


def test_an_account_adds_up_and_refuses_when_it_is_spent(place: Path) -> None:
    first = fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger")
    assert first.exit_code == 0, first.output
    kept = json.loads(Path("l.json").read_text())
    kept["epsilon"] = 2.0
    Path("l.json").write_text(json.dumps(kept))
    times = 0
    while (result := fit("--epsilon", 1, "--ledger", "l.json")).exit_code == 0 and times < 9:
        times += 1
    # zCDP composes better than by adding epsilons up, and not without a price
    assert 1 <= times <= 4
    Path("m.psyn").unlink()
    before = Path("l.json").read_bytes()
    refused(fit("--epsilon", 1, "--ledger", "l.json"), "l.json", "allows epsilon 2", "is spent")
    assert Path("l.json").read_bytes() == before
    assert len(json.loads(before)["entries"]) == times + 1
    assert result.exit_code == 2


def test_an_account_counts_the_delta_of_levels_that_are_found(place: Path) -> None:
    budget, path = Budget(0.1, 1e-6), Path("l.json")
    reserve(path, budget, 4e-7, "one", new=True)
    kept = json.loads(path.read_text())
    assert kept["entries"][0]["delta_spent"] == 4e-7
    path.write_text(json.dumps({**kept, "epsilon": 50.0}))
    reserve(path, budget, 4e-7, "two")
    with pytest.raises(BudgetExceeded):
        reserve(path, budget, 4e-7, "three")
    assert len(json.loads(path.read_text())["entries"]) == 2


def test_an_account_that_is_a_link_is_kept_where_it_points(place: Path) -> None:
    (place / "shared").mkdir()
    Path("l.json").symlink_to(place / "shared" / "all.json")
    for what in ("one", "two"):
        with suppress(BudgetExceeded):
            reserve("l.json", Budget(1.0), 0.0, what, new=what == "one")
    assert Path("l.json").is_symlink()
    assert len(json.loads((place / "shared" / "all.json").read_text())["entries"]) == 1


def test_fits_wait_for_each_other_before_they_count(place: Path) -> None:
    import fcntl

    what = "so that nothing is left to be computed"
    reserve("warm.json", Budget(1.0), 0.0, what, new=True)
    folder = os.open(place, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    late = ("l.json", Budget(1.0), 0.0, "late")
    other = threading.Thread(target=reserve, args=late, kwargs={"new": True})
    other.start()
    other.join(timeout=1)
    assert other.is_alive()
    assert not Path("l.json").exists()
    os.close(folder)
    other.join(timeout=60)
    assert len(json.loads(Path("l.json").read_text())["entries"]) == 1


def test_a_spent_account_is_refused_before_any_noise(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger").exit_code == 0
    Path("m.psyn").unlink()
    no_noise(monkeypatch)
    refused(fit("--epsilon", 0.1, "--ledger", "l.json"), "l.json")


def test_a_fit_that_fails_has_spent_its_budget(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **more: Any) -> None:
        raise BudgetExceeded("nothing is left")

    monkeypatch.setattr(Accountant, "gaussian", broken)
    assert fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger").exit_code == 2
    assert len(json.loads(Path("l.json").read_text())["entries"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": "other"}',
        '{"format": "privsynth-ledger", "version": 99}',
        '{"format": "privsynth-ledger", "version": 1}',
        "not a ledger",
    ],
)
def test_a_damaged_account_is_refused_and_left_as_it_is(
    place: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("l.json").write_text(text)
    no_noise(monkeypatch)
    refused(fit("--epsilon", 1, "--ledger", "l.json"), "l.json")
    assert Path("l.json").read_text() == text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rho", -1.0),
        ("rho", None),
        ("rho", float("nan")),
        ("delta_spent", "0"),
        ("delta_spent", -1e-7),
    ],
)
def test_an_entry_whose_price_is_damaged(place: Path, key: str, value: Any) -> None:
    assert fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger").exit_code == 0
    Path("m.psyn").unlink()
    kept = json.loads(Path("l.json").read_text())
    kept["entries"][0][key] = value
    Path("l.json").write_text(json.dumps(kept))
    refused(fit("--epsilon", 1, "--ledger", "l.json"), "l.json")
    assert json.dumps(json.loads(Path("l.json").read_text())) == json.dumps(kept)


def test_an_account_of_another_unit(place: Path) -> None:
    assert fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger").exit_code == 0
    Path("m.psyn").unlink()
    for more in (["--unit", "who"], ["--unit", "who", "--rows-per-unit", 2]):
        refused(fit("--epsilon", 1, "--ledger", "l.json", *more), "l.json", "another unit")
    assert len(json.loads(Path("l.json").read_text())["entries"]) == 1


def test_an_account_in_a_folder_that_is_not_there(place: Path) -> None:
    refused(fit("--epsilon", 1, "--ledger", "no/l.json", "--new-ledger"), "no")
    assert not Path("no").exists()


def test_a_usage_error_spends_nothing(place: Path) -> None:
    refused(fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger", "--unit", "whom"), "'whom'")
    refused(fit("--epsilon", 1, "--ledger", "l.json", "--new-ledger", "--target", "outs"), "'outs'")
    assert not Path("l.json").exists()
