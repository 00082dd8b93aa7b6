"""A figure about a synthetic table, with what a reader needs to judge it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Evaluation", "Score"]

FORMAT = "privsynth-evaluation"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Score:
    """One figure about a synthetic table.

    Parameters
    ----------
    family : str
        ``"fidelity"``, ``"utility"``, ... : the section that it belongs to.
    name : str
        The field's term for it, unique in its family.
    value : float or None
        The figure; None where it could not be computed, and then `meaning` says why.
    low, high : float, optional
        A 95% interval.
    real : float, optional
        The same figure for the real holdout: what a perfect synthesizer would reach.
    better : {"higher", "lower", "neither"}
        Which way is better.
    meaning : str
        One line for a person.
    detail : mapping of str to float
        The same figure by part (a column, a model), where it is worth showing.
    """

    family: str
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    real: float | None = None
    better: Literal["higher", "lower", "neither"] = "higher"
    meaning: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """The scores of one synthetic table.

    Parameters
    ----------
    scores : tuple of Score
    about : mapping of str to JSON value
        Rows, columns, target, versions: what was compared with what.
    notes : tuple of str
        What the reader must know: verdicts not given, rows in both train and holdout.
    """

    scores: tuple[Score, ...]
    about: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Score]:
        return iter(self.scores)

    def __getitem__(self, name: str) -> Score:
        for score in self.scores:
            if score.name == name:
                return score
        raise KeyError(name)
