"""Sequential trees: each column drawn from a tree over the columns before it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.codec import Codec, Codes
from privsynth.curator import Curator
from privsynth.documents import whole
from privsynth.engines import Progress, check_rows, labels_to_draw
from privsynth.engines.growing import Growing
from privsynth.engines.stored import check_sizes, places, reading, stored_shares
from privsynth.engines.tree import MOST_LEAVES, Leaves
from privsynth.errors import ArtefactError, ConfigError, PrivsynthWarning, known

__all__ = ["Cart", "CartModel", "information"]

Floats = npt.NDArray[np.float64]

ROWS_OF_ORDER = 30_000
ROWS_OF_TREE = 100_000
RUNS = 32


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

    model: ClassVar[type[CartModel]]

    def __post_init__(self) -> None:
        if self.leaf < 1 or self.class_leaf < 1:
            raise ConfigError("leaf and class_leaf are wanted as 1 row or more")
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
        self._warn()
        codes = curator.codes()
        target = codec.target if codec.classes else None
        labels = np.zeros(n, dtype=np.int32) if target is None else codes[:, target]
        held = np.bincount(labels, minlength=1 if target is None else codec.sizes[target])
        having = np.flatnonzero((held >= 2 * max(self.class_leaf, k)) & (2 * held < n))
        codes, ends = _grouped(codes, _groups(labels, having, len(held)))
        every, rest = slice(0, n), slice(0, ends[0])
        classes = {int(c): slice(*ends[at : at + 2]) for at, c in enumerate(having)}
        some = _some(codes, every, ROWS_OF_TREE, rng)
        some_of = {c: _some(codes, rows, ROWS_OF_TREE, rng) for c, rows in classes.items()}
        told = information(_some(codes, every, ROWS_OF_ORDER, rng), codec.sizes)
        aim = told.sum(axis=0) if target is None else told[target]
        if classes:
            aim = distinction(codes, codec.sizes, [rest, *classes.values()])
        order = _ordered(codec, told, aim, self.order)
        shared: list[Leaves] = []
        own: list[dict[int, Leaves]] = []
        for step, j in enumerate(order):
            if progress is not None:
                progress("growing trees", step, len(order))
            before = _telling(order[:step], told[:, j], target)[: self.predictors]
            whole = Growing(
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
                narrow = replace(whole, before=others, leaf=_least(self.class_leaf, k, held[c]))
                own[-1][c], _ = narrow.grow(codes, rows, some_of[c], wide, place[rows], ranks)
        if progress is not None:
            progress("growing trees", len(order), len(order))
        return CartModel(codec.sizes, target, held / n, tuple(order), tuple(shared), tuple(own))

    def _warn(self) -> None:
        """Tell of a dial that is turned from privacy to fidelity."""
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name in ("leaf", "class_leaf", "pruning", "shrinkage") and value < f.default:
                warnings.warn(
                    f"cart: {f.name} is {value}; below {f.default} an attacker tells more training "
                    "rows from others, so evaluate with a holdout before you share rows",
                    PrivsynthWarning,
                    stacklevel=4,
                )


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
    shared : tuple of Leaves
        The tree of each column for the classes that have none of their own.
    own : tuple of mapping of int to Leaves
        The tree of each column for each class that has one.
    """

    sizes: tuple[int, ...]
    target: int | None
    prior: Floats
    order: tuple[int, ...]
    shared: tuple[Leaves, ...]
    own: tuple[Mapping[int, Leaves], ...]

    holds_rows: ClassVar[bool] = False

    @property
    def answers(self) -> frozenset[int]:
        """The target, where it is discrete; see `privsynth.engines.Model.answers`."""
        return frozenset() if self.target is None else frozenset({self.target})

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows; see `privsynth.engines.Model.sample`."""
        labels = labels_to_draw(n, self.prior, self.target, rng, where)
        having = np.unique([c for own in self.own for c in own]).astype(np.intp)
        group = _groups(labels, having, len(self.prior))
        place = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=1 + len(having))).tolist()
        rows = np.zeros((n, len(self.sizes)), dtype=np.int32, order="F")
        codes = np.empty_like(rows)
        for j, shared, own in zip(self.order, self.shared, self.own, strict=True):
            if j == self.target:
                rows[:, j] = labels[place]
            else:
                trees = [shared, *(own.get(int(c), shared) for c in having)]
                for tree, start, stop in zip(trees, [0, *ends], ends, strict=False):
                    if start < stop:
                        leaf = tree.leaf_of(rows, slice(start, stop))
                        rows[start:stop, j] = tree.draw(leaf, rng)
            codes[place, j] = rows[:, j]
        return codes

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Give JSON values and arrays; see `privsynth.engines.Model.state`."""
        arrays: dict[str, npt.NDArray[Any]] = {"prior": self.prior}
        for j, tree, own in zip(self.order, self.shared, self.own, strict=True):
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
        with reading("trees"):
            sizes = tuple(whole(size, "number of codes", 1) for size in meta["sizes"])
            order = places(meta["order"], len(sizes), "order of columns")
            target = None if meta["target"] is None else whole(meta["target"], "target")
            complete = len(order) == len(sizes) == len(meta["own"])
            if not complete or target not in (None, *order):
                raise ArtefactError("the trees do not fit the columns; fit the model anew")
            classes = 1 if target is None else sizes[target]
            prior = stored_shares(arrays, "prior", (classes,))
            having = tuple(places(own, classes, "classes") for own in meta["own"])
            shared = tuple(
                Leaves.from_state(f"{j}", arrays, sizes, j, order[:at])
                for at, j in enumerate(order)
            )
            own = tuple(
                {c: Leaves.from_state(f"{j}.{c}", arrays, sizes, j, order[:at]) for c in having[at]}
                for at, j in enumerate(order)
            )
        return cls(sizes, target, prior, order, shared, own)

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        check_sizes(codec, self.sizes, self.target)


