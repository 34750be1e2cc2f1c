"""The visual vector: the descriptor, 10,240 floats of FineTag, brought down to D by a PCA.

Fitted once at training time and stored in the checkpoint. The descriptor itself is never stored.
The PCA is whitened half way: its first components say what is common, such as the background,
and drown the others; divided by their whole deviation, the last ones would be noise made large.
`benchmarks/lookalikes.py` measures lengths and powers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Projection:
    """What a checkpoint stores of it: visual = normalise(components (descriptor - mean)).

    Attributes:
        mean: float32 (F,).
        components: float32 (D, F), orthogonal rows in the order of falling variance.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]


WHITENING = 0.5
"""The power of its deviation that each component is divided by."""

_LEAST_DEVIATION = 1e-3
"""Of the largest; without it a component that does not vary would be divided by zero."""


def fit_projection(
    descriptors: NDArray[np.float32], dim: int, seed: int = 0, whitening: float = WHITENING
) -> Projection:
    """Fit a whitened PCA of `dim` components to descriptors (M, F) of length 1.

    Args:
        descriptors: float32; M must be at least `dim`.
        dim: D, the length of the visual vectors.
        seed: of the randomised decomposition.
        whitening: the power; 0 is the PCA itself, 1 makes all components vary alike. The first
            component keeps length 1: visual vectors are normalised, so only ratios matter.
    """
    from sklearn.decomposition import PCA  # noqa: PLC0415  (takes seconds; searches need none)

    with np.errstate(invalid="ignore"):  # shares of a variance of zero, which are not used
        pca = PCA(n_components=dim, svd_solver="randomized", random_state=seed).fit(descriptors)
    # Singular values are deviations but for a common factor, which is no matter here.
    deviation = pca.singular_values_
    relative = (deviation / (deviation[0] or 1)).clip(_LEAST_DEVIATION)
    components = pca.components_ / relative[:, None] ** whitening
    return Projection(
        np.asarray(pca.mean_, dtype=np.float32), np.asarray(components, dtype=np.float32)
    )
