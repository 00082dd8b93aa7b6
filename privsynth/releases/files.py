"""The files of a release: their names, their hashes, and bounded reads of untrusted files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from privsynth.errors import ArtefactError, StorageError
from privsynth.files.documents import read_json

__all__ = [
    "CARD",
    "CROISSANT",
    "EVALUATION",
    "MAX_BYTES",
    "NAMES",
    "PARTS",
    "PUBLIC",
    "PUBLIC_KEY",
    "REPORT",
    "RESTRICTED",
    "SIGNATURE",
    "SUMS",
    "TABLES",
    "bounded",
    "json_bytes",
    "parsed",
    "read_sums",
    "sha256",
    "sums",
]

CARD = "card.json"
CROISSANT = "croissant.json"
EVALUATION = "evaluation.json"
REPORT = "report.html"
SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
PUBLIC_KEY = "SHA256SUMS.pub"

TABLES: Mapping[str, str] = {
    "synthetic.csv": "text/csv",
    "synthetic.parquet": "application/x-parquet",
}
"""The possible names of the synthetic table, and the media type of each."""

PUBLIC = "public"
RESTRICTED = "restricted"
"""The folders of a release under a budget: covered by the guarantee, and read off real rows."""

PARTS: Mapping[str | None, tuple[str, ...]] = {
    None: (CARD, CROISSANT, EVALUATION, REPORT, SUMS),
    PUBLIC: (CARD, CROISSANT, SUMS),
    RESTRICTED: (CARD, EVALUATION, REPORT, SUMS),
}
"""The files of each part of a release, besides its table; None is a release in one part."""

NAMES = frozenset({CARD, CROISSANT, EVALUATION, REPORT, SUMS, SIGNATURE, PUBLIC_KEY, *TABLES})
"""Every name that a file of a release may have."""

MAX_BYTES = 2**26
"""Largest size of any file except the table, which is hashed piece by piece."""

_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9.]+)")


def sha256(path: Path, *, prefix: bytes = b"") -> str:
    """Return the sha256 of `prefix` followed by the bytes of a file."""
    digest = hashlib.sha256(prefix)
    try:
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digest.update(chunk)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    return digest.hexdigest()


def sums(digests: Mapping[str, str]) -> bytes:
    """Return the content of ``SHA256SUMS``, in the form that ``sha256sum -c`` reads."""
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests)).encode()


def read_sums(data: bytes) -> dict[str, str]:
    """Read ``SHA256SUMS``.

    Raises
    ------
    ArtefactError
        A line has another form, or its name is repeated or does not belong to a release.
    """
    digests: dict[str, str] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None or match[2] not in NAMES or match[2] in digests:
            raise ArtefactError(f"{SUMS}, line {number}: is not the hash of a release's file")
        digests[match[2]] = match[1]
    return digests


def bounded(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a whole file, unless it is larger than any that privsynth writes.

    Raises
    ------
    ArtefactError
        It is larger than `max_bytes`.
    StorageError
        It cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if len(data) > max_bytes:
        raise ArtefactError(f"{path.name}: is larger than the limit of {max_bytes:,} bytes")
    return data


def json_bytes(value: Any) -> bytes:
    """Return JSON text with sorted keys, so that equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False)
    return text.encode() + b"\n"


def parsed(data: bytes, name: str) -> dict[str, Any]:
    """Read a JSON object; repeated keys are refused, since readers disagree about them.

    Raises
    ------
    ArtefactError
        The data is not a JSON object without repeated keys.
    """
    value = read_json(data, name, ArtefactError)
    if not isinstance(value, dict):
        raise ArtefactError(f"{name}: is not a JSON object")
    return value
