"""The Gaussian copula: normal scores from the codes, one correlation matrix a class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from privsynth.codec import Codec, Codes
from privsynth.curator import Curator
from privsynth.engines import Progress, labels_to_draw
from privsynth.engines.sdv.marginals import (
    EMPIRICAL,
    check_distributions,
    counts_of,
    cuts,
    distributions,
    steady,
)
from privsynth.engines.sdv.stored import reading, stored
from privsynth.errors import ArtefactError, ConfigError, DataError

__all__ = ["GaussianCopula", "GaussianCopulaModel"]

Floats = npt.NDArray[np.float64]

SWEEPS = 3
TERMS = 40
NEAR_ONE = 0.995
LEAST_EIGENVALUE = 1e-3
BLOCK = 50_000


@dataclass(frozen=True)
class Latent:
    """One latent dimension: the values of a column, or whether they are there.

    Parameters
    ----------
    column : int
        Position in the codes.
    size : int
        How many codes the dimension has.
    null : int or None
        The column's code of null, where its values and their presence are two dimensions.
    presence : bool
        Whether this one is the presence: 0 for a value, 1 for null.
    nominal : bool
        Whether the order of its codes has no meaning of its own.
    """

    column: int
    size: int
    null: int | None = None
    presence: bool = False
    nominal: bool = False

    def read(self, codes: Codes) -> npt.NDArray[np.int32]:
        """Give the dimension's own codes, -1 where there is none."""
        column = codes[:, self.column]
        if self.presence:
            column = np.asarray(column == self.null)
        elif self.null is not None:
            column = np.where(column == self.null, -1, column)
        return column.astype(np.int32)

    def fits(self, sizes: tuple[int, ...]) -> bool:
        """Whether the dimension is one of a table whose columns have `sizes` codes."""
        if not 0 <= self.column < len(sizes):
            return False
        if self.null is None:
            return self.size == sizes[self.column] and not self.presence
        return self.null == sizes[self.column] - 1 and self.size == (
            2 if self.presence else self.null
        )


@dataclass(frozen=True)
class GaussianCopula:
    """SDV's Gaussian copula, fed with normal scores.

    Parameters
    ----------
    default_distribution : str
        Of continuous columns: ``"empirical"`` (the shares of the codec's cells) or one of SDV's
        names ``"norm"``, ``"beta"``, ``"truncnorm"``, ``"gamma"``, ``"uniform"``. SDV's default,
        beta for every column, is what makes its pairs of columns worse than independent ones.
    numerical_distributions : mapping of str to str
        The same for single continuous columns.
    shrinkage : float
        How many rows the pooled within-class correlation counts for beside a class's own.

    Notes
    -----
    A discrete target divides the rows: each class has its own marginals and correlation, so the
    target's share and its pairs with other columns are kept, and rows of a class cost no more
    than others. Nominal levels are put in the order that correlates best with the other columns
    (one step of alternating least squares optimal scaling; Gifi, *Nonlinear Multivariate
    Analysis*, 1990). `copulas.multivariate.GaussianMultivariate` gives the correlation of the
    scores; that of the latent normals is solved from it through Mehler's expansion, since
    scores of few codes correlate less than what lies under them.
    """

    default_distribution: str = EMPIRICAL
    numerical_distributions: Mapping[str, str] = field(default_factory=dict)
    shrinkage: float = 100.0

    model: ClassVar[type[GaussianCopulaModel]]

    def __post_init__(self) -> None:
        check_distributions(self.default_distribution, self.numerical_distributions)
        if not self.shrinkage >= 0:
            raise ConfigError(f"shrinkage is {self.shrinkage}; give 0 or more rows")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> GaussianCopulaModel:
        """Learn marginals and correlations.

        Raises
        ------
        DataError
            The table has fewer rows than k.
        """
        codec, k = curator.codec, curator.disclosure.k
        codes = curator.codes()
        n = len(codes)
        if n < max(k, 2):
            raise DataError(
                f"the table has {n} rows, but sdv-gaussian-copula needs {max(k, 2)}; "
                "give more rows, or lower --k"
            )
        chosen = distributions(codec, self.default_distribution, self.numerical_distributions)
        latents = _latents(codec)
        names = [EMPIRICAL if x.presence else chosen[x.column] for x in latents]
        columns = [latent.read(codes) for latent in latents]
        group = codes[:, codec.target] if codec.target is not None and codec.classes else None
        labels = np.zeros(n, dtype=np.int32) if group is None else group
        rows_of = np.bincount(
            labels, minlength=1 if group is None else codec.sizes[codec.target or 0]
        )

        order = _arrange(columns, latents, labels)
        columns = [
            np.where(column < 0, -1, np.argsort(o, kind="stable")[column]).astype(np.int32)
            for column, o in zip(columns, order, strict=True)
        ]
        overall = [_shares(column, x.size) for column, x in zip(columns, latents, strict=True)]
        width = sum(latent.size for latent in latents)
        shares = np.zeros((len(rows_of), width))
        correlation = np.zeros((len(rows_of), len(latents), len(latents)))
        present = np.flatnonzero(rows_of)
        for done, c in enumerate(present):
            if progress is not None:
                progress("fit", done, len(present))
            mine = [column[labels == c] for column in columns]
            shares[c] = np.concatenate(
                [
                    steady(
                        counts_of(codec.codings[latent.column], m[m >= 0], latent.size, name, rng),
                        o,
                        k,
                    )
                    for latent, m, o, name in zip(latents, mine, overall, names, strict=True)
                ]
                or [np.zeros(0)]
            )
            correlation[c] = _correlation(mine, latents, k)
        pooled = np.tensordot(rows_of / n, correlation, axes=1)
        for c in present:
            own = rows_of[c] / (rows_of[c] + self.shrinkage) if rows_of[c] else 0.0
            correlation[c] = _positive(own * correlation[c] + (1 - own) * pooled)
        if progress is not None:
            progress("fit", len(present), len(present))
        return GaussianCopulaModel(
            sizes=codec.sizes,
            target=codec.target if group is not None else None,
            latents=latents,
            prior=rows_of / n,
            order=np.concatenate([*order, np.zeros(0, dtype=np.int32)]).astype(np.int32),
            shares=shares[present],
            correlation=correlation[present],
        )


