"""The accountant: the privacy filter and the noise. Only this module calls OpenDP's mechanisms.

The private data are handed to OpenDP, whose filter (Rogers et al. 2016) composes mechanisms fully
adaptively (Whitehouse et al. 2023) and refuses, in Rust, what the budget does not allow. Mechanisms
take and return integers, so that floating-point rounding discloses nothing (Mironov 2012). Noise
comes from the operating system's entropy and has no seed.
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
"""The minimum cost of an answer; a count then has noise of about 1e9 rows."""

Question = Callable[[Any], npt.NDArray[np.int64]]
"""Returns the exact integer answer, given the private data."""


class Accountant:
    """Answers questions with noise, charged to a ledger; OpenDP's filter enforces the budget.

    Parameters
    ----------
    private : object
        What questions are asked about; it is never returned.
    ledger : Ledger
        A ledger with a budget.
    delta : float
        The part of the budget's delta that is reserved for answers with a delta of their own.
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
            The maximum change of the exact answer by one row.

        Raises
        ------
        BudgetExceeded
            `rho` is below `MIN_RHO`.
        """
        if not rho >= MIN_RHO:
            raise BudgetExceeded(
                f"an answer of rho {rho:.3g} is asked for, and noise drowns it below rho "
                f"{MIN_RHO:g}; ask for fewer answers, or allow a larger epsilon"
            )
        # Slightly more noise, so that rounding does not raise the price above all that is left.
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
            Returns integers.
        sensitivity : float
            The maximum change of the exact answer by one row, in the Euclidean norm.
        scale : float
            The scale of the noise.

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
            The maximum change of any one of them by one row.
        scale : float
            The scale of the noise.

        Notes
        -----
        Gumbel noise gives the exponential mechanism (McSherry & Talwar 2007); its price is that
        of its bounded range (Cesar & Rogers 2021).
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
        """Return the keys whose noisy counts exceed a threshold, and these counts.

        Parameters
        ----------
        question : callable
            Returns the number of rows of each key; a row has one key.
        rho, delta : float
            The cost of the answer; `delta` is the probability that a key of one unit alone is
            returned.

        Notes
        -----
        Stable histograms (Korolova et al. 2009) with Gaussian noise (Rogers 2023).
        """
        from opendp import domains, measurements, metrics, transformations

        counts: Any = transformations.make_user_transformation(
            *self._space,
            domains.map_domain(domains.atom_domain(T="String"), domains.atom_domain(T="i64")),
            metrics.l02inf_distance(metrics.absolute_distance(T="f64")),
            # OpenDP passes text as C strings, which end at the first NUL: keys could be merged.
            lambda private: {_sealed(key): n for key, n in question(private).items()},
            lambda rows: (rows, float(rows), float(rows)),
        )
        rows = self.budget.rows_per_unit
        scale = self.scale(1.0, rho)

        def noise(threshold: int) -> Any:
            return counts >> measurements.then_gaussian_threshold(scale=scale, threshold=threshold)

        threshold = _least(lambda value: noise(value).map(rows)[1], rows, scale, delta)
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
        """Charge OpenDP's price to the ledger, then ask."""
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
    The rho of a mechanism follows from its sensitivity and scale; the delta of the counts of keys
    follows from the scale and an integer threshold. A ledger whose noise, sensitivity and price
    were changed consistently passes here; the scales in the model reveal it.
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
        elif event.sensitivity != 1 or not _is_threshold_delta(event.delta, event.scale, rows):
            yield f"{name} has a delta that does not follow from its scale"


_ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    "marginals": ("discrete gaussian",),
    "errors": ("discrete gaussian",),
    "products": ("discrete gaussian",),
    "selection": ("noisy max",),
    "domain": ("discrete gaussian", "gaussian threshold"),
}
"""The mechanisms that may answer each query."""
MAX_SCALE = 2.0**40
"""Upper bound on the scale of a count's noise."""


def _is_threshold_delta(delta: float, scale: float, rows: int) -> bool:
    """Return whether some threshold gives the counts of keys this delta."""
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

    nearest = delta_at(_least(delta_at, rows, scale, delta * (1 + SLACK)))
    return math.isclose(nearest, delta, rel_tol=1e-6)


def _least(delta_at: Callable[[int], float], rows: int, scale: float, delta: float) -> int:
    """Return the smallest threshold whose delta is at most `delta`, by bisection."""
    low, high = rows, rows + int(50 * scale) + 50
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if delta_at(middle) <= delta else (middle, high)
    return high


def _sealed(key: str) -> str:
    """Encode a key as hexadecimal text."""
    return key.encode("utf-8", "surrogatepass").hex()


def _opened(sealed: str) -> str:
    return bytes.fromhex(sealed).decode("utf-8", "surrogatepass")


def _anything(_: Any) -> bool:
    return True


def _distance(metrics: Any) -> Any:
    """Return the metric of tables: how many rows are added or removed."""
    return metrics.symmetric_distance()
