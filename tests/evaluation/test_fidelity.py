"""Marginal agreement against brute force and by hand; SDMetrics on awkward columns."""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from privsynth.evaluation import fidelity
from privsynth.evaluation.fidelity import agreements, marginal_agreement, sdmetrics_reports
from privsynth.evaluation.score import Score
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema


def by_name(scores: tuple[Score, ...]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def categorical(*names: str) -> Schema:
    return Schema(tuple(Column(name, Kind.CATEGORICAL, "string") for name in names))


def brute_force(train: np.ndarray, other: np.ndarray, clique: tuple[int, ...]) -> float:
    mine = Counter(map(tuple, train[:, clique].tolist()))
    theirs = Counter(map(tuple, other[:, clique].tolist()))
    cells = set(mine) | set(theirs)
    return 1 - sum(abs(mine[c] / len(train) - theirs[c] / len(other)) for c in cells) / 2


@pytest.mark.parametrize("order", [1, 2, 3])
def test_agreement_equals_brute_force(order: int) -> None:
    rng = np.random.default_rng(order)
    sizes = [3, 5, 2, 7]
    train, other = (
        np.column_stack([rng.integers(size, size=rows) for size in sizes]) for rows in (200, 70)
    )
    cliques = list(itertools.combinations(range(4), order))
    figures = agreements(list(train.T), list(other.T), sizes, cliques)
    assert figures == pytest.approx([brute_force(train, other, clique) for clique in cliques])


def test_by_hand() -> None:
    train = pd.DataFrame({"a": ["x", "x", "y", "y"], "b": ["u", "u", "v", "v"]})
    other = pd.DataFrame({"a": ["x", "x", "x", "z"], "b": ["u", "v", None, "v"]})
    scores = by_name(marginal_agreement(train, None, other, categorical("a", "b")))
    # a: 1/2, 1/2, 0 against 3/4, 0, 1/4: distance 1/2; b: u 1/2, v 1/2 against 1/4, 1/2, null 1/4
    assert scores["marginal_agreement_1way"].detail == {"a": 0.5, "b": 0.75}
    assert scores["marginal_agreement_1way"].value == 0.625
    assert scores["marginal_agreement_2way"].value == 0.25  # only (x, u) is shared: 1/4
    assert scores["marginal_agreement_3way"].value is None
    assert "needs 3" in scores["marginal_agreement_3way"].meaning


def test_a_table_agrees_wholly_with_itself(train: pd.DataFrame, schema: Schema) -> None:
    scores = by_name(marginal_agreement(train, train, train, schema))
    for order in (1, 2, 3):
        score = scores[f"marginal_agreement_{order}way"]
        assert (score.value, score.real) == (1.0, 1.0)
    assert "id" not in scores["marginal_agreement_1way"].detail
    assert "who" not in scores["marginal_agreement_1way"].detail


def test_a_faithful_table_is_above_the_shuffle_and_a_shuffled_one_is_not(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    unrelated: pd.DataFrame,
) -> None:
    schema = categorical("town", "fraud")
    # a relation that is certain, so that chance cannot hide it
    tables = [
        frame[["town"]].assign(fraud=frame["town"].astype(str))
        for frame in (train, holdout, synthetic)
    ]
    broken = unrelated[["town"]].assign(fraud=tables[0]["fraud"])
    good = by_name(marginal_agreement(*tables, schema))
    bad = by_name(marginal_agreement(tables[0], tables[1], broken, schema))
    baseline = good["marginal_agreement_2way_shuffled"].value
    assert baseline is not None
    assert good["marginal_agreement_2way"].value > baseline + 0.2
    assert bad["marginal_agreement_2way"].value == pytest.approx(baseline, abs=0.05)
    assert bad["marginal_agreement_1way"].value == pytest.approx(1.0, abs=0.05)
    assert list(bad["marginal_agreement_2way"].detail) == ["town × fraud"]


def test_holdout_and_synthetic_are_compared_at_the_same_number_of_rows(
    train: pd.DataFrame, schema: Schema
) -> None:
    notes: list[str] = []
    few = train.iloc[:50]
    scores = by_name(marginal_agreement(train, few, few.copy(), schema, note=notes.append))
    assert scores["marginal_agreement_2way"].value == scores["marginal_agreement_2way"].real
    marginal_agreement(train, few, train, schema, note=notes.append)
    assert notes == ["marginal agreement: synthetic rows: 50 of 600 were drawn at random (seed 0)"]


def test_the_interval_holds_the_value_and_narrows_with_rows() -> None:
    rng = np.random.default_rng(0)

    def width(rows: int) -> float:
        train, other = (
            pd.DataFrame({"a": rng.choice(["x", "y"], rows, p=p)}) for p in ([0.5, 0.5], [0.7, 0.3])
        )
        score = marginal_agreement(train, None, other, categorical("a"))[0]
        assert score.low is not None
        assert score.high is not None
        assert score.value is not None
        assert score.low < score.value < score.high
        # two shares, each with variance p (1 - p) / rows: the theory, within the jackknife's noise
        theory = 2 * 1.96 * np.sqrt((0.25 + 0.21) / rows)
        assert 0.3 * theory < score.high - score.low < 3 * theory
        return score.high - score.low

    assert width(20_000) < width(500)


def test_too_few_rows_have_no_interval(schema: Schema, train: pd.DataFrame) -> None:
    score = marginal_agreement(train, None, train.iloc[:5], schema)[0]
    assert score.value is not None
    assert (score.low, score.high) == (None, None)


def test_many_triples_are_sampled_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fidelity, "MAX_TRIPLES", 7)
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(9)]
    frame = pd.DataFrame(rng.choice(["x", "y"], (40, 9)), columns=names)
    first, second = (marginal_agreement(frame, None, frame, categorical(*names)) for _ in range(2))
    assert first == second
    assert "7 triples of columns drawn at random from 84" in first[-1].meaning


