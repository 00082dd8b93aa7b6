"""Recipes that select marginals, measure them with noise, and estimate a distribution.

They learn from noisy counts of cliques alone (McKenna, Miklau & Sheldon 2021). `Marginals`
measures every column jointly with the target, then scores all pairs in one answer and measures the
best set that fits into a junction tree. `MST`, `AIM` and `Independent` are published algorithms on
the same base.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

import numpy as np

from privsynth.coding import Codec
from privsynth.curator import MAX_CELLS, Measurement, PrivateCurator
from privsynth.engines.marginal.estimation import PULL, ROUNDS, Estimate, estimate
from privsynth.engines.marginal.junction import Clique
from privsynth.engines.marginal.model import MarginalModel
from privsynth.engines.marginal.oneway import (
    OneWay,
    check_cells,
    codes_to_drawable,
    counted_to_drawable,
    groups_that_fit,
    measure_oneway,
)
from privsynth.engines.marginal.selection import affordable, best_set, spanning
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError

__all__ = ["AIM", "MST", "Independent", "Marginals"]

MIN_PART = 1e-3
"""The smallest part of the budget of a step."""
PULLS = 1e-6, 1e6


@dataclass(frozen=True)
class Independent:
    """The baseline: independent columns."""

    model: ClassVar[type[MarginalModel]] = MarginalModel

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> MarginalModel:
        """Measure each column alone."""
        oneway = measure_oneway(curator, curator.left, 2**31, 1e-9, labelled=False, whole=True)
        return _model(oneway, _estimated(oneway, ()), ())

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec, labelled=False)

    def refit(self, model: MarginalModel) -> MarginalModel:
        """Estimate anew from the measurements of another model, at no cost."""
        return _refitted(model, _one_way(model), PULL)


@dataclass(frozen=True)
class Marginals:
    """The bounded-treewidth engine.

    Parameters
    ----------
    codes, target, errors : float
        The parts of the budget for codes jointly with the target, for groups jointly with the
        target, and for selecting pairs; the rest measures the selected pairs.
    batches : int
        Number of batches in which pairs are selected and measured.
    most_groups : int
        Maximum number of groups of codes of a column.
    most_cells : int
        Maximum number of cells of the junction tree.
    pull : float
        How strongly the estimate is pulled towards independent columns.
    """

    codes: float = 0.3
    target: float = 0.3
    errors: float = 0.1
    batches: int = 1
    most_groups: int = 40
    most_cells: int = 200_000
    pull: float = PULL

    model: ClassVar[type[MarginalModel]] = MarginalModel

    def __post_init__(self) -> None:
        parts = (self.codes, self.target, self.errors)
        if not (min(parts) >= MIN_PART and sum(parts) <= 1 - MIN_PART):
            raise ConfigError(
                "marginals: 'codes', 'target' and 'errors' are parts of the budget; expected "
                f"{MIN_PART} or more each, and {MIN_PART} or more left over"
            )
        _check_sizes("marginals", self.batches, self.most_groups, self.most_cells)
        _check_pull("marginals", self.pull)

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> MarginalModel:
        """Measure codes, then groups jointly with the target, then pairs with large errors."""
        rho, unit = curator.rho, curator.budget.rows_per_unit
        others = max(len(curator.codec.sizes) - 1, 1)
        later_scale = unit * math.sqrt(others / (2 * self.target * rho))
        max_groups = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(curator, self.codes * curator.left, max_groups, later_scale)
        measured: list[Measurement] = []
        features = [j for j in oneway.columns if j != oneway.label]
        if oneway.label is not None:
            measured += curator.measure([(j, oneway.label) for j in features], self.target * rho)
        if len(features) < 2:
            if oneway.label is None and features:
                measured += curator.measure([(features[0],)], curator.left)
            return _model(oneway, _estimated(oneway, measured, self.pull), measured)
        estimated = _estimated(oneway, measured, self.pull)
        errors = self.errors * rho / self.batches
        left_for_pairs = curator.left
        for batch in range(self.batches):
            _report(progress, batch, self.batches)
            chosen = self._chosen(curator, oneway, estimated, measured, errors, left_for_pairs)
            if chosen:
                batch_rho = (left_for_pairs - self.errors * rho) / self.batches
                last = batch == self.batches - 1
                measured += curator.measure(chosen, curator.left if last else batch_rho)
                estimated = _estimated(oneway, measured, self.pull, estimated)
        return _model(oneway, estimated, measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec)
        groups_that_fit(codec, self.most_groups)

    def refit(self, model: MarginalModel) -> MarginalModel:
        """Estimate anew from the measurements of another model, at no cost."""
        return _refitted(model, _all_measured(model), self.pull)

    def _chosen(
        self,
        curator: PrivateCurator,
        oneway: OneWay,
        estimated: Estimate,
        measured: list[Measurement],
        rho: float,
        left: float,
    ) -> list[Clique]:
        features = [j for j in oneway.columns if j != oneway.label]
        measured_cliques = {tuple(sorted(m.clique)) for m in measured}
        expected = estimated.beliefs.pairs(oneway.columns)
        pairs = [p for p in combinations(features, 2) if p not in measured_cliques]
        if not pairs:
            return []
        errors, _ = curator.errors({p: oneway.expected(p, expected[p]) for p in pairs}, rho)
        return best_set(
            oneway.sizes,
            oneway.columns,
            [m.clique for m in measured],
            dict(zip(pairs, errors.tolist(), strict=True)),
            (left - self.errors * curator.rho) / self.batches,
            curator.budget.rows_per_unit,
            self.most_cells,
            len(pairs),
        )


@dataclass(frozen=True)
class MST:
    """A maximum spanning tree of pairs, by error (McKenna, Miklau & Sheldon 2021).

    Parameters
    ----------
    most_groups : int
        Maximum number of groups of codes of a column.
    pull : float
        How strongly the estimate is pulled towards independent columns.
    """

    most_groups: int = 32
    pull: float = PULL

    model: ClassVar[type[MarginalModel]] = MarginalModel

    def __post_init__(self) -> None:
        _check_sizes("mst", 1, self.most_groups, 1)
        _check_pull("mst", self.pull)

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> MarginalModel:
        """Spend a third of the budget each on columns, on selecting pairs and on measuring them."""
        rho = curator.rho
        later_scale = curator.budget.rows_per_unit * math.sqrt(
            3 * len(curator.codec.sizes) / (2 * rho)
        )
        max_groups = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(curator, rho / 3, max_groups, later_scale, labelled=False)
        expected = _estimated(oneway, (), self.pull).beliefs.pairs(oneway.columns)
        chosen: list[Clique] = []
        for _ in range(len(oneway.columns) - 1):
            forest = spanning(oneway.columns, dict.fromkeys(chosen, 1.0))
            component = _components(oneway.columns, forest)
            open_pairs = [p for p in expected if component[p[0]] != component[p[1]]]
            estimates = {p: oneway.expected(p, expected[p]) for p in open_pairs}
            ones = np.ones(len(open_pairs))
            step = rho / 3 / (len(oneway.columns) - 1)
            chosen.append(open_pairs[curator.worst(estimates, ones, 0 * ones, step)])
            _report(progress, len(chosen), len(oneway.columns) - 1)
        measured = curator.measure(chosen, curator.left) if chosen else []
        return _model(oneway, _estimated(oneway, measured, self.pull), measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec, labelled=False)
        groups_that_fit(codec, self.most_groups)

    def refit(self, model: MarginalModel) -> MarginalModel:
        """Estimate anew from the most informative tree of another model's pairs, at no cost."""
        pairs: dict[Clique, Measurement] = {
            m.clique: m for m in _all_measured(model) if len(m.clique) == 2
        }
        weights = {clique: _information(m) for clique, m in pairs.items()}
        chosen = spanning(tuple(model.answers), weights)
        return _refitted(
            model, [*_one_way(model), *(pairs[clique] for clique in chosen)], self.pull
        )


