"""Packages that an installation may lack: which are there, and what to say where one is not."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from privsynth.errors import MissingExtraError

__all__ = ["installed_version", "need"]


def need(purpose: str, *packages: str, extra: str | None = None) -> None:
    """Refuse what a package that is not installed would be needed for.

    Parameters
    ----------
    purpose : str
        The subject of the message: what needs them.
    *packages : str
        Names under which pip installs them and Python imports them.
    extra : str, optional
        The extra of privsynth that brings them.

    Raises
    ------
    MissingExtraError
        Names the absent packages, and the command that installs them.
    """
    absent = [name for name in packages if find_spec(name) is None]
    if absent:
        verb = "is" if len(absent) == 1 else "are"
        command = " ".join(absent) if extra is None else f"'privsynth[{extra}]'"
        raise MissingExtraError(
            f"{purpose} needs {' and '.join(absent)}, which {verb} not installed; "
            f"run: pip install {command}"
        )


def installed_version(package: str) -> str | None:
    """Return the version of a package; None for one that is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
