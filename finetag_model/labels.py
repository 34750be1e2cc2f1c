"""From recorded labels to what is trained on: doubtful ones, single opinions.

What is recorded is one annotator's opinion; the certainty beside it, and what was said of other
images of the species, say how far to trust it. What was not recorded is `unknown_labels`.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Unknown = Literal["ignored", "negative", "conditional"]
"""What unknown labels are taken for: nothing, absent, or P(present | all that is recorded)."""

PRIOR_IMAGES = 3.0
"""How many imagined images of average behaviour each estimate is smoothed with."""

CERTAINTY = np.array([1.0, np.nan, 0.6, 0.8, 1.0], dtype=np.float32)
"""The probability that a label is right by its certainty in CUB: not recorded (taken as it
stands), not visible (says nothing), guessing, probably, definitely. Set by hand, not fitted."""


def soften(presence: NDArray[np.float32], certainty: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the probability of presence, given a label and how certain its annotator was.

    Args:
        presence: float32 (M, N), 0 or 1, NaN where unknown.
        certainty: uint8 (M, N), as `CubDataset.certainty`.
    """
    right = CERTAINTY[certainty]
    softened: NDArray[np.float32] = np.where(presence == 1, right, 1 - right)
    softened[np.isnan(presence)] = np.nan
    return softened


def share_among_species(
    presence: NDArray[np.float32], class_ids: NDArray[np.int64], share: float
) -> NDArray[np.float32]:
    """Mix each label with the mean label of the other images of the species.

    Birds of a species look alike, so what was said of the others corrects one annotator's slip.

    Args:
        presence: float32 (M, N), probability of presence, NaN where unknown. A species of
            which too little is known is smoothed with the mean of all images.
        class_ids: int64 (M,), the species.
        share: of the mean, 0 to 1.

    Returns:
        float32 (M, N), NaN where `presence` is.
    """
    each, species = np.unique(class_ids, return_inverse=True)
    known = ~np.isnan(presence)
    labels = np.where(known, presence, 0).astype(np.float64)
    prior = labels.sum(axis=0) / known.sum(axis=0).clip(min=1)
    total, count = (np.zeros((len(each), presence.shape[1])) for _ in range(2))
    np.add.at(total, species, labels)
    np.add.at(count, species, known)
    mean_of_others = (total[species] - labels + PRIOR_IMAGES * prior) / (
        count[species] - known + PRIOR_IMAGES
    )
    mixed: NDArray[np.float32] = (1 - share) * presence + share * mean_of_others.astype(np.float32)
    return mixed  # NaN stayed NaN
