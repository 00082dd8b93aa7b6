"""Temporary files that a killed run left behind: whose they are, and when they may go.

A run that is killed outright cannot clean up after itself. So a temporary name says which process
made it, and the next run that writes to the same folder removes those whose process is gone.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

__all__ = ["ASIDE", "TEMPORARY", "prefix", "sweep", "taken"]

TEMPORARY = ".tmp"
ASIDE = ".old"
"""The ending of a folder that is moved aside for the moment in which another takes its place."""

MOST_NAME = 150
"""Bytes of the target's name that a temporary name repeats; a file system allows 255 in all."""
OLD = 7 * 24 * 3600
"""Seconds after which a file of another machine, whose processes cannot be seen, is left over."""

_NAME = re.compile(
    r"\.(?P<target>.+)\.privsynth-(?P<host>[0-9a-f]{8})-(?P<world>[0-9a-f]{8})"
    r"-(?P<pid>[0-9]{1,10})-(?P<start>[0-9]{1,20})-[a-z0-9_]{8}(?P<ending>\.tmp|\.old)",
    re.DOTALL,
)


_made: set[tuple[int, Path]] = set()
"""The temporary names in use, each with the process that took it."""


def prefix(path: Path) -> str:
    """Return the start of a temporary name for `path`; it names this process.

    It holds a digest of the machine's name, a digest of the boot and the pid namespace in which
    the pid means something, the pid, and when the process was started, since pids are reused.
    """
    name = os.fsencode(path.name)[:MOST_NAME].decode("utf-8", "ignore") or "file"
    host, world = _machine()
    pid = os.getpid()
    return f".{name}.privsynth-{host}-{world}-{pid}-{_started(pid) or 0}-"


@contextmanager
def taken(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`, and remove at the end what has that name.

    The name is noted before anything is made, so that an interrupt at any moment leaves nothing:
    what is still there when the program ends is removed then.
    """
    temporary = path.parent / f"{prefix(path)}{secrets.token_hex(4)}{TEMPORARY}"
    mark = (os.getpid(), temporary)
    _made.add(mark)
    try:
        yield temporary
    finally:
        _unmake(temporary)
        _made.discard(mark)


@atexit.register
def _unmake_all() -> None:
    for pid, path in sorted(_made):
        if pid == os.getpid():  # a child's exit is not its parent's
            with suppress(OSError):
                _unmake(path)


def _unmake(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def sweep(folder: Path) -> None:
    """Remove the temporary files in a folder whose process is gone.

    Only what has exactly our form of name, belongs to this user, and is a plain file or a folder
    is touched. What cannot be removed stays: a leftover must not stop a run.
    """
    if os.name != "posix":  # elsewhere neither owners nor processes can be asked for
        return
    for path, match in _ours(folder):
        with suppress(OSError):
            about = path.lstat()
            if about.st_uid == os.geteuid() and _gone(match, about.st_mtime):
                _remove(path, about.st_mode, folder / match["target"], match["ending"])


def _ours(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    try:
        paths = list(folder.iterdir())
    except OSError:  # whoever writes there will say so
        return
    for path in paths:
        if match := _NAME.fullmatch(path.name):
            yield path, match


def _remove(path: Path, mode: int, target: Path, ending: str) -> None:
    if ending == ASIDE and stat.S_ISDIR(mode) and not os.path.lexists(target):
        path.rename(target)  # its run was killed before another folder took the place
    elif stat.S_ISDIR(mode):
        shutil.rmtree(path)
    elif stat.S_ISREG(mode):
        path.unlink()


def _gone(match: re.Match[str], modified: float) -> bool:
    """Say whether the process that made a file has ended, as far as can be seen from here."""
    host, world = _machine()
    if (match["host"], match["world"]) == (host, world):
        pid, start = int(match["pid"]), int(match["start"])
        return not _runs(pid, start)
    booted = _booted()
    if match["host"] == host and booted is not None and modified < booted:
        return True
    return modified < time.time() - OLD


def _runs(pid: int, start: int) -> bool:
    if Path("/proc/self/stat").exists():
        return _started(pid) == start
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _started(pid: int) -> int | None:
    """Return when a process was started, in ticks since boot; None where it has ended."""
    try:
        # The command's name stands in brackets and may hold anything, brackets included.
        told = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, start = told[0], int(told[19])
    return None if state in (b"Z", b"X") else start


@cache
def _machine() -> tuple[str, str]:
    """Return digests of the machine, and of the boot and namespace to which pids belong."""
    host = socket.gethostname() + _text("/etc/machine-id")
    world = _text("/proc/sys/kernel/random/boot_id")
    with suppress(OSError):
        world += str(Path("/proc/self/ns/pid").readlink())
    return _digest(host), _digest(world)


@cache
def _booted() -> float | None:
    """Return when the machine was started, in seconds since the epoch."""
    for line in _text("/proc/stat").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
