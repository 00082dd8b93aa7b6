"""Compare a column of dates or times with a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.coding import numbers_of
from privsynth.errors import UsageError

__all__ = ["sides_of"]

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Of a tick."""


def sides_of(
    values: pa.Array, moment: datetime, place: str
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return which values are before a moment, and which are at or after it.

    Parameters
    ----------
    values : pyarrow.Array
        Of dates or timestamps; a missing one is neither.
    moment : datetime.datetime
        Without a zone it is local time in the zone of `values`.
    place : str
        The name of the column in messages.

    Returns
    -------
    early, late : ndarray of bool

    Raises
    ------
    UsageError
        The values are no dates, or they have no zone and the moment has one.
    """
    if pa.types.is_date(values.type):
        values = values.cast(pa.date32()).cast(pa.timestamp("s"))
    if not pa.types.is_timestamp(values.type):
        raise UsageError(
            f"{place}: is of type {values.type}, and a holdout in time needs a column of dates or "
            "times; name another with --holdout-column, or give a share with --holdout"
        )
    ticks, valid = numbers_of(values, np.dtype(np.int64))
    first = -(-_nanoseconds(moment, values.type.tz, place) // NANOSECONDS[values.type.unit])
    # Arrow stores no moment beyond 64 bits, and none of ours is at either end of them.
    late = valid & (ticks >= min(max(first, -(2**63)), 2**63 - 1))
    return valid & ~late, late


def _nanoseconds(moment: datetime, zone: str | None, place: str) -> int:
    """Return a moment as nanoseconds since 1970, in UTC where the column has a zone."""
    if moment.tzinfo is not None:
        if zone is None:
            raise UsageError(
                f"{place}: its times have no zone, and the holdout's date is given with an offset; "
                "leave the offset out"
            )
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    local = pa.array([moment], pa.timestamp("us"))
    if zone is not None:
        # The first moment that a clock in the zone shows so, or would show later if it skips it.
        local = pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="latest")
    return int(local.cast(pa.int64())[0].as_py()) * 1000
