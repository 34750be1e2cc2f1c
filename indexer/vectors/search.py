"""Searching the vectors of a generation: exactly, or by way of inverted lists.

Either way every similarity returned is exact. Which way is better is told by `approximation`.
"""

from __future__ import annotations

import copy
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from finetag_model.cores import cores
from indexer.approximation import EXACT, MANY, Approximation, Plan
from indexer.selection import Selection
from indexer.vectors.exact import BLOCK, Found, nearest, parts, pool
from indexer.vectors.files import Faiss, read_flat
from indexer.vectors.inverted import Inverted
from indexer.vectors.lists import Lists

_ROUNDING = 1e-5
"""More than FAISS's float32 sums can be off for vectors of length 1."""
_SPARSE = 0.1
"""Share of the rows in lists below which those that pass are compared by their vectors; codes,
which lie side by side, are read ten times as fast."""
_PAGE = 1024
"""Floats between two that are touched."""
_CANDIDATES = 20
"""Rows for each one wanted that are compared by vectors, where all that pass are by codes."""
_FEW = 1024
"""Rows that are compared here and now, which takes less time than to have FAISS compare them."""
_FAR = 0.1
"""Share of the rows expected to pass near a query below which a filter is about what is far."""
_SPARE = 2
"""How many times as many lists are brought into order as a filter at random takes."""
_AT_LEAST = 16
"""Lists that are brought into order in any case."""


