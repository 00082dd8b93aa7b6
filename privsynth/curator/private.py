"""The curator under a privacy budget: noisy answers alone.

It asks an accountant, which holds the table, charges every answer and adds the noise. Engines ask
the curator in codes, or in groups of codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Codec
from privsynth.curator.exact import ROWS_AT_ONCE, Clique, CodeScores
from privsynth.curator.sensitivity import (
    choice_sensitivity,
    counts_sensitivity,
    errors_sensitivity,
    products_sensitivity,
)
from privsynth.errors import BudgetExceeded, UsageError
from privsynth.privacy import Accountant, Budget
from privsynth.table import Table, count

__all__ = ["MAX_CELLS", "SCORE_PARTS", "Measurement", "PrivateCurator"]
RESOLUTION = 1_000
"""Parts of a row: expected counts are rounded to them, since answers are integers."""
MAX_CELLS = 2**26
"""Cells of all cliques of one answer; their counts take half a gigabyte."""
SCORE_PARTS = 64
"""Parts of a score: scores are rounded to them, since answers are integers."""
MAX_OF_A_ROW = 1.5
"""Clipping bound: a row's squared scores sum to at most this times the number of scores."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """The noisy counts of a clique.

    Parameters
    ----------
    clique : tuple of int
        Column positions.
    values : ndarray
        One axis per column; int64 as measured, float64 once codes are grouped.
    scale : float or ndarray
        The standard deviation of the noise: one for all cells, or one for each.
    """

    clique: Clique
    values: npt.NDArray[Any]
    scale: float | Floats


class PrivateCurator:
    """Answers questions about one table under a privacy budget.

    Parameters
    ----------
    accountant : Accountant
        Holds the table, adds the noise and enforces the budget.
    codec : Codec
        Encodes rows; declared, or discovered by charged queries.

    Notes
    -----
    Queries depend on the rows through earlier answers alone. A row counts in one cell of a clique,
    so the counts of one clique have a sensitivity of 1 in the Euclidean norm, and those of m
    cliques together of sqrt(m).
    """

    def __init__(self, accountant: Accountant, codec: Codec) -> None:
        self._accountant = accountant
        self._counts = _Counts(codec)
        self.codec = codec

    @property
    def budget(self) -> Budget:
        """The budget that the user allows."""
        return self._accountant.budget

    @property
    def rho(self) -> float:
        """The rho that may be spent in total."""
        return self._accountant.rho

    @property
    def left(self) -> float:
        """The rho that is still available."""
        return self._accountant.left

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of codes, or of groups of codes, of each column in cliques of two or more."""
        return self._counts.sizes

    def group(self, groups: Sequence[npt.NDArray[np.integer]]) -> None:
        """From now on, count cliques of two or more columns in groups of codes.

        Parameters
        ----------
        groups : sequence of ndarray
            For each column, the group of each code. They may depend on earlier answers alone.
        """
        self._counts = _Counts(self.codec, groups)

    def measure(
        self, cliques: Sequence[Clique], rho: float, weights: Sequence[float] | None = None
    ) -> list[Measurement]:
        """Count the rows in each cell of each clique, with discrete Gaussian noise.

        Parameters
        ----------
        cliques : sequence of tuple of int
            Column positions; a clique of one column is counted in codes until `group` is called.
        rho : float
            The cost of all cliques together.
        weights : sequence of float, optional
            Proportions in which the cliques share it; equal by default.

        Returns
        -------
        list of Measurement

        Raises
        ------
        BudgetExceeded
            Before any noise is drawn.
        UsageError
            The cliques have more cells than fit in memory.
        """
        if rho > self.left * (1 + 1e-12):
            raise BudgetExceeded(
                f"{len(cliques)} marginals cost rho {rho:.3g}, and {self.left:.3g} is left of the "
                f"budget of epsilon {self.budget.epsilon:g}; measure fewer, or allow more"
            )
        if not cliques:
            return []
        self._check_cells(cliques)
        shares = np.ones(len(cliques)) if weights is None else np.asarray(weights, dtype=float)
        costs = rho * shares / shares.sum()
        measurements: dict[int, Measurement] = {}
        for cost in np.unique(costs).tolist():
            # Cliques of one price are one answer: OpenDP reviews all earlier ones for each.
            alike = np.flatnonzero(costs == cost).tolist()
            group_cliques = [cliques[i] for i in alike]
            sensitivity = counts_sensitivity(len(group_cliques))
            scale = self._accountant.scale(sensitivity, min(cost * len(group_cliques), self.left))
            values = self._accountant.gaussian(
                "marginals",
                ", ".join(self._words(clique) for clique in group_cliques),
                partial(self._counts.joint, group_cliques),
                sensitivity,
                scale,
            )
            shapes = [self._counts.shape(clique) for clique in group_cliques]
            ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
            for i, shape, part in zip(alike, shapes, np.split(values, ends), strict=True):
                measurements[i] = Measurement(cliques[i], part.reshape(shape), scale)
        return [measurements[i] for i in range(len(cliques))]

    def _check_cells(self, cliques: Iterable[Clique]) -> None:
        """Refuse cliques with too many cells, judged by declarations and noisy answers alone."""
        cells = {clique: math.prod(self._counts.shape(clique)) for clique in cliques}
        if sum(cells.values()) > MAX_CELLS:
            widest = max(cells, key=cells.__getitem__)
            raise UsageError(
                f"{len(cells)} marginals have {sum(cells.values()):,} cells, of which "
                f"{self._words(widest)} has {cells[widest]:,}, and at most {MAX_CELLS:,} are "
                "allowed; merge levels in the schema, leave columns out, or lower 'most_groups'"
            )

    def _words(self, clique: Clique) -> str:
        return " x ".join(self.codec.codings[j].name for j in clique) or "rows"

    def errors(self, estimates: Mapping[Any, Floats], rho: float) -> tuple[Floats, float]:
        """Return the noisy L1 distances between expected and exact counts, in one joint answer.

        Parameters
        ----------
        estimates : mapping of tuple of int to ndarray
            Expected counts of each cell.
        rho : float
            The cost of all cliques together.

        Returns
        -------
        errors : ndarray, shape (cliques,)
            The sum of absolute differences over the cells, in rows, with noise.
        scale : float
            The standard deviation of the noise.
        """
        self._check_cells(estimates)
        rounded = {clique: _parts(expected) for clique, expected in estimates.items()}
        sensitivity = errors_sensitivity(len(rounded), RESOLUTION)
        scale = self._accountant.scale(sensitivity, rho)
        counts = self._counts
        answer = self._accountant.gaussian(
            "errors",
            f"of {len(rounded)} marginals",
            lambda table: _distances(counts, table, rounded),
            sensitivity,
            scale,
        )
        return answer / RESOLUTION, scale / RESOLUTION

    def products(self, scores: Sequence[CodeScores], rho: float) -> Measurement:
        """Sum the products of all pairs of scores in each class, in one joint answer.

        Parameters
        ----------
        scores : sequence of CodeScores
            Two or more. They are rounded to `SCORE_PARTS`, and a row's scores are scaled down if
            their squares sum to more than `MAX_OF_A_ROW` times their number.
        rho : float
            The cost of the answer.

        Returns
        -------
        Measurement
            Its clique is empty; its values, in squared parts, have shape (classes, pairs), with
            pairs in the order of `numpy.triu_indices`.
        """
        width = len(scores)
        max_squares = int(MAX_OF_A_ROW * width * SCORE_PARTS**2)
        score_parts = [(j, np.rint(values * SCORE_PARTS).astype(np.int64)) for j, values in scores]
        sensitivity = products_sensitivity(width, max_squares)
        scale = self._accountant.scale(sensitivity, rho)
        answer = self._accountant.gaussian(
            "products",
            f"all pairs of {width} scores",
            lambda table: self._counts.products(score_parts, max_squares, table),
            sensitivity,
            scale,
        )
        return Measurement((), answer.reshape(-1, width * (width - 1) // 2), scale)

    def worst(
        self, estimates: Mapping[Any, Floats], weights: Floats, penalties: Floats, rho: float
    ) -> int:
        """Select the clique with (nearly) the greatest weighted error, less a penalty.

        Parameters
        ----------
        estimates : mapping of tuple of int to ndarray
            Expected counts of each cell.
        weights, penalties : ndarray, shape (cliques,)
            The score of a clique is weight * (sum of absolute differences - penalty).
        rho : float
            The cost of the answer.

        Returns
        -------
        int
            A position in `estimates`.
        """
        rounded = {clique: _parts(expected) for clique, expected in estimates.items()}
        whole = np.maximum(np.rint(weights / weights.max() * RESOLUTION), 1).astype(np.int64)
        scaled_penalties = whole * _parts(penalties)
        sensitivity = choice_sensitivity(whole, RESOLUTION)
        counts = self._counts
        return self._accountant.greatest(
            "selection",
            f"one of {len(rounded)} marginals",
            lambda table: whole * _distances(counts, table, rounded) - scaled_penalties,
            sensitivity,
            self._accountant.scale(sensitivity, rho),
        )


class _Counts:
    """Exact counts of one table, cached by clique."""

    def __init__(
        self, codec: Codec, groups: Sequence[npt.NDArray[np.integer]] | None = None
    ) -> None:
        self._codec = codec
        self._groups = groups
        self._cache: dict[Clique, npt.NDArray[np.int64]] = {}
        self._rows: npt.NDArray[np.integer] | None = None
        self.sizes = codec.sizes if groups is None else tuple(int(g.max()) + 1 for g in groups)

    def shape(self, clique: Clique) -> tuple[int, ...]:
        """Return the number of codes, or groups, of each column of a clique."""
        return tuple(self.sizes[j] for j in clique)

    def of(self, clique: Clique, table: Table) -> npt.NDArray[np.int64]:
        """Return the counts of a clique."""
        if clique not in self._cache:
            self._cache[clique] = count(self._codes(table), self.sizes, clique)
        return self._cache[clique]

    def joint(self, cliques: Sequence[Clique], table: Table) -> npt.NDArray[np.int64]:
        """Return the counts of several cliques in one vector."""
        return np.concatenate([self.of(clique, table).ravel() for clique in cliques])

    def products(
        self, scores: Sequence[tuple[int, npt.NDArray[np.int64]]], max_squares: int, table: Table
    ) -> npt.NDArray[np.int64]:
        """Sum the products of all pairs of scores, class by class, in one vector."""
        codes, width = self._codes(table), len(scores)
        classes = len(scores[0][1])
        target = self._codec.target if classes > 1 else None
        total = np.zeros((classes, width, width), dtype=np.int64)
        for start in range(0, len(codes), ROWS_AT_ONCE):
            rows = codes[start : start + ROWS_AT_ONCE]
            label = np.zeros(len(rows), np.intp) if target is None else rows[:, target]
            row_scores = np.stack([values[label, rows[:, j]] for j, values in scores]).astype(float)
            row_scores = _clipped(row_scores, max_squares)
            for c in range(classes):
                # Integers below 2**53, which floats sum exactly.
                class_scores = row_scores if target is None else row_scores[:, label == c]
                total[c] += np.rint(class_scores @ class_scores.T).astype(np.int64)
        return np.ascontiguousarray(total[:, *np.triu_indices(width, 1)]).ravel()

    def _codes(self, table: Table) -> npt.NDArray[np.integer]:
        """Return every row in codes or groups, in the narrowest type that their sizes allow."""
        if self._rows is None:
            fine = np.min_scalar_type(max(self._codec.sizes, default=1) - 1)
            narrow = np.min_scalar_type(max(self.sizes, default=1) - 1)
            codes = np.empty((table.n_rows, len(self.sizes)), dtype=narrow, order="F")
            start = 0
            for batch in table.batches():
                batch_codes = self._codec.encode(batch, fine)
                block = codes[start : start + batch.num_rows]
                for j in range(len(self.sizes)):
                    column = batch_codes[:, j]
                    block[:, j] = column if self._groups is None else self._groups[j].take(column)
                start += batch.num_rows
            self._rows = codes
        return self._rows


def _clipped(scores: Floats, max_squares: int) -> Floats:
    """Scale down the scores, shape (scores, rows), of rows whose squares exceed `max_squares`.

    Scores are truncated to integers: rounded up, they could exceed the bound.
    """
    squares = (scores**2).sum(axis=0)
    scaled: Floats = scores * np.sqrt(np.minimum(1, max_squares / np.maximum(squares, 1)))
    return np.trunc(scaled)


def _parts(rows: Floats) -> npt.NDArray[np.int64]:
    """Round rows to integer parts of a row."""
    return np.asarray(np.rint(rows * RESOLUTION)).astype(np.int64)


def _distances(
    counts: _Counts, table: Any, expected: Mapping[Clique, npt.NDArray[np.int64]]
) -> npt.NDArray[np.int64]:
    """Sum the absolute differences between exact and expected counts, in parts of a row."""
    return np.array(
        [
            np.abs(RESOLUTION * counts.of(clique, table) - parts).sum()
            for clique, parts in expected.items()
        ],
        dtype=np.int64,
    )
