"""The ledger: the answers about the private rows, and their prices.

An `Event` is one answer with its price, as plain data, and the `Ledger` is the list of events in
the order of their charges. A `Budget` limits what may be charged, and a `Guarantee` is what the
list proves. An exact answer is charged as not private, so that no guarantee can be claimed by
accident; without a budget, the rule is `Disclosure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from privsynth.errors import ArtefactError, BudgetExceeded
from privsynth.files.documents import number, only, text
from privsynth.privacy.budget import MAX_RHO, SLACK, Budget
from privsynth.privacy.guarantee import Guarantee, uncovered

__all__ = ["Event", "Ledger", "mispriced"]

Mechanism = Literal["exact", "discrete gaussian", "noisy max", "gaussian threshold"]


@dataclass(frozen=True)
class Event:
    """One answer about the private rows.

    Parameters
    ----------
    query : str
        The kind of question: ``"rows"``, ``"codec"``, ``"marginals"``, ``"sums"``,
        ``"products"``, ``"errors"``, ``"selection"``, ``"domain"``.
    detail : str
        What the question was about, without any value of the table.
    mechanism : {"exact", "discrete gaussian", "noisy max", "gaussian threshold"}
        How it was answered. An exact answer is not private; its epsilon is infinite.
    rho, delta : float
        The privacy loss of a private answer, for one unit.
    sensitivity, scale : float
        The maximum change of the exact answer by one row (in the mechanism's norm), and the scale
        of the noise.
    """

    query: str
    detail: str = ""
    mechanism: Mechanism = "exact"
    rho: float = 0.0
    delta: float = 0.0
    sensitivity: float = 0.0
    scale: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON values."""
        state = asdict(self)
        exact = {key: state[key] for key in ("query", "detail", "mechanism")}
        return exact if self.mechanism == "exact" else state

    @classmethod
    def from_dict(cls, state: Any) -> Event:
        """Rebuild an event.

        Raises
        ------
        ArtefactError
            Its mechanism is unknown, or a number is out of range.
        """
        what = "ledger"
        prices = {"rho": MAX_RHO, "delta": 1.0, "sensitivity": 1e300, "scale": 1e300}
        only(
            state,
            {"query": True, "detail": False, "mechanism": True} | dict.fromkeys(prices, False),
            what,
        )
        if state["mechanism"] not in get_args(Mechanism):
            raise ArtefactError(
                "the ledger names a mechanism that this version does not know; "
                "install a newer privsynth"
            )
        return cls(
            text(state["query"], what),
            text(state.get("detail", ""), what),
            state["mechanism"],
            **{key: number(state.get(key, 0.0), what, 0.0, top) for key, top in prices.items()},
        )


@dataclass
class Ledger:
    """The answers about one table, in order; entries are added and never removed.

    Parameters
    ----------
    events : list of Event
    budget : Budget, optional
        What may be spent in total. Without it, every answer is allowed.
    """

    events: list[Event] = field(default_factory=list)
    budget: Budget | None = None

    @property
    def rho(self) -> float:
        """The zero-concentrated privacy loss of all answers."""
        return math.fsum(event.rho for event in self.events)

    @property
    def delta(self) -> float:
        """The delta of all answers."""
        return math.fsum(event.delta for event in self.events)

    @property
    def left(self) -> float:
        """What is left of the budget's rho."""
        if self.budget is None:
            return math.inf
        return max(self.budget.rho(self.delta) * (1 - SLACK) - self.rho, 0.0)

    def charge(self, event: Event) -> None:
        """Record an answer; the curator does so before returning it.

        Raises
        ------
        BudgetExceeded
            The budget does not allow the answer; nothing is recorded.
        """
        if self.budget is not None:
            if event.mechanism == "exact":
                raise BudgetExceeded(
                    f"an exact answer ({event.query}) leaves no guarantee, and a budget is set; "
                    "use an engine that works under one, such as marginals, or drop --epsilon"
                )
            if not _within(self.budget, self.rho + event.rho, self.delta + event.delta):
                raise BudgetExceeded(
                    f"{event.query}: costs rho {event.rho:.3g}, and {self.left:.3g} is left of the "
                    f"budget of epsilon {self.budget.epsilon:g}; ask for less, or allow more"
                )
        self.events.append(event)

    def guarantee(self) -> Guarantee:
        """Return what the ledger proves.

        Returns
        -------
        Guarantee
            An empty ledger has epsilon 0, and one with exact answers an infinite one. Under a
            budget the guarantee is the whole budget: questions may depend on earlier answers, and
            what is proven is the bound fixed in advance (Whitehouse et al. 2023).
        """
        if not self.events:
            return Guarantee(0.0, 0.0)
        if self.budget is None:
            return Guarantee(
                float("inf"),
                0.0,
                not_covered=("everything: the engine read exact answers about the training rows",),
            )
        budget = self.budget
        return Guarantee(
            float(budget.epsilon),
            budget.delta,
            budget.unit,
            not_covered=uncovered(budget),
            rows_per_unit=budget.rows_per_unit,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the ledger as JSON values."""
        guarantee = self.guarantee()
        state: dict[str, Any] = {
            "guarantee": str(guarantee),
            "formal": guarantee.formal,
            "not_covered": list(guarantee.not_covered),
            "events": [event.to_dict() for event in self.events],
        }
        if self.budget is not None:
            state["budget"] = asdict(self.budget)
        return state

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Ledger:
        """Rebuild a ledger.

        Raises
        ------
        ArtefactError
            A mechanism is unknown, or the events are not within the budget.
        """
        keys = {"guarantee": True, "formal": True, "not_covered": True, "events": True}
        only(state, {**keys, "budget": False}, "ledger")
        budget = None
        if "budget" in state:
            limits = {key.name: key.name in ("epsilon", "delta") for key in fields(Budget)}
            budget = Budget(**only(state["budget"], limits, "budget"))
        events = [Event.from_dict(entry) for entry in state["events"]]
        if any((event.mechanism == "exact") == (budget is not None) for event in events):
            raise ArtefactError("the ledger mixes private and exact answers; fit the model anew")
        if budget is not None and any(mispriced(event, budget.rows_per_unit) for event in events):
            raise ArtefactError(
                "the ledger's rho does not follow from its sensitivity and scale; "
                "fit the model anew"
            )
        ledger = cls(events, budget)
        if budget is not None and not _within(budget, ledger.rho, ledger.delta):
            raise ArtefactError("the ledger has spent more than its budget; fit the model anew")
        if state["formal"] is not ledger.guarantee().formal:
            raise ArtefactError(
                "the ledger claims a guarantee that its events do not prove; fit the model anew"
            )
        return ledger


def mispriced(event: Event, rows_per_unit: int) -> bool:
    """Return whether the rho of a noisy answer is not that of its sensitivity and scale.

    Notes
    -----
    Discrete Gaussian noise costs d**2 / (2 scale**2), where d is the maximum change by one unit
    (Canonne, Kamath & Steinke 2020). The noisy maximum has a bounded range of 2 d / scale and costs
    an eighth of its square, which is the same (Cesar & Rogers 2021). Answers are integers, so a
    sensitivity is 1 or more.
    """
    if event.mechanism == "exact":
        return False
    if not (event.sensitivity >= 1 and event.scale > 0 and event.rho > 0):
        return True
    price = (rows_per_unit * event.sensitivity / event.scale) ** 2 / 2
    return not math.isclose(price, event.rho, rel_tol=1e-6)


def _within(budget: Budget, rho: float, delta: float) -> bool:
    """Return whether the budget allows a privacy loss."""
    return delta < budget.delta and rho <= budget.rho(delta)
