"""The inner loops, each beside a floor: the same work in a few lines of plain numpy.

    python -m pytest benchmarks/kernels/bench_kernels.py --benchmark-json=FILE

One made-up table of 100,000 rows and 15 columns; CPU time on one thread.
"""

# ruff: noqa: D103 - a kernel is named by its test

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from threadpoolctl import threadpool_limits

import privsynth
from benchmarks.tables import made
from privsynth.arrays import Codes
from privsynth.coding.cells import Cells
from privsynth.coding.levels import LevelCodes
from privsynth.engines.registry import ENGINES
from privsynth.table import count

ROWS = 100_000
COLUMNS = 15
DEPTH = 9  # of the floor's trees: 512 leaves
PAIRS = [(i, j) for i in range(COLUMNS) for j in range(i)]

WAYS = pytest.mark.parametrize("way", ["privsynth", "floor"])
pytestmark = pytest.mark.benchmark(
    timer=time.process_time, min_rounds=3, max_time=2.0, warmup=True, warmup_iterations=1
)

Work = Callable[[], Any]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@cache
def table() -> Any:
    """Make the rows, as an Arrow table."""
    return made(ROWS, COLUMNS)


@cache
def fitted(engine: str) -> privsynth.FittedModel:
    """Fit an engine to the table."""
    if engine not in ENGINES:
        pytest.skip(f"no engine {engine!r} yet")
    return privsynth.fit(table(), engine=engine, target="target", seed=0)


@cache
def codes() -> Codes:
    """Give the table's rows as codes."""
    return fitted("cart").codec.encode(table())


@cache
def raw() -> list[Any]:
    """Each column: numbers as float64, texts as Arrow has them."""
    return [
        column.to_numpy().astype(float) if isinstance(coding, Cells) else column.combine_chunks()
        for coding, column in zip(fitted("cart").codec.codings, table().columns, strict=True)
    ]


def encode_floor() -> Codes:
    """Binary search for numbers; for texts Arrow's dictionary and a look-up."""
    found = np.empty((ROWS, COLUMNS), dtype=np.int32)
    for j, (values, coding) in enumerate(zip(raw(), fitted("cart").codec.codings, strict=True)):
        if isinstance(coding, Cells):
            found[:, j] = np.searchsorted(coding.low, values, "right")
        else:
            found[:, j] = np.arange(coding.size)[values.dictionary_encode().indices]
    return found


def count_floor() -> list[npt.NDArray[np.int64]]:
    """Multiply, add and count."""
    columns = codes().T.astype(np.int64)
    sizes = fitted("cart").codec.sizes
    return [
        np.bincount(columns[i] * sizes[j] + columns[j], minlength=sizes[i] * sizes[j])
        for i, j in PAIRS
    ]


def decode_floor() -> list[npt.NDArray[Any]]:
    """Draw inside the cell for numbers, look up levels."""
    rng = np.random.default_rng(0)
    columns: list[npt.NDArray[Any]] = []
    for j, coding in enumerate(fitted("cart").codec.codings):
        column = codes()[:, j]
        if isinstance(coding, Cells):
            low, high = (np.append(e, np.nan).astype(float) for e in (coding.low, coding.high))
            columns.append(low[column] + rng.random(ROWS) * (high - low)[column])
        else:
            columns.append(np.arange(coding.size)[column])
    return columns


def fit_floor() -> tuple[npt.NDArray[Any], list[npt.NDArray[Any]]]:
    """Fit a Gaussian copula: quantiles, codes, counts, normal scores, correlation, Cholesky."""
    from scipy.special import ndtri

    scores = np.empty((ROWS, COLUMNS))
    totals = []
    for j, values in enumerate(raw()):
        if isinstance(values, np.ndarray):
            known = values[~np.isnan(values)]
            column = np.searchsorted(np.unique(np.quantile(known, np.arange(256) / 256)), values)
        else:
            column = np.asarray(values.dictionary_encode().indices)
        held = np.bincount(column)
        totals.append(np.cumsum(held))
        scores[:, j] = ndtri((totals[-1] - held / 2) / ROWS)[column]
    return np.linalg.cholesky(np.corrcoef(scores.T) + 1e-6 * np.eye(COLUMNS)), totals


