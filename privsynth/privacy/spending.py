"""The spending file of a table: its owner counts there what all fits may spend.

The file is JSON. It states the total that the owner allows, and one entry for each fit, written
before the fit draws any noise: a fit that fails has spent its budget all the same.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from privsynth.errors import BudgetExceeded, PrivsynthError, StorageError, UsageError, warn
from privsynth.files import replacing
from privsynth.files.documents import read_json, read_text
from privsynth.privacy.budget import MAX_RHO, Budget, epsilon_of

__all__ = ["check_presence", "reserve", "spent"]

FORMAT = "privsynth-ledger"
FORMAT_VERSION = 1
PATIENCE = 1.0
"""Seconds to wait for another process before the user is told of it."""


def reserve(
    path: str | Path, budget: Budget, delta: float, what: str, *, new: bool = False
) -> float:
    """Record that a fit may spend a budget, if the total allows it.

    Parameters
    ----------
    path : str or Path
        The spending file.
    budget : Budget
        What the fit may spend.
    delta : float
        The part of its delta that is spent on answers with a delta of their own.
    what : str
        What it is spent on, for the owner.
    new : bool, default=False
        Create the file, with `budget` as its total: edit ``epsilon`` and ``delta`` in it to
        allow more.

    Returns
    -------
    float
        The epsilon of all entries together, at its delta.

    Raises
    ------
    BudgetExceeded
        The total does not allow it; nothing is written.
    UsageError
        The file is no spending file, counts another privacy unit, or is not there; or it is
        there, and a new one was asked for.
    StorageError
        The file cannot be read or written.
    """
    path = Path(os.path.realpath(path))  # a link is to be followed, not replaced
    with _locked(path):
        check_presence(path, new)
        state = _opened(budget) if new else _read(path)
        if (state["unit"], state["rows_per_unit"]) != (budget.unit, budget.rows_per_unit):
            raise UsageError(
                f"{path}: counts the privacy unit {state['unit']!r} with up to "
                f"{state['rows_per_unit']} rows; keep another ledger for another unit"
            )
        entry = {
            "what": what,
            "epsilon": budget.epsilon,
            "delta": budget.delta,
            "rho": budget.rho(delta),
            "delta_spent": delta,
        }
        after = {**state, "entries": [*state["entries"], entry]}
        total = spent(after)
        if total > state["epsilon"] * (1 + 1e-9):
            raise BudgetExceeded(
                f"{path}: allows epsilon {state['epsilon']:g} in all, {spent(state):.4g} is spent, "
                f"and {budget.epsilon:g} more is asked for; ask for less, or let the owner of the "
                "data raise 'epsilon' in it"
            )
        # On the disk before any noise is drawn: a charge that a power failure undoes is none.
        with replacing(path, mode=0o600, durable=True) as temporary:
            temporary.write_text(json.dumps(after, indent=1) + "\n", encoding="utf-8")
    return total


def spent(state: Mapping[str, Any]) -> float:
    """Return the epsilon of all entries of a spending file together, at its delta."""
    entries = state["entries"]
    rho = math.fsum(entry["rho"] for entry in entries)
    left = state["delta"] - math.fsum(entry["delta_spent"] for entry in entries)
    if not entries:
        return 0.0
    return epsilon_of(rho, left) if left > 0 else math.inf


def check_presence(path: str | Path, new: bool) -> None:
    """Refuse to open a spending file by mistake, or in place of an old one.

    Raises
    ------
    UsageError
    """
    exists = Path(path).exists()
    if new and exists:
        raise UsageError(
            f"{path}: exists, and a new ledger was asked for; drop --new-ledger to charge this "
            "one, or give another name"
        )
    if not new and not exists:
        raise UsageError(
            f"{path}: there is no such ledger; check the path, or open a new one with --new-ledger"
        )


def _opened(budget: Budget) -> dict[str, Any]:
    allowed = asdict(budget)
    del allowed["n_rows"]
    return {"format": FORMAT, "version": FORMAT_VERSION, **allowed, "entries": []}


def _read(path: Path) -> dict[str, Any]:
    try:
        text = read_text(path, UsageError)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    state = read_json(text, str(path), UsageError)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UsageError(f"{path}: is no ledger; give one that an earlier fit wrote, or a new name")
    if state.get("version") != FORMAT_VERSION:
        raise UsageError(f"{path}: was written by a newer privsynth; install that one")
    try:
        Budget(state["epsilon"], state["delta"], state["unit"], state["rows_per_unit"])
    except KeyError as error:
        raise UsageError(f"{path}: has no {error.args[0]!r}; restore it from a copy") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    entries = state.get("entries")
    if not isinstance(entries, list):
        raise UsageError(f"{path}: has no list of 'entries'; restore it from a copy")
    for at, entry in enumerate(entries, 1):
        for key, most in (("rho", MAX_RHO), ("delta_spent", 1.0)):
            value: Any = entry.get(key) if isinstance(entry, dict) else None
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise UsageError(
                    f"{path}: entry {at} has no {key!r} from 0 to {most:g}; restore the file from "
                    "a copy, or what was spent is lost"
                )
        _check_price(path, at, entry, state)
    return state


def _check_price(path: Path, at: int, entry: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Refuse an entry whose rho is below that of its own epsilon and delta."""
    try:
        budget = Budget(entry["epsilon"], entry["delta"], state["unit"], state["rows_per_unit"])
        expected = budget.rho(entry["delta_spent"])
    except (KeyError, PrivsynthError):
        raise UsageError(
            f"{path}: entry {at} does not say which epsilon and delta it counts; restore the file "
            "from a copy, or what was spent is lost"
        ) from None
    if entry["rho"] < expected * (1 - 1e-6):
        raise UsageError(
            f"{path}: entry {at} has rho {entry['rho']:.4g}, and its epsilon and delta cost "
            f"{expected:.4g}; restore the file from a copy, or what was spent is lost"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the spending file until this fit has written its entry."""
    try:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            _lock(folder, path)
        except BaseException:
            os.close(folder)
            raise
    except OSError as error:
        raise StorageError(
            f"{path.parent}: cannot be read ({error.strerror}); check the path"
        ) from None
    try:
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: Path) -> None:
    """Wait until no other process holds the folder, and say so if that takes long."""
    import fcntl

    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(PATIENCE / 20)
        else:
            return
    warn(f"{path}: waiting for {_holder(folder)}, which is charging a ledger in this folder")
    fcntl.flock(folder, fcntl.LOCK_EX)


def _holder(folder: int) -> str:
    """Name the process that holds a folder's lock, where the system tells."""
    about = os.fstat(folder)
    place = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    try:
        lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    for line in lines:
        fields = line.split()
        # "1: FLOCK ADVISORY WRITE 4711 fd:01:1234 0 EOF"; an arrow marks who waits
        if fields[1:2] == ["FLOCK"] and fields[5:6] == [place] and int(fields[4]) > 0:
            return f"process {fields[4]}"
    return "another process"
