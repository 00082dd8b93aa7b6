"""The tables that the systems are measured on, and how each is split.

Real tables are Parquet files in the folder that PRIVSYNTH_BENCH_DATA names; those whose names begin
with `made_` are made up and need no file.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

__all__ = [
    "FOLDER",
    "TABLES",
    "BenchTable",
    "MissingTableError",
    "load",
    "made",
    "made_codes",
    "made_flags",
    "present",
    "split",
]

FOLDER = "PRIVSYNTH_BENCH_DATA"
MADE = "made_100k"


class MissingTableError(Exception):
    """A requested table is missing; the message says how to get it."""


@dataclass(frozen=True)
class BenchTable:
    """One table.

    Parameters
    ----------
    name : str
        Its file without the suffix.
    target : str
    positive : object
        The value of `target` that is to be predicted, the rare one.
    drop : tuple of str
        Columns left out: row ids, invented names, and those that give the target away.
    rows : int, optional
        How many rows are drawn from the file, once for all seeds; all by default.
    share : float
        Of the rows that are trained on; the others are the holdout.
    """

    name: str
    target: str
    positive: Any
    drop: tuple[str, ...] = ()
    rows: int | None = None
    share: float = 0.6


TABLES: Mapping[str, BenchTable] = {
    table.name: table
    for table in (
        # 22,792 rows to train on, as published figures on this table have
        BenchTable("adult", "income", ">50K", rows=32_561, share=0.7),
        BenchTable("nass_cds", "dead", "dead", ("caseid", "injSeverity")),
        BenchTable("vehicle_fraud", "FraudFound_P", 1),
        BenchTable("bank_marketing", "y", "yes", ("duration",)),
        BenchTable("lending_club", "Class", "bad"),
        BenchTable(
            "covid_testing",
            "result",
            "positive",
            ("subject_id", "fake_first_name", "fake_last_name", "ct_result"),
        ),
        BenchTable("keel_kdd_attacks", "severity", "intrusion", ("attack",)),
        BenchTable("nist_acs_ma2019", "DREM", 1),
        BenchTable("census_income_kdd", "income_gt_50k", "yes", rows=100_000),
        BenchTable(MADE, "target", "yes", rows=166_667),
        BenchTable("made_86_columns", "target", "yes", rows=20_000),
        BenchTable("made_700_codes", "target", "yes", rows=40_000),
    )
}


def present() -> tuple[str, ...]:
    """Return the names of the tables that are in the folder, and the first that is made up.

    The other two are asked for by name: they are for engines under a budget.

    Raises
    ------
    MissingTableError
        The variable that names the folder is unset.
    """
    folder = _folder("the real tables are")
    return tuple(n for n in TABLES if n == MADE or (folder / f"{n}.parquet").exists())


def load(name: str, rows: int | None = None) -> pa.Table:
    """Read a table, without the columns to drop and the rows whose target is missing.

    Parameters
    ----------
    name : str
        A key of `TABLES`.
    rows : int, optional
        At most so many rows; the same ones whatever the seed.

    Returns
    -------
    pyarrow.Table

    Raises
    ------
    MissingTableError
        The variable is unset, or the folder that it names lacks the file.
    """
    spec = TABLES[name]
    if name in _MADE:
        whole = _MADE[name](min(rows or spec.rows or 0, spec.rows or 0))
    else:
        whole = pq.read_table(_file(name))
        whole = whole.drop_columns(list(spec.drop)).filter(pc.is_valid(pc.field(spec.target)))
    wanted = min(count for count in (rows, spec.rows, len(whole)) if count is not None)
    if wanted == len(whole):
        return whole
    return whole.take(np.random.default_rng(99).permutation(len(whole))[:wanted])


def _folder(what: str) -> Path:
    folder = os.environ.get(FOLDER)
    if not folder:
        raise MissingTableError(
            f"{FOLDER} is not set, and {what} read from there; set it to the folder that "
            f"holds the Parquet files, or ask for --tables {MADE}, which needs none"
        )
    return Path(folder)


def _file(name: str) -> Path:
    file = _folder(f"table {name!r} is") / f"{name}.parquet"
    if not file.exists():
        raise MissingTableError(
            f"{FOLDER} names a folder without {file.name}; put it there or leave {name!r} out"
        )
    return file


def split(table: pa.Table, share: float, seed: int) -> tuple[pa.Table, pa.Table]:
    """Split a table at random into training rows and a holdout.

    Parameters
    ----------
    table : pyarrow.Table
    share : float
        Of the rows to train on.
    seed : int

    Returns
    -------
    train, holdout : pyarrow.Table
    """
    order = np.random.default_rng(seed).permutation(len(table))
    cut = int(len(table) * share)
    return table.take(order[:cut]), table.take(order[cut:])


def made(rows: int, columns: int, seed: int = 0) -> pa.Table:
    """Make up a table of related columns of every kind and a rare target (6%).

    Parameters
    ----------
    rows : int
    columns : int
        The target, which is the last one, included.
    seed : int

    Returns
    -------
    pyarrow.Table
    """
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((rows, 4), dtype=np.float32)
    weights = rng.standard_normal((columns, 4)).astype(np.float32)
    weights *= 0.8 / np.linalg.norm(weights, axis=1, keepdims=True)
    arrays: dict[str, pa.Array] = {}
    for j in range(columns - 1):
        latent = factors @ weights[j] + 0.6 * rng.standard_normal(rows, dtype=np.float32)
        kind, make = _KINDS[j % len(_KINDS)]
        arrays[f"{kind}_{j}"] = make(latent, rng)
    odds = factors[:, 0] + factors[:, 1] * factors[:, 2]
    odds += 0.5 * rng.standard_normal(rows, dtype=np.float32)
    rare = odds > np.quantile(odds, 0.94)
    arrays["target"] = pa.array(np.where(rare, "yes", "no"))
    return pa.table(arrays)


def _amount(latent: np.ndarray, _: np.random.Generator) -> pa.Array:
    return pa.array(np.round(np.exp(latent.astype(np.float64) * 1.5 + 4), 2))


def _age(latent: np.ndarray, _: np.random.Generator) -> pa.Array:
    return pa.array(np.clip(45 + 15 * latent, 17, 95).astype(np.int64))


def _mostly_zero(latent: np.ndarray, _: np.random.Generator) -> pa.Array:
    return pa.array(np.where(latent > 1, np.round(1000 * latent), 0).astype(np.int64))


def _gappy(latent: np.ndarray, rng: np.random.Generator) -> pa.Array:
    return pa.array(np.round(latent.astype(np.float64), 3), mask=rng.random(len(latent)) < 0.1)


def _levels(count: int, latent: np.ndarray) -> pa.Array:
    """Cut into `count` levels, the later the rarer."""
    shares = 1 / np.arange(1, count + 1)
    cuts = np.quantile(latent, np.cumsum(shares)[:-1] / shares.sum())
    names = np.array([f"level {i:02d}" for i in range(count)])
    return pa.array(names[np.searchsorted(cuts, latent)])


_KINDS = (
    ("amount", _amount),
    ("few", lambda latent, _: _levels(5, latent)),
    ("age", _age),
    ("many", lambda latent, _: _levels(40, latent)),
    ("zeros", _mostly_zero),
    ("gappy", _gappy),
)


def made_flags(rows: int, columns: int = 86, seed: int = 1) -> pa.Table:
    """Make up a table of related columns that mostly say yes or no, and a rare target (6%).

    Parameters
    ----------
    rows : int
    columns : int
        The target, which is the last one, included.
    seed : int

    Returns
    -------
    pyarrow.Table
    """
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((rows, 6))
    arrays: dict[str, pa.Array] = {}
    for j in range(columns - 1):
        latent = factors @ rng.standard_normal(6) / 2 + rng.standard_normal(rows)
        share = rng.uniform(0.02, 0.5)
        cuts = np.quantile(latent, 1 - share / 2.0 ** np.arange(8 if j % 8 == 0 else 1))
        kind = "count" if j % 8 == 0 else "flag"
        arrays[f"{kind}_{j}"] = pa.array(np.searchsorted(cuts, latent))
    odds = factors[:, 0] - factors[:, 1] + 0.7 * factors[:, 2] * factors[:, 3]
    arrays["target"] = _rare(odds + 0.7 * rng.standard_normal(rows), 0.06)
    return pa.table(arrays)


def made_codes(rows: int, levels: int = 700, seed: int = 2) -> pa.Table:
    """Make up a table with a code of many levels that tells of the others and of the target (10%).

    Parameters
    ----------
    rows : int
    levels : int
        Of the code; the later the rarer.
    seed : int

    Returns
    -------
    pyarrow.Table
    """
    rng = np.random.default_rng(seed)
    shares = 1 / (np.arange(levels) + 10)
    code = rng.choice(levels, rows, p=shares / shares.sum())
    # what a code tells of: its chapter, the price and the target
    chapter = rng.integers(12, size=levels)
    weight, price = 0.8 * rng.standard_normal((2, levels))
    weight += rng.standard_normal(12)[chapter]
    age = np.clip(45 + 15 * rng.standard_normal(rows), 17, 95).astype(np.int64)
    region = rng.integers(9, size=rows)
    urgent = rng.random(rows) < 1 / (1 + np.exp(1 - price[code]))
    days = rng.poisson(np.exp(0.5 + 0.5 * price[code] + 0.5 * urgent))
    amount = np.exp(6 + price[code] + 0.15 * days + 0.4 * rng.standard_normal(rows))
    odds = weight[code] + 0.8 * urgent * (age - 45) / 15 + 0.2 * days
    odds += 0.3 * rng.standard_normal(9)[region] + 0.6 * rng.standard_normal(rows)
    names = np.array([f"code {i:03d}" for i in range(levels)])
    return pa.table(
        {
            "code": pa.array(names[code]),
            "chapter": pa.array(chapter[code].astype(str)),
            "region": pa.array(region.astype(str)),
            "age": pa.array(age),
            "urgent": pa.array(urgent),
            "days": pa.array(days),
            "amount": pa.array(np.round(amount, 2)),
            "target": _rare(odds, 0.1),
        }
    )


def _rare(odds: np.ndarray, share: float) -> pa.Array:
    return pa.array(np.where(odds > np.quantile(odds, 1 - share), "yes", "no"))


_MADE: Mapping[str, Callable[[int], pa.Table]] = {
    MADE: lambda rows: made(rows, 15),
    "made_86_columns": made_flags,
    "made_700_codes": made_codes,
}
