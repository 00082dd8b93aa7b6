"""Privacy: budgets, ledgers and guarantees as values, and the accountant that draws noise.

Import them from here; a fit under a budget asks its questions through the `Accountant`. Nothing
here reads a table by itself, and no noise is drawn anywhere else.
"""

from __future__ import annotations

from privsynth.privacy.accountant import Accountant, misstated
from privsynth.privacy.budget import Budget
from privsynth.privacy.disclosure import INVENTED, Disclosure
from privsynth.privacy.guarantee import Guarantee
from privsynth.privacy.ledger import Event, Ledger
from privsynth.privacy.spending import check_presence, reserve

__all__ = [
    "INVENTED",
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
