"""Draw rows from a fitted model in independent chunks.

Chunk *i* is drawn from ``SeedSequence(seed, spawn_key=(i,))``, so the rows do not depend on which
thread draws a chunk, or in which order. Threads draw a few chunks ahead of the one that is yielded
next (numpy and Arrow release the GIL), but only a few, so that memory does not grow with the number
of rows.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from itertools import islice
from numbers import Integral
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from privsynth.arrays import Codes
from privsynth.coding import Cells, Codec, Coding, DeterminedCodes
from privsynth.engines import Model, Progress, labels_to_draw
from privsynth.errors import SamplingError, UsageError

__all__ = ["chosen_seed", "rows"]

ROWS_PER_CHUNK = 50_000
MAX_DRAWS_PER_ROW = 1_000
MIN_DRAWS = 500_000


def chosen_seed(seed: int | None = None) -> int:
    """Return the given seed, or draw a fresh one that is short enough to be typed again.

    Raises
    ------
    UsageError
        `seed` is no whole number of 0 or more.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if not isinstance(seed, Integral) or seed < 0:
        raise UsageError(f"the seed is {seed!r}; expected a whole number of 0 or more")
    return int(seed)


def rows(
    codec: Codec,
    model: Model,
    n: int,
    *,
    seed: int,
    where: Mapping[str, Any] | None = None,
    classes: Mapping[int, float] | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Generator[pa.Table]:
    """Draw rows, a chunk at a time.

    Parameters
    ----------
    codec : Codec
    model : Model
    n : int
        Total number of rows.
    seed : int
        The same seed gives the same rows.
    where : mapping of str to value, optional
        Conditions that every row must meet. The model draws some directly (always one on a
        discrete target); the others are met by rejection.
    classes : mapping of int to float, optional
        Weight of each class of the target, by its code; by default its share of the training
        rows. Every chunk has its share of each class, to within one row.
    progress : callable, optional
        Called by the thread that iterates over the rows.
    workers : int, optional
        Number of threads that draw; by default one per core that this process may use. It does
        not change the rows.

    Yields
    ------
    pyarrow.Table
        At most 50,000 rows each, as `Codec.decode` returns them.

    Raises
    ------
    UsageError
        `n` is below 1.
    SamplingError
        A condition names an unknown column or level, or too few of the rows drawn meet it.
    """
    if not isinstance(n, int | np.integer) or n < 1:
        raise UsageError(f"{n} rows were requested; request at least 1")
    fixed = codec.conditions(where or {})
    if classes is not None and codec.target in fixed:
        if fixed[codec.target] not in classes:
            raise SamplingError(
                "the model draws no row of the requested class; request another class"
            )
        classes = None  # the condition already fixes the class
    stop = Event()

    def chunk(i: int) -> pa.Table:
        start = i * ROWS_PER_CHUNK
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))
        size = min(ROWS_PER_CHUNK, n - start)
        if classes is None:
            drawn = _meeting(codec, model, size, rng, fixed, stop)
        else:
            drawn = _by_class(codec, model, size, rng, fixed, stop, classes)
        if isinstance(drawn, np.ndarray):
            return _exact(codec, codec.decode(drawn, rng, start=start), where or {})
        return _completed(codec, drawn, rng, start)

    tasks = (partial(chunk, i) for i in range(-(-n // ROWS_PER_CHUNK)))
    done = 0
    threads = min(workers or _cores(), -(-n // ROWS_PER_CHUNK))
    # The order of BLAS sums depends on the number of threads.
    with threadpool_limits(1), closing(_in_order(tasks, threads, stop)) as chunks:
        for drawn in chunks:
            yield drawn
            done += drawn.num_rows
            if progress is not None:
                progress("sampling rows", done, n)


def _cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_order(
    tasks: Iterator[Callable[[], pa.Table]], workers: int, stop: Event
) -> Generator[pa.Table]:
    """Run tasks on threads, only a few ahead of their consumer; yield the results in order.

    However it ends, no thread is left running: `stop` tells running tasks to give up.
    """
    if workers == 1:
        for task in tasks:
            yield task()
        return
    # OpenMP keeps a thread limit for each calling thread.
    pool = ThreadPoolExecutor(workers, "privsynth", initializer=threadpool_limits, initargs=(1,))
    try:
        ahead: deque[Future[pa.Table]] = deque(
            pool.submit(task) for task in islice(tasks, workers + 1)
        )
        while ahead:
            drawn = ahead.popleft().result()
            ahead.extend(pool.submit(task) for task in islice(tasks, 1))
            yield drawn
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _by_class(
    codec: Codec,
    model: Model,
    n: int,
    rng: np.random.Generator,
    fixed: Mapping[int, int],
    stop: Event,
    classes: Mapping[int, float],
) -> Codes | pa.Table:
    """Draw rows with the given weights of classes, in random order."""
    prior = np.zeros(max(classes) + 1)
    prior[list(classes)] = list(classes.values())
    labels = labels_to_draw(n, prior, codec.target, rng, None)
    counts = np.bincount(labels)
    parts = [
        _meeting(codec, model, int(counts[c]), rng, {**fixed, codec.target: int(c)}, stop)
        for c in np.flatnonzero(counts)
        if codec.target is not None
    ]
    place = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
    if any(isinstance(part, np.ndarray) for part in parts):
        return np.asfortranarray(np.concatenate(parts)[place])
    return pa.concat_tables(parts).take(pa.array(place))


def _completed(codec: Codec, drawn: pa.Table, rng: np.random.Generator, start: int) -> pa.Table:
    """Add the columns that a model of kept rows does not draw: invented or determined ones."""
    no_codes = np.zeros(drawn.num_rows, dtype=np.int32)

    def column(coding: Coding) -> pa.Array | pa.ChunkedArray:
        if coding.name in drawn.column_names:
            return drawn.column(coding.name)
        if isinstance(coding, DeterminedCodes):
            return coding.follow(drawn.column(coding.by.name))
        return coding.decode(no_codes, rng, start)

    columns = [column(coding) for coding in codec.codings]
    return pa.table(columns, names=codec.schema.names)


def _meeting(
    codec: Codec,
    model: Model,
    n: int,
    rng: np.random.Generator,
    fixed: Mapping[int, int],
    stop: Event,
) -> Codes | pa.Table:
    """Draw codes that meet every condition; give up once `stop` is set."""
    exact = {j: code for j, code in fixed.items() if j in model.answers}
    others = {j: code for j, code in fixed.items() if j not in exact}
    if not others:
        return model.sample(n, rng, where=exact or None)
    if model.holds_rows:
        raise SamplingError("this model supports a condition on its target only; drop the others")
    kept: list[Codes] = []
    have = drawn = 0
    while have < n and not stop.is_set():
        if drawn >= MIN_DRAWS and have * MAX_DRAWS_PER_ROW < drawn:
            names = ", ".join(repr(codec.codings[j].name) for j in others)
            raise SamplingError(
                f"{have} of {drawn} rows drawn meet the condition on {names}, but {n} are needed; "
                "ask for fewer rows or drop a condition"
            )
        rate = max(have, 1) / drawn if drawn else 0.1
        size = int(np.clip(1.2 * (n - have) / rate, 1_000, ROWS_PER_CHUNK))
        codes = np.asarray(model.sample(size, rng, where=exact or None))
        meets = np.all([codes[:, j] == code for j, code in others.items()], axis=0)
        kept.append(codes[meets])
        have += int(meets.sum())
        drawn += size
    return np.concatenate(kept)[:n]


def _exact(codec: Codec, chunk: pa.Table, where: Mapping[str, Any]) -> pa.Table:
    """Set each conditioned number to its exact value, since its cell may be wider."""
    for j, coding in enumerate(codec.codings):
        if coding.name in where and isinstance(coding, Cells):
            value = coding.value(where[coding.name])
            if value.is_valid:
                field = chunk.schema.field(j)
                same = pa.repeat(value, chunk.num_rows)
                if pa.types.is_dictionary(field.type):
                    same = same.dictionary_encode().cast(field.type)
                chunk = chunk.set_column(j, field, same)
    return chunk
