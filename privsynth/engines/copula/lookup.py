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
    """Finds the code of a normal: a table of bins, and a short search inside a bin.

    Parameters
    ----------
    codes : ndarray of int32, shape (codes,)
        Those that have a share, in the order in which their normals rise.
    cuts : ndarray of float32, shape (codes,)
        Where each begins and the one before ends, without the first; then infinity.
    scale, shift : float32
        A normal's bin is its whole part after scaling and shifting.
    first : ndarray of intp, shape (bins,)
        How many cuts lie in the bins before.
    steps : tuple of int
        Falling powers of two that reach over the cuts of the fullest bin.

    Notes
    -----
    The guide table of Chen & Asau (*AIIE Transactions* 6, 1974), with halving inside a bin. A cut
    is put in its bin by the same arithmetic as a normal, which never falls: so the cuts of lower
    bins lie below it and those of higher bins above it, and every share is exact.
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
            Where one is as high as the next, the code between them has no share.
        codes : ndarray of int32, shape (codes,)
        """
        narrow = cuts.astype(np.float32)
        kept = np.flatnonzero(np.diff(narrow, prepend=-FARTHEST, append=FARTHEST) > 0)
        parts = narrow[kept[1:] - 1]
        bins, scale, shift = 1, np.float32(0), np.float32(0)
        at = np.zeros(len(parts), dtype=np.intp)
        while bins < MAX_BINS and len(parts) > 1 and np.bincount(at).max() > 1:
            bins *= 2
            scale = np.float32(bins / (float(parts[-1]) - float(parts[0])))
            shift = -parts[0] * scale
            at = np.clip(_bins(parts, scale, shift), 0, bins - 1)
        inside = np.bincount(at, minlength=bins)
        most = int(inside.max()).bit_length()
        return cls(
            codes[kept],
            np.append(parts, np.float32(np.inf)),
            scale,
            shift,
            np.cumsum(inside) - inside,
            tuple(2**power for power in reversed(range(most))),
        )

    def read(
        self, normals: npt.NDArray[np.float32], out: npt.NDArray[np.int32] | None = None
    ) -> npt.NDArray[np.int32]:
        """Return the code that each normal falls on."""
        place = self.first.take(_bins(normals, self.scale, self.shift), mode="clip")
        for step in self.steps:
            ahead = place if step == 1 else place + (step - 1)
            above = self.cuts.take(ahead, mode="clip") <= normals
            place += above if step == 1 else step * above
        return self.codes.take(place, out=out, mode="clip")


def _bins(
    normals: npt.NDArray[np.float32], scale: np.float32, shift: np.float32
) -> npt.NDArray[np.intp]:
    at = normals * scale
    at += shift
    return at.astype(np.intp)
