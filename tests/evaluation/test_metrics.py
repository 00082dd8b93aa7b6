"""Vectorised metrics agree with scikit-learn's on every resample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference

from privsynth.evaluation import metrics


@pytest.fixture(params=[0, 1], ids=["distinct", "tied"])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    truth = rng.random(60) < 0.3
    score = truth * 0.4 + rng.random(60)
    if request.param:
        score = score.round(1)
    return metrics.draws(60, rng, 20), truth, score


def repeated(weights: np.ndarray, *columns: np.ndarray) -> list[np.ndarray]:
    return [np.repeat(column, weights) for column in columns]


def test_ranking_metrics_agree_with_the_reference(case: tuple[np.ndarray, ...]) -> None:
    weights, truth, score = case
    auc = metrics.roc_auc(weights, truth, score)
    precision = metrics.average_precision(weights, truth, score)
    for row, weight in enumerate(weights):
        drawn = repeated(weight, truth, score)
        assert auc[row] == pytest.approx(reference.roc_auc_score(*drawn))
        assert precision[row] == pytest.approx(reference.average_precision_score(*drawn))


def test_f1_agrees_with_the_reference(case: tuple[np.ndarray, ...]) -> None:
    weights, truth, score = case
    figures = metrics.f1(weights, truth, score > 0.7)
    for row, weight in enumerate(weights):
        assert figures[row] == pytest.approx(
            reference.f1_score(*repeated(weight, truth, score > 0.7))
        )


def test_regression_metrics_agree_with_the_reference(case: tuple[np.ndarray, ...]) -> None:
    weights, _, score = case
    truth = 1e9 + np.arange(60.0)
    predicted = truth + score
    r2, mae = (compute(weights, truth, predicted) for compute in (metrics.r2, metrics.mae))
    for row, weight in enumerate(weights):
        drawn = repeated(weight, truth, predicted)
        assert r2[row] == pytest.approx(reference.r2_score(*drawn))
        assert mae[row] == pytest.approx(reference.mean_absolute_error(*drawn))


def test_by_hand() -> None:
    ones = np.ones((1, 4))
    truth = np.array([True, False, True, False])
    score = np.array([4.0, 3.0, 2.0, 1.0])
    assert metrics.roc_auc(ones, truth, score) == [0.75]  # 3 of 4 pairs in order
    assert metrics.average_precision(ones, truth, score) == pytest.approx([(1 + 2 / 3) / 2])
    assert metrics.f1(ones, truth, score > 1.5) == pytest.approx([0.8])  # precision 2/3, recall 1


def test_a_figure_without_its_class_is_nan_and_leaves_no_interval() -> None:
    ones = np.ones((2, 3))
    nobody = np.zeros(3, dtype=bool)
    score = np.arange(3.0)
    for figures in (
        metrics.roc_auc(ones, nobody, score),
        metrics.roc_auc(ones, ~nobody, score),
        metrics.average_precision(ones, nobody, score),
        metrics.f1(ones, nobody, ~nobody),
        metrics.r2(ones, np.ones(3), score),
    ):
        assert np.isnan(figures).all()
        assert metrics.interval(figures) == (None, None)


def test_every_draw_has_as_many_rows_as_the_table() -> None:
    assert (metrics.draws(33, np.random.default_rng(0)).sum(axis=1) == 33).all()
