"""What a privacy budget costs: engines and epsilons in the same splits of the same tables.

    python -m benchmarks.private [--tables NAME ...] [--engines NAME ...] [--epsilons E ...]

Records are kept in benchmarks/.cache/private; `python -m benchmarks.bench` puts them in
RESULTS.md. Domains are declared as the whole table has them, as a codebook would list them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.measures import agreement as agreement_of
from benchmarks.measures import columns as kinds_of
from benchmarks.measures import score_real, tstr
from benchmarks.results import PRIVATE
from benchmarks.running import CACHE, write_json
from benchmarks.tables import TABLES, BenchTable, MissingTableError, load, split
from privsynth import Budget, Schema, fit, propose_schema
from privsynth.evaluation.frames import canonical
from privsynth.schema import Bounds, Kind, Levels, Source

__all__ = ["declared", "main"]

USUAL = ("adult", "nass_cds", "bank_marketing", "nist_acs_ma2019")
ENGINES = ("marginals", "mst", "aim", "copula", "independent")
EPSILONS = (0.5, 1.0, 3.0, 10.0)
SEEDS = 5
MOST_LEVELS = 2_000


def main(arguments: list[str] | None = None) -> int:
    """Fit, draw and score what is asked for and not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(USUAL))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="splits of each table")
    parser.add_argument("--rows", type=int, default=None, help="read at most so many rows")
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args(arguments)
    for name in asked.tables:
        try:
            table, about = load(name, asked.rows), TABLES[name]
        except MissingTableError as error:
            print(f"private: {error}", file=sys.stderr)
            return 2
        schema = declared(table, about.target)
        for seed in range(asked.seeds):
            train, holdout = split(table, about.share, seed)
            home = asked.cache / PRIVATE / name
            real = home / f"real-{seed}.json"
            if not real.exists():
                write_json(
                    real, {"scores": score_real(train, holdout, about.target, about.positive)}
                )
            for engine in asked.engines:
                for epsilon in asked.epsilons:
                    file = home / f"{engine}-{epsilon:g}-{seed}.json"
                    if not file.exists():
                        print(f"{file.stem} on {name}", file=sys.stderr, flush=True)
                        write_json(
                            file, _record(train, holdout, about, schema, engine, epsilon, seed)
                        )
    return 0


def declared(table: pa.Table, target: str) -> Schema:
    """Declare the domain of each column as the whole table has it."""
    found = []
    for column in propose_schema(table, target=target, k=1):
        values = table.column(column.name).drop_null()
        kind = Kind.CATEGORICAL if column.kind.surrogate else column.kind
        if kind.continuous:
            domain: Any = column.domain
            if kind is not Kind.DATETIME:
                ends = pc.min_max(values).as_py()
                domain = Bounds(ends["min"], ends["max"])
        else:
            domain = Levels(tuple(sorted(pc.unique(values).to_pylist())[:MOST_LEVELS]))
        found.append(
            replace(
                column,
                kind=kind,
                domain=domain,
                source=Source.DECLARED,
                unique=False,
                personal=None,
            )
        )
    return Schema(tuple(found))


def _record(
    train: pa.Table,
    holdout: pa.Table,
    about: BenchTable,
    schema: Schema,
    engine: str,
    epsilon: float,
    seed: int,
) -> dict[str, Any]:
    start = time.process_time()
    model = fit(
        train,
        engine=engine,
        target=about.target,
        schema=schema,
        budget=Budget(epsilon),
        seed=seed,
    )
    seconds = time.process_time() - start
    synthetic = model.sample(len(train), seed=seed)
    kinds = kinds_of(train.schema, about.target)
    real, held, drawn = (canonical(t.to_pandas(), kinds) for t in (train, holdout, synthetic))
    return {
        "cpu_seconds": seconds,
        "scores": {
            **agreement_of(real, drawn, seed),
            **tstr(drawn, held, about.target, about.positive, seed),
        },
    }


if __name__ == "__main__":
    sys.exit(main())
