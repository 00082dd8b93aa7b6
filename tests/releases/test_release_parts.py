"""A release under a budget: what keeps the guarantee lies apart from what read real rows."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import privsynth
from privsynth import pipeline, releases
from privsynth.evaluation.policy import POLICIES, apply_policy, passed
from privsynth.evaluation.score import Evaluation, Score
from privsynth.privacy.ledger import Ledger
from privsynth.releases.files import json_bytes, sha256, sums
from privsynth.schema.columns import Bounds, Column, Kind, Levels, Source
from privsynth.schema.schema import Schema

SALT = "ab" * 32
ROWS = 120
PUBLIC = {"SHA256SUMS", "card.json", "croissant.json", "synthetic.csv"}
RESTRICTED = {"SHA256SUMS", "card.json", "evaluation.json", "report.html"}
SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER, "int64", Bounds(0, 99), Source.DECLARED),
        Column("job", Kind.CATEGORICAL, "string", None, Source.DISCOVERED),
        Column("sick", Kind.CATEGORICAL, "string", Levels(("no", "yes")), Source.DECLARED),
    )
).with_target("sick")


def people(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(0, 90, n),
            "job": rng.choice(["baker", "nurse", "smith"], n),
            "sick": np.where(rng.random(n) < 0.3, "yes", "no"),
        }
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose ledger has every mechanism, and tables of which it knows nothing."""
    folder = tmp_path_factory.mktemp("parts")
    model = privsynth.fit(
        people(1_500, 0), engine="mst", schema=SCHEMA, budget=privsynth.Budget(3.0), seed=1
    )
    model.save(folder / "model.psyn")
    for name, n, seed in (
        ("train", 1_500, 1),
        ("holdout", 1_100, 2),
        ("other-train", 1_713, 3),
        ("other-holdout", 1_201, 4),
    ):
        people(n, seed).to_csv(folder / f"{name}.csv", index=False)
    return folder


def evaluation(leak: float = 0.0) -> Evaluation:
    scores = (
        Score("attacks", "membership_epsilon", 0.4, 0.1, better="lower"),
        Score("attacks", "linkability", leak + 0.01, leak, leak + 0.02, better="lower"),
    )
    about = {"rows": {"train": 1_500, "holdout": 3_000, "synthetic": ROWS}}
    return Evaluation(scores, about, ())


Build = Callable[..., Path]


@pytest.fixture
def build(files: Path, tmp_path: Path) -> Build:
    fitted = pipeline.load(files / "model.psyn")

    def built(name: str = "out", judged: Evaluation | None = None, **changes: Any) -> Path:
        with releases.opened(tmp_path / name) as folder:
            privsynth.sample(fitted, ROWS, seed=5, output=folder / "synthetic.csv")
            given: dict[str, Any] = {
                "model": fitted,
                "model_file": files / "model.psyn",
                "evaluation": judged or evaluation(),
                "page": "<p>report</p>",
                "policy": POLICIES["standard"],
                "seeds": {"sample": 5, "evaluate": 0},
                "inputs": {"train": files / "train.csv", "holdout": None},
                "salt": SALT,
            }
            releases.fill(folder, releases.Release(**{**given, **changes}))
        return tmp_path / name

    return built


def forge(part: Path, change: Callable[[Any], object]) -> None:
    """Change a card as a careful forger would: every hash of it is made anew."""
    state = json.loads((part / "card.json").read_text())
    change(state)
    (part / "card.json").write_bytes(json_bytes(state))
    names = {path.name for path in part.iterdir()} - {"SHA256SUMS"}
    (part / "SHA256SUMS").write_bytes(sums({name: sha256(part / name) for name in names}))


def test_two_folders_verify_together_and_each_alone(build: Build, files: Path) -> None:
    out = build()
    assert {path.name for path in out.iterdir()} == {"public", "restricted"}
    assert {path.name for path in (out / "public").iterdir()} == PUBLIC
    assert {path.name for path in (out / "restricted").iterdir()} == RESTRICTED
    for place in (out, out / "public", out / "restricted"):
        assert releases.verify(place) == ()
        assert releases.verify(place, model=files / "model.psyn") == ()
    shutil.copytree(out / "public", out.parent / "handed-on")
    assert releases.verify(out.parent / "handed-on") == ()


def test_the_public_card_tells_the_guarantee_the_noisy_count_and_how_it_was_decided(
    build: Build, files: Path
) -> None:
    card = json.loads((build() / "public" / "card.json").read_text())
    model = pipeline.load(files / "model.psyn")
    assert card["guarantee"]["words"] == str(model.ledger.guarantee())
    assert card["training_rows"] == model.card["rows"]
    assert "noisy" in card["training_rows_are"]
    assert "decision to release this table read real rows" in card["decision"]
    assert any("decision to release" in line for line in card["not_covered"])
    assert not card.keys() & {"evaluation", "policy", "findings", "passed", "inputs", "warnings"}
    told = (build() / "public" / "croissant.json").read_text()
    assert "attacks" not in told
    assert "differential privacy" in told


