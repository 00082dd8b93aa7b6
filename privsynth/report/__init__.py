"""Scores drawn for a reader: HTML, terminal, pictures.

It sees scores and binned summaries, never rows; `plots.before_after` alone draws rows, in a
file that says so.
"""

from __future__ import annotations

from privsynth.report.report import Report

__all__ = ["Report"]
