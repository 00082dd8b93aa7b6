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
"""The part of the budget for the codes of each column; the rest is for the products."""
EVENLY = 0.25
"""The part of it that columns share evenly: a column of few levels is never measured again."""
MAX_GROUPS = 40


def check_size(codec: Codec) -> None:
    """Refuse a table whose columns have more cells or pairs than fit in memory.

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
            f"{classes * latents**2:,} cells, and {MAX_CELLS:,} are the most; leave columns out"
        )


def learn(curator: PrivateCurator, shrinkage: float, progress: Progress | None) -> CopulaModel:
    """Measure each column beside the target, then the products of all pairs of scores.

    Parameters
    ----------
    curator : PrivateCurator
    shrinkage : float
        How many rows the pooled within-class correlation counts for beside a class's own.
    progress : callable, optional

    Notes
    -----
    Rows are divided by class as without a budget. A count of a class is drawn toward all classes
    together the more, the less it stands out of the noise; so are correlations, and those of all
    classes toward none.
    """
    tell = progress or (lambda *_: None)
    tell("measuring marginals", 0, 2)
    sizes = curator.codec.sizes
    scale_now = curator.budget.rows_per_unit * math.sqrt(len(sizes) / (2 * COUNTS * curator.rho))
    oneway = measure_oneway(curator, COUNTS * curator.rho, MAX_GROUPS, scale_now, evenly=EVENLY)
    # Groups have served to smooth the counts; scores are of codes, in each class.
    curator.group(
        [oneway.groups[j].of if j == oneway.label else np.arange(n) for j, n in enumerate(sizes)]
    )
    scale, prior = _scale(curator.codec, oneway)
    tell("measuring marginals", 1, 2)
    measured = None
    correlation = np.ones((len(scale.rows), len(scale.latents), len(scale.latents)))
    if len(scale.latents) > 1:
        measured = curator.products(_scores(scale, oneway), curator.left)
        correlation = _correlation(scale, measured, shrinkage, oneway)
    tell("measuring marginals", 2, 2)
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
    """Return the estimated counts of codes by class, and the share of each class."""
    label, latents = oneway.label, latents_of(codec, oneway.label)
    if label is None:
        rows, prior = np.array([oneway.total]), np.ones(1)
    else:
        sums = [grouped.values.sum(axis=0) for grouped in oneway.gathered]
        rows = np.maximum(np.mean(sums, axis=0), 1.0)
        prior = np.zeros(codec.sizes[label])
        own = oneway.groups[label]
        there = own.shares[:, 0] > 0
        prior[there] = rows[own.of[there]]
    smoothed = {
        grouped.clique[0]: _smoothed(oneway, position, rows)
        for position, grouped in enumerate(oneway.gathered)
        if grouped.clique
    }
    order, counts = [], []
    for latent in latents:
        latent_counts = latent.counts(smoothed[latent.column])
        ranks = np.arange(latent.size, dtype=np.int32)
        if latent.nominal and len(rows) > 1:
            ranks = _ranked(latent_counts, oneway.groups[latent.column].of)
        order.append(ranks)
        # No code is without hope, so that every class has a share of some.
        counts.append(latent_counts[:, ranks] + 1e-9)
    whole = np.rint(np.maximum(rows, 1)).astype(np.int64)
    return Scale(latents, whole, tuple(order), tuple(counts)), prior / prior.sum()


def _smoothed(oneway: OneWay, position: int, rows: Floats) -> Floats:
    """Return the estimated rows of each code of a column by class, shape (classes, codes)."""
    grouped = oneway.gathered[position]
    own = oneway.groups[grouped.clique[0]]
    values = grouped.values.reshape(own.size, -1).astype(float)
    noise = np.asarray(grouped.scale, dtype=float).reshape(own.size, -1).mean()
    pooled = simplex(values.sum(axis=1), oneway.total) / oneway.total
    drawn = [simplex(values[:, c], class_rows) for c, class_rows in enumerate(rows)]
    lifted = np.stack(drawn) + SMOOTH * noise * pooled * (len(rows) > 1)
    lifted *= (rows / lifted.sum(axis=1))[:, None]
    return np.asarray(own.of_codes(lifted.T).T * own.shares.T)


def _scores(scale: Scale, oneway: OneWay) -> list[CodeScores]:
    """Return the score of each code in each counted class; 0 for codes that are never drawn."""
    scores = []
    for j, values in scale.scores():
        own = oneway.groups[j]
        known = np.where(own.of < own.size, values, 0.0)
        if oneway.label is not None:
            label = oneway.groups[oneway.label]
            known = np.pad(known, ((0, label.counted - label.size), (0, 0)))
        scores.append((j, known))
    return scores


def _ranked(counts: Floats, of: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    """Order levels along the main axis of their class shares, groups kept together."""
    profile = counts / np.maximum(counts.sum(axis=0), 1e-9)
    weight = counts.sum(axis=0)
    centred = profile - (profile * weight).sum(axis=1, keepdims=True) / weight.sum()
    main = np.linalg.eigh((centred * weight) @ centred.T)[1][:, -1]
    place = main @ centred
    group = of[: len(place)]
    mean = np.bincount(group, place * weight) / np.maximum(np.bincount(group, weight), 1e-9)
    return np.lexsort((np.arange(len(place)), mean[group])).astype(np.int32)


def _correlation(scale: Scale, measured: Measurement, shrinkage: float, oneway: OneWay) -> Floats:
    """Return the estimated correlations of the latent normals, class by class."""
    width, rows = len(scale.latents), scale.rows.astype(float)
    noise = measured.scale / SCORE_PARTS**2
    upper = np.triu_indices(width, 1)
    products = np.zeros((len(rows), width, width))
    products[:, *upper] = measured.values[: len(rows)] / SCORE_PARTS**2
    products += products.transpose(0, 2, 1)
    there = np.stack(
        [
            _present_rows(latent, latent_counts, rows) * (1 - oneway.lost[latent.column])
            for latent, latent_counts in zip(scale.latents, scale.counts, strict=True)
        ],
        axis=1,
    )
    both = there[:, :, None] * there[:, None, :] / rows[:, None, None]
    if oneway.label is not None:
        both *= 1 - oneway.lost[oneway.label]
    both = np.maximum(both, 1.0)
    wave = waves(scale.counts)
    own = np.stack([solve(moments, wave[:, c]) for c, moments in enumerate(products / both)])
    # As many rows as would leave as much doubt as chance and noise do.
    sure = both**2 / (both + noise**2)
    pooled = (sure * own).sum(axis=0) / sure.sum(axis=0)
    doubt = 1 / sure.sum(axis=0)
    spread = max(float((pooled[upper] ** 2 - doubt[upper]).mean()), 0.0)
    pooled *= spread / (spread + doubt)
    np.fill_diagonal(pooled, 1.0)
    weight = sure / (sure + max(shrinkage, 1e-9))
    np.einsum("cii->ci", own)[:] = 1.0
    return positive(weight * own + (1 - weight) * pooled)


def _present_rows(latent: Latent, latent_counts: Floats, rows: Floats) -> Floats:
    """Return the estimated number of rows of each class with a value on a dimension."""
    return rows if latent.null is None or latent.presence else latent_counts.sum(axis=1)
