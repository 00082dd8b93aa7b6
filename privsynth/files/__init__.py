"""Atomic writing of files and folders, and bounded reading of YAML and JSON documents.

Import what replaces files, or removes what killed runs left, from here, and what reads YAML or JSON
from `privsynth.files.documents`. Nothing here may know of tables or models.
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
