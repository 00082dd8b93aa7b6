"""Junction trees: overlapping cliques of columns over which a joint distribution factorises."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

from privsynth.errors import ArtefactError

__all__ = ["Clique", "Junction", "footprint", "junction"]

Clique: TypeAlias = tuple[int, ...]
MAX_COLUMNS = 32
"""Columns of a clique: numpy's einsum is only sure to take this many axes."""


@dataclass(frozen=True)
class Junction:
    """A tree of cliques with the running intersection property.

    Parameters
    ----------
    sizes : tuple of int
        Number of codes of each column.
    cliques : tuple of tuple of int
        Column positions, parents before children. In each, the separator comes first, in
        ascending order, then the columns that no earlier clique holds, the widest last.
    parents : tuple of int
        Position of each clique's parent; -1 for the first clique, which is the root.

    Notes
    -----
    Unconnected parts of the graph are joined by empty separators, so that a forest is no special
    case.
    """

    sizes: tuple[int, ...]
    cliques: tuple[Clique, ...]
    parents: tuple[int, ...]

    @cached_property
    def separators(self) -> tuple[Clique, ...]:
        """The columns that each clique shares with its parent, ascending."""
        return tuple(
            self._separator(clique, parent)
            for clique, parent in zip(self.cliques, self.parents, strict=True)
        )

    @property
    def cells(self) -> int:
        """The number of cells of all cliques together."""
        return sum(math.prod(self.shape(clique)) for clique in self.cliques)

    def shape(self, clique: Clique) -> tuple[int, ...]:
        """Return the number of codes of each column of a clique."""
        return tuple(self.sizes[j] for j in clique)

    def home(self, columns: Iterable[int]) -> int:
        """Return the position of the smallest clique of the tree that holds all the columns.

        Raises
        ------
        KeyError
            There is none.
        """
        needed = set(columns)
        homes = [i for i, clique in enumerate(self.cliques) if needed.issubset(clique)]
        if not homes:
            raise KeyError(tuple(needed))
        return min(homes, key=lambda i: math.prod(self.shape(self.cliques[i])))

    def check(self) -> None:
        """Refuse cliques and parents that do not form a junction tree.

        Raises
        ------
        ArtefactError
        """
        earlier: set[int] = set()
        all_columns = set(range(len(self.sizes)))
        for i, (clique, parent) in enumerate(zip(self.cliques, self.parents, strict=True)):
            parent_is_sound = parent == -1 if i == 0 else 0 <= parent < i
            shared = earlier.intersection(clique)
            if (
                not parent_is_sound
                or not shared < set(clique) <= all_columns
                or len(clique) > MAX_COLUMNS
                or len(set(clique)) != len(clique)
                or tuple(clique[: len(shared)]) != self._separator(clique, parent)
            ):
                raise ArtefactError("the model's tree of cliques is damaged; fit the model anew")
            earlier.update(clique)

    def _separator(self, clique: Clique, parent: int) -> Clique:
        upper = self.cliques[parent] if parent >= 0 else ()
        return tuple(sorted(set(clique) & set(upper)))


def junction(
    sizes: Sequence[int], cliques: Iterable[Clique], columns: Iterable[int] | None = None
) -> Junction:
    """Build a junction tree whose cliques cover the given ones.

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each column.
    cliques : iterable of tuple of int
        Each will be a subset of a clique of the tree.
    columns : iterable of int, optional
        Columns of the tree, including any that are in no clique; all by default.

    Notes
    -----
    The graph is triangulated greedily (Koller & Friedman, *Probabilistic Graphical Models*, 2009,
    section 9.4), and its maximal cliques are joined by the widest separators.
    """
    candidates = dict.fromkeys(_triangulate(sizes, cliques, columns, thorough=True), (0, -1))
    placed: list[int] = []
    ordered: list[Clique] = []
    parents: list[int] = []
    while candidates:  # Prim's maximum spanning tree
        mask = max(candidates, key=lambda mask: (candidates[mask][0], _cells(mask, sizes)))
        shared, parent = candidates.pop(mask)
        separator = mask & placed[parent] if shared else 0
        new = sorted(_columns(mask & ~separator), key=lambda j: (sizes[j], j))
        parents.append(parent if shared else min(len(placed), 1) - 1)
        ordered.append((*_columns(separator), *new))
        for other, (width, _) in candidates.items():
            if (other & mask).bit_count() > width:
                candidates[other] = ((other & mask).bit_count(), len(placed))
        placed.append(mask)
    return Junction(tuple(int(size) for size in sizes), tuple(ordered), tuple(parents))


