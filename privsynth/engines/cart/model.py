"""A sequence of trees that draws rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Codes, Floats
from privsynth.coding import Codec
from privsynth.engines.cart.tree import Leaves
from privsynth.engines.labels import labels_to_draw
from privsynth.engines.stored import check_sizes, places, reading, stored_shares
from privsynth.errors import ArtefactError
from privsynth.files.documents import whole

__all__ = ["CartModel"]


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
        The tree of each column for the classes that have no tree of their own.
    by_class : tuple of mapping of int to Leaves
        The tree of each column for each class that has one.
    """

    sizes: tuple[int, ...]
    target: int | None
    prior: Floats
    order: tuple[int, ...]
    shared: tuple[Leaves, ...]
    by_class: tuple[Mapping[int, Leaves], ...]

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
        having = np.unique([c for trees in self.by_class for c in trees]).astype(np.intp)
        group = groups(labels, having, len(self.prior))
        sorted_rows = np.argsort(group, kind="stable")
        ends = np.cumsum(np.bincount(group, minlength=1 + len(having))).tolist()
        rows = np.zeros((n, len(self.sizes)), dtype=np.int32, order="F")
        codes = np.empty_like(rows)
        for j, shared, by_class in zip(self.order, self.shared, self.by_class, strict=True):
            if j == self.target:
                rows[:, j] = labels[sorted_rows]
            else:
                trees = [shared, *(by_class.get(int(c), shared) for c in having)]
                for tree, start, stop in zip(trees, [0, *ends], ends, strict=False):
                    if start < stop:
                        leaf = tree.leaf_of(rows, slice(start, stop))
                        rows[start:stop, j] = tree.draw(leaf, rng)
            codes[sorted_rows, j] = rows[:, j]
        return codes

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays; see `privsynth.engines.Model.state`."""
        arrays: dict[str, npt.NDArray[Any]] = {"prior": self.prior}
        for j, shared, by_class in zip(self.order, self.shared, self.by_class, strict=True):
            arrays |= shared.state(f"{j}")
            for c, tree in by_class.items():
                arrays |= tree.state(f"{j}.{c}")
        meta = {
            "sizes": list(self.sizes),
            "target": self.target,
            "order": list(self.order),
            "own": [sorted(trees) for trees in self.by_class],
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
            having = tuple(places(codes, classes, "classes") for codes in meta["own"])
            shared = tuple(
                Leaves.from_state(f"{j}", arrays, sizes, j, order[:at])
                for at, j in enumerate(order)
            )
            by_class = tuple(
                {c: Leaves.from_state(f"{j}.{c}", arrays, sizes, j, order[:at]) for c in having[at]}
                for at, j in enumerate(order)
            )
        return cls(sizes, target, prior, order, shared, by_class)

    def check(self, codec: Codec) -> None:
        """See `privsynth.engines.Model.check`."""
        check_sizes(codec, self.sizes, self.target)


def groups(
    labels: npt.NDArray[np.int32], having: npt.NDArray[np.intp], classes: int
) -> npt.NDArray[np.uint16]:
    """Return each row's group: 0 for classes that share trees, then one for each other class."""
    group = np.zeros(classes, dtype=np.uint16)
    group[having] = 1 + np.arange(len(having))
    return group[labels]
