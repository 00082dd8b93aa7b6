"""What a ledger proves about the rows."""

from __future__ import annotations

from dataclasses import dataclass

from privsynth.privacy.budget import Budget

__all__ = ["Guarantee"]


@dataclass(frozen=True)
class Guarantee:
    """What a ledger proves about the rows.

    Parameters
    ----------
    epsilon, delta : float
        Differential privacy's two parameters; an infinite `epsilon` means no guarantee.
    unit : str
        Whose presence is hidden.
    not_covered : tuple of str
        What the guarantee does not cover, one sentence each.
    adjacency : str
        How neighbouring tables differ: one unit is added or removed.
    rows_per_unit : int
        Maximum number of rows of one unit that were learnt.
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


def _exact(number: float) -> str:
    """Format a number with all its digits: a claim must not be rounded."""
    return repr(float(number)).removesuffix(".0")


def uncovered(budget: Budget) -> tuple[str, ...]:
    """Return what the guarantee of a budget does not cover, one sentence each."""
    whose = "row" if budget.unit == "row" else f"value of {budget.unit!r}"
    lines = [
        "what the schema declares: kinds, levels and bounds are taken as public",
        f"what is true of the population: the guarantee hides one {whose}, not what many share",
        "figures, reports and verdicts of 'evaluate', which are read from the real rows",
        "other releases made from the same rows, unless one --ledger counts them all",
    ]
    if budget.unit == "row":
        lines.append(
            "a person or event with several rows, copies of one row among them: the privacy unit "
            "is one row"
        )
    return tuple(lines)
