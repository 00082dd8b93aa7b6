"""Statistical disclosure control: the rule for fits without a budget."""

from __future__ import annotations

from dataclasses import dataclass

from privsynth.errors import UsageError

__all__ = ["Disclosure"]


@dataclass(frozen=True)
class Disclosure:
    """Statistical disclosure control: no output rests on fewer than `k` rows.

    Parameters
    ----------
    k : int, default=10
        Minimum number of training rows behind a level, bin, bound or parameter.

    Notes
    -----
    A minimum-frequency rule (Hundepool et al., *Statistical Disclosure Control*, 2012, ch. 4)
    lowers the risk of disclosure. It is not a formal guarantee.
    """

    k: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise UsageError(f"k is {self.k!r}, expected a whole number from 1; use --k 10")

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
