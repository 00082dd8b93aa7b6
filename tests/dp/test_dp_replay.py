"""The loss between neighbours is within the ledger; nothing but answers enters a model."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from audits import (
    ENGINES,
    NAMES,
    OPEN,
    SCHEMA,
    WIDE,
    WORST,
    Case,
    Recording,
    Replaying,
    Row,
    check_loss,
    check_silence,
    check_spread,
    check_units,
    recorded,
    rows,
    table,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth import pipeline
from privsynth.artefact import packed
from privsynth.fitting import learn
from privsynth.fitting.splitting import at_most_per_unit, split_privately
from privsynth.privacy.budget import Budget
from privsynth.privacy.ledger import Ledger
from privsynth.table import read

pytestmark = pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")

VALUES = (
    st.sampled_from(["p0", "p1", None]),
    st.sampled_from(["clerk", "nurse", "smith", "CLERK", "clerk ", "clerk\0x", "", "\u2603", None]),
    st.sampled_from(["0", "3", "9", "-1", "10", "1e400", "x", None]),
    st.sampled_from(["true", "false", "maybe", None]),
    st.sampled_from(["0", "2.5", "1,5", "1.0", "-0.0", "inf", "nan", "6", None]),
    st.sampled_from(["no", "yes", "perhaps", None]),
)
ROWS = st.lists(st.tuples(*VALUES), max_size=25)
KEYED = Budget(4.0, unit="who", rows_per_unit=2)


@pytest.mark.parametrize("name", ENGINES)
def test_a_row_more_or_less_costs_what_the_ledger_says(name: str) -> None:
    case, made = Case(name), rows(120)
    for odd in (WORST, made[3]):
        check_loss(case, table(made), table([*made, odd]))
    check_loss(case, table(made), table(made[1:]))


@pytest.mark.parametrize("name", ENGINES)
@given(made=ROWS, odd=st.tuples(*VALUES), epsilon=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=3, deadline=None, derandomize=True, database=None)
def test_any_row_of_any_table_costs_what_the_ledger_says(
    name: str, made: list[Row], odd: Row, epsilon: float
) -> None:
    check_loss(Case(name, Budget(epsilon)), table(made), table([*made, odd]))


@given(made=ROWS, odd=st.tuples(*VALUES), schema=st.sampled_from([OPEN, WIDE]))
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
def test_any_row_costs_what_the_ledger_says_where_the_domain_is_wide_or_open(
    made: list[Row], odd: Row, schema: Any
) -> None:
    check_loss(Case("independent", schema=schema), table(made), table([*made, odd]))


@pytest.mark.parametrize("spelled", ["0.5", "1,5", "1.0", " 2", "1e1", "0x1", "NaN", "-", "\0"])
def test_how_one_row_spells_a_number_decides_on_no_other(spelled: str) -> None:
    made: list[Row] = [(*row[:4], f"{row[4]}.0", row[5]) for row in rows(60)]
    for column in ("age", "paid"):
        other = table([*made, lone(**{column: spelled})])
        check_loss(Case("independent"), table(made), other)
        check_loss(Case("independent", schema=WIDE), table(made), other)


def lone(**values: str | None) -> Row:
    """Give a row of a person who has no other, with some values of its own."""
    first = dict(zip(NAMES, rows(1)[0], strict=True))
    return tuple({**first, "who": "lone", **values}.values())  # type: ignore[return-value]


@pytest.mark.parametrize("name", ENGINES)
def test_discovered_domains_are_paid_for(name: str) -> None:
    made = rows(300)
    case = Case(name, Budget(4.0, 1e-5), OPEN)
    odd = [lone(age="-70"), lone(age="1000"), lone(job="clerk "), lone(job="clerk\0x")]
    for row in (WORST, lone(age=None, job=None), *(odd if name == "independent" else [])):
        check_loss(case, table(made), table([*made, row]))
        check_loss(case, table([*made, row]), table(made))


@pytest.mark.parametrize("name", ENGINES)
def test_all_rows_of_a_unit_cost_what_the_ledger_says(name: str) -> None:
    made = rows(90, per_unit=6)
    check_units(Case(name, KEYED), table(made), "p3")
    mixed: list[Row] = [*rows(500, per_unit=3), *[("p3", *WORST[1:])] * 5]
    check_units(Case(name, Budget(4.0, 1e-5, "who", 3), OPEN), table(mixed), "p3")


@pytest.mark.parametrize("name", ENGINES)
def test_a_table_too_small_for_any_level_to_be_found_is_fitted(name: str) -> None:
    check_loss(Case(name, Budget(0.5), OPEN), table(rows(9)), table(rows(9)[1:]))


def test_ten_thousand_rows_of_one_person_count_as_few() -> None:
    made: list[Row] = [*rows(60), *[("crowd", *WORST[1:])] * 10_000]
    check_units(Case("independent", KEYED), table(made), "crowd")


def test_rows_without_a_unit_are_those_of_one() -> None:
    made: list[Row] = [*rows(20), *[(None, *row[1:]) for row in rows(40)]]
    kept = at_most_per_unit(table(made), KEYED).to_arrow(["who"])[0].to_pylist()
    assert kept.count(None) == 2
    assert len(kept) == 22


def test_a_unit_is_bounded_in_a_large_table_as_in_a_small_one() -> None:
    people = np.where(np.arange(150_000) % 500, np.arange(150_000), -1)
    kept = at_most_per_unit(read(pa.table({"who": people}), total=True), KEYED).to_arrow(["who"])
    assert (np.asarray(kept["who"]) == -1).sum() == 2
    assert kept.num_rows == 2 + (people != -1).sum()


def test_who_stays_of_a_unit_is_left_to_chance() -> None:
    made: list[Row] = [("p", *row[1:]) for row in rows(400)]
    kept = {
        tuple(at_most_per_unit(table(made), KEYED).to_arrow()["age"].to_pylist()) for _ in range(20)
    }
    assert len(kept) > 3


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("schema", [SCHEMA, OPEN], ids=["declared", "discovered"])
def test_the_artefact_rests_on_the_answers_alone(name: str, schema: Any) -> None:
    case = Case(name, Budget(4.0, 1e-5), schema)
    check_silence(case, table(rows(150)), [table([WORST] * 9), table(rows(7, seed=1))])


def test_the_artefact_rests_on_the_answers_alone_where_a_unit_is_bounded() -> None:
    check_silence(Case(budget=KEYED), table(rows(60, per_unit=3)), [table([WORST] * 9)])


def test_nothing_enters_around_the_curator_from_a_file(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Recording] = []

    def fitted(text: str, accountant: Any) -> bytes:
        path = tmp_path / "t.csv"
        path.write_text(text)
        monkeypatch.setattr(pipeline, "learn", partial(learn, accountant=accountant))
        return packed(pipeline.fit(path, schema=SCHEMA, budget=Budget(2.0), seed=5))

    def record(rows: Any, ledger: Ledger, delta: float) -> Recording:
        made.append(Recording(rows, ledger, delta))
        return made[-1]

    def replay(rows: Any, ledger: Ledger, delta: float) -> Replaying:
        return Replaying(made[0].answers, rows, ledger, delta, True)

    header = ",".join(NAMES) + "\n"
    lines = [",".join(value or "" for value in row) + "\n" for row in rows(80)]
    first = fitted(header + "".join(lines), record)
    assert fitted(header, replay) == first
    assert fitted(header + ",".join(value or "" for value in WORST) + "\n", replay) == first


def test_the_card_tells_noisy_figures() -> None:
    made = rows(200)
    cards = [recorded(Case("independent", Budget(0.3)), table(made))[0].card for _ in range(6)]
    assert len({card["rows"] for card in cards}) > 1
    assert len({tuple(card["class_shares"]) for card in cards}) > 1


@pytest.mark.parametrize("name", ENGINES)
def test_the_noise_of_a_pipeline_is_as_wide_as_charged(name: str) -> None:
    answers = []
    for seed in range(4):
        answers += recorded(Case(name), table(rows(120, seed)))[1].answers
    check_spread(answers)


@pytest.mark.parametrize("name", ENGINES)
def test_questions_and_answers_are_plain_and_charged_in_order(name: str) -> None:
    model, spent = recorded(Case(name), table(rows(120)))
    for event, answer in zip(model.ledger.events, spent.answers, strict=True):
        assert (event.query, event.detail, event.mechanism) == answer.asked[:3]
        assert (event.sensitivity, event.scale) == answer.asked[3:]
        assert np.isclose(event.rho, (answer.sensitivity / answer.scale) ** 2 / 2)


def test_a_saved_release_tells_the_same_as_the_model(tmp_path: Any) -> None:
    from privsynth.artefact import load

    model, _ = recorded(Case(), table(rows(120)))
    model.save(tmp_path / "m.psyn")
    again = load(tmp_path / "m.psyn")
    assert packed(again) == packed(model)
    assert again.sample(20, seed=1).equals(model.sample(20, seed=1))


def test_rows_are_set_aside_by_coins_of_their_own_without_a_seed() -> None:
    sides = [split_privately(table(rows(200)), 0.3, Budget(1.0))[1] for _ in range(12)]
    kept = [tuple(side.to_arrow(["who"])[0].to_pylist()) for side in sides if side is not None]
    assert len(set(kept)) == 12
    assert len({len(side) for side in kept}) > 1  # a fixed number would bind a row to the others


def test_rows_of_a_unit_are_chosen_without_a_seed() -> None:
    crowd = [("one", *row[1:]) for row in rows(200)]
    budget = Budget(1.0, unit="who", rows_per_unit=5)
    kept = [at_most_per_unit(table(crowd), budget).to_arrow() for _ in range(6)]
    assert {part.num_rows for part in kept} == {5}
    assert len({str(part.to_pylist()) for part in kept}) > 1


@pytest.mark.parametrize("kind", ["category", "object"])
def test_a_unit_is_read_from_any_type_of_column(kind: str) -> None:
    frame = table(rows(60, per_unit=3)).to_arrow().to_pandas().astype({"who": kind})
    budget = Budget(1.0, unit="who", rows_per_unit=2)
    kept = at_most_per_unit(read(frame, total=True), budget).to_arrow(["who"]).column(0)
    assert sorted(entry["counts"] for entry in kept.value_counts().to_pylist()) == [2] * 20


def test_a_unit_is_set_aside_as_a_whole() -> None:
    train, aside = split_privately(table(rows(300, per_unit=3)), 0.3, KEYED)
    assert aside is not None
    sides = [set(part.to_arrow(["who"])[0].to_pylist()) for part in (train, aside)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 100
    assert 10 < len(sides[1]) < 55


def test_a_fit_sets_units_aside_as_a_whole(tmp_path: Any) -> None:
    data = table(rows(300, per_unit=3)).to_arrow()
    aside = tmp_path / "aside.csv"
    model = pipeline.fit(
        data, schema=SCHEMA, budget=KEYED, holdout=0.4, holdout_output=aside, seed=1
    )
    counts = read(aside).to_arrow(["who"]).column(0).value_counts().to_pylist()
    assert {entry["counts"] for entry in counts} == {3}
    assert model.card["holdout"] == 0.4
