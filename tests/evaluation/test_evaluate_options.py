"""Every engine with every option of `evaluate`: a defined exit code, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from privsynth.artefact import FittedModel, load, packed
from privsynth.cli.program import main
from privsynth.engines.registry import ENGINES, OVERSAMPLERS, PRIVATE
from privsynth.errors import UsageError
from privsynth.evaluation import evaluators
from privsynth.evaluation.attacks import audit
from privsynth.fitting import learn, replay, rows_to_learn
from privsynth.table import Table
from privsynth.task import FitTask

NETWORKS = ("sdv-ctgan", "sdv-tvae", "sdv-copula-gan")
NUMBERS = tuple(name for name in OVERSAMPLERS if name not in ("smotenc", "random"))
ROWS = ("--unit", "row")
FITS: dict[str, tuple[str, ...]] = {
    **{name: ("--engine", name) for name in ENGINES if name not in NETWORKS},
    **{
        name: ("--engine", name, "--set", "epochs=1", "--set", "batch_size=100")
        for name in NETWORKS
    },
    **{name: ("--engine", name, "--epsilon", "3", *ROWS) for name in (*PRIVATE, "copula")},
    **{name: ("--engine", name, "--minority", "--allow-rows") for name in OVERSAMPLERS},
    "cart-minority": ("--engine", "cart", "--minority"),
    "marginals-minority": ("--engine", "marginals", "--epsilon", "3", "--minority", *ROWS),
    "marginals-unit": (
        *("--engine", "marginals", "--epsilon", "3", "--unit", "person_id"),
        *("--rows-per-unit", "2"),
    ),
}
FITS["copula-exact"] = ("--engine", "copula")
OPTIONS: dict[str, tuple[tuple[str, ...], set[int]]] = {
    "nothing": ((), {0}),
    "strict": (("--policy", "strict"), {1}),
    "standard": (("--policy", "standard"), {0, 1}),
    "internal": (("--policy", "internal"), {0, 1}),
    "a file of a policy": (("--policy", "policy.yaml"), {0, 1}),
    "audit": (("--audit", "deep"), {0}),
    "audit and policy": (("--audit", "deep", "--policy", "standard"), {0, 1}),
    "audit without attacks": (("--audit", "deep", "--no-attacks"), {2}),
    "records at risk": (("--records-at-risk", "risk.csv"), {0}),
    "no attacks": (("--no-attacks",), {0}),
    "no attacks and policy": (("--no-attacks", "--policy", "standard"), {2}),
    "schema": (("--schema", "schema.yaml"), {0}),
    "target": (("--target", "Class"), {0}),
    "no such target": (("--target", "Clas"), {2}),
    "seed": (("--seed", "7"), {0}),
    "encoding": (("--encoding", "latin-1"), {0}),
    "reports": (("-o", "report.html", "--json", "report.json"), {0}),
}


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def table(rows: int, seed: int, numbers: bool) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bad = rng.random(rows) < 0.25
    frame = pd.DataFrame(
        {
            "person_id": [f"P{seed}{i // 2:05d}" for i in range(rows)],
            "age": rng.integers(18, 80, rows),
            "paid": rng.gamma(2, np.where(bad, 20, 60)).round(2),
        }
    )
    if not numbers:
        frame["town"] = rng.choice(["Ulm", "Bonn", "Trier"], rows)
    return frame.assign(Class=np.where(bad, "bad", "good"))


SCHEMA = """
columns:
- {name: person_id, kind: id}
- {name: age, kind: integer, bounds: [18, 80]}
- {name: paid, kind: numeric, bounds: [0, 500], decimals: 2}
- {name: town, kind: categorical, levels: [Bonn, Trier, Ulm]}
- {name: Class, kind: categorical, levels: [bad, good], role: target}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of every engine, each in a folder with its tables."""
    return tmp_path_factory.mktemp("models")


def folder_of(house: Path, name: str) -> Path:
    folder = house / name
    if folder.exists():
        return folder
    folder.mkdir()
    numbers = name in NUMBERS
    for part, rows, seed in (("train", 400, 0), ("holdout", 200, 1)):
        table(rows, seed, numbers).to_csv(folder / f"{part}.csv", index=False)
    schema = "\n".join(line for line in SCHEMA.splitlines() if not numbers or "town" not in line)
    (folder / "schema.yaml").write_text(schema)
    (folder / "policy.yaml").write_text("name: mine\nartefact_hits: 100\n")
    given = ["--target", "Class", "--seed", 0, *FITS[name]]
    if "--epsilon" in FITS[name]:
        given += ["--schema", folder / "schema.yaml", "--delta", "1e-5"]
        given += [] if "--unit" in FITS[name] else ["--unit", "row"]
    result = privsynth("fit", folder / "train.csv", "-o", folder / "m.psyn", *given)
    assert result.exit_code == 0, result.output
    result = privsynth(
        "sample", folder / "m.psyn", "-n", 300, "-o", folder / "synthetic.csv", "--seed", 0
    )
    assert result.exit_code == 0, result.output
    return folder


def evaluated(folder: Path, options: tuple[str, ...], holdout: bool = True) -> Result:
    here = [folder / o if o.endswith((".yaml", ".csv", ".html", ".json")) else o for o in options]
    real = ["--train", folder / "train.csv", "--model", folder / "m.psyn"]
    if holdout:
        real += ["--holdout", folder / "holdout.csv"]
    return privsynth("evaluate", folder / "synthetic.csv", *real, *here)


def check(result: Result, codes: set[int]) -> None:
    assert result.exit_code in codes, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    assert "a bug in privsynth" not in result.output


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what no option changes, and fit anew twice only."""
    monkeypatch.setattr(evaluators, "EVALUATORS", ())
    monkeypatch.setattr(evaluators, "ATTACKS", ())
    monkeypatch.setitem(audit.audit.__kwdefaults__, "runs", 2)


