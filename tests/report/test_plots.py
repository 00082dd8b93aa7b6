"""Pictures: labelled, the same every time, safe to open, and drawn from whatever table comes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from privsynth.errors import StorageError, UsageError
from privsynth.evaluation.score import Evaluation, Score
from privsynth.minority.picture import before_after, check_plot
from privsynth.minority.picture.comparison import POINTS, collect
from privsynth.minority.picture.plane import planes
from privsynth.report.html import render
from privsynth.report.plots import (
    Density,
    draw_attacks,
    draw_curves,
    draw_densities,
    draw_differences,
    draw_thresholds,
    pictures,
)
from privsynth.report.plots.attacks import attacks
from privsynth.report.plots.densities import _number, _percent, measure
from privsynth.report.plots.marks import shown
from privsynth.schema.columns import Column, Kind, Role
from privsynth.schema.schema import Schema

LABEL = "HOLDS REAL RECORDS"
NUMBER = Column("x", Kind.NUMERIC, "double")
LEVEL = Column("town", Kind.CATEGORICAL, "string")
TARGET = Column("fraud", Kind.INTEGER, "int64", role=Role.TARGET)


def table(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=rows), "town": rng.choice(["n", "s"], rows)})
    frame["fraud"] = (np.arange(rows) % 10 == 0).astype(int)
    return frame


def added(frame: pd.DataFrame, rows: int = 40) -> pd.DataFrame:
    return frame[frame["fraud"] == 1].sample(rows, replace=True, random_state=1)


def draw(out: Path, real: pd.DataFrame, extra: pd.DataFrame, *columns: Column, **how: Any) -> str:
    schema = Schema((*columns, TARGET))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before_after(real, real["fraud"], extra, extra["fraud"], schema, out, majority=0, **how)
    return out.read_bytes().decode("latin-1")


def series(values: list[Any], kind: str = "float64") -> Any:
    return pd.Series(values, dtype=kind)


# the file of an augmentation


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [(".png", "\x89PNG"), (".svg", "<?xml"), (".pdf", "%PDF"), (".html", "<!doctype html>")],
)
def test_every_kind_of_file_says_that_it_holds_real_records_and_is_the_same_for_a_seed(
    tmp_path: Path, suffix: str, magic: str
) -> None:
    out = tmp_path / f"plot{suffix}"
    text = draw(out, table(), added(table()), NUMBER, seed=3)
    assert text.startswith(magic)
    assert LABEL in text  # in the metadata; a bitmap holds no text besides
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    assert text == draw(out, table(), added(table()), NUMBER, seed=3)
    assert not re.search(r"CreationDate|<dc:date>", text)


def test_the_svg_shows_label_classes_and_columns_as_text(tmp_path: Path) -> None:
    draw(tmp_path / "a.svg", table(), added(table()), NUMBER, LEVEL)
    words = " ".join(ElementTree.parse(tmp_path / "a.svg").getroot().itertext())
    for wanted in (LABEL, "real, majority", "synthetic, minority", "6 → 46", "town", "Before"):
        assert wanted in words


def test_the_page_loads_nothing_and_obeys_no_markup_in_names(tmp_path: Path) -> None:
    name = "</script><img src=http://evil.example/x onerror=alert(1)>"
    frame = table().rename(columns={"town": name})
    frame[name] = frame[name].map({"n": "<b>n</b>", "s": "<a href='http://evil.example'>s</a>"})
    column = Column(name, Kind.CATEGORICAL, "string")
    out = tmp_path / "a.html"
    text = draw(out, frame, added(frame), NUMBER, column)
    head, *rest = text.split("plotly.js v", 1)
    assert "default-src 'none'" in head
    assert rest
    outside = re.sub(r"<script.*?</script>", "", text, flags=re.S)
    assert not re.search(r"(src|href)\s*=|@import|url\(|https?:", outside)
    assert not re.search(r"<script[^>]+src", text)
    assert "<img src=http" not in text
    assert "'http://evil" not in text
    assert text.count("</script>") == text.count("<script")


def test_names_are_no_mathematics_and_no_markup(tmp_path: Path) -> None:
    name = "$x_1^ <b>&amp; \\frac"
    frame = table().rename(columns={"x": name})
    text = draw(tmp_path / "a.svg", frame, added(frame), Column(name, Kind.NUMERIC, "double"))
    assert name in " ".join(ElementTree.fromstring(text).itertext())


def test_an_unknown_suffix_is_refused_before_any_work(tmp_path: Path) -> None:
    for name in ("plot.jpg", "plot", "plot.csv"):
        with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf, \.html"):
            check_plot(tmp_path / name)
    check_plot(tmp_path / "PLOT.PNG")
    with pytest.raises(StorageError, match="folder does not exist"):
        check_plot(tmp_path / "none" / "plot.png")


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    out = tmp_path / "a.png"
    out.write_text("old")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(StorageError, match="no space left"):
        draw(out, table(), added(table()), NUMBER)
    assert out.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_written_to_the_home_folder_and_no_setting_is_changed(tmp_path: Path) -> None:
    code = """
