"""The recipe of the Gaussian copula, which learns from counts and sums of products of scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from privsynth.coding import Codec
from privsynth.curator import Curator, PrivateCurator
from privsynth.engines.copula.model import CopulaModel
from privsynth.engines.copula.noisy import check_size, learn
from privsynth.engines.copula.scores import Scale
from privsynth.engines.labels import check_rows
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError

__all__ = ["Copula", "check_shrinkage"]


@dataclass(frozen=True)
class Copula:
    """A Gaussian copula over codes.

    Parameters
    ----------
    shrinkage : float
        Weight, in rows, of the pooled within-class correlation against a class's own.

    Notes
    -----
    A discrete target divides the rows: each class has its own marginals and correlation. This
    keeps the class shares and the target's relation to each column, and sampling one class costs
    no rejected draws. A nullable number has two latent normals: one for its value, one for its
    presence. The curator is asked for counts and sums alone, which need no rows in memory and are
    answered with noise under a privacy budget.
    """

    shrinkage: float = 100.0

    model: ClassVar[type[CopulaModel]] = CopulaModel

    def __post_init__(self) -> None:
        check_shrinkage(self.shrinkage)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> CopulaModel:
        """Learn marginals and correlations.

        Raises
        ------
        DataError
            The table has fewer rows than k.
        """
        k = curator.disclosure.k
        check_rows("copula", curator.n_rows, k)
        report = progress or (lambda *_: None)
        report("counting", 0, 2)
        scale = Scale.learn(curator)
        report("correlating", 1, 2)
        moments = scale.moments(curator.products(scale.scores()))
        correlation = scale.correlation(moments, k=k, shrinkage=self.shrinkage)
        report("correlating", 2, 2)
        return CopulaModel.of(curator, scale, scale.shares(scale.counts, k), correlation)

    def fit_privately(
        self, curator: PrivateCurator, rng: np.random.Generator, progress: Progress | None = None
    ) -> CopulaModel:
        """Learn marginals and correlations from noisy counts and noisy sums."""
        return learn(curator, self.shrinkage, progress)

    def check_codec(self, codec: Codec) -> None:
        """Refuse a table too large; see `privsynth.engines.PrivateSynthesizer`."""
        check_size(codec)


def check_shrinkage(shrinkage: float) -> None:
    """Refuse a shrinkage below 0.

    Raises
    ------
    ConfigError
    """
    if not 0 <= shrinkage < np.inf:
        raise ConfigError(f"shrinkage is {shrinkage}; give 0 or more rows")
