"""`evaluate --policy`, `release` and `verify` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from privsynth import pipeline
from privsynth.cli.program import main


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(result: Result) -> Result:
    assert result.exit_code == 0, result.output
    return result


def rows(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < 0.2
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "paid": rng.gamma(2, np.where(bad, 20, 60)).round(2),
            "ratio": rng.normal(bad * 1.0).round(4),
            "town": rng.choice(["Ulm", "Bonn", "Trier"], n),
            "Class": np.where(bad, "bad", "good"),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    for name, n, seed in (("train", 2400, 0), ("holdout", 1200, 1), ("fresh", 2400, 2)):
        rows(n, seed).to_csv(folder / f"{name}.csv", index=False)
    done(
        privsynth(
            "fit", folder / "train.csv", "-o", folder / "m.psyn", "--target", "Class", "--seed", 7
        )
    )
    return folder


def judged(folder: Path, synthetic: Path, *more: object) -> Result:
    given = ["--train", folder / "train.csv", "--holdout", folder / "holdout.csv"]
    return privsynth("evaluate", synthetic, *given, "--target", "Class", *more)


def test_fresh_rows_meet_the_standard_policy(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    done(judged(folder, folder / "fresh.csv", "--policy", "standard", "--json", out))
    about = json.loads(out.read_text())["about"]
    assert about["policy"]["name"] == "standard"
    assert not any(finding["fails"] for finding in about["findings"])


def test_copies_miss_it_and_are_named(folder: Path, tmp_path: Path) -> None:
    train, fresh = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "fresh"))
    leaky = pd.concat([train.iloc[:240], fresh.iloc[240:]])
    leaky.to_csv(tmp_path / "leaky.csv", index=False)
    at_risk = tmp_path / "risk.csv"
    more = ["--policy", "standard", "--records-at-risk", at_risk]
    result = judged(folder, tmp_path / "leaky.csv", *more)
    assert result.exit_code == 1, result.output
    assert "exact_replicas: FAIL" in result.stdout
    named = pd.read_csv(at_risk)
    assert len(named.merge(train.iloc[:240].drop_duplicates())) > 0.9 * 240
    assert len(named) < 1.1 * 240


def test_without_a_holdout_most_is_inconclusive_and_strict_fails(folder: Path) -> None:
    given = ["evaluate", folder / "fresh.csv", "--train", folder / "train.csv"]
    result = privsynth(*given, "--target", "Class", "--policy", "strict")
    assert result.exit_code == 1
    assert "INCONCLUSIVE" in result.stdout
    assert done(privsynth(*given, "--target", "Class", "--policy", "standard")).exit_code == 0


def test_a_holdout_of_training_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    train = pd.read_csv(folder / "train.csv")
    fresh = pd.read_csv(folder / "fresh.csv")
    pd.concat([train.iloc[:400], fresh.iloc[:400]]).to_csv(tmp_path / "h.csv", index=False)
    given = ["--train", folder / "train.csv", "--holdout", tmp_path / "h.csv"]
    result = privsynth("evaluate", folder / "fresh.csv", *given, "--target", "Class")
    assert result.exit_code == 2
    assert "holdout rows equal training rows" in result.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--policy", "strickt"], "strict"),
        (["--policy", "standard", "--no-attacks"], "do not leave them out"),
        (["--audit", "deep"], "needs the model"),
    ],
)
def test_wrong_usage_is_refused(more: list[object], message: str, folder: Path) -> None:
    result = judged(folder, folder / "fresh.csv", *more)
    assert result.exit_code == 2, result.output
    assert message in result.stderr


def test_no_attacks_leaves_them_out(folder: Path, tmp_path: Path) -> None:
    done(judged(folder, folder / "fresh.csv", "--no-attacks", "--json", tmp_path / "e.json"))
    scores = json.loads((tmp_path / "e.json").read_text())["scores"]
    assert not any(score["family"] == "attacks" for score in scores)


@pytest.mark.slow
def test_the_deep_audit_bounds_epsilon(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.json"
    done(
        judged(
            folder,
            folder / "fresh.csv",
            "--model",
            folder / "m.psyn",
            "--audit",
            "deep",
            "--json",
            out,
        )
    )
    scores = {score["name"]: score for score in json.loads(out.read_text())["scores"]}
    assert scores["audit_epsilon"]["low"] < 1.5
    assert scores["artefact_hits"]["value"] == 0


def test_a_release_is_written_and_verifies_until_something_is_changed(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "release"
    given = ["--train", folder / "train.csv", "--holdout", folder / "holdout.csv"]
    result = done(
        privsynth("release", folder / "m.psyn", "-n", 500, "-o", out, *given, "--seed", 3)
    )
    assert "salt" in result.stderr
    names = {path.name for path in out.iterdir()}
    assert names >= {"synthetic.csv", "report.html", "card.json", "SHA256SUMS", "croissant.json"}
    done(privsynth("verify", out, "--model", folder / "m.psyn"))
    card = (out / "card.json").read_text()
    assert "no formal guarantee" in card
    table = (out / "synthetic.csv").read_text()
    (out / "synthetic.csv").write_text(table.replace("Bonn", "Ulm", 1))
    assert privsynth("verify", out).exit_code == 1


def test_a_release_that_misses_its_policy_is_not_written(folder: Path, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("floors:\n  marginal_agreement_2way: 0.9999\n")
    out = tmp_path / "release"
    given = ["--train", folder / "train.csv", "--holdout", folder / "holdout.csv"]
    result = privsynth(
        "release", folder / "m.psyn", "-n", 500, "-o", out, *given, "--policy", policy
    )
    assert result.exit_code == 1, result.output
    assert "marginal_agreement_2way" in result.stdout
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["p.yaml"]


@pytest.fixture(scope="module")
def leaky(folder: Path) -> Path:
    """A model that is training rows, so that its rows miss every policy."""
    given = ("--target", "Class", "--engine", "random", "--minority", "--allow-rows", "--seed", 1)
    done(privsynth("fit", folder / "train.csv", "-o", folder / "leaky.psyn", *given))
    return folder / "leaky.psyn"


def released(folder: Path, model: Path, out: Path, *more: object) -> Result:
    given = ["--train", folder / "train.csv", "--holdout", folder / "holdout.csv"]
    return privsynth("release", model, "-n", 300, "-o", out, *given, "--seed", 3, *more)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_release_is_held_against_the_standard_policy_unless_another_is_named(
    folder: Path, leaky: Path, tmp_path: Path
) -> None:
    out = tmp_path / "release"
    result = released(folder, leaky, out)
    assert result.exit_code == 1, result.output
    assert "exact_replicas: FAIL" in result.stdout
    assert "'standard' is missed" in result.stderr
    assert "--accept-risk" in result.stderr
    assert list(tmp_path.iterdir()) == []
    done(released(folder, folder / "m.psyn", out))
    before = contents(out)
    assert released(folder, leaky, out).exit_code == 1
    assert contents(out) == before


@pytest.mark.parametrize(
    "policy",
    [None, *(pytest.param(name, marks=pytest.mark.slow) for name in ("strict", "internal"))],
)
def test_a_risk_that_is_accepted_is_released_with_the_reason(
    policy: str | None, folder: Path, leaky: Path, tmp_path: Path
) -> None:
    out = tmp_path / "release"
    reason = "agreed <b>with</b> the board"
    more = [] if policy is None else ["--policy", policy]
    done(released(folder, leaky, out, *more, "--accept-risk", f"  {reason} "))
    card = json.loads((out / "card.json").read_text())
    assert card["passed"] is False
    assert card["accepted_risk"] == reason
    assert json.loads((out / "evaluation.json").read_text())["about"]["accepted_risk"] == reason
    assert "agreed &lt;b&gt;with&lt;/b&gt; the board" in (out / "report.html").read_text()
    verified = done(privsynth("verify", out))
    assert reason in verified.stdout
    assert f"policy '{policy or 'standard'}' is missed" in verified.stdout


@pytest.mark.parametrize("reason", ["", "  ", "\t\n", "...", "\u200b", "ok \udcff"])
def test_a_reason_that_says_nothing_is_refused(
    reason: str, folder: Path, leaky: Path, tmp_path: Path
) -> None:
    result = released(folder, leaky, tmp_path / "release", "--accept-risk", reason)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "the reason for accepting the risk" in line
    assert list(tmp_path.iterdir()) == []


def test_evaluate_gives_the_standard_verdict_where_no_policy_is_named(
    folder: Path, leaky: Path, tmp_path: Path
) -> None:
    done(privsynth("sample", leaky, "-n", 300, "-o", tmp_path / "s.csv", "--seed", 1))
    page, figures = tmp_path / "r.html", tmp_path / "e.json"
    told = done(judged(folder, tmp_path / "s.csv", "-o", page, "--json", figures)).stdout
    assert "FAIL" in told.split()[0]
    assert "Policy 'standard' is not met" in told
    assert "stops nothing" in " ".join(told.split())
    assert "stops nothing" in page.read_text()
    about = json.loads(figures.read_text())["about"]
    assert about["policy"]["name"] == "standard"
    assert about["policy_given"] is False
    assert any(finding["fails"] for finding in about["findings"])
    assert judged(folder, tmp_path / "s.csv", "--policy", "standard").exit_code == 1
    train, holdout = (pd.read_csv(folder / f"{name}.csv") for name in ("train", "holdout"))
    rows = pd.read_csv(tmp_path / "s.csv")
    report = pipeline.evaluate(rows, train=train, holdout=holdout, target="Class")
    assert report.passed is None
    assert report.policy is None
    assert report.findings


def test_what_is_no_release_does_not_verify(tmp_path: Path) -> None:
    assert privsynth("verify", tmp_path / "none").exit_code == 2
    assert privsynth("verify", tmp_path).exit_code == 1
