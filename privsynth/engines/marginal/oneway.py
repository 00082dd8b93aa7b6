"""One-way measurements: each column's codes, jointly with the target if there is one."""

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
    "among_drawn",
    "check_cells",
    "groups_that_fit",
    "in_groups",
    "measure_oneway",
]


FEWEST = 4
LIKELY = 4.0
"""How many standard deviations of noise a group is to hold of the rarer classes."""
MAX_LABELS = 12
MAX_SPARE = 2
"""The most groups that a column has beside those of its levels or cells."""
MAX_LOST = 0.9
"""The largest share of the rows that is taken to hold codes that are never drawn."""


@dataclass(frozen=True, eq=False)
class OneWay:
    """One-way measurements of a table, and the groups made of them.

    Parameters
    ----------
    total : float
        About how many rows there are.
    groups : tuple of Groups
        One a column; of surrogates, one code.
    columns : tuple of int
        The columns that are modelled.
    label : int or None
        The target, where it is one of few classes.
    measurements : tuple of Measurement
        What was measured, in codes: the release.
    gathered : tuple of Measurement
        The same, in groups.
    lost : tuple of float
        About which share of the rows each column's codes that are never drawn hold.
    """

    total: float
    groups: tuple[Groups, ...]
    columns: tuple[int, ...]
    label: int | None
    measurements: tuple[Measurement, ...]
    gathered: tuple[Measurement, ...]
    lost: tuple[float, ...]

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
                share = self.lost[j]
                counts = np.concatenate([(1 - share) * counts, share * rows], axis=axis)
        return counts


def measure_oneway(
    curator: PrivateCurator,
    rho: float,
    most: int,
    later: float,
    *,
    labelled: bool = True,
    whole: bool = False,
    evenly: float = 0.0,
) -> OneWay:
    """Measure each column's codes, and group them.

    Parameters
    ----------
    curator : PrivateCurator
        Counts in the groups from then on.
    rho : float
        What the look may cost.
    most : int
        How many groups a column may have.
    later : float
        The scale of the noise with which groups will be counted: where it is large, there are
        fewer of them.
    labelled : bool
        Whether columns are measured beside a target of few classes.
    whole : bool
        Whether every code is a group of its own.
    evenly : float
        The part of the cost that is shared evenly among the columns, whatever their size.
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
        group_sizes = np.bincount(groups[label].of, classes)[: groups[label].size]
        most = int(
            np.clip((group_sizes.sum() - group_sizes.max()) / (LIKELY * later), FEWEST, most)
        )
    else:
        most = int(np.clip(np.sqrt(total / later), FEWEST, most))
    for m in measured:
        if m.clique:
            j = m.clique[0]
            values = m.values.reshape(len(m.values), -1).astype(float)
            if label is not None:
                values = _drawn(values, np.full(values.shape, m.scale), groups[label], axis=1)[0]
            if whole:
                groups[j] = keep_all(values.sum(axis=1), float(m.scale), spare(codings[j]))
            else:
                ordered = isinstance(codings[j], Cells)
                groups[j] = group_codes(values, float(m.scale), spare(codings[j]), ordered, most)
    every = tuple(groups[j] for j in range(len(codings)))
    curator.group([g.of for g in every])
    return OneWay(
        total,
        every,
        columns,
        label,
        tuple(measured),
        tuple(in_groups(m, every) for m in measured),
        _lost(measured, every, total),
    )


def _weights(
    curator: PrivateCurator, cliques: Sequence[tuple[int, ...]], evenly: float
) -> list[float] | None:
    """Return the proportions of the budget for cliques; None without cliques.

    Noise adds up over the cells of a clique: shares by this power of their number keep the sum
    over all cliques least.
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
            f"the columns have {sum(cells.values()):,} cells beside the target, of which "
            f"{widest!r} has {cells[widest]:,}, and {MAX_CELLS:,} are the most; merge levels in "
            "the schema, or leave columns out"
        )


def groups_that_fit(codec: Codec, most: int) -> int:
    """Return how many groups a column may have so that all pairs of columns fit in memory.

    Parameters
    ----------
    codec : Codec
    most : int
        The most that is wanted.

    Raises
    ------
    UsageError
        There are too many columns even for the fewest groups.
    """
    sizes = np.array([size for size in codec.sizes if size > 1], dtype=np.float64)
    for groups in range(most, 0, -1):
        group_counts = np.minimum(sizes, groups + MAX_SPARE)
        if (group_counts.sum() ** 2 - (group_counts**2).sum()) / 2 <= MAX_CELLS:
            return groups
        if groups <= FEWEST:
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


def _lost(
    measured: Sequence[Measurement], groups: Sequence[Groups], total: float
) -> tuple[float, ...]:
    """Estimate, for each column, the share of rows whose codes are never drawn."""
    shares = dict.fromkeys(range(len(groups)), 0.0)
    for m in measured:
        for axis, j in enumerate(m.clique):
            never = groups[j].of == groups[j].size
            rows = np.moveaxis(m.values, axis, 0)[never].sum()
            # Several cliques tell of a target: the mean of what they say.
            shares[j] += float(rows) / total / sum(j in other.clique for other in measured)
    return tuple(float(np.clip(shares[j], 0, MAX_LOST)) for j in range(len(groups)))


def _pooled(sums: list[Any], measured: Sequence[Measurement]) -> tuple[Any, float]:
    """Average several measurements of the same counts, weighted by precision.

    A sum over the cells of a first axis has a variance that grows with its length.
    """
    cells = np.array([len(m.values) if m.values.ndim else 1 for m in measured])
    weight = 1 / (cells * np.array([m.scale for m in measured]) ** 2)
    mean = sum(w * np.asarray(s, dtype=float) for w, s in zip(weight, sums, strict=True))
    return mean / weight.sum(), 1 / float(np.sqrt(weight.sum()))


def _gathered(counts: Floats, of: npt.NDArray[np.intp], axis: int) -> Floats:
    """Add up the counts of each group along an axis."""
    moved = np.moveaxis(counts, axis, 0)
    total = np.zeros((int(of.max()) + 1, *moved.shape[1:]))
    np.add.at(total, of, moved)
    return np.moveaxis(total, 0, axis)


def _drawn(counts: Floats, scale: Floats, groups: Groups, axis: int) -> tuple[Floats, Floats]:
    """Sum codes along an axis into groups that can be drawn, with the noise's scale."""
    values = _gathered(counts, groups.of, axis)
    noise = np.sqrt(_gathered(scale**2, groups.of, axis))
    return spread(values, noise, axis) if groups.counted > groups.size else (values, noise)


def in_groups(measured: Measurement, groups: Sequence[Groups]) -> Measurement:
    """Convert a measurement of codes to one of drawable groups."""
    values, scale = measured.values.astype(float), np.full(measured.values.shape, measured.scale)
    for axis, j in enumerate(measured.clique):
        values, scale = _drawn(values, scale, groups[j], axis)
    return Measurement(measured.clique, values, scale)


def among_drawn(measured: Measurement, groups: Sequence[Groups]) -> Measurement:
    """Convert a measurement of counted groups to one of drawable groups."""
    values, scale = measured.values.astype(float), np.full(measured.values.shape, measured.scale)
    for axis, j in enumerate(measured.clique):
        if groups[j].counted > groups[j].size:
            values, scale = spread(values, scale, axis)
    return Measurement(measured.clique, values, scale)
