"""Draw the packages and their imports as docs/house.svg: ``python docs/draw_house.py``.

A box is a package or a file of the root; it stands above everything that it imports. Arrows that
follow from others are left out: an arrow from a to c is not drawn where a reaches c through b.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from house import package_graph  # noqa: E402

Graph = Mapping[str, frozenset[str]]

WIDTH, LEFT_OUT = 1060, {"__main__", "arrays", "errors", "packages", "redaction"}
BOX, ROW, MARGIN = (112, 34), 92, 24
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#1f2933;text-anchor:middle}"
    "rect{fill:#f3f6fa;stroke:#51606f;rx:6}"
    "path{stroke:#8796a5;fill:none;marker-end:url(#tip)}"
    "@media(prefers-color-scheme:dark){text{fill:#e4e9ee}rect{fill:#26313c;stroke:#8fa1b3}}"
)


def floors(graph: Graph) -> dict[str, int]:
    """Return the height of each package: one more than the highest that it imports."""
    height: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        height[name] = 1 + max((height[below] for below in graph[name]), default=-1)
    return height


def reduced(graph: Graph) -> dict[str, set[str]]:
    """Drop every import that follows from others."""
    reach: dict[str, set[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        reach[name] = set(graph[name]).union(*(reach[below] for below in graph[name]))
    return {
        name: {b for b in below if not any(b in reach[other] for other in below)}
        for name, below in graph.items()
    }


def waypoints(graph: Graph) -> dict[str, frozenset[str]]:
    """Cut each long arrow into steps of one floor, so that no arrow runs behind a box.

    A waypoint is called ``above>below@floor``.
    """
    height = floors(graph)
    steps: dict[str, frozenset[str]] = {name: frozenset() for name in graph}
    for name, below in reduced(graph).items():
        for other in below:
            between = range(height[name] - 1, height[other], -1)
            chain = [name, *(f"{name}>{other}@{floor}" for floor in between), other]
            for above, next_one in pairwise(chain):
                steps[above] = steps.get(above, frozenset()) | {next_one}
    return steps


def places(steps: Graph) -> dict[str, tuple[float, float]]:
    """Place boxes and waypoints floor by floor, each near the mean of those below it."""
    height = floors(steps)
    top = max(height.values())
    at: dict[str, tuple[float, float]] = {}
    for floor in range(top + 1):
        row = sorted(name for name, of in height.items() if of == floor)
        row.sort(key=lambda name: sum(at[b][0] for b in steps[name]) / max(len(steps[name]), 1))
        for i, name in enumerate(row):
            at[name] = (WIDTH * (i + 0.5) / len(row), MARGIN + ROW * (top - floor) + BOX[1] / 2)
    return at


def curve(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Return the part of an SVG path that leads from one point down to another."""
    (_, y), (u, v) = start, end
    middle = (y + v) / 2
    return f"C{start[0]:g} {middle:g} {u:g} {middle:g} {u:g} {v:g}"


def arrows(steps: Graph, at: Mapping[str, tuple[float, float]]) -> Iterator[str]:
    """Yield an SVG path for each arrow between two boxes, through its waypoints."""
    half = BOX[1] / 2
    for name in sorted(name for name in steps if ">" not in name):
        for step in sorted(steps[name]):
            x, y = at[name][0], at[name][1] + half
            path, here = f"M{x:g} {y:g}", (x, y)
            while ">" in step:  # straight past the boxes of the floor
                for point in ((at[step][0], at[step][1] - half), (at[step][0], at[step][1] + half)):
                    path += curve(here, point)
                    here = point
                (step,) = steps[step]
            yield path + curve(here, (at[step][0], at[step][1] - half - 1))


def drawn(graph: Graph) -> str:
    """Return the picture as SVG text."""
    steps = waypoints(graph)
    at = places(steps)
    tall = max(y for _, y in at.values()) + BOX[1] / 2 + MARGIN
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {tall:g}")
    SubElement(svg, "title").text = "The packages of privsynth: each imports those below it"
    SubElement(svg, "style").text = STYLE
    tip = SubElement(
        SubElement(svg, "defs"), "marker", id="tip", viewBox="0 0 8 8", refX="7", refY="4",
        markerWidth="7", markerHeight="7", orient="auto",
    )  # fmt: skip
    SubElement(tip, "path", d="M0 0L8 4L0 8z", style="fill:#8796a5;stroke:none;marker-end:none")
    for path in arrows(steps, at):
        SubElement(svg, "path", d=path)
    for name in sorted(graph):
        x, y = at[name]
        SubElement(
            svg, "rect", x=f"{x - BOX[0] / 2:g}", y=f"{y - BOX[1] / 2:g}",
            width=str(BOX[0]), height=str(BOX[1]),
        )  # fmt: skip
        SubElement(svg, "text", x=f"{x:g}", y=f"{y + 5:g}").text = name or "privsynth"
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def picture() -> str:
    """Return the picture of the house as it stands; errors, which all import, are left out."""
    graph = package_graph(ROOT / "privsynth")
    kept = {n: frozenset(b - LEFT_OUT) for n, b in graph.items() if n not in LEFT_OUT}
    return drawn(kept)


if __name__ == "__main__":
    (ROOT / "docs" / "house.svg").write_text(picture(), encoding="utf-8")
