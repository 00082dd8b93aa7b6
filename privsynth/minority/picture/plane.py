"""Rows as points in a plane that is laid through the real rows."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from privsynth.evaluation import Features
from privsynth.report.plots.canvas import without_traces

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_matrix

__all__ = ["Plane", "planes"]

ROWS = 20_000
"""The most real rows that the plane is laid through."""
COMPONENTS = 30
"""The principal components that UMAP reads."""
FEWEST = 10
"""The points that UMAP needs."""
WIDEST = 1_000
"""Columns of features up to which the covariance is worked out in full."""


@dataclass(frozen=True)
class Plane:
    """Groups of rows in one plane.

    Parameters
    ----------
    name : str
        How the plane was laid.
    axes : tuple of str
        What its two directions are called.
    groups : tuple of ndarray, each of shape (rows, 2)
        The points of each group, in the order in which the groups were given.
    """

    name: str
    axes: tuple[str, str]
    groups: tuple[np.ndarray, ...]


def planes(real: pd.DataFrame, groups: Sequence[pd.DataFrame], seed: int) -> tuple[Plane, ...]:
    """Lay a plane through the real rows by PCA and, where it is installed, one by UMAP.

    Parameters
    ----------
    real : pandas.DataFrame
        A canonical frame; at most 20,000 of its rows, drawn at random, lay the plane.
    groups : sequence of pandas.DataFrame
        Canonical frames of the same columns: the rows to be placed.
    seed : int

    Returns
    -------
    tuple of Plane
    """
    from threadpoolctl import threadpool_limits

    features = Features.learn(real)
    rows = min(ROWS, len(real))
    drawn = np.sort(np.random.default_rng(seed).choice(len(real), rows, replace=False))
    basis = features.linear(real.iloc[drawn])
    weights = _weights(features, basis)
    points = [features.linear(group).multiply(weights).tocsr() for group in groups]
    umap = _umap()
    # one thread: the last digits of a sum depend on how many threads have shared it
    with threadpool_limits(1):
        spread, shares = _components(
            basis.multiply(weights).tocsr(), points, COMPONENTS if umap else 2, seed
        )
        axes = tuple(
            f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares[:2])
        )
        laid = [Plane("PCA", (axes[0], axes[1]), tuple(group[:, :2] for group in spread))]
        if umap and sum(map(len, spread)) >= FEWEST:
            laid.append(_by_umap(umap, spread, seed))
    return tuple(laid)


def _weights(features: Features, points: csr_matrix) -> np.ndarray:
    """Weigh the features so that every column of the table counts for as much as a number does."""
    shares = np.asarray(points.mean(axis=0)).ravel()
    weights = [np.zeros(1), np.ones(2 * len(features.mean))]
    start = 1 + 2 * len(features.mean)
    for levels in features.levels.values():
        variance = 1 - np.square(shares[start : start + levels.size]).sum()
        weights.append(np.full(levels.size, variance**-0.5 if variance > 1e-9 else 0.0))
        start += levels.size
    return np.concatenate(weights)


def _components(
    basis: csr_matrix, groups: Sequence[csr_matrix], max_rank: int, seed: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Place groups on the principal components of a basis; those that it lacks are zero."""
    from sklearn.decomposition import PCA

    varied = np.flatnonzero((basis.max(axis=0) - basis.min(axis=0)).toarray().ravel())
    rank = min(max_rank, len(varied), basis.shape[0] - 1)
    placed = [np.zeros((group.shape[0], max(2, max_rank))) for group in groups]
    shares = np.zeros(max(2, max_rank))
    if rank < 1:
        return placed, shares
    solver = "arpack" if len(varied) > WIDEST else "covariance_eigh"
    pca = PCA(rank, svd_solver=solver, random_state=seed).fit(basis[:, varied])
    for place, group in zip(placed, groups, strict=True):
        if group.shape[0]:
            place[:, :rank] = pca.transform(group[:, varied])
    shares[:rank] = pca.explained_variance_ratio_
    return placed, shares


def _umap() -> Any:
    """Return umap-learn where it is installed; None where it is not, or cannot be imported."""
    if importlib.util.find_spec("umap") is None:
        return None
    without_traces("NUMBA_CACHE_DIR")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError:
            return None
    return umap if hasattr(umap, "UMAP") else None


def _by_umap(umap: Any, spread: Sequence[np.ndarray], seed: int) -> Plane:
    points = np.concatenate(spread)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = umap.UMAP(n_neighbors=min(15, len(points) - 1), random_state=seed, n_jobs=1)
        places = np.asarray(model.fit_transform(points))
    ends = np.cumsum([len(group) for group in spread])[:-1]
    return Plane("UMAP", ("direction 1", "direction 2"), tuple(np.split(places, ends)))
