"""What to do about unknown labels: leave them unknown, call them absent, or estimate them.

In much of CUB-200-2011 at large only the highest-numbered present value of a group is on
record, so lower-numbered values are unknown. How values of a group occur together in fully
labelled images says how likely each of them is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from finetag_model.vocabulary import Vocabulary

PRIOR_IMAGES = 3.0
"""How many imagined images of average behaviour each estimate is smoothed with."""


def estimate_unknown(
    presence: NDArray[np.float32], reference: NDArray[np.float32], vocabulary: Vocabulary
) -> NDArray[np.float32]:
    """Fill unknown labels with P(value present | highest present value of its group).

    Args:
        presence: float32 (M, N), NaN where unknown.
        reference: float32 (K, N), fully known labels of other images to count in.
        vocabulary: says which positions form a group.

    Returns:
        float32 (M, N) without NaN in every group whose highest present value is known;
        groups with no present value on record stay as they are.
    """
    filled = presence.copy()
    for positions in vocabulary.groups.values():
        columns = np.array(positions)
        group, counted = presence[:, columns], reference[:, columns]
        highest, counted_highest = _highest_present(group), _highest_present(counted)
        for value in range(len(columns)):
            rows = np.flatnonzero(highest == value)
            alike = counted[counted_highest == value]
            above = [counted[counted_highest > lower][:, lower] for lower in range(value)]
            prior = np.array([labels.mean() if len(labels) else 0.0 for labels in above])
            likely = (alike[:, :value].sum(axis=0) + PRIOR_IMAGES * prior) / (
                len(alike) + PRIOR_IMAGES
            )
            below = np.ix_(rows, columns[:value])
            filled[below] = np.where(np.isnan(presence[below]), likely, presence[below])
    return filled


def _highest_present(labels: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return per row the last column that holds 1, or -1."""
    present = labels == 1
    last = labels.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    return np.where(present.any(axis=1), last, -1)
