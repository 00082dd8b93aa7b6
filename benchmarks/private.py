"""What a privacy budget costs: engines and epsilons in the same splits of the same tables.

    python -m benchmarks.private [--tables NAME ...] [--engines NAME ...] [--epsilons E ...]

Records are kept in benchmarks/.cache/private; `python -m benchmarks.bench` puts them in
RESULTS.md; to measure something again, delete its record. Domains are declared as the whole table
has them, as a codebook would list them. Peers are run where their environments are found, as in
`benchmarks.bench`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.binned import binned
from benchmarks.measures import agreement as agreement_of
from benchmarks.measures import columns as kinds_of
from benchmarks.measures import score_real, tstr
from benchmarks.results import PRIVATE
from benchmarks.running import CACHE, python_of, run, write_json
from benchmarks.systems import BUDGETED
from benchmarks.tables import TABLES, BenchTable, MissingTableError, load, split
from privsynth import Budget, Schema, fit, propose_schema
from privsynth.evaluation.frames import canonical
from privsynth.schema.columns import Bounds, Kind, Levels, Source

__all__ = ["declared", "main"]

USUAL = (
    "adult",
    "nass_cds",
    "bank_marketing",
    "nist_acs_ma2019",
    "made_86_columns",
    "made_700_codes",
)
ENGINES = ("marginals", "mst", "aim", "copula", "independent")
EPSILONS = (0.5, 1.0, 3.0, 10.0)
SEEDS = 5
MAX_LEVELS = 2_000
LIMIT = 1_800.0  # seconds that a peer has
Scores = dict[str, float | None]


def main(arguments: list[str] | None = None) -> int:
    """Fit, draw and score the requested cases that have no stored result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(USUAL))
    parser.add_argument(
        "--engines", nargs="+", choices=[*ENGINES, *BUDGETED], default=list(ENGINES)
    )
    parser.add_argument("--epsilons", nargs="+", type=float, default=list(EPSILONS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="splits of each table")
    parser.add_argument("--rows", type=int, default=None, help="read at most so many rows")
    parser.add_argument("--cache", type=Path, default=CACHE)
    asked = parser.parse_args(arguments)
    engines = [name for name in asked.engines if not _absent(name)]
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
            for reference, refer in REFERENCES.items():
                file = home / f"{reference}-{seed}.json"
                if not file.exists():
                    write_json(file, {"scores": refer(train, holdout, about, schema)})
            for engine in engines:
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
            domain = Levels(tuple(sorted(pc.unique(values).to_pylist())[:MAX_LEVELS]))
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


def _real(train: pa.Table, holdout: pa.Table, about: BenchTable, _: Schema) -> Scores:
    return score_real(train, holdout, about.target, about.positive)


def _binned(train: pa.Table, holdout: pa.Table, about: BenchTable, schema: Schema) -> Scores:
    """Score the training rows themselves once they went through the codes that peers are given."""
    codec = binned(schema)
    back = codec.decode(codec.encode(train), np.random.default_rng(0)).cast(codec.schema)
    return _scores(train, holdout, back, about, 0)


REFERENCES = {"real": _real, "binned": _binned}


def _scores(
    train: pa.Table, holdout: pa.Table, synthetic: pa.Table, about: BenchTable, seed: int
) -> Scores:
    kinds = kinds_of(train.schema, about.target)
    real, held, drawn = (canonical(t.to_pandas(), kinds) for t in (train, holdout, synthetic))
    return {
        **agreement_of(real, drawn, seed),
        **tstr(drawn, held, about.target, about.positive, seed),
    }


def _absent(engine: str) -> str:
    """Return why an engine cannot be run here; nothing where it can."""
    if engine not in BUDGETED or python_of(BUDGETED[engine]):
        return ""
    reason = f"{engine}: not installed ('make bench-peers' does it), left out"
    print(reason, file=sys.stderr)
    return reason


def _record(
    train: pa.Table,
    holdout: pa.Table,
    about: BenchTable,
    schema: Schema,
    engine: str,
    epsilon: float,
    seed: int,
) -> dict[str, Any]:
    """Fit and draw with an engine; return its cost and scores, or why it failed."""
    draw = _drawn_by_peer if engine in BUDGETED else _drawn
    record, synthetic = draw(train, about.target, schema, engine, Budget(epsilon, unit="row"), seed)
    if synthetic is None:
        return record
    return {**record, "scores": _scores(train, holdout, synthetic, about, seed)}


def _drawn(
    train: pa.Table, target: str, schema: Schema, engine: str, budget: Budget, seed: int
) -> tuple[dict[str, Any], pa.Table | None]:
    start = time.process_time()
    model = fit(train, engine=engine, target=target, schema=schema, budget=budget, seed=seed)
    seconds = time.process_time() - start
    return {"cpu_seconds": seconds}, model.sample(len(train), seed=seed)


def _drawn_by_peer(
    train: pa.Table, target: str, schema: Schema, engine: str, budget: Budget, seed: int
) -> tuple[dict[str, Any], pa.Table | None]:
    """Let a peer fit and draw codes, and give them values."""
    codec = binned(schema)
    names = list(schema.names)
    told = {
        "epsilon": budget.epsilon,
        "delta": budget.delta,
        "rho": budget.rho(),
        "sizes": dict(zip(names, codec.sizes, strict=True)),
    }
    with tempfile.TemporaryDirectory() as folder:
        rows, out = Path(folder) / "train.parquet", Path(folder) / "synthetic.parquet"
        pq.write_table(pa.table(list(codec.encode(train).T), names=names), rows)
        record = run(
            replace(BUDGETED[engine], options=told),
            rows,
            out,
            target=target,
            seed=seed,
            rows=len(train),
            limit=LIMIT,
        )
        if "failed" in record:
            return record, None
        codes = pq.read_table(out)
    made = np.column_stack([codes.column(name).to_numpy() for name in names]).astype(np.int32)
    synthetic = codec.decode(made, np.random.default_rng(seed)).cast(codec.schema)
    return {"cpu_seconds": record["cost"]["fit_cpu_seconds"], **record}, synthetic


if __name__ == "__main__":
    sys.exit(main())
