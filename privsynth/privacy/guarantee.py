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


def _exact(number: float) -> str:
    """Spell a number with all its digits: a claim is not rounded."""
    return repr(float(number)).removesuffix(".0")


def uncovered(budget: Budget) -> tuple[str, ...]:
    """Return what the guarantee does not speak of."""
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
