"""The scores of one synthetic table: fidelity, utility and privacy.

Fidelity and utility are the package's own measures; the two figures of disclosure are here.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from math import comb
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from privsynth.evaluation import metrics
from privsynth.evaluation.bins import learn, learn_levels
from privsynth.evaluation.fidelity import agreements
from privsynth.evaluation.frames import canonical
from privsynth.evaluation.learners import CLASSIFIERS, predict
from privsynth.schema.columns import Column, Kind

__all__ = [
    "agreement",
    "closer_to_train",
    "columns",
    "embed",
    "membership",
    "nearest",
    "score",
    "score_real",
    "tstr",
]

TRIPLES = 1_000
LEVELS = 60
QUERIES = 3_000
COMPARED = 5_000
NEAR = 1e-3  # added to distances, so that the ratio of two exact copies is 1
FALSE_POSITIVES = 0.01

Frame = pd.DataFrame
Scores = dict[str, float | None]


def columns(schema: pa.Schema, target: str) -> tuple[Column, ...]:
    """Return each column a kind by how it is stored; the target is always a category."""
    return tuple(Column(field.name, _kind(field, target), str(field.type)) for field in schema)


def _kind(field: pa.Field, target: str) -> Kind:
    if field.name == target:
        return Kind.CATEGORICAL
    if pa.types.is_temporal(field.type):
        return Kind.DATETIME
    if pa.types.is_integer(field.type) or pa.types.is_floating(field.type):
        return Kind.NUMERIC
    return Kind.BOOLEAN if pa.types.is_boolean(field.type) else Kind.CATEGORICAL


def score(
    train: pa.Table,
    holdout: pa.Table,
    synthetic: pa.Table,
    target: str,
    positive: Any,
    seed: int = 0,
) -> Scores:
    """Score a synthetic table.

    Parameters
    ----------
    train, holdout, synthetic : pyarrow.Table
        Of the same columns; a peer may store one otherwise (numbers as floats, say).
    target : str
    positive : object
        The value of the target whose prediction and whose risk are measured.
    seed : int
        Of the triples, the models and the rows that are attacked.

    Returns
    -------
    dict of str to float or None
    """
    kinds = columns(train.schema, target)
    real, held, made = (canonical(t.to_pandas(), kinds) for t in (train, holdout, synthetic))
    scores: Scores = {**agreement(real, made, seed), **tstr(made, held, target, positive, seed)}
    rng = np.random.default_rng(seed)
    mine, others, drawn = embed(real, real, held, made)
    scores["closer_to_train"] = closer_to_train(mine, others, drawn, rng)
    rare = _is(real, target, positive), _is(held, target, positive)
    for name, some in (("", (None, None)), ("rare_", rare)):
        attack = membership(mine, others, drawn, rng, *some)
        scores |= {f"{name}membership_{key}": value for key, value in attack.items()}
    return scores


def score_real(
    train: pa.Table, holdout: pa.Table, target: str, positive: Any, seed: int = 0
) -> Scores:
    """Return what real rows reach: the holdout's agreement, and a model trained on `train`."""
    kinds = columns(train.schema, target)
    real, held = (canonical(t.to_pandas(), kinds) for t in (train, holdout))
    return {**agreement(real, held, seed), **tstr(real, held, target, positive, seed)}


def agreement(train: Frame, other: Frame, seed: int = 0) -> Scores:
    """Return 1 - total variation distance, the mean over 1-, 2- and 3-way marginals.

    Parameters
    ----------
    train, other : pandas.DataFrame
        Canonical frames. Continuous columns are cut at ten quantiles of `train`.
    seed : int
        Of the 1,000 triples that are drawn where there are more.

    Returns
    -------
    dict of str to float
    """
    names = list(train.columns)
    bins = [learn(train[name]) for name in names]
    codes, others = (
        [column.codes(frame[name]) for column, name in zip(bins, names, strict=True)]
        for frame in (train, other)
    )
    sizes = [column.size for column in bins]
    rng = np.random.default_rng(seed)
    scores: Scores = {}
    for order in (1, 2, 3):
        cliques = list(itertools.combinations(range(len(names)), order))
        if comb(len(names), order) > TRIPLES and order == 3:
            drawn = rng.choice(len(cliques), TRIPLES, replace=False)
            cliques = [cliques[i] for i in np.sort(drawn)]
        if cliques:
            each = agreements(codes, others, sizes, cliques)
            scores[f"agreement_{order}way"] = float(each.mean())
    return scores


def tstr(train: Frame, test: Frame, target: str, positive: Any, seed: int = 0) -> Scores:
    """Train histogram gradient boosting on one table and test it on another.

    Parameters
    ----------
    train, test : pandas.DataFrame
        Canonical frames.
    target : str
    positive : object
    seed : int

    Returns
    -------
    dict of str to float
        ROC-AUC, PR-AUC (average precision) and F1 at a probability of one half. A table with a
        single class teaches nothing: every row is then as likely as any other.
    """
    labels, truth = (_is(frame, target, positive) for frame in (train, test))
    chance = np.full(len(test), labels.mean())
    if 0 < labels.mean() < 1:
        learner = CLASSIFIERS["hist_gradient_boosting"]
        features, rows = (frame.drop(columns=target) for frame in (train, test))
        chance = predict(learner, features, labels.astype(int), rows, 2, seed)[:, 1]
    once = np.ones((1, len(test)))
    return {
        "roc_auc": float(metrics.roc_auc(once, truth, chance)[0]),
        "pr_auc": float(metrics.average_precision(once, truth, chance)[0]),
        "f1": float(metrics.f1(once, truth, chance > 0.5)[0]),
    }


