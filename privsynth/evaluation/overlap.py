"""Rows that two tables share: which and how many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from privsynth.errors import DataError
from privsynth.evaluation.frames import Note, canonical, modelled, silent
from privsynth.evaluation.units import Ints
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
        The count to expect if the holdout had been drawn together with the training rows: the
        share of training rows that equal another one, times the rows of the holdout.
    excessive : bool
        Whether a random split of all rows into the two tables would hardly ever share as many.
    wholly_inside : bool
        Whether the training table has each row of the holdout at least as often as the holdout.
    """

    count: int
    expected: float
    excessive: bool
    wholly_inside: bool


def row_hashes(frame: pd.DataFrame, columns: Sequence[Column]) -> npt.NDArray[np.uint64]:
    """Return a hash of each row; equal rows have equal hashes, however they are stored."""
    import pandas as pd

    hashes = pd.util.hash_pandas_object(canonical(frame, columns), index=False)
    return np.asarray(hashes, dtype=np.uint64)


def without_holdout(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    schema: Schema,
    note: Note = silent,
    units: tuple[Ints, Ints] | None = None,
) -> pd.DataFrame:
    """Remove the holdout from a training table that contains all of it.

    `fit --holdout` sets rows of the user's file aside, and `evaluate` is then given that whole
    file as the training table. Without this, the real rows would be tested on themselves. If only
    some rows of the holdout equal training rows, nothing changes.

    Parameters
    ----------
    train : pandas.DataFrame
    holdout : pandas.DataFrame or None
    schema : Schema
    note : callable
        Called with the number of rows removed, if there are any.
    units : tuple of ndarray of int64, optional
        The unit of each row of `train` and of `holdout`; rows of two units are never equal.

    Returns
    -------
    pandas.DataFrame
        `train`, less one copy of each row of `holdout` if it has all of them and others.
    """
    if holdout is None or len(holdout) >= len(train):
        return train
    columns = modelled(schema)
    ours, theirs = (None, None) if units is None else units
    train_copies, holdout_copies = _copies(train, columns, ours), _copies(holdout, columns, theirs)
    shared = train_copies.isin(holdout_copies)
    if int(shared.sum()) < len(holdout):
        return train
    note(
        f"the training table held all {len(holdout):,} holdout rows, as the file that 'fit "
        "--holdout' was given does; they were taken out of it before anything was compared"
    )
    return train[~shared]


def overlap(
    train: pd.DataFrame, holdout: pd.DataFrame, schema: Schema, units: Ints | None = None
) -> Overlap:
    """Count the rows of a holdout that equal training rows.

    Parameters
    ----------
    train : pandas.DataFrame
        Without the holdout, if the file contained it; see `without_holdout`.
    holdout : pandas.DataFrame
    schema : Schema
    units : ndarray of int64, optional
        The unit of each row, those of `train` first, where whole units were set aside.

    Returns
    -------
    Overlap
    """
    columns = modelled(schema)
    hashes = row_hashes(train, columns), row_hashes(holdout, columns)
    _, distinct = np.unique(np.concatenate(hashes), return_inverse=True)
    train_counts, holdout_counts = (
        np.bincount(rows, minlength=distinct.max() + 1) for rows in np.split(distinct, [len(train)])
    )
    count = int(holdout_counts[train_counts > 0].sum())
    return Overlap(
        count,
        expected=float(train_counts[train_counts > 1].sum()) / len(train) * len(holdout),
        excessive=_excessive(
            count, train_counts + holdout_counts, len(holdout) / len(distinct), _clustering(units)
        ),
        wholly_inside=bool((train_counts >= holdout_counts).all()),
    )


def check_overlap(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    schema: Schema,
    note: Note = silent,
    units: Ints | None = None,
) -> None:
    """Refuse a holdout that contains training rows; note rows that are equal by chance.

    `units` is that of `overlap`.

    Raises
    ------
    DataError
        More rows of the holdout equal training rows than repeated rows explain.
    """
    if holdout is None:
        return
    shared = overlap(train, holdout, schema, units)
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


def _clustering(units: Ints | None) -> float:
    """Return the design effect of units that move together (Kish, *Survey Sampling*, 1965)."""
    if units is None:
        return 1.0
    rows = np.bincount(units).astype(float)
    return float((rows**2).sum() / rows.sum())


def _excessive(
    count: int, sizes: npt.NDArray[np.intp], share: float, clustering: float = 1.0
) -> bool:
    """Return whether more holdout rows have an equal training row than chance explains.

    Parameters
    ----------
    count : int
    sizes : ndarray of int
        How often each distinct row occurs, in both tables together.
    share : float
        The holdout's share of all rows.
    clustering : float
        By how much the variance is larger than that of rows drawn one by one.

    Notes
    -----
    Of g equal rows, a random split puts h ~ Binomial(g, share) into the holdout. They count,
    unless h = g, which leaves none for training. Means and variances add up over the distinct
    rows; the variance is then reduced, since the number of holdout rows is fixed.
    """
    none_left = share ** sizes.astype(float)
    rows = sizes * share
    mean = rows - sizes * none_left
    squares = rows * (1 - share) + rows**2 - sizes**2 * none_left
    variance = (squares - mean**2).sum()
    variance -= (squares - mean * rows).sum() ** 2 / (sizes.sum() * share * (1 - share))
    spread = math.sqrt(clustering * max(float(variance), 0.0))
    limit = float(mean.sum()) + DEVIATIONS * spread + 0.5
    return count > limit


def _copies(
    frame: pd.DataFrame, columns: Sequence[Column], units: Ints | None = None
) -> pd.MultiIndex:
    """Identify each row by its hash and by how many equal rows stand before it."""
    import pandas as pd

    hashes = pd.Series(row_hashes(frame, columns))
    if units is not None:
        both = hashes + units.astype(np.uint64)
        hashes = pd.util.hash_pandas_object(both, index=False)
    return pd.MultiIndex.from_arrays([hashes, hashes.groupby(hashes).cumcount()])
