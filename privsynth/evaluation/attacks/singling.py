"""Singling out: whether a predicate that holds for one synthetic row singles out a person."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.attacks.risk import (
    ERROR,
    MAX_ATTACKS,
    MAX_ROWS,
    NEEDS_HOLDOUT,
    attacked_columns,
    residual,
    sides,
)
from privsynth.evaluation.frames import Note, Progress, silent
from privsynth.evaluation.score import Score
from privsynth.schema import Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Predicate", "Table", "Term", "multivariate", "singling_out", "univariate"]

TRIES, BATCH, PROBES = 100_000, 1_000, 200
MIN_TERMS, MAX_TERMS = 2, 5

Ints = npt.NDArray[np.int64]
Term = tuple[int, str, float]
"""A condition on one column: its position, ``"="``, ``"<="``, ``">="`` or ``"missing"``, and a
value."""

Predicate = tuple[Term, ...]


@dataclass(frozen=True)
class Table:
    """Rows sorted by each column, so that the rows that meet a term are adjacent.

    Parameters
    ----------
    columns : tuple of ndarray of float64, shape (rows,)
        Numbers, or codes of levels; a missing cell is NaN.
    numbers : tuple of bool
        Which columns are numbers.
    order, rank : ndarray of int, shape (columns, rows)
        The rows in ascending order, missing cells last; and each row's position in that order.
    known : tuple of ndarray of float64
        The values that are not missing, ascending.
    """

    columns: tuple[npt.NDArray[np.float64], ...]
    numbers: tuple[bool, ...]
    order: Ints
    rank: Ints
    known: tuple[npt.NDArray[np.float64], ...]

    @classmethod
    def of(cls, columns: Sequence[npt.NDArray[np.float64]], numbers: Sequence[bool]) -> Table:
        """Sort a table."""
        order = np.array([np.argsort(column, kind="stable") for column in columns])
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(order.shape[1])[None, :], axis=1)
        known = tuple(np.sort(column[~np.isnan(column)]) for column in columns)
        return cls(tuple(columns), tuple(numbers), order, rank, known)

    def span(self, term: Term) -> tuple[int, int]:
        """Return the start and end, in their column's order, of the rows that meet a term."""
        place, comparison, value = term
        known = self.known[place]
        if comparison == "missing":
            return len(known), len(self.columns[place])
        start = 0 if comparison == "<=" else int(np.searchsorted(known, value, "left"))
        stop = len(known) if comparison == ">=" else int(np.searchsorted(known, value, "right"))
        return start, stop

    def meeting(self, predicate: Predicate) -> Ints:
        """Return the rows that meet a predicate, in no particular order."""
        return self.within([(*self.span(term), term[0]) for term in predicate])

    def within(self, spans: Sequence[tuple[int, int, int]]) -> Ints:
        """Return the rows within all spans, each given by start, end and column."""
        (start, stop, place), *rest = sorted(spans, key=lambda span: span[1] - span[0])
        rows = self.order[place, start:stop]
        for start, stop, place in rest:
            ranks = self.rank[place, rows]
            rows = rows[(ranks >= start) & (ranks < stop)]
        return rows


