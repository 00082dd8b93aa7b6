"""A risk that somebody accepts: the reason why a release is written though it misses its policy."""

from __future__ import annotations

from privsynth.errors import UsageError

__all__ = ["PolicyMissed", "checked_reason"]


class PolicyMissed(Exception):  # noqa: N818
    """A policy is missed: the folder is not put in its place."""


def checked_reason(reason: str | None) -> str | None:
    """Return the reason for which a risk is accepted, without spaces around it.

    Raises
    ------
    UsageError
        It is blank, or not UTF-8.
    """
    if reason is None:
        return None
    if not isinstance(reason, str) or not any(character.isalnum() for character in reason):
        raise UsageError(
            "the reason for accepting the risk is blank; say who decided and why, for it is kept "
            "in the card"
        )
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise UsageError("the reason for accepting the risk is not UTF-8; write it anew") from None
    return reason.strip()
