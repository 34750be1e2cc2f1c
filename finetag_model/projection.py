"""The visual vector: the descriptor, 10,240 floats of FineTag, brought down to D by a PCA.

Fitted once at training time and stored in the checkpoint. The descriptor itself is never stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA


@dataclass(frozen=True)
class Projection:
    """What a checkpoint stores of it: visual = normalise(components (descriptor - mean)).

    Attributes:
        mean: float32 (F,).
        components: float32 (D, F), orthonormal rows in the order of falling variance.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]


def fit_projection(descriptors: NDArray[np.float32], dim: int, seed: int = 0) -> Projection:
    """Fit a PCA of `dim` components to descriptors (M, F) of length 1; M must be at least dim."""
    pca = PCA(n_components=dim, svd_solver="randomized", random_state=seed).fit(descriptors)
    return Projection(
        np.asarray(pca.mean_, dtype=np.float32), np.asarray(pca.components_, dtype=np.float32)
    )
