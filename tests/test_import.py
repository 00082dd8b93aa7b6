"""Importing privsynth is quick, silent and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HEAVY = {
    "copulas",
    "ctgan",
    "duckdb",
    "faker",
    "imblearn",
    "matplotlib",
    "pandas",
    "plotly",
    "polars",
    "rdt",
    "scipy",
    "sdmetrics",
    "sdv",
    "sklearn",
    "torch",
}

FIT = """
import numpy as np, pandas as pd, privsynth
rng = np.random.default_rng(0)
frame = pd.DataFrame({"x": rng.normal(size=200).round(1), "y": rng.choice(["a", "b"], 200)})
model = privsynth.fit(frame, engine="sdv-gaussian-copula", target="y", seed=0)
assert len(model.sample(50, seed=0)) == 50
"""


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty home, where whatever is written would be seen."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=home,
        env=kept | {"HOME": str(home), "USERPROFILE": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def left_in(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


def heavy_after(home: Path, statement: str) -> list[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = run(home, "-c", code)
    assert done.returncode == 0, done.stderr
    return sorted(set(json.loads(done.stdout)) & HEAVY)


def test_import_is_silent_with_warnings_as_errors_and_makes_no_file(tmp_path: Path) -> None:
    done = run(tmp_path, "-W", "error", "-c", "import privsynth")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert left_in(tmp_path) == []


def test_import_pulls_no_heavy_module(tmp_path: Path) -> None:
    assert heavy_after(tmp_path, "import privsynth") == []


def test_import_of_the_command_line_pulls_no_heavy_module(tmp_path: Path) -> None:
    assert heavy_after(tmp_path, "import privsynth.cli") == []


def test_a_fit_and_a_sample_print_nothing_and_make_no_file(tmp_path: Path) -> None:
    done = run(tmp_path, "-c", FIT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert left_in(tmp_path) == []
