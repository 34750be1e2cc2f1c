"""The inverted lists of an approximate index: which rows are in which.

Each list is given whole words of a bit mask in the order of the lists, so that the rows of some
lists that pass a filter are found without looking at any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.selection import Mask, Selection, places


class Lists:
    """The rows of an index, each in the list of the centroid nearest to it.

    Attributes:
        sizes: int64 (nlist,), how many rows are in each list.
        of: int32 (rows,), the list of each row.
    """

    def __init__(self, rows: Sequence[NDArray[np.int64]]) -> None:
        """Take the rows of each list.

        Raises:
            ValueError: they are not the rows from 0 on, each once.
        """
        self.sizes = sizes = np.array([len(each) for each in rows], dtype=np.int64)
        self.total = int(sizes.sum())
        self._lengths = np.maximum(-(-sizes // 64), 1)  # words; none is empty, for `reduceat`
        self._starts = np.cumsum(self._lengths) - self._lengths
        # The row at each bit; beyond the last one where there is none.
        self._order = np.full(64 * int(self._lengths.sum()), self.total, dtype=np.int64)
        inside = np.repeat(64 * self._starts - (np.cumsum(sizes) - sizes), sizes)
        at = inside + np.arange(self.total)
        self._order[at] = np.concatenate(rows) if self.total else []
        once = np.bincount(np.clip(self._order[at], -1, self.total) + 1, minlength=self.total + 2)
        if once[0] or once[-1] or not (once[1:-1] == 1).all():
            raise ValueError("its lists do not hold each row once")
        self.of = np.empty(self.total, dtype=np.int32)
        self.of[self._order[at]] = np.repeat(np.arange(len(sizes)), sizes)
        self.everything = self.listed(Selection.all(self.total).mask)

    def listed(self, mask: Mask) -> Mask:
        """Bring a mask from the order of the rows into that of the lists; of whole words."""
        bits = np.zeros(self.total + 1, dtype=np.uint8)
        bits[:-1] = np.unpackbits(mask, count=self.total, bitorder="little")
        return np.packbits(bits[self._order], bitorder="little")

    def counts(self, listed: Mask, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many rows of each of some lists pass; int64 (number of lists,)."""
        words, starts = self._words(lists)
        counts: NDArray[np.int64]
        bits = np.bitwise_count(listed.view(np.uint64)[words])
        counts = np.add.reduceat(bits, starts, dtype=np.int64)
        return counts

    def passing(self, listed: Mask, lists: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows in some lists that pass, ascending."""
        words, _ = self._words(lists)
        at = places(listed.view(np.uint64)[words])
        rows: NDArray[np.int64] = np.sort(self._order[64 * words[at >> 6] + (at & 63)])
        return rows

    def _words(self, lists: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the places of some lists' words, and where among them each list starts."""
        lengths = self._lengths[lists]
        ends = np.cumsum(lengths)
        starts = ends - lengths
        words = np.repeat(self._starts[lists] - starts, lengths)
        words += np.arange(ends[-1])
        return words, starts
