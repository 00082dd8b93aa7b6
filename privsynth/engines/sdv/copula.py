"""SDV's Gaussian copula: its distributions and correlation, learnt from normal scores."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from privsynth.arrays import Floats
from privsynth.curator import Curator
from privsynth.engines.copula.model import CopulaModel
from privsynth.engines.copula.recipe import check_shrinkage
from privsynth.engines.copula.scores import Moments, Scale
from privsynth.engines.labels import check_rows
from privsynth.engines.protocols import Progress
from privsynth.engines.sdv.marginals import EMPIRICAL, check_distributions, counts_of, distributions

__all__ = ["GaussianCopula"]


@dataclass(frozen=True)
class GaussianCopula:
    """SDV's Gaussian copula, fitted to normal scores.

    Parameters
    ----------
    default_distribution : str
        Of continuous columns: ``"empirical"`` (the shares of the codec's cells) or one of SDV's
        names ``"norm"``, ``"beta"``, ``"truncnorm"``, ``"gamma"``, ``"uniform"``. SDV's default,
        beta for every column, makes its pairs of columns worse than independent ones.
    numerical_distributions : mapping of str to str
        The distributions of single continuous columns.
    shrinkage : float
        The weight, in rows, of the pooled within-class correlation beside a class's own.

    Notes
    -----
    `copulas.univariate` fits the named distributions, `copulas.multivariate.GaussianMultivariate`
    the correlation of the scores; the rest is `privsynth.engines.copula`.
    """

    default_distribution: str = EMPIRICAL
    numerical_distributions: Mapping[str, str] = field(default_factory=dict)
    shrinkage: float = 100.0

    model: ClassVar[type[CopulaModel]] = CopulaModel

    def __post_init__(self) -> None:
        check_distributions(self.default_distribution, self.numerical_distributions)
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
        codec, k = curator.codec, curator.disclosure.k
        check_rows("sdv-gaussian-copula", curator.n_rows, k)
        chosen = distributions(codec, self.default_distribution, self.numerical_distributions)
        scale = Scale.learn(curator)
        scores = scale.scores()
        moments = scale.moments(curator.products(scores))
        codes = curator.codes()
        labels = np.zeros(len(codes), dtype=np.int32)
        if codec.label is not None:
            labels = codes[:, codec.label]
        counts = tuple(class_counts.copy() for class_counts in scale.counts)
        covariance = np.zeros_like(moments.covariance)
        present = np.flatnonzero(scale.rows)
        for n_done, c in enumerate(present):
            if progress is not None:
                progress("fit", n_done, len(present))
            class_codes = codes[labels == c]
            for latent, class_counts in zip(scale.latents, counts, strict=True):
                name = EMPIRICAL if latent.presence else chosen[latent.column]
                if name != EMPIRICAL and latent.size > 2:
                    column = class_codes[:, latent.column]
                    present_codes = column[column < latent.size]
                    coding = codec.codings[latent.column]
                    class_counts[c] = counts_of(coding, present_codes, latent.size, name, rng)
            class_scores = [values[c, class_codes[:, column]] for column, values in scores]
            spread = np.sqrt(np.maximum(np.diagonal(moments.covariance[c]), 0.0))
            covariance[c] = _correlation(class_scores) * np.outer(spread, spread)
        if progress is not None:
            progress("fit", len(present), len(present))
        correlation = scale.correlation(
            Moments(covariance, moments.both), k=k, shrinkage=self.shrinkage
        )
        return CopulaModel.of(curator, scale, scale.shares(counts, k), correlation)


def _correlation(scores: list[Floats]) -> Floats:
    """Fit SDV's Gaussian copula to scores whose marginals are standard normal already."""
    if not scores or len(scores[0]) < 2:
        return np.eye(len(scores))
    import pandas as pd
    from copulas.multivariate import GaussianMultivariate
    from copulas.univariate import GaussianUnivariate

    class Standard(GaussianUnivariate):  # type: ignore[misc]
        # A fitted spread would enlarge the scores of rare levels until the copula clips them.
        def _fit(self, X: Any) -> None:
            self._params = {"loc": 0.0, "scale": 1.0}

    copula = GaussianMultivariate(distribution=Standard)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copula.fit(pd.DataFrame(np.stack(scores, axis=1)))
    return np.array(copula.to_dict()["correlation"])
