"""What is known of an image says what its unknown labels are likely to be.

In much of CUB-200-2011 at large only the highest-numbered present value of a group is on
record, so lower-numbered values are unknown. Fully labelled images are looked at in the same
way, with their lower values hidden, and a logistic regression learns what was hidden from what
was not: how often the value goes with the highest of its group, what other groups have of the
same name (a bird with a black wing has black elsewhere), and every other label on record.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, logit
from torch.nn import functional as F

from finetag_model.labels import PRIOR_IMAGES
from finetag_model.vocabulary import Vocabulary

RIDGE = 30.0
"""Penalty of the squared weights of single labels; `benchmarks/unknown_labels.py` compares some."""

FOLDS = 10
LEAST = 1e-4
"""A counted probability is kept this far from 0 and 1: a few images exclude nothing."""

Labels = NDArray[np.float32]
Array = NDArray[np.float64]


def estimate_unknown(
    presence: Labels, reference: Labels, vocabulary: Vocabulary, ridge: float = RIDGE
) -> Labels:
    """Fill unknown labels below the highest present value of their group.

    Args:
        presence: float32 (M, N), NaN where unknown.
        reference: float32 (K, N), fully known labels of other images to learn from.
        vocabulary: says which positions form a group, and which values have one name.
        ridge: penalty of the weights.

    Returns:
        float32 (M, N) without NaN in every group whose highest present value is known, at
        least where all above it is; groups with no present value on record stay as they are.
    """
    counted = count_unknown(presence, reference, vocabulary)
    missing = np.isnan(presence) & ~np.isnan(counted)
    seen = lower_values_hidden(reference, vocabulary)
    if not missing.any() or not np.isnan(seen).any():
        return counted
    # An image that counted itself would make counts look more certain than they are.
    own = np.empty_like(seen)
    fold = np.arange(len(seen)) % FOLDS
    for number in range(FOLDS):
        mine = fold == number
        own[mine] = count_unknown(seen[mine], reference[~mine], vocabulary)
    shared, single = _fit(
        _shared_evidence(seen, own, vocabulary),
        _single_evidence(seen),
        reference,
        np.isnan(seen),
        ridge,
    )
    log_odds = _shared_evidence(presence, counted, vocabulary) @ shared
    log_odds += _single_evidence(presence) @ single
    return np.where(missing, expit(log_odds), presence).astype(np.float32)


def count_unknown(presence: Labels, reference: Labels, vocabulary: Vocabulary) -> Labels:
    """Fill unknown labels with P(value present | highest present value of its group), counted.

    Takes and returns what `estimate_unknown` does, which begins with it.
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


def lower_values_hidden(full: Labels, vocabulary: Vocabulary) -> Labels:
    """Return full labels as most images have them: NaN below the highest present of a group."""
    seen = full.copy()
    for positions in vocabulary.groups.values():
        columns = np.array(positions)
        below = np.arange(len(columns)) < _highest_present(full[:, columns])[:, None]
        seen[:, columns] = np.where(below, np.nan, full[:, columns])
    return seen


def _fit(
    shared: Array, single: Array, reference: Labels, hidden: NDArray[np.bool_], ridge: float
) -> tuple[Array, Array]:
    """Return the weights of evidence (S) that all labels share and of single labels (E, N)."""
    x, z, y, mask = (torch.from_numpy(each) for each in (shared, single, reference, hidden))
    as_counted = torch.zeros(x.shape[2], dtype=x.dtype)
    as_counted[0] = 1.0
    weights = as_counted.clone()
    of_single = torch.zeros(z.shape[1], y.shape[1], dtype=z.dtype)
    parameters = [weights.requires_grad_(), of_single.requires_grad_()]
    optimizer = torch.optim.LBFGS(parameters, max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        log_odds = x @ weights + z @ of_single
        losses = F.binary_cross_entropy_with_logits(log_odds, y.to(x.dtype), reduction="none")
        total = losses[mask].sum() + ridge / 2 * of_single.square().sum()
        # With next to no images, what was counted stands.
        total = total + (weights - as_counted).square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach().numpy(), of_single.detach().numpy()


def _shared_evidence(seen: Labels, counted: Labels, vocabulary: Vocabulary) -> Array:
    """Return (M, N, S): counted log-odds, a constant, and what values of the same name say."""
    values = np.array([vocabulary.value(position) for position in range(len(vocabulary))])
    alike = (values[:, None] == values).astype(np.float64)
    np.fill_diagonal(alike, 0)
    present, absent = ((seen == label).astype(np.float64) @ alike for label in (1, 0))
    has_namesakes = np.broadcast_to(alike.any(axis=0), present.shape)
    odds = logit(np.nan_to_num(counted, nan=0.5).astype(np.float64).clip(LEAST, 1 - LEAST))
    evidence = (odds, np.ones_like(odds), np.log1p(present), np.log1p(absent), has_namesakes)
    return np.stack(evidence, axis=-1)


def _single_evidence(seen: Labels) -> Array:
    """Return (M, 2 N): which labels are present on record, and which are absent."""
    return np.concatenate([seen == 1, seen == 0], axis=1).astype(np.float64)


def _highest_present(labels: Labels) -> NDArray[np.int64]:
    """Return per row the last column that holds 1, or -1."""
    present = labels == 1
    last = labels.shape[1] - 1 - present[:, ::-1].argmax(axis=1)
    return np.where(present.any(axis=1), last, -1)
