"""The SMOTE mirrors: telling synthetic rows from real ones, and real rows from synthetic ones.

A SMOTE row lies on the segment between two real rows. So in a table that holds both, whatever
lies inside a segment is synthetic; and where several segments meet there is a real row, even
in a table that holds none (Ganev et al., "SMOTE and Mirrors: Exposing Privacy Leakage from
Synthetic Minority Oversampling", ICLR 2026: DistinSMOTE and ReconSMOTE).

Every decision rests on one question: could chance have put these points in line? Each column
is read in units of its rounding error (half a step for whole numbers and fixed decimals, a few
units in the last place for other numbers). A column in which three points span s units agrees
with a line by chance about once in s; the logarithms add up over the columns to the *evidence*,
which must exceed the logarithm of the number of trials.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from privsynth.evaluation.attacks.geometry import (
    FINE,
    NEIGHBOURS,
    Array,
    distinct_rows,
    half_steps,
    joins,
    lines_of,
    meetings,
    met_by,
    near_lines,
    space_of,
    sweep,
    to_steps,
    triples_in_line,
    without_repeats,
)
from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.score import Score
from privsynth.schema import Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["conclusion", "distinguish", "reconstruct", "smote_mirrors"]
ROUNDS = 4
MOST = 20_000

MISSING = 0.2  # a column with a larger share of missing cells is not read


def distinguish(points: Array) -> Array:
    """Return which rows of an augmented minority lie strictly inside a segment between two others.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Real and synthetic rows of the minority class together, in any order; finite.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where the attack takes the row for synthetic; never so where `d` is 1, since on
        one line every row but two lies between others.

    Notes
    -----
    DistinSMOTE of Ganev et al. (ICLR 2026). A real row is an end of segments and inside none;
    a synthetic row is inside one, and both of its ends are rows of the table. Lines are sought
    among the 60 nearest rows, and then, among the rows not yet found, further out.
    """
    rows, which = distinct_rows(points)
    inside = np.zeros(len(rows), dtype=bool)
    space = space_of(rows)
    if space is None:
        return inside[which]
    inside[sweep(rows, space)[:, 1]] = True
    for _ in range(ROUNDS):
        left = np.flatnonzero(~inside)
        near = left[space.near(rows[left], rows[left], NEIGHBOURS + 1)]
        triples = triples_in_line(rows, space, left, near)
        if not len(triples):
            break
        inside[triples[:, 1]] = True
    return inside[which]


def reconstruct(synthetic: Array) -> Array:
    """Name real records, from synthetic rows alone.

    Parameters
    ----------
    synthetic : ndarray, shape (n, d)
        Synthetic rows of the minority class; finite.

    Returns
    -------
    ndarray, shape (m, d)
        The real rows named, each once. None where `d` is 1 or fewer than 3 rows differ.

    Notes
    -----
    ReconSMOTE of Ganev et al. (ICLR 2026), with two additions. A line is three synthetic rows
    in line; where two lines (in the plane: three) end in one point, that point is named. From
    then on it counts as a point of the lines through it, so that two synthetic rows in line
    with it are a line, too, and name further rows. And numbers that were rounded after the
    interpolation are read to within their rounding error.
    """
    rows, _ = distinct_rows(synthetic)
    named = np.empty((0, rows.shape[1]))
    space = space_of(rows)
    if space is None:
        return named
    firm = sweep(rows, space)
    loose = np.setdiff1d(np.arange(len(rows)), firm)
    through = np.empty((0, 3), dtype=np.intp)
    for _ in range(ROUNDS):
        points, known = np.vstack([rows, named]), len(named)
        triples = np.vstack([firm, through])
        lines = lines_of(points, space, triples, len(rows))
        joined = joins(points, space, lines, near_lines(points, space, lines))
        lines = lines_of(points, space, np.vstack([triples, joined]), len(rows))
        named = meetings(points, space, lines)
        if len(named) <= known or not len(loose):
            break
        seeds = len(rows) + np.arange(len(named))
        points = np.vstack([rows, named])
        near = loose[space.near(rows[loose], named, 2 * NEIGHBOURS)]
        through = triples_in_line(points, space, seeds, near)
        through = through[through[:, 1] < len(rows)]
    half = half_steps(rows)
    return without_repeats(to_steps(named, half), np.maximum(2 * half, FINE * rows.std(axis=0)))


def smote_mirrors(
    real: pd.DataFrame,
    synthetic: pd.DataFrame,
    schema: Schema,
    *,
    seed: int = 0,
    progress: Progress = silent,
    note: Note = silent,
) -> tuple[Score, ...]:
    """Attack an augmented minority class with the SMOTE mirrors.

    Parameters
    ----------
    real, synthetic : pandas.DataFrame
        Rows of the minority class. The target is not read.
    schema : Schema
        Says which columns are continuous; the others carry no geometry.
    seed : int
        Governs which part is attacked where there are more than 20,000 synthetic rows, and
        which rows are drawn for the chance figures.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Of family ``"attacks"``: precision and recall of telling synthetic rows from real ones
        in both tables together (`distinguish`); precision and recall of naming real rows from
        the synthetic ones (`reconstruct`), a row being named where it is met to within one
        step in rounded columns, and a millionth of the standard deviation in others; and the
        share of synthetic rows that equal a real one in every modelled column. Intervals are
        95% Clopper-Pearson. ``detail["chance"]`` is what guessing gives: the share of
        synthetic rows, and what as many synthetic rows drawn at random meet.

    Notes
    -----
    Ganev et al., "SMOTE and Mirrors: Exposing Privacy Leakage from Synthetic Minority
    Oversampling", ICLR 2026. A figure of zero says that this attack fails, not that the rows
    are private: numbers rounded to few values hide the lines, and other attacks need none.
    """
    columns = [c for c in modelled(schema) if c.role is not Role.TARGET]
    ours, theirs = canonical(real, columns), canonical(synthetic, columns)
    copies = _copies(ours, theirs)
    ours, theirs = _complete(ours, theirs, [c.name for c in columns if c.kind.continuous], note)
    reason = _impossible(ours, theirs)
    if reason:
        return (*(_score(name, None, None, "", {}, reason) for name in _NAMES), copies)

    rng = np.random.default_rng(seed)
    rows, others = ours.to_numpy(dtype=float), theirs.to_numpy(dtype=float)
    rows, others, counted = _region(rows, others, rng, note)
    progress("SMOTE mirrors", 0, 2)
    guessed = distinguish(np.vstack([rows, others]))
    right = int(guessed[len(rows) :].sum())
    progress("SMOTE mirrors", 1, 2)
    named = reconstruct(others)
    step = 1.001 * np.maximum(2 * half_steps(others), FINE * rows.std(axis=0))
    drawn = others[rng.permutation(len(others))[: len(named) or len(counted)]]
    progress("SMOTE mirrors", 2, 2)

    share = len(others) / (len(rows) + len(others))
    sizes = {"real_rows": float(len(counted)), "named": float(len(named))}
    hits, chance = (met_by(spots, rows, step) for spots in (named, drawn))
    rebuilt = met_by(counted, named, step)
    lucky = met_by(counted, drawn, step).mean() if len(named) else 0.0
    return (
        _score(_NAMES[0], right, int(guessed.sum()), _TOLD, {"chance": share}),
        _score(_NAMES[1], right, len(others), _INSIDE, {}),
        _score(_NAMES[2], int(hits.sum()), len(named), _REAL, {"chance": float(chance.mean())}),
        _score(
            _NAMES[3], int(rebuilt.sum()), len(counted), _FOUND, {"chance": float(lucky), **sizes}
        ),
        copies,
    )


_NAMES = (
    "smote_distinguishing_precision",
    "smote_distinguishing_recall",
    "smote_reconstruction_precision",
    "smote_reconstruction_recall",
)
_TOLD = (
    "share of the rows found inside a segment between two others that are synthetic; by chance "
    "it would be the share of synthetic rows"
)
_INSIDE = "share of the synthetic rows found inside a segment between two others"
_REAL = (
    "share of the points where lines of synthetic rows meet that are real rows; by chance, what "
    "synthetic rows drawn at random meet"
)
_FOUND = (
    "share of the real rows that can be reconstructed from the synthetic rows alone; by chance, "
    "what as many synthetic rows drawn at random meet"
)


def conclusion(scores: Iterable[Score]) -> str:
    """Return in one line what the attacks achieved.

    Parameters
    ----------
    scores : iterable of Score
        As `smote_mirrors` gives them; others are passed over.

    Returns
    -------
    str
    """
    by_name = {score.name: score for score in scores}
    precision, recall = by_name[_NAMES[2]], by_name[_NAMES[3]]
    copied = by_name["copies_of_real_rows"].value
    if recall.value is None:
        words = recall.meaning
    elif precision.low is None or precision.low <= precision.detail["chance"]:
        words = "no real row can be reconstructed beyond chance"
    else:
        words = (
            f"{_percent(recall.value)} of the {recall.detail['real_rows']:,.0f} real minority rows "
            f"can be reconstructed from the synthetic rows (precision {precision.value:.2f})"
        )
    if copied:
        words += f"; {_percent(copied)} of the synthetic rows are copies of real rows"
    return f"SMOTE mirrors: {words}"


def _percent(share: float) -> str:
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"


def _score(
    name: str,
    hits: int | None,
    trials: int | None,
    meaning: str,
    detail: dict[str, float],
    reason: str = "",
) -> Score:
    """Return a share with its Clopper-Pearson interval."""
    if not trials or hits is None:
        why = reason or "no row was named: there is nothing to be right or wrong about"
        return Score("attacks", name, None, better="lower", meaning=why, detail=detail)
    from scipy.stats import binomtest

    low, high = binomtest(hits, trials).proportion_ci(method="exact")
    return Score(
        "attacks",
        name,
        hits / trials,
        float(low),
        float(high),
        better="lower",
        meaning=meaning,
        detail=detail,
    )


def _copies(real: pd.DataFrame, synthetic: pd.DataFrame) -> Score:
    import pandas as pd

    ours, theirs = (pd.util.hash_pandas_object(each, index=False) for each in (real, synthetic))
    meaning = "share of the synthetic rows that equal a real row in every column"
    return _score("copies_of_real_rows", int(theirs.isin(ours).sum()), len(theirs), meaning, {})


def _complete(
    real: pd.DataFrame, synthetic: pd.DataFrame, names: list[str], note: Note
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the continuous columns, without mostly missing ones, and the complete rows."""
    tables = real[names], synthetic[names]
    kept = [n for n in names if all(table[n].isna().mean() <= MISSING for table in tables)]
    if len(kept) < len(names):
        note(
            f"SMOTE mirrors: {len(names) - len(kept)} columns with many missing cells are not read"
        )
    ours, theirs = (table[kept].dropna() for table in tables)
    lost = len(real) - len(ours) + len(synthetic) - len(theirs)
    if lost:
        note(
            f"SMOTE mirrors: {lost:,} rows with a missing cell in a continuous column are not read"
        )
    return ours, theirs


