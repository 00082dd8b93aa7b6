"""Estimate a distribution from noisy marginals.

The estimate is a distribution over a junction tree that minimises a sum of two terms: the squared
distance of its marginals from the noisy counts, in standard deviations of the noise, and its
relative entropy to a distribution of independent columns, weighted by the pull. This is maximum
entropy with a Gaussian slack (Dudik, Phillips & Schapire, *JMLR* 8, 2007); as the pull goes to 0,
it becomes the estimate of Private-PGM (McKenna, Sheldon & Miklau, *ICML* 2019). Its dual is smooth
and strictly convex, has one variable per measured cell, and takes one calibration per gradient.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from privsynth.arrays import Floats
from privsynth.curator import Measurement
from privsynth.engines.marginal.calibration import Beliefs, along, calibrate, onto
from privsynth.engines.marginal.junction import Clique, Junction, junction

__all__ = ["PULL", "Estimate", "estimate"]


PULL = 0.06
"""The weight of the relative entropy, in rows, beside the squared standardised residuals."""
ROUNDS = 2
STEPS = 200
LOOSE, TIGHT = 3e-2, 3e-3
"""Gradient tolerances, in standard deviations, of all rounds but the last, and of the last."""
MIN_NOISE = 0.1
"""Lower bound on the standard deviation of noise, in rows."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """An estimated distribution, and where a next estimate may start.

    Parameters
    ----------
    beliefs : Beliefs
    bonds : dict of tuple of int to ndarray
        The logarithm of each measured clique's factor: the starting point of a next estimate.
    misfit : float
        Half the sum of squared standardised residuals: Private-PGM's objective.
    """

    beliefs: Beliefs
    bonds: Mapping[Clique, Floats]
    misfit: float


def estimate(
    sizes: Sequence[int],
    measurements: Iterable[Measurement],
    total: float,
    columns: Iterable[int] | None = None,
    cliques: Iterable[Clique] = (),
    *,
    pull: float = PULL,
    rounds: int = ROUNDS,
    start: Estimate | None = None,
    steps: int = STEPS,
) -> Estimate:
    """Estimate a distribution from noisy marginals.

    Parameters
    ----------
    sizes : sequence of int
        Number of codes of each column.
    measurements : iterable of Measurement
        Noisy counts.
    total : float
        Estimated number of rows.
    columns : iterable of int, optional
        Columns of the distribution; all by default.
    cliques : iterable of tuple of int
        Cliques that the tree must hold besides the measured ones.
    pull : float
        The weight of the relative entropy, above 0.
    rounds : int
        Number of minimisations. The first is pulled towards independent columns, each later one
        towards the estimate before it, so that the measurements are fitted more closely.
    start : Estimate, optional
        An estimate from some of the measurements, as a starting point near the solution.
    steps : int
        Maximum number of calibrations in a round.

    Returns
    -------
    Estimate

    Notes
    -----
    Several rounds with a strong pull (Osher et al., *Multiscale Modeling & Simulation* 4, 2005)
    fit the same dependences as one round with a weak pull, and less of the noise.
    """
    from scipy.optimize import minimize

    pooled = _pooled(measurements)
    tree = junction(sizes, [*pooled, *cliques], columns)
    base = _independent(tree, pooled)
    scheme = _Scheme.of(tree, list(pooled))
    values = np.concatenate([np.zeros(0), *(m.values.ravel() for m in pooled.values())])
    scales = np.concatenate([np.zeros(0), *(m.scale.ravel() for m in pooled.values())])
    # slack is a standardised residual; curvature preconditions the dual, cell by cell
    curvature = 1 / np.sqrt(1 + np.maximum(values, scales) / (pull * scales**2))
    factor = curvature / (pull * scales)
    weight = pull * total

    def tables(bonds: Floats) -> tuple[list[Floats], float]:
        return calibrate(tree, scheme.logs(bonds, base))

    def dual(point: Floats) -> tuple[float, Floats]:
        marginals, log_total = tables(log_factors + point * factor)
        slack = point * curvature
        value = weight * log_total + slack @ slack / 2 - slack @ (values / scales)
        slope = slack + (total * scheme.marginals(marginals) - values) / scales
        return float(value), slope * curvature

    log_factors = np.zeros(len(values))
    start_bonds = {} if start is None else start.bonds
    parts = [start_bonds.get(c, np.zeros(m.values.shape)).ravel() for c, m in pooled.items()]
    point = np.concatenate([log_factors[:0], *parts]) / factor / rounds
    for last in (*[False] * (rounds - 1), True):
        point = minimize(
            dual,
            point,
            jac=True,
            method="L-BFGS-B",
            options={
                "maxfun": steps,
                "maxiter": steps,
                "ftol": 1e-9,
                "gtol": TIGHT if last else LOOSE,
            },
        ).x
        log_factors = log_factors + point * factor
        point = point / 2  # a round leaves about half of the misfit
    final = tables(log_factors)[0]
    residual = (total * scheme.marginals(final) - values) / scales
    bonds = dict(zip(pooled, scheme.split(log_factors), strict=True))
    return Estimate(Beliefs(tree, tuple(final)), bonds, float(residual @ residual / 2))


@dataclass(frozen=True, eq=False)
class _Pooled:
    """The average of all measurements of one clique, and the standard deviation of its noise."""

    values: Floats
    scale: Floats


def _pooled(measurements: Iterable[Measurement]) -> dict[Clique, _Pooled]:
    """Average measurements of the same columns, weighted by precision."""
    sums: dict[Clique, Floats] = {}
    precisions: dict[Clique, Floats] = {}
    for m in measurements:
        clique = tuple(sorted(m.clique))
        values = onto(m.values.astype(np.float64), m.clique, clique)
        scale = np.broadcast_to(np.asarray(m.scale, dtype=np.float64), m.values.shape)
        precision = 1 / np.maximum(onto(scale, m.clique, clique), MIN_NOISE) ** 2
        none = np.zeros(values.shape)
        sums[clique] = sums.get(clique, none) + values * precision
        precisions[clique] = precisions.get(clique, none) + precision
    return {c: _Pooled(sums[c] / precisions[c], precisions[c] ** -0.5) for c in sums if c}


def _independent(tree: Junction, pooled: Mapping[Clique, _Pooled]) -> list[Floats]:
    """Return the logarithms of factors of a distribution whose columns are independent.

    A column's marginal is the precision-weighted mean over its cliques. Half a standard deviation
    of noise, and at least half a row, is added to each code, so that none has probability 0.
    """
    base = [np.zeros(tree.shape(clique)) for clique in tree.cliques]
    for i, (clique, separator) in enumerate(zip(tree.cliques, tree.separators, strict=True)):
        for j in clique[len(separator) :]:
            total, precision = np.zeros(tree.sizes[j]), np.zeros(tree.sizes[j])
            for measured, m in pooled.items():
                if j in measured:
                    weight = 1 / onto(m.scale**2, measured, (j,))
                    total += weight * onto(m.values, measured, (j,))
                    precision += weight
            if precision.all():
                floor = np.maximum(precision**-0.5, 1.0) / 2
                share = np.maximum(total / precision, 0) + floor
                base[i] += along(np.log(share / share.sum()), (j,), clique)
            else:
                base[i] -= math.log(tree.sizes[j])
    return base


@dataclass(frozen=True, eq=False)
class _Scheme:
    """Positions of measured cliques' factors inside the tree's cliques.

    Parameters
    ----------
    cliques : list of tuple of int
        The measured cliques.
    ends : list of int
        Offsets of each clique's cells in a vector of all measured cells.
    inner : list of (int, int)
        Positions of a measured clique inside another one, and of the other; smallest first.
    outer : list of list of int
        Positions of the remaining ones, by the clique of the tree that holds them, in the order
        of their last axes.
    """

    tree: Junction
    cliques: list[Clique]
    ends: list[int]
    inner: list[tuple[int, int]]
    outer: list[list[int]]

    @classmethod
    def of(cls, tree: Junction, cliques: list[Clique]) -> _Scheme:
        sizes = [math.prod(tree.shape(c)) for c in cliques]
        inner: list[tuple[int, int]] = []
        outer: list[list[int]] = [[] for _ in tree.cliques]
        for i in sorted(range(len(cliques)), key=lambda i: len(cliques[i])):
            columns = set(cliques[i])
            hosts = [k for k, other in enumerate(cliques) if columns < set(other)]
            if hosts:
                inner.append((i, min(hosts, key=sizes.__getitem__)))
            else:
                outer[tree.home(columns)].append(i)
        for home, members in enumerate(outer):
            members.sort(key=lambda i: _deepest(cliques[i], tree.cliques[home]))
        return cls(tree, cliques, np.cumsum([0, *sizes]).tolist(), inner, outer)

    def split(self, flat: Floats) -> list[Floats]:
        """Split a vector of all measured cells into one table per clique."""
        return [
            flat[a:b].reshape(self.tree.shape(c))
            for c, a, b in zip(self.cliques, self.ends, self.ends[1:], strict=False)
        ]

    def logs(self, bonds: Floats, base: list[Floats]) -> list[Floats]:
        """Add the factors' logarithms to `base`.

        Factors of a clique's first columns are summed before they are broadcast over its last,
        widest columns.
        """
        parts = self.split(bonds.copy())
        for i, host in self.inner:
            parts[host] += along(parts[i], self.cliques[i], self.cliques[host])
        tables = []
        for clique, members, start in zip(self.tree.cliques, self.outer, base, strict=True):
            sum_ = np.zeros(())
            for i in members:
                depth = _deepest(self.cliques[i], clique) + 1
                sum_ = sum_.reshape(sum_.shape + (1,) * (depth - sum_.ndim))
                sum_ = sum_ + along(parts[i], self.cliques[i], clique[:depth])
            tables.append(start + sum_.reshape(sum_.shape + (1,) * (start.ndim - sum_.ndim)))
        return tables

    def marginals(self, tables: Sequence[Floats]) -> Floats:
        """Return the marginals of all measured cliques in one vector."""
        parts: list[Floats] = [np.zeros(0)] * len(self.cliques)
        for clique, members, table in zip(self.tree.cliques, self.outer, tables, strict=True):
            rest = table
            for i in reversed(members):
                depth = _deepest(self.cliques[i], clique) + 1
                if depth < rest.ndim:
                    rest = onto(rest, clique[: rest.ndim], clique[:depth])
                parts[i] = onto(rest, clique[:depth], self.cliques[i])
        for i, host in reversed(self.inner):
            parts[i] = onto(parts[host], self.cliques[host], self.cliques[i])
        return np.concatenate([np.zeros(0), *(table.ravel() for table in parts)])


def _deepest(columns: Clique, clique: Clique) -> int:
    """Return the last axis of a clique whose column another clique contains."""
    return max(clique.index(j) for j in columns)
