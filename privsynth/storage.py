"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privsynth.errors import MachineError, StorageError

__all__ = ["check_writable", "failure", "replacing"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def replacing(path: str | Path, *, mode: int | None = None) -> Iterator[Path]:
    """Give a temporary file beside `path`, and rename it into place on success.

    Parameters
    ----------
    path : str or Path
        The file to be written or replaced.
    mode : int, optional
        Its permissions; without, those of a new file under the user's umask.

    Yields
    ------
    Path
        An empty file with the same ending. An error, an interrupt or a kill leaves the old file.

    Raises
    ------
    MachineError
        The disk is full.
    StorageError
        The folder cannot be written to.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix="".join(path.suffixes[-2:]), dir=path.parent
        )
    except OSError as error:
        raise failure(path, error) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode if mode is not None else 0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise failure(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | Path) -> None:
    """Find out before any work whether a file could be written.

    Raises
    ------
    StorageError
        Its folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise StorageError(f"{path}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise StorageError(f"{path}: its folder does not exist; make it, or choose another")
    try:
        # Asking for permission is not enough: to root, every folder says yes.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise failure(path, error) from None


def failure(name: str | Path, error: OSError) -> StorageError:
    """Translate what the system says of writing `name` into one line of ours."""
    reason = (error.strerror or "input or output error").lower()
    if error.errno in FULL:
        return MachineError(
            f"{name}: cannot be written ({reason}); free space, or choose another disk"
        )
    return StorageError(f"{name}: cannot be written ({reason}); choose a folder you may write to")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
