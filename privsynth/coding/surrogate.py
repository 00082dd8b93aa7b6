"""Surrogates: the codes of a column whose values are invented."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from privsynth.arrays import Codes
from privsynth.coding.values import decoded
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import flag, number, only, whole
from privsynth.schema import Column, surrogates

__all__ = ["SurrogateCodes"]


@dataclass(frozen=True, eq=False)
class SurrogateCodes:
    """A column whose values are invented; a code says only whether a value is present.

    Parameters
    ----------
    column : Column
    distinct : int, optional
        The number of distinct values, if values repeat.
    share : float
        Distinct values per row, so that a larger table gets more of them.
    offset : int
        Added to integers, so that none equals a real one.
    nullable : bool
        Whether the last code means null.
    """

    column: Column
    distinct: int | None = None
    share: float = 1.0
    nullable: bool = False
    offset: int = 0

    ordered: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The column's name."""
        return self.column.name

    @property
    def size(self) -> int:
        """The number of codes, null included."""
        return 1 + self.nullable

    def encode(self, values: pa.Array) -> Codes:
        """Return 1 where a value is missing, and 0 elsewhere."""
        if not self.nullable:
            return np.zeros(len(values), dtype=np.int32)
        return np.asarray(decoded(values).is_null()).astype(np.int32)

    def decode(self, codes: Codes, rng: np.random.Generator, start: int = 0) -> pa.Array:
        """Invent a value for each code; `start` is the first row's number in the whole table."""
        n = len(codes)
        pool = None if self.distinct is None else max(self.distinct, int(n * self.share))
        invented = surrogates(self.column, n, rng, start=start, pool=pool)
        if self.offset:
            dtype, plain = invented.type, decoded(invented)
            shifted = pc.add(plain, pa.scalar(self.offset, plain.type))
            coded = pa.types.is_dictionary(dtype)
            invented = shifted.dictionary_encode().cast(dtype) if coded else shifted
        if not self.nullable:
            return invented
        return pc.if_else(pa.array(codes == 0), invented, pa.scalar(None, invented.type))

    def code_of(self, value: Any) -> int:
        """Refuse: a condition cannot name an invented value."""
        raise SamplingError(
            f"column {self.name!r}: its values are invented; ask for a value of another column"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the coding as JSON values."""
        return {
            "distinct": self.distinct,
            "share": self.share,
            "nullable": self.nullable,
            "offset": self.offset,
        }

    @classmethod
    def from_dict(cls, column: Column, state: Mapping[str, Any]) -> SurrogateCodes:
        """Rebuild the coding of `column`.

        Raises
        ------
        ArtefactError
            It is damaged, or the storage type cannot hold the values that it invents.
        """
        what = f"column {column.name!r}"
        only(state, dict.fromkeys(("distinct", "share", "nullable", "offset"), True), what)
        distinct = None if state["distinct"] is None else whole(state["distinct"], what)
        share, offset = number(state["share"], what, 0.0, 1.0), whole(state["offset"], what)
        if column.unique and distinct is not None:
            raise ArtefactError(f"its {what} is unique and has values that repeat; fit anew")
        coding = cls(column, distinct, share, flag(state["nullable"], what), offset)
        coding.decode(np.arange(coding.size, dtype=np.int32), np.random.default_rng(0))
        return coding
