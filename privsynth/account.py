"""The account of one table: a file in which its owner counts what every fit may spend.

The file is JSON. It states the total that the owner allows, and one entry for each fit, written
before the fit draws any noise: a fit that fails has spent its budget all the same.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from privsynth.documents import read_json, read_text
from privsynth.errors import BudgetExceeded, StorageError, UsageError
from privsynth.privacy import MOST_RHO, Budget, epsilon_of
from privsynth.storage import replacing

__all__ = ["reserve", "spent"]

FORMAT = "privsynth-ledger"
FORMAT_VERSION = 1


def reserve(path: str | Path, budget: Budget, delta: float, what: str) -> float:
    """Write down that a fit may spend a budget, if the total allows it.

    Parameters
    ----------
    path : str or Path
        The account. One that is not there yet is opened, with `budget` as its total: edit
        ``epsilon`` and ``delta`` in it to allow more.
    budget : Budget
        What the fit may spend.
    delta : float
        The part of its delta that is spent on answers with a delta of their own.
    what : str
        What it is spent on, for the owner.

    Returns
    -------
    float
        The epsilon of all entries together, at the account's delta.

    Raises
    ------
    BudgetExceeded
        The total does not allow it; nothing is written.
    UsageError
        The file is no account, or counts another privacy unit.
    StorageError
        The file cannot be read or written.
    """
    path = Path(os.path.realpath(path))  # a link is to be followed, not replaced
    with _locked(path):
        state = _read(path) if path.exists() else _opened(budget)
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
        with replacing(path, mode=0o600) as temporary:
            temporary.write_text(json.dumps(after, indent=1) + "\n", encoding="utf-8")
    return total


def spent(account: Mapping[str, Any]) -> float:
    """Give the epsilon that all entries of an account have together, at its delta."""
    entries = account["entries"]
    rho = math.fsum(entry["rho"] for entry in entries)
    left = account["delta"] - math.fsum(entry["delta_spent"] for entry in entries)
    if not entries:
        return 0.0
    return epsilon_of(rho, left) if left > 0 else math.inf


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
        for key, most in (("rho", MOST_RHO), ("delta_spent", 1.0)):
            value: Any = entry.get(key) if isinstance(entry, dict) else None
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise UsageError(
                    f"{path}: entry {at} has no {key!r} from 0 to {most:g}; restore the file from "
                    "a copy, or what was spent is lost"
                )
    return state


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other fits from the account until this one has written its entry."""
    import fcntl

    try:
        folder = os.open(path.parent, os.O_RDONLY)
    except OSError as error:
        raise StorageError(
            f"{path.parent}: cannot be read ({error.strerror}); check the path"
        ) from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
