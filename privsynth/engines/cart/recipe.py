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
from privsynth.engines.cart.support import counts_of_units, units_of_leaves
from privsynth.engines.cart.tree import MAX_LEAVES, Leaves
from privsynth.engines.labels import check_rows
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError, did_you_mean

__all__ = ["Cart"]

ROWS_OF_ORDER = 30_000
"""Most rows from which the order of columns is computed."""
ROWS_OF_TREE = 100_000
"""Most rows that decide a tree's splits."""
PRUNING_OF_UNITS = 4
"""How much more a split of units has to gain: the rows of one say more together than one row."""


@dataclass(frozen=True)
class Cart:
    """Sequential classification and regression trees.

    Parameters
    ----------
    leaf : int
        The fewest rows in a leaf of a tree over all rows; the dial between fidelity and privacy.
    class_leaf : int
        The fewest rows in a leaf of a class's own tree, and in a leaf of the tree that the other
        classes share.
    pruning : float
        The gain that a split needs, in mean gains of a split on noise. Splits on noise reveal
        nothing of the population, but they are what a membership attack reads.
    shrinkage : float
        The weight, in rows, of the wider distribution at each halving of the codes; a leaf's own
        rows weigh 1 each.
    predictors : int
        The most columns that a tree may split on: those most informative of the column it draws.
    order : tuple of str
        Columns to draw first, in this order; the others follow by their information about the
        target, all classes weighted alike.

    Notes
    -----
    The idea is synthpop's (Nowok, Raab & Dibben, *Journal of Statistical Software* 74(11), 2016).
    Here a leaf of at least k rows holds shares of codes, shrunk towards those of the whole table,
    and never values of rows. Each class with less than half of the rows has trees of its own,
    shrunk towards those of all rows, so that the other classes' splits do not blur it.
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
            `order` names a column that does not exist.
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
        units = curator.units
        recipe = self if units is None else self._for_units()
        held = class_counts if units is None else units_of_leaves(labels, units, len(class_counts))
        having = np.flatnonzero((held >= 2 * max(recipe.class_leaf, k)) & (2 * class_counts < n))
        order_by_group, ends = _grouped(groups(labels, having, len(class_counts)))
        codes = _sorted(codes, order_by_group)
        sorted_units = None if units is None else units[order_by_group]
        classes = {int(c): slice(*ends[at : at + 2]) for at, c in enumerate(having)}
        rows = _Rows(
            codes,
            sorted_units,
            slice(0, ends[0]),
            classes,
            _sample(codes, slice(0, n), ROWS_OF_TREE, rng, sorted_units),
            {
                c: _sample(codes, span, ROWS_OF_TREE, rng, sorted_units)
                for c, span in classes.items()
            },
        )
        sample = _sample(codes, slice(0, n), ROWS_OF_ORDER, rng, sorted_units)
        mutual = information(sample, codec.sizes)
        importance = mutual.sum(axis=0) if target is None else mutual[target]
        if classes:
            importance = distinction(codes, codec.sizes, [rows.rest, *classes.values()])
        order = _ordered(codec, mutual, importance, self.order)
        shared: list[Leaves] = []
        by_class: list[dict[int, Leaves]] = []
        for step, j in enumerate(order):
            if progress is not None:
                progress("growing trees", step, len(order))
            learner = TreeLearner(
                codec=codec,
                before=_by_information(order[:step], mutual[:, j], target)[: self.predictors],
                column=j,
                leaf=_min_leaf(recipe.leaf, k, n),
                k=k,
                pruning=recipe.pruning,
                shrinkage=self.shrinkage,
                seed=int(rng.integers(2**31)),
            )
            tree, class_trees = recipe._trees(learner, rows, target)
            shared.append(tree)
            by_class.append(class_trees)
        if progress is not None:
            progress("growing trees", len(order), len(order))
        return CartModel(
            codec.sizes, target, class_counts / n, tuple(order), tuple(shared), tuple(by_class)
        )

    def _for_units(self) -> Cart:
        """Return the recipe for rows of units: the rows of one say more together than a row."""
        return replace(self, pruning=PRUNING_OF_UNITS * self.pruning)

    def _trees(
        self, learner: TreeLearner, rows: _Rows, target: int | None
    ) -> tuple[Leaves, dict[int, Leaves]]:
        """Grow a column's tree for the classes that share one, and one for each other class."""
        codes, j, k = rows.codes, learner.column, learner.k
        learner = replace(learner, along=learner.halving(rows.sample))
        whole, size = slice(0, len(codes)), learner.codec.sizes[j]
        root = np.bincount(codes[:, j], minlength=size) / len(codes)
        if rows.units is not None:
            root_leaf = np.zeros(len(codes), dtype=np.int32)
            counts = counts_of_units(root_leaf, codes[:, j], rows.units, (1, size))[0]
            root = counts / counts.sum()
        pooled, leaf = learner.grow(
            codes, whole, rows.sample, root[None], units=rows.units_in(whole)
        )
        if j == target or not rows.classes:
            return pooled, {}
        background = pooled.shares.astype(np.float64)
        shared, rest = pooled, rows.rest
        if rest.stop:
            min_leaf = _min_leaf(min(self.leaf, self.class_leaf), k, rest.stop)
            shared, _ = replace(learner, leaf=min_leaf).fill(
                pooled, codes, rest, background, leaf[rest], rows.units_in(rest)
            )
        others = [i for i in learner.before if i != target]
        ranks = learner.ranks(rows.sample)
        by_class: dict[int, Leaves] = {}
        for c, span in rows.classes.items():
            min_leaf = _min_leaf(self.class_leaf, k, span.stop - span.start)
            narrow = replace(learner, before=others, leaf=min_leaf)
            by_class[c], _ = narrow.grow(
                codes,
                span,
                rows.class_samples[c],
                background,
                leaf[span],
                ranks,
                rows.units_in(span),
            )
        return shared, by_class

    def cautions(self) -> Iterator[str]:
        """Yield a line for each setting that gives up privacy for fidelity."""
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("leaf", "class_leaf", "pruning", "shrinkage") and value < f.default:
                yield (
                    f"cart: {f.name} is {value}; below {f.default} an attacker tells more training "
                    "rows from others, so evaluate with a holdout before you share rows"
                )


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows sorted by the trees that they fill.

    Parameters
    ----------
    codes : Codes, shape (rows, columns)
    units : ndarray of int64, shape (rows,), optional
        The privacy unit of each row.
    rest : slice
        The rows of the classes that share a tree.
    classes : mapping of int to slice
        The rows of each class that has trees of its own.
    sample, class_samples : Codes
        The rows, and those of each such class, that decide splits.
    """

    codes: Codes
    units: npt.NDArray[np.int64] | None
    rest: slice
    classes: dict[int, slice]
    sample: Codes
    class_samples: dict[int, Codes]

    def units_in(self, span: slice) -> npt.NDArray[np.int64] | None:
        """Return the privacy unit of each row of a slice."""
        return None if self.units is None else self.units[span]


def _grouped(group: npt.NDArray[np.uint16]) -> tuple[npt.NDArray[np.intp], list[int]]:
    """Return the order that makes each group a slice, and the end of each."""
    return np.argsort(group, kind="stable"), np.cumsum(np.bincount(group)).tolist()


def _sorted(codes: Codes, order: npt.NDArray[np.intp]) -> Codes:
    """Return rows in another order, column-major."""
    sorted_codes = np.empty_like(codes, order="F")
    for j in range(codes.shape[1]):
        codes[:, j].take(order, out=sorted_codes[:, j])
    return sorted_codes


def _min_leaf(leaf: int, k: int, rows: int) -> int:
    """Return the minimum leaf size of a tree over so many rows."""
    return max(leaf, k, rows // MAX_LEAVES)


def _by_information(before: list[int], gains: Floats, target: int | None) -> list[int]:
    """Order columns by their information, the target first."""
    return sorted(before, key=lambda i: (i != target, -gains[i], i))


def _sample(
    codes: Codes,
    rows: slice,
    size: int,
    rng: np.random.Generator,
    units: npt.NDArray[np.int64] | None = None,
) -> Codes:
    """Return a slice of the rows, or a random sample of it in order where it is longer.

    With units it is one row of each, chosen by chance.
    """
    if units is not None:
        shuffled = rows.start + rng.permutation(rows.stop - rows.start)
        one_each = shuffled[np.unique(units[shuffled], return_index=True)[1]]
        chosen = one_each if len(one_each) <= size else rng.choice(one_each, size, replace=False)
        return np.asfortranarray(codes[np.sort(chosen)])
    if rows.stop - rows.start <= size:
        return codes[rows]
    chosen = rows.start + rng.choice(rows.stop - rows.start, size, replace=False)
    return np.asfortranarray(codes[np.sort(chosen)])


def _ordered(
    codec: Codec, mutual: Floats, importance: Floats, first_columns: tuple[str, ...]
) -> list[int]:
    """Return the order of drawing: the target, the first columns, the others by importance."""
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
    return ahead + sorted(rest, key=lambda j: (-importance[j], -mutual[j].sum(), j))
