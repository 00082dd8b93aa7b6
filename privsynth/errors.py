"""Every error that privsynth raises on purpose.

PrivsynthError                  the base class: catch it to catch them all
├── BudgetExceeded (ValueError) an answer that would exceed the privacy budget: exit 2
├── UsageError (ValueError)     a wrong option, name or setting: exit 2
│   ├── ConfigError             a configuration file or ``--set`` that cannot be used
│   └── SchemaError             a schema that is invalid, or does not fit the table
├── DataError (ValueError)      a table that cannot be used as it is: exit 2
├── ArtefactError (ValueError)  a model file that is damaged, foreign or too new: exit 2
├── SamplingError (ValueError)  rows that the model cannot deliver: exit 2
├── MissingExtraError (ImportError)  an optional package that is not installed: exit 2
└── StorageError (OSError)      a file or folder that cannot be read or written
    └── MachineError            a failure of the machine: disk full, out of memory: exit 3

A message is one line: what was given, what was expected and how to fix it. It names the file,
column and row number, and never a cell's value. The constructors hide passwords in URLs, so that
no error or warning can show one.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable

from privsynth.redaction import printable

__all__ = [
    "ArtefactError",
    "BudgetExceeded",
    "ConfigError",
    "DataError",
    "MachineError",
    "MissingExtraError",
    "PrivsynthError",
    "PrivsynthWarning",
    "SamplingError",
    "SchemaError",
    "StorageError",
    "UsageError",
    "did_you_mean",
    "warn",
]


class PrivsynthError(Exception):
    """Base of every error that privsynth raises on purpose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*_without_passwords(args))


class UsageError(PrivsynthError, ValueError):
    """A wrong option, name or setting."""


class BudgetExceeded(PrivsynthError, ValueError):  # noqa: N818  (the field's own term)
    """An answer that would exceed the privacy budget; no noise was drawn for it."""


class ConfigError(UsageError):
    """A configuration file, or a ``--set``, that cannot be used."""


class SchemaError(UsageError):
    """A schema that is invalid, or does not fit the table."""


class DataError(PrivsynthError, ValueError):
    """A table that cannot be used as it is."""


class ArtefactError(PrivsynthError, ValueError):
    """A model file that is damaged, foreign or too new."""


class SamplingError(PrivsynthError, ValueError):
    """Rows that the model cannot deliver."""


class MissingExtraError(PrivsynthError, ImportError):
    """An optional package that is not installed."""


class StorageError(PrivsynthError, OSError):
    """A file or folder that cannot be read or written."""


class MachineError(StorageError):
    """A failure of the machine: the disk is full, or memory ran out."""


class PrivsynthWarning(UserWarning):
    """Something the user should know about that does not stop the run."""

    def __init__(self, *args: object) -> None:
        super().__init__(*_without_passwords(args))


def _without_passwords(args: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(printable(arg) if isinstance(arg, str) else arg for arg in args)


def did_you_mean(given: object, names: Iterable[object]) -> str:
    """List the known names and suggest those nearest to the given one.

    Parameters
    ----------
    given : object
        The unknown name.
    names : iterable of object
        The known names; a list of more than 20 is cut.

    Returns
    -------
    str
        The end of a message, such as ``"; did you mean 'x'? (known: a, b, c)"``.
    """
    texts = [str(name) for name in names]
    nearest = difflib.get_close_matches(str(given), texts, n=3, cutoff=0.5)
    if not nearest:
        folded = {text.casefold(): text for text in texts}
        nearest = [folded[str(given).casefold()]] if str(given).casefold() in folded else []
    hint = f"; did you mean {' or '.join(repr(name) for name in nearest)}?" if nearest else ""
    shown = ", ".join(texts[:20]) + (f", and {len(texts) - 20} more" if len(texts) > 20 else "")
    return f"{hint} (known: {shown})"


def warn(text: str) -> None:
    """Warn of `text` at the line outside the package that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] == "privsynth":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, PrivsynthWarning, stacklevel=level)
