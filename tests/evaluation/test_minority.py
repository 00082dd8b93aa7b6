"""Minority gain: fair splits, real tests, right intervals, and words that say what they show."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from imblearn.over_sampling import RandomOverSampler
from scipy import stats
from sklearn import metrics as reference
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from privsynth.errors import DataError, UsageError
from privsynth.evaluation import folds, learners, minority
from privsynth.evaluation.metrics import corrected_interval
from privsynth.evaluation.minority import Resample, conclusion, minority_gain
from privsynth.evaluation.score import Evaluation
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

TREES = 10
SCHEMA = Schema(
    (
        Column("id", Kind.ID, "int64"),
        Column("a", Kind.NUMERIC, "double"),
        Column("b", Kind.NUMERIC, "double"),
        Column("number", Kind.INTEGER, "int64"),
        Column("rare", Kind.CATEGORICAL, "string", role=Role.TARGET),
    )
)


@pytest.fixture(autouse=True, scope="module")
def few_trees() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners, "TREES", TREES)
        with threadpool_limits(1):
            yield


@pytest.fixture
def one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the boosted trees alone, where it does not matter what is trained."""
    name = "hist_gradient_boosting"
    for module in (folds, minority):
        monkeypatch.setattr(module, "CLASSIFIERS", {name: learners.CLASSIFIERS[name]})


def table(rows: int = 240, rare: int = 40, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    positive = np.zeros(rows, dtype=bool)
    positive[rng.choice(rows, rare, replace=False)] = True
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "a": rng.normal(0, 1, rows) + 1.2 * positive,
            "b": rng.normal(50, 10, rows),
            "number": rng.permutation(rows),
            "rare": np.where(positive, "yes", "no"),
        }
    )


def behind(
    features: pd.DataFrame, labels: pd.Series, more: pd.DataFrame
) -> tuple[pd.DataFrame, pd.Series]:
    """Put rows of a table behind others."""
    return (
        pd.concat([features, more[features.columns]], ignore_index=True),
        pd.concat([labels, more[labels.name]], ignore_index=True),
    )


def unchanged(
    features: pd.DataFrame, labels: pd.Series, seed: int
) -> tuple[pd.DataFrame, pd.Series]:
    return features, labels


