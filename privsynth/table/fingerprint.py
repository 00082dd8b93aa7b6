"""Detecting files that change while a table is read from them in several passes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from privsynth.errors import DataError, StorageError

__all__ = ["Fingerprint"]

END_BYTES = 1 << 16
"""Bytes digested at the start and at the end of a file."""


@dataclass(frozen=True)
class Fingerprint:
    """The state of files when they were opened.

    Writing to a file changes its size or times, and replacing it changes its inode. The digest of
    both ends detects a change whose times were set back.

    Parameters
    ----------
    marks : dict of Path to tuple
        The inode, size, times and digest of each file; None for a missing file.
    """

    marks: dict[Path, tuple[object, ...] | None]

    @classmethod
    def of(cls, files: Iterable[Path]) -> Fingerprint:
        """Record the present state of files.

        Raises
        ------
        OSError
            A file cannot be read.
        """
        return cls({file: _state(file) for file in files})

    def check(self) -> None:
        """Compare the files with their recorded state.

        Raises
        ------
        StorageError
            A file has changed; the message names the first one.
        """
        for file, mark in self.marks.items():
            try:
                now = _state(file)
            except OSError:
                now = ("unreadable",)
            if now != mark:
                raise StorageError(
                    f"{file}: changed while it was read; run again on a copy that no other "
                    "program writes to"
                )

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Check the files before and after a pass, and before an error of the pass is raised."""
        self.check()
        try:
            yield
        except (DataError, StorageError):
            self.check()
            raise
        self.check()


def _state(file: Path) -> tuple[object, ...] | None:
    try:
        with file.open("rb") as raw:
            status = os.fstat(raw.fileno())
            digest = blake2b(raw.read(END_BYTES))
            if status.st_size > END_BYTES:
                raw.seek(max(END_BYTES, status.st_size - END_BYTES))
                digest.update(raw.read(END_BYTES))
    except FileNotFoundError:
        return None
    # The modification time can be set back, but not the change time.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        digest.digest(),
    )