def _is(frame: Frame, target: str, positive: Any) -> np.ndarray:
    return np.asarray(frame[target] == str(positive))


def embed(reference: Frame, *frames: Frame) -> tuple[np.ndarray, ...]:
    """Turn rows into points, so that each column counts for at most 1 in a squared distance.

    Parameters
    ----------
    reference : pandas.DataFrame
        Canonical; gives ranks and levels.
    *frames : pandas.DataFrame

    Returns
    -------
    tuple of ndarray of float32, shape (rows, dimensions)
        A number is its rank in `reference`, between 0 and 1; a missing one is in the middle, with
        a flag. One of the 60 most frequent levels is a corner of a simplex with sides of 1, as
        are all other levels together, an unseen one, and a missing one.
    """
    blocks: list[list[np.ndarray]] = [[] for _ in frames]
    for name in reference:
        if reference[name].dtype != np.float64:
            levels = learn_levels(reference[name], LEVELS)
            corners = np.eye(levels.size, dtype=np.float32) / np.sqrt(np.float32(2))
            for block, frame in zip(blocks, frames, strict=True):
                block.append(corners[levels.codes(frame[name])])
            continue
        known = np.sort(reference[name].dropna().to_numpy())
        for block, frame in zip(blocks, frames, strict=True):
            values = frame[name].to_numpy()
            lost = np.isnan(values)
            below = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
            rank = np.where(lost, 0.5, below / 2 / max(1, len(known)))
            block.append(np.column_stack([rank, lost / np.sqrt(2)]).astype(np.float32))
    return tuple(np.concatenate(block, axis=1) for block in blocks)


def nearest(points: np.ndarray, others: np.ndarray, block: int = 1024) -> np.ndarray:
    """Return the Euclidean distance of each point to the nearest of `others`, shape (points,)."""
    squares = (others**2).sum(axis=1)
    found = np.empty(len(points), dtype=np.float32)
    for start in range(0, len(points), block):
        some = points[start : start + block]
        crossed = squares - 2 * some @ others.T
        found[start : start + block] = crossed.min(axis=1) + (some**2).sum(axis=1)
    return np.sqrt(np.maximum(found, 0))


def closer_to_train(
    train: np.ndarray, holdout: np.ndarray, synthetic: np.ndarray, rng: np.random.Generator
) -> float:
    """Return the share of synthetic rows that lie nearer to a training row than to a holdout row.

    As many training rows as holdout rows are looked at, 5,000 at most; a tie counts one half, so
    that 0.5 is neutral.
    """
    rows = min(len(train), len(holdout), COMPARED)
    some, mine, held = (
        points[rng.permutation(len(points))[:most]]
        for points, most in ((synthetic, COMPARED), (train, rows), (holdout, rows))
    )
    gap = nearest(some, held) - nearest(some, mine)
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def membership(
    train: np.ndarray,
    holdout: np.ndarray,
    synthetic: np.ndarray,
    rng: np.random.Generator,
    train_some: np.ndarray | None = None,
    holdout_some: np.ndarray | None = None,
) -> Mapping[str, float | None]:
    """Attack: was a row trained on? It was if the synthetic rows are nearer than real ones are.

    Parameters
    ----------
    train, holdout, synthetic : ndarray of float32, shape (rows, dimensions)
    rng : numpy.random.Generator
        Chooses at most 3,000 members, and as many others: at most half of the holdout. The rest of
        the holdout is what the attacker knows of the population.
    train_some, holdout_some : ndarray of bool, optional
        Attack these rows alone; all by default.

    Returns
    -------
    dict of str to float or None
        `tpr`, the share of members found where at most 1% of the others are taken for members;
        `lower`, its 95% Clopper-Pearson lower bound; `others`, how many were attacked. None
        where the holdout has fewer than two rows to attack.

    Notes
    -----
    The attack score is the log of the distance to the attacker's rows over that to the synthetic
    rows; the figure is that of Carlini et al., *Membership Inference Attacks From First
    Principles*, 2022. Among n < 99 others chance alone gives 1 / (n + 1), not .01.
    """
    from scipy.stats import beta

    members, candidates = (
        rng.permutation(len(points) if some is None else np.flatnonzero(some))
        for points, some in ((train, train_some), (holdout, holdout_some))
    )
    members = members[:QUERIES]
    others = candidates[: min(QUERIES, len(candidates) // 2)]
    if not len(others) or not len(members):
        return {"tpr": None, "lower": None, "others": float(len(others))}
    known = np.delete(holdout, others, axis=0)

    def suspicion(points: np.ndarray) -> np.ndarray:
        suspicions: np.ndarray = np.log(
            (nearest(points, known) + NEAR) / (nearest(points, synthetic) + NEAR)
        )
        return suspicions

    threshold = np.quantile(suspicion(holdout[others]), 1 - FALSE_POSITIVES, method="higher")
    found = int((suspicion(train[members]) > threshold).sum())
    lower = float(beta.ppf(0.025, found, len(members) - found + 1)) if found else 0.0
    return {"tpr": found / len(members), "lower": lower, "others": float(len(others))}
