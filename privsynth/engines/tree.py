"""One decision tree whose leaves hold a distribution over the codes of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from privsynth.codec import Codes
from privsynth.errors import ArtefactError

__all__ = ["Leaves", "dyadic"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Leaves:
    """A tree over codes.

    Parameters
    ----------
    feature : ndarray of int32, shape (nodes,)
        The column that a node asks for; -1 at a leaf.
    threshold : ndarray of int32, shape (nodes,)
        A row whose rank in that column is at most this goes left.
    left, right : ndarray of int32, shape (nodes,)
        The children; at a leaf, `left` is the leaf's own number.
    rank : ndarray of int32, shape (sum of column sizes,)
        The rank of each code of each column, as this tree orders it.
    shares : ndarray of float16, shape (leaves, codes)
        The share of each code in each leaf.
    """

    feature: Ints
    threshold: Ints
    left: Ints
    right: Ints
    rank: Ints
    shares: npt.NDArray[np.float16]

    def leaf_of(self, codes: Codes, first: Ints) -> Ints:
        """Give the leaf that each row falls in.

        Parameters
        ----------
        codes : Codes, shape (rows, columns)
        first : ndarray of int32, shape (columns,)
            Where each column's codes begin in `rank`.
        """
        leaf = np.empty(len(codes), dtype=np.int32)
        waiting: list[tuple[int, npt.NDArray[np.intp]]] = [(0, np.arange(len(codes)))]
        while waiting:
            node, rows = waiting.pop()
            column = int(self.feature[node])
            if column < 0:
                leaf[rows] = self.left[node]
                continue
            ranks = self.rank[first[column] : first[column + 1]]
            goes_left = (ranks <= self.threshold[node])[codes[rows, column]]
            waiting.append((int(self.left[node]), rows[goes_left]))
            waiting.append((int(self.right[node]), rows[~goes_left]))
        return leaf

    def draw(self, leaf: Ints, rng: np.random.Generator) -> Ints:
        """Draw a code for each row from its leaf.

        The rows of a leaf share the unit interval evenly (systematic sampling; Madow & Madow,
        1944): each row's code has the leaf's distribution, and together they have its shares
        with far less scatter than independent draws.
        """
        n, size = len(leaf), self.shares.shape[1]
        order = rng.permutation(n)
        order = order[np.argsort(leaf[order], kind="stable")]
        held = np.bincount(leaf, minlength=len(self.shares))
        place = np.arange(n) - (np.cumsum(held) - held)[leaf[order]]
        point = np.empty(n)
        point[order] = (place + rng.random(n)) / held[leaf[order]]
        total = np.cumsum(self.shares.astype(np.float64), axis=1)
        total /= total[:, -1:]
        edges = (total + np.arange(len(total))[:, None]).ravel()
        drawn = np.searchsorted(edges, leaf + point, side="right") - leaf * np.int64(size)
        return np.clip(drawn, 0, size - 1).astype(np.int32)

    def state(self, prefix: str) -> dict[str, npt.NDArray[Any]]:
        """Give the arrays, each named after `prefix`."""
        return {f"{prefix}.{f.name}": getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_state(
        cls, prefix: str, arrays: Mapping[str, npt.NDArray[Any]], sizes: Sequence[int], column: int
    ) -> Self:
        """Rebuild a tree that draws `column`.

        Raises
        ------
        ArtefactError
            It is incomplete, or points outside itself or the table.
        """
        tree = cls(**{f.name: arrays[f"{prefix}.{f.name}"] for f in fields(cls)})
        nodes, leaves = len(tree.feature), len(tree.shares)
        inner = tree.feature >= 0
        node = np.arange(nodes)
        sound = (
            nodes > 0
            and tree.threshold.shape == tree.left.shape == tree.right.shape == (nodes,)
            and tree.rank.shape == (sum(sizes),)
            and tree.shares.shape == (leaves, sizes[column])
            and (tree.feature < len(sizes)).all()
            # A child stands after its parent, so that every walk ends.
            and (tree.left[inner] > node[inner]).all()
            and (tree.right[inner] > node[inner]).all()
            and (tree.left[inner] < nodes).all()
            and (tree.right[inner] < nodes).all()
            and ((tree.left[~inner] >= 0) & (tree.left[~inner] < leaves)).all()
            and np.isfinite(tree.shares).all()
            and (tree.shares >= 0).all()
            and (tree.shares.sum(axis=1, dtype=np.float64) > 0).all()
        )
        if not sound:
            raise ArtefactError("a tree's parts do not fit each other; fit the model anew")
        return tree


def dyadic(counts: Floats, background: Floats, shrinkage: float) -> Floats:
    """Give counts as shares, drawn toward a background.

    The codes are halved again and again, and at each halving the leaf's own ratio counts beside
    `shrinkage` rows of the background's (a Pólya tree; Lavine, *Annals of Statistics* 20(3),
    1992). So a leaf says of halves what its many rows say, and of single codes, which few of them
    hold, mostly what the background says.

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
    held, prior = [np.pad(counts, pad)], [np.pad(background, pad)]
    while held[-1].shape[1] > 1:
        held.append(held[-1][:, ::2] + held[-1][:, 1::2])
        prior.append(prior[-1][:, ::2] + prior[-1][:, 1::2])
    shares = np.ones((len(counts), 1))
    for own, theirs in zip(held[-2::-1], prior[-2::-1], strict=True):
        both = theirs[:, ::2] + theirs[:, 1::2]
        ratio = np.where(both > 0, theirs[:, ::2] / np.where(both > 0, both, 1.0), 0.5)
        rows = own[:, ::2] + own[:, 1::2] + shrinkage
        mine = (own[:, ::2] + shrinkage * ratio) / np.where(rows > 0, rows, 1.0)
        ratio = np.where(rows > 0, mine, ratio)
        shares = np.stack([shares * ratio, shares * (1 - ratio)], axis=2).reshape(len(counts), -1)
    shares = shares[:, :codes]
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))
