"""Whether probabilities mean what they say: reliability bins, ECE and Brier score.

A probability is calibrated if, of all things said to be present with probability p, a share of p
is present (Guo, Pleiss, Sun and Weinberger 2017, "On Calibration of Modern Neural Networks").
Here a "thing" is an attribute of an image, and its probability that of being present, as in the
binary case of Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using
Bayesian Binning"; not the confidence in the likeliest class, as for classifiers. Things of which
nobody knows whether they are present, NaN, take no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Binning = Literal["width", "mass"]


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: one value a bin, by rising probability, empty bins left out.

    Attributes:
        predicted: float64, mean probability in the bin.
        observed: float64, share of the bin that is present.
        counts: int64, how many fell into the bin.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.int64]

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |observed - predicted|, weighted by the counts.

        With few values a bin it is above 0 even for perfect probabilities, by chance.
        """
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.counts))


def reliability(
    probabilities: NDArray[np.floating],
    presence: NDArray[np.floating],
    bins: int = 10,
    binning: Binning = "width",
) -> Reliability:
    """Sort probabilities into bins and compare each with what is present.

    Args:
        probabilities: in 0..1, of any shape; all values are pooled.
        presence: of the same shape, 0 or 1, NaN unknown; one label at least must be known.
        bins: at most so many.
        binning: `width` cuts 0..1 into equal intervals (a, b], as Guo et al. do; `mass` cuts so
            that bins hold equally many values, as Naeini et al. do. Equal probabilities always
            fall into one bin, so bins of `mass` can differ, or be fewer.
    """
    known = ~np.isnan(presence)
    p = probabilities[known].astype(np.float64)
    steps = np.linspace(0, 1, bins + 1)[1:-1]
    edges = steps if binning == "width" else np.quantile(p, steps)
    bin_of = np.searchsorted(edges, p)
    counts = np.bincount(bin_of, minlength=bins)
    filled = counts > 0
    mean_p, mean_presence = (
        np.bincount(bin_of, weights=values, minlength=bins)[filled] / counts[filled]
        for values in (p, presence[known])
    )
    return Reliability(mean_p, mean_presence, counts[filled])


def brier_score(probabilities: NDArray[np.floating], presence: NDArray[np.floating]) -> float:
    """Return the mean squared difference of the two (Brier 1950); 0 is perfect.

    Unlike ECE it is lowest for the true probabilities alone: it also charges for telling
    present from absent badly.
    """
    return float(np.nanmean((probabilities.astype(np.float64) - presence) ** 2))


@dataclass(frozen=True)
class CalibrationError:
    """Three figures in 0..1 of probabilities of shape (M, N): M images, N attributes.

    Attributes:
        ece: over all pairs of image and attribute, in bins of equal width.
        macro_ece: of each attribute alone that is known of some image, averaged without weights.
            Errors of different attributes cannot cancel here. In bins of equal mass, since M
            values are few.
        brier: over all pairs.
    """

    ece: float
    macro_ece: float
    brier: float


def calibration_error(
    probabilities: NDArray[np.floating], presence: NDArray[np.floating]
) -> CalibrationError:
    """Measure probabilities (M, N) against presence (M, N), 0 or 1, NaN unknown."""
    labelled = ~np.isnan(presence).all(axis=0)
    columns = zip(probabilities[:, labelled].T, presence[:, labelled].T, strict=True)
    return CalibrationError(
        ece=reliability(probabilities, presence).ece,
        macro_ece=float(np.mean([reliability(p, y, binning="mass").ece for p, y in columns])),
        brier=brier_score(probabilities, presence),
    )
