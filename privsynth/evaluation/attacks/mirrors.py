"""The SMOTE mirrors: telling synthetic rows from real ones, and real rows from synthetic ones.

A SMOTE row lies on the segment between two real rows. So in a table with both kinds of rows, a
row inside a segment is synthetic; and the point where several segments meet is a real row, even
if the table has no real rows (Ganev et al., "SMOTE and Mirrors: Exposing Privacy Leakage from
Synthetic Minority Oversampling", ICLR 2026: DistinSMOTE and ReconSMOTE).

Every decision depends on one question: could chance have put these points in line? Each column
is measured in units of its rounding error (half a step for whole numbers and fixed decimals, a
few units in the last place for other numbers). A column in which three points span s units agrees
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
    matched_by,
    meetings,
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
MAX_ROWS = 20_000

MAX_MISSING = 0.2  # a column with a larger share of missing cells is not read


def distinguish(points: Array) -> Array:
    """Return which rows of an augmented minority lie strictly inside a segment between two others.

    Parameters
    ----------
    points : ndarray, shape (n, d)
        Real and synthetic rows of the minority class together, in any order; finite.

    Returns
    -------
    ndarray of bool, shape (n,)
        True if the attack takes the row for synthetic. Never so if `d` is 1, since on one line
        every row but two lies between others.

    Notes
    -----
    DistinSMOTE of Ganev et al. (ICLR 2026). A real row is an end of segments and inside none;
    a synthetic row is inside a segment, whose two ends are rows of the table. Lines are searched
    among the 60 nearest rows, and then further out among the rows that are not yet on one.
    """
    rows, which = distinct_rows(points)
    inside = np.zeros(len(rows), dtype=bool)
    space = space_of(rows)
    if space is None:
        return inside[which]
    inside[sweep(rows, space)[:, 1]] = True
    for _ in range(ROUNDS):
        remaining = np.flatnonzero(~inside)
        near = remaining[space.near(rows[remaining], rows[remaining], NEIGHBOURS + 1)]
        triples = triples_in_line(rows, space, remaining, near)
        if not len(triples):
            break
        inside[triples[:, 1]] = True
    return inside[which]


def reconstruct(synthetic: Array) -> Array:
    """Reconstruct real records from synthetic rows alone.

    Parameters
    ----------
    synthetic : ndarray, shape (n, d)
        Synthetic rows of the minority class; finite.

    Returns
    -------
    ndarray, shape (m, d)
        The reconstructed rows, each once. Empty if `d` is 1 or fewer than 3 rows are distinct.

    Notes
    -----
    ReconSMOTE of Ganev et al. (ICLR 2026), with two additions. Three synthetic rows in line
    make a line; a point where two lines (in the plane: three) end is reconstructed. First, such
    a point then counts as a point of the lines through it, so that two synthetic rows in line
    with it make a line, too, which yields further points. Second, numbers that were rounded after
    the interpolation are compared within their rounding error.
    """
    rows, _ = distinct_rows(synthetic)
    reconstructed = np.empty((0, rows.shape[1]))
    space = space_of(rows)
    if space is None:
        return reconstructed
    row_triples = sweep(rows, space)
    off_line = np.setdiff1d(np.arange(len(rows)), row_triples)
    joint_triples = np.empty((0, 3), dtype=np.intp)
    for _ in range(ROUNDS):
        points, before = np.vstack([rows, reconstructed]), len(reconstructed)
        triples = np.vstack([row_triples, joint_triples])
        lines = lines_of(points, space, triples, len(rows))
        joined = joins(points, space, lines, near_lines(points, space, lines))
        lines = lines_of(points, space, np.vstack([triples, joined]), len(rows))
        reconstructed = meetings(points, space, lines)
        if len(reconstructed) <= before or not len(off_line):
            break
        seeds = len(rows) + np.arange(len(reconstructed))
        points = np.vstack([rows, reconstructed])
        near = off_line[space.near(rows[off_line], reconstructed, 2 * NEIGHBOURS)]
        joint_triples = triples_in_line(points, space, seeds, near)
        joint_triples = joint_triples[joint_triples[:, 1] < len(rows)]
    half = half_steps(rows)
    return without_repeats(
        to_steps(reconstructed, half), np.maximum(2 * half, FINE * rows.std(axis=0))
    )


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
        Determines the part that is attacked if there are more than 20,000 synthetic rows, and
        the rows drawn for the figures of chance.
    progress, note : callable

    Returns
    -------
    tuple of Score
        Of family ``"attacks"``: precision and recall of distinguishing synthetic rows from real
        ones in both tables together (`distinguish`); precision and recall of reconstructing real
        rows from the synthetic ones (`reconstruct`), where a match is within one step in rounded
        columns and a millionth of the standard deviation in others; and the share of synthetic
        rows that equal a real one in every modelled column. Intervals are 95% Clopper-Pearson.
        ``detail["chance"]`` is the figure of guessing: the share of synthetic rows, and the share
        of matches among as many synthetic rows drawn at random.

    Notes
    -----
    Ganev et al., "SMOTE and Mirrors: Exposing Privacy Leakage from Synthetic Minority
    Oversampling", ICLR 2026. A figure of zero means that this attack fails, not that the rows are
    private: rounding to few values hides the lines, and other attacks need none.
    """
    columns = [c for c in modelled(schema) if c.role is not Role.TARGET]
    real_frame, synthetic_frame = canonical(real, columns), canonical(synthetic, columns)
    copies = _copies(real_frame, synthetic_frame)
    real_frame, synthetic_frame = _complete(
        real_frame, synthetic_frame, [c.name for c in columns if c.kind.continuous], note
    )
    reason = _impossible(real_frame, synthetic_frame)
    if reason:
        return (*(_score(name, None, None, "", {}, reason) for name in _NAMES), copies)

    rng = np.random.default_rng(seed)
    rows, others = real_frame.to_numpy(dtype=float), synthetic_frame.to_numpy(dtype=float)
    rows, others, targets = _region(rows, others, rng, note)
    progress("SMOTE mirrors", 0, 2)
    flagged = distinguish(np.vstack([rows, others]))
    caught = int(flagged[len(rows) :].sum())
    progress("SMOTE mirrors", 1, 2)
    points = reconstruct(others)
    step = 1.001 * np.maximum(2 * half_steps(others), FINE * rows.std(axis=0))
    drawn = others[rng.permutation(len(others))[: len(points) or len(targets)]]
    progress("SMOTE mirrors", 2, 2)

    share = len(others) / (len(rows) + len(others))
    sizes = {"real_rows": float(len(targets)), "named": float(len(points))}
    hits, chance = (matched_by(spots, rows, step) for spots in (points, drawn))
    recovered = matched_by(targets, points, step)
    by_chance = matched_by(targets, drawn, step).mean() if len(points) else 0.0
    return (
        _score(_NAMES[0], caught, int(flagged.sum()), _DISTINGUISHED, {"chance": share}),
        _score(_NAMES[1], caught, len(others), _INSIDE, {}),
        _score(_NAMES[2], int(hits.sum()), len(points), _REAL, {"chance": float(chance.mean())}),
        _score(
            _NAMES[3],
            int(recovered.sum()),
            len(targets),
            _RECONSTRUCTED,
            {"chance": float(by_chance), **sizes},
        ),
        copies,
    )


