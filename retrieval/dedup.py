"""Near duplicates folded into the best of them: a page of hits that shows each thing once.

What counts as a near duplicate is the rule of `indexer.near_duplicates`; there, whole catalogues
are grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from indexer.near_duplicates import are_alike


@dataclass(frozen=True)
class Ranking:
    """Rows of an index, best first.

    Attributes:
        rows: int64 of shape (n,).
        similarities: to the query, float32 of shape (n,); None without a query image.
    """

    rows: NDArray[np.int64]
    similarities: NDArray[np.float32] | None

    def only(self, which: NDArray[np.int64]) -> Ranking:
        """Return some of the rows, by their places in the ranking."""
        similarities = None if self.similarities is None else self.similarities[which]
        return Ranking(self.rows[which], similarities)


def fold(
    index: Index, rank: Callable[[int], Ranking], limit: int, total: int
) -> tuple[Ranking, list[int]]:
    """Take the best rows of which no two are near duplicates.

    Args:
        index: the index.
        rank: gives the best n rows; asked for more until enough are unlike.
        limit: how many are wanted.
        total: how many rows there are to rank.

    Returns:
        At most `limit` rows, and of each how many of the rows that were looked at are near
        duplicates of it and no better.
    """
    fetch = limit
    while True:
        fetch = min(2 * fetch, total)
        ranking = rank(fetch)
        kept, folded = _unlike(index, ranking.rows)
        if len(kept) >= limit or fetch == total:
            return ranking.only(kept[:limit]), folded[:limit].tolist()


def _unlike(index: Index, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of rows unlike all kept before, and how many each stands for."""
    kept: list[int] = []
    folded = np.zeros(len(rows), dtype=np.int64)
    for i, row in enumerate(rows):
        alike = are_alike(index, rows[kept], np.full(len(kept), row))
        if alike.any():
            folded[kept[int(alike.argmax())]] += 1
        else:
            kept.append(i)
    places = np.array(kept, dtype=np.int64)
    return places, folded[places]
