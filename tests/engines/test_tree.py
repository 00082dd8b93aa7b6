"""Trees whose leaves hold shares: toy cases by hand, and brute force beside the fast walk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.engines.cart.tree import Leaves, dyadic
from privsynth.errors import ArtefactError

Ints = npt.NDArray[np.int32]


def ints(*values: int) -> Ints:
    return np.array(values, dtype=np.int32)


def stump(shares: list[list[float]]) -> Leaves:
    """Split column 0 of four codes in two: ranks 0 and 1 left, 2 and 3 right."""
    return Leaves(
        columns=ints(0),
        widths=ints(4),
        rank=ints(3, 0, 1, 2),
        feature=ints(0, -1, -1),
        threshold=ints(1, 0, 0),
        left=ints(1, 0, 1),
        right=ints(2, 0, 0),
        shares=np.array(shares, dtype=np.float16),
    )


def grown(seed: int, leaves: int, sizes: list[int]) -> Leaves:
    """Grow a random tree over columns of these sizes."""
    rng = np.random.default_rng(seed)
    feature, threshold, left, right, open_ = [-1], [0], [0], [0], [0]
    while len(open_) < leaves:
        node = open_.pop(int(rng.integers(len(open_))))
        feature[node] = int(rng.integers(len(sizes)))
        threshold[node] = int(rng.integers(sizes[feature[node]]))
        left[node], right[node] = len(feature), len(feature) + 1
        for part, value in ((feature, -1), (threshold, 0), (left, 0), (right, 0)):
            part += [value, value]
        open_ += [left[node], right[node]]
    number = np.cumsum(np.array(feature) < 0) - 1
    return Leaves(
        columns=np.arange(len(sizes), dtype=np.int32),
        widths=np.array(sizes, dtype=np.int32),
        rank=np.concatenate([rng.permutation(size) for size in sizes]).astype(np.int32),
        feature=np.array(feature, dtype=np.int32),
        threshold=np.array(threshold, dtype=np.int32),
        left=np.where(np.array(feature) < 0, number, left).astype(np.int32),
        right=np.array(right, dtype=np.int32),
        shares=rng.dirichlet(np.ones(3), size=leaves).astype(np.float16),
    )


def walked(tree: Leaves, row: npt.NDArray[np.int32]) -> int:
    node, first = 0, np.cumsum(tree.widths) - tree.widths
    while tree.feature[node] >= 0:
        at = tree.feature[node]
        rank = tree.rank[first[at] + row[tree.columns[at]]]
        node = tree.left[node] if rank <= tree.threshold[node] else tree.right[node]
    return int(tree.left[node])


def test_a_row_goes_where_the_rank_of_its_code_says() -> None:
    codes = np.asfortranarray(np.array([[0, 0], [1, 0], [2, 0], [3, 0]], dtype=np.int32))
    assert stump([[1, 0], [0, 1]]).leaf_of(codes).tolist() == [1, 0, 0, 1]
    assert stump([[1, 0], [0, 1]]).leaf_of(codes, slice(1, 3)).tolist() == [0, 0]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 60))
def test_all_rows_walk_at_once_as_each_would_alone(seed: int, leaves: int) -> None:
    sizes = [2, 7, 30]
    tree = grown(seed, leaves, sizes)
    rng = np.random.default_rng(seed)
    codes = np.asfortranarray(rng.integers(0, sizes, (50, 3)).astype(np.int32))
    assert tree.leaf_of(codes).tolist() == [walked(tree, row) for row in codes]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 30))
def test_a_pruned_tree_leaves_no_leaf_with_few_rows_and_parts_rows_no_finer(
    seed: int, leaves: int, least: int
) -> None:
    sizes = [2, 7, 30]
    tree = grown(seed, leaves, sizes)
    rng = np.random.default_rng(seed)
    codes = np.asfortranarray(rng.integers(0, sizes, (200, 3)).astype(np.int32))
    before = tree.leaf_of(codes)
    pruned = tree.pruned(np.bincount(before, minlength=leaves), least)
    after = pruned.leaf_of(codes)
    assert np.bincount(after, minlength=len(pruned.shares)).min() >= min(least, 200)
    pairs = np.unique(np.stack([before, after]), axis=1)
    assert len(pairs[0]) == len(np.unique(before))


def test_a_split_without_rows_on_one_side_makes_way_for_the_other_side() -> None:
    tree = Leaves(
        columns=ints(0, 1),
        widths=ints(2, 2),
        rank=ints(0, 1, 0, 1),
        feature=ints(0, -1, 1, -1, -1),
        threshold=ints(0, 0, 0, 0, 0),
        left=ints(1, 0, 3, 1, 2),
        right=ints(2, 0, 4, 0, 0),
        shares=np.zeros((3, 1), dtype=np.float16),
    )
    pruned = tree.pruned(np.array([0, 20, 30]), 10)
    codes = np.asfortranarray(np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=np.int32))
    assert len(pruned.shares) == 2
    assert pruned.leaf_of(codes).tolist() == [0, 0, 1, 1]


def test_drawn_codes_have_the_shares_of_their_leaf_to_within_one_row() -> None:
    tree = stump([[0.25, 0.75], [0.5, 0.5]])
    leaf = np.repeat([0, 1], 400).astype(np.int32)
    for seed in range(20):
        drawn = tree.draw(leaf, np.random.default_rng(seed))
        assert abs(int(drawn[:400].sum()) - 300) <= 1
        assert abs(int(drawn[400:].sum()) - 200) <= 1


def test_a_code_without_a_share_is_never_drawn() -> None:
    tree = stump([[0.0, 0.3, 0.0, 0.7, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]])
    leaf = np.repeat([0, 1], [333, 77]).astype(np.int32)
    for seed in range(50):
        drawn = tree.draw(leaf, np.random.default_rng(seed))
        assert set(drawn[:333]) <= {1, 3}
        assert set(drawn[333:]) == {4}


def test_a_single_row_is_drawn_from_its_leaf() -> None:
    tree = stump([[0.25, 0.75], [0.5, 0.5]])
    rng = np.random.default_rng(0)
    drawn = [int(tree.draw(np.zeros(1, dtype=np.int32), rng)[0]) for _ in range(4000)]
    # Three standard deviations of 4,000 draws: one seed in 370 would fail.
    assert np.mean(drawn) == pytest.approx(0.75, abs=3 * np.sqrt(0.75 * 0.25 / 4000))


def test_a_tree_that_points_outside_itself_is_refused() -> None:
    state = stump([[0.25, 0.75], [0.5, 0.5]]).state("t")
    assert Leaves.from_state("t", state, (4, 2), 1).state("t").keys() == state.keys()
    for name, value in (
        ("feature", ints(1, -1, -1)),
        ("left", ints(0, 0, 1)),
        ("left", ints(1, 0, 2)),
        ("right", ints(3, 0, 0)),
        ("columns", ints(2)),
        ("widths", ints(3)),
        ("shares", np.zeros((2, 2), dtype=np.float16)),
        ("shares", np.zeros((2, 3), dtype=np.float16)),
    ):
        with pytest.raises(ArtefactError):
            Leaves.from_state("t", state | {f"t.{name}": value}, (4, 2), 1)


def test_shrinkage_counts_as_rows_at_each_halving() -> None:
    # Halves hold 8 and 2; the background says half and half, and counts for 10 rows:
    # (8 + 5) / (10 + 10). Inside the left half 8 and 0: (8 + 5) / (8 + 10); right, 1 and 1.
    shares = dyadic(np.array([[8.0, 0.0, 1.0, 1.0]]), np.full((1, 4), 0.25), 10.0)
    left = 13 / 20
    assert shares[0] == pytest.approx([left * 13 / 18, left * 5 / 18, 0.175, 0.175])


def test_without_shrinkage_shares_are_the_leaf_s_own() -> None:
    shares = dyadic(np.array([[3.0, 0.0, 1.0]]), np.full((1, 3), 1 / 3), 0.0)
    assert shares[0] == pytest.approx([0.75, 0.0, 0.25])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=40),
    st.floats(0, 100),
    st.randoms(use_true_random=False),
)
def test_shares_sum_to_one_and_lie_between_leaf_and_background(
    counts: list[int], shrinkage: float, chance: object
) -> None:
    background = np.random.default_rng(chance.randint(0, 2**31)).dirichlet(np.ones(len(counts)))
    own = np.array([counts], dtype=float)
    shares = dyadic(own, background[None], shrinkage)
    assert shares.sum() == pytest.approx(1.0)
    assert (shares >= 0).all()
    if own.sum() == 0:
        assert shares[0] == pytest.approx(background)
