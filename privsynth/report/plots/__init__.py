"""Pictures: before and after an augmentation, and what an evaluation measured.

`before_after` alone draws real rows, into a file that says so. All other pictures are drawn from
scores, curves, differences and counts, as SVG that stands inside a page.
"""

from privsynth.report.plots.attacks import draw_attacks
from privsynth.report.plots.augmentation import SUFFIXES, before_after, check_plot
from privsynth.report.plots.densities import Density, draw_densities
from privsynth.report.plots.minority import draw_curves, draw_differences, draw_thresholds
from privsynth.report.plots.pictures import Picture, pictures

__all__ = [
    "SUFFIXES",
    "Density",
    "Picture",
    "before_after",
    "check_plot",
    "draw_attacks",
    "draw_curves",
    "draw_densities",
    "draw_differences",
    "draw_thresholds",
    "pictures",
]
