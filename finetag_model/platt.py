"""Fitting the calibration: probabilities and thresholds from images nothing was trained on.

Platt scaling (Platt 1999): p = sigmoid(slope f + offset) per attribute. Few images have a rare
attribute, so that each slope and offset is drawn towards one common to all, the more the less
attributes are found to differ. The threshold is the one of highest F1 on the same images.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch import Tensor
from torch.nn import functional as F

from finetag_model.calibration import Calibration

Array = NDArray[np.float64]

ROUNDS = 5
"""Of fitting how far attributes deviate from what is common to them."""


def fit_calibration(logits: NDArray[np.float32], presence: NDArray[np.float32]) -> Calibration:
    """Fit slopes, offsets and thresholds on images the network was not trained on.

    Args:
        logits: float32 (M, N).
        presence: float32 (M, N), probability that the attribute is present, NaN unknown.
            A label in between counts as present and absent in proportion.
    """
    known = ~np.isnan(presence)
    f, p = logits.astype(np.float64), np.where(known, presence, 0).astype(np.float64)
    slope, offset = np.zeros((2, presence.shape[1]))
    scale = f[known].std() if known.any() else 0.0
    if scale > 0:
        center = f[known].mean()
        slope, offset = _fit_sigmoids((f - center) / scale, p, known)
        slope, offset = slope / scale, offset - slope / scale * center
    # Where a higher logit does not mean more likely: the smoothed frequency, whatever the logit.
    frequency = (p.sum(axis=0) + 0.5) / (known.sum(axis=0) + 1)
    offset = np.where(slope > 0, offset, logit(frequency))
    slope = slope.clip(0)
    columns = zip(expit(slope * f + offset).T, p.T, known.T, strict=True)
    thresholds = [_best_f1_threshold(scores[some], truth[some]) for scores, truth, some in columns]
    return Calibration(*(np.array(each, dtype=np.float32) for each in (slope, offset, thresholds)))


def _fit_sigmoids(f: Array, p: Array, known: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Return slopes and offsets (N,), drawn towards a slope and an offset common to all.

    How strongly is learned, too: the deviations from what is common are taken for normal, and
    their variances are fitted by expectation maximisation with Laplace's approximation.
    """
    x, y, mask = (torch.from_numpy(each) for each in (f, p, known))
    design = torch.stack([x, torch.ones_like(x)])
    variance = torch.ones(2, 1, dtype=x.dtype)
    for _ in range(ROUNDS):
        common, own = _most_likely(design, y, mask, variance)
        likely = torch.sigmoid(((common + own)[:, None] * design).sum(0))
        information = (likely * (1 - likely) * mask * design.square()).sum(1)
        variance = (own.square() + 1 / (information + 1 / variance)).mean(1, keepdim=True)
    slope, offset = (common + own).numpy()
    return slope, offset


def _most_likely(
    design: Tensor, y: Tensor, mask: Tensor, variance: Tensor
) -> tuple[Tensor, Tensor]:
    """Return what is common (2, 1) and each attribute's deviation from it (2, N)."""
    common, own = (torch.zeros(2, n, dtype=y.dtype, requires_grad=True) for n in (1, y.shape[1]))
    optimizer = torch.optim.LBFGS(
        [common, own], max_iter=200, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        z = ((common + own)[:, None] * design).sum(0)
        losses = F.binary_cross_entropy_with_logits(z, y, reduction="none")
        penalty = (own.square() / variance).sum() + common.square().sum()
        total = losses[mask].sum() + penalty / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return common.detach(), own.detach()


def _best_f1_threshold(scores: Array, presence: Array) -> float:
    if presence.sum() < 1:
        return 0.5  # nothing to be found
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    f1 = 2 * presence[order].cumsum() / (np.arange(1, len(ranked) + 1) + presence.sum())
    f1[:-1][ranked[:-1] == ranked[1:]] = 0  # a threshold cannot cut between equal scores
    last = int(f1.argmax())
    below = ranked[last + 1] if last + 1 < len(ranked) else ranked[last]
    return float((ranked[last] + below) / 2)
