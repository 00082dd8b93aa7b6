"""Files written whole or not at all, and documents read within bounds.

Import what writes and what removes the files of killed runs from here, and what reads YAML or
JSON from `privsynth.files.documents`. Nothing here knows a table.
"""

from __future__ import annotations

from privsynth.files.atomic import beside, check_writable, failure, put, put_new, replacing
from privsynth.files.leftovers import TEMPORARY, prefix, sweep

__all__ = [
    "TEMPORARY",
    "beside",
    "check_writable",
    "failure",
    "prefix",
    "put",
    "put_new",
    "replacing",
    "sweep",
]