def test_what_was_read_off_real_rows_is_in_the_restricted_part_alone(build: Build) -> None:
    out = build()
    card = json.loads((out / "restricted" / "card.json").read_text())
    assert card["evaluation"]["about"]["rows"]["train"] == 1_500
    assert card["inputs"]["sha256"]["train"]
    secret = [card["inputs"]["sha256"]["train"], sha256(out / "restricted" / "evaluation.json")]
    for path in (out / "public").iterdir():
        assert not any(text in path.read_text() for text in secret), path.name


def test_the_restricted_part_is_for_its_owner_alone(build: Build) -> None:
    mask = os.umask(0o022)
    try:
        out = build()
    finally:
        os.umask(mask)
    modes = {path.relative_to(out): stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*")}
    assert stat.S_IMODE(out.stat().st_mode) == 0o755
    assert modes.pop(Path("public")) == 0o755
    assert modes.pop(Path("restricted")) == 0o700
    for path, mode in modes.items():
        assert mode == (0o600 if path.parts[0] == "restricted" else 0o644), path


def test_either_layout_replaces_the_other(build: Build, files: Path, tmp_path: Path) -> None:
    out = build()
    assert releases.verify(build()) == ()  # in parts by in parts
    free = privsynth.fit(people(1_500, 0), engine="copula", target="sick", seed=1)
    with releases.opened(out) as folder:
        privsynth.sample(free, ROWS, seed=5, output=folder / "synthetic.csv")
        releases.fill(
            folder,
            releases.Release(
                model=free,
                model_file=None,
                evaluation=evaluation(),
                page="",
                policy=POLICIES["standard"],
                seeds={"sample": 5, "evaluate": 0},
                inputs={},
                salt=SALT,
            ),
        )
    assert releases.verify(out) == ()
    assert (out / "report.html").is_file()
    assert releases.verify(build()) == ()  # in one part by in parts
    assert not (out / "report.html").exists()
    (out / "public" / "mine.txt").write_text("kept")
    with pytest.raises(privsynth.UsageError, match="nor an older release"):
        build()
    assert (out / "public" / "mine.txt").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name",
    [f"public/{n}" for n in sorted(PUBLIC)] + [f"restricted/{n}" for n in sorted(RESTRICTED)],
)
def test_a_byte_changed_or_a_file_taken_away_is_found(build: Build, name: str) -> None:
    out = build()
    data = (out / name).read_bytes()
    (out / name).write_bytes(bytes([data[0] ^ 1]) + data[1:])
    assert any(problem.startswith(name.split("/")[0]) for problem in releases.verify(out))
    (out / name).unlink()
    assert releases.verify(out)


def test_parts_that_do_not_belong_together_are_found(build: Build) -> None:
    out, other = build(), build("other", judged=evaluation(0.01))
    # The same table and the same claims: the public part does not depend on the evaluation.
    assert (out / "public" / "card.json").read_bytes() == (
        other / "public" / "card.json"
    ).read_bytes()
    third = build("third", seeds={"sample": 6, "evaluate": 0})
    shutil.rmtree(out / "restricted")
    assert releases.verify(out) == ("restricted: is missing; verify the other part by itself",)
    shutil.copytree(third / "restricted", out / "restricted")
    assert any("another public part" in problem for problem in releases.verify(out))
    shutil.rmtree(out / "restricted")
    shutil.copytree(out / "public", out / "restricted")
    assert any("restricted part" in problem for problem in releases.verify(out))
    (out / "more.txt").touch()
    assert any("does not belong" in problem for problem in releases.verify(out))
    shutil.rmtree(out / "restricted")
    (out / "restricted").symlink_to(third / "restricted")
    assert any("is not a folder" in problem for problem in releases.verify(out))


def test_what_real_rows_told_does_not_belong_to_a_public_card(build: Build) -> None:
    out = build()
    forge(out / "public", lambda card: card.update(passed=True))
    assert any("'passed'" in problem for problem in releases.verify(out / "public"))


def test_a_release_without_a_budget_cannot_be_called_public(build: Build) -> None:
    out = build()
    forge(out / "public", lambda card: card["ledger"].pop("budget"))
    assert releases.verify(out / "public")


# ---------------------------------------------------------------------------- the ledger


def _first(card: Any, mechanism: str) -> dict[str, Any]:
    return next(event for event in card["ledger"]["events"] if event["mechanism"] == mechanism)


def _scaled(mechanism: str, /, **factors: float) -> Callable[[Any], None]:
    def change(card: Any) -> None:
        event = _first(card, mechanism)
        for name, factor in factors.items():
            event[name] *= factor

    return change


def _set(mechanism: str, /, **values: Any) -> Callable[[Any], None]:
    return lambda card: _first(card, mechanism).update(values)


