"""Sequential trees: each column drawn from a tree over the columns before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.codec import Codec, Codes
from privsynth.curator import Curator
from privsynth.engines import Progress, labels_to_draw
from privsynth.engines.tree import Leaves, dyadic
from privsynth.errors import ArtefactError, ConfigError, DataError, known

__all__ = ["Cart", "CartModel"]

Floats = npt.NDArray[np.float64]

MOST_LEAVES = 4096
CLASSES_OF_GINI = 60
SKETCH = 8


@dataclass(frozen=True)
class Cart:
    """Sequential classification and regression trees.

    Parameters
    ----------
    leaf : int
        The fewest rows in a leaf; the dial between fidelity and privacy.
    class_leaf : int
        The same in the trees of a class that holds less than half of the rows.
    shrinkage : float
        How many rows the wider distribution counts for beside a leaf's own, at each halving of
        the codes.
    order : tuple of str
        Columns to be drawn first, in this order; the others follow by how much they tell of the
        target.

    Notes
    -----
    The idea is synthpop's (Nowok, Raab & Dibben, *Journal of Statistical Software* 74(11), 2016).
    Here a leaf of at least k rows holds shares of codes, drawn toward those of the whole table,
    and never values of rows. A discrete target divides the rows: each class has trees of its own,
    drawn toward the trees of all rows, so that a rare class is not lost among the others' splits.
    """

    leaf: int = 50
    class_leaf: int = 20
    shrinkage: float = 10.0
    order: tuple[str, ...] = ()

    model: ClassVar[type[CartModel]]

    def __post_init__(self) -> None:
        if self.leaf < 1 or self.class_leaf < 1:
            raise ConfigError("leaf and class_leaf are wanted as 1 row or more")
        if not self.shrinkage >= 0:
            raise ConfigError(f"shrinkage is {self.shrinkage}; give 0 or more rows")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> CartModel:
        """Grow the trees of every column, over all rows and over each class.

        Raises
        ------
        ConfigError
            `order` names a column that is not there.
        DataError
            The table has fewer rows than a leaf.
        """
        codec, k = curator.codec, curator.disclosure.k
        codes = curator.codes()
        n = len(codes)
        least = max(k, 2)
        if n < least:
            raise DataError(f"the table has {n} rows, but cart needs {least}; give more rows")
        target = codec.target if codec.classes else None
        order = _ordered(codec, codes, self.order)
        labels = np.zeros(n, dtype=np.int32) if target is None else codes[:, target]
        held = np.bincount(labels, minlength=1 if target is None else codec.sizes[target])
        pooled: list[Leaves] = []
        mine: list[dict[int, Leaves]] = []
        for step, j in enumerate(order):
            if progress is not None:
                progress("growing trees", step, len(order))
            before = order[:step]
            root = np.bincount(codes[:, j], minlength=codec.sizes[j]) / n
            seed = int(rng.integers(2**31))
            whole = Growing(codec, before, j, max(self.leaf, k, n // MOST_LEAVES), k, seed)
            pooled.append(whole.grow(codes, root[None], self.shrinkage))
            mine.append({})
            if target is None or j == target:
                continue
            for c in np.flatnonzero(held >= 2 * max(self.class_leaf, k)):
                rows = codes[labels == c]
                rare = 2 * held[c] < n
                leaf = max(self.class_leaf if rare else self.leaf, k, held[c] // MOST_LEAVES)
                others = [i for i in before if i != target]
                narrow = Growing(codec, others, j, leaf, k, seed)
                wide = pooled[-1].shares.astype(np.float64)
                place = pooled[-1].leaf_of(rows, firsts(codec.sizes))
                mine[-1][int(c)] = narrow.grow(rows, wide, self.shrinkage, place)
        if progress is not None:
            progress("growing trees", len(order), len(order))
        return CartModel(codec.sizes, target, held / n, tuple(order), tuple(pooled), tuple(mine))


@dataclass(frozen=True)
class Growing:
    """How one tree is grown.

    Parameters
    ----------
    codec : Codec
    before : list of int
        The columns that it may ask for.
    column : int
        The column that it draws.
    leaf : int
        The fewest rows in a leaf.
    k : int
    seed : int
        Breaks ties between splits.
    """

    codec: Codec
    before: list[int]
    column: int
    leaf: int
    k: int
    seed: int

    def grow(
        self,
        codes: Codes,
        background: Floats,
        shrinkage: float,
        place: npt.NDArray[np.int32] | None = None,
    ) -> Leaves:
        """Grow the tree on rows.

        Parameters
        ----------
        codes : Codes, shape (rows, columns)
        background : ndarray, shape (wider leaves, codes of the column)
            The distributions that rows would else be drawn from.
        shrinkage : float
        place : ndarray of int32, shape (rows,), optional
            Which of them each row would be drawn from; the first by default.
        """
        sizes = self.codec.sizes
        drawn = codes[:, self.column]
        aim = self._aim(drawn) if self.before else None
        rank = self._ranks(codes, aim)
        where = firsts(sizes)
        size = sizes[self.column]
        features = np.empty((len(codes), len(self.before)), dtype=np.float32)
        for at, i in enumerate(self.before):
            features[:, at] = rank[where[i] : where[i + 1]][codes[:, i]]
        feature, threshold, left, right, leaf = self._split(features, drawn, aim)
        leaves = int(leaf.max()) + 1
        counts = np.bincount(leaf * size + drawn, minlength=leaves * size).reshape(leaves, size)
        if place is None:
            place = np.zeros(len(codes), dtype=np.int32)
        shape = (leaves, len(background))
        mixed = np.bincount(leaf * shape[1] + place, minlength=shape[0] * shape[1]).reshape(shape)
        wider = mixed @ background
        held = counts.astype(float)
        if not self.codec.codings[self.column].nullable:
            shares = dyadic(held, wider, shrinkage)
        else:
            # A few leaves hold most nulls: shrinkage would spread them over the many others.
            missing = held[:, -1:] / held.sum(axis=1, keepdims=True)
            there = dyadic(held[:, :-1], wider[:, :-1], shrinkage) if size > 1 else held[:, :0]
            shares = np.concatenate([there * (1 - missing), missing], axis=1)
        return Leaves(feature, threshold, left, right, rank, shares.astype(np.float16))

    def _split(
        self, features: npt.NDArray[np.float32], drawn: Codes, aim: Floats | None
    ) -> tuple[Any, ...]:
        """Let scikit-learn split the rows; give the nodes, and the leaf of each row."""
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        if len(drawn) < 2 * self.leaf or not self.before or (drawn == drawn[0]).all():
            none = np.array([-1], dtype=np.int32)
            zero = np.zeros(1, dtype=np.int32)
            return none, zero, zero, zero, np.zeros(len(drawn), dtype=np.int64)
        kind = DecisionTreeClassifier if aim is None else DecisionTreeRegressor
        grown = kind(min_samples_leaf=self.leaf, random_state=self.seed)
        grown.fit(features, drawn if aim is None else aim)
        tree = grown.tree_
        inner = tree.children_left >= 0
        number = np.cumsum(~inner) - 1
        columns = np.array([*self.before, -1], dtype=np.int32)
        feature = np.where(inner, columns[np.where(inner, tree.feature, -1)], -1)
        threshold = np.where(inner, np.floor(tree.threshold), 0)
        left = np.where(inner, tree.children_left, number)
        right = np.where(inner, tree.children_right, 0)
        leaf = number[grown.apply(features)]
        nodes = (feature, threshold, left, right)
        return (*(array.astype(np.int32) for array in nodes), leaf)

    def _aim(self, drawn: Codes) -> Floats | None:
        """Give what a regression tree is to predict; None where classes are."""
        coding, size = self.codec.codings[self.column], self.codec.sizes[self.column]
        held = np.bincount(drawn, minlength=size)
        if coding.ordered and size > 2:
            rank = (np.cumsum(held) - held / 2) / len(drawn)
            if not coding.nullable:
                return np.asarray(rank[drawn])
            there = held[:-1].sum()
            rank[-1] = (rank[:-1] * held[:-1]).sum() / there if there else 0.5
            return np.stack([rank[drawn], np.where(drawn == size - 1, 0.6, 0.0)], axis=1)
        if size <= CLASSES_OF_GINI:
            return None
        # Squared error over a random sketch of one-hot codes stands in for Gini's impurity.
        sketch = np.random.default_rng(self.seed).normal(size=(size, SKETCH)) / np.sqrt(SKETCH)
        return np.asarray(sketch[drawn])

    def _ranks(self, codes: Codes, aim: Floats | None) -> npt.NDArray[np.int32]:
        """Order each column's codes: a nominal one's by what they say of the column drawn."""
        sizes, where = self.codec.sizes, firsts(self.codec.sizes)
        rank = np.concatenate([np.arange(size, dtype=np.int32) for size in sizes])
        drawn, size = codes[:, self.column], sizes[self.column]
        for i in self.before:
            if self.codec.codings[i].ordered or sizes[i] <= 2:
                continue
            held = np.bincount(codes[:, i], minlength=sizes[i])
            if aim is not None or size == 2:
                says = drawn.astype(float) if aim is None else aim.reshape(len(drawn), -1)[:, 0]
                mean = says.mean()
                total = np.bincount(codes[:, i], weights=says, minlength=sizes[i])
                score = (total + 5 * mean) / (held + 5)
            else:
                table = np.bincount(
                    codes[:, i].astype(np.int64) * size + drawn, minlength=sizes[i] * size
                ).reshape(sizes[i], size)
                overall = table.sum(axis=0) / len(drawn)
                profile = (table + 5 * overall) / (held[:, None] + 5) - overall
                axis = np.linalg.svd(profile * np.sqrt(held)[:, None], full_matrices=False)[2][0]
                score, mean = profile @ axis, 0.0
            # The place of a code held by fewer than k rows would tell of them.
            score = np.where(held < self.k, mean, score)
            rank[where[i] : where[i + 1]] = np.argsort(np.argsort(score, kind="stable"))
        return rank


@dataclass(frozen=True, eq=False)
class CartModel:
    """Fitted sequential trees.

    Parameters
    ----------
    sizes : tuple of int
        Codes of each column.
    target : int or None
        Position of a discrete target.
    prior : ndarray, shape (classes,)
        Share of each class; a single 1 where there is no discrete target.
    order : tuple of int
        The columns, as they are drawn.
    pooled : tuple of Leaves
        The tree of each column over all rows.
    own : tuple of mapping of int to Leaves
        The tree of each column over the rows of each class that has one.
    """

    sizes: tuple[int, ...]
    target: int | None
    prior: Floats
    order: tuple[int, ...]
    pooled: tuple[Leaves, ...]
    own: tuple[Mapping[int, Leaves], ...]

    holds_rows: ClassVar[bool] = False

    @cached_property
    def _first(self) -> npt.NDArray[np.int32]:
        return firsts(self.sizes)

    @property
    def answers(self) -> frozenset[int]:
        """The target, where it is discrete; see `privsynth.engines.Model.answers`."""
        return frozenset() if self.target is None else frozenset({self.target})

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows; see `privsynth.engines.Model.sample`."""
        labels = labels_to_draw(n, self.prior, self.target, rng, where)
        codes = np.zeros((n, len(self.sizes)), dtype=np.int32, order="F")
        groups = [(int(c), np.flatnonzero(labels == c)) for c in np.unique(labels)]
        for j, pooled, own in zip(self.order, self.pooled, self.own, strict=True):
            if j == self.target:
                codes[:, j] = labels
                continue
            shared = np.concatenate([rows for c, rows in groups if c not in own] or [_NONE])
            parts = [(pooled, shared), *((own[c], rows) for c, rows in groups if c in own)]
            for tree, rows in parts:
                if len(rows):
                    leaf = tree.leaf_of(codes[rows], self._first)
                    codes[rows, j] = tree.draw(leaf, rng)
        return codes

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Give JSON values and arrays; see `privsynth.engines.Model.state`."""
        arrays: dict[str, npt.NDArray[Any]] = {"prior": self.prior}
        for j, tree, own in zip(self.order, self.pooled, self.own, strict=True):
            arrays |= tree.state(f"{j}")
            for c, narrow in own.items():
                arrays |= narrow.state(f"{j}.{c}")
        meta = {
            "sizes": list(self.sizes),
            "target": self.target,
            "order": list(self.order),
            "own": [sorted(own) for own in self.own],
        }
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its parts do not fit each other.
        """
        sizes = tuple(int(size) for size in meta["sizes"])
        order = tuple(int(j) for j in meta["order"])
        target = None if meta["target"] is None else int(meta["target"])
        whole = sorted(order) == list(range(len(sizes))) and len(meta["own"]) == len(order)
        if not whole or (target is not None and target not in order):
            raise ArtefactError("the trees do not fit the columns; fit the model anew")
        try:
            pooled = tuple(Leaves.from_state(f"{j}", arrays, sizes, j) for j in order)
            own = tuple(
                {int(c): Leaves.from_state(f"{j}.{c}", arrays, sizes, j) for c in classes}
                for j, classes in zip(order, meta["own"], strict=True)
            )
        except KeyError:
            raise ArtefactError("a tree is missing; fit the model anew") from None
        prior = arrays["prior"]
        classes = 1 if target is None else sizes[target]
        if prior.shape != (classes,) or not (prior >= 0).all() or not prior.sum() > 0:
            raise ArtefactError("the shares of the classes are damaged; fit the model anew")
        return cls(sizes, target, prior, order, pooled, own)


