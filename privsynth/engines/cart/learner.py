"""Grow one tree of a sequence: its regression target, the order of codes, its splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec
from privsynth.engines.cart.support import counts_of_units, units_of_leaves
from privsynth.engines.cart.tree import Leaves, dyadic
from privsynth.table import distinct

__all__ = ["TreeLearner"]

Ints = npt.NDArray[np.int32]

CLASSES_OF_GINI = 60
"""Most codes of a drawn column for which splits minimise Gini's impurity."""
SKETCH = 8
"""Dimensions of the random sketch that stands in for it beyond."""
NULL_AIM = 0.6
"""Value of a null in a regression target whose other values lie between 0 and 1."""
PRIOR_ROWS = 5.0
"""Weight, in rows, of the overall mean in the score of a code."""
MIN_SAMPLE_LEAF = 5
"""Fewest deciding rows in a leaf."""


@dataclass(frozen=True)
class TreeLearner:
    """A learner of one tree.

    Parameters
    ----------
    codec : Codec
    before : sequence of int
        The columns that it may split on.
    column : int
        The column that it draws.
    leaf : int
        The fewest rows in a leaf.
    k : int
        The fewest rows from which the rank of a code may be computed.
    pruning : float
        The gain in impurity that a split needs, in mean gains of a split on noise.
    shrinkage : float
        The weight of the background, in rows, at each halving of the codes.
    seed : int
        Breaks ties between splits.
    along : ndarray of int, optional
        The codes but null, in the order in which they are halved; their own order by default.
    """

    codec: Codec
    before: Sequence[int]
    column: int
    leaf: int
    k: int
    pruning: float
    shrinkage: float
    seed: int
    along: npt.NDArray[np.intp] | None = None

    def grow(
        self,
        codes: Codes,
        rows: slice,
        sample: Codes,
        background: Floats,
        place: Ints | None = None,
        ranks: Mapping[int, Ints] | None = None,
        units: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Leaves, Ints]:
        """Grow the tree.

        Parameters
        ----------
        codes : Codes, shape (rows, columns)
        rows : slice
            The rows that fill its leaves.
        sample : Codes, shape (deciding rows, columns)
            Those rows, or a sample of them, which decide the splits.
        background : ndarray, shape (wider leaves, codes of the column)
            The distributions that leaves are shrunk towards.
        place : ndarray of int32, shape (rows,), optional
            The wider leaf of each row; the first by default.
        ranks : mapping of int to ndarray, optional
            The ranks from a wider table (see `ranks`), for columns with a code of few rows.
        units : ndarray of int64, shape (rows,), optional
            The privacy unit of each row; `leaf` then counts units.

        Returns
        -------
        Leaves
        ndarray of int32, shape (rows,)
            The leaf of each row.
        """
        n = rows.stop - rows.start if units is None else len(distinct(units))
        min_leaf = max(MIN_SAMPLE_LEAF, -(-self.leaf * len(sample) // n))
        tree = self._split(sample, min_leaf, ranks or {})
        return self.fill(tree, codes, rows, background, place, units)

    def fill(
        self,
        tree: Leaves,
        codes: Codes,
        rows: slice,
        background: Floats,
        place: Ints | None = None,
        units: npt.NDArray[np.int64] | None = None,
    ) -> tuple[Leaves, Ints]:
        """Fill a tree's leaves, and drop splits that leave too few rows; see `grow`."""
        from scipy.sparse import csr_array

        drawn = codes[rows, self.column]
        leaf = tree.leaf_of(codes, rows)
        while len(tree.shares) > 1:
            # A side of a split has at most as many units as its leaves together, so that what
            # is merged is counted again.
            held = self._held(leaf, units, len(tree.shares))
            if held.min() >= self.leaf:
                break
            tree = tree.pruned(held, self.leaf)
            leaf = tree.leaf_of(codes, rows)
        leaves, size = tree.shares.shape
        if units is None:
            cells = np.bincount(leaf * np.int64(size) + drawn, minlength=leaves * size)
            counts = cells.reshape(leaves, size).astype(np.float64)
        else:
            counts = counts_of_units(leaf, drawn, units, (leaves, size))
        if place is None:
            wider = counts.sum(axis=1, keepdims=True) * background[0]
        else:
            one = np.ones(len(leaf))
            mixed = csr_array((one, (leaf, place)), shape=(leaves, len(background)))
            wider = np.asarray(mixed @ background, dtype=np.float64)
        return replace(tree, shares=self._shares(counts, wider).astype(np.float16)), leaf

    def _held(
        self, leaf: Ints, units: npt.NDArray[np.int64] | None, leaves: int
    ) -> npt.NDArray[np.integer]:
        """Return the rows, or the units, in each leaf."""
        if units is None:
            return np.bincount(leaf, minlength=leaves)
        return units_of_leaves(leaf, units, leaves)

    def _shares(self, counts: Floats, wider: Floats) -> Floats:
        """Shrink a leaf's shares towards the wider ones, except null's.

        A few leaves hold most nulls: shrinkage would spread them over the many others.
        """
        if not self.codec.codings[self.column].nullable or counts.shape[1] < 2:
            return self._shrunk(counts, wider)
        missing = counts[:, -1:] / counts.sum(axis=1, keepdims=True)
        there = self._shrunk(counts[:, :-1], wider[:, :-1])
        return np.concatenate([there * (1 - missing), missing], axis=1)

    def _shrunk(self, counts: Floats, wider: Floats) -> Floats:
        if self.along is None:
            return dyadic(counts, wider, self.shrinkage)
        shares = np.empty_like(counts)
        shares[:, self.along] = dyadic(counts[:, self.along], wider[:, self.along], self.shrinkage)
        return shares

    def halving(self, codes: Codes) -> npt.NDArray[np.intp] | None:
        """Return `along`: a nominal column's codes, ordered along the main axis of their rows.

        Each half then holds levels whose rows are alike.
        """
        coding, size = self.codec.codings[self.column], self.codec.sizes[self.column]
        if coding.ordered or size <= 2 or not self.before:
            return None
        drawn = codes[:, self.column]
        code_counts = np.bincount(drawn, minlength=size)
        aim = self._aim(drawn)
        profile = np.empty((size, len(self.before)))
        for at, i in enumerate(self.before):
            rank = self._ranked(codes, i, aim)[codes[:, i]].astype(np.float64)
            rank -= rank.mean()
            total = np.bincount(drawn, weights=rank, minlength=size)
            profile[:, at] = total / ((code_counts + PRIOR_ROWS) * max(rank.std(), 1e-9))
        axis = np.linalg.svd(profile * np.sqrt(code_counts)[:, None], full_matrices=False)[2][0]
        return np.argsort((profile @ axis)[: size - coding.nullable], kind="stable")

    def ranks(self, codes: Codes) -> dict[int, Ints]:
        """Return the order of each nominal column's codes, by how they predict the drawn column."""
        aim = self._aim(codes[:, self.column])
        codings = self.codec.codings
        return {i: self._ranked(codes, i, aim) for i in self.before if not codings[i].ordered}

    def _split(self, codes: Codes, min_leaf: int, wider: Mapping[int, Ints]) -> Leaves:
        """Split rows with scikit-learn; shares are filled in later."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        size, drawn = self.codec.sizes[self.column], codes[:, self.column]
        if not self.before or len(codes) < 2 * min_leaf or (drawn == drawn[0]).all():
            return _built([], [], np.array([-1]), np.zeros((3, 1)), size)
        aim = self._aim(drawn)
        ranks = [self._ranked(codes, i, aim, wider.get(i)) for i in self.before]
        features = np.empty((len(codes), len(ranks)), dtype=np.float32)
        for at, (i, rank) in enumerate(zip(self.before, ranks, strict=True)):
            features[:, at] = rank[codes[:, i]]
        if aim is None:
            estimator = DecisionTreeClassifier
            spread = 1 - ((np.bincount(drawn) / len(drawn)) ** 2).sum()
        else:
            estimator, spread = DecisionTreeRegressor, aim.var(axis=0).mean()
        unfitted = estimator(
            min_samples_leaf=min_leaf,
            min_impurity_decrease=self.pruning * spread / len(drawn),
            random_state=self.seed,
        )
        tree = unfitted.fit(features, drawn if aim is None else aim).tree_
        split = tree.children_left >= 0
        leaf = np.cumsum(~split) - 1
        # Ranks are whole numbers, so thresholds may be rounded down.
        nodes = np.stack(
            [
                np.where(split, np.floor(tree.threshold), 0),
                np.where(split, tree.children_left, leaf),
                np.where(split, tree.children_right, 0),
            ]
        )
        return _built(self.before, ranks, np.where(split, tree.feature, -1), nodes, size)

    def _aim(self, drawn: Ints) -> Floats | None:
        """Return the target of a regression tree; None for a classification tree."""
        coding, size = self.codec.codings[self.column], self.codec.sizes[self.column]
        code_counts = np.bincount(drawn, minlength=size)
        if coding.ordered and size > 2:
            rank = (np.cumsum(code_counts) - code_counts / 2) / len(drawn)
            if not coding.nullable:
                return np.asarray(rank[drawn, None])
            there = code_counts[:-1].sum()
            rank[-1] = (rank[:-1] * code_counts[:-1]).sum() / there if there else 0.5
            return np.stack([rank[drawn], np.where(drawn == size - 1, NULL_AIM, 0.0)], axis=1)
        if size <= CLASSES_OF_GINI:
            return None
        # Squared error on a random sketch of one-hot codes approximates Gini's impurity.
        sketch = np.random.default_rng(self.seed).normal(size=(size, SKETCH)) / np.sqrt(SKETCH)
        return np.asarray(sketch[drawn])

    def _ranked(self, codes: Codes, i: int, aim: Floats | None, wider: Ints | None = None) -> Ints:
        """Order a column's codes; a nominal column's by how they predict the drawn column.

        A code of fewer than k rows may not be ranked by them; then the order of a wider table is
        used.
        """
        size, width = self.codec.sizes[self.column], self.codec.sizes[i]
        if self.codec.codings[i].ordered or width <= 2:
            return np.arange(width, dtype=np.int32)
        predictor, drawn = codes[:, i], codes[:, self.column]
        code_counts = np.bincount(predictor, minlength=width)
        if wider is not None and code_counts.min() < self.k:
            return wider
        if aim is not None or size == 2:
            value = drawn.astype(float) if aim is None else aim[:, 0]
            mean = value.mean()
            total = np.bincount(predictor, weights=value, minlength=width)
            score = (total + PRIOR_ROWS * mean) / (code_counts + PRIOR_ROWS)
        else:
            joint = np.bincount(predictor * np.int64(size) + drawn, minlength=width * size)
            overall = np.bincount(drawn, minlength=size) / len(drawn)
            profile = joint.reshape(width, size) + PRIOR_ROWS * overall
            profile = profile / (code_counts[:, None] + PRIOR_ROWS) - overall
            axis = np.linalg.svd(profile * np.sqrt(code_counts)[:, None], full_matrices=False)[2][0]
            score, mean = profile @ axis, 0.0
        score = np.where(code_counts < self.k, mean, score)
        return np.argsort(np.argsort(score, kind="stable")).astype(np.int32)


def _built(
    columns: Sequence[int],
    ranks: Sequence[Ints],
    feature: npt.NDArray[np.integer],
    nodes: npt.NDArray[Any],
    size: int,
) -> Leaves:
    """Return a tree with only the columns that it splits on; its shares are filled in later.

    `nodes` are thresholds, left and right children, shape (3, nodes).
    """
    used = np.unique(feature[feature >= 0])
    place = np.full(len(columns) + 1, -1)
    place[used] = np.arange(len(used))
    kept = [ranks[at] for at in used]
    threshold, left, right = nodes.astype(np.int32)
    return Leaves(
        columns=np.array([columns[at] for at in used], dtype=np.int32),
        widths=np.array([len(rank) for rank in kept], dtype=np.int32),
        rank=np.concatenate([np.zeros(0, dtype=np.int32), *kept]),
        feature=place[feature].astype(np.int32),
        threshold=threshold,
        left=left,
        right=right,
        shares=np.zeros((int((feature < 0).sum()), size), dtype=np.float16),
    )
