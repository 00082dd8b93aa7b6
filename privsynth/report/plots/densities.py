"""The distribution of a column, real and synthetic, as counts in shared bins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.report.plots.marks import INK, MINORITY, SYNTHETIC, moments, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from privsynth.schema import Column

__all__ = ["Density", "draw_densities", "heading", "keys", "measure", "panel"]

BINS = 30
BARS = 8
OTHERS, MISSING = "(other levels)", "(missing)"
TAIL = 0.005
FARTHEST = 1e300  # the difference of two such floats is still finite
EXACT = 2**50  # floats below this represent halves exactly


@dataclass(frozen=True)
class Density:
    """How often each bin of a column holds a real and a synthetic row.

    It holds counts, never rows. Before one is published, no bin of real rows may be smaller
    than disclosure control allows; that is up to the caller.

    Parameters
    ----------
    name : str
        The column's name.
    real, synthetic : sequence of float, one per bin
        Number or share of the rows in each bin.
    edges : sequence of float
        Of a continuous column: the ends of its bins, ascending; one more than there are bins.
    levels : sequence of str
        Of a discrete column: the level of each bin.
    dates : bool
        Whether the edges are seconds since 1970.
    missing : (float, float)
        Real and synthetic rows whose cell is missing, unless a bin counts them.

    Raises
    ------
    ValueError
        The counts match neither edges nor levels, or are not counts.
    """

    name: str
    real: Sequence[float]
    synthetic: Sequence[float]
    edges: Sequence[float] = ()
    levels: Sequence[str] = ()
    dates: bool = False
    missing: tuple[float, float] = (0, 0)

    def __post_init__(self) -> None:
        bins = len(self.levels) or len(self.edges) - 1
        if not bins == len(self.real) == len(self.synthetic):
            raise ValueError(
                f"column {self.name!r}: {len(self.real)} real and {len(self.synthetic)} synthetic "
                f"counts for {bins} bins; give one count a bin"
            )
        counts = np.array([[*self.real, *self.missing], [*self.synthetic, 0, 0]], dtype=np.float64)
        if not np.isfinite(counts).all() or (counts < 0).any():
            raise ValueError(f"column {self.name!r}: expected counts as numbers from 0 up")

    @property
    def shares(self) -> tuple[np.ndarray, np.ndarray]:
        """The share of the real and of the synthetic rows in each bin; zeros without rows."""
        real, synthetic = self._parts()
        return real[:-1], synthetic[:-1]

    @property
    def absent(self) -> tuple[float, float]:
        """The share of the real and of the synthetic rows whose cell is missing."""
        real, synthetic = self._parts()
        return float(real[-1]), float(synthetic[-1])

    @property
    def distance(self) -> float:
        """Total variation distance: the share of rows that would have to move, 0 to 1."""
        real, synthetic = self._parts()
        return float(np.abs(real - synthetic).sum() / 2)

    @property
    def whole(self) -> bool:
        """Whether each bin is one whole number."""
        return bool(self.edges) and all(edge % 1 == 0.5 for edge in self.edges)

    def _parts(self) -> tuple[np.ndarray, np.ndarray]:
        real, synthetic = (
            np.array([*counts, missing], dtype=np.float64)
            for counts, missing in zip((self.real, self.synthetic), self.missing, strict=True)
        )
        return real / (real.sum() or 1.0), synthetic / (synthetic.sum() or 1.0)


def measure(column: Column, real: pd.Series[Any], synthetic: pd.Series[Any]) -> Density:
    """Count a column of two canonical frames in shared bins.

    Parameters
    ----------
    column : Column
        Continuous: 30 bins of equal width, or one per whole number if there are fewer; the
        outermost include what lies beyond the middle 99% of the rows. Discrete: a bin for each of
        the 8 most frequent levels, one for the others, one for missing cells.
    real, synthetic : pandas.Series
        Float64 or categorical, as `canonical` returns them.
    """
    if column.kind.continuous:
        return _of_numbers(
            column.name, real.to_numpy(), synthetic.to_numpy(), column.kind == "datetime"
        )
    return _of_levels(column.name, real, synthetic)


def _of_numbers(name: str, real: np.ndarray, synthetic: np.ndarray, dates: bool) -> Density:
    known = [rows[~np.isnan(rows)] for rows in (real, synthetic)]
    missing = (len(real) - len(known[0]), len(synthetic) - len(known[1]))
    values = np.concatenate(known)
    if not len(values):
        return Density(name, missing[:1], missing[1:], levels=[MISSING])
    edges = _edges(values)
    counts = [np.histogram(np.clip(rows, edges[0], edges[-1]), edges)[0].tolist() for rows in known]
    return Density(name, counts[0], counts[1], edges=edges.tolist(), dates=dates, missing=missing)


def _edges(values: np.ndarray) -> np.ndarray:
    """Cut the middle 99% of the values into 30 bins, or into one per whole number."""
    low, high = float(values.min()), float(values.max())
    if high - low < BINS and abs(high) < EXACT and np.array_equal(values, np.rint(values)):
        return np.arange(low, high + 2) - 0.5
    start, stop = np.quantile(values, [TAIL, 1 - TAIL])
    if not start < stop:
        start, stop = low, high
    edges: np.ndarray = np.linspace(max(start, -FARTHEST), min(stop, FARTHEST), BINS + 1)
    if (np.diff(edges) > 0).all():
        return edges
    # a single value, or floats too close to each other to be cut
    half = max(abs(low), abs(high), 1.0) * 1e-6
    return np.array([low - half, high + half]).clip(-FARTHEST, FARTHEST)


def _of_levels(name: str, real: pd.Series[Any], synthetic: pd.Series[Any]) -> Density:
    columns = [labels.astype(object) for labels in (real, synthetic)]
    level_tallies = [labels.value_counts() for labels in columns]
    shares = [counts / max(1, counts.sum()) for counts in level_tallies]
    order = shares[0].add(shares[1], fill_value=0.0).sort_index()
    top = order.sort_values(ascending=False, kind="stable").index[:BARS]
    level_counts = np.array(
        [counts.reindex(top, fill_value=0).to_numpy(dtype=int) for counts in level_tallies]
    )
    missing = np.array([labels.isna().sum() for labels in columns])
    others = np.array([len(labels) for labels in columns]) - missing - level_counts.sum(axis=1)
    bins = np.column_stack([level_counts, others, missing])
    used = np.append(np.ones(len(top), dtype=bool), bins[:, -2:].any(axis=0))
    used[-1] |= not used.any()  # a column without rows has one empty bin
    levels = np.array([*top, OTHERS, MISSING], dtype=object)[used].tolist()
    return Density(name, bins[0, used].tolist(), bins[1, used].tolist(), levels=levels)


def draw_densities(densities: Sequence[Density]) -> str:
    """Draw the distributions of columns, real beside synthetic.

    Parameters
    ----------
    densities : sequence of Density
        Counts only; three panels per line.

    Returns
    -------
    str
        SVG for a page; empty if there are no densities.
    """
    from privsynth.report.plots import canvas

    if not densities:
        return ""
    lines = -(-len(densities) // 3)
    with canvas.style():
        fig = canvas.figure(9.5, 0.4 + 1.8 * lines)
        grid = fig.subplots(lines, 3, squeeze=False).ravel()
        for axes, density in zip(grid, densities, strict=False):
            panel(axes, density)
        for axes in grid[len(densities) :]:
            axes.axis("off")
        fig.legend(handles=keys("real", "synthetic"), loc="outside upper left", ncols=2)
        return canvas.inline(
            fig, "densities", f"Distributions of {len(densities)} columns, real and synthetic"
        )


def keys(real: str, synthetic: str) -> list[Any]:
    """Return the two entries of a legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=MINORITY.colour, alpha=0.55, label=real),
        Line2D([], [], color=SYNTHETIC.colour, linewidth=1.4, label=synthetic),
    ]