def oracle(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """Give away the rows that the model is tested on."""
    return behind(features, labels, pd.concat([table()] * 5))


def wrong(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    more = table(600, 300, 1000 + seed)
    return behind(features, labels, more.assign(rare=more["rare"].map({"yes": "no", "no": "yes"})))


def run(frame: pd.DataFrame | None = None, /, **methods: Resample) -> Evaluation:
    return minority_gain(table() if frame is None else frame, SCHEMA, methods, folds=3, repeats=1)


@pytest.fixture(scope="module")
def judged() -> Evaluation:
    methods = {"oracle": oracle, "wrong": wrong, "unchanged": unchanged}
    return minority_gain(table(), SCHEMA, methods, folds=3, repeats=2, seed=5)


def test_the_interval_of_differences_worked_out_by_hand() -> None:
    # differences 1, 2, 3, 4: mean 2.5, variance 5/3; 2 folds: 5/3 * (1/4 + 1) = 25/12
    low, high = corrected_interval(np.array([1.0, 2.0, 3.0, 4.0]), folds=2)
    reach = 3.182446 * np.sqrt(25 / 12)
    np.testing.assert_allclose([low, high], [2.5 - reach, 2.5 + reach], rtol=1e-6)


def test_chance_is_called_a_gain_in_one_of_forty_cases() -> None:
    # folds share training rows: figures correlate by 1/folds, the case the correction is made for
    rng = np.random.default_rng(0)
    times, trials, share = 15, 20_000, 1 / 5
    common = rng.normal(0, np.sqrt(share), (1, trials))
    differences = common + rng.normal(0, np.sqrt(1 - share), (times, trials))
    low, high = corrected_interval(differences, folds=5)
    error = 3 * np.sqrt(0.025 * 0.975 / trials)
    assert np.mean(low > 0) == pytest.approx(0.025, abs=error)
    assert np.mean(high < 0) == pytest.approx(0.025, abs=error)


def test_rows_that_tell_the_answers_gain_and_wrong_labels_lose(judged: Evaluation) -> None:
    assert judged["gain_pr_auc_oracle"].meaning.startswith("gain: ")
    assert judged["gain_pr_auc_wrong"].meaning.startswith("loss: ")
    assert judged["gain_pr_auc_over_random_wrong"].meaning.startswith("loss: ")
    assert conclusion(judged, "oracle").startswith("oracle: gain, +0.")
    assert "over random over-sampling" in conclusion(judged, "wrong")
    with pytest.raises(UsageError, match="did you mean 'wrong'"):
        conclusion(judged, "wrnog")


def test_rows_that_nothing_is_added_to_show_no_gain(judged: Evaluation) -> None:
    score = judged["gain_pr_auc_unchanged"]
    assert (score.value, score.low, score.high) == (0, 0, 0)
    assert score.meaning.startswith("no gain shown: ")


def test_every_score_lies_in_its_interval_beside_that_of_nothing(judged: Evaluation) -> None:
    names = [score.name for score in judged]
    assert len(set(names)) == len(names)
    assert names[0] == "gain_pr_auc_oracle"
    for score in judged:
        assert score.family == "minority gain"
        assert score.low <= score.value <= score.high
    nothing = judged["pr_auc_random_forest_nothing"]
    oracle = judged["pr_auc_random_forest_oracle"]
    assert oracle.real == nothing.value
    assert judged["gain_pr_auc_random_forest_oracle"].value == pytest.approx(
        oracle.value - nothing.value
    )
    assert judged["brier_wrong"].better == "lower"
    for metric in ("roc_auc", "recall_at_precision", "f1", "f1_tuned", "calibration_error"):
        assert set(judged[f"{metric}_oracle"].detail) == set(learners.CLASSIFIERS)


def test_threshold_moving_differs_in_f1_only(judged: Evaluation) -> None:
    figures = judged.about["folds"]
    for metric, by_learner in figures.items():
        for learner, by_method in by_learner.items():
            source = figures["f1_tuned" if metric == "f1" else metric][learner]["nothing"]
            assert by_method["threshold moving"] == source


def test_the_differences_are_those_of_the_folds(judged: Evaluation) -> None:
    for metric, sign in (("pr_auc", 1), ("brier", -1)):
        figures = judged.about["folds"][metric]
        by_learner = [
            sign * (np.array(by["oracle"]) - by["random over-sampling"]) for by in figures.values()
        ]
        said = judged.about["verdicts"][metric]["oracle"]["random over-sampling"]
        for learner, differences in zip(
            (*figures, "mean"), [*by_learner, np.mean(by_learner, axis=0)], strict=True
        ):
            error = np.sqrt(differences.var(ddof=1) * (1 / 6 + 1 / 2))
            low, high = stats.t.interval(0.95, 5, differences.mean(), error)
            assert said[learner]["gain"] == pytest.approx(differences.mean())
            assert (said[learner]["low"], said[learner]["high"]) == pytest.approx((low, high))


def test_the_folds_agree_with_an_independent_computation(judged: Evaluation) -> None:
    frame = table()
    cells = frame[["a", "b", "number"]].to_numpy(float)
    truth = (frame["rare"] == "yes").to_numpy().astype(int)

    def models(seed: int, weights: str | None) -> dict[str, object]:
        return {
            "hist_gradient_boosting": HistGradientBoostingClassifier(
                max_iter=TREES, early_stopping=False, class_weight=weights, random_state=seed
            ),
            "random_forest": RandomForestClassifier(
                TREES, min_samples_leaf=5, class_weight=weights, random_state=seed
            ),
            "logistic_regression": make_pipeline(
                StandardScaler(), LogisticRegression(class_weight=weights, max_iter=300)
            ),
        }

    splits = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=5)
    said = judged.about["folds"]
    for fold, (train, test) in enumerate(splits.split(cells, truth)):
        seed = 5 + fold
        parts = StratifiedKFold(3, shuffle=True, random_state=seed)
        kept, aside = (train[part] for part in next(parts.split(train, truth[train])))
        more = RandomOverSampler(random_state=seed).fit_resample(cells[train], truth[train])
        kept_more = RandomOverSampler(random_state=seed).fit_resample(cells[kept], truth[kept])
        for method, weights, rows, tuning in (
            ("nothing", None, (cells[train], truth[train]), (cells[kept], truth[kept])),
            ("class weights", "balanced", (cells[train], truth[train]), None),
            ("random over-sampling", None, more, kept_more),
        ):
            for learner, model in models(seed, weights).items():
                if learner == "logistic_regression" and method == "random over-sampling":
                    continue  # what is scaled with the added rows differs a little
                if learner == "random_forest":  # each split looks at a share of the columns

                    def read(rows: np.ndarray) -> np.ndarray:
                        return np.column_stack([np.ones(len(rows)), rows])
                else:
                    read = np.asarray
                chances = model.fit(read(rows[0]), rows[1]).predict_proba(read(cells[test]))[:, 1]
                near = 0.01 if learner == "logistic_regression" else 1e-9
                for metric, figure in {
                    "pr_auc": reference.average_precision_score(truth[test], chances),
                    "roc_auc": reference.roc_auc_score(truth[test], chances),
                    "brier": reference.brier_score_loss(truth[test], chances),
                    "f1": reference.f1_score(truth[test], chances >= 0.5),
                }.items():
                    assert said[metric][learner][method][fold] == pytest.approx(figure, abs=near)
                if tuning is None or learner == "logistic_regression":
                    continue
                tuned = model.fit(read(tuning[0]), tuning[1]).predict_proba(read(cells[aside]))[
                    :, 1
                ]
                precision, recall, thresholds = reference.precision_recall_curve(
                    truth[aside], tuned
                )
                f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
                best = thresholds[len(f1) - 2 - np.argmax(f1[-2::-1])]  # the highest of the best
                assert said["f1_tuned"][learner][method][fold] == pytest.approx(
                    reference.f1_score(truth[test], chances >= best)
                )


@pytest.mark.usefixtures("one_model")
def test_methods_see_training_rows_only_and_tests_are_real(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = table(120, 30)
    seen: dict[int, list[set[int]]] = {}
    tested: list[set[int]] = []

    def spy(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[object, object]:
        assert list(features.columns) == ["a", "b", "number"]
        seen.setdefault(seed, []).append(set(features["number"]))
        made = table(50, 25).assign(number=-1)
        return behind(features, labels, made)

    def fit_predict(estimator: object, train: object, truth: object, test: object, *rest: object):  # type: ignore[no-untyped-def]
        if isinstance(test, np.ndarray):
            tested.append(set(test[:, 3].astype(int)))
        return learners.fit_predict(estimator, train, truth, test, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(folds, "fit_predict", fit_predict)
    minority_gain(frame, SCHEMA, {"spy": spy}, folds=3, repeats=2, seed=7)
    splits = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=7)
    number = frame["number"].to_numpy()
    real_tests = []
    for fold, (train, test) in enumerate(splits.split(number, frame["rare"])):
        inner, outer = seen[7 + fold]
        assert outer == set(number[train])
        assert inner < outer
        assert len(inner) == pytest.approx(2 / 3 * len(train), abs=1)
        real_tests += [set(number[test]), outer - inner]
    assert len(seen) == 6
    assert all(rows in real_tests for rows in tested)
    assert all(rows in tested for rows in real_tests)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    def text(seed: int) -> str:
        return minority_gain(
            table(), SCHEMA, {"o": oracle}, folds=2, repeats=1, seed=seed
        ).to_json()

    assert text(0) == text(0) != text(1)


def test_the_evaluation_survives_json(judged: Evaluation) -> None:
    text = judged.to_json()
    again = Evaluation.from_json(text)
    assert again.to_json() == text
    assert "null" not in json.dumps(json.loads(text)["about"])
    assert conclusion(again, "oracle") == conclusion(judged, "oracle")
    curves = again.about["curves"]
    for by_method in curves["models"].values():
        assert set(by_method) == {
            *("nothing", "class weights", "random over-sampling", "smote", "adasyn"),
            *("oracle", "wrong", "unchanged"),
        }
        for band in (line for method in by_method.values() for line in method.values()):
            assert len(band["mean"]) == len(curves["recall"]) == len(curves["threshold"]) == 51
            assert (np.array(band["low"]) <= band["mean"]).all()
            assert (np.array(band["mean"]) <= band["high"]).all()


@pytest.mark.usefixtures("one_model")
def test_fewer_than_twenty_positives_say_what_can_be_concluded() -> None:
    evaluation = run(table(120, 12), unchanged=unchanged, oracle=oracle)
    (note,) = [note for note in evaluation.notes if "only 12 rows" in note]
    score = evaluation["gain_pr_auc_oracle"]
    assert "4 in a test fold" in note
    assert f"{(score.high - score.low) / 2:.3f} with oracle" in note
    assert not [note for note in run(table(120, 30)).notes if "only" in note]


@pytest.mark.usefixtures("one_model")
def test_a_class_with_fewer_rows_than_folds_lowers_the_folds() -> None:
    evaluation = minority_gain(table(60, 3), SCHEMA, {"unchanged": unchanged}, repeats=1)
    assert evaluation.about["splits"] == {"folds": 3, "repeats": 1, "seed": 0}
    assert len(evaluation.about["folds"]["pr_auc"]["hist_gradient_boosting"]["nothing"]) == 3
    notes = " ".join(evaluation.notes)
    assert "3 folds instead of 5" in notes
    assert "no threshold can be tuned" in notes
    assert "as many neighbours as" in notes


def test_a_class_of_one_row_is_refused_without_its_name() -> None:
    with pytest.raises(DataError, match="has 1 row") as caught:
        run(table(60, 1))
    assert "yes" not in str(caught.value)


def test_a_target_that_holds_no_classes_is_refused() -> None:
    for target in (np.arange(60.0), np.zeros(60)):
        with pytest.raises(DataError, match="distinct values"):
            run(table(60, 20).assign(rare=target))


@pytest.mark.usefixtures("one_model")
def test_several_classes_are_judged_one_against_the_rest() -> None:
    frame = table(240, 80)
    rng = np.random.default_rng(0)
    frame["rare"] = np.where(frame["rare"] == "no", 0, rng.integers(1, 3, 240))
    evaluation = run(frame, unchanged=unchanged)
    cells, truth = frame[["a", "b", "number"]].to_numpy(), frame["rare"].to_numpy()
    splits = RepeatedStratifiedKFold(n_splits=3, n_repeats=1, random_state=0)
    for fold, (train, test) in enumerate(splits.split(cells, truth)):
        model = HistGradientBoostingClassifier(max_iter=TREES, early_stopping=False)
        chances = model.fit(cells[train], truth[train]).predict_proba(cells[test])
        figure = np.mean(
            [reference.average_precision_score(truth[test] == k, chances[:, k]) for k in (1, 2)]
        )
        f1 = reference.f1_score(truth[test], chances.argmax(axis=1), labels=[1, 2], average="macro")
        said = evaluation.about["folds"]
        # splits may fall otherwise where gains tie, since the classes come in another order
        assert said["pr_auc"]["hist_gradient_boosting"]["nothing"][fold] == pytest.approx(figure)
        assert said["f1"]["hist_gradient_boosting"]["nothing"][fold] == pytest.approx(f1)


@pytest.mark.usefixtures("one_model")
def test_what_cannot_work_is_left_out_and_said() -> None:
    def picky(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[object, object]:
        raise DataError("too few rows for me")

    schema = Schema(
        (
            Column("town", Kind.CATEGORICAL, "string"),
            Column("rare", Kind.CATEGORICAL, "string", role=Role.TARGET),
        )
    )
    frame = table().assign(town=lambda rows: np.where(rows["a"] > 0, "north", "south"))
    evaluation = minority_gain(
        frame, schema, {"picky": picky}, folds=2, repeats=1, sampling_strategy={"yes": 100}
    )
    assert set(evaluation.about["not_judged"]) >= {"smotenc", "picky"}
    assert evaluation.about["methods"] == []
    assert "random over-sampling" in evaluation.about["baselines"]
    assert "smotenc is left out, for it cannot work with these rows: it needs a numeric column" in (
        " ".join(evaluation.notes)
    )
    assert conclusion(evaluation, "picky") == "picky: not judged: too few rows for me"


@pytest.mark.usefixtures("one_model")
def test_a_method_that_breaks_its_promise_is_named() -> None:
    def shuffles(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[object, object]:
        return features.iloc[::-1], labels.iloc[::-1]

    def invents(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[object, object]:
        return behind(features, labels, table(5, 2).assign(rare="maybe"))

    def rewrites(features: pd.DataFrame, labels: pd.Series, seed: int) -> tuple[object, object]:
        return features.assign(b=0.0), labels

    for method, complaint in (
        (shuffles, "'method' did not keep the rows"),
        (rewrites, "'method' did not keep the rows"),
        (invents, "'method' returned rows of a class"),
    ):
        with pytest.raises(UsageError, match=complaint) as caught:
            run(method=method)  # type: ignore[arg-type]
        assert "maybe" not in str(caught.value)


def test_names_and_options_that_cannot_be_used_are_refused() -> None:
    for name in ("nothing", "Class weights", "--"):
        with pytest.raises(UsageError, match="name"):
            minority_gain(table(), SCHEMA, {name: unchanged})
    with pytest.raises(UsageError, match="a class that no row has"):
        minority_gain(table(), SCHEMA, {}, sampling_strategy={"maybe": 100})
    for options in ({"folds": 1}, {"repeats": 0}, {"precision": 0.0}, {"seed": -1}):
        with pytest.raises(UsageError):
            minority_gain(table(), SCHEMA, {}, **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("one_model")
def test_a_judged_method_takes_the_place_of_the_baseline_of_its_name_and_progress_ends() -> None:
    steps: list[tuple[str, int, int]] = []
    evaluation = minority_gain(
        table(),
        SCHEMA,
        {"smote": unchanged},
        folds=2,
        repeats=1,
        progress=lambda *step: steps.append(step),
    )
    assert evaluation.about["methods"] == ["smote"]
    assert evaluation["gain_pr_auc_smote"].value == 0
    assert any("no baseline of that name" in note for note in evaluation.notes)
    assert steps[0] == ("minority gain", 0, steps[0][2])
    assert steps[-1] == ("minority gain", steps[0][2], steps[0][2])
