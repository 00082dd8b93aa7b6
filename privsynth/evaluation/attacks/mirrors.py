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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from privsynth.evaluation.frames import Note, Progress, canonical, modelled, silent
from privsynth.evaluation.score import Score
from privsynth.schema import Role, Schema

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["distinguish", "reconstruct", "smote_mirrors", "verdict"]

NEIGHBOURS = 60
ROUNDS = 4
PARTS = 3
PILOT = 300
MOST = 20_000
Array = npt.NDArray[Any]

MISSING = 0.2  # a column with a larger share of missing cells is not read
ODDS = 100.0  # chance draws one line in so many tables
SLACK = 3.0  # how far off a line a rounded point may be, in rounding errors
ULPS = 8
DECIMALS = 7  # numbers with more digits after the point count as not rounded
FINE = 1e-6  # rounding errors below this share of the spread count as none
COARSE = 1e-5  # the precision that other columns are read with beside rounded ones
INFORMATIVE = 8  # the least spread, in rounding errors, of a column that has a direction
CHUNK = 1 << 20


@dataclass(frozen=True)
class _Space:
    """How points are read.

    Parameters
    ----------
    scale : ndarray, shape (all columns,)
        What to divide by for the distance in which the points of a line are near each other.
    error : ndarray, shape (all columns,)
        The rounding error of every column.
    columns : ndarray of int, shape (d,)
        The columns that carry geometry.
    half, spread : ndarray, shape (d,)
        Their rounding error and standard deviation.
    """

    scale: Array
    error: Array
    columns: Array
    half: Array
    spread: Array

    def near(self, points: Array, queries: Array, k: int) -> Array:
        """Return the `k` points nearest to each query, as indices, shape (queries, k)."""
        from sklearn.neighbors import NearestNeighbors

        search = NearestNeighbors(n_neighbors=min(k, len(points))).fit(points / self.scale)
        indices: Array = search.kneighbors(queries / self.scale, return_distance=False)
        return indices


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
    rows, which = _distinct(points)
    inside = np.zeros(len(rows), dtype=bool)
    space = _space(rows)
    if space is None:
        return inside[which]
    inside[_sweep(rows, space)[:, 1]] = True
    for _ in range(ROUNDS):
        left = np.flatnonzero(~inside)
        near = left[space.near(rows[left], rows[left], NEIGHBOURS + 1)]
        triples = _triples(rows, space, left, near)
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
    rows, _ = _distinct(synthetic)
    named = np.empty((0, rows.shape[1]))
    space = _space(rows)
    if space is None:
        return named
    firm = _sweep(rows, space)
    loose = np.setdiff1d(np.arange(len(rows)), firm)
    through = np.empty((0, 3), dtype=np.intp)
    for _ in range(ROUNDS):
        points, known = np.vstack([rows, named]), len(named)
        triples = np.vstack([firm, through])
        lines = _lines(points, space, triples, len(rows))
        joined = _joins(points, space, lines, _near_lines(points, space, lines))
        lines = _lines(points, space, np.vstack([triples, joined]), len(rows))
        named = _meetings(points, space, lines)
        if len(named) <= known or not len(loose):
            break
        seeds = len(rows) + np.arange(len(named))
        points = np.vstack([rows, named])
        near = loose[space.near(rows[loose], named, 2 * NEIGHBOURS)]
        through = _triples(points, space, seeds, near)
        through = through[through[:, 1] < len(rows)]
    half = _half_steps(rows)
    return _once(_to_steps(named, half), np.maximum(2 * half, FINE * rows.std(axis=0)))


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
    step = 1.001 * np.maximum(2 * _half_steps(others), FINE * rows.std(axis=0))
    drawn = others[rng.permutation(len(others))[: len(named) or len(counted)]]
    progress("SMOTE mirrors", 2, 2)

    share = len(others) / (len(rows) + len(others))
    sizes = {"real_rows": float(len(counted)), "named": float(len(named))}
    hits, chance = (_met(spots, rows, step) for spots in (named, drawn))
    rebuilt = _met(counted, named, step)
    lucky = _met(counted, drawn, step).mean() if len(named) else 0.0
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


