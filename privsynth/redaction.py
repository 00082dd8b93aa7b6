"""Hide the passwords of URLs and connection strings before they are shown."""

from __future__ import annotations

import re

__all__ = ["printable"]

HIDDEN = "***"

# duckdb:/// and the like are followed by a path, in which ``:``, ``@`` and ``?`` are ordinary.
_URL = re.compile(
    r"(?<![a-z0-9])(?!(?:duckdb|sqlite|file):///)"
    r"(postgres[a-z0-9+.-]*:/*|[a-z][a-z0-9+.-]+:/+)(.*)",
    re.IGNORECASE | re.DOTALL,
)
_USER = re.compile(r"[^:@/?#\s]*")
# ``postgresql://user:password`` without a host: what follows the colon is not a port.
_NO_PORT = re.compile(r"([^:/?#\s\[\]]+):(?![:\s]|\d{1,5}(?![^/?,:\s])).*?(?=::|: |$)", re.DOTALL)
_QUERY = re.compile(r"\A((?:(?!: )[^?])*)\?.*?(?=: |$)", re.DOTALL)
_PAIR = re.compile(
    r"\b((?:ssl)?pass(?:word|wd|phrase)?|pwd)(\s*=\s*)(?:'(?:[^'\\]|\\.)*(?:'|$)|\S+)",
    re.IGNORECASE | re.DOTALL,
)


def printable(text: object) -> str:
    """Hide the passwords in a path or URL, or in a message that quotes one.

    Parameters
    ----------
    text : object
        A path, a URL, a libpq connection string, or text that contains one of these.

    Returns
    -------
    str
        A URL keeps its scheme, user, host, database and table. Everything after a ``?`` is hidden,
        since any parameter may be a secret. Where a password contains characters that would end
        it in a URL, too much is hidden rather than too little.

    Examples
    --------
    >>> printable("postgresql://ann:s3cr3t@host/db::loans")
    'postgresql://ann:***@host/db::loans'
    >>> printable("postgresql://host/db?password=s3cr3t: no table 'x'")
    "postgresql://host/db?***: no table 'x'"
    """
    return _PAIR.sub(rf"\1\2{HIDDEN}", _URL.sub(_without_secrets, str(text)))


def _without_secrets(url: re.Match[str]) -> str:
    head, rest = url[1], url[2]
    match = _USER.match(rest)
    user = match[0] if match else ""
    at, query = rest.rfind("@"), rest.find("?")
    if re.match(rf"{re.escape(user)}:{re.escape(HIDDEN)}([@/:\s]|$)", rest):
        pass  # the password was hidden before
    elif 0 <= query < at:
        # Either the password contains a question mark or a parameter contains an at sign.
        reason = rest.find(": ", at)
        rest = f"{user}:{HIDDEN}{rest[reason:] if reason >= 0 else ''}"
    elif at >= 0 and user != rest[:at]:
        rest = f"{user}:{HIDDEN}{rest[at:]}"
    elif at < 0:
        rest = _NO_PORT.sub(rf"\1:{HIDDEN}", rest, count=1)
    return head + _QUERY.sub(rf"\1?{HIDDEN}", rest, count=1)
