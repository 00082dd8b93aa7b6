"""More rows of a rare class under a budget: what is drawn, and by what alone it is decided."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from audits import NAMES, SCHEMA, WORST, Recording, Replaying, Row, rows
from click.testing import CliRunner, Result
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score

import privsynth
from privsynth import (
    Budget,
    BudgetExceeded,
    MinoritySampler,
    PrivsynthWarning,
    UsageError,
    pipeline,
)
from privsynth.artefact import packed
from privsynth.cli.program import main
from privsynth.coding.declared import declared_codec
from privsynth.engines.registry import OVERSAMPLERS
from privsynth.fitting import learn
from privsynth.minority import growth, restoring, sampling
from privsynth.minority.augmentation import Augmentation, _appended
from privsynth.minority.plan import Plan
from privsynth.minority.sampler import _framed
from privsynth.minority.selection import chosen
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Role, Source
from privsynth.schema.schema import Schema
from privsynth.table import read

LARGE = Budget(100.0, 1e-4)
GIVEN = Source.DECLARED
PEOPLE = Path(privsynth.__file__).parent / "data" / "adult_sample.csv.gz"


def frame(n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Give the rows that the audits make up as features and classes, a quarter of them rare."""
    texts = pd.DataFrame(rows(n, seed), columns=list(NAMES))
    features = texts.drop(columns="out").assign(
        age=texts["age"].astype(int),
        ill=texts["ill"] == "true",
        paid=texts["paid"].astype(float),
    )
    return features, texts["out"]


def write(path: Path, made: Sequence[Row]) -> Path:
    lines = [",".join(value or "" for value in row) for row in made]
    path.write_text("\n".join([",".join(NAMES), *lines]) + "\n")
    return path


def numbers(classes: int = 2, declared: tuple[Any, ...] | None = None) -> Schema:
    """Declare two columns of an array, and the classes of it."""
    levels = Levels(declared or tuple(range(classes)))
    kind = "string" if declared else "int64"
    return Schema(
        (
            Column("x0", Kind.NUMERIC, "double", Bounds(-4, 8), GIVEN, decimals=1),
            Column("x1", Kind.NUMERIC, "double", Bounds(-4, 8), GIVEN, decimals=1),
            Column("y", Kind.CATEGORICAL, kind, levels, GIVEN),
        )
    )


def array(counts: Sequence[int] = (300, 60)) -> tuple[Any, Any]:
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(0).normal(size=(len(y), 2)) + 1.5 * y[:, None], y


# ------------------------------------------------------------------ what is drawn


def test_real_rows_come_first_and_unchanged_and_types_are_kept() -> None:
    X, y = frame()
    sampler = MinoritySampler(budget=LARGE, schema=SCHEMA, random_state=0)
    X2, y2 = sampler.fit_resample(X, y)
    pd.testing.assert_frame_equal(X2.iloc[: len(X)], X)
    assert (X2.dtypes == X.dtypes).all()
    assert y2[: len(y)].tolist() == y.tolist()
    assert set(y2[sampler.synthetic_mask_]) == {"yes"}
    assert sampler.sampling_strategy_ == {"yes": sampler.synthetic_mask_.sum()}
    assert sampler.model_ is not None
    assert sampler.model_.card["engine"] == "marginals"
    assert sampler.model_.ledger.guarantee().epsilon == LARGE.epsilon


def test_with_little_noise_classes_come_out_about_even() -> None:
    X, y = array((400, 150, 50))
    sampler = MinoritySampler(budget=LARGE, schema=numbers(3), random_state=0)
    _, y2 = sampler.fit_resample(X, y)
    assert y2.dtype == y.dtype
    assert np.bincount(y2) == pytest.approx(400, abs=25)
    by_class = MinoritySampler(
        budget=LARGE, schema=numbers(3), sampling_strategy={2: 200}, random_state=0
    )
    _, y2 = by_class.fit_resample(X, y)
    assert np.bincount(y2)[:2].tolist() == [400, 150]
    assert np.bincount(y2)[2] == pytest.approx(200, abs=25)


def test_a_ratio_is_of_the_noisy_counts() -> None:
    X, y = array((400, 50))
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), sampling_strategy=0.5, random_state=0)
    _, y2 = sampler.fit_resample(X, y)
    assert np.bincount(y2)[1] == pytest.approx(200, abs=25)
    assert sampler.report_.counts[1][0] == pytest.approx(50, abs=20)


