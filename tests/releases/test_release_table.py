"""Every engine with every option of `release`: a defined end, and nothing half-done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import privsynth
from privsynth import releases
from privsynth.cli.program import main
from privsynth.engines.registry import ENGINES, OVERSAMPLERS, PRIVATE
from privsynth.evaluation import evaluators
from privsynth.evaluation.policy import Policy, apply_policy, passed
from privsynth.evaluation.score import Evaluation
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER, "int64", Bounds(0, 99), Source.DECLARED),
        Column("paid", Kind.NUMERIC, "double", Bounds(0.0, 1e3), Source.DECLARED),
        Column("sick", Kind.CATEGORICAL, "string", Levels(("no", "yes")), Source.DECLARED),
    )
).with_target("sick")
BUDGETED = (*PRIVATE, "copula")
CASES = [
    *((name, False) for name in (*ENGINES, *OVERSAMPLERS)),
    *((name, True) for name in BUDGETED),
]
EPOCHS = {"sdv-ctgan": {"epochs": 1}, "sdv-tvae": {"epochs": 1}, "sdv-copula-gan": {"epochs": 1}}


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sick = rng.random(n) < 0.3
    return pd.DataFrame(
        {
            "age": rng.integers(0, 90, n),
            "paid": rng.gamma(2, np.where(sick, 30, 60)).round(2),
            "sick": np.where(sick, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("table")
    people(300, 0).to_csv(folder / "train.csv", index=False)
    people(150, 1).to_csv(folder / "holdout.csv", index=False)
    people(300, 0).to_csv(folder / "utf16.csv", index=False, encoding="utf-16")
    (folder / "floor.yaml").write_text("floors:\n  marginal_agreement_2way: 0.9999\n")
    (folder / "easy.yaml").write_text("missed: warn\nartefact_hits: 1000\n")
    (folder / "bad.yaml").write_text("linkabilty: 0.2\n")
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as s

    pem, plain = s.Encoding.PEM, s.NoEncryption()
    made = ed25519.Ed25519PrivateKey.generate()
    (folder / "key.pem").write_bytes(made.private_bytes(pem, s.PrivateFormat.PKCS8, plain))
    return folder


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case[0] + "-budget" * case[1])
def model(request: pytest.FixtureRequest, folder: Path) -> Path:
    name, private = request.param
    path = folder / f"{name}{private}.psyn"
    given: dict[str, Any] = {"engine": name, "seed": 1, "settings": EPOCHS.get(name)}
    if private:
        given |= {"schema": SCHEMA, "budget": privsynth.Budget(3.0)}
    fitted = privsynth.fit(
        folder / "train.csv", target="sick", minority=name in OVERSAMPLERS, **given
    )
    fitted.save(path, allow_rows=True)
    return path


@pytest.fixture(scope="module")
def quick() -> Callable[..., Evaluation]:
    """`evaluate_frames`, which is asked once for the same tables."""
    known: dict[tuple[Any, ...], Evaluation] = {}
    true = evaluators.evaluate_frames

    def digest(rows: pd.DataFrame | None) -> int | None:
        return None if rows is None else int(pd.util.hash_pandas_object(rows).sum())

    def asked(
        train: Any, holdout: Any, made: Any, *rest: Any, seed: int = 0, **more: Any
    ) -> Evaluation:
        key = (digest(train), digest(holdout), digest(made), seed)
        if key not in known:
            known[key] = true(train, holdout, made, *rest, seed=seed, **more)
        return known[key]

    return asked


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(folder: Path, model: Path, out: Path, *options: object) -> Result:
    chosen = [str(folder / o[1:]) if str(o).startswith("@") else str(o) for o in map(str, options)]
    given = ["release", model, "-n", 100, "-o", out]
    given += [] if "--train" in chosen else ["--train", folder / "train.csv"]
    given += [] if "--none" in chosen else ["--holdout", folder / "holdout.csv"]
    given += [] if "--seed" in chosen else ["--seed", 3]
    return CliRunner().invoke(main, [*map(str, given), *(o for o in chosen if o != "--none")])


OPTIONS: dict[str, tuple[object, ...]] = {
    "nothing": (),
    "strict": ("--policy", "strict"),
    "standard": ("--policy", "standard"),
    "internal": ("--policy", "internal"),
    "a policy that is missed": ("--policy", "@floor.yaml"),
    "a policy that is easy": ("--policy", "@easy.yaml"),
    "an accepted risk": ("--accept-risk", "for a test"),
    "an accepted risk beside a policy": ("--policy", "@floor.yaml", "--accept-risk", "for a test"),
    "a key": ("--sign", "@key.pem"),
    "a key and an accepted risk": ("--sign", "@key.pem", "--accept-risk", "for a test"),
    "no holdout": ("--none",),
    "no holdout, strict": ("--none", "--policy", "strict"),
    "a seed": ("--seed", 4),
    "an encoding": ("--train", "@utf16.csv", "--encoding", "utf-16"),
}
WRONG: dict[str, tuple[object, ...]] = {
    "a policy that is none": ("--policy", "strickt"),
    "a policy that cannot be used": ("--policy", "@bad.yaml"),
    "a blank reason": ("--accept-risk", " "),
    "a key that is none": ("--sign", "@train.csv"),
    "a key that is not there": ("--sign", "@none.pem"),
    "a table that is not there": ("--train", "@none.csv"),
    "a seed below zero": ("--seed", -1),
    "no rows": ("-n", 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("option", OPTIONS)
def test_every_engine_with_every_option_ends_as_its_policy_says(
    option: str,
    model: Path,
    folder: Path,
    quick: Callable[..., Evaluation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluators, "evaluate_frames", quick)
    out = tmp_path / "out"
    options = OPTIONS[option]
    result = run(folder, model, out, *options)
    assert result.exit_code in (0, 1), result.output
    assert "Traceback" not in result.output
    accepted = "--accept-risk" in options
    if result.exit_code == 1:
        assert not accepted
        assert "FAIL" in result.stdout or "INCONCLUSIVE" in result.stdout
        assert list(tmp_path.iterdir()) == []
        return
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert releases.verify(out, model=model) == ()
    fitted = privsynth.load(model)
    part = out / "restricted" if fitted.ledger.budget is not None else out
    assert (part / "card.json").is_file()
    assert (out / "public").is_dir() == (part != out)
    card = json.loads((part / "card.json").read_text())
    found = Evaluation.from_json((part / "evaluation.json").read_text())
    claim = fitted.ledger.guarantee().epsilon
    met = passed(apply_policy(found, Policy.from_dict(card["policy"]), claim=claim))
    assert card["passed"] == met
    assert met or accepted
    assert card["accepted_risk"] == ("for a test" if accepted else None)
    assert (card["signed_by"] is not None) == ("--sign" in options)
    if options:
        return
    # One that is missed leaves the old one as it is.
    before = contents(out)
    missed = run(folder, model, out, "--policy", "@floor.yaml")
    assert missed.exit_code == 1
    assert contents(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("option", WRONG)
def test_a_wrong_option_is_refused_and_leaves_the_old_release(
    option: str, folder: Path, tmp_path: Path
) -> None:
    path = folder / "plain.psyn"
    if not path.exists():
        privsynth.fit(folder / "train.csv", engine="copula", target="sick", seed=1).save(path)
    out = tmp_path / "out"
    out.mkdir()
    (out / "card.json").write_text('{"format": "privsynth-card"}')  # an older release, in short
    result = run(folder, path, out, *WRONG[option])
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("privsynth: error: ")
    assert (out / "card.json").read_text() == '{"format": "privsynth-card"}'
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
