"""How well nearest neighbours agree in class: Recall@K and MAP@R, exact.

Both as in Musgrave, Belongie and Lim 2020, "A Metric Learning Reality Check": every vector is a
query against all the others, and R is the number of the others that share the query's class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 512
"""Queries compared at a time; bounds the memory to a few arrays of BLOCK x M."""


@dataclass(frozen=True)
class RetrievalMetrics:
    """Averages over the queries.

    Attributes:
        recall: by K, the share of queries with one of their class among the K nearest.
        map_at_r: mean average precision at R, which is 1 only if the R nearest are all of the
            query's class; (1 / R) times the sum over ranks i = 1..R of the precision at i where
            the i-th nearest is of the class, 0 where it is not.
        queries: how many there were.
    """

    recall: Mapping[int, float]
    map_at_r: float
    queries: int


def evaluate_retrieval(
    vectors: NDArray[np.floating], classes: NDArray[np.integer], ks: Sequence[int] = (1, 2, 4, 8)
) -> RetrievalMetrics:
    """Rank all other vectors by inner product, for each in turn, and measure.

    Among equal inner products those of other classes come first, so that neither the order of
    the rows nor vectors that are all alike can flatter the figures.

    Args:
        vectors: shape (M, D); of length 1 if cosine similarity is meant.
        classes: shape (M,). An only image of its class is no query, but may be found.
        ks: the K of Recall@K.

    Raises:
        ValueError: no class has two images.
    """
    _, of_class, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    relevant = sizes[of_class] - 1  # R of each row
    queries = np.flatnonzero(relevant)
    if not len(queries):
        raise ValueError("no class has two images")
    depth = min(len(classes) - 1, max(*ks, int(relevant.max())))
    ranks = np.arange(1, depth + 1)
    found_within = np.zeros(len(ks))
    precision_sum = 0.0
    for start in range(0, len(queries), BLOCK):
        rows = queries[start : start + BLOCK]
        similarity = vectors[rows] @ vectors.T
        same = of_class[rows][:, None] == of_class
        # The query itself comes last, behind everything that can be found.
        similarity[np.arange(len(rows)), rows] = -np.inf
        order = np.lexsort((same, -similarity))[:, :depth]
        hits = np.take_along_axis(same, order, axis=1)
        found_within += [hits[:, :k].any(axis=1).sum() for k in ks]
        r = relevant[rows][:, None]
        precision = hits.cumsum(axis=1) / ranks
        precision_sum += float((precision * hits * (ranks <= r) / r).sum())
    return RetrievalMetrics(
        recall={k: float(n / len(queries)) for k, n in zip(ks, found_within, strict=True)},
        map_at_r=precision_sum / len(queries),
        queries=len(queries),
    )
