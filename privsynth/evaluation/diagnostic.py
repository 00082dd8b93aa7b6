"""Diagnostics: counts that a reader should know and that prove nothing by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from privsynth.evaluation.frames import Note, modelled, silent
from privsynth.evaluation.overlap import row_hashes
from privsynth.evaluation.score import Score
from privsynth.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["exact_copies"]


def exact_copies(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    note: Note = silent,
    **_: object,
) -> tuple[Score, ...]:
    """Count the rows that equal a training row on every modelled column.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        All rows are read.
    schema : Schema
    note : callable
        Called with the number of holdout rows that are in train too, if there are any.

    Returns
    -------
    tuple of Score
        The share among the synthetic rows, beside that among the holdout rows.
    """
    columns = modelled(schema)
    real = row_hashes(train, columns)

    def copies(frame: pd.DataFrame) -> int:
        return int(np.isin(row_hashes(frame, columns), real).sum())

    count = copies(synthetic)
    meaning = f"{count:,} of {len(synthetic):,} synthetic rows equal a training row"
    real_share = None
    if holdout is not None:
        shared = copies(holdout)
        real_share = shared / len(holdout)
        meaning += f", and {shared:,} of {len(holdout):,} holdout rows do"
        if shared:
            note(
                f"{shared:,} of {len(holdout):,} holdout rows are identical to a training row on "
                "the modelled columns, as is common in coded tables; they were kept"
            )
    return (
        Score(
            "diagnostic",
            "exact_copies",
            count / len(synthetic),
            real=real_share,
            better="neither",
            meaning=f"{meaning}, on all {len(columns)} modelled columns; a count, and no measure "
            "of privacy",
        ),
    )
