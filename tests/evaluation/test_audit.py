"""The deep audit: planted rows, refits, and an empirical epsilon."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

import privsynth
from privsynth.evaluation.attacks.audit import audit
from privsynth.evaluation.attacks.onerun import epsilon_at_least
from privsynth.schema.schema import Schema


def table(rows: int = 600, seed: int = 0) -> tuple[pd.DataFrame, Schema]:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=rows).round(3),
            "y": rng.gamma(2, 1, rows).round(3),
            "town": rng.choice(["a", "b", "c"], rows),
        }
    )
    return frame, privsynth.propose_schema(frame)


def test_ten_right_guesses_of_ten_worked_by_hand() -> None:
    # p ** 10 = 0.05 at p = 0.7411, whose logit is 1.0518
    assert epsilon_at_least(10, 10) == pytest.approx(1.0518, abs=1e-3)
    assert epsilon_at_least(5, 10) == 0
    assert epsilon_at_least(0, 0) == 0


def test_delta_and_a_smaller_error_rate_lower_the_bound() -> None:
    assert epsilon_at_least(95, 100, delta=1e-4) < epsilon_at_least(95, 100)
    assert epsilon_at_least(95, 100, alpha=0.01) < epsilon_at_least(95, 100)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
def test_the_bound_errs_in_at_most_its_share_of_honest_mechanisms(epsilon: float) -> None:
    rng = np.random.default_rng(0)
    share = 1 / (1 + np.exp(-epsilon))
    right = rng.binomial(100, share, 2000)
    above = np.array([epsilon_at_least(int(n), 100) for n in np.unique(right)])
    wrong = above[np.searchsorted(np.unique(right), right)] > epsilon
    assert binom.sf(wrong.sum() - 1, 2000, 0.05) > 1e-4


def test_a_pipeline_that_copies_is_found_out() -> None:
    frame, schema = table()
    (score,) = audit(frame, schema, lambda given, seed: given, claim=1.0, runs=3, canaries=60)
    assert score.low is not None
    assert score.low > 1
    assert "claim violated" in score.meaning


def test_a_pipeline_that_ignores_the_rows_is_not() -> None:
    frame, schema = table()
    fresh = [table(seed=s)[0] for s in range(1, 5)]
    (score,) = audit(
        frame, schema, lambda given, seed: fresh[seed % 4], claim=1.0, runs=6, canaries=60
    )
    assert score.low == pytest.approx(0, abs=0.5)
    assert "violated" not in score.meaning


def test_the_same_seed_gives_the_same_audit() -> None:
    frame, schema = table()

    def refit(given: pd.DataFrame, seed: int) -> pd.DataFrame:
        return given.sample(frac=1, replace=True, random_state=seed)

    first, second = (audit(frame, schema, refit, seed=3, runs=2) for _ in range(2))
    assert first == second
