"""Temporary files left behind by killed runs: who owns them, and when they may be deleted.

A killed run cannot clean up after itself. So every temporary name identifies the process that
created it, and the next run that writes to the same folder deletes those whose process has ended.
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

__all__ = ["ASIDE", "TEMPORARY", "prefix", "sweep", "temporary_name"]

TEMPORARY = ".tmp"
ASIDE = ".old"
"""The ending of a folder that is moved aside while another takes its place."""

MAX_NAME_BYTES = 150
"""Bytes of the target's name that a temporary name repeats; file systems allow 255 in total."""
MAX_AGE = 7 * 24 * 3600
"""Seconds after which a file of another machine, whose processes we cannot see, is deleted."""

_NAME = re.compile(
    r"\.(?P<target>.+)\.privsynth-(?P<host>[0-9a-f]{8})-(?P<boot>[0-9a-f]{8})"
    r"-(?P<pid>[0-9]{1,10})-(?P<start>[0-9]{1,20})-[a-z0-9_]{8}(?P<ending>\.tmp|\.old)",
    re.DOTALL,
)


_in_use: set[tuple[int, Path]] = set()
"""Process and path of each temporary name in use."""


def prefix(path: Path) -> str:
    """Return the start of a temporary name for `path` that identifies this process.

    It contains a digest of the machine's name, a digest of the boot and the pid namespace to which
    the pid belongs, the pid, and the start time of the process, since pids are reused.
    """
    name = os.fsencode(path.name)[:MAX_NAME_BYTES].decode("utf-8", "ignore") or "file"
    host, boot = _machine()
    pid = os.getpid()
    return f".{name}.privsynth-{host}-{boot}-{pid}-{_start_time(pid) or 0}-"


@contextmanager
def temporary_name(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and delete at the end what is there.

    The path is recorded before anything is created, so that an interrupt at any moment leaves
    nothing: whatever is still there when the program exits is deleted then.
    """
    temporary = path.parent / f"{prefix(path)}{secrets.token_hex(4)}{TEMPORARY}"
    entry = (os.getpid(), temporary)
    _in_use.add(entry)
    try:
        yield temporary
    finally:
        _delete(temporary)
        _in_use.discard(entry)


@atexit.register
def _delete_all() -> None:
    for pid, path in sorted(_in_use):
        if pid == os.getpid():  # a forked child must not delete its parent's files
            with suppress(OSError):
                _delete(path)


def _delete(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def sweep(folder: Path) -> None:
    """Delete the temporary files in a folder whose process has ended.

    Only plain files and folders that have exactly our form of name and belong to this user are
    touched. What cannot be deleted stays: a leftover must not stop a run.
    """
    if os.name != "posix":  # other systems do not tell owners and processes
        return
    for path, match in _temporary_files(folder):
        with suppress(OSError):
            status = path.lstat()
            if status.st_uid == os.geteuid() and _has_ended(match, status.st_mtime):
                _remove_leftover(path, status.st_mode, folder / match["target"], match["ending"])


def _temporary_files(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    try:
        paths = list(folder.iterdir())
    except OSError:  # writing to the folder will report it
        return
    for path in paths:
        if match := _NAME.fullmatch(path.name):
            yield path, match


def _remove_leftover(path: Path, mode: int, target: Path, ending: str) -> None:
    if ending == ASIDE and stat.S_ISDIR(mode) and not os.path.lexists(target):
        path.rename(target)  # the run was killed before it moved the new folder here
    elif stat.S_ISDIR(mode):
        shutil.rmtree(path)
    elif stat.S_ISREG(mode):
        path.unlink()


def _has_ended(match: re.Match[str], modified: float) -> bool:
    """Return whether the process that created a file has ended, as far as we can see."""
    host, boot = _machine()
    if (match["host"], match["boot"]) == (host, boot):
        pid, start = int(match["pid"]), int(match["start"])
        return not _is_running(pid, start)
    boot_time = _boot_time()
    if match["host"] == host and boot_time is not None and modified < boot_time:
        return True
    return modified < time.time() - MAX_AGE


def _is_running(pid: int, start: int) -> bool:
    if Path("/proc/self/stat").exists():
        return _start_time(pid) == start
    try:
        os.kill(pid, 0)  # signal 0 only checks that the process exists
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _start_time(pid: int) -> int | None:
    """Return the start time of a process in ticks since boot; None if it has ended."""
    try:
        # The command's name is in brackets and may itself contain brackets.
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    state, start = fields[0], int(fields[19])
    return None if state in (b"Z", b"X") else start


@cache
def _machine() -> tuple[str, str]:
    """Return digests of the machine, and of the boot and namespace to which its pids belong."""
    host = socket.gethostname() + _text("/etc/machine-id")
    boot = _text("/proc/sys/kernel/random/boot_id")
    with suppress(OSError):
        boot += str(Path("/proc/self/ns/pid").readlink())
    return _digest(host), _digest(boot)


@cache
def _boot_time() -> float | None:
    """Return the boot time of the machine, in seconds since the epoch."""
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