@dataclass(frozen=True, eq=False)
class GaussianCopulaModel:
    """A fitted Gaussian copula.

    Parameters
    ----------
    sizes : tuple of int
        Codes of each column of the table.
    target : int or None
        Position of a discrete target.
    latents : tuple of Latent
    prior : ndarray, shape (classes,)
        Share of each class; a single 1 where there is no discrete target.
    order : ndarray of int32, shape (sum of latent sizes,)
        Each dimension's codes in the order of its normal score.
    shares : ndarray, shape (classes with rows, sum of latent sizes)
        Share of each code in that order, class by class.
    correlation : ndarray, shape (classes with rows, latents, latents)
        Of the latent normals.
    """

    sizes: tuple[int, ...]
    target: int | None
    latents: tuple[Latent, ...]
    prior: Floats
    order: npt.NDArray[np.int32]
    shares: Floats
    correlation: Floats

    holds_rows: ClassVar[bool] = False

    @property
    def answers(self) -> frozenset[int]:
        """The target, where it is discrete; see `privsynth.engines.Model.answers`."""
        return frozenset() if self.target is None else frozenset({self.target})

    def sample(
        self, n: int, rng: np.random.Generator, *, where: Mapping[int, int] | None = None
    ) -> Codes:
        """Draw rows; see `privsynth.engines.Model.sample`."""
        from threadpoolctl import threadpool_limits

        labels = labels_to_draw(n, self.prior, self.target, rng, where)
        codes = np.zeros((n, len(self.sizes)), dtype=np.int32, order="F")
        if self.target is not None:
            codes[:, self.target] = labels
        places = np.cumsum(self.prior > 0) - 1
        with threadpool_limits(1, "blas"):
            for c in np.unique(labels):
                rows = np.flatnonzero(labels == c)
                for start in range(0, len(rows), BLOCK):
                    self._fill(codes, rows[start : start + BLOCK], int(places[c]), rng)
        return codes

    def _fill(
        self, codes: Codes, rows: npt.NDArray[np.intp], place: int, rng: np.random.Generator
    ) -> None:
        scores = rng.standard_normal((len(rows), len(self.latents))) @ self._roots[place].T
        for j, latent in enumerate(self.latents):
            drawn = np.searchsorted(self._cuts[place][j], scores[:, j], side="right")
            drawn = self._spans(self.order)[j][drawn]
            if latent.null is not None and latent.presence:
                codes[rows[drawn == 1], latent.column] = latent.null
            else:
                codes[rows, latent.column] = drawn

    def _spans(self, array: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Cut an array of all dimensions' codes into one a dimension."""
        return np.split(array, np.cumsum([latent.size for latent in self.latents])[:-1])

    @cached_property
    def _roots(self) -> Floats:
        return np.asarray(np.linalg.cholesky(self.correlation), dtype=np.float64)

    @cached_property
    def _cuts(self) -> list[list[Floats]]:
        return [[cuts(share) for share in self._spans(shares)] for shares in self.shares]

    def state(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Give JSON values and arrays; see `privsynth.engines.Model.state`."""
        meta = {
            "sizes": list(self.sizes),
            "target": self.target,
            "latents": [[x.column, x.size, x.null, x.presence, x.nominal] for x in self.latents],
            "classes": len(self.prior),
        }
        names = ("prior", "order", "shares", "correlation")
        return meta, {name: getattr(self, name) for name in names}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model.

        Raises
        ------
        ArtefactError
            The state is incomplete, or its shapes do not fit each other.
        """
        with reading("Gaussian copula"):
            sizes = tuple(int(size) for size in meta["sizes"])
            latents = tuple(
                Latent(int(column), int(size), null, bool(presence), bool(nominal))
                for column, size, null, presence, nominal in meta["latents"]
            )
            target = None if meta["target"] is None else int(meta["target"])
            prior = stored(arrays, "prior", (int(meta["classes"]),), np.float64)
            width, there = sum(x.size for x in latents), int((prior > 0).sum())
            model = cls(
                sizes,
                target,
                latents,
                prior,
                stored(arrays, "order", (width,), np.int32),
                stored(arrays, "shares", (there, width), np.float64),
                stored(arrays, "correlation", (there, len(latents), len(latents)), np.float64),
            )
            if not model._sound():
                raise ArtefactError(
                    "the parameters of the Gaussian copula contradict each other; "
                    "fit the model anew"
                )
        return model

    def _sound(self) -> bool:
        """Whether every code lies in its column and every share and correlation is one."""
        fits = all(latent.fits(self.sizes) for latent in self.latents)
        orders = all(
            np.array_equal(np.sort(codes), np.arange(len(codes)))
            for codes in self._spans(self.order)
        )
        shares = bool((self.shares >= 0).all() and (self.prior >= 0).all() and self.prior.sum() > 0)
        try:
            self._roots  # noqa: B018 - a matrix that is no correlation has no root
        except np.linalg.LinAlgError:
            return False
        target = self.target is None or (
            0 <= self.target < len(self.sizes) and self.sizes[self.target] == len(self.prior)
        )
        return fits and orders and shares and target


GaussianCopula.model = GaussianCopulaModel


def _latents(codec: Codec) -> tuple[Latent, ...]:
    """Give the dimensions of all columns that vary, but for a discrete target."""
    latents = []
    for j, coding in enumerate(codec.codings):
        if coding.size < 2 or (codec.classes and j == codec.target):
            continue
        if coding.ordered and coding.nullable and coding.size > 2:
            null = coding.size - 1
            latents.append(Latent(j, null, null))
            latents.append(Latent(j, 2, null, presence=True))
        else:
            latents.append(Latent(j, coding.size, nominal=not coding.ordered))
    return tuple(latents)


def _shares(column: npt.NDArray[np.int32], size: int) -> Floats:
    """Give the share of each code among the rows that have one."""
    counts = np.bincount(column[column >= 0], minlength=size)
    return np.asarray(counts / max(counts.sum(), 1))


def _means(shares: Floats) -> Floats:
    """Give the mean of the standard normal inside each code's interval."""
    bounds = np.concatenate([[-np.inf], cuts(shares), [np.inf]])
    heights = np.exp(-(bounds**2) / 2) / np.sqrt(2 * np.pi)
    return np.asarray((heights[:-1] - heights[1:]) / np.where(shares > 0, shares, 1.0))


def _scores(column: npt.NDArray[np.int32], means: Floats) -> Floats:
    """Give the score of each row, 0 where it has no code."""
    return np.append(means, 0.0)[column]


def _arrange(
    columns: list[npt.NDArray[np.int32]],
    latents: tuple[Latent, ...],
    labels: npt.NDArray[np.int32],
) -> list[npt.NDArray[np.int32]]:
    """Give each dimension's codes in the order in which their scores shall rise.

    A nominal dimension takes the order in which the means of all other scores, within classes,
    vary most: the first left singular vector of the levels' means.
    """
    order = [np.arange(latent.size, dtype=np.int32) for latent in latents]
    rows_of = np.maximum(np.bincount(labels), 1)
    scores = np.zeros((len(latents), len(labels)))

    def update(j: int) -> None:
        share = _shares(columns[j], latents[j].size)
        means = np.zeros(latents[j].size)
        means[order[j]] = _means(share[order[j]])
        score = _scores(columns[j], means)
        scores[j] = score - (np.bincount(labels, score) / rows_of)[labels]

    for j in range(len(latents)):
        update(j)
    nominal = [j for j, latent in enumerate(latents) if latent.nominal and latent.size > 2]
    for _ in range(SWEEPS):
        for j in nominal:
            size = latents[j].size
            held = np.bincount(columns[j], minlength=size)
            sums = np.stack([np.bincount(columns[j], s, minlength=size) for s in scores], axis=1)
            sums[:, j] = 0.0
            root = np.sqrt(np.maximum(held, 1))
            first = np.linalg.svd(sums / root[:, None], full_matrices=False)[0][:, 0] / root
            first *= np.sign(first[np.argmax(np.abs(first))]) or 1.0
            order[j] = np.argsort(first, kind="stable").astype(np.int32)
            update(j)
    return order


def _correlation(
    columns: list[npt.NDArray[np.int32]], latents: tuple[Latent, ...], k: int
) -> Floats:
    """Give the correlation of the latent normals of one class.

    The scores' own correlation comes from SDV's copula. A pair's share of rows that have both
    values undoes what nulls took from it; Mehler's expansion undoes what coarse codes took.
    """
    if not latents or len(columns[0]) < 2:
        return np.eye(len(latents))
    import pandas as pd

    shares = [_shares(column, x.size) for column, x in zip(columns, latents, strict=True)]
    means = [_means(share) for share in shares]
    scores = np.stack([_scores(c, m) for c, m in zip(columns, means, strict=True)], axis=1)
    there = np.stack([column >= 0 for column in columns], axis=1).astype(float)
    both = there.T @ there
    plain = _fit_copula(pd.DataFrame(scores))
    spread = scores.std(axis=0)
    moment = plain * np.outer(spread, spread) * len(scores) / np.maximum(both, 1)
    moment[both < k] = 0.0
    waves = np.stack([_waves(share, mean) for share, mean in zip(shares, means, strict=True)])
    return _solve(moment, waves)


def _fit_copula(scores: Any) -> Floats:
    """Fit SDV's Gaussian copula to scores whose marginals are standard normal already."""
    import warnings

    from copulas.multivariate import GaussianMultivariate
    from copulas.univariate import GaussianUnivariate

    class Standard(GaussianUnivariate):  # type: ignore[misc]
        # A fitted spread would magnify rare levels' scores until the copula clips them.
        def _fit(self, X: Any) -> None:
            self._params = {"loc": 0.0, "scale": 1.0}

    copula = GaussianMultivariate(distribution=Standard)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        copula.fit(scores)
    return np.array(copula.to_dict()["correlation"])


def _waves(shares: Floats, means: Floats) -> Floats:
    """Give the Hermite coefficients of the step function that turns a normal into its score.

    Returns
    -------
    ndarray, shape (TERMS,)
        Of the orthonormal polynomials of degree 1 to TERMS.
    """
    inner = cuts(shares)
    height = np.exp(-(inner**2) / 2) / np.sqrt(2 * np.pi)
    # The integral of h[k] times the density up to t is -density(t) h[k-1](t) / sqrt(k).
    before, now = np.zeros_like(inner), np.ones_like(inner)
    jumps = np.diff(means)
    waves = np.empty(TERMS)
    for degree in range(1, TERMS + 1):
        waves[degree - 1] = (jumps * height * now).sum() / np.sqrt(degree)
        before, now = now, (inner * now - np.sqrt(degree - 1) * before) / np.sqrt(degree)
    return waves


def _solve(moment: Floats, waves: Floats) -> Floats:
    """Find the correlations whose scores have the given cross moments, by bisection.

    Mehler: the cross moment of two functions of normals with correlation r is the sum over
    degrees of r**degree times the product of their Hermite coefficients; it rises with r.
    """
    low = np.full_like(moment, -NEAR_ONE)
    high = np.full_like(moment, NEAR_ONE)
    products = [np.outer(wave, wave) for wave in waves.T]
    for _ in range(24):
        middle = (low + high) / 2
        value = np.zeros_like(moment)
        for product in reversed(products):
            value = (value + product) * middle
        above = value > moment
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    solved = (low + high) / 2
    flat = np.abs(products[0]) < 1e-9
    solved[flat] = 0.0
    np.fill_diagonal(solved, 1.0)
    return solved


def _positive(matrix: Floats) -> Floats:
    """Give a positive definite correlation matrix near a symmetric one: eigenvalues clipped."""
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    lifted = (vectors * np.maximum(values, LEAST_EIGENVALUE)) @ vectors.T
    scale = np.sqrt(np.diag(lifted))
    return np.asarray(lifted / np.outer(scale, scale))
