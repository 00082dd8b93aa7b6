"""What a model file must hold before a model is built from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.errors import ArtefactError

__all__ = ["reading", "stored"]


def stored(
    arrays: Mapping[str, npt.NDArray[Any]], name: str, shape: tuple[int, ...], dtype: type
) -> npt.NDArray[Any]:
    """Give an array of a model's state.

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
            f"array {name!r} is {array.dtype} of shape {array.shape}, wanted is "
            f"{np.dtype(dtype)} of shape {shape}; fit the model anew"
        )
    if not np.isfinite(array).all():
        raise ArtefactError(f"array {name!r} holds a figure that is not finite; fit the model anew")
    return array


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Turn what goes wrong while a state is read into an `ArtefactError`."""
    try:
        yield
    except ArtefactError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"the state of the {what} is incomplete or damaged ({type(error).__name__}); "
            "fit the model anew"
        ) from None
