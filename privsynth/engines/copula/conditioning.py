"""Conditions on columns as intervals of latent normals, and exact draws that meet them."""

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
        Positions of the conditioned latents; the narrowest interval first.
    low, high : ndarray, shape (latents,)
        Finite ends of their intervals.
    root : ndarray, shape (latents, latents)
        Cholesky factor of their correlation.
    max_shares : ndarray, shape (latents,)
        Upper bound on P(latent in its interval, given the earlier latents).

    Notes
    -----
    Draws are those of Geweke, Hajivassiliou and Keane (Genz & Bretz, *Computation of Multivariate
    Normal and t Probabilities*, 2009, section 4.1): one latent after the other, each inside its
    interval. Rejection sampling makes them exact: a draw is accepted with the probability of its
    intervals over `bound`.
    """

    latents: tuple[int, ...]
    low: Floats
    high: Floats
    root: Floats
    max_shares: Floats

    @classmethod
    def build(cls, intervals: Mapping[int, tuple[float, float]], correlation: Floats) -> Self:
        """Condition each given latent on its interval.

        Parameters
        ----------
        intervals : mapping of int to (float, float)
            Ends by latent.
        correlation : ndarray, shape (latents of the class, latents of the class)
        """
        latents = tuple(sorted(intervals, key=lambda j: intervals[j][1] - intervals[j][0]))
        ends_of = np.array([intervals[j] for j in latents]).reshape(-1, 2)
        low, high = ends_of[:, 0], ends_of[:, 1]
        root = np.asarray(np.linalg.cholesky(correlation[np.ix_(latents, latents)]))
        max_shares = np.ones(len(latents))
        for i in range(len(latents)):
            # The conditional mean is linear in the earlier latents, which stay in their intervals.
            slope = np.linalg.solve(root[:i, :i].T, root[i, :i])
            reach = slope[:, None] * np.stack([low, high], axis=1)[:i]
            middle = (low[i] + high[i]) / 2
            mean = np.clip(middle, reach.min(axis=1).sum(), reach.max(axis=1).sum())
            deviation = root[i, i]
            _, max_shares[i] = _inside(
                (low[i] - mean) / deviation, (high[i] - mean) / deviation, 0.5
            )
        return cls(latents, low, high, root, max_shares)

    @property
    def bound(self) -> float:
        """Upper bound on a draw's probability of all intervals; exact for a single latent."""
        return float(np.prod(self.max_shares))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Propose draws.

        Returns
        -------
        innovations : ndarray, shape (latents, n)
            `root` times them gives the latents.
        acceptance : ndarray, shape (n,)
            Probability with which to accept each draw.
        """
        innovations = np.empty((len(self.latents), n))
        acceptance = np.ones(n)
        for i, deviation in enumerate(np.diag(self.root)):
            mean = self.root[i, :i] @ innovations[:i]
            innovations[i], share = _inside(
                (self.low[i] - mean) / deviation, (self.high[i] - mean) / deviation, rng.random(n)
            )
            acceptance *= share / self.max_shares[i]
        return innovations, acceptance


def _inside(low: Any, high: Any, level: Any) -> tuple[Floats, Floats]:
    """Return normals at quantile levels inside intervals, and the intervals' probabilities."""
    from scipy.special import ndtr, ndtri

    # Probabilities keep their digits in the lower tail only, so upper intervals are mirrored.
    upper = low > 0
    start, end = np.where(upper, -high, low), np.where(upper, -low, high)
    below = ndtr(start)
    share = ndtr(end) - below
    normals = ndtri(below + level * share)
    return np.clip(np.where(upper, -normals, normals), low, high), share
