"""Files written whole or not at all, and documents read within bounds.

Import from here what writes, reads YAML or JSON, and removes what killed runs left. Nothing
here knows a table.
"""

from __future__ import annotations

from privsynth.files.atomic import beside, check_writable, failure, put, put_new, replacing
from privsynth.files.documents import (
    flag,
    number,
    only,
    read_json,
    read_text,
    read_yaml,
    text,
    whole,
)
from privsynth.files.leftovers import TEMPORARY, prefix, sweep

__all__ = [
    "TEMPORARY",
    "beside",
    "check_writable",
    "failure",
    "flag",
    "number",
    "only",
    "prefix",
    "put",
    "put_new",
    "read_json",
    "read_text",
    "read_yaml",
    "replacing",
    "sweep",
    "text",
    "whole",
]
