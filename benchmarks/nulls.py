"""How often the attacks' intervals err where nothing leaks, over many honest tables.

    python -m benchmarks.nulls [--runs N] [--rows N] [--holdout N]

Train, holdout and "synthetic" rows are drawn afresh from one made-up population each time, so that
the truth is known: no excess over the holdout, and what guessing gives. An interval of 95% may err
in 5% of the runs, at its two ends together; a lower end that errs is a false alarm's first half.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from privsynth.evaluation.evaluators import ATTACKS
from privsynth.evaluation.policy import POLICIES, apply_policy
from privsynth.evaluation.score import Evaluation, Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

__all__ = ["Errors", "attacked", "errors", "main", "population"]

SCHEMA = Schema(
    (
        Column("age", Kind.INTEGER, "int64"),
        Column("income", Kind.NUMERIC, "double"),
        Column("rate", Kind.NUMERIC, "double"),
        Column("town", Kind.CATEGORICAL, "string"),
        Column("job", Kind.CATEGORICAL, "string", nullable=True),
        Column("ill", Kind.CATEGORICAL, "string", role=Role.TARGET),
    )
)


@dataclass(frozen=True)
class Errors:
    """How often one score's interval missed the truth.

    Parameters
    ----------
    name : str
    runs : int
        In which it had an interval.
    low, high : int
        Runs in which its lower end lay above the truth, and its upper end below.
    """

    name: str
    runs: int
    low: int
    high: int


def main(arguments: list[str] | None = None) -> int:
    """Attack honest tables, and print how often each interval erred and each score failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1_000, help="of train, and synthetic ones")
    parser.add_argument("--holdout", type=int, default=1_000)
    asked = parser.parse_args(arguments)
    found = [attacked(seed, asked.rows, asked.holdout) for seed in range(asked.runs)]
    failed = Counter(
        finding.score
        for evaluation in found
        for finding in apply_policy(evaluation, POLICIES["standard"])
        if finding.fails
    )
    lines = ["| score | runs | low errs | high errs | both | FAIL |", "|---|---|---|---|---|---|"]
    for e in errors(found):
        shares = (e.low / e.runs, e.high / e.runs, (e.low + e.high) / e.runs)
        told = " | ".join(f"{share:.1%}" for share in shares)
        lines.append(f"| {e.name} | {e.runs} | {told} | {failed[e.name]} |")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def population(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw rows: numbers and levels that hang together, some missing, a rare class."""
    hidden = rng.normal(size=rows)
    job = pd.Series(rng.choice(["a", "b", "c", "d"], rows, p=[0.5, 0.3, 0.15, 0.05]), dtype=object)
    return pd.DataFrame(
        {
            "age": np.clip(40 + 12 * hidden + 8 * rng.normal(size=rows), 18, 90).astype(int),
            "income": np.exp(hidden + rng.normal(size=rows)).round(2),
            "rate": rng.normal(size=rows),
            "town": rng.choice(["n", "s", "e", "w", "m"], rows),
            "job": job.mask(rng.random(rows) < 0.05),
            "ill": np.where(hidden + rng.normal(size=rows) > 1.8, "yes", "no"),
        }
    )


def attacked(seed: int, rows: int, holdout: int) -> Evaluation:
    """Attack a table of fresh rows."""
    rng = np.random.default_rng(seed)
    train, held, made = (population(n, rng) for n in (rows, holdout, rows))
    scores = [s for attack in ATTACKS for s in attack(train, held, made, SCHEMA, seed=seed)]
    return Evaluation(tuple(scores), {"rows": {"train": rows, "holdout": holdout}})


def errors(evaluations: Iterable[Evaluation]) -> list[Errors]:
    """Count the errors of each score's interval, where the truth is that nothing leaks."""
    runs: Counter[str] = Counter()
    low: Counter[str] = Counter()
    high: Counter[str] = Counter()
    for score in (score for evaluation in evaluations for score in evaluation):
        if score.family != "attacks" or score.low is None:
            continue
        truth = _truth(score)
        runs[score.name] += 1
        low[score.name] += score.low > truth
        high[score.name] += score.high is not None and score.high < truth
    return [Errors(name, runs[name], low[name], high[name]) for name in runs]


def _truth(score: Score) -> float:
    """Return what an honest table has: guessing's share of members, and no excess elsewhere."""
    guessing = score.name.startswith(("membership_tpr", "membership_auc"))
    return float(score.real or 0) if guessing else 0.0


if __name__ == "__main__":
    raise SystemExit(main())
