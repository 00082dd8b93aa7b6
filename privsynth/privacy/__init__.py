"""Privacy as values: what may be learnt of the rows, what was learnt, and what that proves.

Budgets, ledgers and guarantees are plain values; the accountant alone draws noise. Nothing
here reads a table by itself.
"""

from __future__ import annotations

from privsynth.privacy.accountant import Accountant, misstated
from privsynth.privacy.budget import Budget
from privsynth.privacy.disclosure import Disclosure
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.ledger import Event, Ledger
from privsynth.privacy.spending import check_presence, reserve

__all__ = [
    "Accountant",
    "Budget",
    "Disclosure",
    "Event",
    "Guarantee",
    "Ledger",
    "check_presence",
    "misstated",
    "reserve",
]
