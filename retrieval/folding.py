"""A page of hits that shows each thing once: near duplicates, or a group, folded into the best.

What counts as a near duplicate is the rule of `indexer.near_duplicates`; there, whole catalogues
are grouped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer import Index
from retrieval.ranking import Ranker, Ranking, Rows
from retrieval.where import Names

Kept = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Places in a ranking that are shown, and how many others each stands for."""


@dataclass(frozen=True)
class Folded:
    """What is left of a ranking.

    Attributes:
        ranking: the best of each.
        others: int64 (n,), how many others each stands for.
    """

    ranking: Ranking
    others: NDArray[np.int64]


def unfolded(ranker: Ranker, number: int) -> Folded:
    """Return the best rows as they are."""
    ranking = ranker.top(number)
    return Folded(ranking, np.zeros(len(ranking.rows), dtype=np.int64))


def fold(ranker: Ranker, number: int, total: int, keep: Callable[[Rows], Kept]) -> Folded:
    """Take the best rows of different things.

    Args:
        ranker: asked for more and more until enough are different.
        number: how many are wanted.
        total: how many rows there are to rank.
        keep: says which of some rows, best first, are shown.
    """
    fetch = number
    while True:
        fetch = min(2 * fetch, total)
        ranking = ranker.top(fetch)
        kept, others = keep(ranking.rows)
        if len(kept) >= number or fetch == total:
            return Folded(ranking.only(kept[:number]), others[:number])


def unlike(index: Index) -> Callable[[Rows], Kept]:
    """Keep rows of which no two are near duplicates; counted are those that were looked at."""
    from indexer.near_duplicates import are_alike  # noqa: PLC0415  (brings SciPy)

    def keep(rows: Rows) -> Kept:
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

    return keep


class Groups:
    """The rows that pass a filter, by a field or a group of attributes."""

    def __init__(self, index: Index, name: str, rows: Rows) -> None:
        """Find the group of each row.

        Args:
            index: the index.
            name: an imported field (rows are grouped by its text, all of its texts, or its number,
                and those without it are one group), or a group of attributes (by its most
                probable value).
            rows: int64 (n,), ascending.

        Raises:
            UsageError: there is no such field or group of attributes.
        """
        self._rows = rows
        vocabulary = index.manifest.vocabulary
        known, is_group = Names(vocabulary, index.columns).either(name)
        if is_group:
            positions = vocabulary.groups[known]
            scores = np.stack([index.scores(each)[rows] for each in positions])
            self._labels: list[str | float | None] = [vocabulary.value(at) for at in positions]
            self._groups = scores.argmax(axis=0)
        else:
            numbers = index.columns.numbers(known)[rows]
            texts = index.columns.texts(known)
            different, of_numbers = np.unique(numbers, return_inverse=True)  # NaN is one of them
            labels = [None if np.isnan(each) else float(each) for each in different]
            held = (each if isinstance(each, str) else ", ".join(each) for each in texts.held)
            self._labels = [*labels, *held]
            coded = texts.codes[rows]
            self._groups = np.where(coded >= 0, coded + len(labels), of_numbers)
        self._sizes = np.bincount(self._groups, minlength=len(self._labels))

    def keep(self, rows: Rows) -> Kept:
        """Keep the best of each group; counted are all that pass."""
        groups = self._of(rows)
        places = np.sort(np.unique(groups, return_index=True)[1])
        return places, self._sizes[groups[places]] - 1

    def labels(self, rows: Rows) -> list[str | float | None]:
        """Return the value by which each row is grouped; None: it has none."""
        return [self._labels[group] for group in self._of(rows)]

    def _of(self, rows: Rows) -> NDArray[np.int64]:
        groups: NDArray[np.int64] = self._groups[np.searchsorted(self._rows, rows)]
        return groups
