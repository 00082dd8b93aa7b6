"""The spending file of a table, in which its owner limits what all fits together may spend.

The file is JSON. It states the total that the owner allows, and has one entry per fit, written
before the fit draws any noise: a fit that fails has spent its budget nevertheless.
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
from privsynth.privacy.budget import MAX_EPSILON, MAX_RHO, Budget, epsilon_of

__all__ = ["check_presence", "reserve", "spent"]

FORMAT = "privsynth-ledger"
FORMAT_VERSION = 1
PATIENCE = 1.0
"""Seconds to wait for another process before the user is warned."""
ROUNDING = 1e-6
"""The share by which an entry's rho may fall short of that of its epsilon, by rounding."""


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
        A description of the fit, for the owner.
    new : bool, default=False
        Create the file, with `budget` as its total: edit ``epsilon`` and ``delta`` in it to
        allow more.

    Returns
    -------
    float
        The epsilon of all entries together, at the file's delta.

    Raises
    ------
    BudgetExceeded
        The total does not allow it; nothing is written.
    UsageError
        The file is no spending file, is for another privacy unit, or does not exist; or it exists
        and `new` is true.
    StorageError
        The file cannot be read or written.
    """
    path = Path(os.path.realpath(path))  # replace the target of a link, not the link
    with _locked(path):
        check_presence(path, new)
        state = _empty(budget) if new else _read(path)
        if (state["unit"], state["rows_per_unit"]) != (budget.unit, budget.rows_per_unit):
            raise UsageError(
                f"{path}: counts the privacy unit {state['unit']!r} with up to "
                f"{state['rows_per_unit']} rows, and the budget has {budget.unit!r} with up to "
                f"{budget.rows_per_unit}; keep another ledger for another unit"
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
        # Durable before any noise is drawn: a power failure must not undo the charge.
        with replacing(path, mode=0o600, durable=True) as temporary:
            temporary.write_text(json.dumps(after, indent=1) + "\n", encoding="utf-8")
    return total


def spent(state: Mapping[str, Any]) -> float:
    """Return the epsilon of all entries of a spending file together, at the file's delta."""
    entries = state["entries"]
    rho = math.fsum(entry["rho"] for entry in entries)
    left = state["delta"] - math.fsum(entry["delta_spent"] for entry in entries)
    if not entries:
        return 0.0
    return epsilon_of(rho, left) if left > 0 else math.inf


def check_presence(path: str | Path, new: bool) -> None:
    """Refuse to create a spending file that exists, or to use one that does not.

    Raises
    ------
    UsageError
    """
    exists = Path(path).exists()
    if new and exists:
        raise UsageError(
            f"{path}: exists, and --new-ledger is given; drop --new-ledger to charge this ledger, "
            "or give another name"
        )
    if not new and not exists:
        raise UsageError(
            f"{path}: there is no such ledger; check the path, or create one with --new-ledger"
        )


def _empty(budget: Budget) -> dict[str, Any]:
    """Return the state of a new spending file whose total is `budget`."""
    total = asdict(budget)
    del total["n_rows"]
    return {"format": FORMAT, "version": FORMAT_VERSION, **total, "entries": []}


def _read(path: Path) -> dict[str, Any]:
    """Read a spending file and check its total and its entries."""
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
    for position, entry in enumerate(entries, 1):
        for key, maximum in (("rho", MAX_RHO), ("delta_spent", 1.0)):
            value: Any = entry.get(key) if isinstance(entry, dict) else None
            if type(value) not in (int, float) or not 0 <= value <= maximum:
                raise UsageError(
                    f"{path}: entry {position} has no {key!r} from 0 to {maximum:g}; restore the "
                    "file from a copy, or what was spent is lost"
                )
        _check_price(path, position, entry, state)
    return state


def _check_price(
    path: Path, position: int, entry: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """Refuse an entry whose rho is below that of its epsilon and delta."""
    unclear = UsageError(
        f"{path}: entry {position} does not say which epsilon and delta it counts; restore the "
        "file from a copy, or what was spent is lost"
    )
    try:
        budget = Budget(entry["epsilon"], entry["delta"], state["unit"], state["rows_per_unit"])
    except (KeyError, PrivsynthError):
        raise unclear from None
    delta = budget.delta - entry["delta_spent"]
    if delta <= 0:
        raise unclear
    # Compare epsilons: rho from epsilon is a search that takes 40 times as long.
    if epsilon_of(entry["rho"] / (1 - ROUNDING), delta) < min(budget.epsilon, MAX_EPSILON):
        raise UsageError(
            f"{path}: entry {position} has rho {entry['rho']:.4g}, and its epsilon and delta cost "
            f"{budget.rho(entry['delta_spent']):.4g}; restore the file from a copy, or what was "
            "spent is lost"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock the folder of the spending file until this fit has written its entry."""
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
    """Describe the process that holds a folder's lock, by its id if the system shows it."""
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
