"""Run a system in its own environment, and store its results so that a run can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.systems import System

__all__ = [
    "CACHE",
    "VENVS",
    "digest",
    "kept",
    "ours_digest",
    "python_of",
    "run",
    "sources_of",
    "write_json",
]

HERE = Path(__file__).parent
CACHE = HERE / ".cache"
VENVS = "PRIVSYNTH_BENCH_VENVS"
REASON = 200  # characters of a peer's last words


def python_of(system: System) -> Path | None:
    """Return the interpreter of a system's environment; None where it is not installed."""
    if system.environment is None:
        return Path(sys.executable)
    folder = Path(os.environ.get(VENVS) or HERE / ".venvs")
    python = folder.absolute() / system.environment / "bin" / "python"
    return python if python.exists() else None


def run(
    system: System,
    train: Path,
    out: Path,
    *,
    target: str,
    seed: int,
    rows: int,
    limit: float,
    threads: int = 1,
) -> dict[str, Any]:
    """Fit and sample in a child process.

    Parameters
    ----------
    system : System
        Installed: `python_of` finds it.
    train, out : Path
        The Parquet files to read and to write.
    target : str
    seed : int
    rows : int
        To be drawn.
    limit : float
        Seconds after which the child is ended.
    threads : int
        That numeric libraries may use.

    Returns
    -------
    dict
        ``cost`` and ``versions``, or ``failed``: why there is no table.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        job, answer = home / "job.json", home / "answer.json"
        made = home / "made.parquet"
        asked = {
            "adapter": system.adapter,
            "train": str(train.absolute()),
            "out": str(made),
            "target": target,
            "seed": seed,
            "rows": rows,
            "options": dict(system.options),
            "answer": str(answer),
        }
        write_json(job, asked)
        command = [str(python_of(system)), str(HERE / "systems" / "child.py"), str(job)]
        try:
            ended = subprocess.run(
                command,
                env=_environment(system, home, threads),
                cwd=home,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failed": f"not done after {limit:,.0f} s"}
        if not answer.exists():
            words = ended.stderr.strip().splitlines()[-1:]
            return {"failed": f"ended with code {ended.returncode} {words}"[:REASON]}
        found: dict[str, Any] = json.loads(answer.read_text())
        if "failed" in found:
            return {"failed": found["failed"][:REASON]}
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, out)
        return found


def _environment(system: System, home: Path, threads: int) -> dict[str, str]:
    """Return a home of its own, where peers leave logs, the threads, and no network for models."""
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
    limits = {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    places = {"HOME": str(home), "TMPDIR": str(home), "HF_HUB_OFFLINE": "1"}
    if system.environment is None:
        places["PYTHONPATH"] = str(HERE.parent)
    return {**os.environ, **limits, **places}


BESIDE = {
    "__main__",
    "augmentation",
    "cli",
    "config",
    "evaluation",
    "oversampling",
    "pipeline",
    "report",
    "selection",
}
"""Rooms of the package that neither a fit nor a sample rests on."""


def digest(files: Iterable[Path]) -> str:
    """Return one sha256 of files' bytes."""
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def ours_digest() -> str:
    """Return one sha256 of those sources of the package that fitting and sampling rest on."""
    house = HERE.parent / "privsynth"
    rooms = (path.relative_to(house).parts[0].removesuffix(".py") for path in house.rglob("*.py"))
    return digest(
        file
        for room in sorted({*rooms} - BESIDE)
        for file in sorted([*house.glob(f"{room}.py"), *(house / room).rglob("*.py")])
    )


def sources_of(system: System) -> str:
    """Return one sha256 of what a system's figures rest on and is ours: package and adapter."""
    adapter = digest([HERE / "systems" / f"{system.adapter}.py"])
    return adapter + (ours_digest() if system.environment is None else "")


def kept(file: Path, of: Any) -> dict[str, Any] | None:
    """Read a stored record if it has the same origin; None otherwise."""
    if not file.exists():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return record if record.get("of") == of else None


def write_json(file: Path, record: Mapping[str, Any]) -> None:
    """Write a record atomically."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    fresh.write_text(json.dumps(record, indent=1))
    fresh.replace(file)
