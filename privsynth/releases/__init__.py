"""Releases: a folder with a synthetic table and every claim about it, written and verified here.

Import `check_folder`, `opened`, `Release` and `fill` to write one, `verify` and `remarks` to check
one, and `private_key` and `salted_hash` for its key and its inputs. Nothing here fits, samples or
evaluates, and no file of a release may carry a timestamp or, in a public part, anything that was
read off the real rows.
"""

from __future__ import annotations

from privsynth.releases.bundle import check_folder, fill, opened
from privsynth.releases.card import Release, salted_hash
from privsynth.releases.risk import PolicyMissed, checked_reason
from privsynth.releases.signature import private_key
from privsynth.releases.verification import remarks, verify

__all__ = [
    "PolicyMissed",
    "Release",
    "check_folder",
    "checked_reason",
    "fill",
    "opened",
    "private_key",
    "remarks",
    "salted_hash",
    "verify",
]
