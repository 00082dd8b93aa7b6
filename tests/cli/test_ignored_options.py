"""No option is ignored in silence: what would change nothing is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

import privsynth as face
from privsynth.cli.program import main
from privsynth.errors import SamplingError, UsageError

SCHEMA = """
columns:
- {name: age, kind: integer, bounds: [18, 80]}
- {name: Class, kind: categorical, levels: [bad, good, odd], role: target}
"""


def privsynth(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 80, 2000),
            "Class": rng.choice(["bad", "good", "odd"], 2000, p=[0.2, 0.7, 0.1]),
        }
    )
    frame.to_csv(folder / "d.csv", index=False)
    (folder / "s.yaml").write_text(SCHEMA)
    budget = face.Budget(5.0, 1e-5)
    for name, minority in (("m", False), ("minority", True)):
        model = face.fit(
            folder / "d.csv", schema=folder / "s.yaml", budget=budget, seed=0, minority=minority
        )
        model.save(folder / f"{name}.psyn")
    return folder


GIVEN: dict[str, Any] = {
    "target": "Class",
    "schema": "s.yaml",
    "unit": "age",
    "k": 10,
    "seed": 0,
    "encoding": "utf-8",
    "holdout": 0.2,
    "holdout_after": "2024-01-31",
    "holdout_column": "opened",
    "holdout_output": "h.csv",
    "minority": True,
    "budget": face.Budget(1.0),
    "ledger": "ledger.yaml",
    "new_ledger": True,
    "escape": False,
}


@pytest.mark.parametrize("option", GIVEN)
@pytest.mark.parametrize("loaded", [True, False])
def test_a_fit_to_measurements_refuses_what_it_would_not_read(
    folder: Path, option: str, loaded: bool
) -> None:
    model = face.load(folder / "m.psyn") if loaded else folder / "m.psyn"
    with pytest.raises(UsageError, match="nothing but engine and settings"):
        face.fit(model, engine="mst", **{option: GIVEN[option]})
    assert not Path("h.csv").exists()


def test_the_check_names_every_parameter_of_fit() -> None:
    import inspect

    free = {"data", "engine", "settings", "progress"}
    assert set(inspect.signature(face.fit).parameters) - free == set(GIVEN)


@pytest.mark.parametrize(
    "options",
    [
        ["--k", 10],
        ["--encoding", "utf-8"],
        ["--seed", 1],
        ["--target", "Class"],
        ["--minority"],
        ["--holdout", 0.2, "--holdout-output", "h.csv"],
        ["--config", "c.yaml"],
    ],
)
def test_so_does_the_command(folder: Path, tmp_path: Path, options: list[object]) -> None:
    (tmp_path / "c.yaml").write_text("k: 10\n")
    given = [tmp_path / o if str(o).endswith((".yaml", ".csv")) else o for o in options]
    result = privsynth(
        "fit", folder / "m.psyn", "-o", tmp_path / "o.psyn", "--engine", "mst", *given
    )
    assert result.exit_code == 2, result.output
    assert "nothing but engine and settings" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "d.csv", "-o", "o.psyn", "--epsilon", 1, "--schema", "s.yaml", "--k", 5],
        ["fit", "d.csv", "-o", "o.psyn", "--delta", "1e-5"],
        ["fit", "d.csv", "-o", "o.psyn", "--rows-per-unit", 2],
        ["fit", "d.csv", "-o", "o.psyn", "--ledger", "ledger.yaml"],
        ["fit", "d.csv", "-o", "o.psyn", "--holdout", 0.2],
        ["fit", "d.csv", "-o", "o.psyn", "--engine", "copula", "--set", "epochs=3"],
        ["fit", "d.csv", "-o", "o.psyn", "--minority"],
        *(
            ["augment", "d.csv", "-o", "o.csv", "--target", "Class", *more]
            for more in (
                ["--epsilon", 1, "--schema", "s.yaml", "--k", 5],
                ["--epsilon", 1, "--schema", "s.yaml", "--judge"],
                ["--epsilon", 1, "--schema", "s.yaml", "--selection", "classifiers"],
                ["--epsilon", 1, "--schema", "s.yaml", "--fit-on", "minority"],
                ["--ratio", 0.5, "--sampling-strategy", "auto"],
            )
        ),
        ["sample", "m.psyn", "-n", 9, "-o", "o.csv", "--balance", 1, "--where", "Class=bad"],
        ["evaluate", "d.csv", "--train", "d.csv", "--audit", "deep"],
        ["evaluate", "d.csv", "--train", "d.csv", "--no-attacks", "--policy", "strict"],
        ["evaluate", "d.csv", "--train", "d.csv", "--no-attacks", "--records-at-risk", "o.csv"],
        ["evaluate", "d.csv", "--train", "d.csv", "--records-at-risk", "o.csv"],
        [
            *["evaluate", "d.csv", "--train", "d.csv", "--model", "m.psyn"],
            *["--audit", "deep", "--no-attacks"],
        ],
    ],
)
def test_every_verb_refuses_what_it_would_not_read(folder: Path, arguments: list[object]) -> None:
    before = {path.name for path in folder.iterdir()}
    given = [folder / a if str(a).endswith((".csv", ".yaml", ".psyn")) else a for a in arguments]
    result = privsynth(*given)
    assert result.exit_code == 2, result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert {path.name for path in folder.iterdir()} == before


def test_a_condition_on_the_class_holds_for_a_private_model_of_the_minority(folder: Path) -> None:
    model = face.load(folder / "minority.psyn")
    assert set(model.sample(60, seed=0)["Class"]) == {"bad", "odd"}
    assert set(model.sample(60, seed=0, where={"Class": "odd"})["Class"]) == {"odd"}
    with pytest.raises(SamplingError, match="no row of the requested class"):
        model.sample(60, seed=0, where={"Class": "good"})


def test_a_judgement_of_an_over_sampler_refuses_k_as_augment_does(folder: Path) -> None:
    with pytest.raises(UsageError, match="draws between real rows"):
        face.minority_gain(folder / "d.csv", target="Class", engine="random", k=3)