def singling_out(
    train: pd.DataFrame,
    holdout: pd.DataFrame | None,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Try predicates that hold for a single synthetic row on the real rows.

    Parameters
    ----------
    train, holdout, synthetic : pandas.DataFrame
        Equally many rows of train and holdout are read, at most 50,000 of each table.
    schema : Schema
        Of more than 60 modelled columns, the target and others at random are attacked.
    seed : int
        Determines the rows and columns drawn, and the predicates.
    progress, note : callable

    Returns
    -------
    tuple of Score
        ``singling_out_univariate`` and ``singling_out_multivariate``: the risk, (train rate -
        control rate) / (1 - control rate), with a 95% interval. An attack is a predicate; it
        succeeds if exactly one row meets it. ``detail`` has the rates, the number of attacks,
        and the rate of random predicates on train (``baseline_rate``). The value is None without
        a holdout, or if no predicate holds for a single synthetic row.

    Notes
    -----
    Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", PoPETs
    2023. How likely a predicate is to single out depends on the number of rows, hence the equal
    numbers. Predicates that single out the same real row are not independent evidence, so the
    interval is that of fewer attacks, ``detail["effective_attacks"]``, by the design effect of
    clusters (Kish, *Survey Sampling*, 1965).
    """
    names = ("singling_out_univariate", "singling_out_multivariate")
    if holdout is None:
        return tuple(
            Score("attacks", name, None, better="lower", meaning=NEEDS_HOLDOUT) for name in names
        )
    phase = "singling out"
    columns = attacked_columns(schema, seed, phase, note)
    frames = sides(train, holdout, synthetic, columns, MAX_ROWS, seed, phase, note)
    numbers = [column.kind.continuous for column in columns]
    members, others, rows = (Table.of(_columns(frame, frames[2]), numbers) for frame in frames)
    forms = ((univariate, 1), (multivariate, min(MAX_TERMS, len(columns))))
    scores = []
    for step, (name, (draw, max_terms)) in enumerate(zip(names, forms, strict=True)):
        progress(phase, step, len(names))
        rng = np.random.default_rng([seed, 0x51, step])
        predicates = draw(rows, rng)
        guesses = _guesses(rows, max_terms, len(predicates), rng)
        successes, control = (_singled_out(table, predicates) for table in (members, others))
        baseline = len(_singled_out(members, guesses)) / max(len(guesses), 1)
        scores.append(_score(name, len(predicates), successes, control, baseline, len(frames[0])))
    progress(phase, len(names), len(names))
    return tuple(scores)


def univariate(table: Table, rng: np.random.Generator) -> tuple[Predicate, ...]:
    """Return predicates on one column that hold for a single row.

    Returns
    -------
    tuple of tuple
        At most 2,000: the only missing cell, the smallest number, the largest number, and values
        that occur once, drawn at random if there are too many.
    """
    ends: list[Predicate] = []
    values: list[tuple[int, float]] = []
    for place, (column, known) in enumerate(zip(table.columns, table.known, strict=True)):
        if len(column) - len(known) == 1:
            ends.append(((place, "missing", 0.0),))
        distinct, counts = np.unique(known, return_counts=True)
        values += [(place, float(value)) for value in distinct[counts == 1]]
        if table.numbers[place] and len(distinct):
            ends += [((place, "<=", float(distinct[0])),)] if counts[0] == 1 else []
            ends += [((place, ">=", float(distinct[-1])),)] if counts[-1] == 1 else []
    order = rng.permutation(len(values))[: max(MAX_ATTACKS - len(ends), 0)]
    return (*ends, *(((values[i][0], "=", values[i][1]),) for i in order))


def multivariate(table: Table, rng: np.random.Generator) -> tuple[Predicate, ...]:
    """Return predicates on several columns that hold for a single row.

    Returns
    -------
    tuple of tuple
        At most 2,000, out of 100,000 tries; none if there are fewer than 2 columns. A row and 2 to
        5 columns are drawn. The predicate requires the row's levels; for numbers, at least the
        row's own if it is above the median, and at most the row's own otherwise.
    """
    width, height = len(table.columns), len(table.columns[0])
    if width < MIN_TERMS:
        return ()
    starts, stops = _term_spans(table)
    unique: dict[Predicate, None] = {}
    for _ in range(TRIES // BATCH):
        places = rng.random((BATCH, width)).argsort(axis=1)[:, :MAX_TERMS]
        rows = rng.integers(height, size=BATCH)[:, None]
        unused = np.arange(places.shape[1]) >= rng.integers(
            MIN_TERMS, places.shape[1] + 1, (BATCH, 1)
        )
        start = np.where(unused, 0, starts[places, rows])
        stop = np.where(unused, height, stops[places, rows])
        probes = rng.integers(height, size=PROBES)
        ranks = table.rank[:, probes][places]
        matches = ((ranks >= start[:, :, None]) & (ranks < stop[:, :, None])).all(axis=1)
        # a second row that meets the predicate rules it out, and probes often include one
        alone = ((probes == rows) | ~matches).all(axis=1)
        for i in np.flatnonzero(alone):
            used = np.flatnonzero(~unused[i])
            spans = [(start[i, j], stop[i, j], places[i, j]) for j in used]
            if len(table.within(spans)) == 1:
                unique[_predicate(table, int(rows[i, 0]), spans)] = None
        if len(unique) >= MAX_ATTACKS:
            break
    return tuple(unique)[:MAX_ATTACKS]


def _term_spans(table: Table) -> tuple[Ints, Ints]:
    """Return the span of the term of each cell, on the cell's side of the median."""
    starts, stops = np.empty_like(table.rank), np.empty_like(table.rank)
    for place, (column, known) in enumerate(zip(table.columns, table.known, strict=True)):
        starts[place] = np.searchsorted(known, column, "left")
        stops[place] = np.searchsorted(known, column, "right")
        if table.numbers[place] and len(known):
            high = column > known[len(known) // 2]
            starts[place, ~high] = 0
            stops[place, high] = len(known)
        missing = np.isnan(column)
        starts[place, missing], stops[place, missing] = len(known), len(column)
    return starts, stops


def _predicate(table: Table, row: int, spans: Sequence[tuple[int, int, int]]) -> Predicate:
    """Return the predicate that the spans of a row stand for, ordered by column."""

    def term(start: int, place: int) -> Term:
        value = float(table.columns[place][row])
        if math.isnan(value):
            return place, "missing", 0.0
        comparison = ("<=" if start == 0 else ">=") if table.numbers[place] else "="
        return place, comparison, value

    return tuple(sorted(term(start, int(place)) for start, _, place in spans))


def _columns(frame: pd.DataFrame, synthetic: pd.DataFrame) -> list[npt.NDArray[np.float64]]:
    """Return the columns of a canonical frame, levels as their index among the synthetic levels."""

    def codes(labels: pd.Series[Any], levels: pd.Index[Any]) -> npt.NDArray[np.float64]:
        place = np.append(levels.get_indexer(labels.cat.categories).astype(np.float64), np.nan)
        return place[labels.cat.codes.to_numpy()]  # code -1, a missing cell, indexes the last

    return [
        frame[name].to_numpy()
        if frame[name].dtype == np.float64
        else codes(frame[name], synthetic[name].cat.categories)
        for name in frame.columns
    ]


def _guesses(
    table: Table, max_terms: int, count: int, rng: np.random.Generator
) -> tuple[Predicate, ...]:
    """Draw random predicates: columns, values and comparisons, independently."""

    def term(place: int) -> Term:
        value = float(rng.choice(table.columns[place]))
        if math.isnan(value):
            return place, "missing", 0.0
        return place, str(rng.choice(["=", "<=", ">="])) if table.numbers[place] else "=", value

    width = len(table.columns)
    sizes = rng.integers(min(MIN_TERMS, max_terms), max_terms + 1, size=count)
    return tuple(
        tuple(term(int(place)) for place in rng.choice(width, size, replace=False))
        for size in sizes
    )


def _singled_out(table: Table, predicates: Sequence[Predicate]) -> Ints:
    """Return the rows that are singled out, one per successful predicate."""
    matches = (table.meeting(predicate) for predicate in predicates)
    return np.array([rows[0] for rows in matches if len(rows) == 1], dtype=np.int64)


def _score(
    name: str,
    attacks: int,
    members: Ints,
    others: Ints,
    baseline: float,
    rows: int,
) -> Score:
    if not attacks:
        reason = "cannot be tried: no predicate of this form holds for one synthetic row alone"
        return Score("attacks", name, None, better="lower", meaning=reason)
    hits_per_row = np.concatenate([np.bincount(members), np.bincount(others)])
    effective = attacks / max((hits_per_row**2).sum() / max(hits_per_row.sum(), 1), 1.0)
    share = effective / attacks
    value, low, high = residual(len(members) * share, len(others) * share, effective, ERROR)
    meaning = (
        f"share of {attacks:,} predicates that hold for one synthetic row and for exactly one of "
        f"{rows:,} train rows, beyond what holds for as many rows of the holdout"
    )
    detail = {
        "train_rate": len(members) / attacks,
        "control_rate": len(others) / attacks,
        "baseline_rate": baseline,
        "attacks": float(attacks),
        "effective_attacks": float(effective),
        "rows": float(rows),
    }
    return Score("attacks", name, value, low, high, 0.0, "lower", meaning, detail)
