"""Probabilities as one byte each, and the one rule by which an image passes an attribute."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def to_bytes(probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return round(255 * p) of probabilities in [0, 1]; uint8 of the same shape."""
    levels: NDArray[np.uint8] = np.rint(np.clip(probabilities, 0.0, 1.0) * 255.0).astype(np.uint8)
    return levels


def cutoff(threshold: float) -> int:
    """Return the smallest stored score that reaches a threshold: ceil(255 * threshold).

    It is above 255 for a threshold that no image can reach. The small allowance makes 0.2
    and the float32 nearest to it, which is a little more, mean the same.
    """
    return math.ceil(255.0 * threshold - 1e-4)
