"""Recipes of SMOTE and its family: their fit keeps the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from privsynth.arrays import Floats
from privsynth.curator import Curator
from privsynth.engines.oversample.features import check_features, discrete_names, modelled
from privsynth.engines.oversample.model import Oversampled
from privsynth.engines.protocols import Progress
from privsynth.errors import ConfigError, UsageError, warn

__all__ = ["Adasyn", "BorderlineSmote", "Random", "Smote", "Smotenc"]


@dataclass(frozen=True)
class Smote:
    """SMOTE: points on segments between neighbouring minority rows.

    Parameters
    ----------
    k_neighbors : int
        The number of nearest minority rows that each one is joined with.

    Notes
    -----
    Chawla, Bowyer, Hall & Kegelmeyer, *Journal of Artificial Intelligence Research* 16, 2002.
    """

    k_neighbors: int = 5

    method: ClassVar[str] = "smote"
    model: ClassVar[type[Oversampled]] = Oversampled

    def __post_init__(self) -> None:
        _positive(k_neighbors=self.k_neighbors)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `privsynth.engines.Synthesizer.fit`.

        Raises
        ------
        DataError
            A column is of a kind that the method cannot read, or has missing values.
        """
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Smotenc(Smote):
    """SMOTE whose categories are the most frequent ones among the neighbours."""

    method: ClassVar[str] = "smotenc"


@dataclass(frozen=True)
class BorderlineSmote:
    """SMOTE from only those minority rows that lie among rows of other classes.

    Parameters
    ----------
    k_neighbors : int
    m_neighbors : int
        The number of nearest rows of any class that decide whether a row lies at the border.
    kind : {"borderline-1", "borderline-2"}

    Notes
    -----
    Han, Wang & Mao, *Borderline-SMOTE*, ICIC 2005.
    """

    k_neighbors: int = 5
    m_neighbors: int = 10
    kind: str = "borderline-1"

    method: ClassVar[str] = "borderline-smote"
    model: ClassVar[type[Oversampled]] = Oversampled

    def __post_init__(self) -> None:
        _positive(k_neighbors=self.k_neighbors, m_neighbors=self.m_neighbors)
        if self.kind not in ("borderline-1", "borderline-2"):
            raise ConfigError(f"kind is {self.kind!r}; expected borderline-1 or borderline-2")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `Smote.fit`."""
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Adasyn:
    """SMOTE with more rows where the other classes are near.

    Parameters
    ----------
    n_neighbors : int

    Notes
    -----
    He, Bai, Garcia & Li, *ADASYN*, IJCNN 2008.
    """

    n_neighbors: int = 5

    method: ClassVar[str] = "adasyn"
    model: ClassVar[type[Oversampled]] = Oversampled

    def __post_init__(self) -> None:
        _positive(n_neighbors=self.n_neighbors)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the rows; see `Smote.fit`."""
        return _keep(self.method, asdict(self), curator)


@dataclass(frozen=True)
class Random:
    """Random over-sampling: minority rows, drawn with replacement."""

    method: ClassVar[str] = "random"
    model: ClassVar[type[Oversampled]] = Oversampled

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> Oversampled:
        """Keep the minority rows."""
        return _keep(self.method, {}, curator)


def _keep(method: str, settings: Mapping[str, Any], curator: Curator) -> Oversampled:
    """Return the model of a method: the training rows that it needs."""
    codec = curator.codec
    if codec.label is None:
        raise UsageError(f"{method} draws rows of a class; name a target of few values")
    label = codec.codings[codec.label]
    table = curator.rows()
    labels = label.encode(table.column(label.name).combine_chunks())
    class_counts = np.bincount(labels, minlength=label.size)
    largest = np.arange(len(class_counts)) == class_counts.argmax()
    prior = np.where(largest, 0, class_counts) / len(labels)
    if not prior.any():
        prior = class_counts / len(labels)
    if method == "random":
        return _minority(table, labels, codec.label, label.name, prior)
    codings = [coding for coding in codec.codings if modelled(coding)]
    discrete = discrete_names(codings, label)
    check_features(method, table, [c for c in codings if c is not label], discrete)
    _warn_of_few(method, settings, class_counts[class_counts > 0])
    rows = table.select([coding.name for coding in codings])
    return Oversampled(method, settings, rows, labels, codec.label, label.name, discrete, prior)


def _minority(
    table: pa.Table, labels: npt.NDArray[np.int32], target: int, name: str, prior: Floats
) -> Oversampled:
    """Return the model of random over-sampling: the rows of the classes that are drawn."""
    in_minority = prior[labels] > 0
    return Oversampled(
        "random",
        {},
        table.filter(pa.array(in_minority)),
        labels[in_minority],
        target,
        name,
        (),
        prior,
    )


def _warn_of_few(
    method: str, settings: Mapping[str, Any], class_counts: npt.NDArray[np.intp]
) -> None:
    """Warn when a class has fewer rows than the neighbours asked for."""
    neighbours = settings.get("k_neighbors", settings.get("n_neighbors", 0))
    smallest = int(class_counts.min())
    if 2 <= smallest <= neighbours:
        warn(
            f"{method}: {neighbours} neighbours are asked for and a class has {smallest} rows; "
            f"{smallest - 1} are used for it"
        )


def _positive(**values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigError(f"{name} is {value}; give 1 or more")
