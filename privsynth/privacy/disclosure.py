"""Statistical disclosure control: the rule for fits without a budget."""

from __future__ import annotations

from dataclasses import dataclass

from privsynth.errors import UsageError

__all__ = ["INVENTED", "Disclosure"]

INVENTED = (
    "id and personal columns are replaced by surrogates",
    "free text is replaced by placeholder text",
)
"""The rules that hold under a budget as well."""


@dataclass(frozen=True)
class Disclosure:
    """Statistical disclosure control: no output rests on fewer than `k` rows, or units.

    Parameters
    ----------
    k : int, default=10
        Minimum number of training rows behind a level, bin, bound or parameter.
    unit : str, optional
        The column whose values are the privacy units: k counts these instead of rows.

    Notes
    -----
    A minimum-frequency rule (Hundepool et al., *Statistical Disclosure Control*, 2012, ch. 4)
    lowers the risk of disclosure. It is not a formal guarantee.
    """

    k: int = 10
    unit: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.k, int) or self.k < 1:
            raise UsageError(f"k is {self.k!r}, expected a whole number from 1; use --k 10")

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules in words, one sentence each, for the card."""
        k, counted = self.k, self.counted
        return (
            f"levels held by fewer than {k} {counted} are merged or suppressed",
            f"numeric and datetime extremes are clipped to the {k}th "
            f"{'value' if self.unit is None else 'unit'} from each end, and bounds are coarsened",
            f"every bin, and every leaf of a tree, holds at least {k} {counted}",
            *INVENTED,
            *self._dominance,
        )

    @property
    def counted(self) -> str:
        """What k counts, in words."""
        return "rows" if self.unit is None else f"units of column {self.unit!r}"

    @property
    def _dominance(self) -> tuple[str, ...]:
        if self.unit is None:
            return ()
        return (
            f"a unit counts at most as many rows of a class as each of its {self.k} largest units "
            f"has, so at most one in {self.k}, and once for each code of a leaf",
        )
