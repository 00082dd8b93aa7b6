"""Pictures of what `minority_gain` measured, drawn from curves and differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.report.layout import label
from privsynth.report.plots import canvas
from privsynth.report.plots.marks import INK, LINE, MINORITY, SOFT, SYNTHETIC, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_curves", "draw_differences", "draw_thresholds"]

WIDTH = 9.5
REFERENCE = "nothing"
MEAN = "mean"
# dashes distinguish the methods, too, for readers who cannot see the colours
_COLOURS = (SYNTHETIC.colour, MINORITY.colour, "#2a9d78", "#b0478a", "#7a6a00", "#4aa8d8")
_DASHES = ((), (5, 1.5), (1.5, 1.2), (6, 1.5, 1.5, 1.5))
_SHAPES = ("o", "s", "^", "v", "P", "X")


def draw_curves(curves: Mapping[str, Any], model: str, first: Sequence[str] = ()) -> str:
    """Draw each method's precision-recall curve and its band, beside that of no augmentation.

    Parameters
    ----------
    curves : mapping
        ``about["curves"]`` of an evaluation by `minority_gain`: ``recall``, and under
        ``models``, by model and method, ``precision`` with ``mean``, ``low`` and ``high``.
    model : str
        The model whose curves are drawn.
    first : sequence of str
        The methods to show first: those that are judged.

    Returns
    -------
    str
        SVG for a page; empty if the model has no curve.
    """
    by_method = {name: curve["precision"] for name, curve in curves["models"][model].items()}
    reference = by_method.get(REFERENCE)
    others = [name for name in by_method if name != REFERENCE] or list(by_method)
    others.sort(key=lambda name: name not in first)
    if not others:
        return ""
    n_columns = min(4, max(2, len(others)))
    n_lines = -(-len(others) // n_columns)
    # bands are wide at low recall: ignore the widest part, or the rest would be squeezed
    top = max(
        float(
            np.nanmax([0.01, *_curve(band["mean"]), *np.nanquantile(_curve(band["high"]), [0.9])])
        )
        for band in by_method.values()
    )
    with canvas.style():
        fig = canvas.figure(WIDTH, 0.75 + 1.95 * n_lines)
        grid = fig.subplots(n_lines, n_columns, squeeze=False, sharex=True, sharey=True)
        for position, (axes, name) in enumerate(zip(grid.ravel(), others, strict=False)):
            if reference is not None and name != REFERENCE:
                _band(axes, curves["recall"], reference, SOFT, (3, 1.5))
            _band(axes, curves["recall"], by_method[name], SYNTHETIC.colour, ())
            axes.set_title(shown(name, 26), color=INK)
            axes.set_xlim(0, 1)
            axes.set_ylim(0, min(1.0, 1.05 * top))
            axes.grid(True)
            if position + n_columns >= len(others):
                axes.set_xlabel("recall")
                axes.tick_params(labelbottom=True)
        for axes in grid.ravel()[len(others) :]:
            axes.axis("off")
        for axes in grid[:, 0]:
            axes.set_ylabel("precision")
        keys = [_key(SYNTHETIC.colour, (), "with the method")]
        if reference is not None:
            keys.append(_key(SOFT, (3, 1.5), f"{REFERENCE} "))
        fig.legend(handles=keys, loc="outside upper left", ncols=2)
        names = ", ".join(map(shown, others))
        alt = f"Precision by recall with 95% bands, {label(model)}, of {names}"
        return canvas.inline(fig, f"curves-{_slug(model)}", alt)


def draw_thresholds(curves: Mapping[str, Any]) -> str:
    """Draw F1 by threshold: one panel per model, one line per method.

    Parameters
    ----------
    curves : mapping
        As in `draw_curves`, with ``threshold``, and ``f1`` beside ``precision``.

    Returns
    -------
    str
        SVG for a page; empty without curves.
    """
    models = curves["models"]
    methods = list(dict.fromkeys(name for by_method in models.values() for name in by_method))
    if not methods:
        return ""
    looks = _looks(methods)
    columns = 4
    with canvas.style():
        fig = canvas.figure(WIDTH, 2.9 + 0.17 * -(-len(methods) // columns))
        grid = fig.subplots(1, len(models), squeeze=False, sharey=True).ravel()
        for axes, (model, by_method) in zip(grid, models.items(), strict=True):
            axes.axvline(0.5, color=SOFT, linewidth=0.8, zorder=1)
            for name, lines in by_method.items():
                axes.plot(curves["threshold"], _curve(lines["f1"]["mean"]), **looks[name])
            axes.set_title(shown(label(model), 34), color=INK)
            axes.set_xlabel("threshold")
            axes.set_xlim(0, 1)
            axes.grid(True)
        grid[0].set_ylabel("F1")
        grid[0].set_ylim(bottom=0)  # last, since it stops the shared axis from growing
        keys = [_key(look["color"], look["dashes"], shown(name)) for name, look in looks.items()]
        fig.legend(handles=keys, loc="outside lower left", ncols=columns, handlelength=3)
        alt = f"F1 by threshold of {', '.join(map(shown, methods))}"
        return canvas.inline(fig, "thresholds", alt)


def draw_differences(differences: Mapping[str, Any], first: Sequence[str] = ()) -> str:
    """Draw paired differences of PR-AUC with their intervals, by method and model.

    Parameters
    ----------
    differences : mapping
        ``about["verdicts"]["pr_auc"]`` of an evaluation by `minority_gain`: method, what it is
        compared with, model or ``"mean"``, then ``gain``, ``low`` and ``high``.
    first : sequence of str
        The methods to show first: those that are judged.

    Returns
    -------
    str
        SVG for a page; empty if no method can differ from another.
    """
    # a method that only moves the threshold does not change the ranking, and so not PR-AUC
    differing = [name for name, by_other in differences.items() if _differs(by_other)]
    methods = sorted(differing, key=lambda name: name not in first)
    others = list(dict.fromkeys(other for name in methods for other in differences[name]))
    if not methods:
        return ""
    models = list(dict.fromkeys(m for d in differences.values() for o in d.values() for m in o))
    models.sort(key=lambda model: model != MEAN)
    with canvas.style():
        fig = canvas.figure(WIDTH, 1.0 + (0.13 * len(models) + 0.17) * len(methods))
        grid = fig.subplots(1, len(others), squeeze=False, sharey=True).ravel()
        for axes, other in zip(grid, others, strict=True):
            axes.axvline(0, color=INK, linewidth=0.8, zorder=1)
            for position, method in enumerate(methods):
                if position % 2:
                    axes.axhspan(
                        position - 0.5, position + 0.5, color=LINE, alpha=0.5, linewidth=0, zorder=0
                    )
                for i, model in enumerate(models):
                    gain = differences[method].get(other, {}).get(model)
                    height = position + 0.8 * ((i + 0.5) / len(models) - 0.5)
                    _interval(axes, gain, height, _shape(models, model), model == MEAN)
            axes.set_title(f"PR-AUC less that of {shown(other)}", color=INK)
            axes.grid(True, axis="x")
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
        grid[0].set_yticks(range(len(methods)), labels=[shown(name) for name in methods])
        grid[0].set_ylim(len(methods) - 0.5, -0.5)
        keys = [
            _point(
                INK, _shape(models, model), "mean of the models" if model == MEAN else label(model)
            )
            for model in models
        ]
        keys += [
            _point(SYNTHETIC.colour, "o", "gain"),
            _point(MINORITY.colour, "o", "loss"),
            _point(SOFT, "o", "no gain shown"),
        ]
        fig.legend(handles=keys, loc="outside lower left", ncols=4, handletextpad=0.3)
        alt = f"Differences of PR-AUC with 95% intervals of {', '.join(map(shown, methods))}"
        return canvas.inline(fig, "differences", alt)


def _curve(values: Sequence[float | None]) -> np.ndarray:
    """Return a curve as numbers; null in the JSON becomes NaN."""
    return np.array(values, dtype=np.float64)


def _band(axes: Axes, recall: Sequence[float], band: Any, colour: str, dashes: Any) -> None:
    axes.fill_between(
        recall, _curve(band["low"]), _curve(band["high"]), color=colour, alpha=0.18, linewidth=0
    )
    axes.plot(recall, _curve(band["mean"]), color=colour, linewidth=1.4, dashes=dashes)


def _looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the colour, dashes and width of each method's line; the reference is in ink."""
    others = [name for name in methods if name != REFERENCE]
    looks: dict[str, dict[str, Any]] = {}
    if REFERENCE in methods:
        looks[REFERENCE] = {"color": INK, "dashes": (), "linewidth": 1.8}
    for position, name in enumerate(others):
        looks[name] = {
            "color": _COLOURS[position % len(_COLOURS)],
            "dashes": _DASHES[position % len(_DASHES)],
            "linewidth": 1.3,
        }
    return looks


