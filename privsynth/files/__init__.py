"""Atomic writing of files and folders, and bounded reading of YAML and JSON documents.

Import from here whatever replaces files, reads documents, checks saved states or removes what
killed runs left behind. Nothing here may know of tables or models.
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
