"""How cost grows: fit and sample by rows and columns, and sampling of many rows into Parquet.

    python -m benchmarks.scaling [--rows N ...] [--columns N ...] [--sampled N ...]
                                 [--systems NAME ...]

Tables are made up. Each figure is of a process of its own and is kept in benchmarks/.cache/scaling;
`python -m benchmarks.bench` puts them in RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.results import SCALING
from benchmarks.running import CACHE, kept, python_of, run, sources_of, write_json
from benchmarks.systems import SYSTEMS, System
from benchmarks.tables import made
from privsynth.engines.registry import ENGINES

__all__ = ["main"]

FITTED = 100_000
COLUMNS = 15


def main(arguments: list[str] | None = None) -> int:
    """Measure the requested cases that have no stored result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="*", type=int, default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--columns", nargs="*", type=int, default=[15, 30, 60])
    many = [1_000_000, 10_000_000, 50_000_000]
    parser.add_argument("--sampled", nargs="*", type=int, default=many)
    names = ["privsynth-cart", "privsynth-copula"]
    parser.add_argument("--fitted", type=int, default=FITTED, help="rows, before sampling")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=names)
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args(arguments)
    systems = [SYSTEMS[name] for name in asked.systems if _there(SYSTEMS[name])]
    with tempfile.TemporaryDirectory() as folder:
        for columns in asked.columns:
            for rows in asked.rows:
                train = Path(folder) / f"{rows}-{columns}.parquet"
                for system in systems:
                    _measure(asked.cache, system, "fit", train, rows, columns, rows)
                train.unlink(missing_ok=True)
        train = Path(folder) / "sampled.parquet"
        for system in systems:
            for rows in asked.sampled:
                _measure(asked.cache, system, "sample", train, asked.fitted, COLUMNS, rows)
    return 0


def _there(system: System) -> bool:
    return python_of(system) is not None and system.options.get("engine", "cart") in ENGINES


def _measure(
    cache: Path, system: System, kind: str, train: Path, fitted: int, columns: int, rows: int
) -> None:
    """Fit to a made-up table and draw `rows`, unless that was done with the same sources."""
    file = cache / SCALING / f"{kind}-{system.name}-{columns}-{rows}.json"
    of = {
        "sources": sources_of(system),
        "options": dict(system.options),
        "fitted": fitted,
    }
    if kept(file, of) is not None:
        return
    print(f"{system.name}: {kind}, {rows:,} rows, {columns} columns", file=sys.stderr, flush=True)
    if not train.exists():
        pq.write_table(made(fitted, columns), train)
    out = train.with_name("out.parquet")
    found = run(system, train, out, target="target", seed=0, rows=rows, limit=7200.0)
    out.unlink(missing_ok=True)
    if "failed" in found:
        print(f"{system.name}: failed: {found['failed']}", file=sys.stderr)
        return
    about = {"system": system.name, "kind": kind, "rows": rows, "columns": columns}
    write_json(file, {"of": of, **about, **found})


if __name__ == "__main__":
    sys.exit(main())