def _impossible(real: pd.DataFrame, synthetic: pd.DataFrame) -> str:
    if real.shape[1] < 2:
        return "cannot be run: it needs two continuous columns or more"
    if len(synthetic) < 3 or real.empty:
        return "cannot be run: it needs a real row and three synthetic rows with no missing cell"
    return ""


def _region(
    real: Array, synthetic: Array, rng: np.random.Generator, note: Note
) -> tuple[Array, Array, Array]:
    """Return the real and the synthetic rows that are attacked, and the real rows to be found.

    Lines need all of their points, so what is too much is cut down to one neighbourhood: real
    rows near one of them, and the synthetic rows nearest to those.
    """
    if len(synthetic) <= MOST:
        return real, synthetic, real
    from sklearn.neighbors import NearestNeighbors

    space = space_of(distinct_rows(synthetic)[0])
    scale = np.ones(real.shape[1]) if space is None else space.scale
    pivot = real[rng.integers(len(real))]
    away = np.linalg.norm((real - pivot) / scale, axis=1)
    order = np.argsort(away, kind="stable")
    # half of what would fit, for the lines at the edge have their other end outside
    counted = real[order[: max(1, len(real) * MOST // len(synthetic) // 2)]]
    search = NearestNeighbors(n_neighbors=1).fit(counted / scale)
    distance = search.kneighbors(synthetic / scale)[0].ravel()
    near = np.sort(np.argsort(distance, kind="stable")[:MOST])
    note(
        f"SMOTE mirrors: {MOST:,} of {len(synthetic):,} synthetic rows were attacked, those about "
        f"{len(counted):,} neighbouring real rows of {len(real):,}"
    )
    return real[order[: MOST // 4]], synthetic[near], counted
