"""The file of visual vectors, and exact search in it. The one module that imports FAISS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-5
"""More than FAISS's float32 sums can be off for vectors of length 1."""


def write(path: Path, dim: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """Write vectors of length 1, given in blocks of shape (any, dim), in row order.

    Raises:
        OSError: the file cannot be written.
    """
    index = faiss.IndexFlatIP(dim)
    for block in blocks:
        index.add(block)
    # Given a path, FAISS would not notice a disk that fills up with its last few bytes.
    with path.open("wb") as file:
        writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
        faiss.write_index(index, writer)


class Vectors:
    """Row vectors, memory-mapped: only what a search touches is read from the disk."""

    def __init__(self, path: Path, rows: int, dim: int) -> None:
        """Open the file written by `write`.

        Raises:
            ValueError: the file is not what it should be.
        """
        try:
            # Plain IO_FLAG_MMAP still reads a flat index into memory; this one maps it.
            index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except (RuntimeError, MemoryError) as error:
            raise ValueError(_last_part(error)) from error
        kind = (type(index), index.ntotal, index.d, index.metric_type)
        if kind != (faiss.IndexFlatIP, rows, dim, faiss.METRIC_INNER_PRODUCT):
            raise ValueError("it does not hold the vectors that the manifest announces")
        self._index = index

    def search(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find each query's k best rows among `rows` (ascending; None: all), without error.

        Returns:
            Row numbers and similarities, both of shape (Q, min(k, number of rows)), best
            first; of equals the smaller row first.
        """
        among = self._index.ntotal if rows is None else len(rows)
        k = min(k, among)
        found = np.empty((len(queries), k), dtype=np.int64)
        similarities = np.empty((len(queries), k), dtype=np.float32)
        if k:
            for i, query in enumerate(queries):
                found[i], similarities[i] = self._search_one(query, k, among, rows)
        return found, similarities

    def _search_one(
        self, query: NDArray[np.float32], k: int, among: int, rows: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        # FAISS returns any of those that are equal, and rounds equal vectors differently
        # depending on where they lie. So fetch all that may be equal to the last, and order
        # them by sums in double precision.
        fetch = min(k + 8, among)
        while True:
            rough, candidates = self._index.search(query[np.newaxis], fetch, params=_only(rows))
            if fetch == among or rough[0, -1] < rough[0, k - 1] - 2 * _ROUNDING:
                break
            fetch = min(4 * fetch, among)
        vectors = self._index.reconstruct_batch(candidates[0]).astype(np.float64)
        exact = (vectors * query).sum(axis=1).astype(np.float32)
        best = np.lexsort((candidates[0], -exact))[:k]
        return candidates[0][best], exact[best]


def _only(rows: NDArray[np.int64] | None) -> faiss.SearchParameters | None:
    if rows is None:
        return None
    # Ascending ids are taken one by one; other selectors are asked about every row.
    selector = faiss.IDSelectorArray(np.ascontiguousarray(rows))
    # `sel` is a keyword of SWIG's making that FAISS's own stubs do not know.
    return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]


def _last_part(error: BaseException) -> str:
    """Leave out the C++ place that FAISS puts before its message."""
    return " ".join(str(error).split()).rpartition("Error: ")[2] or type(error).__name__