floor_model = cache(fit_floor)


def copula_floor() -> Codes:
    """Correlated normals, and the code whose share they fall in."""
    from scipy.special import ndtri

    factor, totals = floor_model()
    normals = np.random.default_rng(0).standard_normal((ROWS, COLUMNS)) @ factor.T
    drawn = np.empty((ROWS, COLUMNS), dtype=np.int32)
    for j, total in enumerate(totals):
        drawn[:, j] = np.searchsorted(ndtri(total[:-1] / ROWS), normals[:, j])
    return drawn


def tree_floor() -> Codes:
    """Walk one complete tree a column, level by level, and search the leaf's cumulative shares."""
    rng = np.random.default_rng(0)
    sizes = fitted("cart").codec.sizes
    drawn = np.zeros((ROWS, COLUMNS), dtype=np.int32)
    for j, size in enumerate(sizes):
        feature = rng.integers(max(1, j), size=2**DEPTH)
        threshold = rng.integers(1 + np.array(sizes)[feature])
        node = np.ones(ROWS, dtype=np.int64)
        rows = np.arange(ROWS)
        for _ in range(DEPTH - 1):
            node = 2 * node + (drawn[rows, feature[node]] > threshold[node])
        shares = rng.random((2**DEPTH, size)).cumsum(axis=1)
        shares = shares / shares[:, -1:] + np.arange(2**DEPTH)[:, None]
        found = np.searchsorted(shares.ravel(), node + rng.random(ROWS))
        drawn[:, j] = np.minimum(found - node * size, size - 1)
    return drawn


def draw(engine: str) -> Work:
    """Give the drawing of codes by an engine's model."""
    model = fitted(engine).model
    return lambda: model.sample(ROWS, np.random.default_rng(0))


def pairs() -> Any:
    """Every pair of columns by the package's counting kernel."""
    sizes = fitted("cart").codec.sizes
    return [count(codes(), sizes, pair) for pair in PAIRS]


def copula_fit() -> Any:
    """Fit as users do: schema, codec, counts, correlation."""
    return privsynth.fit(table(), engine="copula", target="target", seed=0)


@WAYS
@pytest.mark.benchmark(group="encode")
def test_encode(benchmark: Any, way: str) -> None:
    codec = fitted("cart").codec
    raw()
    benchmark(encode_floor if way == "floor" else lambda: codec.encode(table()))


@WAYS
@pytest.mark.benchmark(group="count all pairs")
def test_count(benchmark: Any, way: str) -> None:
    codes()
    benchmark(count_floor if way == "floor" else pairs)


@WAYS
@pytest.mark.benchmark(group="decode")
def test_decode(benchmark: Any, way: str) -> None:
    codec = fitted("cart").codec
    assert any(isinstance(coding, LevelCodes) for coding in codec.codings)
    mine = codes()
    rng = np.random.default_rng(0)
    benchmark(decode_floor if way == "floor" else lambda: codec.decode(mine, rng))


@WAYS
@pytest.mark.benchmark(group="copula: fit")
def test_copula_fit(benchmark: Any, way: str) -> None:
    fitted("copula")
    raw()
    benchmark(fit_floor if way == "floor" else copula_fit)


@WAYS
@pytest.mark.benchmark(group="copula: draw codes")
def test_copula_draw(benchmark: Any, way: str) -> None:
    work = draw("copula")
    floor_model()
    benchmark(copula_floor if way == "floor" else work)


@WAYS
@pytest.mark.benchmark(group="cart: draw codes")
def test_tree_walk(benchmark: Any, way: str) -> None:
    work = draw("cart")
    benchmark(tree_floor if way == "floor" else work)
