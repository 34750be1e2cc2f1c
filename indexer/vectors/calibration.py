"""How fast and how well an index searches on this machine: the cost model of its manifest.

Measured with rows of the index that took no part in training, through filters of several sizes:
one that passes rows at random, and for each of some queries one that passes the rows most alike
to it, and one that passes those least alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from indexer.approximation import NEAREST, Approximation, Measured, Plan
from indexer.selection import Mask, Selection
from indexer.vectors.exact import Found
from indexer.vectors.inverted import Inverted
from indexer.vectors.search import Vectors

SHARES = (0.001, 0.01, 0.1, 0.5, 1.0)
"""Of the rows, that the filters pass."""
RECALL = 0.98
_TRIED = ((64, 4), (128, 6), (256, 10), (512, 10), (1024, 20), (2048, 40), (4096, 80))
"""Rows compared at first, and candidates compared exactly for each row that is wanted."""
_TIMED = 9
_OWN = 10
"""Queries that have filters of their own."""
_SEED = 0


@dataclass(frozen=True)
class _Filter:
    """Rows that pass; queries; how alike the nearest of them are to each; float32 (Q, 10) or less.

    No `Selection`, which keeps the order of the lists of the first index that it is searched in.
    """

    mask: Mask
    queries: slice
    nearest: NDArray[np.float32]


@dataclass(frozen=True)
class _Size:
    """Filters that pass as many rows, by kind; the first kind is at random.

    And milliseconds of exact searches through it, one at a time, and in a batch.
    """

    rows: int
    kinds: tuple[tuple[_Filter, ...], ...]
    exact: float
    batch: float


class Probes:
    """Queries with filters, and what exact searches find with them."""

    def __init__(self, flat: Vectors, held_out: NDArray[np.int64]) -> None:
        """Take the rows of the index to search for."""
        self._flat = flat
        self._held_out = held_out
        self._queries = flat.take(held_out)

    def measured(self, index: Inverted, unmeasured: Approximation) -> Approximation | None:
        """Return what is to be said of an index; None if it is seldom right, or no faster.

        Args:
            index: of the same vectors, in memory.
            unmeasured: what is known of it.
        """
        for first, rerank in _TRIED:
            known = replace(unmeasured, first=first, rerank=rerank)
            vectors = self._flat.beside(index, known)
            recalls = [self._recall(vectors, size) for size in self._sizes]
            if min(recalls) < RECALL:
                continue
            measured = tuple(
                Measured(
                    size.rows,
                    size.exact,
                    size.batch,
                    self.milliseconds(vectors, size.kinds[0][0], Plan(known.kind)),
                    recall,
                )
                for size, recall in zip(self._sizes, recalls, strict=True)
            )
            if measured[-1].lists >= measured[-1].exact:
                return None
            return replace(known, queries=len(self._queries), measured=measured)
        return None

    @cached_property
    def _sizes(self) -> list[_Size]:
        total = self._flat.rows
        at_random = np.random.default_rng(_SEED).permutation(total)
        alike = [self._alike(query) for query in self._queries[:_OWN]]
        sizes = []
        for rows in sorted({max(round(share * total), 1) for share in SHARES}):
            everyone = slice(len(self._queries))
            mask = Selection.of(at_random[:rows], total).mask
            start = perf_counter()
            any_row = self._filter(mask, everyone)
            batch = 1000 * (perf_counter() - start) / len(self._queries)
            kinds: list[tuple[_Filter, ...]] = [(any_row,)]
            for orders in (alike, [each[::-1] for each in alike]) if rows < total else ():
                masks = [Selection.of(order[:rows], total).mask for order in orders]
                own = (self._filter(each, slice(i, i + 1)) for i, each in enumerate(masks))
                kinds.append(tuple(own))
            exact = self.milliseconds(self._flat, any_row)
            sizes.append(_Size(rows, tuple(kinds), exact, batch))
        return sizes

    def milliseconds(self, vectors: Vectors, through: _Filter, plan: Plan | None = None) -> float:
        """Return the least time of one search, the listing of the rows that pass included."""
        mask = through.mask
        listed = vectors.lists.listed(mask) if plan else mask
        times = []
        for query in self._queries[:_TIMED]:
            among = Selection(mask, lambda: listed)  # one that has not listed its rows yet
            start = perf_counter()
            vectors.search(query[np.newaxis], NEAREST, among, plan)
            times.append(perf_counter() - start)
        return 1000 * min(times)  # what else the machine does only adds to it

    def _recall(self, vectors: Vectors, size: _Size) -> float:
        """Return the least of the mean recalls through the kinds of filters."""
        return min(
            float(np.mean([self._share(vectors, each) for each in kind])) for kind in size.kinds
        )

    def _share(self, vectors: Vectors, through: _Filter) -> float:
        assert vectors.approximation is not None  # noqa: S101
        if not through.nearest.size:
            return 1.0
        found = vectors.search(
            self._queries[through.queries],
            NEAREST + 1,
            Selection(through.mask),
            Plan(vectors.approximation.kind),
        )
        # Rows as near as the tenth are as good as the tenth.
        others = self._others(found, through.queries)
        return float((others >= through.nearest[:, -1:]).mean())

    def _filter(self, mask: Mask, queries: slice) -> _Filter:
        found = self._flat.search(self._queries[queries], NEAREST + 1, Selection(mask))
        return _Filter(mask, queries, self._others(found, queries))

    def _others(self, found: Found, queries: slice) -> NDArray[np.float32]:
        """Leave out the row that is searched for; similarities, best first, float32 (Q, 10)."""
        rows, similarities = found
        itself = rows == self._held_out[queries, np.newaxis]
        # It does not pass, or more than 10 rows equal it: then the last one goes.
        itself[~itself.any(axis=1), -1] = True
        others: NDArray[np.float32] = similarities[~itself].reshape(len(rows), -1)
        return others

    def _alike(self, query: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return all rows, those most alike to a query first."""
        alike = self._flat.similarities(query, np.arange(self._flat.rows))
        return np.argsort(-alike, kind="stable")
