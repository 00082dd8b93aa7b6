"""Give synthetic rows real levels where the codec pooled them, stored categories, and unique ids.

The real rows stand beside the synthetic ones, so a level that both hold discloses nothing more.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding import OTHER, Cells, Codec, LevelCodes, SurrogateCodes, decoded, numbers_of
from privsynth.table import Table

__all__ = ["with_levels", "with_new_ids"]

MAX_TRIES = 20


def with_levels(
    synthetic: pa.Table, real: pa.Table, codec: Codec, rng: np.random.Generator
) -> pa.Table:
    """Return synthetic rows of a class with levels of its real rows in place of pooled ones.

    Parameters
    ----------
    synthetic, real : pyarrow.Table
        Rows of one class.
    codec : Codec
    rng : numpy.random.Generator
    """
    for j, coding in enumerate(codec.codings):
        field = synthetic.schema.field(j)
        if isinstance(coding, Cells) and pa.types.is_dictionary(field.type):
            nearest = _nearest_categories(synthetic.column(j), real.column(coding.name), coding)
            synthetic = synthetic.set_column(j, field, nearest)
        if isinstance(coding, LevelCodes) and coding.pooled:
            levels = _levels_for_pooled(real.column(coding.name), coding)
            if len(levels):
                column = _unpooled(synthetic.column(j), levels, rng)
                synthetic = synthetic.set_column(j, field, column)
    return synthetic


def _levels_for_pooled(real: pa.ChunkedArray, coding: LevelCodes) -> pa.Array:
    """Return the pooled levels that real rows hold, or any level where they hold none."""
    values = decoded(real)
    kept = pa.array(coding.levels, values.type)
    pooled = values.filter(pc.invert(pc.is_in(values, kept))).drop_null()
    if len(pooled):
        return pooled
    return kept if len(kept) else values.drop_null()


def _unpooled(synthetic: pa.ChunkedArray, levels: pa.Array, rng: np.random.Generator) -> pa.Array:
    """Return a column with a random level in place of each pooled one."""
    column = synthetic.combine_chunks()
    values = decoded(column)
    replacements = levels.take(pa.array(rng.integers(len(levels), size=len(values))))
    pooled = pc.fill_null(pc.equal(values, OTHER), False)
    unpooled = pc.if_else(pooled, replacements, values)
    if not pa.types.is_dictionary(column.type):
        return unpooled
    return unpooled.dictionary_encode().cast(column.type)


def _nearest_categories(
    synthetic: pa.ChunkedArray, real: pa.ChunkedArray, coding: Cells
) -> pa.Array:
    """Return the real category nearest to each synthetic number, where categories are numbers."""
    categories = real.combine_chunks().dictionary_decode().unique().drop_null()
    if not len(categories):
        return synthetic
    stored, _ = numbers_of(categories, coding.low.dtype)
    order = np.argsort(stored, kind="stable")
    numbers, valid = numbers_of(synthetic, coding.low.dtype)
    below = np.searchsorted(stored[order], numbers).clip(1, max(len(stored) - 1, 1)) - 1
    above = np.minimum(below + 1, len(stored) - 1)
    low, high = stored[order][below].astype(float), stored[order][above].astype(float)
    nearest = order[np.where(numbers - low <= high - numbers, below, above)]
    indices = pa.array(nearest.astype(np.int32), mask=~valid)
    return pa.DictionaryArray.from_arrays(indices, categories, ordered=synthetic.type.ordered)


def with_new_ids(
    synthetic: pa.Table, real: Table, codec: Codec, rng: np.random.Generator
) -> pa.Table:
    """Return synthetic rows whose ids are unique, and none of them a real row's."""
    n = synthetic.num_rows
    for j, coding in enumerate(codec.codings):
        if not (isinstance(coding, SurrogateCodes) and coding.column.unique):
            continue
        column = synthetic.column(j).combine_chunks()
        real_ids = real.value_counts(coding.name)[0]
        new_ids = pa.nulls(0, column.type)
        for i in range(MAX_TRIES):
            if len(new_ids) >= n:
                break
            batch = coding.decode(np.zeros(n, np.int32), rng, i * n).cast(column.type)
            unused = batch.filter(pc.invert(pc.is_in(batch, real_ids)))
            new_ids = pa.concat_arrays([new_ids, unused])
        if len(new_ids) >= n:
            ids = pc.if_else(column.is_valid(), new_ids.slice(0, n), column)
            synthetic = synthetic.set_column(j, synthetic.schema.field(j), ids)
    return synthetic