def _differs(by_other: Mapping[str, Any]) -> bool:
    by_model = by_other.get(REFERENCE)
    return by_model is None or any(
        gain[end] not in (0, None) for gain in by_model.values() for end in ("gain", "low", "high")
    )


def _shape(models: Sequence[str], model: str) -> str:
    if model == MEAN:
        return "D"
    return _SHAPES[[m for m in models if m != MEAN].index(model) % len(_SHAPES)]


def _interval(axes: Axes, gain: Any, height: float, shape: str, strong: bool) -> None:
    if gain is None or gain["gain"] is None:
        return
    low, high = (gain["gain"] if gain[end] is None else gain[end] for end in ("low", "high"))
    colour = SYNTHETIC.colour if low > 0 else MINORITY.colour if high < 0 else SOFT
    axes.plot([low, high], [height] * 2, color=colour, linewidth=2.2 if strong else 1.0)
    size = 5.5 if strong else 3.5
    axes.plot([gain["gain"]], [height], shape, color=colour, markersize=size, zorder=3)


def _key(colour: str, dashes: Any, words: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, dashes=dashes, linewidth=1.6, label=words)


def _point(colour: str, shape: str, words: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, marker=shape, linestyle="none", markersize=5, label=words)


def _slug(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "-" for c in name)
