"""The curator of exact answers: the only way from an engine to the private rows without a budget.

The name is differential privacy's *trusted curator* (Dwork & Roth, 2014, section 2). Engines never
hold the table; they ask the curator, in codes. Every answer is charged as not private before it is
returned, and the ledger refuses it under a budget.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec
from privsynth.privacy import Disclosure, Event, Ledger
from privsynth.table import Table, count

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CodeScores", "Curator"]
Clique: TypeAlias = tuple[int, ...]

CodeScores: TypeAlias = tuple[int, Floats]
"""A column's position and a value for each of its codes, shape (classes, codes); one row if the
target is not discrete."""

MAX_KEPT = 2**28
"""Bytes of codes that are kept in memory for the next question."""
ROWS_AT_ONCE = 4_096
FEW_CODES = 48
"""Up to this many codes, a matrix product sums faster than a count per score."""


class Curator:
    """Answers questions about one table exactly, and charges them to a ledger.

    Parameters
    ----------
    table : Table
        The private rows.
    codec : Codec
        Encodes rows.
    ledger : Ledger
        Answers are charged to it.
    disclosure : Disclosure
        The disclosure control that engines must apply: nothing may rest on fewer than k rows.
    """

    def __init__(self, table: Table, codec: Codec, ledger: Ledger, disclosure: Disclosure) -> None:
        self._table = table
        self._ledger = ledger
        self._kept: tuple[npt.NDArray[np.integer], ...] = ()
        self.codec = codec
        self.disclosure = disclosure

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return self._table.n_rows

    @property
    def units(self) -> npt.NDArray[np.int64] | None:
        """The number of each row's privacy unit, shape (rows,); None where each row is one."""
        return self._table.units

    def codes(self) -> Codes:
        """Return every row in codes: an exact answer, without any guarantee.

        Returns
        -------
        Codes, shape (rows, columns)
            Column-major.
        """
        self._ledger.charge(Event("rows", "every row, in codes"))
        codes = np.empty((self.n_rows, len(self.codec.sizes)), dtype=np.int32, order="F")
        start = 0
        for batch in self._table.batches():
            codes[start : start + batch.num_rows] = self.codec.encode(batch)
            start += batch.num_rows
        return codes

    def rows(self) -> pa.Table:
        """Return every row with its values, for models that declare that they hold rows."""
        self._ledger.charge(Event("rows", "every row, with its values"))
        return self._table.to_arrow()

    def exact_marginals(self, cliques: Sequence[tuple[int, ...]]) -> list[npt.NDArray[np.int64]]:
        """Count the rows in each cell of each clique, in one pass over batches of rows.

        Parameters
        ----------
        cliques : sequence of tuple of int
            Column positions.

        Returns
        -------
        list of ndarray of int64
            One per clique, with one axis per column, whose length is the column's number of codes.
        """
        self._ledger.charge(Event("marginals", f"{len(cliques)} exact"))
        sizes = self.codec.sizes
        totals = [np.zeros([sizes[j] for j in clique], dtype=np.int64) for clique in cliques]
        for codes in self._batches():
            for total, clique in zip(totals, cliques, strict=True):
                total += count(codes, sizes, clique)
        return totals

    def sums(self, scores: Sequence[CodeScores], by: Sequence[int]) -> list[Floats]:
        """Sum scores over the rows of each code, in one pass over batches of rows.

        Parameters
        ----------
        scores : sequence of CodeScores
        by : sequence of int
            Positions of the columns whose codes divide the rows.

        Returns
        -------
        list of ndarray, shape (codes, scores)
            One per column of `by`.
        """
        self._ledger.charge(Event("sums", f"{len(scores)} scores by {len(by)} columns, exact"))
        sizes = self.codec.sizes
        totals = {j: np.zeros((sizes[j], len(scores))) for j in by}
        few = [j for j in totals if sizes[j] <= FEW_CODES]
        ends = np.cumsum([0, *[sizes[j] for j in few]])
        indicators = np.empty((ends[-1], ROWS_AT_ONCE), dtype=np.float32)
        for codes in self._batches():
            for start in range(0, len(codes), ROWS_AT_ONCE):
                rows = codes[start : start + ROWS_AT_ONCE]
                score_values = self._values(scores, rows)
                if few:
                    matches = [
                        rows[:, j] == np.arange(sizes[j], dtype=rows.dtype)[:, None] for j in few
                    ]
                    level_indicators = np.concatenate(matches, out=indicators[:, : len(rows)])
                    level_sums = level_indicators @ score_values.T.astype(np.float32)
                    for j, first, end in zip(few, ends[:-1], ends[1:], strict=True):
                        totals[j] += level_sums[first:end]
                for j in totals.keys() - few:
                    for total, values in zip(totals[j].T, score_values, strict=True):
                        total += np.bincount(rows[:, j], values, minlength=sizes[j])
        return [totals[j] for j in by]

    def products(self, scores: Sequence[CodeScores]) -> Floats:
        """Sum the products of all pairs of scores in each class, in one pass over batches of rows.

        Parameters
        ----------
        scores : sequence of CodeScores

        Returns
        -------
        ndarray, shape (classes, 1 + scores, 1 + scores)
            A constant score of 1 comes first, so the sums of scores and of rows are included.
        """
        self._ledger.charge(Event("products", f"all pairs of {len(scores)} scores, exact"))
        target = self.codec.label
        classes = 1 if target is None else self.codec.sizes[target]
        constant = (0, np.ones((classes, self.codec.sizes[0])))
        total = np.zeros((classes, 1 + len(scores), 1 + len(scores)))
        for codes in self._batches():
            if target is not None:
                codes = codes.take(np.argsort(codes[:, target], kind="stable"), axis=0)
            class_counts = np.bincount(
                [] if target is None else codes[:, target], minlength=classes
            )
            ends = [len(codes)] if target is None else np.cumsum(class_counts).tolist()
            start = 0
            for c, end in enumerate(ends):
                for first in range(start, end, ROWS_AT_ONCE):
                    values = self._values(
                        [constant, *scores], codes[first : min(first + ROWS_AT_ONCE, end)]
                    )
                    total[c] += values @ values.T
                start = end
        return total

    def _values(self, scores: Sequence[CodeScores], codes: npt.NDArray[np.integer]) -> Floats:
        """Look up the scores of some rows; shape (scores, rows)."""
        sizes = self.codec.sizes
        score_values = np.empty((len(scores), len(codes)))
        label = np.zeros(len(codes), dtype=np.intp)
        if self.codec.label is not None:
            label += codes[:, self.codec.label]
        for row, (j, values) in zip(score_values, scores, strict=True):
            values.ravel().take(label * sizes[j] + codes[:, j], out=row, mode="clip")
        return score_values

    def _batches(self) -> Iterator[npt.NDArray[np.integer]]:
        """Yield the rows in codes, in batches, in the narrowest type that their sizes allow.

        The codes of a table are kept for the next question if they take at most `MAX_KEPT` bytes.
        """
        if self._kept:
            yield from self._kept
            return
        narrow = np.min_scalar_type(max(self.codec.sizes, default=1) - 1)
        small = self.n_rows * len(self.codec.sizes) * narrow.itemsize <= MAX_KEPT
        kept = []
        for batch in self._table.batches():
            codes = self.codec.encode(batch, narrow)
            if small:
                kept.append(codes)
            yield codes
        self._kept = tuple(kept)