def test_the_model_draws_the_rarer_classes() -> None:
    X, y = array()
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), random_state=0).fit(X, y)
    sampler.fit_resample(X, y)
    assert sampler.model_ is not None
    assert set(sampler.model_.sample(50, seed=1)["y"]) == {1}


def test_classes_are_given_back_as_y_holds_them() -> None:
    X, y = array()
    declared = numbers(declared=("false", "true"))
    sampler = MinoritySampler(budget=LARGE, schema=declared, random_state=0)
    _, y2 = sampler.fit_resample(X, y.astype(bool))
    assert y2.dtype == bool
    assert y2[sampler.synthetic_mask_].all()


def test_a_gap_that_noise_has_made_is_given_as_one() -> None:
    X, y = array()
    X = np.where(np.arange(len(X))[:, None] % 2, np.nan, X).round(1)
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    assert np.isnan(X2[sampler.synthetic_mask_]).any()


@pytest.mark.parametrize("kind", [np.array, pd.DataFrame, sparse.csr_matrix])
def test_a_gap_that_a_type_cannot_hold_is_filled(
    kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = numbers().to_dict()
    for column in state["columns"][:2]:
        column.update(kind="integer", dtype="int64", bounds=[0, 3])
        del column["decimals"]
    whole, y = array()
    whole = np.clip(whole.round(), 0, 3).astype(int)
    gappy = np.where(np.arange(len(y))[:, None] % 3, whole, np.nan)

    def fitted(_: Any, *args: Any, **kwargs: Any) -> Any:
        """Learn a table with gaps, as noise may make them."""
        return learn(read(pd.DataFrame(gappy, columns=["x0", "x1"]).assign(y=y)), *args, **kwargs)

    monkeypatch.setattr(growth, "learn", fitted)
    X: Any = kind(whole)
    if kind is pd.DataFrame:
        X.columns = ["x0", "x1"]
    sampler = MinoritySampler(budget=LARGE, schema=Schema.from_dict(state), random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    assert sampler.report_.synthetic.column("x0").null_count
    drawn = pd.DataFrame(X2.toarray() if sparse.issparse(X2) else X2)[sampler.synthetic_mask_]
    assert drawn.dtypes.astype(str).tolist() == ["int64", "int64"]
    assert drawn.to_numpy().min() >= 0
    assert drawn.to_numpy().max() <= 3


def test_a_type_that_holds_nothing_drawn_is_named_and_the_model_is_kept() -> None:
    X, y = array()
    texts = Column("x1", Kind.CATEGORICAL, "string", Levels(("a", "b")), GIVEN)
    schema = Schema((numbers()["x0"], texts, numbers()["y"]))
    sampler = MinoritySampler(budget=LARGE, schema=schema, random_state=0)
    with pytest.raises(UsageError, match="column 'x1'"):
        sampler.fit_resample(X, y)
    assert sampler.model_ is not None


def test_infinite_and_unseen_values_are_learnt_as_any_other() -> None:
    X, y = frame()
    X["paid"] = np.where(np.arange(len(X)) % 7 == 0, np.inf, X["paid"])
    X["job"] = np.where(np.arange(len(X)) % 5 == 0, "a job never seen", X["job"])
    sampler = MinoritySampler(budget=LARGE, schema=SCHEMA, random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    drawn = X2[sampler.synthetic_mask_]
    assert set(drawn["job"]) <= {"clerk", "nurse", "smith", "(other)"}
    assert np.isfinite(drawn["paid"].dropna()).all()


def test_types_that_part_meet_in_one_that_holds_both() -> None:
    halves, texts = pa.chunked_array([[0.5]]), pa.chunked_array([["no"]])
    whole = pa.chunked_array([[1, 2]])
    assert _appended(whole, pa.chunked_array([[3.0]])).to_pylist() == [1, 2, 3]
    assert _appended(whole, halves).to_pylist() == [1.0, 2.0, 0.5]
    assert _appended(whole, texts).to_pylist() == ["1", "2", "no"]
    assert _appended(texts, whole).to_pylist() == ["no", "1", "2"]


def test_noise_is_not_repeated_though_what_follows_it_is_seeded() -> None:
    X, y = array()
    made = set()
    for _ in range(2):
        sampler = MinoritySampler(budget=Budget(1.0), schema=numbers(), random_state=0)
        sampler.fit_resample(X, y)
        assert sampler.model_ is not None
        made.add(packed(sampler.model_))
    assert len(made) == 2


def test_it_can_be_cloned_and_sent_to_another_process_and_put_in_a_pipeline() -> None:
    X, y = array()
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), ledger="l", random_state=0)
    again = pickle.loads(pickle.dumps(clone(sampler)))
    assert again.get_params()["budget"] == LARGE
    assert again.get_params()["ledger"] == "l"
    steps = make_pipeline(clone(sampler).set_params(ledger=None), LogisticRegression())
    assert cross_val_score(steps, X, y, scoring="average_precision", cv=3).min() > 0.5


# ------------------------------------------------------------------ by what it is decided


def replaying(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any], bool], Any]:
    """Give a function that records the answers of a first call, and replays them in others."""
    made: list[Recording] = []

    def record(private_rows: Any, ledger: Ledger, delta: float) -> Recording:
        made.append(Recording(private_rows, ledger, delta))
        return made[-1]

    def replay(private_rows: Any, ledger: Ledger, delta: float) -> Replaying:
        return Replaying(made[0].answers, private_rows, ledger, delta, True)

    def run(call: Callable[[], Any], first: bool) -> Any:
        fit = partial(learn, accountant=record if first else replay)
        monkeypatch.setattr(growth, "learn", fit)
        return call()

    return run


