"""Engines that select marginals, measure them with noise, and estimate a distribution.

Under a privacy budget the one way from rows to a model are noisy counts of cliques (McKenna,
Miklau & Sheldon 2021). `Marginals` measures every column beside the target, scores all pairs at
once and measures the best set that a junction tree can hold; `MST`, `AIM` and `Independent` are
the field's own, in the same house.
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
    among_drawn,
    check_cells,
    groups_that_fit,
    in_groups,
    measure_oneway,
)
from privsynth.engines.marginal.selection import affordable, best_set, spanning
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError

__all__ = ["AIM", "MST", "Independent", "Marginals"]

MIN_PART = 1e-3
"""The least part of the budget that a step may be given."""
PULLS = 1e-6, 1e6


@dataclass(frozen=True)
class Independent:
    """Independent columns: the baseline."""

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

    def refit(self, known: MarginalModel) -> MarginalModel:
        """Learn from what was measured for another model, at no cost."""
        return _refitted(known, _alone(known), PULL)


@dataclass(frozen=True)
class Marginals:
    """The bounded-treewidth engine.

    Parameters
    ----------
    codes, target, errors : float
        The parts of the budget for codes beside the target, for groups beside the target, and
        for the choice of pairs; the rest measures what is chosen.
    batches : int
        In how many batches pairs are chosen and measured.
    most_groups : int
        How many groups of codes a column may have.
    most_cells : int
        How many cells the junction tree may have.
    pull : float
        How much the estimate is drawn toward columns without bonds.
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
                "marginals: 'codes', 'target' and 'errors' are parts of the budget; give numbers "
                f"of {MIN_PART} or more that leave a rest of as much"
            )
        _check_sizes("marginals", self.batches, self.most_groups, self.most_cells)
        _check_pull("marginals", self.pull)

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> MarginalModel:
        """Measure codes, then columns beside the target, then the pairs that are worth it."""
        rho, unit = curator.rho, curator.budget.rows_per_unit
        others = max(len(curator.codec.sizes) - 1, 1)
        later = unit * math.sqrt(others / (2 * self.target * rho))
        most = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(curator, self.codes * curator.left, most, later)
        measured: list[Measurement] = []
        features = [j for j in oneway.columns if j != oneway.label]
        if oneway.label is not None:
            measured += curator.measure([(j, oneway.label) for j in features], self.target * rho)
        if len(features) < 2:
            if oneway.label is None and features:
                measured += curator.measure([(features[0],)], curator.left)
            return _model(oneway, _estimated(oneway, measured, self.pull), measured)
        known = _estimated(oneway, measured, self.pull)
        errors = self.errors * rho / self.batches
        left = curator.left
        for batch in range(self.batches):
            _tell(progress, batch, self.batches)
            chosen = self._chosen(curator, oneway, known, measured, errors, left)
            if chosen:
                spend = (left - self.errors * rho) / self.batches
                last = batch == self.batches - 1
                measured += curator.measure(chosen, curator.left if last else spend)
                known = _estimated(oneway, measured, self.pull, known)
        return _model(oneway, known, measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec)
        groups_that_fit(codec, self.most_groups)

    def refit(self, known: MarginalModel) -> MarginalModel:
        """Learn from what was measured for another model, at no cost."""
        return _refitted(known, _everything(known), self.pull)

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
        known = {tuple(sorted(m.clique)) for m in measured}
        expected = estimated.beliefs.pairs(oneway.columns)
        pairs = [p for p in combinations(features, 2) if p not in known]
        if not pairs:
            return []
        wrong, _ = curator.errors({p: oneway.expected(p, expected[p]) for p in pairs}, rho)
        return best_set(
            oneway.sizes,
            oneway.columns,
            [m.clique for m in measured],
            dict(zip(pairs, wrong.tolist(), strict=True)),
            (left - self.errors * curator.rho) / self.batches,
            curator.budget.rows_per_unit,
            self.most_cells,
            len(pairs),
        )


