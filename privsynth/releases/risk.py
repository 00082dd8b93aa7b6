"""Accepted risk: the reason for writing a release although it misses its policy."""

from __future__ import annotations

from privsynth.errors import UsageError

__all__ = ["PolicyMissed", "checked_reason"]


class PolicyMissed(Exception):  # noqa: N818
    """The policy is missed, so the folder is not moved into place."""


def checked_reason(reason: str | None) -> str | None:
    """Return the reason for accepting a risk, without spaces around it.

    Raises
    ------
    UsageError
        It is blank, or not UTF-8.
    """
    if reason is None:
        return None
    if not isinstance(reason, str) or not any(character.isalnum() for character in reason):
        raise UsageError(
            "the reason for accepting the risk is blank; say who decided and why, since the "
            "card records it"
        )
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise UsageError("the reason for accepting the risk is not UTF-8; write it again") from None
    return reason.strip()