class Vectors:
    """Row vectors, memory-mapped: only what a search touches is read from the disk.

    Attributes:
        rows: how many there are.
        dim: the length D of each.
        approximation: what is known of the approximate index; None: there is none.
    """

    def __init__(
        self, path: Path, rows: int, dim: int, ivf: tuple[Path, Approximation] | None = None
    ) -> None:
        """Open the file written by `write_flat`, and perhaps the one written by `write_ivf`.

        Raises:
            ValueError: a file is not what it should be.
        """
        self.rows, self.dim = rows, dim
        self.approximation: Approximation | None = None
        self._flat: Faiss = read_flat(path, rows, dim)
        self._inverted: Inverted | None = None
        if ivf:
            file, self.approximation = ivf
            self._inverted = Inverted.open(file, rows, dim, self.approximation)

    def beside(self, inverted: Inverted, approximation: Approximation) -> Vectors:
        """Return the same vectors with an approximate index that is in memory."""
        made = copy.copy(self)
        made._inverted, made.approximation = inverted, approximation
        return made

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read the vectors of neighbouring rows; float32 (stop - start, D)."""
        vectors: NDArray[np.float32] = self._flat.reconstruct_n(start, stop - start)
        return vectors

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the vectors of these rows; float32 (number of rows, D)."""
        vectors: NDArray[np.float32] = self._flat.reconstruct_batch(rows)
        return vectors

    def similarities(
        self, query: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the similarity of each of these rows to a query; float32 (number of rows,)."""
        blocks = [self.take(rows[start:stop]) @ query for start, stop in parts(len(rows), BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty(0, dtype=np.float32)

    def preload(self) -> None:
        """Touch every page of what is mapped, so that no search waits for one."""
        faiss.rev_swig_ptr(self._flat.get_xb(), self.rows * self.dim)[::_PAGE].max(initial=0)
        if self._inverted:
            self._inverted.preload()

    @property
    def lists(self) -> Lists:
        """The rows by inverted list.

        Raises:
            ValueError: the approximate index is damaged, or there is none.
        """
        return self._approximate()[1].lists

    def _approximate(self) -> tuple[Approximation, Inverted]:
        if self.approximation is None or self._inverted is None:
            raise ValueError("there is no approximate index")
        return self.approximation, self._inverted

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        among: Selection | None = None,
        plan: Plan | None = None,
    ) -> Found:
        """Find each query's k best rows.

        Args:
            queries: float32 (Q, D), each of length 1.
            k: how many to find for each, at least 0.
            among: the rows that pass a filter; None: all.
            plan: how; None: without error. With another, now and then a worse row stands for
                one of the k best.

        Returns:
            Row numbers, int64, and similarities, float32; both of shape
            (Q, min(k, number of rows)), best first, of equals the smaller row first.

        Raises:
            ValueError: the approximate index is damaged, or there is none for this plan.
        """
        passing = self.rows if among is None else among.count
        k = min(k, passing)
        if not k or not len(queries):
            empty = np.empty((len(queries), k), dtype=np.int64)
            return empty, empty.astype(np.float32)
        if plan is None or plan.kind == EXACT:
            found = self._exactly(queries, k, None if among is None else among.rows)
        else:
            found = [self._in_lists(query, k, among, plan) for query in queries]
        return np.stack([rows for rows, _ in found]), np.stack([each for _, each in found])

    def _exactly(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None
    ) -> list[Found]:
        if rows is not None and len(rows) <= _FEW and len(queries) < MANY:
            return [self._rank(query, k, rows) for query in queries]
        # FAISS returns any of those that are equal, and rounds equal vectors differently
        # depending on where they lie. So fetch all that may be equal to the last, and order
        # them by sums in double precision.
        fetch = min(k + 8, self.rows if rows is None else len(rows))
        best = nearest(self._flat, queries, fetch, rows)
        return [
            self._settled(query, k, rows, candidates, rough)
            for query, candidates, rough in zip(queries, *best, strict=True)
        ]

    def _settled(
        self,
        query: NDArray[np.float32],
        k: int,
        rows: NDArray[np.int64] | None,
        candidates: NDArray[np.int64],
        rough: NDArray[np.float32],
    ) -> Found:
        fetch, passing = len(candidates), self.rows if rows is None else len(rows)
        while fetch < passing and rough[-1] >= rough[k - 1] - 2 * _ROUNDING:
            fetch = min(4 * fetch, passing)
            found, similarities = nearest(self._flat, query[np.newaxis], fetch, rows)
            candidates, rough = found[0], similarities[0]
        return self._rank(query, k, candidates)

    def _in_lists(
        self, query: NDArray[np.float32], k: int, among: Selection | None, plan: Plan
    ) -> Found:
        """Compare the rows that pass in the lists nearest to the query, until no more are better.

        So many lists are brought into order as are enough for most filters, or else all.
        """
        known, inverted = self._approximate()
        if plan.kind != known.kind:
            raise ValueError(f"there is no approximate index for the plan {plan.kind}")
        turned = inverted.turned(query)
        total = self.rows if among is None else among.count
        enough = int(_SPARE * 2 * known.first_of(k) * known.nlist / total) + _AT_LEAST
        for number in (enough, known.nlist) if 2 * enough < known.nlist else (known.nlist,):
            if found := self._in_nearest(query, turned, k, among, number):
                return found
        raise ValueError("the approximate index is damaged")

    def _in_nearest(
        self,
        query: NDArray[np.float32],
        turned: NDArray[np.float32],
        k: int,
        among: Selection | None,
        number: int,
    ) -> Found | None:
        """Do the same in so many lists, the nearest; None if there are too few to tell.

        Looked at are first twice as many rows as were found to be enough, then as many as all
        before, again and again, until the later half has none of the best. Where a filter lets
        next to nothing near the query pass, the best of the rest are about equally far from it,
        in lists on all sides: then all that pass are compared.
        """
        known, inverted = self._approximate()
        lists = inverted.lists
        order, distances = inverted.nearest(turned, number)
        listed = lists.everything if among is None else among.listed(lists.listed)
        counts = lists.sizes[order] if among is None else lists.counts(listed, order)
        covered = np.cumsum(counts)
        total = self.rows if among is None else among.count
        is_all = number == known.nlist
        if is_all and covered[-1] != total:
            return None
        first = known.first_of(k)
        last = int(np.searchsorted(covered, first))
        if last == len(order):
            if not is_all:
                return None
            last -= 1
        expected = lists.sizes[order[: last + 1]].sum() / self.rows * total
        if among is not None and covered[last] < _FAR * expected:
            return self._all_that_pass(query, turned, k, among)
        there = counts > 0
        order, distances, covered = order[there], distances[there], covered[there]

        def look(some: slice) -> Found:
            passing = int(covered[some][-1]) - (int(covered[some.start - 1]) if some.start else 0)
            if passing < _SPARSE * lists.sizes[order[some]].sum():
                rows = lists.passing(listed, order[some])
                return self._exactly(query[np.newaxis], min(k, len(rows)), rows)[0]
            fetch = min(k * known.rerank, passing)
            rows, _ = inverted.by_codes(turned, order[some], distances[some], fetch, among)
            return self._rank(query, k, rows)

        best: Found = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        start, half = 0, int(np.searchsorted(covered, first)) + 1
        while start < len(order):
            seen = int(covered[min(half, len(order)) - 1])
            stop = int(np.searchsorted(covered, 2 * seen)) + 1
            if stop > len(order) and not is_all:
                return None
            best = _merged(k, best, look(slice(start, stop)))
            early = np.zeros(known.nlist, dtype=np.bool_)
            early[order[:half]] = True
            if len(best[0]) == k and early[lists.of[best[0]]].all():
                break
            start = half = stop
        return best if len(best[0]) == k and (is_all or start < len(order)) else None

    def _all_that_pass(
        self,
        query: NDArray[np.float32],
        turned: NDArray[np.float32],
        k: int,
        among: Selection,
    ) -> Found:
        """Compare all rows that pass: many by their codes, as long as these tell them apart."""
        known, inverted = self._approximate()
        fetch = _CANDIDATES * k
        if among.count >= max(_SPARSE * self.rows, 4 * fetch):
            order, distances = inverted.nearest(turned, known.nlist)
            found = pool().map(
                lambda at: inverted.by_codes(
                    turned, order[at :: cores()], distances[at :: cores()], fetch, among
                ),
                range(cores()),
            )
            rows, rough = zip(*found, strict=True)
            least = min((each[-1] for each in rough if len(each) == fetch), default=np.inf)
            candidates = np.concatenate(rows)
            exact = 2 - 2 * np.vecdot(self.take(candidates), query)
            error = float(np.abs(exact - np.concatenate(rough)).max())
            # What was not fetched is no nearer than that, if codes are not further off for it.
            if least - error > np.partition(exact, k - 1)[k - 1]:
                return self._rank(query, k, candidates)
        return self._exactly(query[np.newaxis], k, among.rows)[0]

    def _rank(self, query: NDArray[np.float32], k: int, candidates: NDArray[np.int64]) -> Found:
        vectors = self.take(candidates)
        if len(candidates) > 2 * k:
            rough = np.vecdot(vectors, query)
            least = np.partition(rough, len(rough) - k)[len(rough) - k]
            near = rough >= least - 2 * _ROUNDING
            candidates, vectors = candidates[near], vectors[near]
        exact = (vectors.astype(np.float64) * query).sum(axis=1).astype(np.float32)
        best = np.lexsort((candidates, -exact))[:k]
        return candidates[best], exact[best]


def _merged(k: int, one: Found, two: Found) -> Found:
    rows = np.concatenate([one[0], two[0]])
    similarities = np.concatenate([one[1], two[1]])
    best = np.lexsort((rows, -similarities))[:k]
    return rows[best], similarities[best]
