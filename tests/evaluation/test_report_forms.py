"""The evaluation as a page and on a terminal: escaped, self-contained, silent."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from privsynth.evaluation.policy import POLICIES, with_verdict
from privsynth.evaluation.score import Evaluation, Score
from privsynth.report.html import render
from privsynth.report.layout import figure, headlines, interval, judgement, label
from privsynth.report.terminal import summary

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def evaluation() -> Evaluation:
    return Evaluation(
        (
            Score(
                "fidelity",
                "marginal_agreement_2way",
                0.5,
                0.4,
                0.6,
                0.75,
                meaning=f"about {EVIL}",
                detail={EVIL: 0.25},
            ),
            Score("utility", "tstr_mae_ridge", 12345.6, better="lower", meaning="error"),
            Score("utility", "tstr_r2_ridge", None, meaning="the synthetic table is bad"),
            Score("<b>", "<i>", -0.5, better="neither"),
        ),
        {
            "rows": {"train": 1000},
            "columns": [EVIL],
            "left_out": [EVIL],
            "target": EVIL,
            "seed": 0,
            "versions": {"privsynth": "1"},
        },
        (f"note {EVIL} [bold]not markup[/bold]",),
    )


def test_names_are_escaped_everywhere(evaluation: Evaluation) -> None:
    page = render(evaluation)
    assert "<script" not in page
    assert "<b>" not in page
    assert "<i>" not in re.sub(r"<i style", "", page)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 5


def test_the_page_needs_nothing_else(evaluation: Evaluation) -> None:
    page = render(evaluation)
    assert not re.search(r"(?i)https?:|//\w|url\(|@import|<link|<img|<iframe|\son\w+=", page)
    assert page.startswith("<!doctype html>")


def test_figures_and_bars_are_drawn(evaluation: Evaluation) -> None:
    page = render(evaluation)
    assert "0.400 to 0.600" in page
    assert '<rect class="value" width="50.0"' in page
    assert '<rect class="spread" x="40.0"' in page
    assert '<rect class="real" x="74.4"' in page
    assert "12,346" in page
    assert page.count("<svg") == 2  # the headline's and the row's; none where it is outside 0 to 1


def test_an_empty_evaluation_is_still_a_page() -> None:
    assert "</html>" in render(Evaluation(()))


def printed(evaluation: Evaluation) -> str:
    text = io.StringIO()
    Console(file=text, width=100).print(summary(evaluation))
    return text.getvalue()


def test_the_summary_is_returned_and_not_printed(
    evaluation: Evaluation, capsys: pytest.CaptureFixture[str]
) -> None:
    summary(evaluation)
    assert capsys.readouterr() == ("", "")


def test_the_summary_shows_headlines_first_and_obeys_no_markup(evaluation: Evaluation) -> None:
    text = printed(evaluation)
    assert text.startswith("Marginal agreement 2-way")
    assert text.index("fidelity") < text.index("utility")
    assert "the synthetic table is bad" in text
    assert "[bold]not markup[/bold]" in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tstr_roc_auc_hist_gradient_boosting", "TSTR ROC AUC hist gradient boosting"),
        ("marginal_agreement_3way", "Marginal agreement 3-way"),
        ("sdmetrics_quality", "SDMetrics quality"),
        ("<i>", "<i>"),
    ],
)
def test_labels(name: str, words: str) -> None:
    assert label(name) == words


def test_figures() -> None:
    assert [figure(value) for value in (None, 0.12345, -3.0, 12345.6)] == [
        "–",
        "0.123",
        "-3.000",
        "12,346",
    ]


def test_headlines_are_those_that_exist(evaluation: Evaluation) -> None:
    assert [score.name for score in headlines(evaluation)] == ["marginal_agreement_2way"]


def judged(holdout: int = 3_000, policy: str = "standard") -> Evaluation:
    """An evaluation of two attacks that a policy was held against, as `evaluate` gives it."""
    scores = (
        Score("attacks", "membership_tpr_at_1pct", 0.3, 0.25, 0.375, 0.01, "lower", "found"),
        Score("attacks", "membership_tpr_at_1pct_minority", None, better="lower", meaning=EVIL),
        Score("attacks", "exact_replicas", 0.06, 0.02, 0.04, 0.03, "lower", "copied"),
    )
    about = {"rows": {"train": 9_000, "holdout": holdout}}
    return with_verdict(Evaluation(scores, about, ("read this",)), POLICIES[policy])[0]


def test_the_verdict_and_what_it_rests_on_stand_before_every_score() -> None:
    page = render(Evaluation.from_json(judged().to_json()))
    assert '<p class="word">FAIL</p>' in page
    assert "Policy &#39;standard&#39; is not met" in page
    first = page.index("<h2>")
    for words in ("at least 25% was found", "2 points was found", "INCONCLUSIVE", "≤ 37.5%"):
        assert 0 < page.index(words) < first
    assert page.count("at least 25% was found") == 1  # and not again among the notes
    assert "read this" in page
    assert EVIL not in page


def test_a_strict_policy_that_nothing_answers_is_not_met() -> None:
    quiet = judged(policy="strict")
    quiet = replace(quiet, about={**quiet.about, "findings": quiet.about["findings"][1:2]})
    told = judgement(quiet)
    assert told is not None
    assert str(told.verdict) == "INCONCLUSIVE"
    assert "is not met" in told.sentence


def test_without_a_policy_there_is_no_verdict_but_the_worst_attack_is_told() -> None:
    bare = Evaluation(judged().scores)
    assert judgement(bare) is None
    page = render(bare)
    assert 'class="verdict' not in page
    assert "≤ 37.5%" in page


def test_the_terminal_begins_with_the_verdict_and_the_worst_attack() -> None:
    lines = printed(judged()).splitlines()
    assert lines[0].startswith("FAIL   Policy 'standard' is not met")
    assert lines[1].startswith("membership_tpr_at_1pct: FAIL: at least 25% was found")
    assert printed(judged()).count("at least 25% was found") == 1  # and not again among the notes
    assert printed(judged()).index("INCONCLUSIVE") < printed(judged()).index("≤ 37.5%")


def test_an_interval_of_a_difference_is_called_so_and_is_not_drawn_around_the_figure() -> None:
    score = judged()["exact_replicas"]
    assert interval(score) == "difference 0.020 to 0.040"
    assert "spread" not in re.sub(r"svg .spread|--spread", "", render(Evaluation((score,))))


def test_an_augmentation_is_not_called_a_synthetic_table() -> None:
    gains = tuple(
        Score("minority gain", f"gain_pr_auc_{name}", 0.125, 0.1, 0.2) for name in ("cart", "smote")
    )
    page = render(Evaluation(gains, {"splits": {"folds": 5}, "methods": ["cart"]}))
    assert "<h1>Evaluation of an augmentation</h1>" in page
    assert "synthetic table" not in page
    assert page.count('<div class="card">') == 1  # the headline of the method that is judged