@dataclass(frozen=True)
class MST:
    """A maximum spanning tree of pairs (McKenna, Miklau & Sheldon 2021).

    Parameters
    ----------
    most_groups : int
        How many groups of codes a column may have.
    pull : float
        How much the estimate is drawn toward columns without bonds.
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
        """Spend a third of the budget each on columns, on selecting pairs, and on pairs."""
        rho = curator.rho
        later = curator.budget.rows_per_unit * math.sqrt(3 * len(curator.codec.sizes) / (2 * rho))
        most = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(curator, rho / 3, most, later, labelled=False)
        expected = _estimated(oneway, (), self.pull).beliefs.pairs(oneway.columns)
        chosen: list[Clique] = []
        for _ in range(len(oneway.columns) - 1):
            joined = spanning(oneway.columns, dict.fromkeys(chosen, 1.0))
            part = _parts(oneway.columns, joined)
            open_pairs = [p for p in expected if part[p[0]] != part[p[1]]]
            estimates = {p: oneway.expected(p, expected[p]) for p in open_pairs}
            ones = np.ones(len(open_pairs))
            step = rho / 3 / (len(oneway.columns) - 1)
            chosen.append(open_pairs[curator.worst(estimates, ones, 0 * ones, step)])
            _tell(progress, len(chosen), len(oneway.columns) - 1)
        measured = curator.measure(chosen, curator.left) if chosen else []
        return _model(oneway, _estimated(oneway, measured, self.pull), measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec, labelled=False)
        groups_that_fit(codec, self.most_groups)

    def refit(self, known: MarginalModel) -> MarginalModel:
        """Learn from what was measured for another model, at no cost: its most telling tree."""
        pairs: dict[Clique, Measurement] = {
            m.clique: m for m in _everything(known) if len(m.clique) == 2
        }
        weights = {clique: _information(m) for clique, m in pairs.items()}
        chosen = spanning(tuple(known.answers), weights)
        return _refitted(known, [*_alone(known), *(pairs[clique] for clique in chosen)], self.pull)


@dataclass(frozen=True)
class AIM:
    """Adaptive and iterative: the worst pair first (McKenna, Mullins, Sheldon & Miklau 2022).

    Parameters
    ----------
    most_groups : int
        How many groups of codes a column may have.
    most_cells : int
        How many cells the junction tree may have.
    pull : float
        How much the estimate is drawn toward columns without bonds.
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
        """Measure columns, then the worst pair, again and again, with less noise where it pays."""
        unit = curator.budget.rows_per_unit
        d = max(len(curator.codec.sizes), 1)
        later = unit * math.sqrt(16 * d / (2 * 0.9 * curator.rho))
        most = groups_that_fit(curator.codec, self.most_groups)
        oneway = measure_oneway(
            curator, curator.rho * d / (16 * d), most, later / 4, labelled=False
        )
        measured: list[Measurement] = []
        estimated = _estimated(oneway, measured, self.pull)
        pairs = list(combinations(oneway.columns, 2))
        step = curator.rho / (16 * d)
        known: list[Clique] = []
        while pairs and curator.left > 1e-6 * curator.rho:
            step = curator.left if curator.left < 2 * step else step
            scale = unit / math.sqrt(2 * 0.9 * step)
            share = 1.0 if not known else min(1.0, 1 - curator.left / curator.rho + 1 / (16 * d))
            open_pairs = [
                p
                for p in pairs
                if p in known
                or affordable(
                    oneway.sizes, oneway.columns, [*known, p], int(share * self.most_cells)
                )
            ]
            expected = estimated.beliefs.pairs(oneway.columns)
            estimates = {p: oneway.expected(p, expected[p]) for p in open_pairs}
            sizes = np.array([estimates[p].size for p in open_pairs], dtype=float)
            penalties = math.sqrt(2 / math.pi) * scale * sizes
            weights = np.ones(len(open_pairs))
            pair = open_pairs[curator.worst(estimates, weights, penalties, 0.1 * step)]
            measured += curator.measure([pair], min(0.9 * step, curator.left))
            known.append(pair)
            estimated = _estimated(oneway, measured, self.pull, estimated, rounds=1)
            change = np.abs(estimated.beliefs.marginal(pair) - expected[pair]).sum() * oneway.total
            if change <= math.sqrt(2 / math.pi) * scale * expected[pair].size:
                step *= 4
            _tell(progress, round(1000 * (1 - curator.left / curator.rho)), 1000)
        return _model(oneway, estimated, measured)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_cells(codec, labelled=False)
        groups_that_fit(codec, self.most_groups)

    def refit(self, known: MarginalModel) -> MarginalModel:
        """Learn from what was measured for another model, at no cost."""
        return _refitted(known, _everything(known), self.pull)


def _everything(known: MarginalModel) -> list[Measurement]:
    """Return all measurements of a model, in groups."""
    return [
        *(in_groups(m, known.groups) for m in known.codes),
        *(among_drawn(m, known.groups) for m in known.cliques),
    ]


def _alone(known: MarginalModel) -> list[Measurement]:
    """Return the one-way measurements of each column."""
    measured: list[Measurement] = []
    for m in _everything(known):
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
    apart = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    return float((joint * np.log(joint / apart)).sum())


def _refitted(known: MarginalModel, measured: Sequence[Measurement], pull: float) -> MarginalModel:
    sizes = tuple(own.size for own in known.groups)
    columns = sorted(known.answers)
    return replace(
        known, beliefs=estimate(sizes, measured, known.total, columns, pull=pull).beliefs
    )


def _estimated(
    oneway: OneWay,
    measured: Sequence[Measurement],
    pull: float = PULL,
    start: Estimate | None = None,
    rounds: int = ROUNDS,
) -> Estimate:
    every: list[Measurement] = [
        *oneway.gathered,
        *(among_drawn(m, oneway.groups) for m in measured),
    ]
    return estimate(
        oneway.sizes, every, oneway.total, oneway.columns, pull=pull, start=start, rounds=rounds
    )


def _model(oneway: OneWay, known: Estimate, measured: Sequence[Measurement]) -> MarginalModel:
    return MarginalModel(
        oneway.total,
        oneway.label,
        oneway.groups,
        known.beliefs,
        oneway.measurements,
        tuple(measured),
    )


def _parts(columns: tuple[int, ...], joined: list[Clique]) -> dict[int, int]:
    """Return, for each column, its component of the forest."""
    part = {j: j for j in columns}
    for i, j in joined:
        old, new = part[i], part[j]
        part = {k: new if p == old else p for k, p in part.items()}
    return part


def _tell(progress: Progress | None, done: int, steps: int) -> None:
    if progress is not None:
        progress("measuring marginals", done, steps)


def _check_sizes(name: str, batches: int, groups: int, cells: int) -> None:
    for what, value, least, most in (
        ("batches", batches, 1, 100),
        ("most_groups", groups, 2, 10_000),
        ("most_cells", cells, 1, MAX_CELLS),
    ):
        if not least <= value <= most:
            raise ConfigError(f"{name}: {what!r} is out of range; expected {least} to {most}")


def _check_pull(name: str, pull: float) -> None:
    if not PULLS[0] <= pull <= PULLS[1]:
        raise ConfigError(f"{name}: 'pull' is out of range; expected {PULLS[0]:g} to {PULLS[1]:g}")
