"""A figure about a synthetic table, with what a reader needs to judge it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from privsynth.errors import ArtefactError
from privsynth.files.documents import read_json

__all__ = ["Evaluation", "Score"]

FORMAT = "privsynth-evaluation"
FORMAT_VERSION = 1
ABOUT: Mapping[str, type] = {
    "rows": Mapping,
    "unit": Mapping,
    "versions": Mapping,
    "policy": Mapping,
    "verdicts": Mapping,
    "not_judged": Mapping,
    "columns": list,
    "left_out": list,
    "methods": list,
    "findings": list,
}
"""The types of the entries of `Evaluation.about` that readers rely on."""
Better = Literal["higher", "lower", "neither"]


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
        The figure; None if it could not be computed, and then `meaning` says why.
    low, high : float, optional
        A 95% interval.
    real : float, optional
        The same figure for the real holdout: what a perfect synthesizer would reach.
    better : {"higher", "lower", "neither"}
        Which way is better.
    meaning : str
        One line for the reader.
    detail : mapping of str to float
        The same figure by part (a column, a model), if worth showing.
    """

    family: str
    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    real: float | None = None
    better: Better = "higher"
    meaning: str = ""
    detail: Mapping[str, float] = field(default_factory=dict)

    def _sound(self) -> bool:
        """Return whether each field has its type; a file may contain anything."""
        return (
            all(isinstance(text, str) for text in (self.family, self.name, self.meaning))
            and self.better in get_args(Better)
            and all(_is_figure(figure) for figure in (self.value, self.low, self.high, self.real))
            and isinstance(self.detail, Mapping)
            and all(_is_figure(figure) for figure in self.detail.values())
        )


@dataclass(frozen=True)
class Evaluation:
    """The scores of one synthetic table.

    Parameters
    ----------
    scores : tuple of Score
    about : mapping of str to JSON value
        What was compared with what: rows, columns, target, versions.
    notes : tuple of str
        What the reader must know, such as figures left out, or rows in both train and holdout.
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

    @property
    def unit(self) -> str | None:
        """What is judged instead of rows, such as ``"units of column 'patient'"``; None if rows."""
        unit = self.about.get("unit")
        return f"units of column {unit['column']!r}" if isinstance(unit, Mapping) else None

    def counted(self, table: str, default: int = 0) -> int:
        """Return how many units a table has; how many rows, where rows are judged."""
        unit = self.about.get("unit")
        counts = unit["units"] if isinstance(unit, Mapping) else self.about.get("rows")
        return int(counts.get(table, default)) if isinstance(counts, Mapping) else default

    def to_json(self) -> str:
        """Return the evaluation as JSON text, in the form that `docs/evaluation.md` specifies."""
        state = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "about": self.about,
            "notes": self.notes,
            "scores": [asdict(score) for score in self.scores],
        }
        return json.dumps(_finite(state), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "evaluation") -> Evaluation:
        """Rebuild an evaluation; `where` names the file in messages.

        Raises
        ------
        ArtefactError
            The text is not JSON, not an evaluation, or of a newer version.
        """
        try:
            state = read_json(text, where, ArtefactError)
        except ArtefactError:
            state = None
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise ArtefactError(
                f"{where}: is not an evaluation; write one with 'privsynth evaluate --json FILE'"
            )
        if state.get("version") != FORMAT_VERSION:
            raise ArtefactError(
                f"{where}: evaluation version {state.get('version')!r}, but this privsynth reads "
                f"{FORMAT_VERSION}; install a newer one"
            )
        try:
            evaluation = cls(
                tuple(Score(**score) for score in state["scores"]),
                state["about"],
                tuple(state["notes"]),
            )
        except (KeyError, TypeError):
            evaluation = None
        if evaluation is None or not evaluation._sound():
            raise ArtefactError(
                f"{where}: a part of the evaluation is missing or unknown; evaluate again"
            )
        return evaluation

    def _sound(self) -> bool:
        """Return whether all entries that a report reads have their types."""
        if not isinstance(self.about, Mapping):
            return False
        rows = self.about.get("rows", {})
        unit = self.about.get("unit")
        return (
            all(
                isinstance(self.about[key], kind)
                for key, kind in ABOUT.items()
                if key in self.about
            )
            and all(_is_count(count) for count in rows.values())
            and (unit is None or _is_unit(unit))
            and all(isinstance(note, str) for note in self.notes)
            and all(score._sound() for score in self.scores)
        )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_unit(value: Mapping[str, Any]) -> bool:
    counts = value.get("units")
    return (
        isinstance(value.get("column"), str)
        and isinstance(counts, Mapping)
        and all(_is_count(count) for count in counts.values())
    )


def _is_figure(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) < 2**1000)


def _finite(value: Any) -> Any:
    """Replace numbers that are not finite by None, since JSON has none of them."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
