"""What may be taken from the private rows, what was taken, and what that proves.

A `Budget` is what is allowed. An `Event` is the price of one answer, as plain data; the `Ledger`
is the list of them, in the order in which they were charged; the `Guarantee` is what the list
proves. An exact answer is charged as not private, so that no guarantee can be claimed by
accident; without a budget `Disclosure` is the rule that holds instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Literal, get_args

from privsynth.documents import number, only, text
from privsynth.errors import ArtefactError, BudgetExceeded, UsageError

__all__ = [
    "Budget",
    "Disclosure",
    "Event",
    "Guarantee",
    "Ledger",
    "epsilon_of",
    "mispriced",
    "rho_of",
]

SLACK = 1e-9
"""The part of a budget that is left for the rounding of sums."""
LEAST_DELTA, MOST_DELTA = 1e-100, 1e-3
LEAST_EPSILON, MOST_EPSILON = 1e-4, 100.0
"""Below the least epsilon nothing can be learnt; above the most, noise no longer shrinks."""
MOST_ROWS_PER_UNIT = 10**6
MOST_ROWS = 10**15
MOST_NOISE = 1e9
"""The largest standard deviation of a count's noise, in rows, when all is spent on one answer:
every mechanism's whole numbers then fit in 64 bits."""
MOST_RHO = 1e3
"""No budget allows a loss as great as this, and no fit has spent it: epsilon is above 1,000."""
LEAST_RHO = 1e-300


@dataclass(frozen=True)
class Disclosure:
    """Statistical disclosure control: nothing held by fewer than `k` rows leaves.

    Parameters
    ----------
    k : int, default=10
        The fewest training rows that a level, bin, bound or parameter may rest on.

    Notes
    -----
    A minimum-frequency rule (Hundepool et al., *Statistical Disclosure Control*, 2012, ch. 4)
    lowers the risk of disclosure. It is not a formal guarantee.
    """

    k: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise UsageError(f"k is {self.k!r}, but a whole number from 1 is wanted; use --k 10")

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules in words, one sentence each, for the card."""
        k = self.k
        return (
            f"levels held by fewer than {k} rows are merged or suppressed",
            f"numeric and datetime extremes are clipped to the {k}th value from each end, "
            "and bounds are coarsened",
            f"every bin, and every leaf of a tree, holds at least {k} rows",
            "id and personal columns are replaced by surrogates",
            "free text is replaced by placeholder text",
        )


@dataclass(frozen=True)
class Budget:
    """The privacy loss that a fit may cause.

    Parameters
    ----------
    epsilon : float
        Differential privacy's bound on what one unit's presence can change; 1e-4 or more. Noise
        no longer shrinks above 100.
    delta : float, default=1e-6
        The chance that the bound does not hold; from 1e-100 to below 1e-3, and below one in
        `n_rows`.
    unit : str, default="row"
        Whose presence is hidden: a row, or all rows that share a value of the column named.
        ``"row"`` always means a row, even where a column has that name.
    rows_per_unit : int, default=1
        The most rows of one unit that are learnt from; the others are left out by chance. At
        most a million.
    n_rows : int, optional
        How many rows there are, where that is public.

    Raises
    ------
    UsageError
        A value is out of range.

    Notes
    -----
    Neighbouring tables differ by all rows of one unit, added or removed. The account is kept in
    zero-concentrated differential privacy (Bun & Steinke 2016), whose `rho` adds up.
    """

    epsilon: float
    delta: float = 1e-6
    unit: str = "row"
    rows_per_unit: int = 1
    n_rows: int | None = None

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):
            object.__setattr__(self, name, _real(name, getattr(self, name)))
        if not LEAST_EPSILON <= self.epsilon < math.inf:
            raise UsageError(
                f"epsilon is {self.epsilon:g}; expected a finite number above 0, and not below "
                f"{LEAST_EPSILON:g}, such as 1"
            )
        if not LEAST_DELTA <= self.delta < MOST_DELTA:
            raise UsageError(
                f"delta is {self.delta:g}; expected a number above 0, not below {LEAST_DELTA:g} "
                f"and below {MOST_DELTA:g}, such as 1e-6"
            )
        if not isinstance(self.unit, str) or not self.unit:
            raise UsageError("the privacy unit is 'row' or the name of a column; give one of them")
        for name, most in (("rows_per_unit", MOST_ROWS_PER_UNIT), ("n_rows", MOST_ROWS)):
            value = getattr(self, name)
            if name == "n_rows" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise UsageError(
                    f"{name} is given as {type(value).__name__}; expected a whole number from 1"
                )
            if not 1 <= int(value) <= most:
                raise UsageError(
                    f"{name} is out of range; expected a whole number from 1 to {most}"
                )
            object.__setattr__(self, name, int(value))
        if self.unit == "row" and self.rows_per_unit != 1:
            raise UsageError(
                "a row is the privacy unit, so rows_per_unit is 1; name a column as the unit"
            )
        if self.rows_per_unit / math.sqrt(2 * _rho_at_least(self.epsilon, self.delta)) > MOST_NOISE:
            raise UsageError(
                f"epsilon {self.epsilon:g} for units of up to {self.rows_per_unit} rows drowns "
                "every count in noise; allow a larger epsilon or fewer rows per unit"
            )
        if self.n_rows is not None and self.delta >= 1 / self.n_rows:
            raise UsageError(
                f"delta is {self.delta}, but below one in {self.n_rows} rows is wanted: a larger "
                "one allows that a whole row is told; give a smaller one"
            )

    def rho(self, delta: float = 0.0) -> float:
        """Give the zero-concentrated privacy loss that the budget allows.

        Parameters
        ----------
        delta : float
            The part of delta that is spent otherwise.
        """
        return rho_of(self.epsilon, self.delta - delta)


def _real(name: str, value: object) -> float | int:
    """Return a number of any type as Python's own.

    Raises
    ------
    UsageError
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} is given as {type(value).__name__}; give a number")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        raise UsageError(f"{name} is too large; give a number such as 1") from None
    return int(value) if isinstance(value, Integral) else number


