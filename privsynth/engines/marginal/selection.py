"""Selection of cliques whose errors outweigh the noise of measuring them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from privsynth.engines.marginal.junction import Clique, footprint

__all__ = ["affordable", "best_set", "spanning"]


PATIENCE = 20
"""Stop after this many consecutive cliques that do not fit the tree."""
NOISE_LEFT = 0.5
"""The part of a clique's noise that remains once it is fitted together with the others."""


def best_set(
    sizes: Sequence[int],
    columns: Sequence[int],
    fixed: Sequence[Clique],
    errors: dict[Clique, float],
    rho: float,
    rows_per_unit: int,
    most_cells: int,
    max_cliques: int,
) -> list[Clique]:
    """Choose cliques to measure, by error and size, whose junction tree fits into `most_cells`.

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each column.
    columns : sequence of int
    fixed : sequence of tuple of int
        Cliques that are already in the tree.
    errors : dict of clique to float
        Noisy distance of the model from the counts of each clique, in rows.
    rho : float
        Joint cost of the chosen cliques: the more there are, the noisier is each.
    rows_per_unit : int
    most_cells : int
        Maximum number of cells of all cliques of the tree together.
    max_cliques : int
        Maximum number of chosen cliques.

    Returns
    -------
    list of tuple of int
    """
    cells = {clique: math.prod(sizes[j] for j in clique) for clique in errors}
    best: tuple[float, list[Clique]] = (0.0, [])
    count = 1
    while count <= max_cliques:
        noise = NOISE_LEFT * rows_per_unit * math.sqrt(count / (2 * rho)) * math.sqrt(2 / math.pi)
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
    """Return whether a junction tree of the cliques has at most `most_cells` cells."""
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
