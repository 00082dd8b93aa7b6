"""Pictures of what an evaluation measured, as SVG inside a page.

Import the functions that draw from here; `canvas` and `marks` hold the style that other pictures
share. All pictures are drawn from scores, curves, differences and binned counts, never from rows.
"""

from privsynth.report.plots.attacks import draw_attacks
from privsynth.report.plots.densities import Density, draw_densities
from privsynth.report.plots.minority import draw_curves, draw_differences, draw_thresholds
from privsynth.report.plots.pictures import Picture, pictures

__all__ = [
    "Density",
    "Picture",
    "draw_attacks",
    "draw_curves",
    "draw_densities",
    "draw_differences",
    "draw_thresholds",
    "pictures",
]
