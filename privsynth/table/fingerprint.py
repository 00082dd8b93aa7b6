"""Whether files are still those that were opened: a table is read in several passes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from privsynth.errors import DataError, StorageError

__all__ = ["Fingerprint"]

END = 1 << 16
"""How many bytes at the head and at the tail of a file are digested."""


@dataclass(frozen=True)
class Fingerprint:
    """What files looked like when they were opened.

    A file that is written to changes its size or its times; one that is replaced, its inode. The
    digest of both ends finds a change whose times were set back.

    Parameters
    ----------
    marks : dict of Path to tuple
        Each file's inode, size, times and digest; None for a file that was not there.
    """

    marks: dict[Path, tuple[object, ...] | None]

    @classmethod
    def of(cls, files: Iterable[Path]) -> Fingerprint:
        """Record what files look like now.

        Raises
        ------
        OSError
            A file cannot be read.
        """
        return cls({file: _mark(file) for file in files})

    def check(self) -> None:
        """Compare the files with what they were.

        Raises
        ------
        StorageError
            A file has changed; the message names the first that has.
        """
        for file, mark in self.marks.items():
            try:
                now = _mark(file)
            except OSError:
                now = ("unreadable",)
            if now != mark:
                raise StorageError(
                    f"{file}: changed while it was read; run again on a copy that no other "
                    "program writes to"
                )

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Check the files before and after a pass, and before an error of the pass is believed."""
        self.check()
        try:
            yield
        except (DataError, StorageError):
            self.check()
            raise
        self.check()


def _mark(file: Path) -> tuple[object, ...] | None:
    try:
        with file.open("rb") as raw:
            status = os.fstat(raw.fileno())
            digest = blake2b(raw.read(END))
            if status.st_size > END:
                raw.seek(max(END, status.st_size - END))
                digest.update(raw.read(END))
    except FileNotFoundError:
        return None
    # The time of change cannot be set back, and the time of modification can.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        digest.digest(),
    )
