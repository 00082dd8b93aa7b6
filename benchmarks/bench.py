"""privsynth and its peers on the same splits of the same tables; writes benchmarks/RESULTS.md.

    PRIVSYNTH_BENCH_DATA=FOLDER python -m benchmarks.bench [--tables NAME ...] [--systems NAME ...]
                                                           [--seeds N] [--rows N]

Peers run if their environments exist: benchmarks/.venvs/NAME, or in the folder that
PRIVSYNTH_BENCH_VENVS names; `make bench-peers` installs them. What is done is kept in
benchmarks/.cache, so a run that was stopped goes on where it was; what rests on sources that have
changed since is done again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import measures, results
from benchmarks.running import (
    CACHE,
    digest,
    kept,
    python_of,
    run,
    sources_of,
    write_json,
)
from benchmarks.systems import DEFAULT, SYSTEMS, System
from benchmarks.tables import TABLES, BenchTable, MissingTableError, load, present, split
from privsynth.engines.registry import ENGINES

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the requested systems and write the results."""
    options = _parser().parse_args(arguments)
    try:
        tables = {name: load(name, options.rows) for name in options.tables or present()}
    except MissingTableError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    systems = [SYSTEMS[name] for name in options.systems if not _absent(SYSTEMS[name])]
    for name, table in tables.items():
        for seed in range(options.seeds):
            case = Case(
                TABLES[name], table, seed, options.cache / f"{name}-{options.rows or 'all'}"
            )
            for reference in REFERENCES:
                case.refer(reference)
            for system in systems:
                case.measure(system, options.limit, options.threads, options.again)
    results.write(options.output, options.cache, tuple(tables), options.rows)
    print(f"written: {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), help="all that are there")
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(DEFAULT))
    parser.add_argument("--seeds", type=int, default=5, help="splits of each table")
    parser.add_argument("--rows", type=int, help="read at most so many rows of each table")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds that a system has")
    parser.add_argument("--threads", type=int, default=1, help="that numeric libraries may use")
    parser.add_argument("--again", action="store_true", help="run the systems even if kept")
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "RESULTS.md")
    return parser


def _absent(system: System) -> str:
    """Return why a system cannot be run here; nothing where it can."""
    reason = ""
    if python_of(system) is None:
        reason = f"{system.name}: not installed ('make bench-peers' does it), left out"
    elif system.environment is None and system.options["engine"] not in ENGINES:
        reason = f"{system.name}: no such engine yet, left out"
    if reason:
        print(reason, file=sys.stderr)
    return reason


class Case:
    """One split of one table, with what was kept of it.

    Parameters
    ----------
    spec : BenchTable
    table : pyarrow.Table
    seed : int
        Of the split, of the systems and of the measures.
    folder : Path
        Where the records are.
    """

    def __init__(self, spec: BenchTable, table: pa.Table, seed: int, folder: Path) -> None:
        self.spec, self.seed, self.folder = spec, seed, folder
        self.train, self.holdout = split(table, spec.share, seed)

    def measure(self, system: System, limit: float, threads: int, again: bool) -> None:
        """Run a system and score its table."""
        file = self._file(system.name, "run.json")
        out = self._file(system.name, "synthetic.parquet")
        of = {
            "options": dict(system.options),
            "threads": threads,
            "rows": [len(self.train), len(self.holdout)],
            "sources": sources_of(system),
        }
        record = None if again else kept(file, of)
        if record is None:
            self._say(f"{system.name}: running")
            train = self._file("split", "train.parquet")
            _write(self.train, train)
            record = run(
                system,
                train,
                out,
                target=self.spec.target,
                seed=self.seed,
                rows=len(self.train),
                limit=limit,
                threads=threads,
            )
            write_json(file, {"of": of, **record})
        if "failed" in record:
            self._say(f"{system.name}: failed: {record['failed']}")
            return
        lost = set(self.train.column_names) - set(pq.read_schema(out).names)
        if lost:
            write_json(file, {"of": of, "failed": f"its table lacks {len(lost)} columns"})
            return
        self._score(system.name, out)

    def refer(self, name: str) -> None:
        """Score a reference: real rows, or real rows rearranged."""
        made = REFERENCES[name]
        if made is None:
            self._score(name, None)
            return
        out = self._file(name, "synthetic.parquet")
        _write(made(self.train, np.random.default_rng(self.seed)), out)
        self._score(name, out)

    def _score(self, name: str, synthetic: Path | None) -> None:
        """Score a table, or the holdout where there is none, unless that was done before."""
        file = self._file(name, "scores.json")
        sources = [Path(measures.__file__), Path(__file__).with_name("tables.py")]
        evaluation = Path(measures.metrics.__file__).parent
        sources += [evaluation / f"{name}.py" for name in MEASURED]
        of = {
            "rows": [len(self.train), len(self.holdout)],
            "measures": digest(sources),
            "table": "" if synthetic is None else digest([synthetic]),
        }
        if kept(file, of) is not None:
            return
        self._say(f"{name}: scoring")
        about: Mapping[str, Any] = {
            "target": self.spec.target,
            "positive": self.spec.positive,
            "seed": self.seed,
        }
        if synthetic is None:
            scores = measures.score_real(self.train, self.holdout, **about)
        else:
            made = pq.read_table(synthetic)
            scores = measures.score(self.train, self.holdout, made, **about)
        held = pc.equal(self.train.column(self.spec.target), self.spec.positive)
        about_table = {"columns": self.train.num_columns, "positives": pc.sum(held).as_py()}
        write_json(file, {"of": of, "scores": scores, **about_table})

    def _file(self, system: str, name: str) -> Path:
        return self.folder / system / str(self.seed) / name

    def _say(self, words: str) -> None:
        print(f"{self.spec.name}, seed {self.seed}: {words}", file=sys.stderr, flush=True)


def _write(table: pa.Table, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)


def _bootstrap(train: pa.Table, rng: np.random.Generator) -> pa.Table:
    return train.take(rng.integers(len(train), size=len(train)))


def _shuffled(train: pa.Table, rng: np.random.Generator) -> pa.Table:
    columns = [column.take(rng.permutation(len(train))) for column in train.columns]
    return pa.table(columns, schema=train.schema)


MEASURED = ("bins", "fidelity", "frames", "learners", "metrics")
"""Modules of the evaluation that the measures rest on."""

REFERENCES: Mapping[str, Callable[[pa.Table, np.random.Generator], pa.Table] | None] = {
    "real-holdout": None,
    "bootstrap": _bootstrap,
    "shuffled": _shuffled,
}
"""What the figures are read against; a function makes a table of the training rows."""


if __name__ == "__main__":
    sys.exit(main())
