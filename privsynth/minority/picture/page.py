"""Draw before and after as a self-contained page that can be zoomed, by plotly."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from privsynth.report.plots.densities import Density, heading
from privsynth.report.plots.marks import (
    INK,
    LINE,
    MAJORITY,
    MINORITY,
    SOFT,
    SYNTHETIC,
    moments,
    shown,
)

if TYPE_CHECKING:
    from privsynth.minority.picture.comparison import BeforeAfter
    from privsynth.minority.picture.plane import Plane

__all__ = ["page"]

CONFIG = {
    "displaylogo": False,
    # No button that saves a picture without its warning, or uploads it.
    "modeBarButtons": [["zoom2d", "pan2d", "resetScale2d"]],
    "plotlyServerURL": "",
    "responsive": True,
    "topojsonURL": "",
}


def page(picture: BeforeAfter, title: str, warning: str) -> str:
    """Draw the picture as a page.

    Parameters
    ----------
    picture : BeforeAfter
    title, warning : str
        What the page is, and what must not be done with it.

    Returns
    -------
    str
        HTML with its scripts inline; its policy forbids loading anything. Every name is escaped.
    """
    from jinja2 import Environment, StrictUndefined

    text = (files("privsynth.minority.picture") / "before_after.html").read_text(encoding="utf-8")
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)
    parts = [_plane(plane) for plane in picture.planes] + [_classes(picture.classes)]
    if picture.densities:
        parts.append(_densities(picture.densities))
    fragments = [
        figure.to_html(full_html=False, include_plotlyjs=i == 0, div_id=f"part-{i}", config=CONFIG)
        for i, figure in enumerate(parts)
    ]
    return template.render(title=title, warning=warning, caption=picture.caption, parts=fragments)


def _laid_out(figure: Any, height: int, title: str, **more: Any) -> Any:
    figure.update_layout(
        modebar={"orientation": "v"},
        template="none",
        height=height,
        title={"text": title, "x": 0, "xref": "paper", "xanchor": "left", "font": {"size": 15}},
        font={"family": "system-ui, sans-serif", "size": 12, "color": INK},
        margin={"l": 60, "r": 40, "t": 70, "b": 50},
        **more,
    )
    figure.update_annotations(font_size=12)
    figure.update_xaxes(gridcolor=LINE, linecolor=SOFT, zeroline=False, showline=True)
    figure.update_yaxes(gridcolor=LINE, linecolor=SOFT, zeroline=False, showline=True)
    return figure


def _plane(plane: Plane) -> Any:
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    figure = make_subplots(
        1, 2, shared_xaxes="all", shared_yaxes="all", subplot_titles=("before", "after")
    )
    majority, minority, synthetic = plane.groups
    groups = [
        (1, MAJORITY, majority),
        (1, MINORITY, minority),
        (2, MAJORITY, majority),
        (2, SYNTHETIC, synthetic),
        (2, MINORITY, minority),
    ]
    for place, mark, points in groups:
        looks: dict[str, Any] = {
            "color": mark.colour,
            "symbol": mark.symbol,
            "size": 6 if mark is MINORITY else 5,
        }
        if mark is SYNTHETIC:  # a thin cross is drawn as outline only
            looks["line"] = {"width": 1.2, "color": mark.colour}
        figure.add_trace(
            Scatter(
                x=points[:, 0].round(3),
                y=points[:, 1].round(3),
                mode="markers",
                marker=looks,
                opacity=0.75,
                hoverinfo="skip",
                name=mark.words,
                legendgroup=mark.words,
                showlegend=place == 2,
            ),
            1,
            place,
        )
    figure.update_xaxes(title_text=plane.axes[0])
    figure.update_yaxes(title_text=plane.axes[1], col=1)
    legend = {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "itemsizing": "constant"}
    return _laid_out(figure, 560, f"Rows in a plane by {plane.name}", legend=legend)


def _classes(classes: tuple[tuple[str, int, int], ...]) -> Any:
    from plotly.graph_objects import Bar, Figure

    names = [_name(name, 24) for name, _, _ in classes]
    labels = [
        f"{name}: {before:,}" + (f" → {before + more:,}" if more else "")
        for name, (_, before, more) in zip(names, classes, strict=True)
    ]
    real, added = ([row[i] for row in classes] for i in (1, 2))
    colours = [MAJORITY.colour] + [MINORITY.colour] * (len(classes) - 1)
    hatched = {
        "color": "white",
        "line": {"color": SYNTHETIC.colour, "width": 1},
        "pattern": {"shape": "/", "fgcolor": SYNTHETIC.colour},
    }
    # By position: two names may be equal once they are shortened.
    places = list(range(len(classes)))
    look = {"orientation": "h", "y": places, "customdata": names}
    figure = Figure(
        [
            Bar(
                x=real,
                marker={"color": colours},
                name="real",
                hovertemplate="%{customdata}: %{x:,} real<extra></extra>",
                **look,
            ),
            Bar(
                x=added,
                marker=hatched,
                name="synthetic",
                hovertemplate="%{customdata}: %{x:,} synthetic<extra></extra>",
                **look,
            ),
        ]
    )
    figure.update_yaxes(tickvals=places, ticktext=labels, autorange="reversed", automargin=True)
    figure.update_xaxes(tickformat=",")
    height = 150 + 30 * len(classes)
    return _laid_out(
        figure,
        height,
        "Rows of each class, before → after (hatched: synthetic)",
        barmode="stack",
        showlegend=False,
    )


def _densities(densities: tuple[Density, ...]) -> Any:
    from plotly.subplots import make_subplots

    lines = -(-len(densities) // 3)
    titles = [escape(heading(density)) for density in densities]
    figure = make_subplots(
        lines,
        3,
        subplot_titles=titles,
        horizontal_spacing=0.13,
        vertical_spacing=0.32 / lines,
    )
    for i, density in enumerate(densities):
        for trace in _traces(density, first=i == 0):
            figure.add_trace(trace, i // 3 + 1, i % 3 + 1)
        at = {"row": i // 3 + 1, "col": i % 3 + 1}
        if density.levels:
            places = list(range(len(density.levels)))
            labels = [_name(level, 18) for level in density.levels]
            figure.update_yaxes(
                tickvals=places, ticktext=labels, autorange="reversed", automargin=True, **at
            )
            figure.update_xaxes(tickformat=".0%", rangemode="tozero", nticks=5, **at)
        else:
            figure.update_yaxes(tickformat=".2~%", rangemode="tozero", nticks=5, **at)
            if density.whole:
                figure.update_xaxes(
                    tickformat="d", dtick=max(1, len(density.real) // 6), tick0=0, **at
                )
    legend = {
        "orientation": "h",
        "x": 1,
        "xanchor": "right",
        "y": 1 + 0.2 / lines,
        "yanchor": "bottom",
    }
    title = "Where the real and the synthetic minority differ most"
    return _laid_out(figure, 110 + 230 * lines, title, legend=legend)


def _traces(density: Density, first: bool) -> list[Any]:
    from plotly.graph_objects import Bar, Scatter

    marks = list(zip((MINORITY, SYNTHETIC), density.shares, strict=True))
    common: dict[str, Any] = {"showlegend": first}
    if density.levels:
        levels = [_name(level, 40) for level in density.levels]
        return [
            Bar(
                x=shares,
                y=list(range(len(levels))),
                orientation="h",
                customdata=levels,
                hovertemplate="%{customdata}: %{x:.1%}<extra>" + mark.words + "</extra>",
                marker={
                    "color": mark.colour if mark is MINORITY else "white",
                    "opacity": 0.6 if mark is MINORITY else 1,
                    "line": {"color": mark.colour, "width": 1.2},
                },
                name=mark.words,
                legendgroup=mark.words,
                **common,
            )
            for mark, shares in marks
        ]
    ends = [moments(edge) for edge in density.edges] if density.dates else list(density.edges)
    return [
        Scatter(
            x=ends,
            y=[*shares, shares[-1]],
            mode="lines",
            line={"shape": "hv", "color": mark.colour, "width": 0 if mark is MINORITY else 2},
            fill="tozeroy" if mark is MINORITY else "none",
            hovertemplate="from %{x}: %{y:.1%}<extra>" + mark.words + "</extra>",
            name=mark.words,
            legendgroup=mark.words,
            **common,
        )
        for mark, shares in marks
    ]


def _name(name: object, width: int) -> str:
    return escape(shown(name, width))
