"""Distributions that factor over a junction tree: their marginals, conditioned and stored.

One pass of messages up the tree and one down give the marginal of each clique (Jensen, Lauritzen
& Olesen, *Computational Statistics Quarterly* 4, 1990). Messages go up as logarithms; what stays
behind is each clique's conditional distribution, which the pass down multiplies by the marginal
of its separator. This takes one exponential per cell and does not underflow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from string import ascii_letters
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.engines.marginal.junction import Clique, Junction
from privsynth.engines.stored import places, reading, stored
from privsynth.errors import ArtefactError, SamplingError
from privsynth.files.documents import whole

__all__ = ["Beliefs", "along", "calibrate", "onto"]


AXES = ascii_letters[:-1]


def calibrate(tree: Junction, logs: Sequence[Floats]) -> tuple[list[Floats], float]:
    """Return the marginal of each clique under a product of factors.

    Parameters
    ----------
    tree : Junction
    logs : sequence of ndarray
        The logarithm of each clique's factor, of its shape; ``-inf`` for 0. They are overwritten.

    Returns
    -------
    tables : list of ndarray
        Each adds up to 1.
    log_total : float
        The logarithm of the sum of the product over all cells; ``-inf`` where it is 0.
    """
    separators, cliques = tree.separators, tree.cliques
    if not cliques:
        return [], 0.0
    totals: list[Floats] = []
    for i in reversed(range(len(cliques))):
        rows = logs[i].reshape(math.prod(tree.shape(separators[i])), -1)
        peaks = rows.max(axis=1)
        peaks[peaks == -np.inf] = 0
        rows -= peaks[:, None]
        np.exp(rows, out=rows)
        sums_below = np.einsum("sf->s", rows)
        with np.errstate(divide="ignore"):
            log_sums = peaks + np.log(sums_below)
        totals.append(sums_below)
        if i:
            parent = tree.parents[i]
            message = log_sums.reshape(tree.shape(separators[i]))
            np.add(logs[parent], along(message, separators[i], cliques[parent]), out=logs[parent])
    log_total = float(log_sums[0])
    for i, sums_below in enumerate(reversed(totals)):
        separator_mass = np.ones(1)
        if i:
            parent = tree.parents[i]
            separator_mass = onto(logs[parent], cliques[parent], separators[i]).ravel()
        share = np.divide(
            separator_mass, sums_below, out=np.zeros_like(sums_below), where=sums_below > 0
        )
        rows = logs[i].reshape(len(sums_below), -1)
        rows *= share[:, None]
    return list(logs), log_total


@dataclass(frozen=True, eq=False)
class Beliefs:
    """A distribution, as a calibrated junction tree: the marginals of its cliques.

    Parameters
    ----------
    tree : Junction
    tables : tuple of ndarray
        The marginal of each clique; they agree on their separators.
    """

    tree: Junction
    tables: tuple[Floats, ...]

    def marginal(self, clique: Clique) -> Floats:
        """Return the marginal of columns that lie in one clique of the tree, in their order.

        Raises
        ------
        KeyError
            No clique holds them all; `pairs` works for any two columns.
        """
        home = self.tree.home(clique)
        return onto(self.tables[home], self.tree.cliques[home], clique)

    def given(self, clique: Clique, likelihood: Floats) -> Beliefs:
        """Condition the distribution on a likelihood of columns that lie in one clique.

        Parameters
        ----------
        clique : tuple of int
        likelihood : ndarray
            One axis a column; 0 for impossible cells.

        Raises
        ------
        SamplingError
            No cell has a probability above 0.
        """
        home = self.tree.home(clique)
        with np.errstate(divide="ignore"):
            logs = [np.log(chances) for chances in self.conditionals]
            logs[home] += along(np.log(likelihood), clique, self.tree.cliques[home])
        tables, log_total = calibrate(self.tree, logs)
        if log_total == -math.inf:
            raise SamplingError(
                "the model has no row that meets the conditions together; drop one of them"
            )
        return Beliefs(self.tree, tuple(tables))

    @cached_property
    def conditionals(self) -> tuple[Floats, ...]:
        """P(cell | separator) for each cell of a clique; 0 where P(separator) is 0."""
        tables = []
        for table, clique, separator in zip(
            self.tables, self.tree.cliques, self.tree.separators, strict=True
        ):
            parent_mass = along(onto(table, clique, separator), separator, clique)
            tables.append(
                np.divide(table, parent_mass, out=np.zeros_like(table), where=parent_mass > 0)
            )
        return tuple(tables)

    def pairs(self, columns: Iterable[int]) -> dict[Clique, Floats]:
        """Return the marginal of every pair of columns, even if no clique holds both.

        Parameters
        ----------
        columns : iterable of int

        Returns
        -------
        dict of (int, int) to ndarray
            The lower position first.

        Notes
        -----
        Messages carry, for all columns behind a separator at once, their joint tables with the
        separator. The message down to a clique covers all columns outside its subtree.
        """
        tree, targets = self.tree, set(columns)
        tables: dict[Clique, Floats] = {}
        for i, clique in enumerate(tree.cliques):
            for j in clique[len(tree.separators[i]) :]:
                for c in targets.intersection(clique) - {j} if j in targets else ():
                    _keep(tables, j, c, onto(self.tables[i], clique, (j, c)))
        ups: list[_Message] = []
        for i in reversed(range(len(tree.cliques))):
            below = [up for up in ups if tree.parents[up.clique] == i]
            ups.append(self._message(i, i, below, targets))
        downs = {0: _Message(0, (), (), np.zeros(0))}
        for i, parent in enumerate(tree.parents[1:], start=1):
            siblings = [up for up in ups if tree.parents[up.clique] == parent and up.clique != i]
            downs[i] = self._message(parent, i, [downs[parent], *siblings], targets)
            new = tree.cliques[i][len(tree.separators[i]) :]
            for j in targets.intersection(new):
                joint = self._carried(downs[i], i, (j,))
                ends = np.cumsum([tree.sizes[c] for c in downs[i].columns])
                for c, end in zip(downs[i].columns, ends.tolist(), strict=True):
                    _keep(tables, j, c, joint[:, end - tree.sizes[c] : end])
        return tables

    def _message(
        self, inside: int, edge: int, others: Iterable[_Message], targets: set[int]
    ) -> _Message:
        """Return the message across the upper edge of clique `edge`, sent by clique `inside`."""
        tree = self.tree
        separator, clique = tree.separators[edge], tree.cliques[inside]
        columns: list[int] = []
        parts = [np.zeros((*tree.shape(separator), 0))]
        for other in others:
            if other.columns:
                columns += other.columns
                parts.append(self._carried(other, inside, separator))
        for j in clique:
            if j in targets and j not in separator:
                columns.append(j)
                parts.append(onto(self.tables[inside], clique, (*separator, j)))
        return _Message(edge, separator, tuple(columns), np.concatenate(parts, axis=-1))

    def _carried(self, message: _Message, i: int, kept: Clique) -> Floats:
        """Carry a message through a clique, from its separator to other columns."""
        separator = message.separator
        new = tuple(c for c in kept if c not in separator)
        table = onto(self.tables[i], self.tree.cliques[i], (*separator, *new))
        rows = table.reshape(math.prod(self.tree.shape(separator)), -1)
        total = rows.sum(axis=1, keepdims=True)
        share = np.divide(rows, total, out=np.zeros_like(rows), where=total > 0)
        letter = dict(zip((*separator, *new), AXES, strict=False))
        source, output = ("".join(letter[c] for c in columns) for columns in (separator, kept))
        return np.asarray(
            np.einsum(
                f"{source}Z,{''.join(letter.values())}->{output}Z",
                message.table,
                share.reshape(table.shape),
                optimize=not set(separator) & set(kept),  # then it is a matrix product
            )
        )

    def state(self, name: str = "") -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return JSON values and arrays from which `from_state` rebuilds the distribution."""
        tree = self.tree
        meta = {
            "sizes": list(tree.sizes),
            "cliques": [list(clique) for clique in tree.cliques],
            "parents": list(tree.parents),
        }
        flat = np.concatenate([np.zeros(0), *(table.ravel() for table in self.tables)])
        return meta, {f"{name}tables": flat}

    @classmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], name: str = ""
    ) -> Self:
        """Rebuild a distribution.

        Raises
        ------
        ArtefactError
            The state is incomplete, it is no junction tree, or its tables do not agree.
        """
        with reading("junction tree"):
            tree = Junction(
                tuple(whole(size, "number of codes", 1) for size in meta["sizes"]),
                tuple(places(c, len(meta["sizes"]), "tree of cliques") for c in meta["cliques"]),
                tuple(whole(parent, "tree of cliques", -1) for parent in meta["parents"]),
            )
            tree.check()
            flat = stored(arrays, f"{name}tables", (tree.cells,), np.float64)
            shapes = [tree.shape(clique) for clique in tree.cliques]
            ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]
            parts = [] if not shapes else np.split(flat, ends)
            tables = tuple(x.reshape(shape) for x, shape in zip(parts, shapes, strict=True))
            sound = bool((flat >= 0).all()) and all(
                np.isclose(table.sum(), 1, rtol=1e-6) for table in tables[:1]
            )
            for i, parent in enumerate(tree.parents[1:], start=1):
                lower, upper = ((tables[k], tree.cliques[k]) for k in (i, parent))
                shared = tree.separators[i]
                sound = sound and np.allclose(onto(*lower, shared), onto(*upper, shared), atol=1e-6)
            if not sound:
                raise ArtefactError(
                    "the tables of the junction tree contradict each other; fit the model anew"
                )
        return cls(tree, tables)