def verdict(scores: Iterable[Score]) -> str:
    """Say in one line what the attacks achieved.

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


def _distinct(points: Array) -> tuple[Array, Array]:
    """Return the rows that differ, and for each row which of them it is."""
    rows, which = np.unique(np.asarray(points, dtype=float) + 0.0, axis=0, return_inverse=True)
    return rows, which.ravel()


def _unique(codes: Array) -> Array:
    """Return the codes that differ, ascending; `np.unique` hashes, which such codes make slow."""
    codes = np.sort(codes)
    return codes[np.diff(codes, prepend=-1) > 0]


def _half_steps(points: Array) -> Array:
    """Return each column's rounding error: half its decimal step, or some units of precision."""
    size, eps = np.abs(points).max(axis=0), float(np.finfo(float).eps)
    single = (points == points.astype(np.float32)).all(axis=0)
    half = ULPS * size * np.where(single, float(np.finfo(np.float32).eps), eps)
    unknown = np.ones(len(half), dtype=bool)
    for decimals in range(DECIMALS + 1):
        steps = points * 10.0**decimals
        even = (np.abs(steps - np.rint(steps)) <= ULPS * eps * np.abs(steps)).all(axis=0)
        half[even & unknown] = np.maximum(0.5 / 10.0**decimals, ULPS * eps * size)[even & unknown]
        unknown &= ~even
    positive: Array = np.maximum(half, float(np.finfo(float).tiny))
    return positive


def _to_steps(points: Array, half: Array) -> Array:
    """Round whole numbers and fixed decimals to the nearest step."""
    decimals = -np.log10(2 * half)
    stepped = (np.abs(decimals - np.rint(decimals)) < 1e-9) & (decimals < DECIMALS + 0.5)
    return np.where(stepped, np.rint(points / (2 * half)) * (2 * half), points)


def _space(rows: Array) -> _Space | None:
    """Choose distance and columns by which most lines appear about a few hundred rows.

    SMOTE takes neighbours by the columns as they stand, or by standardised ones; lines are
    clearest in the columns that were not rounded, or where these are few, in all together.
    None where there are too few rows, or columns with a direction.
    """
    if len(rows) < 3 or rows.shape[1] < 2:
        return None
    half, spread = _half_steps(rows), rows.std(axis=0)
    useful = spread > INFORMATIVE * half
    fine = useful & (half < FINE * spread)
    raw, standard = np.ones(len(half)), np.where(spread > 0, spread, 1.0)
    ways = []
    for chosen in (fine, useful):
        columns = np.flatnonzero(chosen)
        if len(columns) < 2 or (chosen is useful and (fine == useful).all()):
            continue
        error = half if chosen is fine else np.maximum(half, COARSE * spread)
        ways += [
            _Space(scale, error, columns, error[columns], spread[columns])
            for scale in (standard, raw)
        ]
    if not ways:
        return None
    some = np.linspace(0, len(rows) - 1, min(PILOT, len(rows))).astype(np.intp)
    counts = [
        len(_triples(rows, way, some, way.near(rows, rows[some], NEIGHBOURS + 1))) for way in ways
    ]
    return ways[int(np.argmax(counts))]


def _sweep(rows: Array, space: _Space) -> Array:
    """Find triples about all rows; a row once found needs no look at its own neighbours."""
    seen = np.zeros(len(rows), dtype=bool)
    triples = [np.empty((0, 3), dtype=np.intp)]
    for part in range(PARTS):
        centres = np.arange(part, len(rows), PARTS)
        centres = centres[~seen[centres]]
        if len(centres):
            near = space.near(rows, rows[centres], NEIGHBOURS + 1)
            triples.append(_triples(rows, space, centres, near))
            seen[triples[-1]] = True
    return np.vstack(triples)


