"""The native Gaussian copula: sums alone, exact shares, exact conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, multivariate_normal
from toys import K10, Rows, levels, mixed, whole, zero_inflated

import privsynth
from privsynth.coding.codec import Codec
from privsynth.coding.learning import learn
from privsynth.curator.exact import Curator
from privsynth.engines.copula.conditioning import Conditioning
from privsynth.engines.copula.lookup import Lookup
from privsynth.engines.copula.model import CopulaModel
from privsynth.engines.copula.scores import bounds, positive, scores_of, solve, steady, waves
from privsynth.engines.registry import recipe
from privsynth.errors import ConfigError, DataError, SamplingError
from privsynth.privacy.disclosure import Disclosure
from privsynth.privacy.ledger import Ledger
from privsynth.schema.inference import infer
from privsynth.table import read

ERROR = 1e-6
"""The chance with which a test of equal distributions fails where they are equal."""


def fitted(rows: Curator, **settings: Any) -> CopulaModel:
    model = recipe("copula", settings).fit(rows, np.random.default_rng(0))
    assert isinstance(model, CopulaModel)
    return model


def drawn(
    model: CopulaModel, n: int, seed: int = 1, where: dict[int, int] | None = None
) -> np.ndarray:
    return np.asarray(model.sample(n, np.random.default_rng(seed), where=where))


def differ(left: np.ndarray, right: np.ndarray) -> bool:
    """Whether two samples of one discrete variable are too far apart: a chi-square test."""
    size = int(max(left.max(), right.max())) + 1
    a, b = np.bincount(left, minlength=size), np.bincount(right, minlength=size)
    often = a + b >= 10
    a = np.append(a[often], a[~often].sum())
    b = np.append(b[often], b[~often].sum())
    held = a + b > 0
    far = (a * np.sqrt(b.sum() / a.sum()) - b * np.sqrt(a.sum() / b.sum()))[held] ** 2
    return bool(chi2.sf((far / (a + b)[held]).sum(), max(held.sum() - 1, 1)) < ERROR)


# -- what is asked of the curator ----------------------------------------------------------------


def test_no_row_is_asked_for() -> None:
    rows = mixed()
    fitted(rows)
    asked = [event.query for event in rows.ledger.events]
    assert asked == ["marginals", "sums", "sums", "products"]


def test_the_rows_in_batches_give_the_model_of_the_whole() -> None:
    rows = mixed(1_000)
    model = fitted(rows)
    parts = fitted(Rows(rows.codec, rows.rows, K10, batch=37))
    assert np.array_equal(model.order, parts.order)
    assert np.array_equal(model.shares, parts.shares)
    assert np.allclose(model.correlation, parts.correlation, atol=1e-6)


def test_sums_and_products_are_those_of_a_loop_over_rows() -> None:
    rows = mixed(300)
    rng = np.random.default_rng(0)
    scores = [(j, rng.normal(size=(2, rows.codec.sizes[j]))) for j in (0, 2, 5)]
    told = np.array([[values[row[6], row[j]] for j, values in scores] for row in rows.rows])
    by_colour = [told[rows.rows[:, 2] == code].sum(axis=0) for code in range(6)]
    assert np.allclose(rows.sums(scores, [0, 2])[1], by_colour, atol=1e-4)
    full = np.column_stack([np.ones(300), told])
    for c in (0, 1):
        mine = full[rows.rows[:, 6] == c]
        assert np.allclose(rows.products(scores)[c], mine.T @ mine)


def test_many_levels_are_summed_as_few_are() -> None:
    rng = np.random.default_rng(0)
    codec = Codec((levels("many", 700), whole("x", 9)))
    rows = Rows(codec, np.stack([rng.integers(0, 700, 5_000), rng.integers(0, 9, 5_000)], axis=1))
    values = rng.normal(size=(1, 9))
    expected = np.bincount(rows.rows[:, 0], values[0, rows.rows[:, 1]], minlength=700)
    assert np.allclose(rows.sums([(1, values)], [0])[0][:, 0], expected)


def test_a_table_of_moderate_size_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    table = read(pd.DataFrame({"a": rng.choice(["x", "y", "z"], 500), "b": rng.normal(size=500)}))
    codec = learn(table, infer(table), Disclosure(10))
    encoded: list[int] = []
    encode = Codec.encode

    def counting(self: Codec, rows: Any, *dtype: Any) -> Any:
        encoded.append(rows.num_rows)
        return encode(self, rows, *dtype)

    monkeypatch.setattr(Codec, "encode", counting)
    fitted(Curator(table, codec, Ledger(), Disclosure(10)))
    assert encoded == [500]


# -- what is learnt --------------------------------------------------------------------------------


def test_planted_correlations_are_found_whatever_the_codes() -> None:
    """A number, a binary column, an ordinal one, and an atom with nulls."""
    rng = np.random.default_rng(0)
    planted = positive(
        np.array(
            [[1, 0.7, 0.5, -0.6], [0.7, 1, 0.3, -0.4], [0.5, 0.3, 1, 0.2], [-0.6, -0.4, 0.2, 1]]
        )
    )
    normals = rng.multivariate_normal(np.zeros(4), planted, 20_000)
    number = np.searchsorted(np.linspace(-2, 2, 99), normals[:, 0])
    binary = normals[:, 1] > 0.8
    ordinal = np.searchsorted([-1.0, 0, 0.3, 2], normals[:, 2])
    atom = np.where(normals[:, 3] < 0.4, 0, np.searchsorted(np.linspace(0.4, 2, 28), normals[:, 3]))
    atom[rng.random(20_000) < 0.3] = 29
    codec = Codec(
        (
            whole("n", 100),
            levels("b", 2),
            levels("o", 5, ordinal=True),
            zero_inflated("a", 29, True),
        )
    )
    table = np.stack([number, binary, ordinal, atom], axis=1).astype(np.int32)
    found = fitted(Rows(codec, table)).correlation[0]
    assert np.abs(found[:4, :4] - planted).max() < 0.03
    assert np.abs(found[4, :4]).max() < 0.03


def test_nulls_that_depend_on_another_column_keep_doing_so() -> None:
    rng = np.random.default_rng(0)
    side = rng.random(20_000) < 0.5
    value = rng.integers(0, 20, 20_000)
    value[rng.random(20_000) < np.where(side, 0.6, 0.1)] = 20
    codec = Codec((levels("side", 2), whole("value", 20, nullable=True)))
    made = drawn(fitted(Rows(codec, np.stack([side, value], axis=1).astype(np.int32))), 20_000)
    for code, share in ((0, 0.1), (1, 0.6)):
        assert (made[made[:, 0] == code, 1] == 20).mean() == pytest.approx(share, abs=0.02)


def test_nominal_levels_are_ordered_so_that_pairs_agree() -> None:
    """Scrambled level codes must not cost any agreement."""
    rng = np.random.default_rng(3)
    left = np.clip(rng.normal(4, 2, 5_000).round(), 0, 7).astype(int)
    right = np.clip(left + rng.integers(-1, 2, 5_000), 0, 7)
    scramble = np.array([3, 6, 0, 5, 1, 7, 4, 2])
    codec = Codec((levels("a", 8), levels("b", 8), whole("c", 8)))
    table = np.stack([scramble[left], scramble[right], right], axis=1).astype(np.int32)
    codes = drawn(fitted(Rows(codec, table)), 5_000)

    def pairs(rows: np.ndarray, j: int) -> np.ndarray:
        return np.bincount(rows[:, 0] * 8 + rows[:, j], minlength=64) / len(rows)

    for j in (1, 2):
        assert np.abs(pairs(table, j) - pairs(codes, j)).sum() / 2 < 0.2


def test_shares_of_fewer_than_k_rows_are_never_their_own() -> None:
    """100, 4, 3, 5 of k=10: the three small codes join; 12 rows, split 1:1:2 as in the table."""
    shares = steady(np.array([100.0, 4, 3, 5]), np.array([0.6, 0.1, 0.1, 0.2]), 10)
    assert shares * 112 == pytest.approx([100, 3, 3, 6])


def test_a_rest_of_fewer_than_k_rows_takes_its_share_from_the_whole_table() -> None:
    """97 and 3 of k=10: the table says 2%, so 2 rows of 100; where it says 50%, k/2 = 5."""
    low = steady(np.array([97.0, 3]), np.array([0.98, 0.02]), 10)
    assert low == pytest.approx([97 / 99, 2 / 99])
    high = steady(np.array([97.0, 3]), np.array([0.5, 0.5]), 10)
    assert high == pytest.approx([97 / 102, 5 / 102])


def test_small_codes_join_their_neighbours_first() -> None:
    """Six codes of 5 rows, k=10: three runs of two; what is left over joins the last run."""
    table = np.array([0.1, 0.3, 0.2, 0.2, 0.1, 0.1])
    shares = steady(np.full(6, 5.0), table, 10)
    assert shares * 30 == pytest.approx([2.5, 7.5, 5, 5, 5, 5])
    seven = steady(np.full(7, 5.0), np.full(7, 1 / 7), 10)
    assert seven * 35 == pytest.approx([5] * 7)


def test_the_latent_correlation_of_two_halves_is_the_tetrachoric_one() -> None:
    """Sheppard: halves of normals with correlation 0.5 agree in 2/3 of the rows."""
    half = np.array([[5.0, 5.0]])
    moment = scores_of(half)[0, 1] ** 2 * (2 / 3 - 1 / 3)
    solved = solve(np.array([[1.0, moment], [moment, 1.0]]), waves((half, half))[:, 0])
    assert solved[0, 1] == pytest.approx(0.5, abs=0.01)


def test_many_codes_lose_nothing_of_the_correlation() -> None:
    counts = np.ones((1, 500))
    solved = solve(np.array([[1.0, 0.7], [0.7, 1.0]]), waves((counts, counts))[:, 0])
    assert solved[0, 1] == pytest.approx(0.7, abs=0.01)


def test_scores_are_the_means_of_the_normal_in_its_intervals() -> None:
    """The halves of a normal have means of -+sqrt(2/pi); a code without rows has none."""
    half = np.sqrt(2 / np.pi)
    assert scores_of(np.array([[3.0, 0, 3]])) == pytest.approx(np.array([[-half, 0, half]]))


def test_an_impossible_correlation_is_made_positive_definite() -> None:
    impossible = np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]])
    mended = positive(impossible)
    assert np.linalg.eigvalsh(mended).min() > 0
    assert np.diag(mended) == pytest.approx(np.ones(3))


# -- from normals to codes ---------------------------------------------------------------------


@given(
    st.lists(st.sampled_from([0.0, 1e-6, 1e-3, 1.0, 7.0, 300.0]), min_size=1, max_size=400),
    st.integers(0, 99),
)
def test_the_guide_finds_what_a_search_finds(weights: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    weight = np.array([*weights, 1.0])
    codes = rng.permutation(len(weight)).astype(np.int32)
    cuts = bounds(weight / weight.sum())
    guide = Lookup.build(cuts, codes)
    narrow = cuts.astype(np.float32)
    normals = np.concatenate([rng.standard_normal(500).astype(np.float32), narrow, -narrow])
    found = codes[np.searchsorted(narrow, normals, side="right")]
    inside = np.abs(normals) < 12
    assert np.array_equal(guide.read(normals)[inside], found[inside])


def test_codes_without_a_share_get_no_room() -> None:
    guide = Lookup.build(bounds(np.array([0.0, 0.5, 0.0, 0.5, 0.0])), np.arange(5, dtype=np.int32))
    normals = np.random.default_rng(0).standard_normal(1_000).astype(np.float32)
    assert set(guide.read(np.append(normals, [-30, 30]).astype(np.float32))) == {1, 3}


def test_shares_are_exact_in_every_class() -> None:
    model = fitted(mixed(8_000))
    for row, label in enumerate((0, 1)):
        codes = drawn(model, 200_000, where={6: label})
        for i, latent in enumerate(model.latents):
            if latent.null is None:
                order, shares = model._spans(model.order)[i], model._spans(model.shares[row])[i]
                expected = np.repeat(order, np.rint(shares * 10**7).astype(int))
                assert not differ(codes[:, latent.column], expected)


def test_classes_keep_their_shares_and_rows_their_random_order() -> None:
    codes = drawn(fitted(mixed(2_000)), 10_000)
    label = codes[:, 6]
    assert label.sum() == pytest.approx(1_000, abs=1)
    assert label[:5_000].sum() == pytest.approx(500, abs=100)
    assert codes[label == 1, 0].mean() > codes[label == 0, 0].mean() + 2


def test_sixty_classes_and_700_levels_do_not_explode() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 60, 12_000)
    many = np.where(rng.random(12_000) < 0.7, label * 10 + rng.integers(0, 10, 12_000), 650)
    codec = Codec((levels("many", 700), whole("x", 200), levels("y", 60)), 2)
    table = np.stack([many, np.minimum(label * 3 + rng.integers(0, 9, 12_000), 199), label], axis=1)
    model = fitted(Rows(codec, table.astype(np.int32)))
    codes = drawn(model, 12_000)
    assert np.abs(np.bincount(codes[:, 2], minlength=60) - np.bincount(label)).max() <= 1
    assert np.corrcoef(codes[:, 1], codes[:, 2])[0, 1] > 0.95


# -- conditions ----------------------------------------------------------------------------------

CONDITIONS = {
    "an atom": {1: 0},
    "null": {1: 30},
    "a nominal null": {2: 5},
    "a surrogate that is missing": {5: 1},
    "a value and a null": {0: 8, 1: 30},
    "two columns": {0: 9, 2: 1},
    "two columns and the class": {0: 9, 3: 1, 6: 0},
    "two columns and the rare class": {1: 0, 2: 2, 6: 1},
    "three columns": {1: 0, 2: 5, 3: 1},
    "a constant": {4: 0, 3: 2},
}


@pytest.fixture(scope="module")
def model() -> CopulaModel:
    return fitted(mixed(8_000))


@pytest.fixture(scope="module")
def unconditional(model: CopulaModel) -> np.ndarray:
    return drawn(model, 1_500_000, seed=2)


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions_give_what_rejection_gives(
    name: str, model: CopulaModel, unconditional: np.ndarray
) -> None:
    """Each column, each pair with the class, and a pair of two others, by chi-square tests."""
    where = CONDITIONS[name]
    meets = np.all([unconditional[:, j] == code for j, code in where.items()], axis=0)
    expected = unconditional[meets]
    assert len(expected) > 2_000
    codes = drawn(model, 100_000, where=where)
    assert codes.shape == (100_000, 7)
    for j, code in where.items():
        assert (codes[:, j] == code).all()
    free = [j for j in range(7) if j not in where]
    for j in free:
        assert not differ(codes[:, j] * 2 + codes[:, 6], expected[:, j] * 2 + expected[:, 6]), j
    a, b = free[:2]
    assert not differ(codes[:, a] * 50 + codes[:, b], expected[:, a] * 50 + expected[:, b])


def test_the_chi_square_test_sees_a_small_difference(
    model: CopulaModel, unconditional: np.ndarray
) -> None:
    """Or the tests above would prove nothing: the neighbouring condition is told apart."""
    expected = unconditional[unconditional[:, 0] == 9]
    codes = drawn(model, 100_000, where={0: 8})
    assert differ(codes[:, 6], expected[:, 6])


def test_evidence_of_three_latents_has_the_share_of_its_box() -> None:
    """The bound times the mean chance is the probability of the box; so are the draws' means."""
    correlation = np.array([[1, 0.9, -0.5], [0.9, 1, -0.3], [-0.5, -0.3, 1]])
    box = {0: (0.5, 1.0), 1: (-12.0, 0.6), 2: (0.0, 12.0)}
    evidence = Conditioning.build(box, correlation)
    innovations, chance = evidence.draw(400_000, np.random.default_rng(0))
    assert chance.max() <= 1 + 1e-9
    normals = multivariate_normal(np.zeros(3), correlation).rvs(
        2_000_000, random_state=np.random.default_rng(1)
    )
    inside = np.all(
        [(a < normals[:, j]) & (normals[:, j] < b) for j, (a, b) in box.items()], axis=0
    )
    assert evidence.bound * chance.mean() == pytest.approx(inside.mean(), rel=0.02)
    found = (evidence.root @ innovations).T
    means = np.average(found, axis=0, weights=chance)
    assert means == pytest.approx(normals[inside][:, evidence.latents].mean(axis=0), abs=0.01)


