"""Toy tables in codes, and a curator of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from privsynth.coding.cells import Cells
from privsynth.coding.codec import Codec
from privsynth.coding.levels import LevelCodes
from privsynth.coding.surrogate import SurrogateCodes
from privsynth.curator.exact import Curator
from privsynth.privacy.disclosure import Disclosure
from privsynth.privacy.ledger import Ledger
from privsynth.schema.columns import Column, Kind

K10 = Disclosure(10)


class Rows(Curator):
    """A curator of codes that are given, in batches of `batch` rows."""

    def __init__(
        self, codec: Codec, rows: np.ndarray, disclosure: Disclosure = K10, batch: int = 10**9
    ) -> None:
        self.rows = rows
        self.batch = batch
        self.ledger = Ledger()
        super().__init__(None, codec, self.ledger, disclosure)  # type: ignore[arg-type]

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def codes(self) -> np.ndarray:
        return self.rows

    def _batches(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self.rows), self.batch):
            yield self.rows[start : start + self.batch]


def whole(name: str, size: int, nullable: bool = False) -> Cells:
    ends = np.arange(size, dtype=np.int64)
    return Cells(Column(name, Kind.INTEGER, "int64"), ends, ends, ends.astype(float), 1, nullable)


def zero_inflated(name: str, size: int, nullable: bool = False) -> Cells:
    """An atom at 0 and `size` - 1 intervals above it."""
    low = np.concatenate([[0.0], np.arange(size - 1, dtype=float)])
    high = np.concatenate([[0.0], np.arange(1, size, dtype=float)])
    return Cells(Column(name, Kind.NUMERIC, "double"), low, high, (low + high) / 2, 1, nullable)


def levels(name: str, size: int, nullable: bool = False, ordinal: bool = False) -> LevelCodes:
    kind = Kind.ORDINAL if ordinal else Kind.CATEGORICAL
    return LevelCodes(
        Column(name, kind, "string"), tuple(f"{name}{i}" for i in range(size)), nullable=nullable
    )


def mixed(n: int = 400, seed: int = 0, share: float = 0.1) -> Rows:
    """Every kind of coding, with null shares of 20%, a constant column and a rare class."""
    rng = np.random.default_rng(seed)
    label = (np.arange(n) < share * n).astype(int)
    rng.shuffle(label)
    age = np.clip(rng.normal(8 + 4 * label, 3, n), 0, 19).astype(int)
    gain = np.where(rng.random(n) < 0.6, 0, rng.integers(1, 30, n))
    gain[rng.random(n) < 0.2] = 30
    colour = (age // 5 + rng.integers(0, 2, n)) % 5
    colour[rng.random(n) < 0.2] = 5
    codings = (
        whole("age", 20),
        zero_inflated("gain", 30, nullable=True),
        levels("colour", 5, nullable=True),
        levels("grade", 4, ordinal=True),
        SurrogateCodes(Column("key", Kind.ID, "string"), nullable=False),
        SurrogateCodes(Column("mail", Kind.PERSONAL, "string"), nullable=True),
        levels("label", 2),
    )
    there = (rng.random(n) < 0.2).astype(int)
    columns = [age, gain, colour, age // 5, np.zeros(n, int), there, label]
    return Rows(Codec(codings, target=6), np.stack(columns, axis=1).astype(np.int32))
