"""Whether augmentation helps: every engine and baseline in the same folds of the same tables.

    python -m benchmarks.minority [--tables NAME ...] [--engines NAME ...] [--rows N] [--repeats N]

Evaluations are kept in benchmarks/.cache/minority; `python -m benchmarks.bench` puts them in
RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.results import MINORITY
from benchmarks.running import CACHE
from benchmarks.tables import TABLES, MissingTableError, load
from privsynth import minority_gain

__all__ = ["main"]

RARE = ("nass_cds", "vehicle_fraud", "lending_club", "bank_marketing", "covid_testing")
ENGINES = ("cart", "copula", "sdv-gaussian-copula")
ROWS = 6_000


def main(arguments: list[str] | None = None) -> int:
    """Judge the requested tables that have no stored result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tables", nargs="+", choices=list(TABLES), default=list(RARE))
    parser.add_argument("--engines", nargs="+", default=list(ENGINES))
    parser.add_argument("--rows", type=int, default=ROWS, help="read at most so many rows")
    parser.add_argument("--repeats", type=int, default=1, help="of five folds")
    parser.add_argument("--again", action="store_true", help="judge even what is kept")
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    for name in options.tables:
        file = options.cache / MINORITY / f"{name}.json"
        if file.exists() and not options.again:
            continue
        print(f"{name}: judging", file=sys.stderr, flush=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            table = load(name, options.rows)
        except MissingTableError as error:
            print(f"minority: {error}", file=sys.stderr)
            return 2
        target = TABLES[name].target
        judged = minority_gain(
            table, target=target, engine=options.engines, repeats=options.repeats
        )
        judged.to_json(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