def test_a_far_tail_is_drawn_as_well() -> None:
    evidence = Conditioning.build({0: (8.0, 9.0)}, np.eye(1))
    innovations, chance = evidence.draw(1_000, np.random.default_rng(0))
    assert ((innovations >= 8) & (innovations <= 9)).all()
    assert (chance == 1).all()
    assert 8.05 < innovations.mean() < 8.2


def test_conditions_that_hardly_ever_meet_are_met() -> None:
    """Two columns that mirror each other, asked to be high both: one row in some 10**60."""
    rng = np.random.default_rng(0)
    left = rng.standard_normal(50_000)
    pair = np.stack([left, 0.3 * rng.standard_normal(50_000) - left], axis=1)
    codes = np.searchsorted(np.linspace(-2.2, 2.2, 49), pair).astype(np.int32)
    model = fitted(Rows(Codec((whole("a", 50), whole("b", 50))), codes))
    assert (drawn(model, 50, where={0: 49, 1: 49}) == 49).all()


def test_draws_that_are_never_kept_are_one_clear_error(
    model: CopulaModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Conditioning, "draw", lambda self, n, rng: (np.zeros((2, n)), np.zeros(n)))
    with pytest.raises(SamplingError, match=r"0 of \d+ draws meet the conditions together.*drop a"):
        drawn(model, 10, where={0: 9, 2: 1})


