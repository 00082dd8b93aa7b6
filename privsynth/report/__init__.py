"""Reports: the scores of an evaluation as HTML, as terminal output and as pictures.

Import `Report` from here; other packages take the drawing primitives from `report.plots`. Nothing
here computes a score or draws a row: pages show scores and binned counts.
"""

from __future__ import annotations

from privsynth.report.report import Report

__all__ = ["Report"]
