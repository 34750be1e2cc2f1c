"""The rows that pass a filter, held as one bit a row: counted, listed, combined by their owner.

How a filter is written, and what passes it, is the business of `retrieval`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
"""A bit a row, eight to a byte, lowest bit first; the bits after the last row are 0."""

Words = NDArray[np.uint64]
"""A mask of whole words of 64 bits, which are counted and looked through eight times as fast."""

_CACHED = 1 << 18
"""Bytes of masks that are worked on at a time, few enough for a processor's own cache."""


class Selection:
    """Some rows of an index.

    Attributes:
        mask: which; in the order of the rows.
    """

    def __init__(self, mask: Mask, in_lists: Callable[[], Mask] | None = None) -> None:
        """Select rows.

        Args:
            mask: which, in the order of the rows.
            in_lists: gives the same in the order of the inverted lists, where there is a
                quicker way to it than to reorder `mask`.
        """
        self.mask = mask
        self._in_lists = in_lists
        self._listed: Mask | None = None

    @classmethod
    def all(cls, total: int) -> Selection:
        """Select every one of `total` rows."""
        return cls(np.packbits(np.ones(total, dtype=np.bool_), bitorder="little"))

    @classmethod
    def of(cls, rows: NDArray[np.int64], total: int) -> Selection:
        """Select rows, given by their numbers, of `total`."""
        bits = np.zeros(total, dtype=np.bool_)
        bits[rows] = True
        return cls(np.packbits(bits, bitorder="little"))

    @cached_property
    def count(self) -> int:
        """How many rows there are."""
        return int(np.bitwise_count(self._words).sum(dtype=np.int64))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The row numbers, int64, ascending."""
        return places(self._words)

    def counts(self, masks: NDArray[np.uint8]) -> tuple[list[int], int]:
        """Count these rows in several masks, in the order of the rows; uint8 (n, bytes).

        Returns:
            How many each mask has, and how many are in any of them.
        """
        # Where few bytes have a bit, the others are not looked at.
        few = self._bytes if 8 * len(self._bytes) < len(self.mask) else None
        among = self.mask if few is None else self.mask[few]
        width = -(-len(among) // 8)
        step = min(len(masks), _CACHED // (8 * width + 1) + 1)
        words, union = np.zeros((step, width), dtype=np.uint64), np.zeros(width, dtype=np.uint64)
        counts: list[int] = []
        for start in range(0, len(masks), step):
            some = masks[start : start + step]
            part = words[: len(some)]
            there = some if few is None else some.take(few, axis=1)
            np.bitwise_and(there, among, out=part.view(np.uint8)[:, : len(among)])
            np.bitwise_or(union, np.bitwise_or.reduce(part), out=union)
            counts += np.bitwise_count(part).sum(axis=1, dtype=np.uint32).tolist()
        return counts, int(np.bitwise_count(union).sum(dtype=np.uint32))

    @cached_property
    def _bytes(self) -> NDArray[np.int64]:
        return np.flatnonzero(self.mask)

    @cached_property
    def _words(self) -> Words:
        words = np.zeros(-(-len(self.mask) // 8), dtype=np.uint64)
        words.view(np.uint8)[: len(self.mask)] = self.mask
        return words

    def listed(self, reorder: Callable[[Mask], Mask]) -> Mask:
        """Return the mask in the order of the inverted lists, which `reorder` brings one into."""
        if self._listed is None:
            self._listed = self._in_lists() if self._in_lists else reorder(self.mask)
        return self._listed


def places(words: Words) -> NDArray[np.int64]:
    """Return the places of the bits that are set, ascending; quick where they are few."""
    taken = np.flatnonzero(words)
    if 2 * len(taken) > len(words):
        return np.flatnonzero(_bits(words))
    at = np.flatnonzero(_bits(words[taken]))
    found: NDArray[np.int64] = taken[at >> 6] * 64 + (at & 63)
    return found


def _bits(words: Words) -> NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)
