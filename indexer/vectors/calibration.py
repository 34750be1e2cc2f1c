"""How fast and how well an index searches on this machine: the cost model of its manifest.

Measured with rows of the index that took no part in training, through filters of several sizes:
one that passes rows at random, one that passes those most alike to one row, and one that passes
those least alike to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from indexer.approximation import FLAT, NEAREST, Approximation, Measured, Plan
from indexer.selection import Mask, Selection
from indexer.vectors.files import Faiss
from indexer.vectors.search import Found, Vectors

SHARES = (0.001, 0.01, 0.1, 1.0)
"""Of the rows, that the filters pass."""
RECALL = 0.98
_MOST = 1 << 13
"""Rows compared at first, at most."""
_TIMED = 9
_BLOCK = 1 << 14
_SEED = 0


@dataclass(frozen=True)
class _Filter:
    """Some rows, and how alike the nearest of them are to each query; float32 (Q, 10) or less."""

    mask: Mask
    nearest: NDArray[np.float32]


@dataclass(frozen=True)
class _Size:
    """Filters that pass as many rows, the one at random first; milliseconds of exact searches."""

    rows: int
    filters: tuple[_Filter, ...]
    exact: float
    batch: float


class Probes:
    """Queries with filters, and what exact searches find with them."""

    def __init__(self, flat: Vectors, held_out: NDArray[np.int64]) -> None:
        """Take the rows of the index to search for."""
        self._flat = flat
        self._held_out = held_out
        self._queries = flat.take(held_out)

    def measured(self, index: Faiss, approximation: Approximation) -> Approximation | None:
        """Return what is to be said of an index; None if it is seldom right, or no faster.

        Args:
            index: of the same vectors, in memory.
            approximation: all but what is measured; `first` is the least that is tried.
        """
        first = approximation.first
        while first <= _MOST:
            vectors = self._flat.beside(index, replace(approximation, first=first))
            measured = tuple(self._measure(vectors, size) for size in self._sizes)
            if min(min(each.lists_recall, each.codes_recall) for each in measured) >= RECALL:
                all_rows = measured[-1]
                if min(all_rows.lists, all_rows.codes) >= all_rows.exact:
                    return None
                queries = len(self._queries)
                return replace(approximation, first=first, queries=queries, measured=measured)
            first *= 2
        return None

    @cached_property
    def _sizes(self) -> list[_Size]:
        total = self._flat.rows
        at_random = np.random.default_rng(_SEED).permutation(total)
        alike = np.argsort(-self._similarities(self._queries[0]), kind="stable")
        sizes = []
        for share in SHARES:
            rows = max(round(share * total), 1)
            orders = [at_random, alike, alike[::-1]] if rows < total else [at_random]
            masks = [Selection.of(order[:rows], total).mask for order in orders]
            start = perf_counter()
            filters = tuple(self._filter(each) for each in masks)
            batch = 1000 * (perf_counter() - start) / len(filters) / len(self._queries)
            sizes.append(_Size(rows, filters, self.milliseconds(self._flat, filters[0]), batch))
        return sizes

    def milliseconds(self, vectors: Vectors, through: _Filter, plan: Plan | None = None) -> float:
        """Return the median time of one search, the listing of the rows that pass included."""
        mask = through.mask
        listed = vectors.lists.listed(mask) if plan else mask
        times = []
        for query in self._queries[:_TIMED]:
            among = Selection(mask, lambda: listed)  # one that has not listed its rows yet
            start = perf_counter()
            vectors.search(query[np.newaxis], NEAREST, among, plan)
            times.append(perf_counter() - start)
        return 1000 * median(times)

    def _measure(self, vectors: Vectors, size: _Size) -> Measured:
        assert vectors.approximation is not None  # noqa: S101
        lists, codes = Plan(FLAT), Plan(vectors.approximation.kind)
        return Measured(
            rows=size.rows,
            exact=size.exact,
            batch=size.batch,
            lists=self.milliseconds(vectors, size.filters[0], lists),
            codes=self.milliseconds(vectors, size.filters[0], codes),
            lists_recall=min(self._recall(vectors, each, lists) for each in size.filters),
            codes_recall=min(self._recall(vectors, each, codes) for each in size.filters),
        )

    def _recall(self, vectors: Vectors, through: _Filter, plan: Plan) -> float:
        among = Selection(through.mask)  # a new one: it keeps the order of one index's lists
        found = vectors.search(self._queries, NEAREST + 1, among, plan)
        if not through.nearest.size:
            return 1.0
        # Rows as near as the tenth are as good as the tenth.
        return float((self._others(found) >= through.nearest[:, -1:]).mean())

    def _filter(self, mask: Mask) -> _Filter:
        found = self._flat.search(self._queries, NEAREST + 1, Selection(mask))
        return _Filter(mask, self._others(found))

    def _others(self, found: Found) -> NDArray[np.float32]:
        """Leave out the row that is searched for; similarities, best first, float32 (Q, 10)."""
        rows, similarities = found
        itself = rows == self._held_out[:, np.newaxis]
        # It does not pass, or more than 10 rows equal it: then the last one goes.
        itself[~itself.any(axis=1), -1] = True
        others: NDArray[np.float32] = similarities[~itself].reshape(len(rows), -1)
        return others

    def _similarities(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        starts = range(0, self._flat.rows, _BLOCK)
        blocks = (self._flat.read(at, min(at + _BLOCK, self._flat.rows)) for at in starts)
        return np.concatenate([block @ query for block in blocks])
