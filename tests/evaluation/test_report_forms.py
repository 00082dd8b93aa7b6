"""The evaluation as a page and on a terminal: escaped, self-contained, silent."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from privsynth.evaluation.score import Evaluation, Score
from privsynth.report.html import render
from privsynth.report.layout import figure, headlines, label
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