ENGINE_PARAMS = [
    pytest.param(name, marks=pytest.mark.slow) if name in NETWORKS else name for name in FITS
]


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", ENGINE_PARAMS)
def test_every_engine_and_option_ends_in_a_defined_exit_code(
    house: Path, name: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    options, codes = OPTIONS[option]
    folder = folder_of(house, name)
    check(
        evaluated(folder, options), codes | ({1} if name in OVERSAMPLERS and 0 in codes else set())
    )


@pytest.mark.parametrize("name", ENGINE_PARAMS)
def test_every_engine_is_evaluated_without_a_holdout(
    house: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    folder = folder_of(house, name)
    check(evaluated(folder, (), holdout=False), {0})
    check(evaluated(folder, ("--records-at-risk", "risk.csv"), holdout=False), {2})
    check(evaluated(folder, ("--audit", "deep"), holdout=False), {0})


@pytest.mark.slow
@pytest.mark.parametrize("name", FITS)
def test_every_engine_stands_the_whole_evaluation(house: Path, name: str) -> None:
    folder = folder_of(house, name)
    check(evaluated(folder, ("--policy", "standard", "--records-at-risk", "risk.csv")), {0, 1})


def audited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict, list[FitTask]]:
    """The audit's score, and what was fitted for it."""
    quick(monkeypatch)
    tasks: list[FitTask] = []

    def noted(train: Table, task: FitTask, **more: Any) -> FittedModel:
        tasks.append(task)
        assert more.get("spending_file") is None
        return learn(train, task, **more)

    monkeypatch.setattr(replay, "learn", noted)
    result = evaluated(folder, ("--audit", "deep", "--json", "audit.json"))
    assert result.exit_code == 0, result.output
    scores = json.loads((folder / "audit.json").read_text())["scores"]
    return next(score for score in scores if score["name"] == "audit_epsilon"), tasks


@pytest.mark.parametrize("name", ["marginals", "copula", "mst", "independent", "marginals-unit"])
def test_the_audit_of_a_budgeted_model_spends_its_budget_anew(
    house: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(house, name)
    model = load(folder / "m.psyn")
    score, tasks = audited(folder, monkeypatch)
    assert score["value"] >= 0
    assert {task.budget for task in tasks} == {model.ledger.budget}
    assert {task.engine for task in tasks} == {model.card["engine"]}
    assert "claim violated" not in score["meaning"]


def test_the_audit_writes_into_no_ledger(
    house: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(house, "marginals")
    before = sorted(path.name for path in folder.iterdir())
    audited(folder, monkeypatch)
    assert {path.name for path in folder.iterdir()} - set(before) <= {"audit.json"}


def test_a_fit_is_replayed_as_it_was_declared(tmp_path: Path) -> None:
    import privsynth as face

    frame = table(400, 0, False)
    (tmp_path / "s.yaml").write_text(
        "columns:\n- {name: age, kind: categorical}\n- {name: paid, bounds: [10, 90]}\n"
    )
    model = face.fit(
        frame,
        engine="copula",
        target="Class",
        schema=tmp_path / "s.yaml",
        k=7,
        seed=0,
        minority=True,
    )
    model.save(tmp_path / "m.psyn")
    again = load(tmp_path / "m.psyn").task
    assert (again.engine, again.k, again.minority, again.budget) == ("copula", 7, True, None)
    assert again.target == "Class"
    assert again.declared is not None
    assert {c.name: set(c.stated) for c in again.declared} == {
        "age": {"kind"},
        "paid": {"domain"},
    }
    from privsynth.table import read

    same = learn(rows_to_learn(read(frame), again), again)
    assert packed(same) == packed(model)


def test_a_model_that_was_fitted_to_measurements_is_measured_anew(tmp_path: Path) -> None:
    import privsynth as face

    frame = table(400, 0, False)
    (tmp_path / "s.yaml").write_text(SCHEMA)
    first = face.fit(
        frame,
        target="Class",
        schema=tmp_path / "s.yaml",
        budget=face.Budget(3, 1e-5, "row"),
        seed=0,
    )
    second = face.fit(face.fit(first, engine="mst"), engine="independent")
    task = second.task
    assert task.engine == "independent"
    assert task.measured_by is not None
    assert task.measured_by[0] == "marginals"
    from privsynth.table import read

    again = learn(read(frame, total=True), task)
    assert again.card["engine"] == "independent"
    assert again.ledger.budget == first.ledger.budget


def test_a_model_of_an_older_card_says_that_it_cannot_be_replayed(house: Path) -> None:
    from dataclasses import replace

    model = load(folder_of(house, "cart") / "m.psyn")
    old = replace(model, card=replace(model.card, declared=None))
    with pytest.raises(UsageError, match="fit the model anew"):
        _ = old.task


def test_a_fit_that_fails_on_planted_rows_is_inconclusive() -> None:
    from privsynth.evaluation.policy import POLICIES, Verdict, apply_policy
    from privsynth.evaluation.score import Evaluation

    scores = audit.unable("a class is held by fewer than 10 rows")
    findings = apply_policy(
        Evaluation(scores, {"rows": {"holdout": 2000}}, ()), POLICIES["standard"]
    )
    (finding,) = [f for f in findings if f.score == "audit_epsilon"]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "fewer than 10 rows" in finding.words


@pytest.mark.parametrize(
    "units",
    [
        None,
        pd.Series(pd.Timestamp.max).repeat(400).dt.floor("us"),
        pd.Series(np.linspace(1e300, 1.7e308, 400)),
        pd.Series(np.arange(400) % 256, dtype="uint8"),
        pd.Series(["a", "b"] * 200, dtype="category"),
        pd.Series([True, False] * 200),
    ],
    ids=["text", "the last moment", "large floats", "every uint8", "categories", "truths"],
)
def test_units_are_planted_with_all_their_rows_and_names_of_their_own(
    units: pd.Series | None,
) -> None:
    from privsynth.privacy.budget import Budget

    frame = table(400, 0, False)
    import privsynth as face

    if units is not None:
        frame["person_id"] = units.to_numpy()

    schema = face.propose_schema(frame)
    seen: list[pd.DataFrame] = []

    def refit(given: pd.DataFrame, seed: int) -> pd.DataFrame:
        seen.append(given)
        return given

    budget = Budget(1.0, 1e-5, "person_id", 2)
    (score,) = audit.audit(frame, schema, refit, budget=budget, runs=2, canaries=30)
    for given in seen:
        planted = given.iloc[len(frame) :]
        sizes = planted["person_id"].value_counts()
        assert set(sizes) == {2}
        assert not set(planted["person_id"]) & set(frame["person_id"])
    assert "claim violated" in score.meaning  # the rows were handed back
