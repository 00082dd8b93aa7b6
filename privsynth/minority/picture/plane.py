"""Project rows onto a plane that is fitted to the real rows."""

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

MAX_ROWS = 20_000
"""Most real rows that the plane is fitted to."""
COMPONENTS = 30
"""Principal components that UMAP reads."""
MIN_POINTS = 10
"""Fewest points that UMAP works with."""
WIDEST = 1_000
"""Most feature columns for which the full covariance is computed."""


@dataclass(frozen=True)
class Plane:
    """Groups of rows, projected onto one plane.

    Parameters
    ----------
    name : str
        The method.
    axes : tuple of str
        Labels of its two directions.
    groups : tuple of ndarray, each of shape (rows, 2)
        The points of each group, in the order in which the groups were given.
    """

    name: str
    axes: tuple[str, str]
    groups: tuple[np.ndarray, ...]


def planes(real: pd.DataFrame, groups: Sequence[pd.DataFrame], seed: int) -> tuple[Plane, ...]:
    """Fit a plane to the real rows by PCA and, where umap-learn is installed, one by UMAP.

    Parameters
    ----------
    real : pandas.DataFrame
        A canonical frame; the plane is fitted to at most 20,000 of its rows, drawn at random.
    groups : sequence of pandas.DataFrame
        Canonical frames of the same columns: the rows to project.
    seed : int

    Returns
    -------
    tuple of Plane
    """
    from threadpoolctl import threadpool_limits

    features = Features.learn(real)
    rows = min(MAX_ROWS, len(real))
    subset = np.sort(np.random.default_rng(seed).choice(len(real), rows, replace=False))
    basis = features.linear(real.iloc[subset])
    weights = _weights(features, basis)
    points = [features.linear(group).multiply(weights).tocsr() for group in groups]
    umap = _umap()
    # One thread: floating-point sums depend on the number of threads.
    with threadpool_limits(1):
        projected, shares = _components(
            basis.multiply(weights).tocsr(), points, COMPONENTS if umap else 2, seed
        )
        axes = tuple(
            f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares[:2])
        )
        fitted = [Plane("PCA", (axes[0], axes[1]), tuple(group[:, :2] for group in projected))]
        if umap and sum(map(len, projected)) >= MIN_POINTS:
            fitted.append(_by_umap(umap, projected, seed))
    return tuple(fitted)


def _weights(features: Features, points: csr_matrix) -> np.ndarray:
    """Return weights that give a column of levels the variance of a column of numbers."""
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
    """Project groups onto the principal components of a basis; missing components are zero."""
    from sklearn.decomposition import PCA

    varied = np.flatnonzero((basis.max(axis=0) - basis.min(axis=0)).toarray().ravel())
    rank = min(max_rank, len(varied), basis.shape[0] - 1)
    projected = [np.zeros((group.shape[0], max(2, max_rank))) for group in groups]
    shares = np.zeros(max(2, max_rank))
    if rank < 1:
        return projected, shares
    solver = "arpack" if len(varied) > WIDEST else "covariance_eigh"
    pca = PCA(rank, svd_solver=solver, random_state=seed).fit(basis[:, varied])
    for points, group in zip(projected, groups, strict=True):
        if group.shape[0]:
            points[:, :rank] = pca.transform(group[:, varied])
    shares[:rank] = pca.explained_variance_ratio_
    return projected, shares


def _umap() -> Any:
    """Return umap-learn; None where it is not installed, or cannot be imported."""
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


def _by_umap(umap: Any, projected: Sequence[np.ndarray], seed: int) -> Plane:
    points = np.concatenate(projected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = umap.UMAP(n_neighbors=min(15, len(points) - 1), random_state=seed, n_jobs=1)
        embedded = np.asarray(model.fit_transform(points))
    ends = np.cumsum([len(group) for group in projected])[:-1]
    return Plane("UMAP", ("direction 1", "direction 2"), tuple(np.split(embedded, ends)))
