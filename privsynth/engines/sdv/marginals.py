"""SDV's named distributions, as counts of each code."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from privsynth.arrays import Floats
from privsynth.coding import Cells, Codec
from privsynth.errors import ConfigError, did_you_mean

__all__ = ["EMPIRICAL", "check_distributions", "counts_of", "distributions"]

EMPIRICAL = "empirical"
DISTRIBUTIONS = {
    "norm": "GaussianUnivariate",
    "beta": "BetaUnivariate",
    "truncnorm": "TruncatedGaussian",
    "gamma": "GammaUnivariate",
    "uniform": "UniformUnivariate",
}


def check_distributions(default: str, by_column: Mapping[str, str]) -> None:
    """Refuse a distribution that is unknown, or that stores rows.

    Raises
    ------
    ConfigError
        An unknown name, or that of a kernel density estimate.
    """
    for name in (default, *by_column.values()):
        if name == "gaussian_kde":
            raise ConfigError(
                "distribution 'gaussian_kde' keeps training rows as its parameters; "
                f"use {EMPIRICAL!r}"
            )
        if name not in (EMPIRICAL, *DISTRIBUTIONS):
            raise ConfigError(
                f"no distribution {name!r}{did_you_mean(name, [EMPIRICAL, *DISTRIBUTIONS])}"
            )


def distributions(codec: Codec, default: str, by_column: Mapping[str, str]) -> tuple[str, ...]:
    """Return the distribution of each column; a discrete column is always empirical.

    Raises
    ------
    ConfigError
        A distribution is given for a column that does not exist, or is not continuous.
    """
    names = [coding.name for coding in codec.codings if isinstance(coding, Cells)]
    for name in by_column:
        if name not in names:
            raise ConfigError(
                f"a distribution is given for {name!r}, which is not a continuous column"
                f"{did_you_mean(name, names)}"
            )
    return tuple(
        by_column.get(coding.name, default) if isinstance(coding, Cells) else EMPIRICAL
        for coding in codec.codings
    )


def counts_of(
    coding: Any,
    codes: npt.NDArray[np.int32],
    size: int,
    distribution: str,
    rng: np.random.Generator,
) -> Floats:
    """Return the rows of each of the first `size` codes, counted or by a fitted distribution.

    A distribution is fitted to values drawn inside the cells. Only its share of each cell is used,
    since its parameters may be extremes of the rows (beta, uniform, truncnorm). If it cannot be
    fitted, a normal distribution is used, as in SDV.
    """
    if distribution == EMPIRICAL or np.unique(codes).size < 2:
        return np.bincount(codes, minlength=size)[:size].astype(float)
    values = coding.draw(codes, rng)
    centre, spread = values.mean(), values.std()
    edges = (coding.high[:-1].astype(float) + coding.low[1:].astype(float)) / 2.0
    below = _cdf(distribution, (values - centre) / spread, (edges - centre) / spread)
    shares = np.diff(np.concatenate([[0.0], np.maximum.accumulate(below), [1.0]]))
    return np.asarray(shares * len(codes))


def _cdf(distribution: str, values: Floats, at: Floats) -> Floats:
    """Fit one of SDV's distributions; return its cumulative distribution function at `at`."""
    import copulas.univariate

    model = getattr(copulas.univariate, DISTRIBUTIONS[distribution])()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(values)
            below = np.asarray(model.cumulative_distribution(at), dtype=np.float64)
        except (ValueError, RuntimeError):
            below = np.full(len(at), np.nan)
    return below if np.isfinite(below).all() else _cdf("norm", values, at)