Cart.model = CartModel
_NONE = np.zeros(0, dtype=np.intp)


def firsts(sizes: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Give where each column's codes begin when all columns' codes are laid end to end."""
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)


def _ordered(codec: Codec, codes: Codes, asked: tuple[str, ...]) -> list[int]:
    """Put the columns in the order of drawing: asked for, target, then by information on it."""
    names = [coding.name for coding in codec.codings]
    for name in asked:
        if name not in names:
            raise ConfigError(f"order: no column {name!r}{known(name, names)}")
    ahead = [names.index(name) for name in asked]
    if codec.target is not None:
        ahead = [codec.target, *(j for j in ahead if j != codec.target)]
    rest = [j for j in range(len(names)) if j not in ahead]
    told = information(codes, codec.sizes)
    aim = told[codec.target] if codec.target is not None else told.sum(axis=0)
    return ahead + sorted(rest, key=lambda j: (-aim[j], -told[j].sum(), j))


def information(codes: Codes, sizes: tuple[int, ...], most: int = 32) -> Floats:
    """Give the mutual information of every pair of columns, in nats; 0 on the diagonal.

    Columns of more than `most` codes are read in `most` runs of neighbouring codes.
    """
    coarse = [
        codes[:, j] if size <= most else codes[:, j].astype(np.int64) * most // size
        for j, size in enumerate(sizes)
    ]
    width = [min(size, most) for size in sizes]
    told = np.zeros((len(sizes), len(sizes)))
    for i in range(len(sizes)):
        for j in range(i):
            cells = np.bincount(coarse[i] * width[j] + coarse[j], minlength=width[i] * width[j])
            joint = cells.reshape(width[i], width[j]) / len(codes)
            apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            seen = joint > 0
            told[i, j] = told[j, i] = (joint[seen] * np.log(joint[seen] / apart[seen])).sum()
    return told
