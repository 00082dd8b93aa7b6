"""Whose rows are whose: the privacy units of the tables of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.coding import decoded, unit_texts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Ints", "one_row_each", "row_units", "unit_codes"]

Ints = npt.NDArray[np.int64]


def unit_codes(*columns: pd.Series[Any]) -> list[Ints]:
    """Return the numbers of units, alike in all the columns, however they are stored.

    Returns
    -------
    list of ndarray of int64
        One for each column; -1 where the value is missing.
    """
    import pandas as pd

    codes, texts = zip(*(_coded(column) for column in columns), strict=True)
    numbers, _ = pd.factorize(np.concatenate([*texts, np.empty(0, dtype=object)]))
    parts = np.split(numbers.astype(np.int64), np.cumsum([len(text) for text in texts]))
    # Code -1, a missing value, takes the last number.
    return [np.append(part, -1)[code] for code, part in zip(codes, parts, strict=False)]


def row_units(codes: Ints) -> Ints:
    """Return units numbered from 0 without gaps; a row without a value is a unit of its own."""
    _, numbers = np.unique(codes, return_inverse=True)
    missing = codes < 0
    if missing.any():
        numbers = numbers - 1
        numbers[missing] = numbers.max() + 1 + np.arange(missing.sum())
    return np.asarray(numbers, dtype=np.int64)


def one_row_each(frame: pd.DataFrame, units: Ints, rng: np.random.Generator) -> pd.DataFrame:
    """Return a random row of each unit, in the frame's order."""
    order = rng.permutation(len(frame))
    _, first = np.unique(units[order], return_index=True)
    return frame.iloc[np.sort(order[first])]


def _coded(column: pd.Series[Any]) -> tuple[Ints, npt.NDArray[Any]]:
    """Return each row's code of a text, and the texts; a text may have several codes."""
    import pandas as pd

    codes, values = pd.factorize(column)
    plain = pa.Array.from_pandas(pd.Series(values))
    texts = unit_texts(decoded(plain)).to_numpy(zero_copy_only=False)
    return np.asarray(codes, dtype=np.int64), texts
