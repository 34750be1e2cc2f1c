"""From logits to probabilities, and from probabilities to yes or no, attribute by attribute.

A ranking loss orders attributes within an image; its logits are no probabilities and cannot
be compared with a threshold. Platt scaling (Platt 1999) fits p = sigmoid(slope f + offset) per
attribute on held-out images; the threshold is the one of highest F1 on the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

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
        return np.asarray(expit(logits * self.slope + self.offset), dtype=np.float32)

    def undone(self, probabilities: Array) -> Array:
        """Return sigmoid(logits), (M, N), of the logits that became these probabilities.

        That is what they were before the calibration. NaN for attributes of slope 0, whose
        probability says nothing of the logit.
        """
        slope = np.where(self.slope > 0, self.slope, np.nan)
        return np.asarray(expit((logit(probabilities) - self.offset) / slope), dtype=np.float32)


def fit_calibration(logits: Array, presence: Array) -> Calibration:
    """Fit slopes, offsets and thresholds on images the network was not trained on.

    Args:
        logits: float32 (M, N).
        presence: float32 (M, N), probability that the attribute is present, NaN unknown.
            A label in between counts as present and absent in proportion.
    """
    columns = [_fit_attribute(f, p) for f, p in zip(logits.T, presence.T, strict=True)]
    slope, offset, thresholds = np.array(columns, dtype=np.float32).T
    return Calibration(slope, offset, thresholds)


def _fit_attribute(logits: Array, presence: Array) -> tuple[float, float, float]:
    known = ~np.isnan(presence)
    f, p = logits[known].astype(np.float64), presence[known].astype(np.float64)
    spread = f.std() if len(f) else 0.0
    # Where there is no slope to be had: the smoothed frequency, whatever the logit.
    constant = 0.0, float(logit((p.sum() + 0.5) / (len(p) + 1))), 0.5
    if not spread > 0 or p.sum() < 1 or (1 - p).sum() < 1:
        return constant
    center = f.mean()
    standard = ((f - center) / spread)[:, None]
    regression = LogisticRegression().fit(
        np.concatenate([standard, standard]),
        np.repeat([1, 0], len(p)),
        sample_weight=np.concatenate([p, 1 - p]),
    )
    slope = float(regression.coef_[0, 0]) / spread
    if slope <= 0:
        return constant
    offset = float(regression.intercept_[0]) - slope * center
    return slope, offset, _best_f1_threshold(expit(slope * f + offset), p)


def _best_f1_threshold(scores: NDArray[np.float64], presence: NDArray[np.float64]) -> float:
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * presence[order].cumsum() / (np.arange(1, len(ranked) + 1) + presence.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = 0  # a threshold cannot cut between equal scores
    last = int(f1.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else ranked[last]
    return float((ranked[last] + below) / 2)