@dataclass(frozen=True)
class AIM:
    """An adaptive, iterative mechanism: worst pair first (McKenna, Mullins, Sheldon & Miklau 2022).

    Parameters
    ----------
    most_groups : int
        Maximum number of groups of codes of a column.
    most_cells : int
        Maximum number of cells of the junction tree.
    pull : float
        How strongly the estimate is pulled towards independent columns.
    """

    most_groups: int = 32
    most_cells: int = 200_000
    pull: float = PULL

    model: ClassVar[type[MarginalModel]] = MarginalModel

    def __post_init__(self) -> None:
        _check_sizes("aim", 1, self.most_groups, self.most_cells)
        _check_pull("aim", self.pull)

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> MarginalModel:
        """Measure columns, then repeatedly the worst pair; spend more if it changes little."""
        unit = curator.budget.rows_per_unit
        d = max(len(curator.codec.sizes), 1)
        later_scale = unit * math.sqrt(16 * d / (2 * 0.9 * curator.rho))
        max_groups = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(
            curator, curator.rho * d / (16 * d), max_groups, later_scale / 4, labelled=False
        )
        measured: list[Measurement] = []
        estimated = _estimated(oneway, measured, self.pull)
        pairs = list(combinations(oneway.columns, 2))
        step = curator.rho / (16 * d)
        measured_pairs: list[Clique] = []
        while pairs and curator.left > 1e-6 * curator.rho:
            step = curator.left if curator.left < 2 * step else step
            scale = unit / math.sqrt(2 * 0.9 * step)
            share = (
                1.0
                if not measured_pairs
                else min(1.0, 1 - curator.left / curator.rho + 1 / (16 * d))
            )
            open_pairs = [
                p
                for p in pairs
                if p in measured_pairs
                or affordable(
                    oneway.sizes, oneway.columns, [*measured_pairs, p], int(share * self.most_cells)
                )
            ]
            expected = estimated.beliefs.pairs(oneway.columns)
            estimates = {p: oneway.expected(p, expected[p]) for p in open_pairs}
            sizes = np.array([estimates[p].size for p in open_pairs], dtype=float)
            penalties = math.sqrt(2 / math.pi) * scale * sizes
            weights = np.ones(len(open_pairs))
            pair = open_pairs[curator.worst(estimates, weights, penalties, 0.1 * step)]
            measured += curator.measure([pair], min(0.9 * step, curator.left))
            measured_pairs.append(pair)
            estimated = _estimated(oneway, measured, self.pull, estimated, rounds=1)
            change = np.abs(estimated.beliefs.marginal(pair) - expected[pair]).sum() * oneway.total
            if change <= math.sqrt(2 / math.pi) * scale * expected[pair].size:
                step *= 4
            _report(progress, round(1000 * (1 - curator.left / curator.rho)), 1000)
        return _model(oneway, estimated, measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec, labelled=False)
        groups_that_fit(codec, self.most_groups)

    def refit(self, model: MarginalModel) -> MarginalModel:
        """Estimate anew from the measurements of another model, at no cost."""
        return _refitted(model, _all_measured(model), self.pull)


