"""What hits shall look like: pictures brought to one vector and one set of attribute scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import UsageError
from indexer import Index

_MOST_PROBABLE = 10
"""Attributes that are looked at if a picture passes no threshold."""


@dataclass(frozen=True)
class Target:
    """A picture, or the mean of several, as an index sees it.

    Attributes:
        vector: float32 (D,), of length 1.
        scores: float32 (N,), probabilities of the attributes.
        rows: the rows of the index that it was made of, which are no hits.
    """

    vector: NDArray[np.float32]
    scores: NDArray[np.float32]
    rows: tuple[int, ...] = ()

    def attributes(self, thresholds: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the positions of the attributes that it has, most probable first."""
        order = np.argsort(-self.scores, kind="stable")
        has = order[self.scores[order] >= thresholds[order]]
        return has if len(has) else order[:_MOST_PROBABLE]


def rows_with(index: Index, ids: Iterable[int]) -> tuple[int, ...]:
    """Return the rows of images given by id.

    Raises:
        UsageError: there is no image with the id.
    """
    return tuple(index.row_of(each) for each in ids)


def stored(index: Index, row: int) -> Target:
    """Return an image of the index as a target."""
    scores = index.scores_of(row).astype(np.float32)
    vector = index.vectors_of(np.array([row]))[0]
    return Target(vector, (scores / 255).astype(np.float32), (row,))


def combined(positive: Sequence[Target], negative: Sequence[Target]) -> Target:
    """Return the mean of some targets less the mean of others.

    Vectors are brought back to length 1, and probabilities into [0, 1].

    Raises:
        UsageError: they cancel each other out.
    """
    vector = np.mean([each.vector for each in positive], axis=0)
    scores = np.mean([each.scores for each in positive], axis=0)
    if negative:
        vector = vector - np.mean([each.vector for each in negative], axis=0)
        scores = np.clip(scores - np.mean([each.scores for each in negative], axis=0), 0, 1)
    length = float(np.linalg.norm(vector))
    if length < 1e-6:
        raise UsageError("the images cancel each other out; leave one of them out")
    rows = tuple(row for each in (*positive, *negative) for row in each.rows)
    unit: NDArray[np.float32] = (vector / length).astype(np.float32)
    return Target(unit, scores.astype(np.float32), rows)
