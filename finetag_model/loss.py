"""The losses: log-sum-exp pairwise ranking (paper, Eq. 1) in closed form, and cross-entropy.

The paper's loss of one image with logits f, present labels Y and absent labels not in Y is

    log(1 + sum over v not in Y, u in Y of exp(f_v - f_u)),

a sum over |Y| (N - |Y|) pairs. The sum of products is a product of sums, so the same value is

    softplus(logsumexp over v not in Y of f_v  +  logsumexp over u in Y of -f_u),

which is exact, takes O(N) time and memory, and never overflows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def lsep_loss(logits: Tensor, presence: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean loss of a batch as a scalar.

    Args:
        logits: float, shape (B, N).
        presence: float, shape (B, N): the probability that an attribute is present, 1 and 0
            where it is known, NaN where it is unknown. A label in between takes part on
            both sides: each pair counts with the probability that its order is as assumed.
        weight: float, shape (B, N), not negative: how much a label counts (a certainty);
            None counts all known labels fully.

    An unknown label takes part in neither sum. An image without a present or without an
    absent label has no pair and a loss of 0.
    """
    known = ~presence.isnan()
    # Logarithms of the weights on the two sides; -inf takes a label out of a sum. The loss
    # is always computed in float32 at least: exp() of half-precision logits would overflow.
    logits = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    present = torch.where(known, presence, 0).to(logits.dtype)
    absent = torch.where(known, 1 - presence, 0).to(logits.dtype)
    if weight is not None:
        present, absent = present * weight, absent * weight
    above = _log_weighted_sum(-logits, present)
    below = _log_weighted_sum(logits, absent)
    has_pair = (present > 0).any(1) & (absent > 0).any(1)
    # Images without a pair are set to 0 before softplus: -inf would make their gradient NaN.
    exponent = torch.where(has_pair, above + below, 0)
    losses = torch.where(has_pair, F.softplus(exponent), 0)
    return losses.mean()


def presence_loss(logits: Tensor, presence: Tensor) -> Tensor:
    """Return the binary cross-entropy summed over an image's known labels, mean over the batch.

    The ranking loss only orders the attributes within an image; filters compare one attribute
    across images. A small share of this loss makes logits comparable there too.

    Args:
        logits: float, shape (B, N).
        presence: float, shape (B, N), as in `lsep_loss`.
    """
    known = ~presence.isnan()
    target = torch.where(known, presence, 0)
    losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return torch.where(known, losses, 0).sum(1).mean()


def _log_weighted_sum(values: Tensor, weights: Tensor) -> Tensor:
    """Return log(sum_i weights_i exp(values_i)) over the last axis, finite for any weights."""
    lowest = torch.finfo(values.dtype).min / 4
    terms = torch.where(weights > 0, values + weights.clamp_min(1e-30).log(), lowest)
    return terms.logsumexp(1)