Cart.model = CartModel


def _groups(
    labels: npt.NDArray[np.int32], having: npt.NDArray[np.intp], classes: int
) -> npt.NDArray[np.uint16]:
    """Give each row's group: 0 for the classes that share trees, then each that has its own."""
    group = np.zeros(classes, dtype=np.uint16)
    group[having] = 1 + np.arange(len(having))
    return group[labels]


def _grouped(codes: Codes, group: npt.NDArray[np.uint16]) -> tuple[Codes, list[int]]:
    """Sort rows by group, so that a group is a slice; tell where each group ends."""
    order = np.argsort(group, kind="stable")
    sorted_codes = np.empty_like(codes, order="F")
    for j in range(codes.shape[1]):
        codes[:, j].take(order, out=sorted_codes[:, j])
    return sorted_codes, np.cumsum(np.bincount(group)).tolist()


def _least(leaf: int, k: int, rows: int) -> int:
    """Give the fewest rows in a leaf of a tree over so many rows."""
    return max(leaf, k, rows // MOST_LEAVES)


def _telling(before: list[int], told: Floats, target: int | None) -> list[int]:
    """Put columns in the order of what they tell, the target first."""
    return sorted(before, key=lambda i: (i != target, -told[i], i))


def _some(codes: Codes, rows: slice, most: int, rng: np.random.Generator) -> Codes:
    """Give a slice of the rows, or `most` of them by chance, in order."""
    if rows.stop - rows.start <= most:
        return codes[rows]
    chosen = rows.start + rng.choice(rows.stop - rows.start, most, replace=False)
    return np.asfortranarray(codes[np.sort(chosen)])


def _ordered(codec: Codec, told: Floats, aim: Floats, asked: tuple[str, ...]) -> list[int]:
    """Put the columns in the order of drawing: target, asked for, then by `aim`."""
    names = [coding.name for coding in codec.codings]
    for name in asked:
        if name not in names:
            raise ConfigError(f"order: no column {name!r}{known(name, names)}")
        if asked.count(name) > 1:
            raise ConfigError(f"order: column {name!r} is named twice; name it once")
    ahead = [names.index(name) for name in asked]
    if codec.target is not None:
        ahead = [codec.target, *(j for j in ahead if j != codec.target)]
    rest = [j for j in range(len(names)) if j not in ahead]
    return ahead + sorted(rest, key=lambda j: (-aim[j], -told[j].sum(), j))


def distinction(codes: Codes, sizes: tuple[int, ...], groups: list[slice]) -> Floats:
    """Give what each column tells of a row's group, in nats, as if all groups were of one size.

    Otherwise what sets a rare class apart would count for little beside what divides the rest.
    What chance alone gives the groups' shares is taken off, as in `information`.
    """
    groups = [rows for rows in groups if rows.start < rows.stop]
    chance = np.mean([1 / (2 * (rows.stop - rows.start)) for rows in groups])
    told = np.zeros(len(sizes))
    for j, size in enumerate(sizes):
        cells, width = _coarse(codes[:, j], size)
        shares = np.stack(
            [np.bincount(cells[rows], minlength=width) / len(cells[rows]) for rows in groups]
        )
        seen, mean = shares > 0, np.broadcast_to(shares.mean(axis=0), shares.shape)
        found = (shares[seen] * np.log(shares[seen] / mean[seen])).sum() / len(groups)
        told[j] = max(found - (seen.any(axis=0).sum() - 1) * chance, 0.0)
    return told


def information(codes: Codes, sizes: tuple[int, ...]) -> Floats:
    """Give the mutual information of every pair of columns, in nats; 0 on the diagonal.

    What chance alone gives columns of many codes is taken off (Miller, *Information Theory in
    Psychology*, 1955); else they would crowd out those that do tell something.
    """
    coarse, width = zip(*(_coarse(codes[:, j], s) for j, s in enumerate(sizes)), strict=True)
    told = np.zeros((len(sizes), len(sizes)))
    for i in range(len(sizes)):
        for j in range(i):
            cells = np.bincount(coarse[i] * width[j] + coarse[j], minlength=width[i] * width[j])
            joint = cells.reshape(width[i], width[j]) / len(codes)
            apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
            seen = joint > 0
            found = (joint[seen] * np.log(joint[seen] / apart[seen])).sum()
            free = (joint.any(axis=1).sum() - 1) * (joint.any(axis=0).sum() - 1)
            told[i, j] = told[j, i] = max(found - free / (2 * len(codes)), 0.0)
    return told


def _coarse(column: npt.NDArray[np.int32], size: int) -> tuple[npt.NDArray[np.integer], int]:
    """Read a column of many codes in runs of neighbouring ones; tell how many there are."""
    if size <= RUNS:
        return column, size
    return column.astype(np.int64) * RUNS // size, RUNS
