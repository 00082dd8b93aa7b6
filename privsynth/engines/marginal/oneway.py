"""One-way measurements: counts of each column's codes, jointly with a target of few classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Cells, Codec, spare
from privsynth.curator import MAX_CELLS, Measurement, PrivateCurator
from privsynth.engines.marginal.grouping import Groups, group_codes, keep_all, spread
from privsynth.errors import UsageError

__all__ = [
    "OneWay",
    "check_cells",
    "codes_to_drawable",
    "counted_to_drawable",
    "groups_that_fit",
    "measure_oneway",
]


MIN_GROUPS = 4
CLEAR = 4.0
"""Rows of the rarer classes in an average group, in standard deviations of noise."""
MAX_LABELS = 12
MAX_SPARE = 2
"""Groups of a column besides those of its levels or cells."""
MAX_UNDRAWN = 0.9
"""Upper bound on the share of rows with codes that are never drawn."""


@dataclass(frozen=True, eq=False)
class OneWay:
    """One-way measurements of a table, and the groups of codes formed from them.

    Parameters
    ----------
    total : float
        Estimated number of rows.
    groups : tuple of Groups
        One per column; one group for a column of one code.
    columns : tuple of int
        The columns that are modelled.
    label : int or None
        The target, if it has few classes.
    measurements : tuple of Measurement
        The release: measurements in codes.
    grouped : tuple of Measurement
        The same measurements, in drawable groups.
    undrawn_shares : tuple of float
        For each column, the estimated share of rows with codes that are never drawn.
    """

    total: float
    groups: tuple[Groups, ...]
    columns: tuple[int, ...]
    label: int | None
    measurements: tuple[Measurement, ...]
    grouped: tuple[Measurement, ...]
    undrawn_shares: tuple[float, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of drawable groups of each column."""
        return tuple(groups.size for groups in self.groups)

    def expected(self, clique: tuple[int, ...], chances: Floats) -> Floats:
        """Return the expected counts of a clique, in counted groups."""
        counts = self.total * chances
        for axis, j in enumerate(clique):
            if self.groups[j].counted > self.groups[j].size:
                rows = counts.sum(axis=axis, keepdims=True)
                share = self.undrawn_shares[j]
                counts = np.concatenate([(1 - share) * counts, share * rows], axis=axis)
        return counts


def measure_oneway(
    curator: PrivateCurator,
    rho: float,
    max_groups: int,
    later_scale: float,
    *,
    labelled: bool = True,
    whole: bool = False,
    evenly: float = 0.0,
) -> OneWay:
    """Measure each column's codes, and group them.

    Parameters
    ----------
    curator : PrivateCurator
        Afterwards it counts in the groups.
    rho : float
        What the measurements cost together.
    max_groups : int
        Maximum number of groups of a column.
    later_scale : float
        The scale of the noise of later counts of groups: the larger, the fewer groups.
    labelled : bool
        Whether columns are measured jointly with a target of few classes.
    whole : bool
        Whether every code is a group of its own.
    evenly : float
        The part of the cost that is split evenly among columns, whatever their size.
    """
    codings = curator.codec.codings
    columns = tuple(j for j, c in enumerate(codings) if c.size > 1)
    label = _label(curator.codec) if labelled else None
    cliques = [(j,) if label is None else (j, label) for j in columns if j != label]
    measured = curator.measure(cliques or [()], rho, _weights(curator, cliques, evenly))
    total, noise = _pooled([m.values.sum() for m in measured], measured)
    total = max(float(total), 1.0)
    groups = dict.fromkeys(range(len(codings)), Groups(np.zeros(1, np.intp), np.ones((1, 1))))
    if label is not None:
        classes, noise = _pooled([m.values.sum(axis=0) for m in measured], measured)
        groups[label] = keep_all(classes, noise, spare(codings[label]))
        group_sizes = np.bincount(groups[label].group_of, classes)[: groups[label].size]
        max_groups = int(
            np.clip(
                (group_sizes.sum() - group_sizes.max()) / (CLEAR * later_scale),
                MIN_GROUPS,
                max_groups,
            )
        )
    else:
        max_groups = int(np.clip(np.sqrt(total / later_scale), MIN_GROUPS, max_groups))
    for m in measured:
        if m.clique:
            j = m.clique[0]
            values = m.values.reshape(len(m.values), -1).astype(float)
            if label is not None:
                values = _in_drawable(
                    values, np.full(values.shape, m.scale), groups[label], axis=1
                )[0]
            if whole:
                groups[j] = keep_all(values.sum(axis=1), float(m.scale), spare(codings[j]))
            else:
                ordered = isinstance(codings[j], Cells)
                groups[j] = group_codes(
                    values, float(m.scale), spare(codings[j]), ordered, max_groups
                )
    all_groups = tuple(groups[j] for j in range(len(codings)))
    curator.group([g.group_of for g in all_groups])
    return OneWay(
        total,
        all_groups,
        columns,
        label,
        tuple(measured),
        tuple(codes_to_drawable(m, all_groups) for m in measured),
        _undrawn_shares(measured, all_groups, total),
    )


