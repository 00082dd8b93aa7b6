"""Write files and folders completely or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privsynth.errors import MachineError, StorageError
from privsynth.files.leftovers import ASIDE, TEMPORARY, prefix, sweep, temporary_name

__all__ = ["beside", "check_writable", "failure", "put", "put_new", "replacing"]

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}
"""Errors of a file system that does not sync folders."""


@contextmanager
def replacing(
    path: str | Path, *, mode: int | None = None, durable: bool = False
) -> Iterator[Path]:
    """Yield a temporary file beside `path`, and rename it into place on success.

    Parameters
    ----------
    path : str or Path
        The file to write or replace.
    mode : int, optional
        Its permissions; by default those of a new file under the user's umask.
    durable : bool
        Whether to sync the new content to the disk before returning, so that a power failure
        brings back neither the old file nor an empty one.

    Yields
    ------
    Path
        An empty file that only its owner can read. After an error, an interrupt or a kill the old
        file is unchanged; the next run removes the temporary file that a kill leaves.

    Raises
    ------
    MachineError
        The disk is full.
    StorageError
        The folder cannot be written to.
    """
    path = Path(path)
    _check_regular(path)
    sweep(path.parent)
    try:
        with temporary_name(path) as temporary:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield temporary
            temporary.chmod(_under_umask(0o666) if mode is None else mode)
            if durable:
                _sync(temporary)
            temporary.replace(path)
            if durable:
                _sync(path.parent)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise failure(path, error) from None


@contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that only its owner can read.

    Parameters
    ----------
    path : str or Path
        The file or folder to be created; see `put` and `put_new`.

    Yields
    ------
    Path
        An empty folder, removed at the end, or by the next run if this one is killed.

    Raises
    ------
    MachineError
        The disk is full.
    StorageError
        The folder around `path` cannot be written to.
    """
    path = Path(path)
    sweep(path.parent)
    with temporary_name(path) as folder:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise failure(path, error) from None
        yield folder


def put(folder: Path, place: Path) -> None:
    """Move a folder of `beside` to its final place, with permissions under the user's umask.

    An existing folder is replaced in one step where the system can exchange two names, and in two
    steps elsewhere. If a run is killed between the two, the next one restores the old folder.

    Raises
    ------
    OSError
        The folder could not be moved; the old one is unchanged.
    """
    folder.chmod(_under_umask(0o777))
    if not place.exists():
        folder.rename(place)
    elif not _exchange(folder, place):
        aside = folder.with_suffix(ASIDE)
        place.rename(aside)
        try:
            folder.rename(place)
        except BaseException:
            aside.rename(place)
            raise
        shutil.rmtree(aside)


def put_new(file: Path, place: Path) -> None:
    """Move a file in a folder of `beside` to its final place, never replacing another file.

    Raises
    ------
    StorageError
        Another program created a file there meanwhile, which is kept; or the system refuses.
    """
    file.chmod(_under_umask(0o666))
    try:
        try:
            os.link(file, place)  # unlike a rename, it never replaces a file
        except FileExistsError:
            raise
        except OSError:  # the file system has no links
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            file.rename(place)
    except FileExistsError:
        raise StorageError(
            f"{place}: another program created it meanwhile; it is unchanged, so run this again"
        ) from None
    except OSError as error:
        raise failure(place, error) from None


def check_writable(path: str | Path) -> None:
    """Refuse, before any work is done, a file that could not be written.

    Raises
    ------
    StorageError
        Its folder is missing or cannot be written to, or the path is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise StorageError(f"{path}: is a folder; give the name of a file in it")
    _check_regular(path)
    if not path.parent.is_dir():
        raise StorageError(f"{path}: its folder does not exist; make it, or choose another")
    try:
        # Checking permissions is not enough: root passes the check for every folder.
        with tempfile.TemporaryFile(dir=path.parent, prefix=prefix(path), suffix=TEMPORARY):
            pass
    except OSError as error:
        raise failure(path, error) from None


def _check_regular(path: Path) -> None:
    """Refuse to replace a device or a pipe."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise StorageError(
            f"{path}: is a device or a pipe, which is not replaced; give a file, or - for standard "
            "output where a command takes it"
        )


def failure(name: str | Path, error: OSError) -> StorageError:
    """Return the one-line error for a failure of the system to write `name`."""
    reason = (error.strerror or "input or output error").lower()
    if error.errno in DISK_FULL:
        return MachineError(
            f"{name}: cannot be written ({reason}); free space, or choose another disk"
        )
    return StorageError(f"{name}: cannot be written ({reason}); choose a folder you may write to")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(first, second, 2) == 0)
    if hasattr(libc, "renameat2"):
        at_fdcwd, rename_exchange = -100, 2
        return bool(libc.renameat2(at_fdcwd, first, at_fdcwd, second, rename_exchange) == 0)
    return False


def _sync(path: Path) -> None:
    """Sync a file's content, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in CANNOT_SYNC):
            raise
    finally:
        os.close(handle)


def _under_umask(mode: int) -> int:
    """Remove the permissions that the user's umask removes."""
    current = os.umask(0)
    os.umask(current)
    return mode & ~current
