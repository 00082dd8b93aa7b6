"""One decision tree whose leaves hold a distribution over the codes of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.engines.stored import stored
from privsynth.errors import ArtefactError

__all__ = ["MAX_LEAVES", "Leaves", "dyadic"]

Ints = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]

MAX_LEAVES = 2048
MAX_STEPS = 1 << 24
"""Most branches of a tree, one for each code of each split; drawing needs some 40 bytes each."""
ROWS_AT_ONCE = 1 << 16
STRIDE = 3
"""Steps down the tree before rows that reached a leaf are set aside."""


@dataclass(frozen=True, eq=False)
class Leaves:
    """A tree over codes.

    Parameters
    ----------
    columns : ndarray of int32, shape (split columns,)
        The columns that it splits on.
    widths : ndarray of int32, shape (split columns,)
        The number of codes of each.
    rank : ndarray of int32, shape (sum of widths,)
        The rank of each of their codes in this tree's order.
    feature : ndarray of int32, shape (nodes,)
        The position in `columns` that a node splits on; -1 at a leaf. Children follow parents.
    threshold : ndarray of int32, shape (nodes,)
        A row whose rank in that column is at most this goes left.
    left, right : ndarray of int32, shape (nodes,)
        The children; at a leaf, `left` is the leaf's own number.
    shares : ndarray of float16, shape (leaves, codes)
        The share of each code in each leaf.
    """

    columns: Ints
    widths: Ints
    rank: Ints
    feature: Ints
    threshold: Ints
    left: Ints
    right: Ints
    shares: npt.NDArray[np.float16]

    @cached_property
    def _splits(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.feature >= 0)

    def leaf_of(self, codes: Codes, rows: slice = slice(None)) -> Ints:
        """Return the leaf that each row falls in.

        Parameters
        ----------
        codes : Codes, shape (rows, columns of the table)
            Column-major.
        rows : slice
            The rows to look up, without a step.

        Returns
        -------
        ndarray of int32, shape (rows of the slice,)
        """
        start, stop, _ = rows.indices(len(codes))
        leaf = np.zeros(stop - start, dtype=np.int32)
        splits = int(self._splits.sum())
        if not splits:
            return leaf
        column, offset, child = self._steps
        every, base = codes.T.reshape(-1), column * len(codes)
        for begin in range(start, stop, ROWS_AT_ONCE):
            at = np.arange(begin, min(begin + ROWS_AT_ONCE, stop))
            node: Places = np.zeros(len(at), dtype=np.intp)
            while len(at):
                for _ in range(STRIDE):
                    cell = base.take(node, mode="clip")
                    cell += at
                    step = offset.take(node, mode="clip")
                    step += every.take(cell, mode="clip")
                    node = child.take(step, mode="clip").astype(np.intp)
                there = node >= splits
                leaf[at[there] - start] = node[there] - splits
                going = np.flatnonzero(~there)
                at, node = at.take(going), node.take(going)
        return leaf

    @cached_property
    def _steps(self) -> tuple[Places, Places, npt.NDArray[np.signedinteger]]:
        """Each node's column, the position of its children, and the child of each code.

        Splits come first. A leaf is its own child, so an extra step does no harm.
        """
        splits, leaves = int(self._splits.sum()), len(self.shares)
        number = np.where(self._splits, np.cumsum(self._splits) - 1, splits + self.left)
        itself = np.arange(splits, splits + leaves)
        left, right = (
            np.concatenate([number[child[self._splits]], itself])
            for child in (self.left, self.right)
        )
        threshold = np.concatenate([self.threshold[self._splits], itself])
        split_columns = np.concatenate(
            [self.feature[self._splits], np.full(leaves, np.argmin(self.widths))]
        )
        width = self.widths[split_columns].astype(np.intp)
        offset = np.cumsum(width) - width
        node = np.repeat(np.arange(splits + leaves), width)
        code = np.arange(len(node)) - offset[node]
        rank = self.rank[(np.cumsum(self.widths) - self.widths)[split_columns][node] + code]
        child = np.where(rank <= threshold[node], left[node], right[node])
        # A child that splits on the same column is skipped, since the code decides it as well.
        same = np.flatnonzero((child < splits) & (split_columns[child] == split_columns[node]))
        while len(same):
            child[same] = child[offset[child[same]] + code[same]]
            same = same[
                (child[same] < splits) & (split_columns[child[same]] == split_columns[node[same]])
            ]
        narrow = np.int16 if splits + leaves < 2**15 else np.int32
        return self.columns[split_columns].astype(np.intp), offset, child.astype(narrow)

    def pruned(self, leaf_rows: npt.NDArray[np.integer], min_rows: int) -> Leaves:
        """Return the tree without the splits that leave a side with fewer than `min_rows` rows.

        A split with an empty side is replaced by its other side.

        Parameters
        ----------
        leaf_rows : ndarray of int, shape (leaves,)
            The number of rows in each leaf.
        min_rows : int

        Returns
        -------
        Leaves
            Its shares are still to be filled in.
        """
        rows = np.where(
            self._splits, 0, np.asarray(leaf_rows)[np.where(self._splits, 0, self.left)]
        )
        kept, self_or_child = self._splits.copy(), np.arange(len(rows))
        for node in np.flatnonzero(self._splits)[::-1]:
            sides = self_or_child[[self.left[node], self.right[node]]]
            rows[node] = rows[sides].sum()
            if rows[sides].min() == 0 < rows[node]:
                self_or_child[node] = sides[np.argmax(rows[sides])]
            else:
                kept[node] = rows[sides].min() >= min_rows
        left, right = (
            self_or_child[np.where(self._splits, child, 0)] for child in (self.left, self.right)
        )
        reached = np.zeros(len(rows), dtype=bool)
        reached[self_or_child[0]] = True
        for node in np.flatnonzero(kept):
            reached[[left[node], right[node]]] |= reached[node]
        kept, left, right = kept[reached], left[reached], right[reached]
        number, leaf = np.cumsum(reached) - 1, np.cumsum(~kept) - 1
        feature, threshold = self.feature[reached], self.threshold[reached]
        return replace(
            self,
            feature=np.where(kept, feature, -1).astype(np.int32),
            threshold=np.where(kept, threshold, 0).astype(np.int32),
            left=np.where(kept, number[left], leaf).astype(np.int32),
            right=np.where(kept, number[right], 0).astype(np.int32),
            shares=np.zeros((int((~kept).sum()), self.shares.shape[1]), dtype=np.float16),
        )

    @cached_property
    def _cumulative(self) -> npt.NDArray[np.float32]:
        """The cumulative shares of each leaf's codes."""
        cumulative = np.cumsum(self.shares, axis=1, dtype=np.float32)
        cumulative /= cumulative[:, -1:]
        return cumulative

    def draw(self, leaf: Ints, rng: np.random.Generator) -> Ints:
        """Draw a code for each row from its leaf.

        The rows of a leaf are drawn by systematic sampling in random order (Madow & Madow, 1944):
        each row's code has the leaf's distribution, and together the rows match its shares to
        within one row, with far less variance than independent draws.

        Parameters
        ----------
        leaf : ndarray of int32, shape (rows,)
        rng : numpy.random.Generator

        Returns
        -------
        ndarray of int32, shape (rows,)
        """
        order = rng.permutation(len(leaf))
        order = order[np.argsort(leaf.astype(np.uint16)[order], kind="stable")]
        leaf_rows = np.bincount(leaf, minlength=len(self.shares))
        used = np.flatnonzero(leaf_rows)
        # Cumulative rows of a leaf's codes, with a random offset; codes without a share add none.
        cumulative = self._cumulative[used]
        cumulative *= leaf_rows[used, None].astype(np.float32)
        cumulative += rng.random((len(used), 1), dtype=np.float32)
        rows = np.minimum(cumulative.astype(np.intp), leaf_rows[used, None])
        rows[:, 1:] -= rows[:, :-1].copy()
        code = np.tile(np.arange(self.shares.shape[1], dtype=np.int32), len(used))
        drawn = np.empty(len(leaf), dtype=np.int32)
        drawn[order] = np.repeat(code, rows.ravel())
        return drawn

    def state(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays, each named after `prefix`."""
        return {f"{prefix}.{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_state(
        cls,
        prefix: str,
        arrays: Mapping[str, npt.NDArray[Any]],
        sizes: Sequence[int],
        column: int,
        before: Sequence[int] | None = None,
    ) -> Self:
        """Rebuild a tree that draws `column`.

        Parameters
        ----------
        prefix : str
        arrays : mapping of str to ndarray
        sizes : sequence of int
            Codes of each column of the table.
        column : int
        before : sequence of int, optional
            The columns drawn before it, which it may split on; all by default.

        Raises
        ------
        ArtefactError
            The state is incomplete, or an index in it is out of range.
        """

        def integers(name: str, length: int) -> Ints:
            return stored(arrays, f"{prefix}.{name}", (length,), np.int32)

        nodes, n_columns, leaves = (
            len(np.atleast_1d(arrays.get(f"{prefix}.{name}", np.zeros(0))))
            for name in ("feature", "columns", "shares")
        )
        columns, widths = integers("columns", n_columns), integers("widths", n_columns)
        rank = integers("rank", int(widths.sum(dtype=np.int64)) if (widths >= 0).all() else 0)
        feature, threshold, left, right = (
            integers(name, nodes) for name in ("feature", "threshold", "left", "right")
        )
        shares = stored(arrays, f"{prefix}.shares", (leaves, sizes[column]), np.float16)
        split, node = feature >= 0, np.arange(nodes)
        known = range(len(sizes)) if before is None else before
        sound = (
            nodes > 0
            and 0 < leaves <= 2 * MAX_LEAVES
            and np.isin(columns, known).all()
            and (widths == np.asarray(sizes, dtype=np.int64)[columns]).all()
            and (feature < n_columns).all()
            # Every node but the root is the child of exactly one node.
            and np.array_equal(
                np.sort(np.concatenate([left[split], right[split]])), np.arange(1, nodes)
            )
            # Children follow their parents, so every walk down the tree ends.
            and all(
                ((child[split] > node[split]) & (child[split] < nodes)).all()
                for child in (left, right)
            )
            and np.array_equal(np.sort(left[~split]), np.arange(leaves))
            and (shares >= 0).all()
            and (shares.sum(axis=1, dtype=np.float64) > 0).all()
        )
        if not sound:
            raise ArtefactError("a tree's parts do not fit each other; fit the model anew")
        if n_columns and int(widths[feature[split]].sum(dtype=np.int64)) > MAX_STEPS:
            raise ArtefactError("a tree has more branches than any of ours; fit the model anew")
        return cls(columns, widths, rank, feature, threshold, left, right, shares)


def dyadic(counts: Floats, background: Floats, shrinkage: float) -> Floats:
    """Return the shares of counts, shrunk towards a background.

    The codes are halved repeatedly, and at each halving the leaf's ratio is averaged with
    `shrinkage` rows of the background's ratio (a Pólya tree; Lavine, *Annals of Statistics* 20(3),
    1992). So the leaf's many rows set the shares of large halves, and the background mostly sets
    those of single codes, which few rows hold.

    Parameters
    ----------
    counts : ndarray, shape (leaves, codes)
    background : ndarray, shape (leaves, codes)
        Shares, up to a factor for each leaf.
    shrinkage : float
        In rows.

    Returns
    -------
    ndarray, shape (leaves, codes)
        Each row sums to 1.
    """
    codes = counts.shape[1]
    width = 1 << max(0, codes - 1).bit_length()
    pad = ((0, 0), (0, width - codes))
    counts_by_level, prior_by_level = [np.pad(counts, pad)], [np.pad(background, pad)]
    while counts_by_level[-1].shape[1] > 1:
        for by_level in (counts_by_level, prior_by_level):
            by_level.append(by_level[-1][:, ::2] + by_level[-1][:, 1::2])
    shares = np.ones((len(counts), 1))
    for level, prior in zip(counts_by_level[-2::-1], prior_by_level[-2::-1], strict=True):
        both = prior[:, ::2] + prior[:, 1::2]
        ratio = np.where(both > 0, prior[:, ::2] / np.where(both > 0, both, 1.0), 0.5)
        rows = level[:, ::2] + level[:, 1::2] + shrinkage
        posterior = (level[:, ::2] + shrinkage * ratio) / np.where(rows > 0, rows, 1.0)
        ratio = np.where(rows > 0, posterior, ratio)
        shares = np.stack([shares * ratio, shares * (1 - ratio)], axis=2).reshape(len(counts), -1)
    shares = shares[:, :codes]
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