def test_codes_that_no_row_can_have_are_refused(model: CopulaModel) -> None:
    assert (drawn(model, 5, where={4: 0})[:, 4] == 0).all()
    with pytest.raises(SamplingError, match="outside its column"):
        drawn(model, 5, where={4: 1})
    with pytest.raises(SamplingError, match="no row of the class"):
        drawn(model, 5, where={6: 2})
    rng = np.random.default_rng(0)
    codec = Codec((levels("a", 4), levels("y", 3)), 1)
    unseen = fitted(Rows(codec, rng.integers(0, 2, (300, 2)).astype(np.int32)))
    with pytest.raises(SamplingError, match="no row that meets the conditions"):
        drawn(unseen, 5, where={0: 3})
    with pytest.raises(SamplingError, match="no row that meets the conditions"):
        drawn(unseen, 5, where={0: 1, 1: 2})


def test_conditions_do_not_change_with_the_dtype_of_their_codes(model: CopulaModel) -> None:
    """The same seed gives the same rows, whether a code is numpy's or Python's."""
    plain = drawn(model, 50, where={0: 8, 6: 1})
    assert np.array_equal(plain, drawn(model, 50, where={0: np.int32(8), 6: np.int64(1)}))  # type: ignore[dict-item]


# -- what is refused -----------------------------------------------------------------------------


