"""Rows that two tables share: which they are, and how many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.errors import DataError
from privsynth.evaluation.frames import Note, canonical, modelled, silent
from privsynth.schema import Column, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Overlap", "check_overlap", "overlap", "row_hashes", "without_holdout"]

DEVIATIONS = 4.0


@dataclass(frozen=True)
class Overlap:
    """How many rows of a holdout equal training rows, and whether chance explains it.

    Parameters
    ----------
    count : int
        Holdout rows that equal some training row in every modelled column.
    expected : float
        As many as would do so if the holdout had been drawn with the training rows: the share of
        training rows that equal another one, times the rows of the holdout.
    excessive : bool
        Whether dealing all rows out to the two tables anew would hardly ever make as many.
    wholly_inside : bool
        Whether the training table holds each row of the holdout, as often as the holdout does.
    """

    count: int
    expected: float
    excessive: bool
    wholly_inside: bool


def row_hashes(frame: pd.DataFrame, columns: Sequence[Column]) -> npt.NDArray[np.uint64]:
    """Return one number a row: equal rows, however stored, have equal numbers."""
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


def overlap(train: pd.DataFrame, holdout: pd.DataFrame, schema: Schema) -> Overlap:
    """Count the rows of a holdout that equal training rows.

    Parameters
    ----------
    train : pandas.DataFrame
        Less the holdout, where the file held it; see `without_holdout`.
    holdout : pandas.DataFrame
    schema : Schema

    Returns
    -------
    Overlap
    """
    columns = modelled(schema)
    hashes = row_hashes(train, columns), row_hashes(holdout, columns)
    _, which = np.unique(np.concatenate(hashes), return_inverse=True)
    ours, theirs = (
        np.bincount(part, minlength=which.max() + 1) for part in np.split(which, [len(train)])
    )
    count = int(theirs[ours > 0].sum())
    return Overlap(
        count,
        expected=float(ours[ours > 1].sum()) / len(train) * len(holdout),
        excessive=_excessive(count, ours + theirs, len(holdout) / len(which)),
        wholly_inside=bool((ours >= theirs).all()),
    )


def check_overlap(
    train: pd.DataFrame, holdout: pd.DataFrame | None, schema: Schema, note: Note = silent
) -> None:
    """Refuse a holdout that holds training rows; tell of the rows that are equal by chance.

    Raises
    ------
    DataError
        More rows of the holdout equal training rows than rows that come twice explain.
    """
    if holdout is None:
        return
    shared = overlap(train, holdout, schema)
    if shared.excessive or (shared.wholly_inside and len(holdout) >= len(train)):
        raise DataError(
            f"{shared.count:,} of {len(holdout):,} holdout rows equal training rows, and about "
            f"{shared.expected:,.0f} would by chance; give a holdout that the model has not seen, "
            "or take its rows out of the training table"
        )
    if shared.count:
        note(
            f"{shared.count:,} of {len(holdout):,} holdout rows equal training rows; rows that "
            "occur more than once explain it"
        )


def _excessive(count: int, sizes: npt.NDArray[np.intp], share: float) -> bool:
    """Return whether so many holdout rows with an equal training row are too many for chance.

    Parameters
    ----------
    count : int
    sizes : ndarray of int
        How often each different row comes, in both tables together.
    share : float
        Of the rows, those of the holdout.

    Notes
    -----
    Of g equal rows a random deal puts h ~ Binomial(g, share) into the holdout, and all of them
    but the g that leave none for training count. Its mean and variance add up over the different
    rows; that the holdout's rows are given in number takes off what the count owes to that.
    """
    none_left = share ** sizes.astype(float)
    rows = sizes * share
    mean = rows - sizes * none_left
    squares = rows * (1 - share) + rows**2 - sizes**2 * none_left
    variance = (squares - mean**2).sum()
    variance -= (squares - mean * rows).sum() ** 2 / (sizes.sum() * share * (1 - share))
    most = float(mean.sum()) + DEVIATIONS * math.sqrt(max(float(variance), 0.0)) + 0.5
    return count > most


def _copies(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.MultiIndex:
    """Name each row by its hash and by which copy of it this is, counted from 0."""
    import pandas as pd

    hashes = pd.Series(row_hashes(frame, columns))
    return pd.MultiIndex.from_arrays([hashes, hashes.groupby(hashes).cumcount()])
