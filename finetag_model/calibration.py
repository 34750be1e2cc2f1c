"""From logits to probabilities, and from probabilities to yes or no, attribute by attribute.

A ranking loss orders attributes within an image; its logits are no probabilities and cannot
be compared with a threshold. `platt` fits what is stored here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """What a checkpoint stores of it; three float32 arrays of shape (N,).

    Attributes:
        slope: not negative, so that a higher logit never means a lower probability.
        offset: log-odds at a logit of 0.
        thresholds: the probability from which on an image counts as having the attribute.
    """

    slope: Array
    offset: Array
    thresholds: Array

    def probabilities(self, logits: Array) -> Array:
        """Return the probability of each attribute, float32 (M, N), of logits (M, N)."""
        return _sigmoid(logits * self.slope + self.offset)

    def undone(self, probabilities: Array) -> Array:
        """Return sigmoid(logits), (M, N), of the logits that became these probabilities.

        That is what they were before the calibration. NaN for attributes of slope 0, whose
        probability says nothing of the logit.
        """
        from scipy.special import logit  # noqa: PLC0415  (takes long, and searches need none)

        slope = np.where(self.slope > 0, self.slope, np.nan)
        return _sigmoid((logit(probabilities) - self.offset) / slope)


def _sigmoid(x: Array) -> Array:
    with np.errstate(invalid="ignore"):  # NaN stays NaN
        return np.asarray(np.exp(-np.logaddexp(0, -x)), dtype=np.float32)
