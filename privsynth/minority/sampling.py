"""Draw rows of one class from a fitted model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from threadpoolctl import threadpool_limits

from privsynth.artefact import FittedModel
from privsynth.errors import SamplingError, UsageError
from privsynth.minority.selection import chosen
from privsynth.sampler import rows
from privsynth.schema import Schema
from privsynth.table import Table

__all__ = ["OTHER_ROWS", "draw", "draw_no_copies", "draw_selected"]

OTHER_ROWS = 5_000
"""Up to this many rows of other classes are used even where the class has fewer."""
MAX_CANDIDATES = 30_000
MAX_TRIES = 20


def draw(model: FittedModel, label: Any, n: int, stream: np.random.SeedSequence) -> pa.Table:
    """Draw rows of a class."""
    (seed,) = stream.generate_state(1).tolist()
    where = {str(model.card.target): label}
    batches = rows(model.codec, model.model, n, seed=seed, where=where)
    return pa.concat_tables(batches).cast(model.codec.schema)


def draw_selected(
    model: FittedModel,
    label: Any,
    n: int,
    stream: np.random.SeedSequence,
    table: Table,
    class_rows: npt.NDArray[np.intp],
) -> pa.Table:
    """Draw candidates of a class, and keep those that classifiers choose.

    The classifiers choose among codes; each kept row gets fresh values.

    Parameters
    ----------
    model : FittedModel
    label : object
        The class.
    n : int
    stream : numpy.random.SeedSequence
    table : Table
        The real rows.
    class_rows : ndarray of int
        Positions of the real rows of the class.
    """
    codec, rng = model.codec, np.random.default_rng(stream)
    where = codec.conditions({str(model.card.target): label})
    other_rows = np.setdiff1d(np.arange(table.n_rows), class_rows)
    max_others = max(len(class_rows), OTHER_ROWS)
    if len(other_rows) > max_others:
        other_rows = np.sort(rng.choice(other_rows, max_others, replace=False))
    real, others = (codec.encode(table.take(at).to_arrow()) for at in (class_rows, other_rows))
    with threadpool_limits(1):  # floating-point sums depend on the number of threads
        candidates = model.model.sample(min(2 * n, MAX_CANDIDATES), rng, where=where)
        if isinstance(candidates, pa.Table):
            raise UsageError("a model that holds rows gives no candidates to select from")
        kept = candidates[chosen(codec, real, others, candidates, n, rng)]
    return codec.decode(np.asfortranarray(kept), rng).cast(codec.schema)


def draw_no_copies(
    model: FittedModel, label: Any, n: int, stream: np.random.SeedSequence, real: pa.Table
) -> pa.Table:
    """Draw rows of a class, none of them a copy of one of its few real rows.

    Dependences between columns cannot be learnt from so few rows: an engine that tries returns
    the rows themselves. So the values of each column are permuted independently.

    Raises
    ------
    SamplingError
        Nearly every row drawn is a copy.
    """
    parts: list[pa.Table] = []
    n_drawn = 0
    for attempt in stream.spawn(MAX_TRIES):
        batch = draw(model, label, n - n_drawn, attempt)
        rng = np.random.default_rng(attempt)
        orders = [pa.array(rng.permutation(batch.num_rows)) for _ in batch.column_names]
        columns = [c.take(order) for c, order in zip(batch.columns, orders, strict=True)]
        batch = pa.table(columns, schema=batch.schema)
        batch = batch.filter(pa.array(~_copies(batch, real, model.schema)))
        parts.append(batch)
        n_drawn += batch.num_rows
        if n_drawn == n:
            return pa.concat_tables(parts)
    raise SamplingError(
        f"nearly every row drawn of a class of {real.num_rows} rows is a copy of one of them; "
        "there is too little to learn, so leave the class out or use random"
    )


def _copies(synthetic: pa.Table, real: pa.Table, schema: Schema) -> npt.NDArray[np.bool_]:
    """Return which synthetic rows equal one of a few real ones in every modelled column."""
    copies = np.zeros(synthetic.num_rows, dtype=bool)
    names = [column.name for column in schema if not column.kind.surrogate]
    for i in range(real.num_rows):
        same = np.ones(synthetic.num_rows, dtype=bool)
        for name in names:
            value = real.column(name)[i]
            column = synthetic.column(name)
            equal = pc.equal(column, value) if value.is_valid else column.is_null()
            same &= np.asarray(pc.fill_null(equal, False))
            if not same.any():
                break
        copies |= same
    return copies