def footprint(
    sizes: Sequence[int], cliques: Iterable[Clique], columns: Iterable[int] | None = None
) -> tuple[int, int]:
    """Return a fast upper bound on the cells of the junction tree of some cliques.

    Parameters
    ----------
    sizes, cliques, columns
        As for `junction`.

    Returns
    -------
    total, largest : int
        Cells of all the tree's cliques, and of its largest; `junction` tries harder and may find
        a tree with a smaller total.
    """
    maximal = _triangulate(sizes, cliques, columns, thorough=False)
    cells = [_cells(mask, sizes) for mask in maximal]
    return sum(cells), max(cells, default=0)


def _columns(mask: int) -> Iterator[int]:
    """Yield the positions of a mask's bits, in order."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _cells(mask: int, sizes: Sequence[int]) -> int:
    """Return the number of cells of a set of columns."""
    return math.prod(sizes[j] for j in _columns(mask))


def _triangulate(
    sizes: Sequence[int],
    cliques: Iterable[Clique],
    columns: Iterable[int] | None,
    *,
    thorough: bool,
) -> list[int]:
    """Return the maximal cliques, as bits, of the cheaper of two greedy triangulations."""
    near = {j: 1 << j for j in (range(len(sizes)) if columns is None else columns)}
    for clique in cliques:
        mask = sum(1 << j for j in clique)
        for j in clique:
            near[j] |= mask
    candidates = [_eliminate(sizes, dict(near), by_fill=False)]
    if thorough:
        candidates.append(_eliminate(sizes, dict(near), by_fill=True))
    return min(candidates, key=lambda masks: sum(_cells(mask, sizes) for mask in masks))


def _eliminate(sizes: Sequence[int], near: dict[int, int], by_fill: bool) -> list[int]:
    """Eliminate columns greedily, cheapest first, connecting each one's neighbours.

    Parameters
    ----------
    near : dict of int to int
        Each column's neighbours and itself, as bits; it is overwritten.
    by_fill : bool
        Whether the cost is first the added edges, by cells, and then the cells of the clique.
    """
    cells = {j: _cells(near[j], sizes) for j in near}

    def cost(j: int) -> tuple[int, int]:
        fill = 0
        if by_fill:
            rest = near[j] & ~(1 << j)
            fill = sum(sizes[i] * _sum(sizes, rest & ~near[i]) for i in _columns(rest))
        return fill, cells[j]

    costs = {j: cost(j) for j in near}
    maximal: list[int] = []
    while costs:
        j = min(costs, key=costs.__getitem__)
        del costs[j]
        clique = near[j]
        if all(clique & ~other for other in maximal):
            maximal.append(clique)
        rest = stale = clique & ~(1 << j)
        for i in _columns(rest):
            added = rest & ~near[i]
            if by_fill and added:
                stale |= near[i]
            cells[i] = cells[i] // sizes[j] * _cells(added, sizes)
            near[i] = (near[i] | rest) & ~(1 << j)
        for i in _columns(stale & ~(1 << j)):
            costs[i] = cost(i)
    return maximal


def _sum(sizes: Sequence[int], mask: int) -> int:
    """Add up the codes of a set of columns."""
    return sum(sizes[j] for j in _columns(mask))
