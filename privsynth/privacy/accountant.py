"""The privacy filter and the noise: the only place that calls OpenDP's mechanisms.

The private data are handed to OpenDP, whose filter (Rogers et al. 2016) composes the mechanisms
fully adaptively (Whitehouse et al. 2023) and refuses, in Rust, what the budget does not allow.
Every mechanism takes integers and gives integers, so that no rounding of floats tells what was
there (Mironov 2012); noise comes from the operating system's entropy and has no seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.errors import BudgetExceeded
from privsynth.packages import need
from privsynth.privacy.budget import SLACK, Budget
from privsynth.privacy.ledger import Event, Ledger, mispriced

__all__ = ["Accountant", "misstated"]

MIN_RHO = 1e-18
"""The least that an answer may cost: the noise of a count is then about 1e9 rows."""

Question = Callable[[Any], npt.NDArray[np.int64]]
"""Gives the exact, whole-numbered answer from the private data."""


class Accountant:
    """Answers with noise, charged to a ledger and held to its budget by OpenDP's filter.

    Parameters
    ----------
    private : object
        What questions are asked of; it is never given out.
    ledger : Ledger
        Has a budget.
    delta : float
        The part of the budget's delta for answers that have a delta of their own.
    """

    def __init__(self, private: Any, ledger: Ledger, delta: float = 0.0) -> None:
        need("a privacy budget", "opendp")
        from opendp import combinators, domains, measures, metrics, mod

        if ledger.budget is None:
            raise ValueError("expected a ledger with a budget")
        mod.enable_features("contrib", "honest-but-curious")
        self.ledger = ledger
        self.budget: Budget = ledger.budget
        self._space = domains.user_domain("PrivateData", member=_anything), _distance(metrics)
        odometer = combinators.make_fully_adaptive_composition(
            *self._space, measures.approximate(measures.zero_concentrated_divergence())
        )
        self.rho = self.budget.rho(delta) * (1 - SLACK)
        """The rho that may be spent in total."""
        self._ask = combinators.make_privacy_filter(
            odometer, d_in=self.budget.rows_per_unit, d_out=(self.budget.rho(delta), delta)
        )(private)

    @property
    def left(self) -> float:
        """The rho that is still available."""
        return max(self.rho - self.ledger.rho, 0.0)

    def scale(self, sensitivity: float, rho: float) -> float:
        """Return the scale of noise at which an answer costs `rho`.

        Parameters
        ----------
        sensitivity : float
            The most that one row can change the exact answer.

        Raises
        ------
        BudgetExceeded
            Nothing is left to be spent, or next to nothing.
        """
        if not rho >= MIN_RHO:
            raise BudgetExceeded(
                f"an answer is to cost rho {rho:.3g}, at which noise would drown it; ask for "
                "fewer answers, or allow a larger epsilon"
            )
        # A hair more, so that a price that is all that is left is not rounded above it.
        return self.budget.rows_per_unit * sensitivity / math.sqrt(2 * rho) * (1 + SLACK)

    def gaussian(
        self, query: str, detail: str, question: Question, sensitivity: float, scale: float
    ) -> npt.NDArray[np.int64]:
        """Answer with discrete Gaussian noise (Canonne, Kamath & Steinke 2020).

        Parameters
        ----------
        query, detail : str
            For the ledger.
        question : callable
            Gives whole numbers.
        sensitivity : float
            The most that one row can change them, in the Euclidean norm.
        scale : float
            Of the noise.

        Raises
        ------
        BudgetExceeded
            Before any noise is drawn.
        """
        from opendp import measurements, metrics

        noise = self._counted(question, sensitivity, metrics.l2_distance(T="f64")) >> (
            measurements.then_gaussian(scale=scale)
        )
        event = Event(query, detail, "discrete gaussian", 0.0, 0.0, sensitivity, scale)
        return np.array(self._answer(noise, event), dtype=np.int64)

    def greatest(
        self, query: str, detail: str, question: Question, sensitivity: int, scale: float
    ) -> int:
        """Return the position of (nearly) the greatest of the integers that `question` returns.

        Parameters
        ----------
        sensitivity : int
            The most that one row can change any of them.
        scale : float
            Of the noise.

        Notes
        -----
        Gumbel noise, which is the exponential mechanism (McSherry & Talwar 2007); its price is
        that of bounded range (Cesar & Rogers 2021).
        """
        from opendp import measurements, measures, metrics

        noise = self._counted(question, sensitivity, metrics.linf_distance(T="i64")) >> (
            measurements.then_noisy_max(measures.zero_concentrated_divergence(), scale=scale)
        )
        event = Event(query, detail, "noisy max", 0.0, 0.0, float(sensitivity), scale)
        return int(self._answer(noise, event))

    def keys(
        self,
        query: str,
        detail: str,
        question: Callable[[Any], Mapping[str, int]],
        rho: float,
        delta: float,
    ) -> dict[str, int]:
        """Return noisy counts of the keys that enough rows hold.

        Parameters
        ----------
        question : callable
            Gives how many rows hold each key; a row holds one key.
        rho, delta : float
            What the answer costs; `delta` is the chance that a key of one unit alone is told.

        Notes
        -----
        Stable histograms (Korolova et al. 2009) with Gaussian noise (Rogers 2023).
        """
        from opendp import domains, measurements, metrics, transformations

        counts: Any = transformations.make_user_transformation(
            *self._space,
            domains.map_domain(domains.atom_domain(T="String"), domains.atom_domain(T="i64")),
            metrics.l02inf_distance(metrics.absolute_distance(T="f64")),
            # OpenDP hands text on as C does, which ends at the first NUL: two keys became one.
            lambda private: {_sealed(key): n for key, n in question(private).items()},
            lambda rows: (rows, float(rows), float(rows)),
        )
        rows = self.budget.rows_per_unit
        scale = self.scale(1.0, rho)

        def noise(threshold: int) -> Any:
            return counts >> measurements.then_gaussian_threshold(scale=scale, threshold=threshold)

        threshold = _least(lambda least: noise(least).map(rows)[1], rows, scale, delta)
        event = Event(query, detail, "gaussian threshold", 0.0, 0.0, 1.0, scale)
        answer: dict[str, int] = self._answer(noise(threshold), event)
        return dict(sorted((_opened(key), n) for key, n in answer.items()))

    def _counted(self, question: Question, sensitivity: float, metric: Any) -> Any:
        from opendp import domains, transformations

        whole = float if "f64" in str(metric) else int
        return transformations.make_user_transformation(
            *self._space,
            domains.vector_domain(domains.atom_domain(T="i64")),
            metric,
            lambda private: np.asarray(question(private), dtype=np.int64).ravel().tolist(),
            lambda rows: whole(sensitivity) * rows,
        )

    def _answer(self, noise: Any, event: Event) -> Any:
        """Charge the ledger OpenDP's price, then ask."""
        from opendp import combinators

        price = noise.map(self.budget.rows_per_unit)
        if not isinstance(price, tuple):
            noise, price = combinators.make_approximate(noise), (price, 0.0)
        rho, delta = price
        if rho > self.left:
            raise BudgetExceeded(
                f"{event.query}: costs rho {rho:.3g}, and {self.left:.3g} is left of the budget of "
                f"epsilon {self.budget.epsilon:g}; ask for less, or allow more"
            )
        priced = Event(**{**vars(event), "rho": float(rho), "delta": float(delta)})
        self.ledger.charge(priced)
        return self._ask(noise)


