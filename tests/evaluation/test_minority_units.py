"""Minority gain where rows belong to units: a unit is never on both sides of a fold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

import privsynth
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.evaluation import folds, learners, minority
from privsynth.evaluation.minority import minority_gain
from privsynth.evaluation.score import Evaluation
from privsynth.minority.sampler import MinoritySampler
from privsynth.report import Report
from privsynth.schema import Column, Kind, Levels, Role, Schema, Source, Unit

SCHEMA = Schema(
    (
        Column("person", Kind.INTEGER, "int64"),
        Column("a", Kind.NUMERIC, "double"),
        Column("row", Kind.INTEGER, "int64"),
        Column("ill", Kind.CATEGORICAL, "string", role=Role.TARGET),
    )
)
Rows = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Train boosted trees alone, and few of them: it does not matter here what is trained."""
    name = "hist_gradient_boosting"
    monkeypatch.setattr(learners, "TREES", 10)
    for module in (folds, minority):
        monkeypatch.setattr(module, "CLASSIFIERS", {name: learners.CLASSIFIERS[name]})
    with threadpool_limits(1):
        yield


@pytest.fixture
def splits(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Record the rows learnt from and tested on: of each fold, then of its tuning."""
    recorded: Rows = []
    of = folds._Split.of

    def recording(frame: Any, truth: Any, rows: np.ndarray, test: np.ndarray) -> Any:
        recorded.append((rows, test))
        return of(frame, truth, rows, test)

    monkeypatch.setattr(folds._Split, "of", recording)
    return recorded


def visits(persons: int = 60, rare: int = 15, seed: int = 0) -> pd.DataFrame:
    """Return rows of persons, 1 to 6 each in any order, whose class never changes."""
    rng = np.random.default_rng(seed)
    person = rng.permutation(np.repeat(np.arange(persons), rng.integers(1, 7, persons)))
    return pd.DataFrame(
        {
            "person": 1000 + person,
            "a": rng.normal(size=len(person)),
            "row": np.arange(len(person)),
            "ill": np.where(person < rare, "yes", "no"),
        }
    )


def unchanged(
    features: pd.DataFrame, labels: Any, seed: int, groups: Any = None
) -> tuple[Any, Any]:
    return features, labels


def judged(frame: pd.DataFrame, /, **options: Any) -> Evaluation:
    options = {"folds": 3, "repeats": 2, "unit": "person", **options}
    groups = pd.factorize(frame["person"])[0]
    return minority_gain(frame, SCHEMA, {"unchanged": unchanged}, groups=groups, **options)


def gain(frame: pd.DataFrame, /, **options: Any) -> Report:
    options = {"engine": "random", "folds": 3, "repeats": 1, "groups": "person", **options}
    return privsynth.minority_gain(frame, target="ill", **options)


def test_no_unit_is_on_both_sides_of_a_fold_nor_of_its_tuning(splits: Rows) -> None:
    frame = visits()
    judged(frame)
    person, ill = frame["person"].to_numpy(), frame["ill"].to_numpy()
    assert len(splits) == 12
    for rows, test in splits:
        assert not set(person[rows]) & set(person[test])
        assert set(ill[rows]) == set(ill[test]) == {"yes", "no"}
    for repeat in (splits[0:6:2], splits[6:12:2]):
        tested = np.concatenate([test for _, test in repeat])
        assert sorted(tested) == list(range(len(frame)))
    assert [set(test) for _, test in splits[0:6:2]] != [set(test) for _, test in splits[6:12:2]]


def test_the_folds_are_those_of_stratified_group_k_fold(splits: Rows) -> None:
    frame = visits()
    judged(frame, seed=5)
    groups = pd.factorize(frame["person"])[0]
    for repeat in range(2):
        reference = StratifiedGroupKFold(3, shuffle=True, random_state=5 + repeat)
        parts = reference.split(frame, frame["ill"], groups)
        recorded = splits[6 * repeat : 6 * repeat + 6]
        for place, (train, test) in enumerate(parts):
            for mine, theirs in zip(recorded[2 * place], (train, test), strict=True):
                np.testing.assert_array_equal(mine, theirs)
            inner = StratifiedGroupKFold(3, shuffle=True, random_state=5 + 3 * repeat + place)
            kept, aside = next(inner.split(train, frame["ill"].iloc[train], groups[train]))
            np.testing.assert_array_equal(recorded[2 * place + 1][0], train[kept])
            np.testing.assert_array_equal(recorded[2 * place + 1][1], train[aside])


def test_a_method_is_handed_the_units_of_its_rows_and_not_their_column() -> None:
    frame = visits()
    groups = pd.factorize(frame["person"])[0]

    def spy(features: pd.DataFrame, labels: Any, seed: int, *, groups: Any) -> tuple[Any, Any]:
        assert list(features.columns) == ["a", "row"]
        seen.append((features["row"].to_numpy(), groups))
        return features, labels

    seen: list[tuple[np.ndarray, np.ndarray]] = []
    evaluation = minority_gain(
        frame, SCHEMA, {"spy": spy}, folds=3, repeats=1, groups=groups, unit="person"
    )
    assert evaluation.about["columns"] == ["a", "row"]
    assert len(seen) == 6
    for rows, handed in seen:
        np.testing.assert_array_equal(handed, groups[rows])


def test_the_sampler_is_handed_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = visits()
    seen: list[Any] = []
    fit_resample = MinoritySampler.fit_resample

    def spying(self: Any, X: Any, y: Any, groups: Any = None) -> Any:
        seen.append((list(X.columns), groups if groups is None else len(set(groups)), len(y)))
        return fit_resample(self, X, y, groups=groups)

    monkeypatch.setattr(MinoritySampler, "fit_resample", spying)
    gain(frame)
    assert all("person" not in columns and n <= 42 < rows for columns, n, rows in seen)
    seen.clear()
    gain(frame, groups=None)
    assert all(n is None for _, n, _ in seen)


def test_what_tells_a_person_is_no_skill_once_persons_are_kept_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(learners, "TREES", 100)
    # each person has a mark of their own, which says nothing of other persons' classes
    rng = np.random.default_rng(1)
    person = np.repeat(np.arange(160), 5)
    ill = rng.permutation(np.arange(160) < 48)
    mark = rng.permutation(160)[person] + rng.normal(0, 0.1, len(person))
    frame = pd.DataFrame(
        {"person": person, "mark": mark, "ill": np.where(ill[person], "yes", "no")}
    )
    by_rows = gain(frame.drop(columns="person"), groups=None)
    by_persons = gain(frame)

    def mean(report: Report, metric: str) -> float:
        figures = report.evaluation.about["folds"][metric]["hist_gradient_boosting"]
        return float(np.mean(figures["nothing"]))

    assert mean(by_rows, "roc_auc") > 0.8
    assert mean(by_rows, "pr_auc") > 0.65
    assert mean(by_persons, "roc_auc") == pytest.approx(0.5, abs=0.1)
    assert mean(by_persons, "pr_auc") == pytest.approx(0.3, abs=0.1)


def test_a_schema_may_declare_the_column_of_the_units() -> None:
    schema = Schema((Column("person", Kind.INTEGER, "int64"), Column("a", Kind.NUMERIC, "double")))
    report = gain(visits(), engine="cart", schema=schema)
    assert report.evaluation.about["methods"] == ["cart"]


def test_a_schema_may_declare_columns_that_the_engines_do_not_see() -> None:
    frame = visits().assign(key=lambda rows: "k" + rows["row"].astype(str), twin="a")
    frame["twin"] = frame["twin"].where(frame["ill"] == "no", "b")
    schema = Schema(
        (
            Column("key", Kind.ID, "string"),
            Column("a", Kind.NUMERIC, "double"),
            Column(
                "ill",
                Kind.CATEGORICAL,
                "string",
                Levels(("no", "yes")),
                Source.DECLARED,
                role=Role.TARGET,
            ),
            Column(
                "twin",
                Kind.CATEGORICAL,
                "string",
                determined_by="ill",
                mapping=(("no", "a"), ("yes", "b")),
            ),
        )
    )
    report = gain(frame, engine=["cart", "random"], schema=schema, groups=None)
    assert report.evaluation.about["not_judged"] == {}
    assert report.evaluation.about["methods"] == ["cart", "random"]


def test_the_unit_of_the_schema_is_kept_whole_unless_another_is_named() -> None:
    schema = Schema((), Unit("person"))
    report = gain(visits(), engine=["cart", "random"], schema=schema, groups=None)
    assert report.evaluation.about["splits"]["unit"] == "person"
    assert report.evaluation.about["methods"] == ["cart", "random"]
    assert "unit" not in gain(visits(), schema=Schema((), Unit()), groups=None).to_json()
    by_row = gain(visits(), engine="random", schema=schema, groups="row")
    assert by_row.evaluation.about["splits"]["unit"] == "row"


def test_an_array_says_what_a_column_says() -> None:
    frame = visits()
    by_column = gain(frame)
    by_array = gain(frame.drop(columns="person"), groups=frame["person"].astype(str).to_numpy())
    assert by_array.evaluation.about["folds"] == by_column.evaluation.about["folds"]


def test_the_report_says_how_many_units_there_were_and_that_they_are_whole() -> None:
    frame = visits()
    report = gain(frame)
    splits = report.evaluation.about["splits"]
    assert splits == {"folds": 3, "repeats": 1, "seed": 0, "units": 60, "unit": "person"}
    assert "column 'person': 60 units, none of which is on both sides of a fold" in report.notes
    assert "60 of person, each whole within a fold" in report.to_html()
    assert Evaluation.from_json(report.to_json()).about["splits"] == splits


def test_without_units_the_report_says_nothing_of_them() -> None:
    frame = visits()
    left_out = privsynth.minority_gain(frame, target="ill", engine="random", folds=3, repeats=1)
    assert gain(frame, groups=None).to_json() == left_out.to_json()
    assert "unit" not in left_out.to_json()


def test_few_units_of_the_rarest_class_are_said_however_many_rows_they_have() -> None:
    frame = visits(rare=12)
    assert (frame["ill"] == "yes").sum() > minority.FEW_POSITIVES
    assert [note for note in judged(frame).notes if "only 12 units of the rarest class" in note]
    assert not [note for note in judged(visits(rare=25)).notes if "only" in note]


def test_units_of_one_row_and_a_unit_of_many_are_said() -> None:
    frame = visits()
    assert [
        note
        for note in gain(frame, groups="row").notes
        if note == "column 'row': no unit has a second row, so units are rows"
    ]
    large = pd.concat([frame, frame.sample(150, random_state=0).assign(person=1030, ill="no")])
    assert [note for note in gain(large).notes if "one unit has more rows than one fold" in note]
    assert not [note for note in gain(frame).notes if "one unit has more rows" in note]


def test_a_row_without_a_unit_is_a_unit_of_its_own() -> None:
    frame = visits()
    frame["person"] = frame["person"].where(frame["row"] % 50 > 0)  # a float column with gaps
    named, unnamed = frame["person"].nunique(), int(frame["person"].isna().sum())
    with pytest.warns(PrivsynthWarning, match=f"column 'person': {unnamed} rows name no unit"):
        report = gain(frame)
    assert report.evaluation.about["splits"]["units"] == named + unnamed


def test_rows_without_a_target_leave_with_their_units(splits: Rows) -> None:
    frame = visits()
    gone = frame["person"].isin([1000, 1030])
    frame.loc[gone, "ill"] = None
    evaluation = judged(frame)
    assert evaluation.about["splits"]["units"] == 58
    person = frame["person"][~gone].to_numpy()
    assert all(not set(person[rows]) & set(person[test]) for rows, test in splits)


@pytest.mark.parametrize(
    ("groups", "complaint"),
    [
        ("persn", "no column 'persn' to name units; did you mean 'person'"),
        ("ill", "column 'ill' is the target"),
        ("a", "column 'a': holds numbers that are not whole"),
        ("same", "column 'same': all rows belong to one unit"),
        ("two", "column 'two': 2 units, too few for 3 folds"),
        ("few", "column 'few': 2 units have rows of a class of 'ill', too few for 3 folds"),
        (["ann", "bob"], "groups name the units of 2 rows"),
        ([1, "ann"] * 10, "groups: labels of units are of several types"),
    ],
)
def test_what_names_no_units_is_refused_before_anything_is_trained(
    groups: Any, complaint: str, splits: Rows
) -> None:
    frame = visits().assign(
        same="one",
        two=lambda rows: rows["row"] % 2,
        few=lambda rows: np.where(rows["ill"] == "yes", rows["row"] % 2, rows["person"]),
    )
    with pytest.raises((DataError, UsageError), match=complaint) as caught:
        gain(frame, groups=groups)
    assert "\n" not in str(caught.value)
    assert not splits


def test_a_fold_without_a_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = visits()
    halves = np.array_split(np.argsort(frame["ill"].to_numpy()), 2)
    monkeypatch.setattr(folds, "_splits_of_units", lambda *_: iter([halves, halves[::-1]]))
    with pytest.raises(DataError, match="a fold of whole units has no row of a class"):
        judged(frame)


def test_no_threshold_is_tuned_where_a_class_has_too_few_units() -> None:
    notes = judged(visits(rare=2), folds=2).notes
    assert [note for note in notes if "fewer than 3 units in a training fold" in note]


def test_a_method_that_cannot_learn_from_one_unit_is_not_judged() -> None:
    frame = visits(rare=2)
    report = gain(frame, folds=2)
    assert "a class of 1 unit is to grow" in report.evaluation.about["not_judged"]["random"]