@dataclass(frozen=True, eq=False)
class _Message:
    """A message across a clique's upper edge: joint tables of columns with the separator.

    Parameters
    ----------
    clique : int
    separator : tuple of int
    columns : tuple of int
    table : ndarray
        The separator's axes, then the codes of all columns, one after the other.
    """

    clique: int
    separator: Clique
    columns: tuple[int, ...]
    table: Floats


def _keep(tables: dict[Clique, Floats], j: int, c: int, table: Floats) -> None:
    """Store the table of a pair, the lower position first."""
    tables[min(j, c), max(j, c)] = table if j < c else table.T


def onto(table: Floats, clique: Clique, kept: Clique) -> Floats:
    """Sum a clique's table onto some of its columns, in the order of `kept`."""
    return np.array(np.einsum(_summed(clique, kept), table), order="C")


def along(table: Floats, columns: Clique, clique: Clique) -> Floats:
    """Reshape a table of some of a clique's columns to broadcast against the clique's table."""
    order, axes = _spread(columns, clique)
    return table.transpose(order).reshape([1 if a is None else table.shape[a] for a in axes])


@lru_cache(2**14)
def _summed(clique: Clique, kept: Clique) -> str:
    output = "".join(AXES[clique.index(j)] for j in kept)
    return f"{AXES[: len(clique)]}->{output}"


@lru_cache(2**14)
def _spread(columns: Clique, clique: Clique) -> tuple[list[int], list[int | None]]:
    order = sorted(range(len(columns)), key=lambda a: clique.index(columns[a]))
    return order, [columns.index(j) if j in columns else None for j in clique]
