"""Units: persons of several rows are told apart, set apart, and judged as persons."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from patients import SCHEMA, visits

import privsynth
from privsynth import pipeline
from privsynth.cli.program import main
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.evaluation.evaluators import evaluate_frames
from privsynth.evaluation.tables import Tables
from privsynth.evaluation.units import one_row_each, row_units, unit_codes
from privsynth.schema import Kind

TRAIN, HOLDOUT, FRESH = visits(300, 1), visits(200, 2), visits(300, 3)


def test_units_are_their_texts_however_they_are_stored() -> None:
    ours, theirs = unit_codes(
        pd.Series([1, 2, None, 2], dtype="float64"), pd.Series(["2", "03", None, " 1 "])
    )
    assert ours[1] == ours[3] == theirs[0]
    assert ours[0] == theirs[3]
    assert theirs[1] not in ours
    assert ours[2] == theirs[2] == -1
    (coded,) = unit_codes(pd.Series(["x", "y", "x"], dtype="category"))
    assert coded.tolist() == [0, 1, 0]


def test_a_missing_unit_is_one_of_its_own() -> None:
    assert row_units(np.array([4, -1, 2, 4, -1])).tolist() == [1, 2, 0, 1, 3]
    assert row_units(np.array([-1, -1])).tolist() == [0, 1]
    assert row_units(np.array([7, 7])).tolist() == [0, 0]


def test_one_row_of_each_unit_is_drawn_at_random() -> None:
    frame = pd.DataFrame({"x": range(9)})
    units = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    drawn = [
        one_row_each(frame, units, np.random.default_rng(seed))["x"].tolist() for seed in range(200)
    ]
    assert all(units[rows].tolist() == [0, 1, 2] for rows in drawn)
    counts = np.bincount([rows[2] for rows in drawn], minlength=9)[5:]
    assert counts.min() > 25


def test_tables_know_their_units() -> None:
    tables = Tables.of(TRAIN, HOLDOUT, FRESH.drop(columns="patient"), SCHEMA)
    assert tables.units is not None
    assert tables.units.counts == {"train": 300, "holdout": 200}
    assert len(tables.one_row_each(0).train) == 300
    assert tables.notes == ()
    alone = Tables.of(TRAIN, None, FRESH, SCHEMA)
    assert alone.units is not None
    assert alone.units.counts == {"train": 300}


def test_a_holdout_of_known_persons_is_refused() -> None:
    known = HOLDOUT.assign(patient=HOLDOUT["patient"].where(HOLDOUT.index % 50 > 0, 1_000_001))
    assert Tables.of(TRAIN, known, FRESH, SCHEMA).units is not None
    rows = pd.concat([TRAIN, HOLDOUT], ignore_index=True)
    apart = np.random.default_rng(0).random(len(rows)) < 0.3
    with pytest.raises(DataError, match=r"holdout table shares \d+ of its \d+ units of column"):
        Tables.of(rows[~apart], rows[apart], FRESH, SCHEMA)


def test_few_shared_units_are_taken_out_of_the_holdout() -> None:
    first = HOLDOUT["patient"] == HOLDOUT["patient"].iloc[0]
    known = HOLDOUT.assign(patient=HOLDOUT["patient"].mask(first, TRAIN["patient"].iloc[0]))
    tables = Tables.of(TRAIN, known, FRESH, SCHEMA)
    assert tables.holdout is not None
    assert len(tables.holdout) == len(HOLDOUT) - first.sum()
    assert (
        "1 of 200 units of column 'patient' in the holdout are in the training table"
        in (tables.notes[0])
    )


def test_the_file_that_fit_was_given_may_stand_for_the_training_table() -> None:
    # Persons of the two sides with equal rows are told apart by their unit.
    holdout = pd.concat([HOLDOUT, TRAIN.head(3).assign(patient=2_000_000)], ignore_index=True)
    whole = pd.concat([TRAIN, holdout], ignore_index=True)
    tables = Tables.of(whole, holdout, FRESH, SCHEMA)
    assert tables.train.equals(TRAIN)


def test_units_may_be_missing() -> None:
    def gaps(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(patient=frame["patient"].where(frame.index % 7 > 0))

    tables = Tables.of(gaps(TRAIN), gaps(HOLDOUT), FRESH, SCHEMA)
    assert tables.units is not None
    assert tables.units.counts["holdout"] > 200
    assert tables.holdout is not None
    assert len(tables.holdout) == len(HOLDOUT)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("units")
    for name, frame in (("train", TRAIN), ("holdout", HOLDOUT), ("synthetic", FRESH)):
        frame.to_csv(folder / f"{name}.csv", index=False)
    FRESH.drop(columns="patient").to_csv(folder / "bare.csv", index=False)
    privsynth.fit(folder / "train.csv", unit="patient", seed=1).save(folder / "model.psyn")
    return folder


def evaluated(folder: Path, *options: str, synthetic: str = "synthetic.csv") -> tuple[int, str]:
    given = ("evaluate", str(folder / synthetic), "--train", str(folder / "train.csv"))
    result = CliRunner().invoke(main, [*given, *options])
    return result.exit_code, result.output


def test_the_unit_may_be_named_by_option_schema_or_model(files: Path) -> None:
    holdout = ("--holdout", str(files / "holdout.csv"), "--no-attacks")
    out = files / "out.json"
    SCHEMA.to_yaml(files / "schema.yaml")
    for named in (
        ("--unit", "patient"),
        ("--schema", str(files / "schema.yaml")),
        ("--model", str(files / "model.psyn")),
    ):
        code, text = evaluated(files, *holdout, *named, "--json", str(out))
        assert code == 0, text
        assert "warning" not in text
        about = json.loads(out.read_text())["about"]
        assert about["unit"] == {"column": "patient", "units": {"train": 300, "holdout": 200}}
    code, text = evaluated(files, *holdout, "--unit", "patient", synthetic="bare.csv")
    assert code == 0, text
    code, text = evaluated(files, *holdout, "--unit", "ward", "--model", str(files / "model.psyn"))
    assert code == 2
    assert "the privacy unit is column 'ward' by --unit" in text


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        ("patiet", "unit is 'patiet'; expected 'row' or the name of a column"),
        ("dose", "fractions"),
        ("same", "every row has the same value"),
        ("ill", "is both the unit and the target"),
    ],
)
def test_a_column_that_names_no_units_is_refused(unit: str, message: str) -> None:
    frame = TRAIN.assign(same=1)
    with pytest.raises(privsynth.PrivsynthError, match=re.escape(message)) as error:
        privsynth.evaluate(frame, train=frame, unit=unit, target="ill", attacks=False)
    assert isinstance(error.value, DataError | UsageError | privsynth.errors.SchemaError)


def test_the_holdout_must_have_the_unit_too() -> None:
    with pytest.raises(DataError, match="the holdout table has no column 'patient'"):
        privsynth.evaluate(
            FRESH,
            train=TRAIN,
            holdout=HOLDOUT.drop(columns="patient"),
            unit="patient",
            attacks=False,
        )


def test_without_a_unit_nothing_changes_but_a_warning(files: Path) -> None:
    with pytest.warns(PrivsynthWarning, match="column 'patient' is like an id and repeats") as seen:
        plain = privsynth.evaluate(FRESH[:200], train=TRAIN[:200], holdout=HOLDOUT[:150])
    assert len([each for each in seen if each.category is PrivsynthWarning]) == 1
    rows = privsynth.evaluate(FRESH[:200], train=TRAIN[:200], holdout=HOLDOUT[:150], unit="row")
    assert plain.to_json() == rows.to_json()
    assert "unit" not in plain.evaluation.about


def test_a_column_that_the_model_learnt_may_be_the_unit() -> None:
    renamed = [frame.rename(columns={"patient": "number"}) for frame in (TRAIN, HOLDOUT)]
    model = privsynth.fit(renamed[0].drop(columns="ill"), seed=1)
    assert model.schema["number"].kind is not Kind.ID
    frames = [frame.drop(columns="ill") for frame in renamed]
    report = privsynth.evaluate(
        model.sample(100, seed=1),
        train=frames[0],
        holdout=frames[1],
        model=model,
        unit="number",
        attacks=False,
    )
    assert "number" in report.evaluation.about["left_out"]


def test_frames_are_scored_by_the_schema_of_units() -> None:
    scored = evaluate_frames(TRAIN, HOLDOUT, FRESH, SCHEMA, attacks=False)
    assert scored.about["unit"]["units"] == {"train": 300, "holdout": 200}


def test_attacks_need_no_unit_in_the_synthetic_table(files: Path) -> None:
    out = files / "attacks.json"
    given = ("--holdout", str(files / "holdout.csv"), "--model", str(files / "model.psyn"))
    code, text = evaluated(files, *given, "--json", str(out), synthetic="bare.csv")
    assert code == 0, text
    assert "Attacks and policy judge units of column 'patient'" in text
    assert "Row membership" not in text
    scores = {score["name"]: score for score in json.loads(out.read_text())["scores"]}
    assert scores["membership_auc"]["detail"]["non_members"] <= 200
    assert scores["row_membership_auc"]["value"] is not None
    assert scores["artefact_hits"]["value"] == 0
    code, verbose = evaluated(files, *given, "--verbose", synthetic="bare.csv")
    assert code == 0
    assert "Row membership" in verbose


def test_a_holdout_of_rows_is_refused_in_one_line(files: Path) -> None:
    rows = pd.concat([TRAIN, HOLDOUT], ignore_index=True)
    apart = np.random.default_rng(0).random(len(rows)) < 0.3
    rows[~apart].to_csv(files / "some.csv", index=False)
    rows[apart].to_csv(files / "others.csv", index=False)
    given = ("--train", str(files / "some.csv"), "--holdout", str(files / "others.csv"))
    result = CliRunner().invoke(
        main, ["evaluate", str(files / "synthetic.csv"), *given, "--unit", "patient"]
    )
    assert result.exit_code == 2
    assert "fit --holdout SHARE --unit patient" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_the_records_at_risk_are_rows_of_units(files: Path) -> None:
    out = files / "risk.csv"
    leaking = pd.concat([FRESH, TRAIN[TRAIN["patient"] < 1_000_150]])
    leaking.to_csv(files / "leaking.csv", index=False)
    given = ("--holdout", str(files / "holdout.csv"), "--unit", "patient")
    code, text = evaluated(files, *given, "--records-at-risk", str(out), synthetic="leaking.csv")
    assert code == 0, text
    assert (pd.read_csv(out)["patient"] < 1_000_150).mean() > 0.9


def test_a_release_is_judged_by_units(files: Path) -> None:
    report, _ = pipeline.release(
        files / "model.psyn",
        300,
        files / "release",
        train=files / "train.csv",
        holdout=files / "holdout.csv",
        unit="patient",
    )
    assert report.passed
    assert report.evaluation.unit == "units of column 'patient'"
    card = (files / "release" / "card.json").read_text()
    assert "the holdout has 200 units of column 'patient'" in card


def test_units_of_one_row_each_are_said_and_judged() -> None:
    singles = [frame.drop_duplicates("patient") for frame in (TRAIN, HOLDOUT, FRESH)]
    with pytest.warns(PrivsynthWarning, match="so that each row is a unit"):
        report = privsynth.evaluate(
            singles[2], train=singles[0], holdout=singles[1], unit="patient"
        )
    score = report.evaluation["membership_auc"]
    assert score.value is not None
    assert score.low is not None
    assert score.low < 0.5
