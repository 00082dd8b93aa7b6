"""The one door from an engine to the private rows; every answer is charged before it is given.

The name is differential privacy's *trusted curator* (Dwork & Roth, 2014, section 2). Engines
never hold the table: they ask here, in codes. In this release every answer is exact, and charged
as not private.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from privsynth.codec import Codec, Codes
from privsynth.privacy import Disclosure, Event, Ledger
from privsynth.table import Table, count

__all__ = ["Curator"]


class Curator:
    """Answers questions about one table and charges them to a ledger.

    Parameters
    ----------
    table : Table
        The private rows.
    codec : Codec
        How they become codes.
    ledger : Ledger
        Where answers are charged.
    disclosure : Disclosure
        The disclosure control that engines obey: nothing may rest on fewer than k rows.
    """

    def __init__(self, table: Table, codec: Codec, ledger: Ledger, disclosure: Disclosure) -> None:
        self._table = table
        self._ledger = ledger
        self.codec = codec
        self.disclosure = disclosure

    def codes(self) -> Codes:
        """Give every row in codes: an exact answer, which leaves no guarantee.

        Returns
        -------
        Codes, shape (rows, columns)
            Column-major.
        """
        self._ledger.charge(Event("rows", "every row, in codes"))
        parts = [self.codec.encode(batch) for batch in self._table.batches()]
        return np.asfortranarray(np.concatenate(parts))

    def exact_marginals(self, cliques: Sequence[tuple[int, ...]]) -> list[npt.NDArray[np.int64]]:
        """Count the rows in each cell of each clique, in one pass and without holding the rows.

        Parameters
        ----------
        cliques : sequence of tuple of int
            Column positions.

        Returns
        -------
        list of ndarray of int64
            One a clique, with one axis a column of it, as long as the column has codes.
        """
        self._ledger.charge(Event("marginals", f"{len(cliques)} exact"))
        sizes = self.codec.sizes
        totals = [np.zeros([sizes[j] for j in clique], dtype=np.int64) for clique in cliques]
        for batch in self._table.batches():
            codes = self.codec.encode(batch)
            for total, clique in zip(totals, cliques, strict=True):
                total += count(codes, sizes, clique)
        return totals
