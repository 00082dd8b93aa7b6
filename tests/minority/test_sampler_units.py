"""The sampler where rows belong to units: units are counted, and pipelines hand them on."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_validate

from privsynth import Budget, MinoritySampler, augment
from privsynth.errors import DataError, PrivsynthWarning, UsageError
from privsynth.minority import growth
from privsynth.minority.plan import FitOn
from privsynth.table import Table
from privsynth.task import FitTask

VISITS = 4


def visits(persons: int = 75, rare: int = 25) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return visits, their classes and their persons; the first persons are of the rare class."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(persons), VISITS)
    ill = (person < rare).astype(int)
    X = pd.DataFrame(
        {
            "a": rng.normal(ill, 1),
            "b": rng.integers(0, 4, len(person)),
            "c": rng.choice(8, len(ill)),
        }
    )
    return X, ill, person


class Spy(MinoritySampler):
    """A sampler that keeps the groups that it is handed."""

    seen: list[Any] = []  # noqa: RUF012  (clones share it)

    def fit_resample(self, X: Any, y: Any, groups: Any = None, **params: Any) -> tuple[Any, Any]:
        self.seen.append(groups)
        return super().fit_resample(X, y, groups=groups, **params)


@pytest.fixture
def spy() -> Spy:
    Spy.seen.clear()
    return Spy("random", random_state=0)


@pytest.mark.parametrize("engine", ["cart", "copula", "smote", "smotenc", "random"])
def test_a_row_for_each_unit_gives_the_rows_that_no_units_give(engine: str) -> None:
    X, y, _ = visits()
    if engine == "smotenc":
        X["b"] = X["b"].astype("category")
    plain, labels = MinoritySampler(engine, random_state=0).fit_resample(X, y)
    units = [f"visit {i}" for i in range(len(X))]
    grown, same = MinoritySampler(engine, random_state=0).fit_resample(X, y, groups=units)
    pd.testing.assert_frame_equal(grown, plain)
    np.testing.assert_array_equal(same, labels)


@pytest.mark.parametrize("engine", ["cart", "smote", "random"])
def test_a_class_of_one_unit_cannot_grow_however_many_rows_it_has(engine: str) -> None:
    X, y, person = visits(rare=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivsynthWarning)
        MinoritySampler(engine).fit_resample(X, y)
    with pytest.raises(DataError, match="a class of 1 unit is to grow"):
        MinoritySampler(engine).fit_resample(X, y, groups=person)


@pytest.mark.parametrize("engine", ["cart", "copula"])
def test_a_handful_of_units_is_warned_of_and_none_of_its_rows_is_copied(engine: str) -> None:
    X, y, person = visits(rare=3)
    X = X[["b", "c"]]
    with pytest.warns(PrivsynthWarning, match="a class has 3 units"):
        grown, _ = MinoritySampler(engine, random_state=0).fit_resample(X, y, groups=person)
    real = set(X[y == 1].itertuples(index=False, name=None))
    assert not real & set(grown.iloc[len(X) :].itertuples(index=False, name=None))


def test_smote_counts_units_in_its_checks_and_draws_the_rows_that_it_drew() -> None:
    X, y, person = visits(rare=6)
    plain, _ = MinoritySampler("smote", random_state=0).fit_resample(X, y)
    grown, _ = MinoritySampler("smote", random_state=0).fit_resample(X, y, groups=person)
    pd.testing.assert_frame_equal(grown, plain)
    X, y, person = visits(rare=3)
    with pytest.warns(PrivsynthWarning, match="a class has 3 units"):
        MinoritySampler("smote", random_state=0).fit_resample(X, y, groups=person)


@pytest.mark.parametrize(
    ("rare", "by_rows", "by_units"),
    [
        (25, 10, 10),  # 100 rows of 25 units
        (9, 10, 4),  # 36 rows: enough; 9 units: too few, so learnt alone, with half of them as k
        (4, 8, 2),  # 16 rows are too few as well, and half of them is 8
    ],
)
def test_k_is_lowered_to_the_units_of_the_smallest_class(
    rare: int, by_rows: int, by_units: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[FitTask] = []
    learn = growth.learn

    def spying(table: Any, task: FitTask, **options: Any) -> Any:
        tasks.append(task)
        return learn(table, task, **options)

    monkeypatch.setattr(growth, "learn", spying)
    X, y, person = visits(rare=rare)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivsynthWarning)
        for groups in (None, person):
            MinoritySampler(random_state=0).fit_resample(X, y, groups=groups)
    assert [task.k for task in tasks] == [by_rows, by_units]


def test_classifiers_select_from_twenty_units_on(monkeypatch: pytest.MonkeyPatch) -> None:
    selected: list[int] = []
    draw_selected = growth.draw_selected

    def spying(*arguments: Any) -> Any:
        selected.append(1)
        return draw_selected(*arguments)

    monkeypatch.setattr(growth, "draw_selected", spying)
    for rare, groups, calls in ((25, True, 1), (9, False, 1), (9, True, 0)):
        selected.clear()
        X, y, person = visits(rare=rare)
        MinoritySampler(random_state=0).fit_resample(X, y, groups=person if groups else None)
        assert len(selected) == calls
    with pytest.warns(PrivsynthWarning, match="has 9 units, too few for classifiers"):
        MinoritySampler(selection="classifiers", random_state=0).fit_resample(X, y, groups=person)


@pytest.mark.filterwarnings("ignore:a class has 4 units")
def test_rows_without_a_unit_are_units_and_that_is_said() -> None:
    X, y, person = visits(rare=1)
    unknown = np.where(y == 1, np.nan, person)
    with pytest.warns(PrivsynthWarning, match="groups: 4 rows name no unit"):
        grown, _ = MinoritySampler("random", random_state=0).fit_resample(X, y, groups=unknown)
    assert len(grown) > len(X)


def test_polars_frames_take_the_units_of_their_rows() -> None:
    X, y, person = visits(rare=1)
    with pytest.raises(DataError, match="a class of 1 unit"):
        MinoritySampler("random").fit_resample(
            pl.from_pandas(X), pl.Series("y", y), groups=pl.Series(person)
        )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda person: person[:-1], "the units of 299 rows, and X has 300"),
        (lambda person: person[:, None], "in one dimension"),
        (lambda person: person + 0.5, "not whole"),
        (lambda person: ["secret", *person[1:].tolist()], "of several types"),
        (lambda person: "person", "one label of a unit per row"),
    ],
)
def test_groups_that_are_not_one_label_per_row_are_refused(change: Any, complaint: str) -> None:
    X, y, person = visits()
    with pytest.raises(DataError, match=complaint) as caught:
        MinoritySampler("random").fit_resample(X, y, groups=change(person))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("unit", ["row", "b"])
def test_under_a_budget_the_unit_is_the_budget_s_and_nothing_is_spent(
    unit: str, tmp_path: Path
) -> None:
    X, y, person = visits()
    sampler = MinoritySampler(
        budget=Budget(1.0, unit=unit), ledger=tmp_path / "ledger.json", new_ledger=True
    )
    with pytest.raises(UsageError, match=r"Budget\(\.\.\., unit=COLUMN\)") as caught:
        sampler.fit_resample(X, y, groups=person)
    assert f"whose unit is {unit!r}" in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_pipeline_hands_the_units_of_the_training_rows_on(spy: Spy) -> None:
    X, y, person = visits()
    folds = StratifiedGroupKFold(3)
    with sklearn.config_context(enable_metadata_routing=True):
        asks = clone(spy.set_fit_resample_request(groups=True))
        scores = cross_validate(
            make_pipeline(asks, LogisticRegression()),
            X,
            y,
            cv=folds,
            params={"groups": person},
            error_score="raise",
        )
    assert len(scores["test_score"]) == 3
    for seen, (train, test) in zip(spy.seen, folds.split(X, y, person), strict=True):
        np.testing.assert_array_equal(seen, person[train])
        assert not set(seen) & set(person[test])


def test_a_sampler_that_does_not_ask_for_units_is_handed_none(spy: Spy) -> None:
    X, y, person = visits()
    with sklearn.config_context(enable_metadata_routing=True):
        steps = make_pipeline(spy.set_fit_resample_request(groups=False), LogisticRegression())
        cross_validate(
            steps,
            X,
            y,
            cv=StratifiedGroupKFold(3),
            params={"groups": person},
            error_score="raise",
        )
    assert spy.seen == [None] * 3


def test_where_routing_is_off_nothing_changes(spy: Spy) -> None:
    X, y, person = visits()
    steps = make_pipeline(spy, LogisticRegression())
    cross_validate(steps, X, y, cv=StratifiedGroupKFold(3), groups=person, error_score="raise")
    assert spy.seen == [None] * 3
    with pytest.raises(RuntimeError, match="metadata routing is enabled"):
        spy.set_fit_resample_request(groups=True)


def test_a_pickled_sampler_asks_for_units_and_holds_none() -> None:
    X, y, person = visits()
    names = np.array([f"person-{i}" for i in range(75)])[person]
    with sklearn.config_context(enable_metadata_routing=True):
        sampler = MinoritySampler(random_state=0).set_fit_resample_request(groups=True)
    sampler.fit_resample(X, y, groups=names)
    packed = pickle.dumps(sampler)
    assert b"person-" not in packed
    requests = pickle.loads(packed).get_metadata_routing().fit_resample.requests
    assert requests == {"groups": True}


def fitted(units: Any, **options: Any) -> tuple[Table, FitTask]:
    """Return what is learnt of visits of these units, and how."""
    learnt: list[tuple[Table, FitTask]] = []
    learn = growth.learn

    def spying(table: Table, task: FitTask, **rest: Any) -> Any:
        learnt.append((table, task))
        return learn(table, task, **rest)

    X, y, _ = visits()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivsynthWarning)
        patch.setattr(growth, "learn", spying)
        MinoritySampler(random_state=0, **options).fit_resample(X, y, groups=units)
    return learnt[0]


@pytest.mark.parametrize("fit_on", ["all", "minority"])
def test_the_fit_counts_units_too(fit_on: FitOn) -> None:
    person = np.repeat(np.arange(75), VISITS)
    table, task = fitted(person, fit_on=fit_on)
    assert task.k == 10
    assert table.n_units == len(set(person[: table.n_rows])) < table.n_rows


def test_units_with_rows_of_every_class_are_counted_once() -> None:
    table, task = fitted(np.arange(300) % 12)
    assert table.n_units == 12
    assert task.k == 6  # of 10, which would take 20 units


def test_a_fit_that_k_does_not_control_takes_every_row() -> None:
    table, _ = fitted(np.repeat(np.arange(75), VISITS), engine="smote")
    assert (table.n_rows, table.units) == (300, None)


def test_a_declared_unit_is_counted_as_groups_are() -> None:
    X, y, person = visits(rare=9)
    frame = X.assign(person=person, ill=np.where(y, "yes", "no"))
    with pytest.warns(PrivsynthWarning, match="a class has 9 units, too few for classifiers"):
        grown = augment(frame, target="ill", unit="person", selection="classifiers")
    assert (grown["ill"] == "yes").sum() == (frame["ill"] == "no").sum()
