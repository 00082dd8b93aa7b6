"""Points, lines and where lines meet: the geometry of the SMOTE mirrors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

NEIGHBOURS = 60
PASSES = 3
PILOT = 300
Array = npt.NDArray[Any]
ODDS = 100.0  # chance makes one false line in this many tables
SLACK = 3.0  # how far off its line a rounded point may be, in rounding errors
ULPS = 8
MAX_DECIMALS = 7  # numbers with more digits after the point count as not rounded
FINE = 1e-6  # rounding errors below this share of the spread are neglected
COARSE = 1e-5  # precision assumed of unrounded columns that are used with rounded ones
MIN_SPREAD = 8  # in rounding errors, of a column that carries geometry
MAX_CELLS = 1 << 20  # at a time, which bounds the memory


@dataclass(frozen=True)
class Space:
    """The columns and units in which points are compared.

    Parameters
    ----------
    scale : ndarray, shape (all columns,)
        Divisors for the distance by which neighbours on a line are searched.
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
    """Return the distinct rows, and for each row the index of its distinct row."""
    rows, which = np.unique(np.asarray(points, dtype=float) + 0.0, axis=0, return_inverse=True)
    return rows, which.ravel()


def _unique(codes: Array) -> Array:
    """Return the distinct codes, ascending; `np.unique` hashes, which is slow for such codes."""
    codes = np.sort(codes)
    return codes[np.diff(codes, prepend=-1) > 0]


def half_steps(points: Array) -> Array:
    """Return each column's rounding error: half its decimal step, or a few units of precision."""
    size, eps = np.abs(points).max(axis=0), float(np.finfo(float).eps)
    single = (points == points.astype(np.float32)).all(axis=0)
    half = ULPS * size * np.where(single, float(np.finfo(np.float32).eps), eps)
    unknown = np.ones(len(half), dtype=bool)
    for decimals in range(MAX_DECIMALS + 1):
        steps = points * 10.0**decimals
        even = (np.abs(steps - np.rint(steps)) <= ULPS * eps * np.abs(steps)).all(axis=0)
        half[even & unknown] = np.maximum(0.5 / 10.0**decimals, ULPS * eps * size)[even & unknown]
        unknown &= ~even
    positive: Array = np.maximum(half, float(np.finfo(float).tiny))
    return positive


def to_steps(points: Array, half: Array) -> Array:
    """Round columns of whole numbers or fixed decimals to the nearest step."""
    decimals = -np.log10(2 * half)
    stepped = (np.abs(decimals - np.rint(decimals)) < 1e-9) & (decimals < MAX_DECIMALS + 0.5)
    return np.where(stepped, np.rint(points / (2 * half)) * (2 * half), points)


def space_of(rows: Array) -> Space | None:
    """Choose the distance and the columns that show most lines around a few hundred rows.

    SMOTE finds neighbours by raw or by standardised columns; lines are clearest in the columns
    that were not rounded or, if these are few, in all columns. None if there are too few rows, or
    too few columns that carry geometry.
    """
    if len(rows) < 3 or rows.shape[1] < 2:
        return None
    half, spread = half_steps(rows), rows.std(axis=0)
    useful = spread > MIN_SPREAD * half
    fine = useful & (half < FINE * spread)
    raw, standard = np.ones(len(half)), np.where(spread > 0, spread, 1.0)
    spaces = []
    for mask in (fine, useful):
        columns = np.flatnonzero(mask)
        if len(columns) < 2 or (mask is useful and (fine == useful).all()):
            continue
        error = half if mask is fine else np.maximum(half, COARSE * spread)
        spaces += [
            Space(scale, error, columns, error[columns], spread[columns])
            for scale in (standard, raw)
        ]
    if not spaces:
        return None
    pilot = np.linspace(0, len(rows) - 1, min(PILOT, len(rows))).astype(np.intp)
    counts = [
        len(triples_in_line(rows, space, pilot, space.near(rows, rows[pilot], NEIGHBOURS + 1)))
        for space in spaces
    ]
    return spaces[int(np.argmax(counts))]


