"""The inverted file: which lists are nearest to a query, and which of their codes.

When to look into which, and when it is enough, is the business of `search`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from indexer.approximation import Approximation
from indexer.selection import Selection
from indexer.vectors.files import Faiss, inner, read_lists
from indexer.vectors.lists import Lists

_PAGE = 1024
"""Bytes of codes between two that are touched."""


class Inverted:
    """A rotation of the vectors, and lists of the codes of those nearest to each centroid."""

    def __init__(self, index: Faiss) -> None:
        """Take an `IndexPreTransform`, which stays open as long as this object."""
        self._index = index
        self._ivf = inner(index)
        self.rows: int = index.ntotal
        matrix: Faiss = faiss.downcast_VectorTransform(index.chain.at(0))
        dim = self._ivf.d
        self._rotation: NDArray[np.float32] = faiss.vector_to_array(matrix.A).reshape(dim, dim)

    @classmethod
    def open(cls, path: Path, rows: int, dim: int, known: Approximation) -> Inverted:
        """Map the file written by `write_lists`.

        Raises:
            ValueError: the file is not what it should be.
        """
        made = cls(read_lists(path, dim, known.kind, known.nlist))
        if made.rows != rows:
            raise ValueError(f"it holds {made.rows:,} rows instead of {rows:,}")
        return made

    @cached_property
    def lists(self) -> Lists:
        """The rows by inverted list.

        Raises:
            ValueError: the ids in the lists are damaged.
        """
        stored = self._ivf.invlists
        return Lists(
            [
                faiss.rev_swig_ptr(stored.get_ids(each), stored.list_size(each)).copy()
                if stored.list_size(each)
                else np.empty(0, dtype=np.int64)
                for each in range(self._ivf.nlist)
            ]
        )

    def preload(self) -> None:
        """Touch every page of the codes."""
        stored = self._ivf.invlists
        for each in np.flatnonzero(self.lists.sizes).tolist():
            size = stored.list_size(each) * self._ivf.code_size
            faiss.rev_swig_ptr(stored.get_codes(each), size)[::_PAGE].max()

    def turned(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn a query as the vectors were turned; float32 (D,)."""
        turned: NDArray[np.float32] = np.vecdot(self._rotation, query)
        return turned

    def nearest(
        self, turned: NDArray[np.float32], number: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the lists nearest to a turned query, nearest first, and their distances.

        In this thread, as `np.vecdot` does it. A product of a matrix would be shared out among
        threads, and wait for milliseconds where another program has one of the cores.
        """
        distances, lists = self._ivf.quantizer.search(turned[np.newaxis], number)
        return lists[0], distances[0]

    def by_codes(
        self,
        turned: NDArray[np.float32],
        lists: NDArray[np.int64],
        distances: NDArray[np.float32],
        fetch: int,
        among: Selection | None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the rows in some lists whose codes are nearest, nearest first, `fetch` at most.

        With them, their squared distances by codes, which are about 2 - 2 times the similarity.

        Raises:
            ValueError: what is stored in the lists is damaged.
        """
        bitmap: Faiss = faiss.IDSelectorBitmap
        params = faiss.IVFSearchParameters(
            nprobe=len(lists),  # type: ignore[call-arg]  # keywords of SWIG's making
            sel=None if among is None else bitmap(among.mask),
        )
        found = np.empty(fetch, dtype=np.int64)
        rough = np.empty(fetch, dtype=np.float32)
        arrays = [np.ascontiguousarray(each) for each in (turned, lists, distances)]
        query, *pointers = [faiss.swig_ptr(each) for each in (*arrays, rough, found)]
        self._ivf.search_preassigned_c(1, query, fetch, *pointers, False, params)
        there = found >= 0
        rows: NDArray[np.int64] = found[there]
        if found.min() < -1 or (len(rows) and rows.max() >= self.rows):
            raise ValueError("the approximate index is damaged")
        return rows, rough[there]
