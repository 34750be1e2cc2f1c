"""The paper's measures of a multi-label ranking: W_MAP, AVGPREC, and macro mAP beside them.

F1 measures what becomes of a ranking once thresholds have cut it into yes and no. All take
scores and presence of the same shape, (M, N): M images, N attributes. An unknown label takes no
part anywhere, as if the image had not been shown to that attribute: the paper has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from finetag_model.vocabulary import Vocabulary


@dataclass(frozen=True)
class Metrics:
    """Three figures in 0..1.

    Attributes:
        w_map: average precision of each attribute over the images where it is known, averaged
            with the attributes' frequencies as weights (paper, section 4).
        avgprec: label-ranking average precision of the known labels of each image, averaged
            over the images.
        macro_map: average precision of each attribute as in w_map, averaged without weights.
    """

    w_map: float
    avgprec: float
    macro_map: float


@dataclass(frozen=True)
class F1:
    """Harmonic mean of precision and recall, in 0..1.

    Attributes:
        micro: over all pairs of image and attribute; frequent attributes decide it.
        macro: of each attribute that some image has, averaged without weights.
    """

    micro: float
    macro: float


def evaluate(scores: NDArray[np.floating], presence: NDArray[np.floating]) -> Metrics:
    """Measure scores against the labels that are known.

    Args:
        scores: shape (M, N), higher means more likely present.
        presence: shape (M, N), 0 or 1, NaN unknown. Attributes that no image is known to have
            take no part in w_map and macro_map; images not known to have any attribute take no
            part in avgprec.

    Raises:
        ValueError: no label is present.
    """
    known, present = ~np.isnan(presence), presence == 1
    seen, tagged = present.any(axis=0), present.any(axis=1)
    if not seen.any():
        raise ValueError("no label is present")
    precision = np.array(
        [
            average_precision_score(present[known[:, n], n], scores[known[:, n], n])
            for n in np.flatnonzero(seen)
        ]
    )
    # What is absent and ranked below all else changes no precision at a present label.
    ranked = np.where(known, scores, np.nextafter(scores.min(), -np.inf))
    return Metrics(
        w_map=float(np.average(precision, weights=present[:, seen].sum(axis=0))),
        avgprec=float(label_ranking_average_precision_score(present[tagged], ranked[tagged])),
        macro_map=float(precision.mean()),
    )


def evaluate_groups(
    scores: NDArray[np.floating], presence: NDArray[np.floating], vocabulary: Vocabulary
) -> Mapping[str, Metrics]:
    """Measure each attribute group alone (paper, table 2); groups never present are left out."""
    return {
        group: evaluate(scores[:, positions], presence[:, positions])
        for group, positions in vocabulary.groups.items()
        if (presence[:, positions] == 1).any()
    }


def evaluate_decisions(
    scores: NDArray[np.floating],
    presence: NDArray[np.floating],
    thresholds: NDArray[np.floating] | float,
) -> F1:
    """Measure the decision that an attribute is present where its score reaches the threshold.

    Args:
        scores: shape (M, N).
        presence: shape (M, N), 0 or 1, NaN unknown. Attributes that no image is known to have
            take no part in macro.
        thresholds: one for all attributes, or shape (N,).

    Raises:
        ValueError: no label is present.
    """
    decided, present = (scores >= thresholds) & ~np.isnan(presence), presence == 1
    if not present.any():
        raise ValueError("no label is present")
    right = (decided & present).sum(axis=0)
    of_both = decided.sum(axis=0) + present.sum(axis=0)
    seen = present.any(axis=0)
    return F1(
        micro=float(2 * right.sum() / of_both.sum()),
        macro=float((2 * right[seen] / of_both[seen]).mean()),
    )
