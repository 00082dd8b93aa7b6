"""Draw before and after on one sheet, by matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.report.plots import canvas
from privsynth.report.plots.densities import keys, panel
from privsynth.report.plots.marks import INK, MAJORITY, MINORITY, SOFT, SYNTHETIC, Mark, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privsynth.minority.picture.comparison import BeforeAfter
    from privsynth.minority.picture.plane import Plane

__all__ = ["write_sheet"]

WIDTH = 11.0
RED = "#a3180f"


def write_sheet(picture: BeforeAfter, title: str, warning: str, path: Path, suffix: str) -> None:
    """Draw the picture, and write it to a file.

    Parameters
    ----------
    picture : BeforeAfter
    title, warning : str
        What the picture is, and what must not be done with it; both are printed in the picture
        and written to the file's metadata.
    path : Path
    suffix : {".png", ".svg", ".pdf"}
    """
    lines = -(-len(picture.densities) // 3)
    heights = [3.7] * len(picture.planes) + [0.5 + 0.24 * len(picture.classes)]
    heights += [0.3] + [1.75] * lines
    caption = textwrap.wrap(picture.caption, 205)
    head, foot = 0.62, 0.12 + 0.16 * len(caption)
    with canvas.style():
        from matplotlib.lines import Line2D

        drawn = canvas.figure(WIDTH, head + sum(heights) + foot)
        height = drawn.get_figheight()
        room = (0.005, foot / height, 0.99, 1 - (head + foot) / height)
        drawn.set_layout_engine("constrained", rect=room, h_pad=0.05, hspace=0.03)
        drawn.text(0.01, 1 - 0.1 / height, title, fontsize=13, weight="bold", va="top")
        drawn.text(0.01, 1 - 0.36 / height, warning, fontsize=9, weight="bold", va="top", color=RED)
        drawn.text(0.01, 0.06 / height, "\n".join(caption), fontsize=7, va="bottom", color=SOFT)
        marks = [
            Line2D([], [], color=mark.colour, marker=mark.shape, linestyle="", label=mark.words)
            for mark in (MAJORITY, MINORITY, SYNTHETIC)
        ]
        drawn.legend(
            handles=marks, loc="lower right", bbox_to_anchor=(0.99, 1 - 0.5 / height), ncols=3
        )
        grid = drawn.add_gridspec(len(heights), 6, height_ratios=heights)
        for row, plane in enumerate(picture.planes):
            _pair(drawn.add_subplot(grid[row, :3]), drawn.add_subplot(grid[row, 3:]), plane)
        _classes(drawn.add_subplot(grid[len(picture.planes), :]), picture.classes)
        below = len(picture.planes) + 1
        key = drawn.add_subplot(grid[below, :])
        key.axis("off")
        if picture.densities:
            handles = keys(MINORITY.words, SYNTHETIC.words)
            key.legend(handles=handles, loc="lower left", ncols=2, borderaxespad=0)
        for i, density in enumerate(picture.densities):
            row, place = divmod(i, 3)
            at = grid[below + 1 + row, 2 * place : 2 * place + 2]
            panel(drawn.add_subplot(at), density)
        canvas.write(drawn, path, suffix, f"{title}: {warning}", picture.caption)


def _pair(before: Axes, after: Axes, plane: Plane) -> None:
    """Draw the points of a plane twice on the same scale: without and with the synthetic ones."""
    majority, minority, synthetic = plane.groups
    places = np.concatenate(plane.groups)
    low, high = places.min(axis=0), places.max(axis=0)
    margin = np.where(high > low, 0.04 * (high - low), 0.5)
    shown_groups = {
        before: (f"Before ({plane.name})", ((MAJORITY, majority), (MINORITY, minority))),
        after: (
            f"After ({plane.name})",
            ((MAJORITY, majority), (SYNTHETIC, synthetic), (MINORITY, minority)),
        ),
    }
    for axes, (name, groups) in shown_groups.items():
        for order, (mark, points) in enumerate(groups):
            _scatter(axes, mark, points, order)
        axes.set_title(name)
        axes.set_xlabel(plane.axes[0], color=SOFT)
        axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
        axes.set_ylim(low[1] - margin[1], high[1] + margin[1])
    before.set_ylabel(plane.axes[1], color=SOFT)


def _scatter(axes: Axes, mark: Mark, points: np.ndarray, order: int) -> None:
    few = len(points) <= 300
    looks: dict[str, Any] = {"linewidth": 0.0, "s": 20 if few else 7, "color": mark.colour}
    if mark is MINORITY:
        looks |= {"s": 28 if few else 13, "edgecolor": "white", "linewidth": 0.25}
    elif mark is SYNTHETIC:
        looks |= {"s": 24 if few else 8, "linewidth": 0.6}
    # Rasterized: a file with thousands of vector shapes is slow to open.
    axes.scatter(
        points[:, 0],
        points[:, 1],
        marker=mark.shape,
        alpha=0.6 if mark is MAJORITY else 0.85,
        rasterized=True,
        zorder=2 + order,
        **looks,
    )


def _classes(axes: Axes, classes: tuple[tuple[str, int, int], ...]) -> None:
    places = np.arange(len(classes))
    real, added = (np.array([row[i] for row in classes], dtype=float) for i in (1, 2))
    colours = [MAJORITY.colour] + [MINORITY.colour] * (len(classes) - 1)
    axes.barh(places, real, 0.7, color=colours)
    some = added > 0
    axes.barh(
        places[some],
        added[some],
        0.7,
        left=real[some],
        facecolor="white",
        edgecolor=SYNTHETIC.colour,
        hatch="////",
    )
    longest = float((real + added).max()) or 1.0
    for place, (_, before, more) in zip(places, classes, strict=True):
        label = f"{before:,} → {before + more:,}" if more else f"{before:,}"
        axes.text(
            before + more + 0.008 * longest, float(place), label, va="center", fontsize=7, color=INK
        )
    axes.set_title("Rows of each class, before → after (hatched: synthetic)")
    axes.set_yticks(places, labels=[shown(name, 24) for name, _, _ in classes])
    axes.set_ylim(len(classes) - 0.45, -0.55)
    axes.set_xlim(0, 1.13 * longest)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
