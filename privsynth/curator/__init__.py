"""The one door from an engine to the private rows.

Every answer is charged before it is given: exact ones as not private, noisy ones by the
accountant. No engine holds the table.
"""

from __future__ import annotations

from privsynth.curator.discovery import discover, discovery_delta
from privsynth.curator.exact import CodeScores, Curator
from privsynth.curator.frequent import frequent_values
from privsynth.curator.private import MAX_CELLS, SCORE_PARTS, Measurement, PrivateCurator

__all__ = [
    "MAX_CELLS",
    "SCORE_PARTS",
    "CodeScores",
    "Curator",
    "Measurement",
    "PrivateCurator",
    "discover",
    "discovery_delta",
    "frequent_values",
]