NOISY = ("discrete gaussian", "noisy max", "gaussian threshold")
FORGED: Mapping[str, Callable[[Any], Any]] = {
    **{
        f"{mechanism}: {name} by {factor}": _scaled(mechanism, **{name: factor})
        for mechanism in NOISY
        for name in ("scale", "sensitivity", "rho")
        for factor in (0.5, 2.0, 0.999, 1.001)
    },
    **{
        f"{mechanism}: less noise, sensitivity and price unchanged in proportion": _scaled(
            mechanism, scale=0.01, sensitivity=0.01
        )
        for mechanism in ("discrete gaussian", "gaussian threshold")
    },
    **{
        f"{mechanism} as {other}": _set(mechanism, mechanism=other)
        for mechanism in NOISY
        for other in (*NOISY, "exact", "laplace")
        if other != mechanism
    },
    **{
        f"{mechanism}: {name} {value}": _set(mechanism, **{name: value})
        for mechanism in NOISY
        for name in ("scale", "sensitivity", "rho")
        for value in (0.0, -1.0, 1e300, 5e-324)
    },
    "delta of a gaussian": _set("discrete gaussian", delta=1e-9),
    "delta of a choice": _set("noisy max", delta=1e-9),
    "delta of keys by half": _scaled("gaussian threshold", delta=0.5),
    "delta of keys by 1.01": _scaled("gaussian threshold", delta=1.01),
    "delta of keys zero": _set("gaussian threshold", delta=0.0),
    "rows of a unit": lambda card: card["ledger"]["budget"].update(unit="who", rows_per_unit=2),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_answer_whose_price_is_not_that_of_its_noise_is_found(
    name: str, build: Build, files: Path
) -> None:
    out = build() / "public"
    forge(out, FORGED[name])
    problems = releases.verify(out)
    assert any("ledger" in problem or "guarantee" in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_an_honest_ledger_holds(files: Path) -> None:
    from privsynth.privacy.accountant import misstated

    ledger = pipeline.load(files / "model.psyn").ledger
    assert {event.mechanism for event in ledger.events} == set(NOISY)
    assert list(misstated(ledger)) == []
    assert list(misstated(Ledger.from_dict(ledger.to_dict()))) == []


# ---------------------------------------------------------------------------- the reason


def test_the_reason_for_accepting_a_risk_stands_in_the_restricted_part_alone(
    build: Build,
) -> None:
    judged = evaluation(0.2)
    assert not passed(apply_policy(judged, POLICIES["standard"]))
    reason = "the board has decided so on a Monday"
    about = {**judged.about, "accepted_risk": reason}
    out = build(judged=Evaluation(judged.scores, about, ()))
    assert releases.verify(out) == ()
    assert any(reason in line for line in releases.remarks(out))
    assert any(reason in line for line in releases.remarks(out / "restricted"))
    assert not any(reason in line for line in releases.remarks(out / "public"))
    assert all(reason not in path.read_text() for path in (out / "public").iterdir())
    forge(out / "restricted", lambda card: card.update(accepted_risk="another"))
    assert any("another reason" in problem for problem in releases.verify(out))


def test_a_missed_policy_that_no_one_accepted_does_not_verify(build: Build) -> None:
    out = build(judged=evaluation(0.2))
    (problem,) = releases.verify(out)
    assert "misses its policy" in problem
    assert releases.verify(out / "public") == ()


# ---------------------------------------------------------------------------- non-interference


@pytest.mark.slow
def test_the_public_part_does_not_depend_on_the_tables_it_was_judged_against(
    files: Path, tmp_path: Path
) -> None:
    """Other real rows, in other numbers and with a canary: the same bytes, unless it is stopped."""
    canary = people(1_700, 9).assign(job="canary-4711")
    canary.to_csv(tmp_path / "canary.csv", index=False)
    given: list[dict[str, Any]] = [
        {"train": files / "train.csv", "holdout": files / "holdout.csv"},
        {"train": files / "other-train.csv", "holdout": files / "other-holdout.csv"},
        {"train": people(1_111, 7), "holdout": None},
        {
            "train": tmp_path / "canary.csv",
            "holdout": files / "holdout.csv",
            "accept_risk": "a canary",
            "policy": "strict",
        },
    ]
    told = []
    for i, options in enumerate(given):
        place = tmp_path / f"out{i}"
        pipeline.release(files / "model.psyn", ROWS, place, seed=5, **options)
        assert releases.verify(place) == ()
        told.append({path.name: path.read_bytes() for path in (place / "public").iterdir()})
    assert told[0].keys() == PUBLIC
    assert all(other == told[0] for other in told[1:])
    everything = b"".join(told[0].values())
    for exact in (b"canary", b"1500", b"1,500", b"1713", b"1111"):
        assert exact not in everything.replace(b'"synthetic.csv"', b"")
