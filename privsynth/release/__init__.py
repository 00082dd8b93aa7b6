"""A release: a folder with a synthetic table and all that is claimed of it, which can be verified.

The folder holds the table, the report, the evaluation, a card, Croissant metadata and the sha256
of each, and a signature where one is wanted. Nothing in it carries a timestamp.
"""

from __future__ import annotations

from privsynth.release.bundle import check_folder, fill, opened
from privsynth.release.card import salted_hash
from privsynth.release.verification import verify

__all__ = ["check_folder", "fill", "opened", "salted_hash", "verify"]
