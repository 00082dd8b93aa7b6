"""Estimate a distribution from noisy marginals.

Among all distributions over a junction tree, the estimate balances two things: how far its
marginals lie from the noisy counts, in standard deviations of the noise, and how far it is, in
relative entropy, from one whose columns know nothing of each other. This is maximum entropy with
a Gaussian slack (Dudik, Phillips & Schapire, *JMLR* 8, 2007); as its pull grows small, it is the
estimate of Private-PGM (McKenna, Sheldon & Miklau, *ICML* 2019). Its dual is smooth and strictly
convex, one variable a measured cell, and each of its gradients is one calibration.
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
"""Where a round and the last one stop: the largest slope, in standard deviations."""
EXACT = 0.1
"""The least standard deviation, in rows, that noise is taken to have."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """What was estimated.

    Parameters
    ----------
    beliefs : Beliefs
    bonds : dict of tuple of int to ndarray
        The logarithm of each measured clique's factor: where the next estimate may start.
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
        Codes of each column.
    measurements : iterable of Measurement
        Noisy counts.
    total : float
        About how many rows there are.
    columns : iterable of int, optional
        The columns that the distribution is over; all by default.
    cliques : iterable of tuple of int
        Cliques that the tree is to hold beside those that are measured.
    pull : float
        The weight of the relative entropy, above 0.
    rounds : int
        How often the pull is toward the last estimate, once it was toward independent columns:
        with each the measurements are fitted more closely.
    start : Estimate, optional
        An estimate from some of the measurements, near to which this one will lie.
    steps : int
        The most calibrations of a round.

    Returns
    -------
    Estimate

    Notes
    -----
    Several rounds with a strong pull (Osher et al., *Multiscale Modeling & Simulation* 4, 2005)
    find bonds that one round with a weak pull buys with more of the noise.
    """
    from scipy.optimize import minimize

    pooled = _pooled(measurements)
    tree = junction(sizes, [*pooled, *cliques], columns)
    base = _alone(tree, pooled)
    scheme = _Scheme.of(tree, list(pooled))
    values = np.concatenate([np.zeros(0), *(m.values.ravel() for m in pooled.values())])
    scales = np.concatenate([np.zeros(0), *(m.scale.ravel() for m in pooled.values())])
    # slack is a standardised residual; steep is how much its own cell bends the dual
    steep = 1 / np.sqrt(1 + np.maximum(values, scales) / (pull * scales**2))
    factor = steep / (pull * scales)
    weight = pull * total

    def tables(bonds: Floats) -> tuple[list[Floats], float]:
        return calibrate(tree, scheme.logs(bonds, base))

    def dual(point: Floats) -> tuple[float, Floats]:
        found, log_total = tables(held + point * factor)
        slack = point * steep
        value = weight * log_total + slack @ slack / 2 - slack @ (values / scales)
        slope = slack + (total * scheme.marginals(found) - values) / scales
        return float(value), slope * steep

    held = np.zeros(len(values))
    known = {} if start is None else start.bonds
    parts = [known.get(c, np.zeros(m.values.shape)).ravel() for c, m in pooled.items()]
    point = np.concatenate([held[:0], *parts]) / factor / rounds
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
        held = held + point * factor
        point = point / 2  # about how much of the misfit a round leaves
    final = tables(held)[0]
    residual = (total * scheme.marginals(final) - values) / scales
    bonds = dict(zip(pooled, scheme.split(held), strict=True))
    return Estimate(Beliefs(tree, tuple(final)), bonds, float(residual @ residual / 2))


@dataclass(frozen=True, eq=False)
class _Pooled:
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
        precision = 1 / np.maximum(onto(scale, m.clique, clique), EXACT) ** 2
        none = np.zeros(values.shape)
        sums[clique] = sums.get(clique, none) + values * precision
        precisions[clique] = precisions.get(clique, none) + precision
    return {c: _Pooled(sums[c] / precisions[c], precisions[c] ** -0.5) for c in sums if c}


def _alone(tree: Junction, pooled: Mapping[Clique, _Pooled]) -> list[Floats]:
    """Return the logarithms of factors of a distribution whose columns are independent.

    Each column has the mean of what its cliques tell of it, by precision, and half a row of
    noise's scale more in each code, so that none is ruled out.
    """
    base = [np.zeros(tree.shape(clique)) for clique in tree.cliques]
    for i, (clique, separator) in enumerate(zip(tree.cliques, tree.separators, strict=True)):
        for j in clique[len(separator) :]:
            total, precision = np.zeros(tree.sizes[j]), np.zeros(tree.sizes[j])
            for own, m in pooled.items():
                if j in own:
                    weight = 1 / onto(m.scale**2, own, (j,))
                    total += weight * onto(m.values, own, (j,))
                    precision += weight
            if precision.all():
                least = np.maximum(precision**-0.5, 1.0) / 2
                share = np.maximum(total / precision, 0) + least
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
        What is measured.
    ends : list of int
        Where the cells of each begin and end in a vector of all.
    inner : list of (int, int)
        Measured cliques that lie in another one, the smallest first, and in which.
    outer : list of list of int
        The others, by the clique of the tree that holds them, in the order of their last axes.
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
            own = set(cliques[i])
            above = [k for k, other in enumerate(cliques) if own < set(other)]
            if above:
                inner.append((i, min(above, key=sizes.__getitem__)))
            else:
                outer[tree.home(own)].append(i)
        for home, mine in enumerate(outer):
            mine.sort(key=lambda i: _deepest(cliques[i], tree.cliques[home]))
        return cls(tree, cliques, np.cumsum([0, *sizes]).tolist(), inner, outer)

    def split(self, flat: Floats) -> list[Floats]:
        """Cut a vector of all measured cells into one table a clique."""
        return [
            flat[a:b].reshape(self.tree.shape(c))
            for c, a, b in zip(self.cliques, self.ends, self.ends[1:], strict=False)
        ]

    def logs(self, bonds: Floats, base: list[Floats]) -> list[Floats]:
        """Add the factors' logarithms up, on top of `base`.

        Those of a clique's first columns are added up before its last, and widest, are spread.
        """
        parts = self.split(bonds.copy())
        for i, host in self.inner:
            parts[host] += along(parts[i], self.cliques[i], self.cliques[host])
        tables = []
        for clique, mine, start in zip(self.tree.cliques, self.outer, base, strict=True):
            sum_ = np.zeros(())
            for i in mine:
                depth = _deepest(self.cliques[i], clique) + 1
                sum_ = sum_.reshape(sum_.shape + (1,) * (depth - sum_.ndim))
                sum_ = sum_ + along(parts[i], self.cliques[i], clique[:depth])
            tables.append(start + sum_.reshape(sum_.shape + (1,) * (start.ndim - sum_.ndim)))
        return tables

    def marginals(self, tables: Sequence[Floats]) -> Floats:
        """Return the marginals of all measured cliques in one vector."""
        parts: list[Floats] = [np.zeros(0)] * len(self.cliques)
        for clique, mine, table in zip(self.tree.cliques, self.outer, tables, strict=True):
            rest = table
            for i in reversed(mine):
                depth = _deepest(self.cliques[i], clique) + 1
                if depth < rest.ndim:
                    rest = onto(rest, clique[: rest.ndim], clique[:depth])
                parts[i] = onto(rest, clique[:depth], self.cliques[i])
        for i, host in reversed(self.inner):
            parts[i] = onto(parts[host], self.cliques[host], self.cliques[i])
        return np.concatenate([np.zeros(0), *(table.ravel() for table in parts)])


def _deepest(own: Clique, clique: Clique) -> int:
    """Return the last axis of a clique whose column another clique contains."""
    return max(clique.index(j) for j in own)