def told(made: Augmentation) -> tuple[Any, ...]:
    """Give all that is said and drawn but the real rows."""
    assert made.model is not None
    drawn = made.synthetic.to_pydict()
    return packed(made.model), drawn, dict(made.counts), made.notes, list(made.summary())


@pytest.mark.parametrize("strategy", ["auto", {"yes": 300, "no": 10}])
def test_what_is_drawn_rests_on_the_answers_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: Any
) -> None:
    def grown(made: Sequence[Row]) -> Callable[[], tuple[Any, ...]]:
        path = write(tmp_path / "t.csv", made)
        budget = Budget(4.0, 1e-5)
        options: dict[str, Any] = {"sampling_strategy": strategy, "budget": budget, "seed": 3}
        return lambda: told(pipeline.augmented(path, target="out", schema=SCHEMA, **options))

    run = replaying(monkeypatch)
    told_first = run(grown(rows(150)), True)
    only_one_class = [(*row[:-1], "no") for row in rows(40)]
    no_class = [(*row[:-1], None) for row in rows(40)]
    few: list[list[Row]] = [[], [*only_one_class, *no_class]]
    many: list[list[Row]] = [rows(70, seed=1), [WORST] * 9, only_one_class, no_class]
    for others in [*few, *(many if strategy == "auto" else ())]:
        assert run(grown(others), False) == told_first


def test_the_sampler_s_rows_rest_on_the_answers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def grown(n: int, seed: int) -> Callable[[], Any]:
        def call() -> Any:
            sampler = MinoritySampler(budget=Budget(4.0), schema=SCHEMA, random_state=0)
            X, _ = sampler.fit_resample(*frame(n, seed))
            return X[sampler.synthetic_mask_].to_numpy().tolist(), sampler.sampling_strategy_

        return call

    run = replaying(monkeypatch)
    first = run(grown(200, 0), True)
    assert str(run(grown(90, 1), False)) == str(first)  # gaps are not equal to themselves


def test_no_classifier_and_no_real_row_judges_what_is_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("a real row is read outside the budget")

    for name in ("draw_selected", "draw_no_copies", "with_levels", "with_new_ids", "_rows_of"):
        monkeypatch.setattr(growth, name, never)
    for module, names in ((sampling, (chosen.__name__, "_copies")), (restoring, ("_unpooled",))):
        for name in names:
            monkeypatch.setattr(module, name, never)
    made = pipeline.augmented(
        frame()[0].assign(out=frame()[1]), target="out", schema=SCHEMA, budget=LARGE, seed=0
    )
    assert made.synthetic.num_rows
    list(made.summary())


@pytest.mark.filterwarnings("ignore:column")
def test_a_class_of_one_row_is_not_refused_for_it() -> None:
    X, y = array((300, 1))
    sampler = MinoritySampler(budget=Budget(1.0), schema=numbers(), random_state=0)
    _, y2 = sampler.fit_resample(X, y)
    assert y2[: len(y)].tolist() == y.tolist()


