"""Select the cliques that are worth their noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from privsynth.engines.marginal.junction import Clique, footprint

__all__ = ["affordable", "best_set", "spanning"]


PATIENCE = 20
"""How many cliques in a row may be too much for the tree before no more are tried."""
TOLD = 0.5
"""The part of the noise of its counts that a clique keeps once it is fitted with the others."""


def best_set(
    sizes: Sequence[int],
    columns: Sequence[int],
    fixed: Sequence[Clique],
    errors: dict[Clique, float],
    rho: float,
    rows_per_unit: int,
    most_cells: int,
    most: int,
) -> list[Clique]:
    """Choose the cliques to be measured: large errors, small tables, and a tree that fits.

    Parameters
    ----------
    sizes : sequence of int
        How many codes each column has.
    columns : sequence of int
    fixed : sequence of tuple of int
        Cliques that the tree holds already.
    errors : dict of clique to float
        How far the model is from the counts of each clique, in rows, with noise.
    rho : float
        What the chosen cliques will cost together: the more, the noisier each.
    rows_per_unit : int
    most_cells : int
        How many cells the cliques of the tree may have together.
    most : int
        How many cliques may be chosen.

    Returns
    -------
    list of tuple of int
    """
    cells = {clique: math.prod(sizes[j] for j in clique) for clique in errors}
    best: tuple[float, list[Clique]] = (0.0, [])
    count = 1
    while count <= most:
        noise = TOLD * rows_per_unit * math.sqrt(count / (2 * rho)) * math.sqrt(2 / math.pi)
        gains = {clique: errors[clique] - noise * cells[clique] for clique in errors}
        chosen: list[Clique] = []
        refused = 0
        for clique in sorted(gains, key=lambda c: (-gains[c], c)):
            if len(chosen) == count or gains[clique] <= 0 or refused > PATIENCE:
                break
            if affordable(sizes, columns, [*fixed, *chosen, clique], most_cells):
                chosen.append(clique)
                refused = 0
            else:
                refused += 1
        gain = sum(gains[clique] for clique in chosen)
        if gain > best[0]:
            best = (gain, chosen)
        if len(chosen) < count:
            break
        count = max(count + 1, math.ceil(1.4 * count))
    return best[1]


def affordable(
    sizes: Sequence[int], columns: Sequence[int], cliques: Sequence[Clique], most_cells: int
) -> bool:
    """Return whether a tree that holds all cliques has few enough cells."""
    return footprint(sizes, cliques, columns)[0] <= most_cells


def spanning(columns: Sequence[int], weights: dict[Clique, float]) -> list[Clique]:
    """Return the pairs of a maximum spanning tree (Kruskal 1956)."""
    tree = {j: j for j in columns}
    chosen = []
    for pair in sorted(weights, key=lambda p: (-weights[p], p)):
        i, j = (_root(tree, k) for k in pair)
        if i != j:
            tree[i] = j
            chosen.append(pair)
    return chosen


def _root(tree: dict[int, int], j: int) -> int:
    while tree[j] != j:
        j = tree[j]
    return j