def heading(density: Density) -> str:
    """Return the title of a column's panel: its name, the distance, what is missing."""
    missing = "/".join(f"{share:.0%}" for share in density.absent) if any(density.absent) else ""
    words = f"{density.distance:.2f} apart" + (f", missing {missing}" if missing else "")
    return f"{shown(density.name, 20 if missing else 28)}  ({words})"


def panel(axes: Axes, density: Density) -> None:
    """Draw one column: the real rows filled, the synthetic ones as a line."""
    real, synthetic = density.shares
    axes.set_title(heading(density), color=INK)
    if density.levels:
        places = np.arange(len(density.levels))
        axes.barh(places - 0.2, real, 0.4, color=MINORITY.colour, alpha=0.55)
        axes.barh(
            places + 0.2,
            synthetic,
            0.4,
            facecolor="none",
            edgecolor=SYNTHETIC.colour,
            linewidth=1.2,
        )
        axes.set_yticks(places, labels=[shown(level, 18) for level in density.levels])
        axes.set_ylim(len(places) - 0.4, -0.6)
        axes.set_xlim(0, max(1e-9, 1.05 * max(real.max(), synthetic.max())))
        axes.xaxis.set_major_formatter(_percent)
        axes.xaxis.set_major_locator(_max_ticks(4))
        return
    axes.stairs(real, density.edges, fill=True, color=MINORITY.colour, alpha=0.55)
    axes.stairs(synthetic, density.edges, baseline=None, color=SYNTHETIC.colour, linewidth=1.4)
    axes.set_ylim(0, max(1e-9, 1.05 * max(real.max(), synthetic.max())))
    axes.yaxis.set_major_formatter(_percent)
    axes.yaxis.set_major_locator(_max_ticks(4))
    axes.xaxis.set_major_locator(_max_ticks(3 if density.dates else 5))
    if density.whole:
        axes.set_xticks(np.add(density.edges[:-1], 0.5)[:: 1 + len(density.real) // 7])
    axes.xaxis.set_major_formatter(_number)
    if density.dates:
        span = density.edges[-1] - density.edges[0]
        axes.xaxis.set_major_formatter(
            lambda value, _: moments(value)[: 10 if span > 864e3 else 16]
        )


def _number(value: float, _: object) -> str:
    value += 0.0  # turns -0 into 0
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e8 else f"{value:.4g}"


def _percent(value: float, _: object) -> str:
    return f"{100 * value + 0.0:.3g}%"


def _max_ticks(ticks: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(ticks)
