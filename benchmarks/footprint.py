"""Install privsynth slim and complete, and print the cost: ``python -m benchmarks.footprint``.

Writes a Markdown table of megabytes on disk, seconds to import, and the licences of the largest
packages. Needs the network, and about 4 GB in the folder for temporary files.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
TORCH = "torch==2.13.0"
LARGEST = 6

LICENCES = """
import importlib.metadata as m, json, pathlib
rows = []
for d in m.distributions():
    size = sum(p.lstat().st_size for f in d.files or () if (p := pathlib.Path(d.locate_file(f))).is_file())
    meta = d.metadata
    classifiers = [c.split(" :: ")[-1] for c in meta.get_all("Classifier") or () if c.startswith("License")]
    licence = meta.get("License-Expression") or "; ".join(classifiers) or (meta.get("License") or "?").splitlines()[0]
    rows.append((size, meta["Name"], licence))
print(json.dumps(sorted(rows, reverse=True)))
"""  # noqa: E501


def installed(folder: Path, *commands: tuple[str, ...]) -> Path:
    """Create an environment, run pip in it, and return its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    for command in commands:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *command], check=True)
    return python


def megabytes(folder: Path) -> int:
    """Return the size of a folder on disk."""
    return sum(path.lstat().st_blocks for path in folder.rglob("*")) * 512 // 10**6


def seconds(python: Path, code: str) -> float:
    """Return the least of five wall-clock times of a Python process."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([python, "-c", code], check=True)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Measure both environments."""
    import json

    slim = ("--no-deps", str(ROOT)), ("-r", str(ROOT / "requirements" / "slim.txt"))
    complete = (TORCH,), (str(ROOT),)
    print("| installation | MB on disk | import, s | largest packages (MB, licence) |")
    print("|---|---|---|---|")
    for name, commands in (("slim", slim), ("complete", complete)):
        with tempfile.TemporaryDirectory() as folder:
            python = installed(Path(folder) / "venv", *commands)
            listed = json.loads(subprocess.check_output([python, "-c", LICENCES], text=True))
            largest = "; ".join(
                f"{package} {size // 10**6} ({licence})"
                for size, package, licence in listed[:LARGEST]
            )
            took = seconds(python, "import privsynth") - seconds(python, "pass")
            print(f"| {name} | {megabytes(Path(folder))} | {took:.2f} | {largest} |", flush=True)
            restricted = [p for _, p, lic in listed if "BUSL" in lic or "Business" in lic]
            print(f"<!-- {name}: under BUSL: {', '.join(restricted) or 'none'} -->", flush=True)


if __name__ == "__main__":
    main()
