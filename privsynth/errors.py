"""Every error that privsynth raises on purpose.

PrivsynthError                  what a caller can catch to catch them all
├── BudgetExceeded (ValueError) an answer that the privacy budget does not allow: exit 2
├── UsageError (ValueError)     a wrong option, name or setting: exit 2
│   ├── ConfigError             a configuration file or ``--set`` that cannot be used
│   └── SchemaError             a schema that is wrong, or does not fit the table
├── DataError (ValueError)      a table that cannot be used as it is: exit 2
├── ArtefactError (ValueError)  a model file that is damaged, foreign or too new: exit 2
├── SamplingError (ValueError)  rows that the model cannot deliver: exit 2
├── MissingExtraError (ImportError)  an optional package that is not installed: exit 2
└── StorageError (OSError)      a file or folder that cannot be read or written
    └── MachineError            the machine failed us: disk full, out of memory: exit 3

A message is one line: what was given, what is wanted and how to mend it. It names file,
column and row number, and never a cell's value. Passwords in URLs are hidden here, so that no
error or warning shows one, whoever raises it.
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
        super().__init__(*_hidden(args))


class UsageError(PrivsynthError, ValueError):
    """A wrong option, name or setting."""


class BudgetExceeded(PrivsynthError, ValueError):  # noqa: N818  (the field's own word)
    """An answer that the privacy budget does not allow; no noise was drawn for it."""


class ConfigError(UsageError):
    """A configuration file, or a ``--set``, that cannot be used."""


class SchemaError(UsageError):
    """A schema that is wrong in itself, or does not fit the table."""


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
    """The machine failed us: the disk is full or the memory is spent."""


class PrivsynthWarning(UserWarning):
    """Something the user should know, and can go on without."""

    def __init__(self, *args: object) -> None:
        super().__init__(*_hidden(args))


def _hidden(args: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(printable(arg) if isinstance(arg, str) else arg for arg in args)


def did_you_mean(given: object, names: Iterable[object]) -> str:
    """Say which names are known and which of them is nearest to the one given.

    Parameters
    ----------
    given : object
        The name that was not found.
    names : iterable of object
        The names that exist; a long list is cut.

    Returns
    -------
    str
        ``"; did you mean 'x'? (known: a, b, c)"``, ready to end a message with.
    """
    texts = [str(name) for name in names]
    near = difflib.get_close_matches(str(given), texts, n=3, cutoff=0.5)
    if not near:
        folded = {text.casefold(): text for text in texts}
        near = [folded[str(given).casefold()]] if str(given).casefold() in folded else []
    hint = f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""
    shown = ", ".join(texts[:20]) + (f", and {len(texts) - 20} more" if len(texts) > 20 else "")
    return f"{hint} (known: {shown})"


def warn(text: str) -> None:
    """Warn of `text` at the line outside the package that led here."""
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] == "privsynth":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, PrivsynthWarning, stacklevel=level)
