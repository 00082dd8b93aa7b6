"""TSTR: trained on synthetic rows, tested on the holdout, beside the same trained on real rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from privsynth.evaluation import learners, utility
from privsynth.evaluation.frames import canonical, modelled
from privsynth.evaluation.learners import CLASSIFIERS, REGRESSORS, Features
from privsynth.evaluation.score import Score
from privsynth.evaluation.utility import train_synthetic_test_real
from privsynth.schema.columns import Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learners, "TREES", 15)


def tstr(*args: object, **options: object) -> dict[str, Score]:
    return {score.name: score for score in train_synthetic_test_real(*args, **options)}  # type: ignore[arg-type]


def test_classification_scores_lie_near_the_real_ones(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    scores = tstr(train, holdout, synthetic, schema)
    assert list(scores) == [
        f"tstr_{metric}_{model}"
        for model in ("logistic_regression", "hist_gradient_boosting", "random_forest")
        for metric in ("roc_auc", "pr_auc", "f1_rare")
    ]
    for score in scores.values():
        assert score.family == "utility"
        assert score.value is not None
        assert score.real is not None
        assert score.low is not None
        assert score.high is not None
        assert score.low <= score.value <= score.high
        assert abs(score.value - score.real) < 0.2
    assert scores["tstr_roc_auc_logistic_regression"].value > 0.8
    assert "the rare class 'bad'" in scores["tstr_pr_auc_random_forest"].meaning


def test_rows_without_relations_teach_nothing(
    train: pd.DataFrame, holdout: pd.DataFrame, unrelated: pd.DataFrame, schema: Schema
) -> None:
    score = tstr(train, holdout, unrelated, schema)["tstr_roc_auc_hist_gradient_boosting"]
    assert score.value is not None
    assert score.real is not None
    assert abs(score.value - 0.5) < 0.2
    assert score.real > 0.8


def test_the_same_seed_gives_the_same_scores(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    first, second, third = (
        tstr(train, holdout, synthetic, schema, seed=seed) for seed in (5, 5, 6)
    )
    assert first == second
    assert first != third


@pytest.mark.parametrize("spelling", ["text", "integer", "float", "boolean", "listed"])
def test_the_rare_class_is_found_however_it_is_spelt(
    spelling: str, train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame
) -> None:
    spell = {
        "text": lambda bad: np.where(bad, "yes", "no"),
        "integer": lambda bad: bad.astype("int64"),
        "float": lambda bad: bad.astype("float64"),
        "boolean": lambda bad: bad.astype("boolean"),
        "listed": lambda bad: bad.astype("int64"),
    }[spelling]
    kind = {"text": Kind.CATEGORICAL, "boolean": Kind.BOOLEAN}.get(spelling, Kind.INTEGER)
    levels = Levels((0, 1)) if spelling == "listed" else None
    schema = Schema(
        (
            Column("age", Kind.INTEGER, "int64"),
            Column("y", kind, "any", levels, Source.DECLARED, role=Role.TARGET),
        )
    )
    tables = [
        frame[["age"]].assign(y=spell(frame["fraud"] == "bad"))
        for frame in (train, holdout, synthetic)
    ]
    name = {"text": "yes", "boolean": "true"}.get(spelling, "1")
    score = tstr(*tables, schema)["tstr_roc_auc_logistic_regression"]
    assert score.value is not None
    assert score.value > 0.7
    assert f"the rare class {name!r}" in score.meaning


def test_a_class_of_few_rows_is_not_named(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    planted = train.assign(fraud=train["fraud"].mask(train.index < 3, "canary"))
    scores = tstr(planted, holdout, synthetic, schema)
    assert not any("canary" in score.meaning for score in scores.values())
    assert scores["tstr_pr_auc_random_forest"].value is None  # the holdout has no such row
    assert scores["tstr_f1_macro_random_forest"].value is not None


def test_several_classes_have_macro_averages(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    scores = tstr(train, holdout, synthetic, schema.with_target("town"))
    assert scores["tstr_roc_auc_hist_gradient_boosting"].value is not None
    assert scores["tstr_f1_macro_hist_gradient_boosting"].value is not None
    assert "mean over the classes" in scores["tstr_roc_auc_hist_gradient_boosting"].meaning


def test_more_classes_than_the_cap_are_pooled_and_said(
    train: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, schema: Schema
) -> None:
    monkeypatch.setattr(utility, "MAX_CLASSES", 2)
    notes: list[str] = []
    scores = tstr(train, train, train, schema.with_target("town"), note=notes.append)
    assert scores["tstr_f1_macro_random_forest"].value is not None
    assert any("over 2 classes" in note for note in notes)


def test_a_numeric_target_has_r2_and_mae(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame
) -> None:
    schema = Schema(
        (
            Column("age", Kind.INTEGER, "int64"),
            Column("y", Kind.NUMERIC, "double", role=Role.TARGET),
        )
    )
    tables = [
        frame[["age"]].assign(y=3.0 * frame["age"].astype(float))
        for frame in (train, holdout, synthetic)
    ]
    notes: list[str] = []
    scores = tstr(*tables, schema, note=notes.append)
    assert set(scores) == {
        f"tstr_{metric}_{model}" for metric in ("r2", "mae") for model in REGRESSORS
    }
    assert scores["tstr_r2_ridge"].value == pytest.approx(1.0, abs=1e-3)
    assert scores["tstr_mae_ridge"].better == "lower"
    missing = int(tables[1]["y"].isna().sum())
    assert f"utility: {missing} holdout rows without a known 'y' are left out" in notes


def test_a_synthetic_table_of_one_class_has_no_score_and_says_why(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    scores = tstr(train, holdout, synthetic.assign(fraud="good"), schema)
    assert len(scores) == 3 * len(CLASSIFIERS)
    for score in scores.values():
        assert score.value is None
        assert score.real is not None
        assert score.meaning == "the synthetic table has a single class of 'fraud'"


def test_a_holdout_of_one_class_has_no_auc(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    score = tstr(train, holdout.assign(fraud="good"), synthetic, schema)[
        "tstr_roc_auc_random_forest"
    ]
    assert (score.value, score.real) == (None, None)
    assert "holdout lacks" in score.meaning


@pytest.mark.parametrize("empty", ["train", "holdout", "synthetic"])
def test_a_table_without_any_target_value_has_no_score(
    empty: str,
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
) -> None:
    tables = {"train": train, "holdout": holdout, "synthetic": synthetic}
    tables[empty] = tables[empty].assign(fraud=None)
    for score in tstr(*tables.values(), schema).values():
        assert score.value is None
        assert score.meaning


@pytest.mark.parametrize(
    ("schema_of", "held", "reason"),
    [
        (lambda s: s, False, "holdout"),
        (lambda s: Schema(tuple(c for c in s if c.role is not Role.TARGET)), True, "target"),
        (lambda s: s.with_target("who"), True, "never modelled"),
        (lambda s: Schema((s["fraud"],)), True, "besides the target"),
    ],
)
def test_what_cannot_be_predicted_is_said(
    schema_of: object, held: bool, reason: str, train: pd.DataFrame, schema: Schema
) -> None:
    notes: list[str] = []
    scores = tstr(train, train if held else None, train, schema_of(schema), note=notes.append)  # type: ignore[operator]
    assert scores == {}
    assert len(notes) == 1
    assert reason in notes[0]


def test_features_are_learnt_on_the_training_side_alone(
    train: pd.DataFrame, schema: Schema
) -> None:
    columns = modelled(schema)
    features = Features.learn(canonical(train, columns))
    strange = train.iloc[:2].assign(town=["elsewhere", None], income=[1e300, np.nan])
    linear = features.linear(canonical(strange, columns))
    coded = features.coded(canonical(strange, columns))
    names = ["", *features.mean, *features.levels]
    levels = features.levels["town"]
    assert "empty" not in names
    assert linear.shape[1] == 1 + 2 * len(features.mean) + sum(
        each.size for each in features.levels.values()
    )
    assert coded[:, names.index("town")].tolist() == [levels.top + 1, levels.top + 2]
    assert np.isfinite(coded[0, names.index("income")].astype(np.float32))


def test_wide_categoricals_are_capped_by_frequency() -> None:
    frame = pd.DataFrame({"c": [f"level {i}" for i in range(700)]})
    features = Features.learn(canonical(frame, (Column("c", Kind.CATEGORICAL, "string"),)))
    assert features.levels["c"].size == 53