_NAMES = (
    "smote_distinguishing_precision",
    "smote_distinguishing_recall",
    "smote_reconstruction_precision",
    "smote_reconstruction_recall",
)
_DISTINGUISHED = (
    "share of the rows found inside a segment between two others that are synthetic; by chance "
    "it would be the share of synthetic rows"
)
_INSIDE = "share of the synthetic rows found inside a segment between two others"
_REAL = (
    "share of the points where lines of synthetic rows meet that are real rows; by chance, what "
    "synthetic rows drawn at random meet"
)
_RECONSTRUCTED = (
    "share of the real rows that can be reconstructed from the synthetic rows alone; by chance, "
    "what as many synthetic rows drawn at random meet"
)


def conclusion(scores: Iterable[Score]) -> str:
    """Return one line on what the attacks achieved.

    Parameters
    ----------
    scores : iterable of Score
        As `smote_mirrors` returns them; others are ignored.

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

    real_hashes, hashes = (
        pd.util.hash_pandas_object(each, index=False) for each in (real, synthetic)
    )
    meaning = "share of the synthetic rows that equal a real row in every column"
    return _score(
        "copies_of_real_rows",
        int(hashes.isin(real_hashes).sum()),
        len(hashes),
        meaning,
        {},
    )


def _complete(
    real: pd.DataFrame, synthetic: pd.DataFrame, names: list[str], note: Note
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the complete rows of the continuous columns that have few missing cells."""
    tables = real[names], synthetic[names]
    usable = [n for n in names if all(table[n].isna().mean() <= MAX_MISSING for table in tables)]
    if len(usable) < len(names):
        note(
            f"SMOTE mirrors: {len(names) - len(usable)} columns with many missing cells are not "
            "read"
        )
    real_frame, synthetic_frame = (table[usable].dropna() for table in tables)
    lost = len(real) - len(real_frame) + len(synthetic) - len(synthetic_frame)
    if lost:
        note(
            f"SMOTE mirrors: {lost:,} rows with a missing cell in a continuous column are not read"
        )
    return real_frame, synthetic_frame


def _impossible(real: pd.DataFrame, synthetic: pd.DataFrame) -> str:
    if real.shape[1] < 2:
        return "cannot be run: it needs two continuous columns or more"
    if len(synthetic) < 3 or real.empty:
        return "cannot be run: it needs a real row and three synthetic rows with no missing cell"
    return ""


def _region(
    real: Array, synthetic: Array, rng: np.random.Generator, note: Note
) -> tuple[Array, Array, Array]:
    """Return the real and the synthetic rows that are attacked, and the real rows to reconstruct.

    A line needs all of its points, so a large table is cut down to one neighbourhood: the real rows
    near one of them, and the synthetic rows nearest to those.
    """
    if len(synthetic) <= MAX_ROWS:
        return real, synthetic, real
    from sklearn.neighbors import NearestNeighbors

    space = space_of(distinct_rows(synthetic)[0])
    scale = np.ones(real.shape[1]) if space is None else space.scale
    pivot = real[rng.integers(len(real))]
    distances = np.linalg.norm((real - pivot) / scale, axis=1)
    order = np.argsort(distances, kind="stable")
    # half of what would fit, since lines at the edge have their other end outside
    targets = real[order[: max(1, len(real) * MAX_ROWS // len(synthetic) // 2)]]
    search = NearestNeighbors(n_neighbors=1).fit(targets / scale)
    distance = search.kneighbors(synthetic / scale)[0].ravel()
    near = np.sort(np.argsort(distance, kind="stable")[:MAX_ROWS])
    note(
        f"SMOTE mirrors: {MAX_ROWS:,} of {len(synthetic):,} synthetic rows were attacked, those "
        f"about {len(targets):,} neighbouring real rows of {len(real):,}"
    )
    return real[order[: MAX_ROWS // 4]], synthetic[near], targets
