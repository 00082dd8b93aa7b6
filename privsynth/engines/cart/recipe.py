"""Sequential trees: each column drawn from a tree over the columns before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec
from privsynth.curator import Curator
from privsynth.engines.cart.information import distinction, information
from privsynth.engines.cart.learner import TreeLearner
from privsynth.engines.cart.model import CartModel, groups
from privsynth.engines.cart.tree import MAX_LEAVES, Leaves
from privsynth.engines.labels import check_rows
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError, did_you_mean

__all__ = ["Cart"]


ROWS_OF_ORDER = 30_000
ROWS_OF_TREE = 100_000


@dataclass(frozen=True)
class Cart:
    """Sequential classification and regression trees.

    Parameters
    ----------
    leaf : int
        The fewest rows in a leaf of a tree over all rows; the dial between fidelity and privacy.
    class_leaf : int
        The fewest rows of a class in a leaf of its own tree, and of the classes that have none in
        a leaf that they share.
    pruning : float
        How many times the mean gain of a split by chance a split has to gain. Splits that say
        nothing of the population are what a membership attack reads.
    shrinkage : float
        How many rows the wider distribution counts for beside a leaf's own, at each halving of
        the codes.
    predictors : int
        The most columns that a tree may ask for: those that tell most of the column it draws.
    order : tuple of str
        Columns to be drawn first, in this order; the others follow by how much they tell of the
        target, its classes counted alike.

    Notes
    -----
    The idea is synthpop's (Nowok, Raab & Dibben, *Journal of Statistical Software* 74(11), 2016).
    Here a leaf of at least k rows holds shares of codes, drawn toward those of the whole table,
    and never values of rows. Each class that holds less than half of the rows has trees of its
    own, drawn toward those of all rows, so that it is not lost among the others' splits.
    """

    leaf: int = 50
    class_leaf: int = 15
    pruning: float = 2.0
    shrinkage: float = 3.0
    predictors: int = 10
    order: tuple[str, ...] = ()

    model: ClassVar[type[CartModel]] = CartModel

    def __post_init__(self) -> None:
        if self.leaf < 1 or self.class_leaf < 1:
            raise ConfigError("leaf and class_leaf: expected 1 row or more")
        if self.predictors < 1:
            raise ConfigError(f"predictors is {self.predictors}; give 1 column or more")
        for name, value in (("pruning", self.pruning), ("shrinkage", self.shrinkage)):
            if not 0 <= value < np.inf:
                raise ConfigError(f"{name} is {value}; give a number of 0 or more")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> CartModel:
        """Grow the trees of every column, over all rows and over each class.

        Parameters
        ----------
        curator : Curator
        rng : numpy.random.Generator
            Breaks ties between splits, and chooses the rows that decide them in a large table.
        progress : callable, optional

        Returns
        -------
        CartModel

        Raises
        ------
        ConfigError
            `order` names a column that is not there.
        DataError
            The table has fewer rows than k.
        """
        codec, k = curator.codec, curator.disclosure.k
        n = curator.n_rows
        check_rows("cart", n, k)
        codes = curator.codes()
        target = codec.label
        labels = np.zeros(n, dtype=np.int32) if target is None else codes[:, target]
        class_counts = np.bincount(labels, minlength=1 if target is None else codec.sizes[target])
        having = np.flatnonzero(
            (class_counts >= 2 * max(self.class_leaf, k)) & (2 * class_counts < n)
        )
        codes, ends = _grouped(codes, groups(labels, having, len(class_counts)))
        every, rest = slice(0, n), slice(0, ends[0])
        classes = {int(c): slice(*ends[at : at + 2]) for at, c in enumerate(having)}
        some = _some(codes, every, ROWS_OF_TREE, rng)
        some_of = {c: _some(codes, rows, ROWS_OF_TREE, rng) for c, rows in classes.items()}
        mutual = information(_some(codes, every, ROWS_OF_ORDER, rng), codec.sizes)
        aim = mutual.sum(axis=0) if target is None else mutual[target]
        if classes:
            aim = distinction(codes, codec.sizes, [rest, *classes.values()])
        order = _ordered(codec, mutual, aim, self.order)
        shared: list[Leaves] = []
        own: list[dict[int, Leaves]] = []
        for step, j in enumerate(order):
            if progress is not None:
                progress("growing trees", step, len(order))
            before = _telling(order[:step], mutual[:, j], target)[: self.predictors]
            whole = TreeLearner(
                codec=codec,
                before=before,
                column=j,
                leaf=_least(self.leaf, k, n),
                k=k,
                pruning=self.pruning,
                shrinkage=self.shrinkage,
                seed=int(rng.integers(2**31)),
            )
            whole = replace(whole, along=whole.halving(some))
            root = np.bincount(codes[:, j], minlength=codec.sizes[j]) / n
            pooled, place = whole.grow(codes, every, some, root[None])
            wide = pooled.shares.astype(np.float64)
            shared.append(pooled)
            own.append({})
            if j == target or not classes:
                continue
            if rest.stop:
                left = replace(whole, leaf=_least(min(self.leaf, self.class_leaf), k, rest.stop))
                shared[-1], _ = left.fill(pooled, codes, rest, wide, place[rest])
            others = [i for i in before if i != target]
            ranks = whole.ranks(some)
            for c, rows in classes.items():
                narrow = replace(
                    whole, before=others, leaf=_least(self.class_leaf, k, class_counts[c])
                )
                own[-1][c], _ = narrow.grow(codes, rows, some_of[c], wide, place[rows], ranks)
        if progress is not None:
            progress("growing trees", len(order), len(order))
        return CartModel(
            codec.sizes, target, class_counts / n, tuple(order), tuple(shared), tuple(own)
        )

    def cautions(self) -> Iterator[str]:
        """Yield a line for each setting that gives up privacy for fidelity."""
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("leaf", "class_leaf", "pruning", "shrinkage") and value < f.default:
                yield (
                    f"cart: {f.name} is {value}; below {f.default} an attacker tells more training "
                    "rows from others, so evaluate with a holdout before you share rows"
                )


def _grouped(codes: Codes, group: npt.NDArray[np.uint16]) -> tuple[Codes, list[int]]:
    """Sort rows by group, so that each group is a slice; return the end of each."""
    order = np.argsort(group, kind="stable")
    sorted_codes = np.empty_like(codes, order="F")
    for j in range(codes.shape[1]):
        codes[:, j].take(order, out=sorted_codes[:, j])
    return sorted_codes, np.cumsum(np.bincount(group)).tolist()


def _least(leaf: int, k: int, rows: int) -> int:
    """Return the minimum leaf size of a tree over so many rows."""
    return max(leaf, k, rows // MAX_LEAVES)


def _telling(before: list[int], gains: Floats, target: int | None) -> list[int]:
    """Order columns by their information, the target first."""
    return sorted(before, key=lambda i: (i != target, -gains[i], i))


def _some(codes: Codes, rows: slice, most: int, rng: np.random.Generator) -> Codes:
    """Return a slice of the rows, or `most` of them by chance, in order."""
    if rows.stop - rows.start <= most:
        return codes[rows]
    chosen = rows.start + rng.choice(rows.stop - rows.start, most, replace=False)
    return np.asfortranarray(codes[np.sort(chosen)])


def _ordered(codec: Codec, gains: Floats, aim: Floats, first_columns: tuple[str, ...]) -> list[int]:
    """Return the order of drawing: the target, columns asked for, then the others by `aim`."""
    names = [coding.name for coding in codec.codings]
    for name in first_columns:
        if name not in names:
            raise ConfigError(f"order: no column {name!r}{did_you_mean(name, names)}")
        if first_columns.count(name) > 1:
            raise ConfigError(f"order: column {name!r} is named twice; name it once")
    ahead = [names.index(name) for name in first_columns]
    if codec.target is not None:
        ahead = [codec.target, *(j for j in ahead if j != codec.target)]
    rest = [j for j in range(len(names)) if j not in ahead]
    return ahead + sorted(rest, key=lambda j: (-aim[j], -gains[j].sum(), j))
