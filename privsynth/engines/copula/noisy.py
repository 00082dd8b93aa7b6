"""A Gaussian copula learnt from noisy answers alone."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Codec
from privsynth.curator import MAX_CELLS, SCORE_PARTS, CodeScores, Measurement, PrivateCurator
from privsynth.engines.copula.model import CopulaModel, NoisyAnswers
from privsynth.engines.copula.scores import Latent, Scale, latents_of, positive, solve, waves
from privsynth.engines.marginal.grouping import SMOOTH, simplex
from privsynth.engines.marginal.oneway import OneWay, check_cells, measure_oneway
from privsynth.engines.protocols import Progress
from privsynth.errors import UsageError

__all__ = ["check_size", "learn"]


COUNTS = 0.5
"""Share of the budget for the counts of codes; the rest is for the products."""
EVENLY = 0.25
"""Share of it that is split evenly among columns: here, no column is measured a second time."""
MAX_GROUPS = 40


def check_size(codec: Codec) -> None:
    """Refuse a table with more cells or correlations than fit in memory.

    Raises
    ------
    UsageError
    """
    check_cells(codec)
    classes = 1 if codec.label is None else codec.sizes[codec.label]
    latents = len(latents_of(codec, codec.label))
    if classes * latents**2 > MAX_CELLS:
        raise UsageError(
            f"the copula correlates {latents} dimensions in {classes} classes, which takes "
            f"{classes * latents**2:,} cells, and at most {MAX_CELLS:,} are allowed; "
            "leave columns out"
        )


def learn(curator: PrivateCurator, shrinkage: float, progress: Progress | None) -> CopulaModel:
    """Measure each column jointly with the target, then the products of all pairs of scores.

    Parameters
    ----------
    curator : PrivateCurator
    shrinkage : float
        Weight, in rows, of the pooled correlation against a class's own.
    progress : callable, optional

    Notes
    -----
    Rows are divided by class, as without a budget. Counts and correlations of a class are shrunk
    towards those of all classes together, and pooled correlations towards 0; the more noise, the
    more shrinkage.
    """
    report = progress or (lambda *_: None)
    report("measuring marginals", 0, 2)
    sizes = curator.codec.sizes
    noise_scale = curator.budget.rows_per_unit * math.sqrt(len(sizes) / (2 * COUNTS * curator.rho))
    oneway = measure_oneway(curator, COUNTS * curator.rho, MAX_GROUPS, noise_scale, evenly=EVENLY)
    # Groups only smooth the counts. Products are of scores of codes, so count in codes again.
    curator.group(
        [
            oneway.groups[j].group_of if j == oneway.label else np.arange(n)
            for j, n in enumerate(sizes)
        ]
    )
    scale, prior = _scale(curator.codec, oneway)
    report("measuring marginals", 1, 2)
    measured = None
    correlation = np.ones((len(scale.rows), len(scale.latents), len(scale.latents)))
    if len(scale.latents) > 1:
        measured = curator.products(_scores(scale, oneway), curator.left)
        correlation = _correlation(scale, measured, shrinkage, oneway)
    report("measuring marginals", 2, 2)
    shares = [code_counts / code_counts.sum(axis=1, keepdims=True) for code_counts in scale.counts]
    release = NoisyAnswers(oneway.total, oneway.measurements, measured)
    return CopulaModel(
        sizes=sizes,
        target=oneway.label,
        latents=scale.latents,
        prior=prior,
        order=np.concatenate([np.zeros(0, dtype=np.int32), *scale.order]),
        shares=np.concatenate([np.zeros((len(scale.rows), 0)), *shares], axis=1),
        correlation=correlation,
        release=release,
    )


def _scale(codec: Codec, oneway: OneWay) -> tuple[Scale, Floats]:
    """Estimate the counts of codes by class, and the share of each class."""
    label, latents = oneway.label, latents_of(codec, oneway.label)
    if label is None:
        rows, prior = np.array([oneway.total]), np.ones(1)
    else:
        sums = [grouped.values.sum(axis=0) for grouped in oneway.grouped]
        rows = np.maximum(np.mean(sums, axis=0), 1.0)
        prior = np.zeros(codec.sizes[label])
        classes = oneway.groups[label]
        drawable = classes.shares[:, 0] > 0
        prior[drawable] = rows[classes.group_of[drawable]]
    smoothed = {
        grouped.clique[0]: _smoothed(oneway, position, rows)
        for position, grouped in enumerate(oneway.grouped)
        if grouped.clique
    }
    order, counts = [], []
    for latent in latents:
        latent_counts = latent.counts(smoothed[latent.column])
        ranks = np.arange(latent.size, dtype=np.int32)
        if latent.nominal and len(rows) > 1:
            ranks = _ranked(latent_counts, oneway.groups[latent.column].group_of)
        order.append(ranks)
        # A tiny count keeps every code possible, so that each class has some code.
        counts.append(latent_counts[:, ranks] + 1e-9)
    whole = np.rint(np.maximum(rows, 1)).astype(np.int64)
    return Scale(latents, whole, tuple(order), tuple(counts)), prior / prior.sum()


def _smoothed(oneway: OneWay, position: int, rows: Floats) -> Floats:
    """Estimate the rows of each code of a column by class, shape (classes, codes)."""
    grouped = oneway.grouped[position]
    groups = oneway.groups[grouped.clique[0]]
    values = grouped.values.reshape(groups.size, -1).astype(float)
    noise = np.asarray(grouped.scale, dtype=float).reshape(groups.size, -1).mean()
    pooled = simplex(values.sum(axis=1), oneway.total) / oneway.total
    clipped = [simplex(values[:, c], class_rows) for c, class_rows in enumerate(rows)]
    lifted = np.stack(clipped) + SMOOTH * noise * pooled * (len(rows) > 1)
    lifted *= (rows / lifted.sum(axis=1))[:, None]
    return np.asarray(groups.of_codes(lifted.T).T * groups.shares.T)


def _scores(scale: Scale, oneway: OneWay) -> list[CodeScores]:
    """Return the score of each code in each counted class; 0 for codes that are never drawn."""
    scores = []
    for j, values in scale.scores():
        groups = oneway.groups[j]
        code_scores = np.where(groups.group_of < groups.size, values, 0.0)
        if oneway.label is not None:
            label = oneway.groups[oneway.label]
            code_scores = np.pad(code_scores, ((0, label.counted - label.size), (0, 0)))
        scores.append((j, code_scores))
    return scores


def _ranked(counts: Floats, of: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Order levels along the first principal axis of their class shares; groups stay together."""
    profile = counts / np.maximum(counts.sum(axis=0), 1e-9)
    weight = counts.sum(axis=0)
    centred = profile - (profile * weight).sum(axis=1, keepdims=True) / weight.sum()
    axis = np.linalg.eigh((centred * weight) @ centred.T)[1][:, -1]
    position = axis @ centred
    group = of[: len(position)]
    mean = np.bincount(group, position * weight) / np.maximum(np.bincount(group, weight), 1e-9)
    return np.lexsort((np.arange(len(position)), mean[group])).astype(np.int32)


