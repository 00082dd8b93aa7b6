"""The figures that the documents quote are those that the program gives."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the benchmarks are no part of the package that is installed

from benchmarks.figures import DOCUMENTS, FIGURES, figures_in, rewritten  # noqa: E402
from privsynth.privacy.budget import epsilon_of, rho_of  # noqa: E402

BEHIND = "the documents are behind the program; run 'make figures'"


def quoted() -> dict[str, str]:
    pages = [(ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS]
    return {name: said for page in pages for name, said in figures_in(page)}


def test_every_figure_is_quoted_and_every_quoted_one_is_measured() -> None:
    assert quoted().keys() == FIGURES.keys()


def test_a_figure_is_written_between_its_marks_and_nothing_else_changes() -> None:
    page = "a <!-- figure: x y -->old\n93%<!-- end -->, <!-- figure: z -->1<!-- end --> 93%"
    new = rewritten(page, {"x y": lambda: "90%", "z": lambda: r"\1"})
    assert new == r"a <!-- figure: x y -->90%<!-- end -->, <!-- figure: z -->\1<!-- end --> 93%"
    assert list(figures_in(new)) == [("x y", "90%"), ("z", r"\1")]


@pytest.mark.parametrize("name", [name for name in FIGURES if " of " in name])
def test_a_shipped_table_is_as_described(name: str) -> None:
    assert quoted()[name] == FIGURES[name](), BEHIND


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FIGURES if " of " not in name])
def test_readme_says_what_its_commands_say(name: str) -> None:
    assert quoted()[name] == FIGURES[name](), BEHIND


@pytest.mark.parametrize("demo", ["fraud", "health", "intrusion", "adult"])
def test_the_demo_introduces_its_table_with_the_same_figures(demo: str) -> None:
    text = (ROOT / "privsynth" / "data" / "demos.yaml").read_text(encoding="utf-8")
    about = yaml.safe_load(text)[demo]["about"]
    assert about.startswith(quoted()[f"size of {demo}"].partition(" x ")[0])
    assert quoted()[f"share of {demo}"] in about


def test_the_odds_that_privacy_md_names_follow_from_epsilon() -> None:
    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    for epsilon in (1, 3):
        odds = math.exp(epsilon)
        assert f"{odds / (1 + odds):.0%}" in page


def test_a_total_of_epsilon_2_allows_three_fits_at_epsilon_1_and_no_fourth() -> None:
    assert "a total of epsilon 2 allows three fits\nat epsilon 1" in (
        ROOT / "docs" / "privacy.md"
    ).read_text(encoding="utf-8")
    one = rho_of(1.0, 1e-6)
    assert epsilon_of(3 * one, 1e-6) <= 2 < epsilon_of(4 * one, 1e-6)
