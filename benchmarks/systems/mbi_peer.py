"""MST (McKenna, Miklau and Sheldon 2021) of mbi's parts, on whole numbers.

mbi's wheel holds measurements, compression, estimation and drawing, but no mechanism: the three
steps of the paper are put together here, with the rounds of estimation that mbi's own script has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path
from typing import Any

import networkx as nx  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mbi import Dataset, Domain, LinearMeasurement  # type: ignore[import-not-found]
from mbi.estimation import MirrorDescent  # type: ignore[import-not-found]

__all__ = ["fit", "load", "sample"]

FIRST, LAST = 2_500, 10_000
LEAST = 3.0  # standard deviations; values counted less often are merged
Model = tuple[Any, dict[str, np.ndarray]]


def load(_: Mapping[str, Any]) -> dict[str, str]:
    """Give the versions; everything was imported with this module."""
    return {name: version(name) for name in ("mbi", "jax")}


def fit(train: Path, _: str, seed: int, options: Mapping[str, Any]) -> Model:
    """Spend a third of the budget each on single columns, the choice of a tree, and its pairs."""
    np.random.seed(seed)  # noqa: NPY002 - mbi draws from the global stream
    rng = np.random.default_rng(seed)
    third = options["rho"] / 3
    domain = Domain.fromdict(dict(options["sizes"]))
    codes = pq.read_table(train)
    data = Dataset({name: codes.column(name).to_numpy() for name in domain.attributes}, domain)
    single = _measured(data, [(name,) for name in domain.attributes], third, rng)
    merges = {answer.clique[0]: merge for answer in single if (merge := _merge(answer)) is not None}
    data = data.compress(merges)
    single = [answer.compress(merges, domain) for answer in single]
    model = MirrorDescent().estimate(data.domain, single, iters=FIRST)
    pairs = _measured(data, _tree(data, model, third, rng), third, rng)
    return MirrorDescent().estimate(data.domain, single + pairs, iters=LAST), merges


def sample(model: Model, rows: int, out: Path, seed: int) -> None:
    """Draw codes into a file."""
    np.random.seed(seed)  # noqa: NPY002
    estimated, merges = model
    made = estimated.synthetic_data(rows).decompress(merges)
    pq.write_table(pa.table({name: np.asarray(codes) for name, codes in made.data.items()}), out)


def _measured(
    data: Dataset, cliques: Sequence[tuple[str, ...]], rho: float, rng: np.random.Generator
) -> list[LinearMeasurement]:
    """Count cliques with Gaussian noise, for `rho` in all."""
    scale = math.sqrt(len(cliques) / (2 * rho))
    counts = (data.project(clique).datavector() for clique in cliques)
    return [
        LinearMeasurement(count + rng.normal(0, scale, len(count)), clique, scale)
        for clique, count in zip(cliques, counts, strict=True)
    ]


def _merge(answer: LinearMeasurement) -> np.ndarray | None:
    """Map values to fewer: those that noise would drown become one; None where there are none."""
    kept = np.asarray(answer.noisy_measurement) >= LEAST * answer.stddev
    return None if kept.all() else np.where(kept, np.cumsum(kept) - 1, kept.sum())


def _tree(data: Dataset, model: Any, rho: float, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Choose a spanning tree by the exponential mechanism: the pairs that are estimated worst."""
    names = data.domain.attributes
    error = {
        pair: float(
            np.abs(data.project(pair).datavector() - model.project(pair).datavector()).sum()
        )
        for pair in combinations(names, 2)
    }
    epsilon = math.sqrt(8 * rho / (len(names) - 1))
    tree = nx.Graph()
    tree.add_nodes_from(names)
    while tree.number_of_edges() < len(names) - 1:
        part = {name: i for i, some in enumerate(nx.connected_components(tree)) for name in some}
        open_pairs = [pair for pair in error if part[pair[0]] != part[pair[1]]]
        scores = epsilon / 2 * np.array([error[pair] for pair in open_pairs])
        chances = np.exp(scores - scores.max())
        tree.add_edge(*open_pairs[rng.choice(len(open_pairs), p=chances / chances.sum())])
    return [(a, b) for a, b in tree.edges]
