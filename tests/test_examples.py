"""The examples, the configurations and the shipped tables do what they say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest
import yaml

from privsynth.config import RunConfig
from privsynth.engines.registry import ENGINES, OVERSAMPLERS, PRIVATE, engine, recipe

ROOT = Path(__file__).parent.parent
DATA = Path(str(files("privsynth") / "data"))
DEMOS = yaml.safe_load((DATA / "demos.yaml").read_text(encoding="utf-8"))
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command with this Python's programs first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | {"PATH": path, "PYTHONSAFEPATH": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.slow
def test_fraud_like_in_python(tmp_path: Path) -> None:
    out = run(sys.executable, ROOT / "examples" / "fraud_like.py", "out", cwd=tmp_path).stdout
    assert "asked for 500 bad loans, got 500" in out
    assert "the loaded model draws the same rows: True" in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"loans.psyn", "report.html"}


@pytest.mark.slow
def test_fraud_augmentation_in_python(tmp_path: Path) -> None:
    out = run(sys.executable, ROOT / "examples" / "fraud_augmentation.py", "out", cwd=tmp_path)
    assert "cart: 0% of the real bad loans can be reconstructed" in out.stdout
    found = re.search(r"smotenc: (\d+)% of the real bad loans", out.stdout)
    assert found is not None
    assert int(found[1]) >= 80
    names = {"synthetic_bad.csv", "before_after.png", "judged.html"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert set(pd.read_csv(tmp_path / "out" / "synthetic_bad.csv").columns) < set(
        pd.read_csv(DATA / "lending_club.csv.gz").columns
    )


@pytest.mark.slow
def test_a_private_release_at_the_command_line(tmp_path: Path) -> None:
    done = run("bash", ROOT / "examples" / "private_release.sh", "out", cwd=tmp_path)
    assert "(2, 1e-06)-differential privacy" in done.stderr
    assert "hashes and claims hold" in done.stderr
    rows = pd.read_csv(tmp_path / "out" / "rich.csv")
    assert set(rows["income"]) == {">50K"}
    assert set(rows["education-num"]) == {14}
    assert len(pd.read_csv(tmp_path / "out" / "release" / "public" / "synthetic.csv")) == 6_000


@pytest.mark.slow
def test_health_like_in_python(tmp_path: Path) -> None:
    out = run(sys.executable, ROOT / "examples" / "health_like.py", "out", cwd=tmp_path).stdout
    assert "subject_id: id" in out
    assert "fake_first_name: personal" in out
    assert "no formal guarantee" in out
    assert set(pd.read_csv(tmp_path / "out" / "positive.csv")["result"]) == {"positive"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target", "rare", "rare_file"),
    [
        ("fraud_like", "Class", "bad", "bad.csv"),
        ("health_like", "result", "positive", "positive.csv"),
    ],
)
def test_walk_at_the_command_line(
    name: str, target: str, rare: str, rare_file: str, tmp_path: Path
) -> None:
    run("bash", ROOT / "examples" / f"{name}.sh", "out", cwd=tmp_path)
    out = tmp_path / "out"
    assert set(pd.read_csv(out / rare_file)[target]) == {rare}
    assert "<html" in (out / "report.html").read_text()
    scores = json.loads((out / "report.json").read_text())["scores"]
    (copies,) = (score for score in scores if score["name"] == "exact_copies")
    assert copies["real"] < 0.5, "the rows set aside were counted among the training rows"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_configuration_names_a_known_engine_and_its_settings(path: Path) -> None:
    config = RunConfig.from_yaml(path)
    assert config.engine is not None
    recipe(config.engine, config.settings)


@pytest.mark.parametrize("name", [*ENGINES, *PRIVATE, *OVERSAMPLERS])
def test_each_engine_has_a_configuration_with_every_setting_at_its_default(name: str) -> None:
    config = RunConfig.from_yaml(ROOT / "configs" / f"{name}.yaml")
    assert config.engine == name
    assert recipe(name, config.settings) == recipe(name)
    assert set(config.settings) == {setting.name for setting in fields(engine(name))}  # type: ignore[arg-type]


def test_each_demo_has_a_configuration_with_its_target() -> None:
    for name, demo in DEMOS.items():
        assert RunConfig.from_yaml(ROOT / "configs" / f"{name}.yaml").target == demo["target"]


@pytest.mark.parametrize("name", DEMOS)
def test_a_shipped_table_is_what_demos_says(name: str) -> None:
    demo = DEMOS[name]
    table = pd.read_csv(DATA / demo["table"])
    assert set(demo["leave_out"]) < set(table.columns)
    assert f"{len(table):,}" in demo["about"]
    assert f"{(table[demo['target']] == demo['positive']).mean():.1%}" in demo["about"]


def test_every_shipped_table_has_a_licence_note_and_all_are_small() -> None:
    tables = sorted(DATA.glob("*.csv.gz"))
    assert {path.name for path in tables} == {demo["table"] for demo in DEMOS.values()}
    notes = (DATA / "LICENSES.md").read_text(encoding="utf-8")
    assert all(f"## {path.name}" in notes for path in tables)
    assert sum(path.stat().st_size for path in tables) < 1_500_000
