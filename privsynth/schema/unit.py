"""The privacy unit: whose privacy is kept, a row's or that of all rows of a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from privsynth.errors import UsageError

__all__ = ["Unit", "agreed_unit"]

_ROW = "row"


@dataclass(frozen=True)
class Unit:
    """Whose privacy is kept.

    Parameters
    ----------
    column : str, optional
        The rows that share a value of this column are one unit; without it each row is one.
    """

    column: str | None = None

    @classmethod
    def parse(cls, given: Any, where: str = "unit") -> Unit:
        """Read ``"row"``, a column's name, or ``{column: NAME}``; `where` names it in messages.

        Raises
        ------
        UsageError
        """
        if isinstance(given, Unit):
            return given
        if isinstance(given, Mapping) and set(given) == {"column"}:
            given, named = given["column"], True
        else:
            named = False
        if not isinstance(given, str) or not given:
            raise UsageError(
                f"{where}: expected 'row' or the name of a column, or {{column: NAME}} for a "
                "column called row"
            )
        return cls(None if given == _ROW and not named else given)

    def to_value(self) -> str | dict[str, str]:
        """Return the unit as YAML or JSON values, as `parse` reads it."""
        if self.column is None:
            return _ROW
        return {"column": _ROW} if self.column == _ROW else self.column

    def __str__(self) -> str:
        return _ROW if self.column is None else f"column {self.column!r}"


def agreed_unit(given: Mapping[str, Unit | None]) -> Unit | None:
    """Return the unit that several places name; None where none does.

    Parameters
    ----------
    given : mapping of str to Unit or None
        What each place says, by the words that name the place in messages.

    Raises
    ------
    UsageError
        Two places disagree.
    """
    named = {place: unit for place, unit in given.items() if unit is not None}
    for (place, unit), (other, second) in zip(
        list(named.items())[:-1], list(named.items())[1:], strict=True
    ):
        if unit != second:
            raise UsageError(
                f"the privacy unit is {unit} by {place}, and {second} by {other}; name it once, "
                "or alike"
            )
    return next(iter(named.values()), None)
