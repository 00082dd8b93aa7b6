"""From latent normals to codes: a lookup table instead of a search per row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from privsynth.engines.copula.scores import FARTHEST

__all__ = ["Lookup"]

MAX_BINS = 2048


@dataclass(frozen=True, eq=False)
class Lookup:
    """Maps a normal to its code: a table of bins, then a short search inside the bin.

    Parameters
    ----------
    codes : ndarray of int32, shape (codes,)
        Codes with a share above 0, in ascending order of their normals.
    cuts : ndarray of float32, shape (codes,)
        The start of each code but the first, then infinity.
    scale, shift : float32
        A normal's bin is its integer part after scaling and shifting.
    first : ndarray of intp, shape (bins,)
        Number of cuts in all earlier bins.
    steps : tuple of int
        Descending powers of two that together span the cuts of the fullest bin.

    Notes
    -----
    The guide table of Chen & Asau (*AIIE Transactions* 6, 1974), with binary search inside a bin.
    Cuts and normals get their bins by the same monotone arithmetic, so the cuts of lower bins lie
    below a normal and those of higher bins above it: every share is exact.
    """

    codes: npt.NDArray[np.int32]
    cuts: npt.NDArray[np.float32]
    scale: np.float32
    shift: np.float32
    first: npt.NDArray[np.intp]
    steps: tuple[int, ...]

    @classmethod
    def build(cls, cuts: npt.NDArray[np.float64], codes: npt.NDArray[np.int32]) -> Self:
        """Build the lookup of codes separated by `cuts`, which are non-decreasing.

        Parameters
        ----------
        cuts : ndarray, shape (codes - 1,)
            Two equal cuts leave the code between them without a share.
        codes : ndarray of int32, shape (codes,)
        """
        narrow = cuts.astype(np.float32)
        kept = np.flatnonzero(np.diff(narrow, prepend=-FARTHEST, append=FARTHEST) > 0)
        inner = narrow[kept[1:] - 1]
        bins, scale, shift = 1, np.float32(0), np.float32(0)
        bin_of = np.zeros(len(inner), dtype=np.intp)
        while bins < MAX_BINS and len(inner) > 1 and np.bincount(bin_of).max() > 1:
            bins *= 2
            scale = np.float32(bins / (float(inner[-1]) - float(inner[0])))
            shift = -inner[0] * scale
            bin_of = np.clip(_bins(inner, scale, shift), 0, bins - 1)
        bin_counts = np.bincount(bin_of, minlength=bins)
        n_steps = int(bin_counts.max()).bit_length()
        return cls(
            codes[kept],
            np.append(inner, np.float32(np.inf)),
            scale,
            shift,
            np.cumsum(bin_counts) - bin_counts,
            tuple(2**power for power in reversed(range(n_steps))),
        )

    def read(
        self, normals: npt.NDArray[np.float32], out: npt.NDArray[np.int32] | None = None
    ) -> npt.NDArray[np.int32]:
        """Return the code of each normal."""
        position = self.first.take(_bins(normals, self.scale, self.shift), mode="clip")
        for step in self.steps:
            ahead = position if step == 1 else position + (step - 1)
            above = self.cuts.take(ahead, mode="clip") <= normals
            position += above if step == 1 else step * above
        return self.codes.take(position, out=out, mode="clip")


def _bins(
    normals: npt.NDArray[np.float32], scale: np.float32, shift: np.float32
) -> npt.NDArray[np.intp]:
    """Return the bin of each normal."""
    scaled = normals * scale
    scaled += shift
    return scaled.astype(np.intp)
