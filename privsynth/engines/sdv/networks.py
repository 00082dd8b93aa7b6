"""CTGAN, TVAE and CopulaGAN: trained by ctgan, sampled from their parameters alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from privsynth.curator import Curator
from privsynth.engines.protocols import Progress
from privsynth.engines.sdv.marginals import EMPIRICAL, check_distributions, distributions
from privsynth.engines.sdv.model import NetworkModel
from privsynth.engines.sdv.training import train
from privsynth.errors import ConfigError

__all__ = ["CTGAN", "TVAE", "CopulaGAN"]


@dataclass(frozen=True)
class CTGAN:
    """SDV's CTGAN: a conditional generative adversarial network.

    Parameters
    ----------
    embedding_dim, generator_dim, discriminator_dim, generator_lr, generator_decay,
    discriminator_lr, discriminator_decay, batch_size, discriminator_steps, log_frequency,
    epochs, pac, enable_gpu
        As in `ctgan.CTGAN`, with its defaults; `enable_gpu` is off, since only the CPU gives the
        same bytes for the same seed.
    max_levels : int
        The most categories of one column; rarer levels share one, and are then drawn by their
        frequencies.
    target_focus : float
        The share of training conditions on the class of a discrete target; the others are on any
        column, as in `ctgan`, which prefers none.

    Notes
    -----
    Xu, Skoularidou, Cuesta-Infante & Veeramachaneni, *Modeling Tabular Data using Conditional
    GAN*, NeurIPS 2019. Classes are trained on by log frequency, as there, and sampled by
    frequency: the condition is always the target's class.
    """

    embedding_dim: int = 128
    generator_dim: tuple[int, ...] = (256, 256)
    discriminator_dim: tuple[int, ...] = (256, 256)
    generator_lr: float = 2e-4
    generator_decay: float = 1e-6
    discriminator_lr: float = 2e-4
    discriminator_decay: float = 1e-6
    batch_size: int = 500
    discriminator_steps: int = 1
    log_frequency: bool = True
    epochs: int = 300
    pac: int = 10
    enable_gpu: bool = False
    max_levels: int = 100
    target_focus: float = 0.9

    model: ClassVar[type[NetworkModel]] = NetworkModel

    def __post_init__(self) -> None:
        if not 0 <= self.target_focus <= 1:
            raise ConfigError(f"target_focus is {self.target_focus}; give a share from 0 to 1")
        _check_positive(
            self, ("embedding_dim", "batch_size", "discriminator_steps", "epochs", "pac")
        )
        _check_positive(self, ("generator_lr", "discriminator_lr"))
        _check_layers(self, ("generator_dim", "discriminator_dim"))
        if self.batch_size % math.lcm(2, self.pac):
            raise ConfigError(
                f"batch_size is {self.batch_size}; expected a multiple of 2 and of pac "
                f"({self.pac}), such as {math.lcm(2, self.pac) * 50}"
            )
        if self.max_levels < 2:
            raise ConfigError(f"max_levels is {self.max_levels}; give 2 or more")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> NetworkModel:
        """Train the network.

        Raises
        ------
        DataError
            The table has fewer rows than the engine needs, or no column varies.
        """
        return self._fit(curator, rng, progress, None)

    def _fit(
        self,
        curator: Curator,
        rng: np.random.Generator,
        progress: Progress | None,
        normal_scores: tuple[str, ...] | None,
    ) -> NetworkModel:
        from ctgan import CTGAN as Trainer  # noqa: N811

        names = (
            "embedding_dim generator_dim discriminator_dim generator_lr generator_decay "
            "discriminator_lr discriminator_decay batch_size discriminator_steps log_frequency "
            "epochs pac enable_gpu"
        )
        settings = {name: getattr(self, name) for name in names.split()}
        return train(
            Trainer,
            settings,
            curator,
            rng,
            progress,
            max_levels=self.max_levels,
            min_rows=self.pac,
            focus=self.target_focus,
            normal_scores=normal_scores,
        )


@dataclass(frozen=True)
class CopulaGAN(CTGAN):
    """SDV's CopulaGAN: CTGAN trained on normal scores.

    Parameters
    ----------
    default_distribution : str
        Under it continuous columns become normal scores: ``"empirical"`` or one of SDV's names
        ``"norm"``, ``"beta"``, ``"truncnorm"``, ``"gamma"``, ``"uniform"``.
    numerical_distributions : mapping of str to str
        The distributions of single continuous columns.

    Notes
    -----
    The other parameters are those of `CTGAN`.
    """

    default_distribution: str = EMPIRICAL
    numerical_distributions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_distributions(self.default_distribution, self.numerical_distributions)

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> NetworkModel:
        """Train the network on normal scores; see `CTGAN.fit`."""
        normal_scores = distributions(
            curator.codec, self.default_distribution, self.numerical_distributions
        )
        return self._fit(curator, rng, progress, normal_scores)


@dataclass(frozen=True)
class TVAE:
    """SDV's TVAE: a variational autoencoder.

    Parameters
    ----------
    embedding_dim, compress_dims, decompress_dims, l2scale, batch_size, epochs, loss_factor,
    enable_gpu
        As in `ctgan.TVAE`, with its defaults; `enable_gpu` is off, since only the CPU gives the
        same bytes for the same seed.
    max_levels : int
        As in `CTGAN`.

    Notes
    -----
    From the paper of `CTGAN`. Rows of a class come from latent points, resampled by the
    probability that they decode to it (sampling-importance-resampling; Rubin, 1988).
    """

    embedding_dim: int = 128
    compress_dims: tuple[int, ...] = (128, 128)
    decompress_dims: tuple[int, ...] = (128, 128)
    l2scale: float = 1e-5
    batch_size: int = 500
    epochs: int = 300
    loss_factor: float = 2.0
    enable_gpu: bool = False
    max_levels: int = 100

    model: ClassVar[type[NetworkModel]] = NetworkModel

    def __post_init__(self) -> None:
        _check_positive(self, ("embedding_dim", "batch_size", "epochs", "loss_factor"))
        _check_layers(self, ("compress_dims", "decompress_dims"))
        if self.max_levels < 2:
            raise ConfigError(f"max_levels is {self.max_levels}; give 2 or more")

    def fit(
        self, curator: Curator, rng: np.random.Generator, progress: Progress | None = None
    ) -> NetworkModel:
        """Train the network; see `CTGAN.fit`."""
        from ctgan import TVAE as Trainer  # noqa: N811

        names = (
            "embedding_dim compress_dims decompress_dims l2scale batch_size epochs loss_factor "
            "enable_gpu"
        )
        settings = {name: getattr(self, name) for name in names.split()}
        return train(Trainer, settings, curator, rng, progress, max_levels=self.max_levels)


def _check_positive(recipe: Any, names: Sequence[str]) -> None:
    for name in names:
        if not getattr(recipe, name) > 0:
            raise ConfigError(f"{name} is {getattr(recipe, name)}; give a number above 0")


def _check_layers(recipe: Any, names: Sequence[str]) -> None:
    for name in names:
        if not all(size > 0 for size in getattr(recipe, name)):
            raise ConfigError(f"{name} has an empty layer; give sizes above 0, as in [256, 256]")
