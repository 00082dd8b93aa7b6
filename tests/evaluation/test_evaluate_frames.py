"""All evaluators together, what is noted, and the evaluation as JSON."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import ArtefactError, DataError
from privsynth.evaluation import learners
from privsynth.evaluation.diagnostic import exact_copies
from privsynth.evaluation.evaluators import EVALUATORS, evaluate_frames
from privsynth.evaluation.overlap import without_holdout
from privsynth.evaluation.score import Evaluation, Score
from privsynth.schema.columns import Column, Kind
from privsynth.schema.schema import Schema


@pytest.fixture(scope="module")
def evaluation(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "TREES", 10)
        return evaluate_frames(train, holdout, synthetic, schema)


def test_every_family_is_scored(evaluation: Evaluation) -> None:
    families = {score.family for score in evaluation}
    assert families == {"fidelity", "utility", "diagnostic", "attacks"}
    names = [score.name for score in evaluation]
    assert len(set(names)) == len(names)
    assert all(score.meaning for score in evaluation)


def test_about_says_what_was_compared(evaluation: Evaluation) -> None:
    assert evaluation.about["rows"] == {"train": 600, "synthetic": 600, "holdout": 400}
    assert evaluation.about["left_out"] == ["id", "who"]
    assert evaluation.about["target"] == "fraud"
    assert set(evaluation.about["versions"]) == {"privsynth", "sdmetrics", "scikit-learn"}


def test_the_reader_is_told_that_real_rows_were_read(evaluation: Evaluation) -> None:
    assert "outside any guarantee" in evaluation.notes[0]


def test_no_personal_value_reaches_the_evaluation(evaluation: Evaluation) -> None:
    assert "person 1 " not in evaluation.to_json()


def test_json_comes_back_as_it_went(evaluation: Evaluation) -> None:
    text = evaluation.to_json()
    assert Evaluation.from_json(text) == Evaluation(
        evaluation.scores, evaluation.about, evaluation.notes
    )
    state = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert (state["format"], state["version"]) == ("privsynth-evaluation", 1)


def test_json_has_null_for_what_is_no_number() -> None:
    score = Score("fidelity", "f", float("nan"), low=float("-inf"), detail={"c": float("nan")})
    state = json.loads(Evaluation((score,)).to_json())["scores"][0]
    assert (state["value"], state["low"], state["detail"]) == (None, None, {"c": None})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "is not an evaluation"),
        ("[]", "is not an evaluation"),
        ('{"format": "other"}', "is not an evaluation"),
        ('{"format": "privsynth-evaluation", "version": 2}', "install a newer one"),
        ('{"format": "privsynth-evaluation", "version": 1}', "evaluate again"),
        (
            '{"format": "privsynth-evaluation", "version": 1, "about": {}, "notes": [], '
            '"scores": [{"family": "f"}]}',
            "evaluate again",
        ),
    ],
)
def test_foreign_json_is_refused_in_one_line(text: str, wanted: str) -> None:
    with pytest.raises(ArtefactError, match=wanted) as caught:
        Evaluation.from_json(text, "r.json")
    assert str(caught.value).startswith("r.json: ")
    assert "\n" not in str(caught.value)


def test_copies_are_counted_on_modelled_columns_and_never_an_error() -> None:
    schema = Schema(
        (
            Column("id", Kind.ID, "int64"),
            Column("a", Kind.INTEGER, "int64"),
            Column("b", Kind.CATEGORICAL, "string"),
        )
    )
    train = pd.DataFrame({"id": [1, 2, 3], "a": [1, 2, 3], "b": ["x", "y", None]})
    holdout = pd.DataFrame({"id": [7, 8], "a": [1.0, 9.0], "b": ["x", "x"]})
    synthetic = pd.DataFrame(
        {"id": [4, 5, 6, 7], "a": [3.0, 1.0, 1.0, np.nan], "b": [None, "x", "y", "x"]}
    )
    notes: list[str] = []
    (score,) = exact_copies(train, holdout, synthetic, schema, note=notes.append)
    assert (score.value, score.real, score.better) == (0.5, 0.5, "neither")
    assert "2 of 4 synthetic rows" in score.meaning
    assert notes[0].startswith("1 of 2 holdout rows are identical to a training row")


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (lambda f: f.drop(columns="town"), "synthetic table has no column 'town'"),
        (lambda f: f.rename(columns={"town": "Town"}), "did you mean 'Town'"),
        (lambda f: f.assign(extra=1), "a column 'extra' that the schema does not have"),
        (lambda f: f.iloc[:0], "synthetic table has no rows"),
        (lambda f: pd.concat([f, f[["town"]]], axis=1), "more than one column 'town'"),
    ],
)
def test_tables_that_differ_are_refused(
    spoil: object, wanted: str, train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    with pytest.raises(DataError, match=wanted):
        evaluate_frames(train, None, spoil(synthetic), schema)  # type: ignore[operator]


def test_a_table_with_nothing_to_compare_is_refused(train: pd.DataFrame, schema: Schema) -> None:
    only = Schema((schema["id"], schema["who"]))
    with pytest.raises(DataError, match="none of them is compared"):
        evaluate_frames(train[["id", "who"]], None, train[["id", "who"]], only)


def test_without_a_holdout_the_rest_is_given_and_the_lack_is_said(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    steps: list[tuple[str, int, int]] = []
    evaluation = evaluate_frames(
        train, None, synthetic, schema, progress=lambda *step: steps.append(step)
    )
    assert {score.family for score in evaluation} == {"fidelity", "diagnostic", "attacks"}
    assert all(score.real is None for score in evaluation)
    told = {score.name: score for score in evaluation if score.family == "attacks"}
    assert told["membership_tpr_at_1pct"].value is None
    assert "needs a holdout" in told["membership_tpr_at_1pct"].meaning
    assert any("needs a holdout" in note for note in evaluation.notes)
    assert all(done <= total for _, done, total in steps)


def test_cells_of_the_wrong_kind_are_counted_and_never_quoted(
    train: pd.DataFrame, schema: Schema
) -> None:
    income = train["income"].astype(object)
    income.iloc[:2] = "secret"
    evaluation = evaluate_frames(
        train[["income", "town"]],
        None,
        train[["town"]].assign(income=income),
        Schema((schema["income"], schema["town"])),
    )
    assert (
        "column 'income' of the synthetic table: 2 cells are no numeric and count as missing"
        in evaluation.notes
    )
    assert "secret" not in evaluation.to_json()
    assert evaluation["sdmetrics_data_structure"].value < 1


def test_the_evaluators_are_functions_of_the_same_tables() -> None:
    assert len({evaluator.__name__ for evaluator in EVALUATORS}) == len(EVALUATORS)  # type: ignore[attr-defined]


def test_a_training_file_that_still_holds_the_holdout_is_read_without_it() -> None:
    schema = Schema((Column("x", Kind.INTEGER, "int64"),))
    train = pd.DataFrame({"x": [1, 1, 1, 2, 3, 4]})
    said: list[str] = []
    left = without_holdout(train, pd.DataFrame({"x": [1, 1, 3]}), schema, said.append)
    assert sorted(left["x"]) == [1, 2, 4]
    assert "3 holdout rows" in said[0]


def test_a_holdout_with_rows_of_its_own_leaves_the_training_table_as_it_is() -> None:
    schema = Schema((Column("x", Kind.INTEGER, "int64"),))
    train = pd.DataFrame({"x": [1, 1, 2, 3]})
    for holdout in ([1, 1, 1], [1, 9], [1, 1, 2, 3]):
        assert without_holdout(train, pd.DataFrame({"x": holdout}), schema) is train
