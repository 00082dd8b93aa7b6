"""NumPy arrays that many modules speak of."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Codes"]

Codes: TypeAlias = npt.NDArray[np.int32]
"""Integer codes, shape (rows, columns)."""

Floats = npt.NDArray[np.float64]
