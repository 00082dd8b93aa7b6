"""How groups of rows and names look in every picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["INK", "LINE", "MAJORITY", "MINORITY", "SOFT", "SYNTHETIC", "Mark", "moments", "shown"]

INK: Final = "#1c2024"
SOFT: Final = "#5f6872"
LINE: Final = "#e2e4e7"


@dataclass(frozen=True)
class Mark:
    """How a group of rows is drawn; its shape distinguishes it where its colour cannot.

    Parameters
    ----------
    words : str
        What the legend calls the group.
    colour : str
        A ``#`` and six hexadecimal digits.
    shape, symbol : str
        The names of its shape in matplotlib and in plotly.
    """

    words: str
    colour: str
    shape: str
    symbol: str


# light, medium and dark, so that they differ in greyscale too; blue and orange are also safe for
# colour-blind readers
MAJORITY: Final = Mark("real, majority", "#c3c8ce", "o", "circle")
MINORITY: Final = Mark("real, minority", "#c2571a", "^", "triangle-up")
SYNTHETIC: Final = Mark("synthetic, minority", "#123f73", "x", "x-thin")


def shown(name: object, width: int = 28) -> str:
    """Return a name as one line of at most `width` printable characters."""
    line = "".join(c if c.isprintable() else " " for c in str(name)).strip() or "(no name)"
    return line if len(line) <= width else line[: width - 1] + "…"


def moments(seconds: float) -> str:
    """Format seconds since 1970 as a date and time; outside the years 1 to 9999, as seconds."""
    import datetime

    try:
        day = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=float(seconds))
    except (OverflowError, ValueError):
        return f"{seconds:.3g} s"
    return day.isoformat(sep=" ", timespec="seconds")