def _triples(points: Array, space: _Space, centres: Array, near: Array) -> Array:
    """Find three points in line: a centre and two of its neighbours.

    Parameters
    ----------
    points : ndarray, shape (n, all columns)
    centres : ndarray of int, shape (c,)
    near : ndarray of int, shape (c, k)
        The neighbours of each; itself, where it is one of them, is passed over.

    Returns
    -------
    ndarray of int, shape (t, 3)
        End, middle, end; beyond chance.
    """
    place = points[:, space.columns]
    error = float(np.linalg.norm(space.half / space.spread))
    needed = float(np.log(len(points) * NEIGHBOURS**2))
    sizes = (len(points),) * 3
    rows = max(1, CHUNK // (near.shape[1] * max(near.shape[1], len(space.columns))))
    found = []
    for start in range(0, len(centres), rows):
        centre, others = centres[start : start + rows], near[start : start + rows]
        ways = ((place[others] - place[centre][:, None]) / space.spread).astype(np.float32)
        length = np.linalg.norm(ways, axis=2)
        away = length > 0
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=away)
        ways *= inverse[..., None]
        cosine = ways @ ways.transpose(0, 2, 1)
        blur = SLACK * error * inverse
        sine = np.minimum(3e-3 + blur[:, :, None] + blur[:, None, :], 0.3)
        which, i, j = np.nonzero(np.triu(np.abs(cosine) >= 1 - sine**2 / 2, 1))
        apart = cosine[which, i, j] < 0
        further = length[which, i] > length[which, j]
        s, x, y = centre[which], others[which, i], others[which, j]
        far, close = np.where(further, x, y), np.where(further, y, x)
        middle, other = np.where(apart, s, close), np.where(apart, close, s)
        found.append(
            np.ravel_multi_index((np.minimum(far, other), middle, np.maximum(far, other)), sizes)
        )
    triples = np.column_stack(np.unravel_index(_unique(np.concatenate(found)), sizes))
    parts = [triples[i : i + CHUNK // 16] for i in range(0, len(triples), CHUNK // 16)]
    kept = [part[_in_line(place, space.half, part, needed)] for part in parts]
    # rows that share their unrounded values make lines there which are none in other columns
    kept = [part[_in_line(points, space.error, part, 0.0)] for part in kept]
    return np.vstack([np.empty((0, 3), dtype=np.intp), *kept])


def _in_line(place: Array, half: Array, triples: Array, needed: float) -> Array:
    """Return which middles lie strictly between their ends, within rounding, beyond chance."""
    end, middle, other = (place[triples[:, i]] / half for i in range(3))
    along, way = other - end, middle - end
    share = np.einsum("td,td->t", way, along) / np.maximum(
        np.einsum("td,td->t", along, along), np.finfo(float).tiny
    )
    off = np.abs(way - share[:, None] * along).max(axis=1, initial=0.0)
    # two points near each other are in line with any third: the shorter part is what counts
    part = np.clip(np.minimum(share, 1 - share), 0.0, None)[:, None] * np.abs(along)
    span = np.log(np.maximum(1.0, part / SLACK))
    evidence = span.sum(axis=1) - span.max(axis=1)
    inside: Array = (off <= SLACK) & (share > 0) & (share < 1) & (evidence >= needed)
    return inside


def _lines(points: Array, space: _Space, triples: Array, synthetic: int) -> Array:
    """Join triples that share a synthetic point into lines; give the outermost points of each.

    A synthetic row lies on one segment only, a named one (index `synthetic` and above) ends
    many. Where what is joined does not fit one line, its widest triple stands for it.

    Returns
    -------
    ndarray of int, shape (lines, 2)
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(triples):
        return np.empty((0, 2), dtype=np.intp)
    pairs = np.vstack([triples[:, :2], triples[:, 1:], triples[:, ::2]])
    pairs = pairs[(pairs < synthetic).all(axis=1)]
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(points), len(points)))
    _, label = connected_components(graph, directed=False)
    label = np.unique(label[triples[:, 1]], return_inverse=True)[1]

    place = points[:, space.columns] / space.half
    widest = np.linalg.norm(place[triples[:, 0]] - place[triples[:, 2]], axis=1)
    order = np.lexsort((-widest, label))
    first = order[np.unique(label[order], return_index=True)[1]]
    start, end = triples[first, 0], triples[first, 2]

    line, member = np.divmod(
        _unique(np.repeat(label, 3) * len(points) + triples.ravel()), len(points)
    )
    along = place[end] - place[start]
    share = np.einsum("td,td->t", place[member] - place[start][line], along[line])
    order = np.lexsort((share, line))
    edge = np.flatnonzero(np.diff(line[order], prepend=-1, append=-1))
    outer = np.column_stack([member[order][edge[:-1]], member[order][edge[1:] - 1]])
    inner = np.column_stack([outer[line, 0], member, outer[line, 1]])
    own = (inner[:, 1] == inner[:, 0]) | (inner[:, 1] == inner[:, 2])
    fits = own | _in_line(place, np.ones(place.shape[1]), inner, 0.0)
    broken = np.bincount(line[~fits], minlength=len(outer)) > 0
    outer[broken] = np.column_stack([start, end])[broken]
    return outer


def _meetings(points: Array, space: _Space, lines: Array) -> Array:
    """Name the points in which lines end together.

    Returns
    -------
    ndarray, shape (m, all columns)
        In rounded columns, to the nearest step.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    nothing = np.empty((0, points.shape[1]))
    pairs = _near_lines(points, space, lines)
    if not len(pairs):
        return nothing
    needed = float(np.log(ODDS * len(pairs)))

    place = points[:, space.columns] / space.half
    start, along = place[lines[:, 0]], place[lines[:, 1]] - place[lines[:, 0]]
    parts = [
        _crossings(start, along, pairs[i : i + CHUNK // 16])
        for i in range(0, len(pairs), CHUNK // 16)
    ]
    one, two, s, t, blur, bits = (np.concatenate(each) for each in zip(*parts, strict=True))

    reach = points[lines[:, 1]] - points[lines[:, 0]]
    ours = points[lines[one, 0]] + s[:, None] * reach[one]
    theirs = points[lines[two, 0]] + t[:, None] * reach[two]
    agree = (np.abs(ours - theirs) <= blur[:, None] * space.error).all(axis=1)
    one, two, s, t, blur, bits = (part[agree] for part in (one, two, s, t, blur, bits))
    spots = (ours + theirs)[agree] / 2
    if not len(spots):
        return nothing
    at = spots[:, space.columns] / space.half
    # on one line, the crossings that follow each other closely are one spot
    line, crossing = np.concatenate([one, two]), np.tile(np.arange(len(at)), 2)
    order = np.lexsort((np.concatenate([s, t]), line))
    close = np.column_stack([crossing[order][:-1], crossing[order][1:]])
    gap = np.abs(at[close[:, 0]] - at[close[:, 1]]).max(axis=1)
    close = close[(np.diff(line[order]) == 0) & (gap <= blur[close].sum(axis=1))]
    graph = coo_matrix((np.ones(len(close)), close.T), shape=(len(at), len(at)))
    number, spot = connected_components(graph, directed=False)

    rays = _directions(along, spot[crossing], line, number)
    best = np.lexsort((blur, spot))
    best = best[np.unique(spot[best], return_index=True)[1]]
    pair, more = bits[best, :-2].sum(axis=1), bits[best, :-1].sum(axis=1)
    sure = (rays > 1) & (pair + (rays - 2) * more >= needed)
    weight = 1 / blur**2
    total = np.zeros((number, points.shape[1]))
    np.add.at(total, spot, spots * weight[:, None])
    order = np.flatnonzero(sure)[np.argsort(blur[best][sure], kind="stable")]
    where, near = (total / np.bincount(spot, weight, number)[:, None])[order], blur[best][order]
    at = where[:, space.columns] / space.half
    twice = cKDTree(at).query_pairs(4 * float(near.max(initial=0)), p=np.inf, output_type="ndarray")
    gap = np.abs(at[twice[:, 0]] - at[twice[:, 1]]).max(axis=1)
    twice = twice[gap <= 2 * near[twice].sum(axis=1)]
    return np.delete(where, twice.max(axis=1, initial=0), axis=0) if len(twice) else where


def _near_lines(points: Array, space: _Space, lines: Array) -> Array:
    """Return pairs of lines that are near each other, as indices, shape (pairs, 2)."""
    if len(lines) < 2:
        return np.empty((0, 2), dtype=np.intp)
    middles = points[lines].mean(axis=1)
    near = space.near(middles, middles, NEIGHBOURS + 1)
    one, two = np.repeat(np.arange(len(lines)), near.shape[1]), near.ravel()
    codes = _unique(np.minimum(one, two) * len(lines) + np.maximum(one, two))
    pairs = np.column_stack(np.divmod(codes, len(lines)))
    different: Array = pairs[:, 0] != pairs[:, 1]
    return pairs[different]


def _directions(along: Array, spot: Array, line: Array, number: int) -> Array:
    """Count the directions in which lines leave each spot; two pieces of one line count once."""
    length = np.linalg.norm(along, axis=1)
    cast = np.random.default_rng(0).normal(size=along.shape[1])
    turn = np.abs(along @ cast) / length  # one number that tells directions apart
    order = np.lexsort((turn[line], spot))
    blur = 2 * SLACK * np.linalg.norm(cast) / length[line[order]]
    step = np.diff(turn[line[order]], prepend=-np.inf) > blur
    new = step | (np.diff(spot[order], prepend=-1) > 0)
    return np.bincount(spot[order][new], minlength=number)


def _joins(points: Array, space: _Space, lines: Array, pairs: Array) -> Array:
    """Return triples that hold two pieces of one line together."""
    place = points[:, space.columns] / space.half
    along = place[lines[:, 1]] - place[lines[:, 0]]
    along /= np.linalg.norm(along, axis=1)[:, None]
    pairs = pairs[np.abs(np.einsum("pd,pd->p", along[pairs[:, 0]], along[pairs[:, 1]])) > 0.9]
    triples = np.vstack(
        [np.column_stack([lines[pairs[:, 0]], lines[pairs[:, 1], i]]) for i in (0, 1)]
    )
    where = np.einsum("ptd,pd->pt", place[triples], np.tile(along[pairs[:, 0]], (2, 1)))
    triples = np.take_along_axis(triples, np.argsort(where, axis=1), axis=1)
    needed = float(np.log(ODDS * max(1, len(triples))))
    return triples[_in_line(place, np.ones(place.shape[1]), triples, needed)]


def _crossings(start: Array, along: Array, pairs: Array) -> tuple[Array, ...]:
    """Find the pairs of lines that end in one point.

    Parameters
    ----------
    start, along : ndarray, shape (lines, d)
        Each line's first point, and the way from there to its last, in rounding errors.
    pairs : ndarray of int, shape (p, 2)

    Returns
    -------
    one, two : ndarray of int, shape (c,)
        The lines of each crossing.
    s, t : ndarray, shape (c,)
        Where it lies, as shares of the way along each.
    blur : ndarray, shape (c,)
        How uncertain the place is, in rounding errors.
    bits : ndarray, shape (c, d)
        Evidence of each column, ascending.
    """
    one, two = pairs.T
    square = np.einsum("ld,ld->l", along, along)
    uu, vv = square[one], square[two]
    u, v, w = along[one], along[two], start[two] - start[one]
    uv, uw, vw = (np.einsum("pd,pd->p", *each) for each in ((u, v), (u, w), (v, w)))
    sine = uu * vv - uv**2
    sine[sine <= 1e-12 * uu * vv] = np.nan  # parallel lines do not meet
    s, t = (uw * vv - vw * uv) / sine, (uw * uv - vw * uu) / sine
    # the error of a point beyond the known part of its line grows with the distance
    blur = SLACK / 2 * (np.abs(s) + np.abs(1 - s) + np.abs(t) + np.abs(1 - t))
    outside = ((s <= 0) | (s >= 1)) & ((t <= 0) | (t >= 1)) & (blur <= 20 * SLACK)
    one, two, s, t, blur = (part[outside] for part in (one, two, s, t, blur))
    u, v, w = u[outside], v[outside], w[outside]
    meet = np.abs(w + t[:, None] * v - s[:, None] * u).max(axis=1) <= blur
    one, two, s, t, blur = (part[meet] for part in (one, two, s, t, blur))
    span = np.maximum(np.abs(u[meet]), np.abs(v[meet]))
    bits = np.sort(np.log(np.maximum(1.0, span / (2 * blur[:, None]))), axis=1)
    return one, two, s, t, blur, bits


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


def _once(points: Array, step: Array) -> Array:
    """Leave out each point that an earlier one meets, to within a step in every column."""
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return points
    tree = cKDTree(points / np.where(step > 0, step, 1.0))
    twice = tree.query_pairs(1.0, p=np.inf, output_type="ndarray")
    return np.delete(points, twice.max(axis=1), axis=0) if len(twice) else points


def _met(points: Array, others: Array, step: Array) -> Array:
    """Return which points one of the others meets, to within a step in every column."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=bool)
    distance, _ = cKDTree(others / step).query(points / step, p=np.inf, distance_upper_bound=1.0)
    met: Array = np.isfinite(distance)
    return met


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

    space = _space(_distinct(synthetic)[0])
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
