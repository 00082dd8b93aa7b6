"""The class of each row that an engine draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from privsynth.errors import DataError, SamplingError

__all__ = ["check_rows", "labels_to_draw"]


def check_rows(engine: str, n: int, k: int) -> None:
    """Refuse a table of fewer rows than k.

    Raises
    ------
    DataError
    """
    if n < max(k, 2):
        raise DataError(
            f"the table has {n} rows, but {engine} needs {max(k, 2)}; give more rows, or lower --k"
        )


def labels_to_draw(
    n: int,
    prior: npt.NDArray[np.float64],
    target: int | None,
    rng: np.random.Generator,
    where: Mapping[int, int] | None,
) -> npt.NDArray[np.int32]:
    """Return the class of each row to draw: the requested one, or classes by their shares.

    Parameters
    ----------
    n : int
    prior : ndarray, shape (classes,)
        The share of each class.
    target : int or None
        Position of the target.
    rng : numpy.random.Generator
    where : mapping of int to int, optional
        The conditions given to `Model.sample`.

    Returns
    -------
    ndarray of int32, shape (n,)
        In random order. Systematic sampling keeps each class's share to within one row.

    Raises
    ------
    SamplingError
        A condition names a column other than the target, or a class that no training row has.
    """
    if not where:
        cumulative = np.cumsum(prior) / np.sum(prior)
        labels = np.searchsorted(cumulative, (np.arange(n) + rng.random()) / n, side="right")
        return rng.permutation(np.minimum(labels, np.flatnonzero(prior)[-1])).astype(np.int32)
    if set(where) != {target}:
        raise SamplingError(
            "the engine answers conditions on a discrete target alone; "
            "leave the others to rejection sampling"
        )
    code = next(iter(where.values()))
    if not 0 <= code < len(prior) or prior[code] == 0:
        raise SamplingError(
            "the model has seen no row of the class that is asked for; ask for another class"
        )
    return np.full(n, code, dtype=np.int32)
