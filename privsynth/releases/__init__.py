"""A release: a folder with a synthetic table and all that is claimed of it, which can be verified.

The folder holds the table, the report, the evaluation, a card, Croissant metadata, the sha256 of
each, and a signature where a key is given. Under a budget it holds two folders: ``public``, of
which the guarantee speaks, and ``restricted``, with all that was read off the real rows. Nothing
carries a timestamp.
"""

from __future__ import annotations

from privsynth.releases.bundle import check_folder, fill, opened
from privsynth.releases.card import salted_hash
from privsynth.releases.risk import PolicyMissed, checked_reason
from privsynth.releases.signature import private_key
from privsynth.releases.verification import remarks, verify

__all__ = [
    "PolicyMissed",
    "check_folder",
    "checked_reason",
    "fill",
    "opened",
    "private_key",
    "remarks",
    "salted_hash",
    "verify",
]
