"""The curators: engines learn about the private rows through them alone.

Import the curators, their values and the discovery of domains from here. No answer is returned
before it is charged, exact ones as not private, and no engine ever holds the table.
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
