"""What a slim installation lacks is named in one line, and everything else works without it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = ("copulas", "ctgan", "opendp", "plotly", "rdt", "sdmetrics", "sdv", "torch")

WITHOUT = f"""
import sys
finders = list(sys.meta_path)
class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {LEFT_OUT!r}:
            return None
        return next(filter(None, (f.find_spec(name, path, target) for f in finders)), None)
    @staticmethod
    def find_distributions(context):
        for finder in finders:
            for found in getattr(finder, "find_distributions", lambda _: ())(context):
                if found.metadata["Name"] not in {LEFT_OUT!r}:
                    yield found
sys.meta_path[:] = [Without]
"""

MAIN = "from privsynth.cli import main\nmain()"

TABLE = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
y = np.where(rng.random(400) < 0.15, "bad", "good")
pd.DataFrame({"x": rng.normal(size=400).round(1), "z": rng.integers(0, 9, 400), "y": y}).to_csv(
    "t.csv", index=False
)
"""

SCHEMA = """
columns:
- {name: x, kind: numeric, dtype: double, bounds: [-5, 5], source: declared}
- {name: z, kind: integer, dtype: int64, bounds: [0, 9], source: declared}
- {name: y, kind: categorical, dtype: string, levels: [bad, good], source: declared, role: target}
"""


def slim(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as an installation would that lacks the large parts."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("slim")
    (place / "s.yaml").write_text(SCHEMA)
    subprocess.run([sys.executable, "-c", TABLE], cwd=place, check=True)
    return place


@pytest.mark.parametrize("engine", ["cart", pytest.param("copula", marks=pytest.mark.slow)])
def test_the_native_engines_fit_sample_and_are_evaluated(folder: Path, engine: str) -> None:
    for command in (
        ("fit", "t.csv", "--engine", engine, "--target", "y", "--holdout", "0.3",
         "--holdout-output", f"{engine}.h.csv", "-o", f"{engine}.psyn"),
        ("sample", f"{engine}.psyn", "-n", "200", "-o", f"{engine}.csv", "--seed", "1"),
        ("evaluate", f"{engine}.csv", "--train", "t.csv", "--holdout", f"{engine}.h.csv",
         "--model", f"{engine}.psyn", "-o", f"{engine}.html", "--json", f"{engine}.json"),
    ):  # fmt: skip
        done = slim(folder, MAIN, *command)
        assert done.returncode == 0, done.stderr
    report = json.loads((folder / f"{engine}.json").read_text())
    names = {score["name"] for score in report["scores"]}
    assert "marginal_agreement_2way" in names
    assert not any(name.startswith("sdmetrics") for name in names)
    assert any("pip install sdmetrics" in note for note in report["notes"])


@pytest.mark.parametrize("engine", ["cart", "smote", "random"])
def test_augment_works(folder: Path, engine: str) -> None:
    done = slim(
        folder,
        MAIN,
        "augment",
        "t.csv",
        "--target",
        "y",
        "--engine",
        engine,
        "-o",
        f"a-{engine}.csv",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "package"),
    [
        (("fit", "t.csv", "--epsilon", "1", "--schema", "s.yaml", "-o", "m.psyn"), "opendp"),
        (("fit", "t.csv", "--epsilon", "1", "-o", "m.psyn"), "opendp"),
        (("fit", "t.csv", "--engine", "sdv-gaussian-copula", "-o", "m.psyn"), "copulas"),
        (("fit", "t.csv", "--engine", "sdv-ctgan", "-o", "m.psyn"), "ctgan torch copulas"),
        (("augment", "t.csv", "--target", "y", "--engine", "sdv-tvae", "-o", "m.csv"),
         "ctgan torch copulas"),
        (("augment", "t.csv", "--target", "y", "--epsilon", "1", "--schema", "s.yaml",
          "-o", "m.csv"), "opendp"),
        (("augment", "t.csv", "--target", "y", "--plot", "p.html", "-o", "m.csv"), "plotly"),
    ],
)  # fmt: skip
def test_an_absent_part_is_named_with_the_command_that_installs_it(
    folder: Path, arguments: tuple[str, ...], package: str
) -> None:
    done = slim(folder, MAIN, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"pip install {package}")
    assert not Path(folder, arguments[-1]).exists()


def test_python_says_the_same(folder: Path) -> None:
    code = (
        "import privsynth\n"
        "try:\n    privsynth.fit('t.csv', budget=privsynth.Budget(1.0), schema='s.yaml')\n"
        "except privsynth.MissingExtraError as error:\n    print(error)"
    )
    done = slim(folder, code)
    assert done.stdout.strip().endswith("run: pip install opendp"), done.stderr


def test_the_slim_requirements_are_the_complete_ones_without_the_large_parts() -> None:
    slim_lines = (ROOT / "requirements" / "slim.txt").read_text().splitlines()
    listed = {line for line in slim_lines if not line.startswith("#")}
    complete = {line for line in requires("privsynth") or () if ";" not in line}
    names = {re.split(r"[<>=]", line)[0] for line in complete - listed}
    assert listed <= complete
    assert names == {"copulas", "ctgan", "opendp", "plotly", "sdmetrics", "sdv", "torch"}


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["slim", "complete"])
def test_a_fresh_environment_works(tmp_path: Path, kind: str) -> None:
    """Install into an empty environment; the slim one is below 900 MB."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "v"], check=True)
    python = tmp_path / "v" / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--quiet")
    if kind == "slim":
        subprocess.run([*pip, "--no-deps", ROOT], check=True)
        subprocess.run([*pip, "-r", ROOT / "requirements" / "slim.txt"], check=True)
    else:
        subprocess.run([*pip, "torch==2.13.0"], check=True)
        subprocess.run([*pip, ROOT], check=True)
        subprocess.run([python, "-m", "pip", "check"], check=True)
    subprocess.run(
        [tmp_path / "v" / "bin" / "privsynth", "demo", "fraud", "-o", tmp_path / "demo"], check=True
    )
    blocks = sum(path.lstat().st_blocks for path in (tmp_path / "v").rglob("*"))
    if kind == "slim":
        assert blocks * 512 < 900e6
