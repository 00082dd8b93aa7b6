"""Run one adapter in a process of its own and say what it cost.

    python child.py JOB.json

The job names the adapter, its options, the files and the rows; the answer is written to the file
that the job names. Runs in any environment: the standard library alone.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

PROC = Path("/proc")


def workers() -> list[Path]:
    """Find the processes that descend from this one and still live."""
    parent: dict[int, int] = {}
    for stat in PROC.glob("[0-9]*/stat"):
        for fields in _fields(stat):
            parent[int(stat.parent.name)] = int(fields[1])
    family = [os.getpid()]
    for member in family:
        family += [pid for pid, above in parent.items() if above == member]
    return [PROC / str(pid) for pid in family[1:]]


def _fields(stat: Path) -> Iterator[list[str]]:
    """Yield the fields after the process's name; nothing where it has ended meanwhile."""
    try:
        yield stat.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return


def cpu_seconds() -> float:
    """User and system time of this process, its children that ended and those that live."""
    used = sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
    tick = os.sysconf("SC_CLK_TCK")
    for worker in workers():
        for fields in _fields(worker / "stat"):
            used += sum(map(int, fields[11:15])) / tick
    return used


def peak_bytes() -> int:
    """Peak resident memory (VmHWM) of this process and of the workers that live."""
    total = 0
    for process in (PROC / "self", *workers()):
        try:
            lines = (process / "status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return total


def main(path: str) -> None:
    """Write the costs of a job, or why it failed."""
    job = json.loads(Path(path).read_text())
    try:
        answer = measured(job)
    except Exception as error:  # whatever a peer raises is a result
        answer = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    Path(job["answer"]).write_text(json.dumps(answer))


def measured(job: Mapping[str, Any]) -> dict[str, Any]:
    """Load, fit and sample; give costs and versions."""
    marks = [(time.perf_counter(), cpu_seconds(), peak_bytes())]
    adapter = import_module(job["adapter"])
    versions = adapter.load(job["options"])
    marks.append((time.perf_counter(), cpu_seconds(), peak_bytes()))
    model = adapter.fit(Path(job["train"]), job["target"], job["seed"], job["options"])
    marks.append((time.perf_counter(), cpu_seconds(), peak_bytes()))
    adapter.sample(model, job["rows"], Path(job["out"]), job["seed"])
    marks.append((time.perf_counter(), cpu_seconds(), peak_bytes()))
    cost: dict[str, float] = {}
    for phase, before, after in zip(("import", "fit", "sample"), marks, marks[1:], strict=False):
        cost[f"{phase}_seconds"] = after[0] - before[0]
        cost[f"{phase}_cpu_seconds"] = after[1] - before[1]
        cost[f"{phase}_peak_bytes"] = after[2]
    return {"cost": cost, "versions": versions}


if __name__ == "__main__":
    main(sys.argv[1])
