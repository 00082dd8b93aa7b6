"""The SMOTE mirrors: they find what SMOTE gives away, and nothing where there is nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.evaluation.attacks import conclusion, smote_mirrors
from privsynth.evaluation.attacks import mirrors as module
from privsynth.evaluation.attacks.mirrors import distinguish, reconstruct
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema


def smote(real: np.ndarray, ratio: int, seed: int = 0, k: int = 5) -> np.ndarray:
    """`ratio` rows for each real one, at random on the segments to its `k` nearest others."""
    rng = np.random.default_rng(seed)
    apart = np.linalg.norm(real[:, None] - real[None], axis=2)
    near = np.argsort(apart, axis=1)[:, 1 : k + 1]
    one = rng.integers(len(real), size=ratio * len(real))
    two = near[one, rng.integers(k, size=len(one))]
    return real[one] + rng.random((len(one), 1)) * (real[two] - real[one])


def correlated(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)) @ rng.normal(size=(columns, columns))


def found(real: np.ndarray, named: np.ndarray, tolerance: float = 1e-6) -> tuple[float, float]:
    """Recall and precision, by brute force."""
    apart = np.abs(real[:, None] - named[None]).max(axis=2) <= tolerance
    return float(apart.any(axis=1).mean()), float(apart.any(axis=0).mean())


def frames(real: np.ndarray, synthetic: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame, Schema]:
    names = [f"x{i}" for i in range(real.shape[1])]
    schema = Schema(tuple(Column(name, Kind.NUMERIC, "double") for name in names))
    return pd.DataFrame(real, columns=names), pd.DataFrame(synthetic, columns=names), schema


def by_name(scores: tuple[Score, ...]) -> dict[str, Any]:
    return {score.name: score for score in scores}


CORNERS = np.array([[0.1, 0.2, 0.3], [4.1, 1.3, 0.7], [1.7, 5.3, 2.9]])
SHARES = np.sqrt([0.05, 0.3, 0.6])[:, None]  # endless decimals: nothing looks rounded


def on_sides(*sides: tuple[int, int]) -> np.ndarray:
    """Three points on each of the sides named of the triangle of corners."""
    return np.vstack([CORNERS[a] + SHARES * (CORNERS[b] - CORNERS[a]) for a, b in sides])


def test_two_lines_in_space_name_the_corner_they_share():
    named = reconstruct(on_sides((0, 1), (0, 2)))
    np.testing.assert_allclose(named, CORNERS[:1], atol=1e-12)


def test_a_triangle_in_space_names_its_three_corners():
    named = reconstruct(on_sides((0, 1), (0, 2), (1, 2)))
    np.testing.assert_allclose(named[np.argsort(named[:, 0])], CORNERS[[0, 2, 1]], atol=1e-12)


def test_one_line_names_nothing():
    assert len(reconstruct(on_sides((0, 1)))) == 0


def test_in_the_plane_two_lines_name_nothing_and_three_name_the_point_they_share():
    centre = np.array([0.13, 0.27])
    ends = np.array([[1.1, 0.3], [-0.7, 1.9], [-0.2, -1.3]])
    rays = [centre + SHARES * (end - centre) for end in ends]
    assert len(reconstruct(np.vstack(rays[:2]))) == 0
    np.testing.assert_allclose(reconstruct(np.vstack(rays)), [centre], atol=1e-12)


def test_lines_that_cross_between_their_points_name_nothing():
    middle = CORNERS.mean(axis=0)
    cross = [middle + np.array([[-1], [-1 / 3], [0.7]]) * way for way in (CORNERS[0], CORNERS[1])]
    assert len(reconstruct(np.vstack(cross))) == 0


def test_what_lies_inside_a_segment_is_told_from_its_ends():
    points = np.vstack([CORNERS, on_sides((0, 1), (0, 2))[:4]])
    assert distinguish(points).tolist() == [False] * 3 + [True] * 4


def test_one_point_inside_a_segment_is_enough_to_be_told():
    points = np.vstack([CORNERS, on_sides((0, 1))[:1]])
    assert distinguish(points).tolist() == [False, False, False, True]


@pytest.mark.parametrize("columns", [2, 3, 6, 10, 30])
def test_most_seeds_are_found_at_nine_rows_a_seed(columns: int):
    real = correlated(100, columns)
    recall, precision = found(real, reconstruct(smote(real, 9)))
    assert recall >= 0.8
    assert precision >= 0.99


@pytest.mark.parametrize("columns", [2, 5, 20])
def test_every_synthetic_row_is_told_and_no_real_one(columns: int):
    real = correlated(100, columns)
    told = distinguish(np.vstack([real, smote(real, 3)]))
    assert not told[:100].any()
    assert told[100:].mean() >= 0.98


def test_seeds_are_found_where_neighbours_were_taken_by_one_large_column():
    real = correlated(100, 6) * [1000, 1, 1, 1, 1, 0.01]
    recall, precision = found(real, reconstruct(smote(real, 9)))
    assert recall >= 0.8
    assert precision >= 0.99


@pytest.mark.parametrize("rounded", [np.rint, np.trunc])
def test_whole_numbers_hide_the_seeds_only_a_little(rounded: Any):
    real = np.rint(correlated(100, 8) * 1e4)
    recall, precision = found(real, reconstruct(rounded(smote(real, 9))), tolerance=1.0)
    assert recall >= 0.8
    assert precision >= 0.9


def test_few_whole_numbers_hide_the_seeds():
    real = np.rint(correlated(100, 4) * 3)
    assert len(reconstruct(np.rint(smote(real, 9)))) == 0


def test_zeros_and_a_constant_column_do_not_disturb():
    real = correlated(100, 6)
    real[:60, 0], real[40:, 1], real[:, 2] = 0.0, 0.0, 7.5
    recall, precision = found(real, reconstruct(smote(real, 9)))
    assert recall >= 0.8
    assert precision >= 0.99


def test_real_rows_that_come_twice_are_found_too():
    real = correlated(100, 5)
    real[90:] = real[:10]
    recall, precision = found(real, reconstruct(smote(real, 12)))
    assert recall >= 0.7
    assert precision >= 0.99


@pytest.mark.parametrize("columns", [2, 3, 10])
@pytest.mark.parametrize("decimals", [None, 2, 0])
def test_independent_rows_give_nothing(columns: int, decimals: int | None):
    points = correlated(1000, columns) * 10
    points = points if decimals is None else np.round(points, decimals)
    assert len(reconstruct(points)) == 0
    assert distinguish(points).mean() <= 0.002


def test_one_column_and_too_few_rows_give_nothing():
    line = np.linspace(0, 1, 20)[:, None]
    assert reconstruct(line).shape == (0, 1)
    assert not distinguish(line).any()
    assert reconstruct(CORNERS[:2]).shape == (0, 3)
    assert distinguish(np.zeros((0, 3))).shape == (0,)
    assert reconstruct(np.ones((9, 3))).shape == (0, 3)


def test_the_order_of_the_rows_does_not_matter():
    real = correlated(60, 5)
    points = smote(real, 9)
    again = points[np.random.default_rng(1).permutation(len(points))]
    np.testing.assert_array_equal(reconstruct(points), reconstruct(again))


def test_scores_of_smote_say_what_can_be_reconstructed():
    real = correlated(100, 6)
    scores = smote_mirrors(*frames(real, smote(real, 9)))
    score = by_name(scores)
    assert {each.family for each in scores} == {"attacks"}
    assert {each.better for each in scores} == {"lower"}
    recall = score["smote_reconstruction_recall"]
    assert recall.low <= recall.value <= recall.high
    assert recall.value >= 0.8
    assert recall.detail["chance"] == 0.0
    assert score["smote_reconstruction_precision"].value >= 0.99
    assert score["smote_distinguishing_precision"].value == 1.0
    assert score["smote_distinguishing_precision"].detail["chance"] == pytest.approx(0.9)
    assert "of the 100 real minority rows can be reconstructed" in conclusion(scores)


def test_scores_of_independent_rows_say_that_nothing_can():
    scores = smote_mirrors(*frames(correlated(100, 6), correlated(900, 6, seed=1)))
    score = by_name(scores)
    assert score["smote_reconstruction_recall"].value == 0.0
    assert score["smote_reconstruction_precision"].value is None
    assert conclusion(scores) == "SMOTE mirrors: no real row can be reconstructed beyond chance"


def test_the_fast_search_gives_what_brute_force_gives():
    points = np.vstack([real := correlated(12, 3), smote(real, 2)])
    inside = []
    for middle in points:
        ways = points - middle
        length = np.linalg.norm(ways, axis=1)
        ways = ways[length > 0] / length[length > 0, None]
        inside.append(bool((ways @ ways.T <= -1 + 1e-13).any()))
    assert distinguish(points).tolist() == inside


def test_copies_are_counted_and_said():
    real = correlated(50, 4)
    scores = smote_mirrors(*frames(real, np.repeat(real, 9, axis=0)))
    assert by_name(scores)["copies_of_real_rows"].value == 1.0
    assert "100% of the synthetic rows are copies of real rows" in conclusion(scores)


def test_where_it_cannot_be_run_it_says_so():
    scores = smote_mirrors(*frames(correlated(50, 1), correlated(90, 1)))
    values = {name: score.value for name, score in by_name(scores).items()}
    assert values.pop("copies_of_real_rows") == 0.0
    assert set(values.values()) == {None}
    assert "two continuous columns" in conclusion(scores)
    scores = smote_mirrors(*frames(correlated(50, 4), correlated(2, 4)))
    assert "three synthetic rows" in conclusion(scores)
    scores = smote_mirrors(*frames(correlated(0, 4), correlated(0, 4)))
    assert by_name(scores)["copies_of_real_rows"].value is None


def test_only_complete_continuous_columns_are_read():
    real = correlated(100, 6)
    ours, theirs, schema = frames(real, smote(real, 9))
    for frame in (ours, theirs):
        frame["town"] = "north"
        frame["label"] = 1
        frame["hole"] = np.nan
    theirs.loc[:9, "x0"] = np.nan
    schema = Schema(
        (
            *schema,
            Column("town", Kind.CATEGORICAL, "string"),
            Column("hole", Kind.NUMERIC, "double", nullable=True),
            Column("label", Kind.INTEGER, "int64", role=Role.TARGET),
        )
    )
    notes: list[str] = []
    scores = smote_mirrors(ours, theirs, schema, note=notes.append)
    assert by_name(scores)["smote_reconstruction_recall"].value >= 0.8
    assert any("1 columns" in note for note in notes)
    assert any("10 rows" in note for note in notes)


def test_a_large_table_is_attacked_in_one_neighbourhood(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_ROWS", 1_000)
    real = correlated(200, 6)
    notes: list[str] = []
    scores = smote_mirrors(*frames(real, smote(real, 12)), note=notes.append)
    recall = by_name(scores)["smote_reconstruction_recall"]
    assert recall.value >= 0.8
    assert recall.detail["real_rows"] == 41
    assert len(notes) == 1
    assert "1,000 of 2,400 synthetic rows" in notes[0]