def misstated(ledger: Ledger) -> Iterator[str]:
    """Yield a line for each answer whose price does not follow from its noise.

    Parameters
    ----------
    ledger : Ledger

    Yields
    ------
    str
        One line an answer.

    Notes
    -----
    What a mechanism costs follows from sensitivity and scale; for the counts of keys the delta
    follows from scale and threshold, a whole number. A ledger whose noise, sensitivity and price
    were all changed in agreement is not found out here: the model's own tells.
    """
    if ledger.budget is None:
        return
    rows = ledger.budget.rows_per_unit
    for number, event in enumerate(ledger.events, 1):
        name = f"answer {number} of its ledger ({event.query})"
        if event.mechanism not in _ANSWERED_BY.get(event.query, (event.mechanism,)):
            yield f"{name} is not given by the mechanism {event.mechanism!r}"
        elif mispriced(event, rows):
            yield f"{name} has a rho that does not follow from its sensitivity and scale"
        elif event.mechanism != "gaussian threshold":
            if event.delta != 0:
                yield f"{name} has a delta, and its mechanism has none"
        elif event.sensitivity != 1 or not _is_a_tail(event.delta, event.scale, rows):
            yield f"{name} has a delta that does not follow from its scale"


_ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    "marginals": ("discrete gaussian",),
    "errors": ("discrete gaussian",),
    "products": ("discrete gaussian",),
    "selection": ("noisy max",),
    "domain": ("discrete gaussian", "gaussian threshold"),
}
"""Which mechanisms give the answer to which query."""
MAX_SCALE = 2.0**40
"""No count has so much noise."""


def _is_a_tail(delta: float, scale: float, rows: int) -> bool:
    """Return whether there is a threshold at which the counts of keys have this delta."""
    from opendp import domains, measurements, metrics, mod

    if not scale < MAX_SCALE:
        return False
    mod.enable_features("contrib", "honest-but-curious")
    space = (
        domains.map_domain(domains.atom_domain(T="String"), domains.atom_domain(T="i64")),
        metrics.l02inf_distance(metrics.absolute_distance(T="f64")),
    )

    def delta_at(threshold: int) -> float:
        noise: Any = measurements.make_gaussian_threshold(*space, scale=scale, threshold=threshold)
        return float(noise.map((rows, float(rows), float(rows)))[1])

    delta_there = delta_at(_least(delta_at, rows, scale, delta * (1 + SLACK)))
    return math.isclose(delta_there, delta, rel_tol=1e-6)


def _least(delta_at: Callable[[int], float], rows: int, scale: float, delta: float) -> int:
    """Find the least threshold whose delta is allowed."""
    low, high = rows, rows + int(50 * scale) + 50
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if delta_at(middle) <= delta else (middle, high)
    return high


def _sealed(key: str) -> str:
    return key.encode("utf-8", "surrogatepass").hex()


def _opened(sealed: str) -> str:
    return bytes.fromhex(sealed).decode("utf-8", "surrogatepass")


def _anything(_: Any) -> bool:
    return True


def _distance(metrics: Any) -> Any:
    """Neighbouring tables differ by rows that are added or removed."""
    return metrics.symmetric_distance()
