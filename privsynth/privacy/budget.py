"""Budgets: the privacy loss that a fit may cause, in epsilon and in rho."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import Any

from privsynth.errors import UsageError
from privsynth.packages import need

__all__ = ["Budget", "epsilon_of", "rho_of"]

SLACK = 1e-9
"""The part of a budget that is reserved for rounding errors of sums."""
MIN_DELTA, MAX_DELTA = 1e-100, 1e-3
MIN_EPSILON, MAX_EPSILON = 1e-4, 100.0
"""Below the minimum nothing can be learnt; above the maximum, noise no longer shrinks."""
MAX_ROWS_PER_UNIT = 10**6
MAX_ROWS = 10**15
MAX_NOISE = 1e9
"""Maximum standard deviation of a count's noise, in rows, if all is spent on one answer. It keeps
the integers of every mechanism within 64 bits."""
MAX_RHO = 1e3
"""Upper bound on any budget's loss; its epsilon is above 1,000."""
MIN_RHO = 1e-300


@dataclass(frozen=True)
class Budget:
    """The privacy loss that a fit may cause.

    Parameters
    ----------
    epsilon : float
        Differential privacy's bound on the effect of one unit's presence; 1e-4 or more. Above
        100, noise no longer shrinks.
    delta : float, default=1e-6
        Probability that the bound does not hold; from 1e-100 to below 1e-3, and below one in
        `n_rows`.
    unit : str, optional
        Whose presence is hidden: a row, or all rows that share a value of the column named.
        ``"row"``, which it is by default, always means a row, even where a column has that name.
    rows_per_unit : int, default=1
        Maximum number of rows learnt of one unit; the others are left out at random. At most a
        million.
    n_rows : int, optional
        The number of rows, if it is public.

    Raises
    ------
    UsageError
        A value is out of range.

    Notes
    -----
    Neighbouring tables differ by all rows of one unit, added or removed. Losses are accounted for
    in zero-concentrated differential privacy (Bun & Steinke 2016), whose `rho` is additive.
    """

    epsilon: float
    delta: float = 1e-6
    unit: str = None  # type: ignore[assignment]
    rows_per_unit: int = 1
    n_rows: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_answered", self.unit is not None)
        if self.unit is None:
            object.__setattr__(self, "unit", "row")
        for name in ("epsilon", "delta"):
            object.__setattr__(self, name, _real(name, getattr(self, name)))
        if not MIN_EPSILON <= self.epsilon < math.inf:
            raise UsageError(
                f"epsilon is {self.epsilon:g}; expected a finite number above 0, and not below "
                f"{MIN_EPSILON:g}, such as 1"
            )
        if not MIN_DELTA <= self.delta < MAX_DELTA:
            raise UsageError(
                f"delta is {self.delta:g}; expected a number above 0, not below {MIN_DELTA:g} "
                f"and below {MAX_DELTA:g}, such as 1e-6"
            )
        if not isinstance(self.unit, str) or not self.unit:
            raise UsageError(
                "the privacy unit is empty or no text; expected 'row' or the name of a column"
            )
        for name, maximum in (("rows_per_unit", MAX_ROWS_PER_UNIT), ("n_rows", MAX_ROWS)):
            value = getattr(self, name)
            if name == "n_rows" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise UsageError(
                    f"{name} is given as {type(value).__name__}; expected a whole number from 1"
                )
            if not 1 <= int(value) <= maximum:
                raise UsageError(
                    f"{name} is out of range; expected a whole number from 1 to {maximum}"
                )
            object.__setattr__(self, name, int(value))
        if self.answered and self.unit == "row" and self.rows_per_unit != 1:
            raise UsageError(
                "a row is the privacy unit, so rows_per_unit is 1; name a column as the unit"
            )
        if self.rows_per_unit / math.sqrt(2 * _rho_at_least(self.epsilon, self.delta)) > MAX_NOISE:
            raise UsageError(
                f"epsilon {self.epsilon:g} for units of up to {self.rows_per_unit} rows drowns "
                "every count in noise; allow a larger epsilon or fewer rows per unit"
            )
        if self.n_rows is not None and self.delta >= 1 / self.n_rows:
            raise UsageError(
                f"delta is {self.delta}, expected below one in {self.n_rows} rows: a larger "
                "one allows that a whole row is disclosed; give a smaller one"
            )

    @property
    def answered(self) -> bool:
        """Return whether a unit was given, rather than left at a row."""
        return bool(self.__dict__["_answered"])

    def rho(self, delta: float = 0.0) -> float:
        """Return the zero-concentrated privacy loss that the budget allows.

        Parameters
        ----------
        delta : float
            The part of delta that answers with a delta of their own spend.
        """
        return rho_of(self.epsilon, self.delta - delta)


def _real(name: str, value: object) -> float | int:
    """Convert a number of any type to Python's own.

    Raises
    ------
    UsageError
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{name} is given as {type(value).__name__}; expected a number")
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
    """Return the epsilon of a zero-concentrated privacy loss at a delta.

    Notes
    -----
    OpenDP's conversion; Canonne, Kamath & Steinke (2020), Proposition 7.
    """
    need("a privacy budget", "opendp")
    from opendp import combinators, domains, measurements, measures, metrics, mod

    mod.enable_features("contrib", "honest-but-curious")
    if rho == 0:
        return 0.0
    if rho > MAX_RHO:
        return math.inf
    rho = max(rho, MIN_RHO)  # below it the conversion divides by zero
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
    """Return the greatest zero-concentrated privacy loss whose epsilon at `delta` is allowed.

    It no longer grows above an epsilon of 100, where noise is far below one row.
    """
    epsilon = min(epsilon, MAX_EPSILON)
    low, high = 0.0, 1e-12
    while epsilon_of(high, delta) <= epsilon:
        low, high = high, 4 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle, delta) <= epsilon else (low, middle)
    return low
