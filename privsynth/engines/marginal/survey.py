"""The first look at a table: each column's codes, beside the target where there is one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.codec import Cells, spare
from privsynth.curator import Measurement, PrivateCurator
from privsynth.engines.marginal.grouping import Groups, gather, keep_all

__all__ = ["Gathered", "Survey", "in_groups", "survey"]

Floats = npt.NDArray[np.float64]

FEWEST = 4
LIKELY = 4.0
"""How many standard deviations of noise a group is to hold of the rarer classes."""
MOST_CLASSES = 12


@dataclass(frozen=True, eq=False)
class Gathered:
    """The noisy counts of a clique in groups: sums of noisy counts of codes.

    Parameters
    ----------
    clique : tuple of int
    values : ndarray of int64
    scale : ndarray
        The standard deviation of the noise of each cell.
    """

    clique: tuple[int, ...]
    values: npt.NDArray[np.int64]
    scale: Floats


@dataclass(frozen=True, eq=False)
class Survey:
    """What the first look tells.

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
    gathered : tuple of Gathered
        The same, in groups.
    """

    total: float
    groups: tuple[Groups, ...]
    columns: tuple[int, ...]
    label: int | None
    measurements: tuple[Measurement, ...]
    gathered: tuple[Gathered, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many groups each column has."""
        return tuple(groups.size for groups in self.groups)


def survey(
    curator: PrivateCurator,
    rho: float,
    most: int,
    later: float,
    *,
    labelled: bool = True,
    whole: bool = False,
) -> Survey:
    """Measure each column's codes, and gather them into groups.

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
    """
    codings = curator.codec.codings
    columns = tuple(j for j, c in enumerate(codings) if c.size > 1)
    label = curator.codec.target if labelled and curator.codec.classes else None
    if label is not None and (codings[label].size > MOST_CLASSES or len(columns) == 1):
        label = None
    cliques = [(j,) if label is None else (j, label) for j in columns if j != label]
    # Noise adds up over the cells of a clique: these shares keep the sum over all cliques least.
    weights = [math.prod(curator.sizes[j] for j in clique) ** (2 / 3) for clique in cliques]
    measured = curator.measure(cliques or [()], rho, weights or None)
    total, noise = _pooled([m.values.sum() for m in measured], measured)
    total = max(float(total), 1.0)
    groups = dict.fromkeys(range(len(codings)), Groups(np.zeros(1, np.intp), np.ones((1, 1))))
    if label is not None:
        classes, noise = _pooled([m.values.sum(axis=0) for m in measured], measured)
        groups[label] = keep_all(classes, noise, spare(codings[label]))
        held = np.bincount(groups[label].of, classes)
        most = int(np.clip((held.sum() - held.max()) / (LIKELY * later), FEWEST, most))
    else:
        most = int(np.clip(np.sqrt(total / later), FEWEST, most))
    for m in measured:
        if m.clique:
            j = m.clique[0]
            told = m.values.reshape(len(m.values), -1).astype(float)
            if label is not None:
                told = _gathered(told, groups[label].of, axis=1)
            if whole:
                groups[j] = keep_all(told.sum(axis=1), m.scale, spare(codings[j]))
            else:
                ordered = isinstance(codings[j], Cells)
                groups[j] = gather(told, m.scale, spare(codings[j]), ordered, most)
    every = tuple(groups[j] for j in range(len(codings)))
    curator.group([g.of for g in every])
    return Survey(
        total, every, columns, label, tuple(measured), tuple(in_groups(m, every) for m in measured)
    )


def _pooled(sums: list[Any], measured: Sequence[Measurement]) -> tuple[Any, float]:
    """Average what several measurements tell of the same counts, the surer the heavier.

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


def in_groups(measured: Measurement, groups: Sequence[Groups]) -> Gathered:
    """Give a measurement of codes as one of groups, whose noise is that of all its codes."""
    values = measured.values.astype(float)
    codes = np.ones(values.shape)
    for axis, j in enumerate(measured.clique):
        values = _gathered(values, groups[j].of, axis)
        codes = _gathered(codes, groups[j].of, axis)
    return Gathered(measured.clique, values.astype(np.int64), measured.scale * np.sqrt(codes))
