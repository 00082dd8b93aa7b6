"""Which columns an over-sampler reads, and which of them it interpolates."""

from __future__ import annotations

import pyarrow as pa

from privsynth.coding import Coding
from privsynth.errors import DataError
from privsynth.schema import Role
from privsynth.table import arrow_type

__all__ = ["check_features", "discrete_names", "modelled"]


def modelled(coding: Coding) -> bool:
    """Return whether a column is read: surrogates, determined columns, ids and keys are not."""
    column = coding.column
    if column.kind.surrogate or column.determined_by is not None:
        return False
    return column.role not in (Role.ID, Role.KEY)


def discrete_names(codings: list[Coding], label: Coding) -> tuple[str, ...]:
    """Return the names of the columns beside the label that are not interpolated."""
    return tuple(c.name for c in codings if c is not label and not _interpolated(c))


def _interpolated(coding: Coding) -> bool:
    stored = arrow_type(coding.column.dtype)
    return coding.column.kind.continuous and not pa.types.is_dictionary(stored)


def check_features(
    method: str, table: pa.Table, features: list[Coding], discrete: tuple[str, ...]
) -> None:
    """Refuse columns that a method cannot read.

    Raises
    ------
    DataError
    """
    if not features:
        raise DataError(f"{method} needs a column beside the target; give one, or use random")
    if discrete and method != "smotenc":
        raise DataError(
            f"column {discrete[0]!r} holds categories, and {method} draws between numbers; "
            "use smotenc, or cart or copula"
        )
    if method == "smotenc" and len(discrete) == len(features):
        raise DataError("smotenc needs a column of numbers, and there is none; use cart or copula")
    for coding in features:
        gaps = table.column(coding.name).null_count
        if gaps and coding.name not in discrete:
            raise DataError(
                f"column {coding.name!r} has {gaps} missing values, and {method} cannot take "
                "them; fill them, or use cart, copula or random"
            )