def _rho_at_least(epsilon: float, delta: float) -> float:
    """Return a lower bound on `rho_of`, in closed form (Bun & Steinke 2016, Proposition 1.3)."""
    tail = -math.log(delta)
    return (epsilon / (math.sqrt(tail + epsilon) + math.sqrt(tail))) ** 2


@lru_cache(maxsize=64)
def epsilon_of(rho: float, delta: float) -> float:
    """Give the epsilon that a zero-concentrated privacy loss has at a delta.

    Notes
    -----
    OpenDP's conversion; Canonne, Kamath & Steinke (2020), Proposition 7.
    """
    from opendp import combinators, domains, measurements, measures, metrics, mod

    mod.enable_features("contrib", "honest-but-curious")
    if rho == 0:
        return 0.0
    if rho > MOST_RHO:
        return math.inf
    rho = max(rho, LEAST_RHO)  # below it the conversion divides by zero
    lossy: Any = measurements.make_user_measurement(
        domains.atom_domain(T="bool"),
        metrics.discrete_distance(),
        measures.zero_concentrated_divergence(),
        lambda _: 0,
        lambda _: rho,
        TO="i32",
    )
    curve: Any = combinators.make_zCDP_to_approxDP(lossy)
    return float(curve.map(1).epsilon(delta))


@lru_cache(maxsize=64)
def rho_of(epsilon: float, delta: float) -> float:
    """Give the greatest zero-concentrated privacy loss whose epsilon at `delta` is as allowed.

    Above an epsilon of 100 it no longer grows: noise is far below one row there.
    """
    epsilon = min(epsilon, MOST_EPSILON)
    low, high = 0.0, 1e-12
    while epsilon_of(high, delta) <= epsilon:
        low, high = high, 4 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low


Mechanism = Literal["exact", "discrete gaussian", "noisy max", "gaussian threshold"]


