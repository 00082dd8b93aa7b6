"""Points, lines and where lines meet: the geometry of the SMOTE mirrors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NEIGHBOURS = 60
PARTS = 3
PILOT = 300
Array = npt.NDArray[Any]
ODDS = 100.0  # chance draws one line in so many tables
SLACK = 3.0  # how far off a line a rounded point may be, in rounding errors
ULPS = 8
DECIMALS = 7  # numbers with more digits after the point count as not rounded
FINE = 1e-6  # rounding errors below this share of the spread count as none
COARSE = 1e-5  # the precision that other columns are read with beside rounded ones
INFORMATIVE = 8  # the least spread, in rounding errors, of a column that has a direction
CHUNK = 1 << 20


@dataclass(frozen=True)
class Space:
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


def distinct_rows(points: Array) -> tuple[Array, Array]:
    """Return the rows that differ, and for each row which of them it is."""
    rows, which = np.unique(np.asarray(points, dtype=float) + 0.0, axis=0, return_inverse=True)
    return rows, which.ravel()


def _unique(codes: Array) -> Array:
    """Return the codes that differ, ascending; `np.unique` hashes, which such codes make slow."""
    codes = np.sort(codes)
    return codes[np.diff(codes, prepend=-1) > 0]


def half_steps(points: Array) -> Array:
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


def to_steps(points: Array, half: Array) -> Array:
    """Round whole numbers and fixed decimals to the nearest step."""
    decimals = -np.log10(2 * half)
    stepped = (np.abs(decimals - np.rint(decimals)) < 1e-9) & (decimals < DECIMALS + 0.5)
    return np.where(stepped, np.rint(points / (2 * half)) * (2 * half), points)


def space_of(rows: Array) -> Space | None:
    """Choose distance and columns by which most lines appear about a few hundred rows.

    SMOTE takes neighbours by the columns as they stand, or by standardised ones; lines are
    clearest in the columns that were not rounded, or where these are few, in all together.
    None where there are too few rows, or columns with a direction.
    """
    if len(rows) < 3 or rows.shape[1] < 2:
        return None
    half, spread = half_steps(rows), rows.std(axis=0)
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
            Space(scale, error, columns, error[columns], spread[columns])
            for scale in (standard, raw)
        ]
    if not ways:
        return None
    some = np.linspace(0, len(rows) - 1, min(PILOT, len(rows))).astype(np.intp)
    counts = [
        len(triples_in_line(rows, way, some, way.near(rows, rows[some], NEIGHBOURS + 1)))
        for way in ways
    ]
    return ways[int(np.argmax(counts))]


def sweep(rows: Array, space: Space) -> Array:
    """Find triples about all rows; a row once found needs no look at its own neighbours."""
    seen = np.zeros(len(rows), dtype=bool)
    triples = [np.empty((0, 3), dtype=np.intp)]
    for part in range(PARTS):
        centres = np.arange(part, len(rows), PARTS)
        centres = centres[~seen[centres]]
        if len(centres):
            near = space.near(rows, rows[centres], NEIGHBOURS + 1)
            triples.append(triples_in_line(rows, space, centres, near))
            seen[triples[-1]] = True
    return np.vstack(triples)


def triples_in_line(points: Array, space: Space, centres: Array, near: Array) -> Array:
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


def lines_of(points: Array, space: Space, triples: Array, synthetic: int) -> Array:
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


def meetings(points: Array, space: Space, lines: Array) -> Array:
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
    pairs = near_lines(points, space, lines)
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


def near_lines(points: Array, space: Space, lines: Array) -> Array:
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


def joins(points: Array, space: Space, lines: Array, pairs: Array) -> Array:
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


def without_repeats(points: Array, step: Array) -> Array:
    """Leave out each point that an earlier one meets, to within a step in every column."""
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return points
    tree = cKDTree(points / np.where(step > 0, step, 1.0))
    twice = tree.query_pairs(1.0, p=np.inf, output_type="ndarray")
    return np.delete(points, twice.max(axis=1), axis=0) if len(twice) else points


def met_by(points: Array, others: Array, step: Array) -> Array:
    """Return which points one of the others meets, to within a step in every column."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=bool)
    distance, _ = cKDTree(others / step).query(points / step, p=np.inf, distance_upper_bound=1.0)
    met: Array = np.isfinite(distance)
    return met
