"""Type aliases of NumPy arrays that many modules share."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Codes", "Floats"]

Codes: TypeAlias = npt.NDArray[np.int32]
"""Integer codes, shape (rows, columns)."""

Floats: TypeAlias = npt.NDArray[np.float64]
"""Real numbers, of any shape."""
