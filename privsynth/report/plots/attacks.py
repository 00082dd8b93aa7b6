"""What the attacks found: each figure with its interval, beside its baseline and its threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from privsynth.evaluation import Finding, Verdict, findings_of
from privsynth.report.layout import label, of_difference
from privsynth.report.plots.marks import INK, LINE, MINORITY, SOFT, SYNTHETIC, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privsynth.evaluation import Evaluation, Score

__all__ = ["Attack", "attacks", "draw_attacks"]

WIDTH = 9.5
MIN_SHARE = 1e-4
"""Left end of the axis of shares; no threshold is below it."""
LINEAR_EXCESS = 0.05
"""The axis of excesses is linear up to this distance from 0, and logarithmic beyond."""
MARGIN = 0.6

Unit = Literal["share", "excess", "epsilon"]

_PREFIXED = "membership_"
_UNITS: dict[str, Unit] = {
    "membership_tpr": "share",
    "membership_epsilon": "epsilon",
    "audit_epsilon": "epsilon",
    "exact_replicas": "excess",
    "near_replicas": "excess",
    "attribute_inference": "excess",
    "linkability": "excess",
    "singling_out": "excess",
}
_HEADINGS: dict[Unit, str] = {
    "share": "Membership: share of the members found",
    "excess": "Success on training rows beyond that on the holdout",
    "epsilon": "Epsilon, lower bound",
}


@dataclass(frozen=True)
class Attack:
    """One attack as a line of the picture.

    Parameters
    ----------
    name : str
        The score's name in words.
    unit : {"share", "excess", "epsilon"}
    value, low, high : float
        The figure and its interval. An epsilon has no upper bound; its interval ends at its value.
    baseline : float
        The figure of guessing, or of a table that depends on no single row.
    threshold : float or None
        The highest lower end that the policy allows; None without a policy.
    missed : bool
        Whether the lower end is above the threshold.
    """

    name: str
    unit: Unit
    value: float
    low: float
    high: float
    baseline: float
    threshold: float | None
    missed: bool


def attacks(evaluation: Evaluation) -> tuple[Attack, ...]:
    """Return the attacks that have a figure and an interval, in the order of the scores.

    Attribute inference is shown for the worst column only.
    """
    findings = {finding.score: finding for finding in findings_of(evaluation)}
    return tuple(_attacks(evaluation, findings))


def draw_attacks(evaluation: Evaluation) -> str:
    """Draw the attacks: a panel for shares, one for excesses, one for epsilons.

    Returns
    -------
    str
        SVG for a page; empty if nothing was attacked.
    """
    from privsynth.report.plots import canvas

    lines = attacks(evaluation)
    panels = [(unit, [a for a in lines if a.unit == unit]) for unit in _HEADINGS]
    panels = [(unit, members) for unit, members in panels if members]
    if not panels:
        return ""
    heights = [MARGIN + 0.24 * len(members) for _, members in panels]
    with canvas.style():
        fig = canvas.figure(WIDTH, 0.35 + sum(heights))
        grid = fig.subplots(len(panels), 1, squeeze=False, height_ratios=heights).ravel()
        for axes, (unit, members) in zip(grid, panels, strict=True):
            _SCALES[unit](axes, members)
            _panel(axes, members)
            axes.set_title(_HEADINGS[unit], color=INK)
        fig.legend(handles=_keys(lines), loc="outside upper left", ncols=4, handletextpad=0.3)
        alt = f"Figures with 95% intervals of {len(lines)} attacks, baselines and thresholds"
        return canvas.inline(fig, "attacks", alt)


def _attacks(evaluation: Evaluation, findings: dict[str, Finding]) -> Iterator[Attack]:
    for score in evaluation:
        unit = _unit(score)
        if unit is None or score.value is None or score.low is None:
            continue
        baseline, value = score.real or 0.0, score.value
        if of_difference(score):
            baseline, value = 0.0, value - baseline
        finding = findings.get(score.name)
        yield Attack(
            label(score.name.removeprefix(_PREFIXED) if unit != "excess" else score.name),
            unit,
            value,
            score.low,
            value if score.high is None else score.high,
            baseline,
            None if finding is None else finding.threshold,
            finding is not None and finding.verdict in (Verdict.FAIL, Verdict.WARN),
        )


def _unit(score: Score) -> Unit | None:
    if score.family != "attacks" or score.name.startswith("attribute_inference_"):
        return None
    return next((unit for start, unit in _UNITS.items() if score.name.startswith(start)), None)


def _panel(axes: Axes, members: list[Attack]) -> None:
    for position, attack in enumerate(members):
        colour = MINORITY.colour if attack.missed else SYNTHETIC.colour
        if attack.threshold is not None:
            axes.plot(
                [attack.threshold] * 2, [position - 0.38, position + 0.38], color=INK, linewidth=1.6
            )
        axes.plot([attack.baseline], [position], "o", color=SOFT, fillstyle="none", markersize=6)
        axes.plot([attack.low, attack.high], [position] * 2, color=colour, linewidth=1.8)
        axes.plot([attack.value], [position], _shape(attack.missed), color=colour, markersize=4.5)
    axes.set_yticks(range(len(members)), labels=[shown(attack.name, 40) for attack in members])
    axes.set_ylim(len(members) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", which="minor", bottom=False)
    axes.grid(True, axis="x", color=LINE)
    axes.set_axisbelow(True)


def _of_shares(axes: Axes, _members: list[Attack]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(MIN_SHARE, 1.15)
    axes.set_xticks([0.0001, 0.001, 0.01, 0.1, 1], labels=["0.01%", "0.1%", "1%", "10%", "100%"])


def _of_excesses(axes: Axes, members: list[Attack]) -> None:
    axes.set_xscale("symlog", linthresh=LINEAR_EXCESS, linscale=1.5)
    low = min(-LINEAR_EXCESS / 2, *(attack.low for attack in members))
    high = max(2 * LINEAR_EXCESS, *(attack.high for attack in members))
    axes.set_xlim(1.15 * low, 1.15 * high)
    ticks = [t for t in (-1, -0.5, -0.2, -0.05, 0, 0.05, 0.1, 0.2, 0.5, 1) if low <= t <= high]
    axes.set_xticks(ticks, labels=[f"{100 * tick:g}" for tick in ticks])
    axes.set_xlabel("points", color=SOFT)


def _of_epsilons(axes: Axes, members: list[Attack]) -> None:
    ends = [attack.high for attack in members] + [attack.threshold or 0.0 for attack in members]
    axes.set_xlim(-0.02 * max(1.0, *ends), 1.08 * max(1.0, *ends))


_SCALES: dict[Unit, Callable[[Axes, list[Attack]], None]] = {
    "share": _of_shares,
    "excess": _of_excesses,
    "epsilon": _of_epsilons,
}


def _shape(missed: bool) -> str:
    return "X" if missed else "s"


def _keys(lines: tuple[Attack, ...]) -> list[Any]:
    from matplotlib.lines import Line2D

    keys = [
        Line2D(
            [], [], color=SYNTHETIC.colour, marker=_shape(False), markersize=4.5, label="figure"
        ),
        Line2D([], [], color=SOFT, marker="o", fillstyle="none", linestyle="", label="baseline"),
    ]
    if any(attack.missed for attack in lines):
        look: dict[str, Any] = {"color": MINORITY.colour, "marker": _shape(True)}
        keys.insert(1, Line2D([], [], markersize=4.5, label="figure, more than allowed", **look))
    if any(attack.threshold is not None for attack in lines):
        look = {"marker": "|", "markersize": 9, "markeredgewidth": 1.6, "linestyle": ""}
        keys.append(
            Line2D([], [], color=INK, label="most that is allowed of the lower end", **look)
        )
    return keys