def test_few_noisy_rows_are_warned_of() -> None:
    X, y = array((300, 8))
    with pytest.warns(PrivsynthWarning, match="rows under the noise"):
        MinoritySampler(budget=LARGE, schema=numbers(), random_state=0).fit_resample(X, y)


def test_it_is_said_where_a_class_does_not_stand_out_of_the_noise() -> None:
    X, _ = array((300, 0))
    frame = pd.DataFrame(X, columns=["x0", "x1"]).assign(y=0)
    with pytest.warns(PrivsynthWarning, match="class 1 has about 0 rows under the noise"):
        made = pipeline.augmented(frame, target="y", schema=numbers(), budget=LARGE, seed=0)
    assert not made.synthetic.num_rows
    assert made.notes == (
        "nothing is added: a class has no row that stands out of the noise, so none can be drawn "
        "of it; allow a larger epsilon",
    )
    assert "nothing is added" in repr(made)
    assert len(repr(made)) < 600


def test_a_schema_is_taken_from_a_file(tmp_path: Path) -> None:
    X, y = array()
    numbers().to_yaml(tmp_path / "s.yaml")
    for path in (tmp_path / "s.yaml", str(tmp_path / "s.yaml")):
        sampler = MinoritySampler(budget=LARGE, schema=path, random_state=0)
        assert len(sampler.fit_resample(X, y)[1]) > len(y)


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("budget", [1.0, "1", {"epsilon": 1}])
def test_a_budget_of_another_type_is_refused(budget: Any) -> None:
    X, y = array()
    frame = pd.DataFrame(X, columns=["x0", "x1"]).assign(y=y)
    for call in (privsynth.fit, partial(privsynth.augment, target="y")):
        with pytest.raises(UsageError, match=r"expected one such as Budget\(1.0\)"):
            call(frame, schema=numbers(), budget=budget)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"engine": "cart"}, "no formal guarantee"),
        *[({"engine": name}, "no formal guarantee") for name in OVERSAMPLERS],
        ({"selection": "classifiers"}, "outside the budget"),
        ({"fit_on": "minority"}, "all rows are learnt"),
        ({"engine": "marginals", "budget": None}, "budget"),
        ({"engine": "cart", "budget": None, "ledger": "l.json"}, "give --epsilon"),
    ],
)
def test_a_plan_that_a_budget_does_not_allow_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        Plan(**{"engine": "marginals", "budget": LARGE, **options})