def sweep(rows: Array, space: Space) -> Array:
    """Find triples around all rows, except around rows that are in a triple already."""
    in_triple = np.zeros(len(rows), dtype=bool)
    triples = [np.empty((0, 3), dtype=np.intp)]
    for part in range(PASSES):
        centres = np.arange(part, len(rows), PASSES)
        centres = centres[~in_triple[centres]]
        if len(centres):
            near = space.near(rows, rows[centres], NEIGHBOURS + 1)
            triples.append(triples_in_line(rows, space, centres, near))
            in_triple[triples[-1]] = True
    return np.vstack(triples)


def triples_in_line(points: Array, space: Space, centres: Array, near: Array) -> Array:
    """Find triples of points in line: a centre and two of its neighbours.

    Parameters
    ----------
    points : ndarray, shape (n, all columns)
    centres : ndarray of int, shape (c,)
    near : ndarray of int, shape (c, k)
        The neighbours of each centre; the centre itself is ignored if it is among them.

    Returns
    -------
    ndarray of int, shape (t, 3)
        End, middle, end of each triple that chance does not explain.
    """
    place = points[:, space.columns]
    error = float(np.linalg.norm(space.half / space.spread))
    needed = float(np.log(len(points) * NEIGHBOURS**2))
    sizes = (len(points),) * 3
    rows = max(1, MAX_CELLS // (near.shape[1] * max(near.shape[1], len(space.columns))))
    codes = []
    for start in range(0, len(centres), rows):
        centre, others = centres[start : start + rows], near[start : start + rows]
        directions = ((place[others] - place[centre][:, None]) / space.spread).astype(np.float32)
        length = np.linalg.norm(directions, axis=2)
        away = length > 0
        inverse = np.divide(1.0, length, out=np.zeros_like(length), where=away)
        directions *= inverse[..., None]
        cosine = directions @ directions.transpose(0, 2, 1)
        blur = SLACK * error * inverse
        sine = np.minimum(3e-3 + blur[:, :, None] + blur[:, None, :], 0.3)
        which, i, j = np.nonzero(np.triu(np.abs(cosine) >= 1 - sine**2 / 2, 1))
        apart = cosine[which, i, j] < 0
        further = length[which, i] > length[which, j]
        s, x, y = centre[which], others[which, i], others[which, j]
        far, close = np.where(further, x, y), np.where(further, y, x)
        middle, other = np.where(apart, s, close), np.where(apart, close, s)
        codes.append(
            np.ravel_multi_index((np.minimum(far, other), middle, np.maximum(far, other)), sizes)
        )
    triples = np.column_stack(np.unravel_index(_unique(np.concatenate(codes)), sizes))
    parts = [triples[i : i + MAX_CELLS // 16] for i in range(0, len(triples), MAX_CELLS // 16)]
    kept = [part[_in_line(place, space.half, part, needed)] for part in parts]
    # rows that share unrounded values are in line there, but maybe not in the other columns
    kept = [part[_in_line(points, space.error, part, 0.0)] for part in kept]
    return np.vstack([np.empty((0, 3), dtype=np.intp), *kept])


def _in_line(place: Array, half: Array, triples: Array, needed: float) -> Array:
    """Return which middles lie strictly between their ends, within rounding and beyond chance."""
    end, middle, other = (place[triples[:, i]] / half for i in range(3))
    along, to_middle = other - end, middle - end
    share = np.einsum("td,td->t", to_middle, along) / np.maximum(
        np.einsum("td,td->t", along, along), np.finfo(float).tiny
    )
    off = np.abs(to_middle - share[:, None] * along).max(axis=1, initial=0.0)
    # two close points are in line with any third, so the shorter part is what counts
    part = np.clip(np.minimum(share, 1 - share), 0.0, None)[:, None] * np.abs(along)
    span = np.log(np.maximum(1.0, part / SLACK))
    evidence = span.sum(axis=1) - span.max(axis=1)
    inside: Array = (off <= SLACK) & (share > 0) & (share < 1) & (evidence >= needed)
    return inside


def lines_of(points: Array, space: Space, triples: Array, synthetic: int) -> Array:
    """Join triples that share a synthetic point into lines; return the outermost points of each.

    A synthetic row lies on one segment only; a reconstructed row (index `synthetic` and above) is
    an end of many. Joined triples that do not fit one line are replaced by the widest of them.

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
    is_end = (inner[:, 1] == inner[:, 0]) | (inner[:, 1] == inner[:, 2])
    fits = is_end | _in_line(place, np.ones(place.shape[1]), inner, 0.0)
    broken = np.bincount(line[~fits], minlength=len(outer)) > 0
    outer[broken] = np.column_stack([start, end])[broken]
    return outer


def meetings(points: Array, space: Space, lines: Array) -> Array:
    """Return the points at which lines end together.

    Returns
    -------
    ndarray, shape (m, all columns)
        The points, most certain first.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    no_points = np.empty((0, points.shape[1]))
    pairs = near_lines(points, space, lines)
    if not len(pairs):
        return no_points
    needed = float(np.log(ODDS * len(pairs)))

    place = points[:, space.columns] / space.half
    start, along = place[lines[:, 0]], place[lines[:, 1]] - place[lines[:, 0]]
    parts = [
        _crossings(start, along, pairs[i : i + MAX_CELLS // 16])
        for i in range(0, len(pairs), MAX_CELLS // 16)
    ]
    one, two, s, t, blur, evidence = (np.concatenate(each) for each in zip(*parts, strict=True))

    reach = points[lines[:, 1]] - points[lines[:, 0]]
    on_one = points[lines[one, 0]] + s[:, None] * reach[one]
    on_two = points[lines[two, 0]] + t[:, None] * reach[two]
    agree = (np.abs(on_one - on_two) <= blur[:, None] * space.error).all(axis=1)
    one, two, s, t, blur, evidence = (part[agree] for part in (one, two, s, t, blur, evidence))
    spots = (on_one + on_two)[agree] / 2
    if not len(spots):
        return no_points
    scaled = spots[:, space.columns] / space.half
    # crossings that follow each other closely on one line are one spot
    line, crossing = np.concatenate([one, two]), np.tile(np.arange(len(scaled)), 2)
    order = np.lexsort((np.concatenate([s, t]), line))
    close = np.column_stack([crossing[order][:-1], crossing[order][1:]])
    gap = np.abs(scaled[close[:, 0]] - scaled[close[:, 1]]).max(axis=1)
    close = close[(np.diff(line[order]) == 0) & (gap <= blur[close].sum(axis=1))]
    graph = coo_matrix((np.ones(len(close)), close.T), shape=(len(scaled), len(scaled)))
    number, spot = connected_components(graph, directed=False)

    rays = _directions(along, spot[crossing], line, number)
    best = np.lexsort((blur, spot))
    best = best[np.unique(spot[best], return_index=True)[1]]
    pair, more = evidence[best, :-2].sum(axis=1), evidence[best, :-1].sum(axis=1)
    sure = (rays > 1) & (pair + (rays - 2) * more >= needed)
    weight = 1 / blur**2
    total = np.zeros((number, points.shape[1]))
    np.add.at(total, spot, spots * weight[:, None])
    order = np.flatnonzero(sure)[np.argsort(blur[best][sure], kind="stable")]
    where, near = (total / np.bincount(spot, weight, number)[:, None])[order], blur[best][order]
    scaled = where[:, space.columns] / space.half
    repeats = cKDTree(scaled).query_pairs(
        4 * float(near.max(initial=0)), p=np.inf, output_type="ndarray"
    )
    gap = np.abs(scaled[repeats[:, 0]] - scaled[repeats[:, 1]]).max(axis=1)
    repeats = repeats[gap <= 2 * near[repeats].sum(axis=1)]
    return np.delete(where, repeats.max(axis=1, initial=0), axis=0) if len(repeats) else where


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
    """Count the directions in which lines leave each spot; pieces of one line count once."""
    length = np.linalg.norm(along, axis=1)
    projection = np.random.default_rng(0).normal(size=along.shape[1])
    turn = np.abs(along @ projection) / length  # one number per direction
    order = np.lexsort((turn[line], spot))
    blur = 2 * SLACK * np.linalg.norm(projection) / length[line[order]]
    step = np.diff(turn[line[order]], prepend=-np.inf) > blur
    new = step | (np.diff(spot[order], prepend=-1) > 0)
    return np.bincount(spot[order][new], minlength=number)


def joins(points: Array, space: Space, lines: Array, pairs: Array) -> Array:
    """Return triples that join two pieces of one line."""
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
        Each line's first point, and the vector from it to its last, in rounding errors.
    pairs : ndarray of int, shape (p, 2)

    Returns
    -------
    one, two : ndarray of int, shape (c,)
        The lines of each crossing.
    s, t : ndarray, shape (c,)
        Its position, as a share of each line's vector.
    blur : ndarray, shape (c,)
        The uncertainty of the position, in rounding errors.
    evidence : ndarray, shape (c, d)
        The evidence of each column, ascending.
    """
    one, two = pairs.T
    square = np.einsum("ld,ld->l", along, along)
    uu, vv = square[one], square[two]
    u, v, w = along[one], along[two], start[two] - start[one]
    uv, uw, vw = (np.einsum("pd,pd->p", *each) for each in ((u, v), (u, w), (v, w)))
    sine = uu * vv - uv**2
    sine[sine <= 1e-12 * uu * vv] = np.nan  # parallel lines do not meet
    s, t = (uw * vv - vw * uv) / sine, (uw * uv - vw * uu) / sine
    # the error of a point outside its line's ends grows with the distance from them
    blur = SLACK / 2 * (np.abs(s) + np.abs(1 - s) + np.abs(t) + np.abs(1 - t))
    outside = ((s <= 0) | (s >= 1)) & ((t <= 0) | (t >= 1)) & (blur <= 20 * SLACK)
    one, two, s, t, blur = (part[outside] for part in (one, two, s, t, blur))
    u, v, w = u[outside], v[outside], w[outside]
    meet = np.abs(w + t[:, None] * v - s[:, None] * u).max(axis=1) <= blur
    one, two, s, t, blur = (part[meet] for part in (one, two, s, t, blur))
    span = np.maximum(np.abs(u[meet]), np.abs(v[meet]))
    evidence = np.sort(np.log(np.maximum(1.0, span / (2 * blur[:, None]))), axis=1)
    return one, two, s, t, blur, evidence


def without_repeats(points: Array, step: Array) -> Array:
    """Drop each point that is within one step of an earlier one in every column."""
    from scipy.spatial import cKDTree

    if len(points) < 2:
        return points
    tree = cKDTree(points / np.where(step > 0, step, 1.0))
    repeats = tree.query_pairs(1.0, p=np.inf, output_type="ndarray")
    return np.delete(points, repeats.max(axis=1), axis=0) if len(repeats) else points


def matched_by(points: Array, others: Array, step: Array) -> Array:
    """Return which points are within one step of one of the others in every column."""
    from scipy.spatial import cKDTree

    if not len(points) or not len(others):
        return np.zeros(len(points), dtype=bool)
    distance, _ = cKDTree(others / step).query(points / step, p=np.inf, distance_upper_bound=1.0)
    matched: Array = np.isfinite(distance)
    return matched
