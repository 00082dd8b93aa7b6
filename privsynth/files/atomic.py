"""Files and folders that are written whole or not at all."""

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
from privsynth.files.leftovers import ASIDE, TEMPORARY, prefix, sweep, taken

__all__ = ["beside", "check_writable", "failure", "put", "put_new", "replacing"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES}
"""What a file system says that does not sync folders."""


@contextmanager
def replacing(
    path: str | Path, *, mode: int | None = None, durable: bool = False
) -> Iterator[Path]:
    """Give a temporary file beside `path`, and rename it into place on success.

    Parameters
    ----------
    path : str or Path
        The file to be written or replaced.
    mode : int, optional
        Its permissions; without, those of a new file under the user's umask.
    durable : bool
        Whether the new content has to be on the disk when this returns, so that a power failure
        brings back neither the old file nor an empty one.

    Yields
    ------
    Path
        An empty file that its owner alone can read. An error, an interrupt or a kill leaves the
        old file; what a kill leaves beside it is removed by the next run.

    Raises
    ------
    MachineError
        The disk is full.
    StorageError
        The folder cannot be written to.
    """
    path = Path(path)
    sweep(path.parent)
    try:
        with taken(path) as temporary:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield temporary
            temporary.chmod(_allowed(0o666) if mode is None else mode)
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
    """Give a temporary folder beside `path`, which its owner alone can read.

    Parameters
    ----------
    path : str or Path
        What is to be made; see `put`.

    Yields
    ------
    Path
        An empty folder. It is removed at the end, or by the next run if this one is killed.

    Raises
    ------
    MachineError
        The disk is full.
    StorageError
        The folder around `path` cannot be written to.
    """
    path = Path(path)
    sweep(path.parent)
    with taken(path) as folder:
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise failure(path, error) from None
        yield folder


def put(folder: Path, place: Path) -> None:
    """Put a folder that `beside` gave in its place, under the user's umask.

    An older folder there is replaced in one step where the system can exchange two names, and
    else in two; a run that is killed between those loses nothing, since the next one looks.

    Raises
    ------
    OSError
        The old folder is where it was.
    """
    folder.chmod(_allowed(0o777))
    if not place.exists():
        folder.rename(place)
    elif not _exchanged(folder, place):
        aside = folder.with_suffix(ASIDE)
        place.rename(aside)
        try:
            folder.rename(place)
        except BaseException:
            aside.rename(place)
            raise
        shutil.rmtree(aside)


def put_new(made: Path, place: Path) -> None:
    """Put a file that was made in a folder of `beside` in its place, where there was none.

    Raises
    ------
    StorageError
        Another program has made a file there meanwhile, which stays, or the system refuses.
    """
    made.chmod(_allowed(0o666))
    try:
        try:
            os.link(made, place)  # unlike a rename it never replaces
        except FileExistsError:
            raise
        except OSError:  # the file system has no links
            if os.path.lexists(place):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            made.rename(place)
    except FileExistsError:
        raise StorageError(
            f"{place}: was made by another program meanwhile, and is left alone; run this again"
        ) from None
    except OSError as error:
        raise failure(place, error) from None


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
        with tempfile.TemporaryFile(dir=path.parent, prefix=prefix(path), suffix=TEMPORARY):
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


def _exchanged(one: Path, other: Path) -> bool:
    """Let two names change places in one step; False where the system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    if sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        return bool(libc.renamex_np(first, second, 2) == 0)
    if hasattr(libc, "renameat2"):
        here = -100  # AT_FDCWD; 2 is RENAME_EXCHANGE
        return bool(libc.renameat2(here, first, here, second, 2) == 0)
    return False


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in NOT_SYNCED):
            raise
    finally:
        os.close(handle)


def _allowed(mode: int) -> int:
    """Take from a mode what the user's umask takes."""
    current = os.umask(0)
    os.umask(current)
    return mode & ~current
