"""Inference on junction trees, beside brute force over the full joint distribution."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import chi2

from privsynth.engines.marginal.calibration import Beliefs, along, calibrate, onto
from privsynth.engines.marginal.drawing import draw
from privsynth.engines.marginal.estimation import estimate
from privsynth.engines.marginal.junction import Junction, footprint, junction
from privsynth.errors import ArtefactError, SamplingError

Floats = npt.NDArray[np.float64]

SIZES = (3, 2, 4, 1, 3)
ALL = tuple(range(len(SIZES)))
GRAPHS = [
    [],
    [(0, 1), (2, 4)],
    [(0, 1), (1, 2), (2, 4), (4, 3)],
    [(0, 1), (1, 2), (2, 4), (0, 4)],
    [(4, 0), (4, 1), (4, 2), (4, 3)],
    [(2, 0, 1), (1, 4), (3,)],
    [ALL],
]


@dataclass(frozen=True, eq=False)
class Counts:
    clique: tuple[int, ...]
    values: npt.NDArray[np.int64]
    scale: float


def made(graph: list[tuple[int, ...]], seed: int, zeros: bool = False) -> tuple[Beliefs, Floats]:
    """A distribution over a tree, and the same over all cells."""
    rng = np.random.default_rng(seed)
    tree = junction(SIZES, graph)
    logs = [4 * rng.normal(size=tree.shape(clique)) for clique in tree.cliques]
    if zeros:
        logs = [np.where(rng.random(log.shape) < 0.15, -np.inf, log) for log in logs]
    joint = np.exp(sum(along(x, c, ALL) for x, c in zip(logs, tree.cliques, strict=True)))
    tables, log_total = calibrate(tree, [log.copy() for log in logs])
    assert log_total == pytest.approx(math.log(joint.sum()))
    return Beliefs(tree, tuple(tables)), np.broadcast_to(joint / joint.sum(), SIZES)


def noisy(joint: Floats, cliques: list[tuple[int, ...]], n: float, scale: float) -> list[Counts]:
    rng = np.random.default_rng(5)
    exact = [n * onto(joint, ALL, clique) for clique in cliques]
    return [
        Counts(c, np.rint(x + scale * rng.normal(size=x.shape)).astype(np.int64), scale)
        for c, x in zip(cliques, exact, strict=True)
    ]


def subtree(tree: Junction, j: int) -> bool:
    """Whether the cliques that hold a column hang together: only one of them has no such parent."""
    heads = [
        i
        for i, (clique, parent) in enumerate(zip(tree.cliques, tree.parents, strict=True))
        if j in clique and (parent < 0 or j not in tree.cliques[parent])
    ]
    return len(heads) == 1


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_tree_holds_every_clique_and_each_columns_cliques_hang_together(data: Any) -> None:
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    column = st.integers(0, len(sizes) - 1)
    some = st.lists(column, min_size=1, max_size=4, unique=True).map(tuple)
    cliques = data.draw(st.lists(some, max_size=15))
    tree = junction(sizes, cliques)
    tree.check()
    assert all(subtree(tree, j) for j in range(len(sizes)))
    for clique in cliques:
        assert set(clique) <= set(tree.cliques[tree.home(clique)])
    for one, other in combinations(tree.cliques, 2):
        assert not set(one) <= set(other)
        assert not set(other) <= set(one)
    total, largest = footprint(sizes, cliques)
    assert tree.cells <= total
    assert largest <= total


def test_a_tree_of_a_ring_has_one_chord() -> None:
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert footprint((2, 9, 2, 9), ring) == (72, 36)
    assert {frozenset(c) for c in junction((2, 9, 2, 9), ring).cliques} == {
        frozenset({0, 1, 2}),
        frozenset({0, 2, 3}),
    }


def test_a_tree_holds_only_the_columns_that_are_asked_for() -> None:
    tree = junction((2, 3, 4), [(0, 2)], columns=(0, 2))
    assert {j for clique in tree.cliques for j in clique} == {0, 2}
    assert footprint((2, 3, 4), [(0, 2)], columns=(0, 2)) == (8, 8)
    with pytest.raises(KeyError):
        tree.home((1,))


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("graph", GRAPHS)
def test_marginals_of_cliques_and_of_all_pairs_are_those_of_the_joint(
    graph: list[tuple[int, ...]], zeros: bool
) -> None:
    beliefs, joint = made(graph, 1, zeros)
    for table, clique in zip(beliefs.tables, beliefs.tree.cliques, strict=True):
        np.testing.assert_allclose(table, onto(joint, ALL, clique), atol=1e-12)
    pairs = beliefs.pairs(ALL)
    assert set(pairs) == set(combinations(ALL, 2))
    for pair, table in pairs.items():
        np.testing.assert_allclose(table, onto(joint, ALL, pair), atol=1e-12)
    assert set(beliefs.pairs((0, 2, 4))) == {(0, 2), (0, 4), (2, 4)}
    for clique in graph:
        np.testing.assert_allclose(beliefs.marginal(clique), onto(joint, ALL, clique), atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_pairs_across_random_trees_are_those_of_the_joint(seed: int) -> None:
    rng = np.random.default_rng(seed)
    some = [tuple(rng.choice(5, rng.integers(1, 4), replace=False).tolist()) for _ in range(4)]
    beliefs, joint = made(some, seed)
    for pair, table in beliefs.pairs(ALL).items():
        np.testing.assert_allclose(table, onto(joint, ALL, pair), atol=1e-12)


def test_factors_that_no_double_can_hold_are_calibrated_all_the_same() -> None:
    tree = junction((2, 2, 2), [(0, 1), (1, 2)])
    far = {(0, 1): np.array([[0.0, -2000.0], [-4000.0, 0.0]]), (1, 2): np.full((2, 2), 3000.0)}
    logs = [along(far[min(c), max(c)], (min(c), max(c)), c) * np.ones((2, 2)) for c in tree.cliques]
    tables, log_total = calibrate(tree, logs)
    assert log_total == pytest.approx(3000 + math.log(4))
    np.testing.assert_allclose(Beliefs(tree, tuple(tables)).marginal((0, 1)), np.eye(2) / 2)


@pytest.mark.parametrize("graph", GRAPHS)
def test_conditions_hold_exactly(graph: list[tuple[int, ...]]) -> None:
    beliefs, joint = made(graph, 2)
    likely = np.array([0.2, 0.0, 1.0])
    found = beliefs.given((0,), likely).given((2,), np.eye(4)[1])
    wanted = joint * likely[:, None, None, None, None] * np.eye(4)[1][:, None, None]
    wanted = wanted / wanted.sum()
    for pair, table in found.pairs(ALL).items():
        np.testing.assert_allclose(table, onto(wanted, ALL, pair), atol=1e-12)
    codes = draw(found, 500, np.random.default_rng(0))
    assert (codes[:, 2] == 1).all()
    assert (codes[:, 0] != 1).all()


def test_conditions_that_nothing_meets_are_refused() -> None:
    beliefs, _ = made([(0, 1)], 3)
    table = beliefs.marginal((0, 1))
    hole = np.ones_like(table)
    hole[1, 0] = 0
    holed = beliefs.given((0, 1), hole).given((0,), np.eye(3)[1])
    with pytest.raises(SamplingError, match="no row that meets the conditions"):
        holed.given((1,), np.eye(2)[0])


def test_the_estimate_is_the_optimum_over_the_full_joint() -> None:
    _, joint = made([(0, 1), (1, 2), (2, 4), (0, 4)], 4)
    n, pull = 2000, 0.05
    cliques = [(0, 1), (2, 1), (2, 4), (0, 4), (4,), (0, 1)]
    told = noisy(joint, cliques, n, 15.0)
    found = estimate(SIZES, told, n, pull=pull, rounds=1)
    # the same sum of misfit and relative entropy, over all cells
    alone = estimate(SIZES, told, n, pull=1e9, rounds=1).beliefs
    base = np.ones(())
    for j in ALL:
        base = base * along(alone.marginal((j,)), (j,), ALL)

    def loss(p: Floats) -> tuple[float, Floats]:
        value = pull * n * float((p * np.log(p / base)).sum())
        slope = pull * n * (np.log(p / base) + 1)
        for m in told:
            residual = (n * onto(p, ALL, m.clique) - m.values) / m.scale
            value += float((residual**2).sum()) / 2
            slope = slope + along(residual * n / m.scale, m.clique, ALL)
        return value, slope

    def primal(x: Floats) -> tuple[float, Floats]:
        p = np.exp(x - x.max()).reshape(SIZES)
        p /= p.sum()
        value, slope = loss(p)
        return value, (p * (slope - (p * slope).sum())).ravel()

    best = minimize(
        primal,
        np.log(base).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 1500, "maxcor": 50, "ftol": 1e-13, "gtol": 1e-7},
    )
    full = np.ones(())
    for chances, clique in zip(found.beliefs.conditionals, found.beliefs.tree.cliques, strict=True):
        full = full * along(chances, clique, ALL)
    assert loss(full)[0] == pytest.approx(best.fun, rel=3e-4)


def test_counts_without_noise_that_agree_are_reproduced() -> None:
    _, joint = made([(0, 1), (1, 2), (2, 4)], 6)
    rows = np.rint(20_000 * joint)
    n = float(rows.sum())
    told = noisy(rows / n, [(0, 1), (1, 2), (2, 4), (4,)], n, 0.0)
    found = estimate(SIZES, told, n)
    for m in told:
        np.testing.assert_allclose(n * found.beliefs.marginal(m.clique), m.values, atol=1)


def test_a_lower_pull_fits_the_counts_more_closely() -> None:
    _, joint = made([ALL], 7)
    told = noisy(joint, list(combinations(ALL, 2)), 1000, 20.0)
    misfits = [estimate(SIZES, told, 1000, pull=pull).misfit for pull in (10, 1, 0.1, 0.01)]
    assert misfits == sorted(misfits, reverse=True)


def test_each_round_fits_the_counts_more_closely() -> None:
    _, joint = made([ALL], 7)
    told = noisy(joint, list(combinations(ALL, 2)), 1000, 20.0)
    misfits = [estimate(SIZES, told, 1000, rounds=rounds).misfit for rounds in (1, 2, 4)]
    assert misfits == sorted(misfits, reverse=True)


def test_an_estimate_that_starts_from_an_earlier_one_ends_where_one_from_scratch_does() -> None:
    _, joint = made([ALL], 8)
    told = noisy(joint, list(combinations(ALL, 2)), 1000, 20.0)
    earlier = estimate(SIZES, told[:-3], 1000)
    warm, cold = (estimate(SIZES, told, 1000, start=start) for start in (earlier, None))
    for m in told:
        np.testing.assert_allclose(
            warm.beliefs.marginal(m.clique), cold.beliefs.marginal(m.clique), atol=2e-3
        )


def test_columns_of_which_nothing_is_known_are_uniform() -> None:
    beliefs = estimate(SIZES, [], 100).beliefs
    np.testing.assert_allclose(beliefs.marginal((2,)), np.full(4, 0.25))


@pytest.mark.parametrize("graph", GRAPHS)
def test_rows_have_the_chances_of_the_joint(graph: list[tuple[int, ...]]) -> None:
    beliefs, joint = made(graph, 9)
    rng, n, times = np.random.default_rng(0), 3, 2000
    seen = np.zeros(SIZES)
    first = np.zeros(SIZES)
    for _ in range(times):
        codes = draw(beliefs, n, rng)
        np.add.at(seen, tuple(codes.T), 1)
        np.add.at(first, tuple(codes[:1].T), 1)
    # one row of each draw: independent draws, so that the test of chi-square holds
    expected = times * joint
    large = expected > 5
    statistic = float(((first - expected)[large] ** 2 / expected[large]).sum())
    assert statistic < chi2.ppf(0.9999, max(int(large.sum()) - 1, 1) + 1)
    # all rows: shared out, so that the cells vary less than by independent draws
    np.testing.assert_array_less(
        np.abs(seen - n * expected), 6 * np.sqrt(n * expected * (1 - joint)) + 6
    )


def test_rows_of_a_cell_are_within_one_of_their_expected_number() -> None:
    beliefs, joint = made([ALL], 10)
    codes = draw(beliefs, 1000, np.random.default_rng(0))
    seen = np.zeros(SIZES)
    np.add.at(seen, tuple(codes.T), 1)
    assert np.abs(seen - 1000 * joint).max() < 1


def test_rows_are_in_no_order_and_columns_that_share_a_separator_alone_are_independent() -> None:
    sizes = (2, 50, 50)
    tree = junction(sizes, [(0, 1), (0, 2)])
    tables, _ = calibrate(tree, [np.zeros(tree.shape(clique)) for clique in tree.cliques])
    codes = draw(Beliefs(tree, tuple(tables)), 40_000, np.random.default_rng(1))
    where = np.arange(len(codes))
    for a, b in ((codes[:, 1], codes[:, 2]), (where, codes[:, 1]), (where, codes[:, 2])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(len(codes))


def test_draws_depend_on_the_seed_alone() -> None:
    beliefs, _ = made(GRAPHS[3], 11)
    one, same, other = (draw(beliefs, 50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert draw(beliefs, 0, np.random.default_rng(0)).shape == (0, 5)


def test_a_cell_without_chance_is_never_drawn() -> None:
    beliefs, joint = made(GRAPHS[3], 12, zeros=True)
    codes = draw(beliefs, 20_000, np.random.default_rng(0))
    assert (joint[tuple(codes.T)] > 0).all()


def test_a_state_that_is_read_gives_the_same_rows() -> None:
    beliefs, _ = made(GRAPHS[3], 13)
    meta, arrays = beliefs.state()
    again = Beliefs.from_state(json.loads(json.dumps(meta)), arrays)
    one, same = (draw(b, 100, np.random.default_rng(0)) for b in (beliefs, again))
    np.testing.assert_array_equal(one, same)


def broken() -> list[tuple[str, Any]]:
    def drop(meta: Any, arrays: Any) -> None:
        del meta["parents"]

    def circle(meta: Any, arrays: Any) -> None:
        meta["parents"][1] = 1

    def column(meta: Any, arrays: Any) -> None:
        meta["cliques"][0][0] = 99

    def apart(meta: Any, arrays: Any) -> None:
        meta["cliques"], meta["parents"] = [[0, 1], [2, 4], [0, 3]], [-1, 0, 1]

    def short(meta: Any, arrays: Any) -> None:
        arrays["tables"] = arrays["tables"][:-1]

    def negative(meta: Any, arrays: Any) -> None:
        arrays["tables"] = -arrays["tables"]

    def nan(meta: Any, arrays: Any) -> None:
        arrays["tables"][0] = np.nan

    def apart_tables(meta: Any, arrays: Any) -> None:
        arrays["tables"][-1] += 0.5

    steps = (drop, circle, column, apart, short, negative, nan, apart_tables)
    return [(step.__name__, step) for step in steps]


@pytest.mark.parametrize(("name", "spoil"), broken())
def test_a_damaged_state_is_refused(name: str, spoil: Any) -> None:
    meta, arrays = made(GRAPHS[2], 14)[0].state()
    meta, arrays = json.loads(json.dumps(meta)), {k: v.copy() for k, v in arrays.items()}
    spoil(meta, arrays)
    with pytest.raises(ArtefactError):
        Beliefs.from_state(meta, arrays)


def test_every_assignment_of_a_small_tree_has_the_product_of_its_conditionals() -> None:
    beliefs, joint = made(GRAPHS[5], 15)
    tree = beliefs.tree
    for cell in product(*(range(size) for size in SIZES)):
        chance = math.prod(
            float(table[tuple(cell[j] for j in clique)])
            for table, clique in zip(beliefs.conditionals, tree.cliques, strict=True)
        )
        assert chance == pytest.approx(joint[cell])
