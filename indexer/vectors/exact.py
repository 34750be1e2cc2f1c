"""Exact search of FAISS's flat vectors: in threads for one query, by products of matrices for many.

FAISS itself uses one core for one query.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import faiss
import numpy as np
from numpy.typing import NDArray

from finetag_model.cores import cores
from indexer.approximation import MANY
from indexer.vectors.files import Faiss

BLOCK = 1 << 15
"""Rows compared with many queries at a time."""
_SHARE = 4096
"""Rows from which a second thread is worth while."""

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows and similarities, best first."""


def nearest(
    flat: Faiss, queries: NDArray[np.float32], fetch: int, rows: NDArray[np.int64] | None
) -> Found:
    """Return the rows that are nearest but for errors of rounding; both of shape (Q, fetch).

    Args:
        flat: an `IndexFlatIP`.
        queries: float32 (Q, D).
        fetch: how many are wanted, no more than there are.
        rows: search these only, int64, ascending; None: all.
    """
    among = flat.ntotal if rows is None else len(rows)
    if len(queries) >= MANY:
        found = [_product(flat, queries, fetch, rows, *each) for each in parts(among, BLOCK)]
    else:
        found = _in_threads(flat, queries, fetch, rows, among)
    if len(found) == 1:
        return found[0]
    numbers = np.concatenate([each for each, _ in found], axis=1)
    similarities = np.concatenate([each for _, each in found], axis=1)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :fetch]
    return np.take_along_axis(numbers, order, 1), np.take_along_axis(similarities, order, 1)


def parts(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut a range from 0 to `total` into pieces: where each starts and stops."""
    return ((start, min(start + size, total)) for start in range(0, total, size))


def _in_threads(
    flat: Faiss,
    queries: NDArray[np.float32],
    fetch: int,
    rows: NDArray[np.int64] | None,
    among: int,
) -> list[Found]:
    def part(each: tuple[int, int]) -> Found:
        similarities, found = flat.search(
            queries, min(fetch, each[1] - each[0]), params=_only(rows, *each)
        )
        return found, similarities

    ranges = list(parts(among, max(-(-among // cores()), _SHARE, fetch)))
    if len(ranges) == 1:
        return [part(ranges[0])]  # not worth handing over
    return list(pool().map(part, ranges))


def _product(
    flat: Faiss,
    queries: NDArray[np.float32],
    fetch: int,
    rows: NDArray[np.int64] | None,
    start: int,
    stop: int,
) -> Found:
    if rows is None:
        block = flat.reconstruct_n(start, stop - start)
    else:
        block = flat.reconstruct_batch(rows[start:stop])
    similarities, at = faiss.knn(
        queries, block, min(fetch, stop - start), faiss.METRIC_INNER_PRODUCT
    )
    return (at + start if rows is None else rows[start:stop][at]), similarities


def _only(rows: NDArray[np.int64] | None, start: int, stop: int) -> faiss.SearchParameters:
    if rows is None:
        selector: Faiss = faiss.IDSelectorRange(start, stop)
    else:
        # Ids are taken one by one; other selectors are asked about every row.
        selector = faiss.IDSelectorArray(np.ascontiguousarray(rows[start:stop]))
    # `sel` is a keyword of SWIG's making that FAISS's own stubs do not know.
    return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]


@cache
def pool() -> ThreadPoolExecutor:
    """Return a thread for each core."""
    return ThreadPoolExecutor(cores(), "finetag-search")


# A child has none of the threads, and would wait for them for ever.
os.register_at_fork(after_in_child=pool.cache_clear)