import pandas as pd
from privsynth.minority.picture import before_after
from privsynth.schema import Column, Kind, Schema
frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]})
schema = Schema((Column("x", Kind.NUMERIC, "double"),))
before_after(frame, [0, 0, 0, 1], frame[:2], [1, 1], schema, "a.png", majority=0)
import matplotlib, sys
assert matplotlib.rcParams["text.parse_math"] and "matplotlib.pyplot" not in sys.modules
"""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PYTHON", "MPL"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=kept | {"HOME": str(tmp_path), "USERPROFILE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.name for path in tmp_path.rglob("*")] == ["a.png"]


EDGES = {
    "constants": (pd.DataFrame({"x": [5.0] * 12, "town": ["a"] * 12}), [NUMBER, LEVEL]),
    "nothing but missing cells": (pd.DataFrame({"x": [np.nan] * 12}), [NUMBER]),
    "huge numbers": (pd.DataFrame({"x": [1.7e308, -1.7e308] * 6}), [NUMBER]),
    "levels alone": (pd.DataFrame({"town": list("abcdefghijkl")}), [LEVEL]),
    "no column to draw": (pd.DataFrame({"who": ["a"] * 12}), [Column("who", Kind.TEXT, "string")]),
    "letters that fonts lack": (
        pd.DataFrame({"年齢 𓀀 \u202e\n": ["東京", "القاهرة", None] * 4}),
        [Column("年齢 𓀀 \u202e\n", Kind.CATEGORICAL, "string")],
    ),
    "dates": (
        pd.DataFrame({"day": np.array(["1066-10-14", "2024-02-29", "NaT"] * 4, "datetime64[s]")}),
        [Column("day", Kind.DATETIME, "timestamp[s]", nullable=True)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EDGES)
@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_awkward_tables_are_drawn_without_a_warning(tmp_path: Path, case: str, suffix: str) -> None:
    frame, columns = EDGES[case]
    frame = frame.assign(fraud=[1] + [0] * (len(frame) - 1))  # a class of one row
    assert LABEL in draw(tmp_path / f"a{suffix}", frame, frame[:1], *columns)


def test_no_synthetic_rows_and_labels_of_another_type_are_drawn(tmp_path: Path) -> None:
    frame = table()
    assert LABEL in draw(tmp_path / "a.svg", frame, frame[:0], NUMBER, LEVEL)
    texts = frame.assign(fraud=frame["fraud"].astype(str))
    assert LABEL in draw(tmp_path / "b.html", texts, added(frame), NUMBER)


def test_of_many_columns_those_that_differ_most_are_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"column {i}" + "-" * 60 for i in range(200)]
    frame = pd.DataFrame(rng.normal(size=(100, 200)), columns=names)
    frame["fraud"] = np.arange(100) % 2
    extra = frame[frame["fraud"] == 1].copy()
    extra[names[123]] += 100
    columns = [Column(name, Kind.NUMERIC, "double") for name in names]
    picture = collect(
        frame, frame["fraud"], extra, extra["fraud"], Schema((*columns, TARGET)), 0, 0
    )
    assert next(density.name for density in picture.densities) == names[123]
    assert len(picture.densities) == 9
    assert "9 of 200 columns" in picture.caption
    draw(tmp_path / "a.html", frame, extra, *columns)


def test_few_points_are_drawn_of_many_rows_and_the_caption_says_so() -> None:
    frame = table(4_000)
    extra = added(frame, 3_500)
    schema = Schema((NUMBER, LEVEL, TARGET))
    picture = collect(frame, frame["fraud"], extra, extra["fraud"], schema, 0, 5)
    assert [len(group) for group in picture.planes[0].groups] == [POINTS, 400, POINTS]
    assert "3,000 of 3,600 real majority rows" in picture.caption
    assert "400 of 400 real minority rows" in picture.caption
    assert "seed 5" in picture.caption
    assert picture.classes == (("0", 3600, 0), ("1", 400, 3500))


def test_the_smallest_of_many_classes_share_a_bar() -> None:
    frame = pd.DataFrame({"x": np.arange(100.0)})
    labels = pd.Series(np.arange(100) % 30)
    picture = collect(frame, labels, frame[:3], labels[:3], Schema((NUMBER,)), 0, 0)
    assert len(picture.classes) == 12
    assert picture.classes[-1][0] == "(19 smaller classes)"
    assert sum(row[1] for row in picture.classes) == 100


def test_the_target_ids_and_text_are_no_features() -> None:
    frame = table().assign(who="w", key=range(60))
    columns = (Column("who", Kind.TEXT, "string"), Column("key", Kind.ID, "int64"), NUMBER, TARGET)
    picture = collect(frame, frame["fraud"], frame[:1], frame["fraud"][:1], Schema(columns), 0, 0)
    assert [density.name for density in picture.densities] == ["x"]


# the plane


def test_the_plane_is_that_of_the_principal_components() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5))
    frame = pd.DataFrame(values, columns=list("abcde"))
    (plane,) = planes(frame, [frame[:200], frame[200:]], seed=0)[:1]
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    _, sizes, axes = np.linalg.svd(scaled, full_matrices=False)
    wanted = scaled @ axes[:2].T
    np.testing.assert_allclose(np.abs(np.concatenate(plane.groups)), np.abs(wanted), atol=1e-8)
    shares = sizes**2 / (sizes**2).sum()
    assert plane.axes[0] == f"component 1 ({shares[0]:.0%} of the variance)"


def test_a_column_of_many_levels_counts_for_as_much_as_a_number() -> None:
    rng = np.random.default_rng(0)
    town = pd.Categorical(rng.choice(list("abcdefgh"), 500))
    frame = pd.DataFrame({"town": town, "x": rng.normal(size=500)})
    (plane,) = planes(frame, [frame], seed=0)[:1]
    # the number is the one direction that holds half of the variance of both columns
    assert abs(np.corrcoef(plane.groups[0][:, 0], frame["x"])[0, 1]) > 0.9


def test_more_than_a_thousand_features_are_reduced_like_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 30)) + rng.normal(size=(80, 30)) / 9
    frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(30)])
    (full,) = planes(frame, [frame], seed=0)[:1]
    monkeypatch.setattr("privsynth.minority.picture.plane.WIDEST", 10)
    (short,) = planes(frame, [frame], seed=0)[:1]
    np.testing.assert_allclose(short.groups[0], full.groups[0], atol=1e-6)


def test_umap_gives_a_second_plane_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class UMAP:
        def __init__(self, **settings: Any) -> None:
            assert settings["random_state"] == 7

        def fit_transform(self, points: np.ndarray) -> np.ndarray:
            return -points[:, :2]

    stand_in = SimpleNamespace(UMAP=UMAP)
    monkeypatch.setattr("privsynth.minority.picture.plane._umap", lambda: stand_in)
    frame = pd.DataFrame({"x": np.arange(20.0) ** 2, "y": np.arange(20.0)})
    groups = [frame[:12], frame[12:14], frame[14:]]
    first, second = planes(frame, groups, seed=7)
    assert (first.name, second.name) == ("PCA", "UMAP")
    for one, other in zip(first.groups, second.groups, strict=True):
        np.testing.assert_array_equal(one, -other)
    assert len(planes(frame[:4], [frame[:2], frame[2:4], frame[:0]], seed=7)) == 1  # too few


# densities


def test_whole_numbers_get_a_bin_each_and_missing_cells_are_counted() -> None:
    column = Column("n", Kind.INTEGER, "int64", nullable=True)
    density = measure(column, series([0, 0, 2, None]), series([2, 3]))
    assert density.edges == [-0.5, 0.5, 1.5, 2.5, 3.5]
    assert density.whole
    assert (density.real, density.synthetic) == ([2, 0, 1, 0], [0, 0, 1, 1])
    assert density.missing == (1, 0)
    assert density.absent == (0.25, 0.0)
    # shares 1/2 0 1/4 0 and 1/4 missing, against 0 0 1/2 1/2 and none
    assert density.distance == pytest.approx(0.75)


def test_every_row_falls_in_a_bin_however_far_out() -> None:
    rng = np.random.default_rng(0)
    real, synthetic = rng.standard_cauchy(500), rng.normal(size=300)
    density = measure(NUMBER, series(list(real)), series(list(synthetic)))
    assert (sum(density.real), sum(density.synthetic)) == (500, 300)
    assert len(density.real) == 30


def test_levels_are_the_most_frequent_of_both_then_others_and_missing() -> None:
    real = series([*"aab", *"cdefghij", None], "category")
    synthetic = series(list("zzz"), "category")
    density = measure(LEVEL, real, synthetic)
    assert list(density.levels) == ["z", "a", *"bcdefg", "(other levels)", "(missing)"]
    assert list(density.real) == [0, 2, 1, 1, 1, 1, 1, 1, 3, 1]
    assert list(density.synthetic) == [3] + [0] * 9
    assert density.distance == 1.0


def test_counts_that_fit_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="2 real and 1 synthetic counts for 2 bins"):
        Density("x", [1, 2], [1], edges=[0, 1, 2])
    with pytest.raises(ValueError, match="from 0 up"):
        Density("x", [1, -2], [1, 1], edges=[0, 1, 2])


def test_densities_are_drawn_from_counts() -> None:
    assert draw_densities([]) == ""
    svg = draw_densities(
        [
            Density("age", [1, 2], [3, 4], edges=[0, 1, 2]),
            Density("<town>", [1, 2], [0, 0], levels=["<script>", "s"]),
            Density("day", [1], [2], edges=[0, 1e15], dates=True),
        ]
    )
    words = " ".join(ElementTree.fromstring(svg).itertext())
    assert "age" in words
    assert "<town>" in words
    assert "<script" not in svg


def test_names_are_cut_to_one_printable_line() -> None:
    assert shown("a\nb\u202e") == "a b"
    assert shown("x" * 50, 10) == "x" * 9 + "…"
    assert shown(" ") == "(no name)"


# what an evaluation measured


def gain(mean: float, reach: float) -> dict[str, Any]:
    return {"gain": mean, "low": mean - reach, "high": mean + reach, "verdict": "no gain shown"}


def measured(*methods: str) -> Evaluation:
    grid = np.linspace(0, 1, 51)
    models = ("logistic_regression", "random_forest")
    band = {"mean": (1 - grid).tolist(), "low": [0.0] * 51, "high": [None, *[1.0] * 50]}
    curves = {
        "recall": grid.tolist(),
        "threshold": grid.tolist(),
        "models": {
            model: {name: {"precision": band, "f1": band} for name in ("nothing", *methods)}
            for model in models
        },
    }
    verdicts = {
        name: {"nothing": {model: gain(i / 10, 0.05) for model in (*models, "mean")}}
        for i, name in enumerate(methods)
    }
    verdicts["threshold moving"] = {"nothing": {model: gain(0, 0) for model in models}}
    about = {"curves": curves, "verdicts": {"pr_auc": verdicts}, "methods": list(methods[-1:])}
    return Evaluation((Score("minority gain", "pr_auc", 0.5),), about)


def test_a_page_shows_the_pictures_that_its_evaluation_has() -> None:
    evaluation = measured("smote", "<b>ours</b>")
    html = render(Evaluation.from_json(evaluation.to_json()))
    assert html.count("<figure>") == 4  # differences, two models, thresholds
    assert not re.search(r"<script|https?:|@import|<style.*<style|xlink", html, flags=re.S)
    assert "<b>ours" not in html
    assert "&lt;b&gt;ours" in html
    assert html.count('role="img" stroke-linejoin') == 4
    assert html.count("<title>") == 5
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    for picture in pictures(evaluation):
        ElementTree.fromstring(picture.svg)
        inside = set(re.findall(r'\bid="([^"]*)"', picture.svg))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]*)', picture.svg)) <= inside
    assert "<figure>" not in render(Evaluation(evaluation.scores))


def test_pictures_are_the_same_every_time() -> None:
    curves = measured("smote").about["curves"]
    assert draw_thresholds(curves) == draw_thresholds(curves)


def test_judged_methods_come_first_and_one_that_cannot_differ_is_left_out() -> None:
    about = measured("smote", "ours").about
    words = draw_differences(about["verdicts"]["pr_auc"], first=["ours"])
    assert words.index(">ours<") < words.index(">smote<")
    assert "threshold moving" not in words
    assert draw_differences({}) == ""


def test_many_methods_with_odd_names_are_drawn() -> None:
    names = [f"_method $ {i} & <i>" + "y" * 40 for i in range(13)]
    about = measured(*names).about
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parts = [
            draw_curves(about["curves"], "random_forest"),
            draw_thresholds(about["curves"]),
            draw_differences(about["verdicts"]["pr_auc"]),
        ]
    for svg in parts:
        assert shown(names[12]) in " ".join(ElementTree.fromstring(svg).itertext())


def attacked(threshold: float | None = None, verdict: str = "FAIL") -> Evaluation:
    scores = (
        Score("attacks", "membership_tpr_at_1pct", 0.5, 0.4, 0.6, 0.01, "lower"),
        Score("attacks", "membership_auc", 0.5, 0.4, 0.6, 0.5, "lower"),
        Score("attacks", "membership_epsilon", 1.5, 1.25, None, 0.0, "lower"),
        Score("attacks", "near_replicas", 0.5, 0.1, 0.4, 0.25, "lower"),
        Score("attacks", "attribute_inference_town", 0.5, 0.1, 0.4, 0.25, "lower"),
        Score("attacks", "linkability", None, better="lower", meaning="needs a holdout"),
    )
    finding = {
        "score": "near_replicas",
        "verdict": verdict,
        "fails": True,
        "bound": 0.1,
        "threshold": threshold,
        "words": "",
    }
    told = {"policy": {"name": "standard"}, "findings": [finding]}
    return Evaluation(scores, {} if threshold is None else told)


def test_attacks_are_drawn_with_baseline_threshold_and_the_difference_that_is_bounded() -> None:
    share, epsilon, near = attacks(attacked(0.05))
    assert (share.name, share.value, share.baseline, share.threshold) == (
        "TPR at 1%",
        0.5,
        0.01,
        None,
    )
    assert (epsilon.low, epsilon.high) == (1.25, 1.5)  # there is no upper end
    assert (near.value, near.low, near.high, near.baseline) == (0.25, 0.1, 0.4, 0.0)
    assert (near.threshold, near.missed) == (0.05, True)
    assert not attacks(attacked(0.05, "INCONCLUSIVE"))[2].missed


def test_the_picture_of_attacks_is_in_the_page_and_the_same_every_time() -> None:
    first = draw_attacks(attacked(0.05))
    assert first == draw_attacks(attacked(0.05))
    assert "more than allowed" in first
    assert "more than allowed" not in draw_attacks(attacked())
    assert first in render(attacked(0.05))
    assert draw_attacks(Evaluation(())) == ""


def test_a_tick_at_zero_has_no_sign() -> None:
    drawn = draw_densities([Density("x", [1, 2], [2, 1], edges=[-1.0, 0.0, 1.0])])
    ticks = re.findall(r">(-?[\d.,]+%?)</text>", drawn)
    assert "0" in ticks
    assert not {"-0", "-0%"} & set(ticks)
    assert (_number(-0.0, None), _number(-0.5, None), _percent(-0.0, None)) == ("0", "-0.5", "0%")
