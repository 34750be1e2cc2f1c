"""Searching the vectors of a generation: exactly, or by way of an approximate index.

Either way every similarity returned is exact. Which way is better is the caller's business.
"""

from __future__ import annotations

import copy
import math
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.approximation import NEAREST, Approximation
from indexer.vectors.files import Faiss, inner, read_flat, read_lists

_ROUNDING = 1e-5
"""More than FAISS's float32 sums can be off for vectors of length 1."""


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
        self._ivf: Faiss = None
        if ivf:
            file, self.approximation = ivf
            self._ivf = read_lists(file, dim, self.approximation.kind, self.approximation.nlist)
            if self._ivf.ntotal != rows:
                raise ValueError(f"it holds {self._ivf.ntotal:,} rows instead of {rows:,}")

    def beside(self, ivf: Faiss, approximation: Approximation) -> Vectors:
        """Return the same vectors with an approximate index that is in memory."""
        made = copy.copy(self)
        made._ivf, made.approximation = ivf, approximation
        return made

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Read the vectors of neighbouring rows; float32 (stop - start, D)."""
        vectors: NDArray[np.float32] = self._flat.reconstruct_n(start, stop - start)
        return vectors

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the vectors of these rows; float32 (number of rows, D)."""
        vectors: NDArray[np.float32] = self._flat.reconstruct_batch(rows)
        return vectors

    def search(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find each query's k best rows among `rows`, without error.

        Args:
            queries: float32 (Q, D), each of length 1.
            k: how many to find for each, at least 0.
            rows: int64, ascending; None: all.

        Returns:
            Row numbers, int64, and similarities, float32; both of shape
            (Q, min(k, number of rows)), best first, of equals the smaller row first.
        """
        among = self.rows if rows is None else len(rows)
        k = min(k, among)
        found, similarities = _empty(len(queries), k)
        if k:
            for i, query in enumerate(queries):
                found[i], similarities[i] = self._search_exactly(query, k, among, rows)
        return found, similarities

    def search_approximate(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Do as `search`, faster, but now and then a worse row stands for one of the k best.

        The similarities are those of the rows returned, as `search` would give them, and as
        many rows are returned. Exact where there is no approximate index, or it would have to
        be read to the end.

        Raises:
            ValueError: the approximate index is damaged.
        """
        among = self.rows if rows is None else len(rows)
        k = min(k, among)
        known = self.approximation
        if known is None or not 0 < k * known.rerank < among:
            return self.search(queries, k, rows)
        # The nearest lie in so many more lists the more are wanted and the fewer pass.
        more = max(k // NEAREST, 1) * self.rows / among
        nprobe = math.ceil(known.nprobe * more)
        selector = None if rows is None else self._bitmap(rows)
        found, similarities = _empty(len(queries), k)
        for i, query in enumerate(queries):
            candidates = self._candidates(query, k * known.rerank, nprobe, selector)
            if candidates is None:
                found[i], similarities[i] = self._search_exactly(query, k, among, rows)
            else:
                found[i], similarities[i] = self._rank(query, k, candidates)
        return found, similarities

    def _search_exactly(
        self, query: NDArray[np.float32], k: int, among: int, rows: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        # FAISS returns any of those that are equal, and rounds equal vectors differently
        # depending on where they lie. So fetch all that may be equal to the last, and order
        # them by sums in double precision.
        fetch = min(k + 8, among)
        while True:
            rough, candidates = self._flat.search(query[np.newaxis], fetch, params=_only(rows))
            if fetch == among or rough[0, -1] < rough[0, k - 1] - 2 * _ROUNDING:
                break
            fetch = min(4 * fetch, among)
        return self._rank(query, k, candidates[0])

    def _candidates(
        self, query: NDArray[np.float32], fetch: int, nprobe: int, selector: Faiss
    ) -> NDArray[np.int64] | None:
        """Return the rows that seem nearest; None: all lists must be read to find so many."""
        while nprobe < inner(self._ivf).nlist:
            params = faiss.SearchParametersPreTransform(  # type: ignore[call-arg]
                index_params=faiss.IVFSearchParameters(nprobe=nprobe, sel=selector)  # type: ignore[call-arg]
            )
            candidates: NDArray[np.int64]
            candidates = self._ivf.search(query[np.newaxis], fetch, params=params)[1][0]
            if candidates.min() < -1 or candidates.max() >= self.rows:
                raise ValueError("the approximate index is damaged")
            if candidates[-1] >= 0:  # FAISS fills up with -1
                return candidates
            nprobe *= 2
        return None

    def _rank(
        self, query: NDArray[np.float32], k: int, candidates: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        vectors = self.take(candidates).astype(np.float64)
        exact = (vectors * query).sum(axis=1).astype(np.float32)
        best = np.lexsort((candidates, -exact))[:k]
        return candidates[best], exact[best]

    def _bitmap(self, rows: NDArray[np.int64]) -> Faiss:
        passing = np.zeros(self.rows, dtype=np.bool_)
        passing[rows] = True
        selector: Faiss = faiss.IDSelectorBitmap
        return selector(np.packbits(passing, bitorder="little"))


def _empty(queries: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    return np.empty((queries, k), dtype=np.int64), np.empty((queries, k), dtype=np.float32)


def _only(rows: NDArray[np.int64] | None) -> faiss.SearchParameters | None:
    if rows is None:
        return None
    # Ascending ids are taken one by one; other selectors are asked about every row.
    selector = faiss.IDSelectorArray(np.ascontiguousarray(rows))
    # `sel` is a keyword of SWIG's making that FAISS's own stubs do not know.
    return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