@pytest.mark.parametrize(
    ("schema", "options", "says"),
    [
        (None, {}, "a budget needs a schema"),
        (Schema(tuple(numbers())[:2]), {}, "beside those of X"),
        (numbers(declared=("good", "bad")), {}, "as the table spells them"),
        (numbers(1), {}, "1 classes"),
        (numbers(3), {"sampling_strategy": 0.5}, "ratio is for two classes"),
        (numbers(2), {"sampling_strategy": {0: 300, 1: -1}}, "not a whole number"),
        (numbers(2), {"sampling_strategy": lambda y: 1 / 0}, "failed with ZeroDivisionError"),
        (numbers(2), {"sampling_strategy": lambda y: {7: 300}}, "names a class '7'"),
        (numbers(2), {"sampling_strategy": lambda y: 300}, "returned int; expected a dict"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_spent(
    schema: Schema | None, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    X, y = array()
    ledger = tmp_path / "l.json"
    sampler = MinoritySampler(
        budget=LARGE, schema=schema, ledger=ledger, new_ledger=True, **options
    )
    with pytest.raises((UsageError, ValueError), match=says):
        # imbalanced-learn holds a strategy against y first
        sampler._fit_resample(X, y)
    assert not ledger.exists()


def test_a_strategy_that_fails_on_noisy_counts_costs_no_model() -> None:
    X, y = array()

    def fails_later(labels: Any) -> dict[int, int]:
        counts = np.unique(labels, return_counts=True)[1]
        return {0: 1_000, 1: 1_000 // int(counts[0] == counts[1])}

    sampler = MinoritySampler(budget=LARGE, schema=numbers(), sampling_strategy=fails_later)
    sampler.sampling_strategy_ = {}
    sampler._fit_resample(X, y)
    assert sampler.model_.ledger.budget is not None
    assert sampler.report_.synthetic.num_rows == 0
    assert "failed with ZeroDivisionError" in sampler.report_.notes[0]


def test_classes_that_are_to_be_discovered_are_not_grown() -> None:
    X, y = array()
    open_target = Schema(
        (*tuple(numbers())[:2], Column("y", Kind.CATEGORICAL, "int64", None, Source.DISCOVERED))
    )
    with pytest.raises(UsageError, match="list the 'levels'"):
        MinoritySampler(budget=LARGE, schema=open_target).fit_resample(X, y)


def test_the_ledger_counts_every_call(tmp_path: Path) -> None:
    X, y = array()
    ledger = tmp_path / "l.json"
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), ledger=ledger, random_state=0)
    sampler.set_params(new_ledger=True).fit_resample(X, y)
    sampler.set_params(new_ledger=False)
    assert len(json.loads(ledger.read_text())["entries"]) == 1
    with pytest.raises(BudgetExceeded):
        sampler.fit_resample(X, y)


# ------------------------------------------------------------------ the command


def augment(folder: Path, *more: object) -> Result:
    given = [folder / "t.csv", "-o", folder / "o.csv", "--target", "out", "--schema"]
    return CliRunner().invoke(
        main, ["augment", *map(str, given), str(folder / "s.yaml"), *map(str, more)]
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write(tmp_path / "t.csv", rows(400, per_unit=2))
    SCHEMA.to_yaml(tmp_path / "s.yaml")
    return tmp_path


def test_the_command_says_what_is_private_and_what_is_not(place: Path) -> None:
    result = augment(place, "--epsilon", 10, "--ledger", place / "l.json", "--new-ledger")
    assert result.exit_code == 0, result.output
    (line,) = [line for line in result.stderr.splitlines() if "no private release" in line]
    assert "only the model behind the synthetic rows is" in line
    assert "(10, 1e-06)-differential privacy" in result.stderr
    assert "SMOTE" not in result.stderr
    assert "seed" not in result.stderr, "no seed repeats the noise"
    assert json.loads((place / "l.json").read_text())["entries"][0]["epsilon"] == 10
    given, grown = ((place / name).read_text().splitlines() for name in ("t.csv", "o.csv"))
    assert [line.rsplit(",", 1)[0] for line in grown[: len(given)]] == given
    added = pd.read_csv(place / "o.csv").query("synthetic")
    assert set(added["out"]) == {"yes"}
    assert augment(place, "--epsilon", 10, "--ledger", place / "l.json").exit_code == 2


def test_the_command_keeps_to_a_unit_and_a_ratio(place: Path) -> None:
    more = ["--unit", "who", "--rows-per-unit", 2, "--delta", 1e-5, "--ratio", 0.9]
    result = augment(place, "--epsilon", 50, *more, "--no-flag")
    assert result.exit_code == 0, result.output
    assert "unit: who" in result.stderr
    share = (pd.read_csv(place / "o.csv")["out"] == "yes").mean()
    assert share == pytest.approx(0.47, abs=0.06)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--epsilon", "1", "--engine", "smote"], "no formal guarantee"),
        (["--epsilon", "1", "--selection", "classifiers"], "outside the budget"),
        (["--epsilon", "1", "--fit-on", "minority"], "all rows are learnt"),
        (["--epsilon", "1", "--judge"], "spend the budget again"),
        (["--epsilon", "0"], "above 0"),
        (["--epsilon", "1", "--sampling-strategy", '{"maybe": 9}'], "no row has"),
        (["--delta", "1e-5"], "give --epsilon too"),
        (["--ledger", "l.json"], "give --epsilon too"),
        (["--engine", "mst"], "give one with --epsilon"),
    ],
)
def test_what_a_budget_does_not_allow_is_refused_in_one_line(
    place: Path, more: list[str], says: str
) -> None:
    result = augment(place, *more)
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert says in line
    assert not (place / "o.csv").exists()


def test_standard_input_is_read_once_and_a_budget_wants_it_twice(place: Path) -> None:
    given = ["augment", "-", "-o", str(place / "o.csv"), "--target", "out", "--epsilon", "1"]
    result = CliRunner().invoke(main, [*given, "--schema", str(place / "s.yaml")], input="a\n1\n")
    assert result.exit_code == 2
    assert "name a file" in result.stderr


# ------------------------------------------------------------------ what it is worth


def people() -> tuple[pd.DataFrame, Schema]:
    """Give a few columns of the shipped census, and what its codebook declares of them."""
    found = pd.read_csv(PEOPLE)
    texts = ("marital-status", "relationship", "sex", "income")
    whole = {"age": (17, 90), "education-num": (1, 16), "hours-per-week": (1, 99)}
    columns = [
        *(Column(c, Kind.INTEGER, "int64", Bounds(*ends), GIVEN) for c, ends in whole.items()),
        *(
            Column(c, Kind.CATEGORICAL, "string", Levels(tuple(sorted(found[c].unique()))), GIVEN)
            for c in texts
        ),
    ]
    return found[[*whole, *texts]], Schema(tuple(columns)).with_target("income")


def test_synthetic_rows_stand_in_for_the_rare_class_they_are_of() -> None:
    table, schema = people()
    train, test = table.iloc[:6000], table.iloc[6000:]
    made = pipeline.augmented(train, target="income", schema=schema, budget=Budget(3.0), seed=0)
    drawn = made.synthetic.to_pandas()
    assert schema["income"].role is Role.TARGET
    assert set(drawn["income"]) == {">50K"}
    real = train[train["income"] == ">50K"]
    assert math.isclose(drawn["age"].mean(), real["age"].mean(), abs_tol=3)
    # Trained with none of the real rare rows, a classifier still tells them.
    without = pd.concat([train[train["income"] == "<=50K"], drawn])
    scores = []
    for rows_ in (without, train):
        X, levels = features(rows_, None)
        model = HistGradientBoostingClassifier(random_state=0).fit(X, rows_["income"] == ">50K")
        chance = model.predict_proba(features(test, levels)[0])[:, 1]
        scores.append(roc_auc_score(test["income"] == ">50K", chance))
    assert scores[1] > 0.85
    assert scores[0] > scores[1] - 0.06


def features(table: pd.DataFrame, columns: Any) -> tuple[pd.DataFrame, Any]:
    coded = pd.get_dummies(table.drop(columns="income"))
    coded = coded if columns is None else coded.reindex(columns=columns, fill_value=False)
    return coded, coded.columns


def read_alike(made: Any) -> list[list[int]]:
    """Give the codes that text levels have, without the last row."""
    levels = Levels(("1", "2", "true", "false"))
    column = Column("x0", Kind.CATEGORICAL, "string", levels, Source.DECLARED)
    codec = declared_codec(Schema((column,)))
    frame = _framed(made, np.zeros(len(made)), Schema((column, replace(column, name="y"))))[0]
    return codec.encode(read(frame[["x0"]], total=True).to_arrow())[: len(made) - 1].tolist()


@pytest.mark.parametrize("values", [[1.0, 2.0], [True, False], [1, 2], ["1", "2"]])
def test_no_cell_decides_how_another_is_read(values: list[Any]) -> None:
    plain = np.array([[value] for value in [*values * 3, values[0]]], dtype=object)
    odd = np.array([[value] for value in [*values * 3, "odd"]], dtype=object)
    assert read_alike(plain) == read_alike(odd)
    assert len({row[0] for row in read_alike(plain)}) == 2


def test_classes_that_no_row_holds_are_given_back_whole() -> None:
    X, y = array()
    declared = numbers(declared=("no", "a longer one"))
    sampler = MinoritySampler(budget=LARGE, schema=declared, random_state=0)
    given = np.where(y == 1, "odd", "no")  # a type of three letters
    _, y2 = sampler.fit_resample(X, given)
    assert set(y2[sampler.synthetic_mask_]) <= {"no", "a longer one", "(other)"}


def test_infinite_numbers_in_an_array_are_not_refused() -> None:
    X, y = array()
    X[0, 0] = np.inf
    sampler = MinoritySampler(budget=LARGE, schema=numbers(), random_state=0)
    X2, _ = sampler.fit_resample(X, y)
    assert np.isinf(X2[0, 0])
    assert np.isfinite(X2[sampler.synthetic_mask_]).all()
    assert sampler.synthetic_mask_.any()


def test_an_odd_class_changes_no_type_and_no_strategy() -> None:
    X, y = array()
    frame = pd.DataFrame(X, columns=["x0", "x1"])
    made = [
        privsynth.augment(
            frame.assign(y=[*y[:-1].tolist(), last]),
            target="y",
            schema=numbers(2),
            budget=LARGE,
            sampling_strategy={"1": 400},
            random_state=0,
        )
        for last in (int(y[-1]), 1.5, "x")
    ]
    for each in made:
        drawn = each[each["synthetic"]]["y"]
        assert set(drawn.astype(str)) <= {"1", "1.0"}