def test_of_very_many_columns_some_pairs_are_compared_and_the_target_is_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fidelity, "MAX_PAIRS", 5)
    monkeypatch.setattr(fidelity, "MAX_QUALITY_COLUMNS", 4)
    rng = np.random.default_rng(0)
    names = [f"c{i}" for i in range(9)]
    frame = pd.DataFrame(rng.choice(["x", "y"], (40, 9)), columns=names)
    schema = categorical(*names)
    scores = by_name(marginal_agreement(frame, None, frame, schema))
    assert "5 pairs of columns drawn at random from 36" in scores["marginal_agreement_2way"].meaning
    columns = [replace(c, role=Role.TARGET) if c.name == "c7" else c for c in schema]
    notes: list[str] = []
    scores = by_name(
        sdmetrics_reports(frame, None, frame, Schema(tuple(columns)), note=notes.append)
    )
    shapes, validity = (
        scores[f"sdmetrics_{name}"].detail for name in ("column_shapes", "data_validity")
    )
    assert len(shapes) == 4
    assert "c7" in shapes
    assert set(validity) == set(names)
    assert notes == ["SDMetrics quality: 4 of 9 columns were drawn at random (seed 0)"]


def test_sdmetrics_is_silent_seeded_and_survives_awkward_columns(
    train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    said = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
    ):
        warnings.simplefilter("error")
        scores = by_name(sdmetrics_reports(train, holdout, synthetic, schema))
        again = by_name(sdmetrics_reports(train, holdout, synthetic, schema))
    assert said.getvalue() == ""
    assert scores == again
    assert set(scores) == {
        "sdmetrics_quality",
        "sdmetrics_column_shapes",
        "sdmetrics_column_pair_trends",
        "sdmetrics_diagnostic",
        "sdmetrics_data_validity",
        "sdmetrics_data_structure",
    }
    for score in scores.values():
        assert score.value is not None
        assert score.real is not None
        assert 0.5 < score.value <= 1
    assert scores["sdmetrics_data_validity"].detail["id"] == 1.0
    assert "empty" not in scores["sdmetrics_column_shapes"].detail


def test_sdmetrics_sees_repeated_keys_and_values_out_of_bounds(
    train: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema
) -> None:
    spoilt = synthetic.assign(id=1, income=1e12, grade="unheard of")
    validity = by_name(sdmetrics_reports(train, None, spoilt, schema))["sdmetrics_data_validity"]
    assert validity.detail["id"] < 0.01
    assert validity.detail["income"] == 0.0
    assert validity.detail["grade"] == 0.0


@pytest.mark.parametrize("kind", [Kind.NUMERIC, Kind.CATEGORICAL, Kind.DATETIME, Kind.BOOLEAN])
def test_one_empty_column_gives_scores_or_says_why_not(kind: Kind) -> None:
    frame = pd.DataFrame({"c": [None, None, None]})
    schema = Schema((Column("c", kind, "string", nullable=True),))
    scores = by_name(
        marginal_agreement(frame, frame, frame, schema)
        + sdmetrics_reports(frame, frame, frame, schema)
    )
    assert scores["marginal_agreement_1way"].value == 1.0
    assert scores["sdmetrics_column_pair_trends"].value is None
    assert all(score.meaning for score in scores.values())
