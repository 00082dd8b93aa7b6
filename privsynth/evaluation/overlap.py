"""Rows that two tables share: which they are, and how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.frames import Note, canonical, modelled, silent
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["row_hashes", "without_holdout"]


def row_hashes(frame: pd.DataFrame, columns: Sequence[Column]) -> npt.NDArray[np.uint64]:
    """Give one number a row: equal rows, however stored, have equal numbers."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(canonical(frame, columns), index=False)
    return np.asarray(hashes, dtype=np.uint64)


def without_holdout(
    train: pd.DataFrame, holdout: pd.DataFrame | None, schema: Schema, note: Note = silent
) -> pd.DataFrame:
    """Take the holdout out of a training table that holds all of it.

    `fit --holdout` sets rows of the user's file aside, and the file that `evaluate` is then given
    as the training table still holds them: without this the real rows would be tested on
    themselves. A holdout of which some rows merely equal training rows changes nothing.

    Parameters
    ----------
    train : pandas.DataFrame
    holdout : pandas.DataFrame or None
    schema : Schema
    note : callable
        Told how many rows were taken out.

    Returns
    -------
    pandas.DataFrame
        `train`, less one copy of each row of `holdout` where it holds them all and others.
    """
    if holdout is None or len(holdout) >= len(train):
        return train
    columns = modelled(schema)
    ours, theirs = _copies(train, columns), _copies(holdout, columns)
    shared = ours.isin(theirs)
    if int(shared.sum()) < len(holdout):
        return train
    note(
        f"the training table held all {len(holdout):,} holdout rows, as the file that 'fit "
        "--holdout' was given does; they were taken out of it before anything was compared"
    )
    return train[~shared]


def _copies(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.MultiIndex:
    """Name each row by its hash and by which copy of it this is, counted from 0."""
    import pandas as pd

    hashes = pd.Series(row_hashes(frame, columns))
    return pd.MultiIndex.from_arrays([hashes, hashes.groupby(hashes).cumcount()])