def _weights(
    curator: PrivateCurator, cliques: Sequence[tuple[int, ...]], evenly: float
) -> list[float] | None:
    """Return each clique's share of the budget; None without cliques.

    Shares in proportion to cells ** (2/3) minimise the expected noise, summed over all cells of all
    cliques.
    """
    cells = [math.prod(curator.sizes[j] for j in clique) ** (2 / 3) for clique in cliques]
    total = sum(cells)
    return [evenly / len(cells) + (1 - evenly) * cell / total for cell in cells] or None


def check_cells(codec: Codec, *, labelled: bool = True) -> None:
    """Refuse a table whose one-way measurements have more cells than fit in memory.

    Raises
    ------
    UsageError
    """
    label = _label(codec) if labelled else None
    classes = 1 if label is None else codec.sizes[label]
    cells = {c.name: c.size * classes for c in codec.codings if c.size > 1}
    if sum(cells.values()) > MAX_CELLS:
        widest = max(cells, key=cells.__getitem__)
        raise UsageError(
            f"the columns have {sum(cells.values()):,} cells in all classes of the target, of "
            f"which {widest!r} has {cells[widest]:,}, and at most {MAX_CELLS:,} are allowed; merge "
            "levels in the schema, or leave columns out"
        )


def groups_that_fit(codec: Codec, max_groups: int) -> int:
    """Return the number of groups per column at which all pairs of columns fit in memory.

    Parameters
    ----------
    codec : Codec
    max_groups : int
        The maximum to return.

    Raises
    ------
    UsageError
        There are too many columns even for the fewest groups.
    """
    sizes = np.array([size for size in codec.sizes if size > 1], dtype=np.float64)
    for groups in range(max_groups, 0, -1):
        group_counts = np.minimum(sizes, groups + MAX_SPARE)
        if (group_counts.sum() ** 2 - (group_counts**2).sum()) / 2 <= MAX_CELLS:
            return groups
        if groups <= MIN_GROUPS:
            break
    raise UsageError(
        f"pairs of {len(sizes)} columns have more than {MAX_CELLS:,} cells; leave columns out, or "
        "use engine independent or copula"
    )


def _label(codec: Codec) -> int | None:
    """Return the target's position if it has few classes and other columns exist."""
    label = codec.label
    if label is None or codec.sizes[label] > MAX_LABELS:
        return None
    return label if sum(size > 1 for size in codec.sizes) > 1 else None


def _undrawn_shares(
    measured: Sequence[Measurement], groups: Sequence[Groups], total: float
) -> tuple[float, ...]:
    """Estimate, for each column, the share of rows with codes that are never drawn."""
    shares = dict.fromkeys(range(len(groups)), 0.0)
    for m in measured:
        for axis, j in enumerate(m.clique):
            undrawn = groups[j].group_of == groups[j].size
            rows = np.moveaxis(m.values, axis, 0)[undrawn].sum()
            # Every clique contains the target: average its counts over the cliques.
            shares[j] += float(rows) / total / sum(j in other.clique for other in measured)
    return tuple(float(np.clip(shares[j], 0, MAX_UNDRAWN)) for j in range(len(groups)))


def _pooled(sums: list[Any], measured: Sequence[Measurement]) -> tuple[Any, float]:
    """Average several measurements of the same counts, weighted by precision.

    Each sum runs over the first axis of a measurement, whose length multiplies the variance.
    """
    cells = np.array([len(m.values) if m.values.ndim else 1 for m in measured])
    weight = 1 / (cells * np.array([m.scale for m in measured]) ** 2)
    mean = sum(w * np.asarray(s, dtype=float) for w, s in zip(weight, sums, strict=True))
    return mean / weight.sum(), 1 / float(np.sqrt(weight.sum()))


def _summed(counts: Floats, group_of: npt.NDArray[np.intp], axis: int) -> Floats:
    """Sum the counts of each group along an axis."""
    moved = np.moveaxis(counts, axis, 0)
    total = np.zeros((int(group_of.max()) + 1, *moved.shape[1:]))
    np.add.at(total, group_of, moved)
    return np.moveaxis(total, 0, axis)


def _in_drawable(counts: Floats, scale: Floats, groups: Groups, axis: int) -> tuple[Floats, Floats]:
    """Sum codes along an axis into drawable groups; return counts and the noise's scale."""
    values = _summed(counts, groups.group_of, axis)
    noise = np.sqrt(_summed(scale**2, groups.group_of, axis))
    return spread(values, noise, axis) if groups.counted > groups.size else (values, noise)


def codes_to_drawable(measured: Measurement, groups: Sequence[Groups]) -> Measurement:
    """Convert a measurement of codes to one of drawable groups."""
    values, scale = measured.values.astype(float), np.full(measured.values.shape, measured.scale)
    for axis, j in enumerate(measured.clique):
        values, scale = _in_drawable(values, scale, groups[j], axis)
    return Measurement(measured.clique, values, scale)


def counted_to_drawable(measured: Measurement, groups: Sequence[Groups]) -> Measurement:
    """Convert a measurement of counted groups to one of drawable groups."""
    values, scale = measured.values.astype(float), np.full(measured.values.shape, measured.scale)
    for axis, j in enumerate(measured.clique):
        if groups[j].counted > groups[j].size:
            values, scale = spread(values, scale, axis)
    return Measurement(measured.clique, values, scale)
