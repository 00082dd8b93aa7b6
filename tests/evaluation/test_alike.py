"""Tables of one evaluation are read alike, whatever odd cell one of them holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

import privsynth
from privsynth.fitting import learn
from privsynth.privacy.budget import Budget

N = 400


def table(seed: int, n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "ok": rng.choice(["True", "False"], n, p=[0.7, 0.3]),
            "code": rng.choice(["1.50", "2.00", "3.25"], n),
            "when": pd.to_datetime("2024-01-01")
            + pd.to_timedelta(rng.integers(0, 90, n), unit="D"),
            "x": rng.normal(size=n).round(3),
            "label": rng.choice(["no", "yes"], n, p=[0.8, 0.2]),
        }
    )


def odd(frame: pd.DataFrame) -> pd.DataFrame:
    """The same rows and one more, whose cells are of another kind than all others."""
    texts = frame.astype({"when": str})
    row = {"ok": "maybe", "code": "?", "when": "soon", "x": 0.5, "label": "no"}
    return pd.concat([texts, pd.DataFrame([row])], ignore_index=True)


def value(report: Any, name: str) -> float:
    (score,) = [score for score in report.scores if score.name == name]
    return float(score.value)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table(0).to_csv("train.csv", index=False)
    odd(table(0)).to_csv("odd.csv", index=False)
    table(1).to_csv("holdout.csv", index=False)
    pd.concat([odd(table(0)), table(1).astype({"when": str})]).to_csv("whole.csv", index=False)
    return tmp_path


@pytest.mark.usefixtures("place")
def test_one_odd_cell_hides_no_copy_of_the_training_rows() -> None:
    table(0).to_csv("copies.csv", index=False)
    for train in ("train.csv", "odd.csv"):
        report = privsynth.evaluate(
            "copies.csv", train=train, holdout="holdout.csv", target="label"
        )
        assert value(report, "exact_replicas") > 0.9, train
        assert value(report, "records_at_risk") > 0.9 * N, train


@pytest.mark.usefixtures("place")
def test_one_odd_cell_does_not_keep_the_holdout_in_the_training_table() -> None:
    report = privsynth.evaluate(
        table(2), train="whole.csv", holdout="holdout.csv", target="label", attacks=False
    )
    assert report.evaluation.about["rows"]["train"] == N + 1


@pytest.mark.usefixtures("place")
def test_an_odd_cell_of_another_table_is_missing_and_the_rest_is_read() -> None:
    odd(table(2)).to_csv("synthetic.csv", index=False)
    report = privsynth.evaluate("synthetic.csv", train="train.csv", target="label", attacks=False)
    notes = [note for note in report.notes if "count as missing" in note]
    assert [note.split("'")[1] for note in notes] == ["ok", "code", "when"]
    assert all("synthetic table: 1 cells" in note for note in notes)


TEXT = {"kind": "categorical", "dtype": "string"}
SCHEMA = {
    "columns": [
        {"name": "ok", **TEXT, "levels": ["True", "False"]},
        {"name": "code", **TEXT, "levels": ["1.50", "2.00", "3.25"]},
        {
            "name": "when",
            "kind": "datetime",
            "dtype": "date32[day]",
            "bounds": ["2024-01-01", "2024-03-31"],
        },
        {"name": "x", "kind": "numeric", "dtype": "double", "bounds": [-4, 4], "decimals": 3},
        {"name": "label", **TEXT, "levels": ["no", "yes"]},
    ]
}  # fmt: skip


@pytest.mark.usefixtures("place")
@pytest.mark.filterwarnings("ignore::privsynth.PrivsynthWarning")
@pytest.mark.parametrize(
    "train",
    [
        "odd.csv",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("train.csv", "ragged.csv")),
    ],
)
def test_what_fits_under_a_budget_is_evaluated_and_audited_too(train: str) -> None:
    Path("ragged.csv").write_text(Path("odd.csv").read_text() + "True,1.50\n")
    Path("s.yaml").write_text(yaml.safe_dump(SCHEMA))
    model = privsynth.fit(train, target="label", schema="s.yaml", budget=Budget(50.0), seed=0)
    assert model.schema["ok"].dtype == "string"
    model.save("m.psyn")
    report = privsynth.evaluate(
        model.sample(N, seed=0), train=train, holdout="holdout.csv", model="m.psyn", audit="deep"
    )
    assert value(report, "audit_epsilon") >= 0
    agreement = {s.name: s.value for s in report.scores if s.family == "fidelity"}
    assert min(figure for figure in agreement.values() if figure is not None) > 0.5, agreement


@pytest.mark.slow
@pytest.mark.usefixtures("place")
def test_an_audit_under_a_budget_fits_to_the_rows_as_they_are_spelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from privsynth.fitting import replay

    Path("s.yaml").write_text(yaml.safe_dump(SCHEMA))
    model = privsynth.fit("odd.csv", target="label", schema="s.yaml", budget=Budget(50.0), seed=0)
    model.save("m.psyn")
    told = []

    def noted(train: Any, *task: Any, **more: Any) -> Any:
        told.append(train.to_arrow(["ok"])["ok"].to_pylist())
        return learn(train, *task, **more)

    monkeypatch.setattr(replay, "learn", noted)
    privsynth.evaluate(
        model.sample(50, seed=0),
        train="odd.csv",
        holdout="holdout.csv",
        model="m.psyn",
        audit="deep",
    )
    assert told
    for rows in told:
        assert set(rows) <= {"True", "False", "maybe"}


def test_without_attacks_no_policy_is_told_of(place: Path) -> None:
    report = privsynth.evaluate(table(2), train="train.csv", target="label", attacks=False)
    assert report.findings is None
    assert report.passed is None
    assert "findings" not in report.evaluation.about
