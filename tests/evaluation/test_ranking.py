"""What each threshold finds, worked out by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from privsynth.evaluation.ranking import Ranking, brier, calibration_error

POSITIVE = np.array([True, True, False, True, False, False])
CHANCES = np.array([0.9, 0.6, 0.6, 0.4, 0.2, 0.1])
RANKING = Ranking.of(POSITIVE, CHANCES)


@pytest.fixture(params=[0, 1], ids=["distinct", "tied"])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    positive = rng.random(400) < 0.2
    chances = np.clip(positive * 0.2 + rng.random(400) * 0.8, 0, 1)
    return positive, chances.round(1) if request.param else chances


def test_rows_of_one_chance_are_taken_together() -> None:
    np.testing.assert_array_equal(RANKING.thresholds, [0.9, 0.6, 0.4, 0.2, 0.1])
    np.testing.assert_array_equal(RANKING.true_positives, [1, 2, 3, 3, 3])
    np.testing.assert_array_equal(RANKING.predicted, [1, 3, 4, 5, 6])


def test_recall_is_read_at_the_precision_wanted_or_above() -> None:
    assert RANKING.recall_at(1.0) == pytest.approx(1 / 3)
    assert RANKING.recall_at(0.7) == pytest.approx(1)  # 3 of 4, though 2 of 3 are less precise
    assert RANKING.recall_at(0.5) == pytest.approx(1)
    assert Ranking.of(np.array([False, True]), np.array([0.9, 0.1])).recall_at(0.6) == 0


def test_f1_by_threshold_and_its_best() -> None:
    figures = RANKING.f1_at(np.array([0.0, 0.3, 0.4, 0.5, 0.95]))
    np.testing.assert_allclose(figures, [6 / 9, 6 / 7, 6 / 7, 4 / 6, 0])
    assert RANKING.best_threshold() == 0.4


def test_precision_at_each_recall() -> None:
    figures = RANKING.precision_at(np.array([0, 1 / 3, 0.34, 2 / 3, 1]))
    np.testing.assert_allclose(figures, [1, 1, 2 / 3, 2 / 3, 3 / 4])


def test_calibration_is_the_gap_between_chance_and_share() -> None:
    chances = np.repeat([0.1, 0.6], 10)  # two distinct chances, so two bins
    positive = np.arange(20) % 10 < np.repeat([2, 5], 10)
    assert calibration_error(positive, chances) == pytest.approx((0.1 + 0.1) / 2)
    assert calibration_error(np.repeat([False, True], 5), np.full(10, 0.5)) == 0
    assert brier(np.array([True, False]), np.array([0.5, 0.2])) == pytest.approx(0.145)


def test_the_figures_agree_with_the_reference(case: tuple[np.ndarray, np.ndarray]) -> None:
    positive, chances = case
    ranking = Ranking.of(positive, chances)
    precision, recall, _ = reference.precision_recall_curve(positive, chances)
    for wanted in (0.2, 0.4, 0.6):
        assert ranking.recall_at(wanted) == pytest.approx(recall[precision >= wanted].max())
    for threshold in (0.0, 0.3, 0.5, 0.7):
        said = chances >= threshold
        assert ranking.f1_at(np.array([threshold]))[0] == pytest.approx(
            reference.f1_score(positive, said)
        )
    best = reference.f1_score(positive, chances >= ranking.best_threshold())
    every = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    assert best == pytest.approx(every.max())
    assert brier(positive, chances) == pytest.approx(reference.brier_score_loss(positive, chances))
    steps = np.arange(1, positive.sum() + 1) / positive.sum()
    assert len(np.unique(chances)) < 400 or ranking.precision_at(steps).mean() == pytest.approx(
        reference.average_precision_score(positive, chances)
    )


def test_true_chances_are_calibrated_and_shifted_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(20_000) * 0.8
    positive = rng.random(20_000) < chances
    assert calibration_error(positive, chances) < 0.02
    assert calibration_error(positive, chances + 0.2) == pytest.approx(0.2, abs=0.02)
