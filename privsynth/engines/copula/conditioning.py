"""Conditions on columns, as intervals of latent normals, and draws that meet them exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from privsynth.arrays import Floats

__all__ = ["Conditioning"]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """Latent normals of one class, conditioned on lying in intervals.

    Parameters
    ----------
    latents : tuple of int
        Which; the narrowest interval first.
    low, high : ndarray, shape (latents,)
        The ends of their intervals, all of them finite.
    root : ndarray, shape (latents, latents)
        The Cholesky factor of their correlation.
    most : ndarray, shape (latents,)
        The highest share of its interval that a latent can have given those before it.

    Notes
    -----
    Draws are those of Geweke, Hajivassiliou and Keane (Genz & Bretz, *Computation of Multivariate
    Normal and t Probabilities*, 2009, section 4.1), one latent after the other and each inside its
    interval. Kept with the share of the intervals over its bound, they are exact.
    """

    latents: tuple[int, ...]
    low: Floats
    high: Floats
    root: Floats
    most: Floats

    @classmethod
    def build(cls, intervals: Mapping[int, tuple[float, float]], correlation: Floats) -> Self:
        """Return the conditioning of each named latent on its interval.

        Parameters
        ----------
        intervals : mapping of int to (float, float)
        correlation : ndarray, shape (latents of the class, latents of the class)
        """
        latents = tuple(sorted(intervals, key=lambda j: intervals[j][1] - intervals[j][0]))
        spans = np.array([intervals[j] for j in latents]).reshape(-1, 2)
        low, high = spans[:, 0], spans[:, 1]
        root = np.asarray(np.linalg.cholesky(correlation[np.ix_(latents, latents)]))
        most = np.ones(len(latents))
        for i in range(len(latents)):
            # The mean of a latent is linear in those before, and these stay in their intervals.
            slope = np.linalg.solve(root[:i, :i].T, root[i, :i])
            ends = slope[:, None] * np.stack([low, high], axis=1)[:i]
            middle = (low[i] + high[i]) / 2
            mean = np.clip(middle, ends.min(axis=1).sum(), ends.max(axis=1).sum())
            own = root[i, i]
            _, most[i] = _inside((low[i] - mean) / own, (high[i] - mean) / own, 0.5)
        return cls(latents, low, high, root, most)

    @property
    def bound(self) -> float:
        """Upper bound on a draw's probability of all intervals; exact for a single latent."""
        return float(np.prod(self.most))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Propose draws.

        Returns
        -------
        innovations : ndarray, shape (latents, n)
            Which `root` turns into the latents.
        chance : ndarray, shape (n,)
            With which to keep each.
        """
        innovations = np.empty((len(self.latents), n))
        chance = np.ones(n)
        for i, own in enumerate(np.diag(self.root)):
            mean = self.root[i, :i] @ innovations[:i]
            innovations[i], share = _inside(
                (self.low[i] - mean) / own, (self.high[i] - mean) / own, rng.random(n)
            )
            chance *= share / self.most[i]
        return innovations, chance


def _inside(low: Any, high: Any, level: Any) -> tuple[Floats, Floats]:
    """Return normals at quantile levels inside intervals, and the intervals' probabilities."""
    from scipy.special import ndtr, ndtri

    # Shares keep their digits in the lower tail only.
    upper = low > 0
    start, end = np.where(upper, -high, low), np.where(upper, -low, high)
    below = ndtr(start)
    share = ndtr(end) - below
    drawn = ndtri(below + level * share)
    return np.clip(np.where(upper, -drawn, drawn), low, high), share
