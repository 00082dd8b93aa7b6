"""Frames as the evaluators read them: one dtype for each kind of column.

Two tables of one schema may store a column differently: integers become floats where a cell is
missing, booleans become text in a file. The kind in the schema decides what is compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.schema import Column, Kind, Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Note", "Progress", "canonical", "modelled", "plain", "silent", "subsample"]

Progress = Callable[[str, int, int], None]
"""Called with a phase, the steps done and the steps in all."""

Note = Callable[[str], None]
"""Called with a sentence that the reader of the scores must know."""


def silent(*_: object) -> None:
    """Ignore a note or a step of progress."""


def modelled(schema: Schema) -> tuple[Column, ...]:
    """Return the columns that are modelled: neither id, key, personal nor text."""
    return tuple(
        column
        for column in schema
        if not column.kind.surrogate and column.role not in (Role.ID, Role.KEY)
    )


def subsample(
    frame: pd.DataFrame, rows: int, seed: int, name: str = "", note: Note = silent
) -> pd.DataFrame:
    """Return at most `rows` rows, drawn without replacement, in their own order.

    Parameters
    ----------
    frame : pandas.DataFrame
    rows : int
        Maximum number of rows to return.
    seed : int
        The same seed gives the same rows.
    name : str
        What the note calls the rows, such as ``"fidelity: train"``.
    note : callable
        Called with the number of rows drawn, if some were left out.

    Returns
    -------
    pandas.DataFrame
    """
    if len(frame) <= rows:
        return frame
    note(f"{name} rows: {rows:,} of {len(frame):,} were drawn at random (seed {seed})")
    positions = np.random.default_rng(seed).choice(len(frame), rows, replace=False)
    return frame.iloc[np.sort(positions)]


def canonical(frame: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """Return the given columns, each in the dtype of its kind.

    Parameters
    ----------
    frame : pandas.DataFrame
        Has at least these columns, however they are stored.
    columns : iterable of Column
        None of them is id, personal or text.

    Returns
    -------
    pandas.DataFrame
        Continuous columns as float64 (datetimes in seconds since 1970, UTC), all others as
        categories of text. Infinity, and what cannot be read as its kind, is missing.
    """
    import pandas as pd

    readers = {Kind.NUMERIC: _numbers, Kind.INTEGER: _numbers, Kind.DATETIME: _seconds}
    return pd.DataFrame(
        {
            column.name: readers[column.kind](frame[column.name])
            if column.kind.continuous
            else _labels(frame[column.name], column.kind)
            for column in columns
        },
        index=frame.index,
    )


def plain(frame: pd.DataFrame, columns: Iterable[Column]) -> pd.DataFrame:
    """Return the given columns as they are stored: numbers as float64, all others as objects.

    Unlike `canonical`, it leaves a number that is stored as text as text, so that a difference
    in storage can be seen.
    """
    import pandas as pd

    def column(series: pd.Series[Any]) -> Any:
        series = _decategorised(series)
        if pd.api.types.is_datetime64_any_dtype(series):
            return _seconds(series)
        if pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series):
            return _numbers(series)
        return series.astype(object).where(series.notna(), None)

    return pd.DataFrame({c.name: column(frame[c.name]) for c in columns}, index=frame.index)


def _decategorised(series: pd.Series[Any]) -> pd.Series[Any]:
    categories = getattr(series.dtype, "categories", None)
    return series if categories is None else series.astype(categories.dtype)


def _numbers(series: pd.Series[Any]) -> np.ndarray:
    import pandas as pd

    numeric = pd.to_numeric(_decategorised(series), errors="coerce")
    values: np.ndarray = numeric.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def _seconds(series: pd.Series[Any]) -> np.ndarray:
    import pandas as pd

    if pd.api.types.is_float_dtype(series):
        return _numbers(series)
    moments = pd.to_datetime(_decategorised(series), errors="coerce", utc=True)
    values: np.ndarray = moments.dt.as_unit("us").astype("int64").to_numpy() / 1e6
    values[moments.isna().to_numpy()] = np.nan
    return values


def _labels(series: pd.Series[Any], kind: Kind) -> pd.Categorical:
    import pandas as pd

    codes, values = pd.factorize(series)
    labels = [_label(value) for value in values]
    if kind is Kind.BOOLEAN:
        spellings = {"1": "true", "0": "false"}
        labels = [spellings.get(label, label.casefold()) for label in labels]
    names, places = np.unique(np.array(labels, dtype=object), return_inverse=True)
    places = np.append(places, -1)  # code -1, a missing cell, indexes the last
    return pd.Categorical.from_codes(places[codes], categories=pd.Index(names, dtype=object))


def _label(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))  # 3 and 3.0 are one level
    return str(value)