def _correlation(scale: Scale, measured: Measurement, shrinkage: float, oneway: OneWay) -> Floats:
    """Estimate the correlations of the latent normals, class by class."""
    width, rows = len(scale.latents), scale.rows.astype(float)
    noise = measured.scale / SCORE_PARTS**2
    upper = np.triu_indices(width, 1)
    products = np.zeros((len(rows), width, width))
    products[:, *upper] = measured.values[: len(rows)] / SCORE_PARTS**2
    products += products.transpose(0, 2, 1)
    present = np.stack(
        [
            _present_rows(latent, latent_counts, rows) * (1 - oneway.undrawn_shares[latent.column])
            for latent, latent_counts in zip(scale.latents, scale.counts, strict=True)
        ],
        axis=1,
    )
    both = present[:, :, None] * present[:, None, :] / rows[:, None, None]
    if oneway.label is not None:
        both *= 1 - oneway.undrawn_shares[oneway.label]
    both = np.maximum(both, 1.0)
    wave = waves(scale.counts)
    by_class = np.stack([solve(moments, wave[:, c]) for c, moments in enumerate(products / both)])
    # Effective rows: as many as give the same variance by sampling alone, without noise.
    effective = both**2 / (both + noise**2)
    pooled = (effective * by_class).sum(axis=0) / effective.sum(axis=0)
    variance = 1 / effective.sum(axis=0)
    signal = max(float((pooled[upper] ** 2 - variance[upper]).mean()), 0.0)
    pooled *= signal / (signal + variance)
    np.fill_diagonal(pooled, 1.0)
    weight = effective / (effective + max(shrinkage, 1e-9))
    np.einsum("cii->ci", by_class)[:] = 1.0
    return positive(weight * by_class + (1 - weight) * pooled)


def _present_rows(latent: Latent, latent_counts: Floats, rows: Floats) -> Floats:
    """Estimate the number of rows of each class with a value on a dimension."""
    return rows if latent.null is None or latent.presence else latent_counts.sum(axis=1)