def _all_measured(model: MarginalModel) -> list[Measurement]:
    """Return all measurements of a model, in drawable groups."""
    return [
        *(codes_to_drawable(m, model.groups) for m in model.codes),
        *(counted_to_drawable(m, model.groups) for m in model.cliques),
    ]


def _one_way(model: MarginalModel) -> list[Measurement]:
    """Reduce all measurements of a model to one-way measurements of their columns."""
    measured: list[Measurement] = []
    for m in _all_measured(model):
        noise = np.broadcast_to(np.asarray(m.scale) ** 2, m.values.shape)
        for axis, j in enumerate(m.clique):
            others = tuple(a for a in range(len(m.clique)) if a != axis)
            measured.append(
                Measurement((j,), m.values.sum(axis=others), np.sqrt(noise.sum(axis=others)))
            )
    return measured


def _information(measured: Measurement) -> float:
    """Estimate the mutual information of a pair, in nats, from noisy counts."""
    joint = np.maximum(measured.values, 0) + 0.5
    joint = joint / joint.sum()
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return float((joint * np.log(joint / independent)).sum())


def _refitted(model: MarginalModel, measured: Sequence[Measurement], pull: float) -> MarginalModel:
    sizes = tuple(groups.size for groups in model.groups)
    columns = sorted(model.answers)
    return replace(
        model, beliefs=estimate(sizes, measured, model.total, columns, pull=pull).beliefs
    )


def _estimated(
    oneway: OneWay,
    measured: Sequence[Measurement],
    pull: float = PULL,
    start: Estimate | None = None,
    rounds: int = ROUNDS,
) -> Estimate:
    drawable: list[Measurement] = [
        *oneway.grouped,
        *(counted_to_drawable(m, oneway.groups) for m in measured),
    ]
    return estimate(
        oneway.sizes, drawable, oneway.total, oneway.columns, pull=pull, start=start, rounds=rounds
    )


def _model(oneway: OneWay, estimated: Estimate, measured: Sequence[Measurement]) -> MarginalModel:
    return MarginalModel(
        oneway.total,
        oneway.label,
        oneway.groups,
        estimated.beliefs,
        oneway.measurements,
        tuple(measured),
    )


def _components(columns: tuple[int, ...], pairs: list[Clique]) -> dict[int, int]:
    """Return each column's component in a forest of pairs."""
    component = {j: j for j in columns}
    for i, j in pairs:
        old, new = component[i], component[j]
        component = {k: new if p == old else p for k, p in component.items()}
    return component


def _report(progress: Progress | None, done: int, steps: int) -> None:
    if progress is not None:
        progress("measuring marginals", done, steps)


def _check_sizes(name: str, batches: int, groups: int, cells: int) -> None:
    for what, value, minimum, maximum in (
        ("batches", batches, 1, 100),
        ("most_groups", groups, 2, 10_000),
        ("most_cells", cells, 1, MAX_CELLS),
    ):
        if not minimum <= value <= maximum:
            raise ConfigError(f"{name}: {what!r} is out of range; expected {minimum} to {maximum}")


def _check_pull(name: str, pull: float) -> None:
    if not PULLS[0] <= pull <= PULLS[1]:
        raise ConfigError(f"{name}: 'pull' is out of range; expected {PULLS[0]:g} to {PULLS[1]:g}")