@dataclass(frozen=True)
class Event:
    """One answer about the private rows.

    Parameters
    ----------
    query : str
        What was asked, in the field's words: ``"rows"``, ``"codec"``, ``"marginals"``, ``"sums"``,
        ``"products"``, ``"errors"``, ``"selection"``, ``"domain"``.
    detail : str
        What it was asked for, without any value of the table.
    mechanism : {"exact", "discrete gaussian", "noisy max", "gaussian threshold"}
        How it was answered. An exact answer is not private: its epsilon is infinite.
    rho, delta : float
        The privacy loss of a private answer, for one unit.
    sensitivity, scale : float
        The most that one unit can change the exact answer (in the mechanism's own norm), and the
        scale of the noise.
    """

    query: str
    detail: str = ""
    mechanism: Mechanism = "exact"
    rho: float = 0.0
    delta: float = 0.0
    sensitivity: float = 0.0
    scale: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give the event as JSON values."""
        state = asdict(self)
        exact = {key: state[key] for key in ("query", "detail", "mechanism")}
        return exact if self.mechanism == "exact" else state

    @classmethod
    def from_dict(cls, state: Any) -> Event:
        """Rebuild an event.

        Raises
        ------
        ArtefactError
            Its mechanism is unknown here, or a figure is no price.
        """
        what = "ledger"
        prices = {"rho": MOST_RHO, "delta": 1.0, "sensitivity": 1e300, "scale": 1e300}
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
            **{key: number(state.get(key, 0.0), what, 0.0, most) for key, most in prices.items()},
        )


@dataclass(frozen=True)
class Guarantee:
    """What a ledger proves about the rows.

    Parameters
    ----------
    epsilon, delta : float
        Differential privacy's two parameters; an infinite `epsilon` is no guarantee at all.
    unit : str
        Whose presence is hidden.
    not_covered : tuple of str
        What lies outside, one sentence each.
    adjacency : str
        How neighbouring tables differ: by one unit that is added or removed.
    rows_per_unit : int
        The most rows of one unit that were learnt from.
    """

    epsilon: float
    delta: float
    unit: str = "row"
    not_covered: tuple[str, ...] = ()
    adjacency: str = "add/remove"
    rows_per_unit: int = 1

    @property
    def formal(self) -> bool:
        """Whether anything is proven."""
        return self.epsilon < float("inf")

    def __str__(self) -> str:
        if not self.formal:
            return "no formal guarantee"
        return (
            f"({_exact(self.epsilon)}, {_exact(self.delta)})-differential privacy, "
            f"unit: {self.unit}, {self.adjacency}"
        )


@dataclass
class Ledger:
    """The answers given about one table, in order; it is only ever added to.

    Parameters
    ----------
    events : list of Event
    budget : Budget, optional
        What may be spent in all. Without one, every answer is allowed.
    """

    events: list[Event] = field(default_factory=list)
    budget: Budget | None = None

    @property
    def rho(self) -> float:
        """The zero-concentrated privacy loss of all answers."""
        return math.fsum(event.rho for event in self.events)

    @property
    def delta(self) -> float:
        """The part of delta that answers have spent."""
        return math.fsum(event.delta for event in self.events)

    @property
    def left(self) -> float:
        """What is left of the budget's rho."""
        if self.budget is None:
            return math.inf
        return max(self.budget.rho(self.delta) * (1 - SLACK) - self.rho, 0.0)

    def charge(self, event: Event) -> None:
        """Write down an answer; the curator does so before it gives it.

        Raises
        ------
        BudgetExceeded
            The budget does not allow the answer; nothing is written down.
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
        """Give what the ledger proves.

        Returns
        -------
        Guarantee
            Nothing asked costs nothing; an exact answer makes epsilon infinite. Under a budget
            it is the budget: what is asked next may depend on what was answered, and the bound
            that held from the start is the one that is proven (Whitehouse et al. 2023).
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
            not_covered=_not_covered(budget),
            rows_per_unit=budget.rows_per_unit,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the ledger as JSON values."""
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
            An event is of a mechanism unknown here, or the events are not within the budget.
        """
        wanted = {"guarantee": True, "formal": True, "not_covered": True, "events": True}
        only(state, {**wanted, "budget": False}, "ledger")
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
                "the ledger claims what its events do not prove; fit the model anew"
            )
        return ledger


def mispriced(event: Event, rows_per_unit: int) -> bool:
    """Say whether the rho of a noisy answer is not that of its sensitivity and scale.

    Notes
    -----
    Discrete Gaussian noise costs d**2 / (2 scale**2), where d is what one unit can change (Canonne,
    Kamath & Steinke 2020). Choosing the greatest has a range of 2 d / scale, and an eighth of its
    square is the same (Cesar & Rogers 2021). Answers are whole numbers, so one row that changes
    an answer changes it by 1 or more.
    """
    if event.mechanism == "exact":
        return False
    if not (event.sensitivity >= 1 and event.scale > 0 and event.rho > 0):
        return True
    price = (rows_per_unit * event.sensitivity / event.scale) ** 2 / 2
    return not math.isclose(price, event.rho, rel_tol=1e-6)


def _exact(number: float) -> str:
    """Spell a number with all its digits: a claim is not rounded."""
    return repr(float(number)).removesuffix(".0")


def _within(budget: Budget, rho: float, delta: float) -> bool:
    """Tell whether a privacy loss is allowed."""
    return delta < budget.delta and rho <= budget.rho(delta)


def _not_covered(budget: Budget) -> tuple[str, ...]:
    """Say what the guarantee does not speak of."""
    whose = "row" if budget.unit == "row" else f"value of {budget.unit!r}"
    told = [
        "what the schema declares: kinds, levels and bounds are taken as public",
        f"what is true of the population: the guarantee hides one {whose}, not what many share",
        "figures, reports and verdicts of 'evaluate', which are read from the real rows",
        "other releases made from the same rows, unless one --ledger counts them all",
    ]
    if budget.unit == "row":
        told.append(
            "a person or event with several rows, copies of one row among them: the privacy unit "
            "is one row"
        )
    return tuple(told)
