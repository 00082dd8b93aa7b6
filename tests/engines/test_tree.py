"""Trees whose leaves hold shares: toy cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privsynth.engines.tree import Leaves, dyadic


def stump(shares: list[list[float]]) -> Leaves:
    """Split one column of four codes in two: ranks 0 and 1 left, 2 and 3 right."""
    ints = np.int32
    return Leaves(
        feature=np.array([0, -1, -1], dtype=ints),
        threshold=np.array([1, 0, 0], dtype=ints),
        left=np.array([1, 0, 1], dtype=ints),
        right=np.array([2, 0, 0], dtype=ints),
        rank=np.array([3, 0, 1, 2, 0, 1], dtype=ints),
        shares=np.array(shares, dtype=np.float16),
    )


def test_a_row_goes_where_the_rank_of_its_code_says() -> None:
    codes = np.array([[0, 0], [1, 0], [2, 0], [3, 0]], dtype=np.int32)
    leaf = stump([[1, 0], [0, 1]]).leaf_of(codes, np.array([0, 4, 6], dtype=np.int32))
    assert leaf.tolist() == [1, 0, 0, 1]


def test_drawn_codes_have_the_shares_of_their_leaf_to_within_one_row() -> None:
    tree = stump([[0.25, 0.75], [0.5, 0.5]])
    leaf = np.repeat([0, 1], 400).astype(np.int32)
    for seed in range(20):
        drawn = tree.draw(leaf, np.random.default_rng(seed))
        assert abs(int(drawn[:400].sum()) - 300) <= 1
        assert abs(int(drawn[400:].sum()) - 200) <= 1


def test_a_single_row_is_drawn_from_its_leaf() -> None:
    tree = stump([[0.25, 0.75], [0.5, 0.5]])
    rng = np.random.default_rng(0)
    drawn = [int(tree.draw(np.zeros(1, dtype=np.int32), rng)[0]) for _ in range(4000)]
    # Three standard deviations of 4,000 draws: one seed in 370 would fail.
    assert np.mean(drawn) == pytest.approx(0.75, abs=3 * np.sqrt(0.75 * 0.25 / 4000))


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
