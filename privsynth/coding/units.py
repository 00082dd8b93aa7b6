"""Which unit, such as a person, each row belongs to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding.reading import unit_texts
from privsynth.coding.values import decoded
from privsynth.errors import DataError, warn

__all__ = ["unit_codes", "unit_indices"]

UNREADABLE = (
    "labels of units are of several types, or of one that cannot be read; give all of them as text "
    "or as whole numbers"
)


def unit_codes(labels: Any, place: str) -> npt.NDArray[np.int64]:
    """Encode the unit of each row as an integer, in the order of the units' first rows.

    Parameters
    ----------
    labels : array-like, shape (rows,)
        The label of each row's unit: text, whole numbers, dates or categories. Labels are compared
        as a budget compares them, so `1`, `1.0` and `"1"` are one unit. A row without a label is a
        unit of its own, which is warned of; those units are numbered last.
    place : str
        What holds the labels, for messages.

    Returns
    -------
    ndarray of int64, shape (rows,)

    Raises
    ------
    DataError
        The labels are of several types, nested, or numbers that are not whole.

    Examples
    --------
    >>> unit_codes(["ann", "bob", "ann"], "groups").tolist()
    [0, 1, 0]
    """
    column = _column(labels, place)
    codes, missing = unit_indices(column)
    n = int(missing.sum())
    if n > column.null_count:
        raise DataError(f"{place}: {UNREADABLE}")
    if n:
        warn(f"{place}: {n:,} rows name no unit; each of them counts as a unit of its own")
    return codes


def unit_indices(
    values: pa.Array, *, missing_together: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Encode the unit of each row as an integer, whatever the rows hold; see `unit_codes`.

    Parameters
    ----------
    values : pyarrow.Array
        Without a dictionary.
    missing_together : bool
        Whether the rows without a unit are one, and not each a unit of its own.

    Returns
    -------
    codes : ndarray of int64, shape (rows,)
    missing : ndarray of bool, shape (rows,)
        Which rows name no unit.
    """
    encoded = values.dictionary_encode()
    texts = unit_texts(encoded.dictionary).dictionary_encode()
    units = texts.indices.take(encoded.indices)
    missing = np.asarray(units.is_null())
    codes = np.array(pc.fill_null(units, len(texts.dictionary)), dtype=np.int64)
    if not missing_together:
        codes[missing] += np.arange(missing.sum())
    return codes, missing


def _column(labels: Any, place: str) -> pa.Array:
    """Return labels as one Arrow array without a dictionary; NaN is null."""
    n_dimensions = getattr(labels, "ndim", 1)
    if isinstance(labels, str) or n_dimensions != 1:
        raise DataError(f"{place}: expected one label of a unit per row, in one dimension")
    try:
        column = decoded(_arrow(labels))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise DataError(f"{place}: {UNREADABLE}") from None
    kind = column.type
    if pa.types.is_nested(kind):
        raise DataError(f"{place}: expected one label of a unit per row, and rows hold several")
    if pa.types.is_floating(kind):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, kind), column)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        whole = pc.equal(pc.floor(column), column)
        if pc.any(pc.invert(whole)).as_py():
            raise DataError(
                f"{place}: holds numbers that are not whole, which name no unit; name the column "
                "that tells whose row it is"
            )
    return column


def _arrow(labels: Any) -> pa.Array:
    if hasattr(labels, "to_arrow"):  # polars
        labels = labels.to_arrow()
    if not isinstance(labels, pa.Array | pa.ChunkedArray):
        labels = pa.array(labels, from_pandas=True)
    array = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_null(array.type):
        return array.cast(pa.string())
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array
