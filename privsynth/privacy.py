"""What was taken from the private rows, and what that proves.

An `Event` is the price of one answer, as plain data. The `Ledger` is the list of them, in the
order in which they were charged; the `Guarantee` is what the list proves. In this release every
answer is charged as not private, so that no guarantee can be claimed by accident; `Disclosure`
is the rule that holds instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from privsynth.errors import ArtefactError, UsageError

__all__ = ["Disclosure", "Event", "Guarantee", "Ledger"]


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
class Event:
    """One answer about the private rows.

    Parameters
    ----------
    query : str
        What was asked, in the field's words: ``"rows"``, ``"codec"``, ``"marginals"``, ``"sums"``,
        ``"products"``.
    detail : str
        What it was asked for, without any value of the table.
    mechanism : {"exact"}
        How it was answered. An exact answer is not private: its epsilon is infinite.
    """

    query: str
    detail: str = ""
    mechanism: Literal["exact"] = "exact"


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
    """

    epsilon: float
    delta: float
    unit: str = "row"
    not_covered: tuple[str, ...] = ()

    @property
    def formal(self) -> bool:
        """Whether anything is proven."""
        return self.epsilon < float("inf")

    def __str__(self) -> str:
        if not self.formal:
            return "no formal guarantee"
        return f"({self.epsilon:g}, {self.delta:g})-differential privacy, unit: {self.unit}"


@dataclass
class Ledger:
    """The answers given about one table, in order; it is only ever added to."""

    events: list[Event] = field(default_factory=list)

    def charge(self, event: Event) -> None:
        """Write down an answer; the curator does so before it gives it."""
        self.events.append(event)

    def guarantee(self) -> Guarantee:
        """Give what the ledger proves.

        Returns
        -------
        Guarantee
            Nothing asked costs nothing; an exact answer makes epsilon infinite.
        """
        if not self.events:
            return Guarantee(0.0, 0.0)
        return Guarantee(
            float("inf"),
            0.0,
            not_covered=("everything: the engine read exact answers about the training rows",),
        )

    def to_dict(self) -> dict[str, Any]:
        """Give the ledger as JSON values."""
        guarantee = self.guarantee()
        return {
            "guarantee": str(guarantee),
            "formal": guarantee.formal,
            "not_covered": list(guarantee.not_covered),
            "events": [asdict(event) for event in self.events],
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Ledger:
        """Rebuild a ledger; an event of a mechanism unknown here is refused."""
        events = []
        for entry in state["events"]:
            if entry.get("mechanism") != "exact":
                raise ArtefactError(
                    "the ledger names a mechanism that this version does not know; "
                    "install a newer privsynth"
                )
            events.append(Event(**entry))
        return cls(events)
