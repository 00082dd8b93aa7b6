"""Nothing held by fewer than k rows leaves: planted canaries are found in no byte that does."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from privsynth.engines.registry import ENGINES

NAME, LEVEL, EMAIL, NOTE, EXTREME, LATE = (
    "Zebulonia",
    "canarylevel",
    "zebulonia.canary@secret-clinic.de",
    "canarynote",
    98765432.125,
    "2093-07-11",
)
CANARIES = (NAME, LEVEL, EMAIL, NOTE, "98765432", "98765433", "98800000", LATE)
QUICK: dict[str, list[str]] = {"cart": [], "copula": [], "sdv-gaussian-copula": []}
NETWORK = ["--set", "epochs=1", "--set", "batch_size=100", "--set", "embedding_dim=16"]


def planted(rows: int = 900) -> pd.DataFrame:
    rng = np.random.default_rng(11)
    frame = pd.DataFrame(
        {
            "case_id": [f"K-{i:06d}" for i in range(rows)],
            "first_name": rng.choice(["Ada", "Ben", "Cleo", "Dora"], rows),
            "remark": rng.choice(["ok", "late", "call back"], rows),
            "note": rng.choice(["seen", "not seen"], rows),
            "story": [
                f"patient came in on day {i} and left after {i % 7} hours" for i in range(rows)
            ],
            "town": rng.choice(["Ulm", "Bonn", "Mainz"], rows),
            "amount": rng.gamma(2, 50, rows).round(3),
            "seen_on": pd.to_datetime("2021-01-01")
            + pd.to_timedelta(rng.integers(0, 500, rows), "D"),
            "bad": rng.choice(["no", "yes"], rows, p=[0.9, 0.1]),
        }
    )
    frame.loc[17, "first_name"] = NAME
    frame.loc[18, "remark"] = NAME
    frame.loc[19, "town"] = LEVEL
    frame.loc[20, "note"] = EMAIL
    frame.loc[21, "story"] = NOTE
    frame.loc[22, "amount"] = EXTREME
    frame.loc[23, "seen_on"] = pd.Timestamp(LATE)
    return frame


def privsynth(*words: str, cwd: Path) -> bytes:
    done = subprocess.run(
        [sys.executable, "-m", "privsynth", *words],
        cwd=cwd,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout + done.stderr


def assert_clean(text: bytes, place: str) -> None:
    for canary in CANARIES:
        assert canary.encode() not in text, f"{canary} is in {place}"


@pytest.mark.parametrize(
    "engine", [pytest.param(e, marks=[] if e == "copula" else pytest.mark.slow) for e in ENGINES]
)
def test_no_canary_leaves(engine: str, tmp_path: Path) -> None:
    planted().to_csv(tmp_path / "real.csv", index=False)
    settings = QUICK.get(engine, NETWORK)
    said = privsynth(
        *("fit", "real.csv", "-o", "m.psyn", "--engine", engine, "--target", "bad", "--seed", "1"),
        *("--verbose", *settings),
        cwd=tmp_path,
    )
    said += privsynth("schema", "real.csv", "-o", "s.yaml", "--target", "bad", cwd=tmp_path)
    said += privsynth("sample", "m.psyn", "-n", "20000", "-o", "s.csv", "--seed", "2", cwd=tmp_path)
    said += privsynth("inspect", "m.psyn", "--verbose", cwd=tmp_path)
    assert_clean(said, "what was said")
    with zipfile.ZipFile(tmp_path / "m.psyn") as archive:
        for name in archive.namelist():
            assert_clean(archive.read(name), name)
            assert np.float64(EXTREME).tobytes() not in archive.read(name)
            assert np.float32(EXTREME).tobytes() not in archive.read(name)
    for name in ("m.psyn", "s.yaml", "s.csv"):
        assert_clean((tmp_path / name).read_bytes(), name)
    if engine in QUICK:
        said = privsynth(
            *("evaluate", "s.csv", "--train", "real.csv", "--target", "bad"),
            *("-o", "r.html", "--json", "r.json"),
            cwd=tmp_path,
        )
        assert_clean(said, "what was said")
        for name in ("r.html", "r.json"):
            assert_clean((tmp_path / name).read_bytes(), name)
