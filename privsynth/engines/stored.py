"""Checks of a saved state before a model is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.coding import Codec
from privsynth.errors import ArtefactError
from privsynth.files.documents import whole

__all__ = ["check_sizes", "places", "reading", "stored", "stored_shares"]

ROUNDING = 1e-6
"""Largest difference between 1 and the sum of saved shares."""


def stored(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...], dtype: type
) -> npt.NDArray[Any]:
    """Return an array of a model's state.

    Raises
    ------
    ArtefactError
        It is missing, of another shape or type, or not finite.
    """
    if name not in arrays:
        raise ArtefactError(f"the model has no array {name!r}; fit the model anew")
    array = np.asarray(arrays[name])
    if array.dtype != np.dtype(dtype) or array.shape != shape:
        raise ArtefactError(
            f"array {name!r} is {array.dtype} of shape {array.shape}; expected "
            f"{np.dtype(dtype)} of shape {shape}; fit the model anew"
        )
    if not np.isfinite(array).all():
        raise ArtefactError(f"array {name!r} holds a figure that is not finite; fit the model anew")
    return array


def stored_shares(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float64]:
    """Return an array of shares, which add up to 1 along the last axis.

    Raises
    ------
    ArtefactError
        It is missing, of another shape or type, or does not hold shares.
    """
    array = stored(arrays, name, shape, np.float64)
    if (array < 0).any() or not np.allclose(array.sum(axis=-1), 1, atol=ROUNDING):
        raise ArtefactError(f"array {name!r} holds no shares; fit the model anew")
    return array


def places(values: Any, columns: int, what: str) -> tuple[int, ...]:
    """Return distinct positions of columns.

    Raises
    ------
    ArtefactError
        They are not positions, or one is repeated.
    """
    if not isinstance(values, list):
        raise ArtefactError(f"its {what} is damaged; fit the model anew")
    positions = tuple(whole(value, what, 0, columns - 1) for value in values)
    if len(set(positions)) != len(positions):
        raise ArtefactError(f"its {what} names a column twice; fit the model anew")
    return positions


def check_sizes(
    codec: Codec, sizes: tuple[int, ...], target: int | None, *, optional: bool = False
) -> None:
    """Refuse a model that does not fit a codec's columns.

    Parameters
    ----------
    codec : Codec
    sizes : tuple of int
        The model's codes of each column.
    target : int or None
        The column by whose classes the model divides the rows.
    optional : bool
        Whether the model may ignore a discrete target.

    Raises
    ------
    ArtefactError
    """
    expected = codec.label
    if sizes != codec.sizes or (target != expected and not (optional and target is None)):
        raise ArtefactError("its model is of another table than its codec; fit the model anew")


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Raise an `ArtefactError` for any error while a state is read."""
    try:
        yield
    except ArtefactError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"the state of the {what} is incomplete or damaged ({type(error).__name__}); "
            "fit the model anew"
        ) from None