def test_wrong_settings_and_too_few_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="shrinkage is -1"):
        recipe("copula", {"shrinkage": -1.0})
    few = Rows(mixed().codec, mixed().rows[:9])
    with pytest.raises(DataError, match="9 rows, but copula needs 10"):
        fitted(few)


def test_a_table_without_a_column_that_varies_is_no_error() -> None:
    codec = Codec((levels("a", 1), levels("y", 2)), 1)
    table = np.stack([np.zeros(60), np.arange(60) % 2], axis=1).astype(np.int32)
    assert drawn(fitted(Rows(codec, table)), 30)[:, 1].sum() == 15
    assert (drawn(fitted(Rows(Codec((levels("a", 1),)), table[:, :1])), 30) == 0).all()


@pytest.mark.parametrize("label", [None, 0])
def test_the_state_rebuilds_the_model_and_its_conditions(label: int | None) -> None:
    rows = mixed(1_000)
    model = fitted(rows)
    meta, arrays = model.state()
    again = CopulaModel.from_state(meta, {name: each.copy() for name, each in arrays.items()})
    where = {0: 8, 2: 5} | ({} if label is None else {6: label})
    assert np.array_equal(drawn(model, 400, where=where), drawn(again, 400, where=where))


@pytest.mark.parametrize("far", [0.02, 0.98])
def test_one_row_of_a_class_does_not_say_what_its_level_goes_with(far: float) -> None:
    rng = np.random.default_rng(1)
    share = rng.random(1000)
    level = np.array(["o"] * 1000, dtype=object)
    level[500:540] = "x"
    level[7], share[7] = "x", far
    frame = pd.DataFrame({"income": share * 1000, "level": level, "t": np.repeat(["a", "b"], 500)})
    made = privsynth.fit(frame, engine="copula", target="t", seed=0)
    alone = made.sample(100_000, seed=0, where={"t": "a"})
    alone = alone[alone["level"] == "x"]["income"]
    # Of the class alone, 50 times as many as it had; its income is the class's own, near 500.
    assert 350 < alone.mean() < 650
