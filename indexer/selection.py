"""The rows that pass a filter, held as one bit a row: counted, listed, combined by their owner.

How a filter is written, and what passes it, is the business of `retrieval`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
"""A bit a row, eight to a byte, lowest bit first; the bits after the last row are 0."""

Words = NDArray[np.uint64]
"""A mask of whole words of 64 bits, which are counted and looked through eight times as fast."""

FEW = 8
"""To look at single bytes of a mask takes about so much longer than to go through them all."""


class Selection:
    """Some rows of an index.

    Attributes:
        mask: which; in the order of the rows.
        left_out: the rows that were taken out.
    """

    def __init__(self, mask: Mask, in_lists: Callable[[], Mask] | None = None) -> None:
        """Select rows.

        Args:
            mask: which, in the order of the rows.
            in_lists: gives the same in the order of the inverted lists, where there is a
                quicker way to it than to reorder `mask`.
        """
        self.mask = mask
        self._whole: Selection | None = None
        self.left_out: tuple[int, ...] = ()
        self._in_lists = in_lists
        self._listed: Mask | None = None

    @classmethod
    def all(cls, total: int) -> Selection:
        """Select every one of `total` rows."""
        mask = np.full(-(-total // 8), 255, dtype=np.uint8)
        if total % 8:
            mask[-1] = (1 << total % 8) - 1
        return cls(mask)

    @classmethod
    def of(cls, rows: NDArray[np.int64], total: int) -> Selection:
        """Select rows, given by their numbers, of `total`."""
        bits = np.zeros(total, dtype=np.bool_)
        bits[rows] = True
        return cls(np.packbits(bits, bitorder="little"))

    def without(self, rows: Iterable[int]) -> Selection:
        """Return the selection without some rows, given by their numbers."""
        mask = self.mask.copy()
        there = [row for row in dict.fromkeys(rows) if mask[row // 8] >> row % 8 & 1]
        for row in there:
            mask[row // 8] &= 255 - (1 << row % 8)
        left = Selection(mask)
        left._whole, left.left_out = self.whole, (*self.left_out, *there)
        return left

    @property
    def whole(self) -> Selection:
        """What rows were taken out of by `without`; else itself."""
        # It holds no reference to itself, so that an index is closed as soon as nobody has it.
        return self._whole or self

    @cached_property
    def digest(self) -> bytes:
        """The same for the same rows of an index, however they were asked for."""
        return hashlib.sha256(self.mask.data).digest()

    @cached_property
    def count(self) -> int:
        """How many rows there are."""
        return int(np.bitwise_count(self._words).sum(dtype=np.uint32))

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The row numbers, int64, ascending."""
        return places(self._words)

    def counts(self, masks: Iterable[Mask]) -> list[int]:
        """Return how many of these rows each of some masks has, in the order of the rows."""
        # Where few bytes have a bit, the others are not looked at.
        few = self._bytes if FEW * len(self._bytes) < len(self.mask) else None
        among = self.mask if few is None else self.mask[few]
        # What is written to is small enough for a processor's cache, and used again.
        words = np.zeros(-(-len(among) // 8), dtype=np.uint64)
        bits = words.view(np.uint8)[: len(among)]
        counted = np.empty(len(words), dtype=np.uint8)
        counts = []
        for mask in masks:
            np.bitwise_and(mask if few is None else mask.take(few), among, out=bits)
            counts.append(int(np.bitwise_count(words, out=counted).sum(dtype=np.uint32)))
        return counts

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
    taken = np.flatnonzero(words != 0)  # of truth values, six times as fast as of words
    if 2 * len(taken) > len(words):
        return np.flatnonzero(_bits(words))
    at = np.flatnonzero(_bits(words[taken]))
    found: NDArray[np.int64] = taken[at >> 6] * 64 + (at & 63)
    return found


def _bits(words: Words) -> NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8), bitorder="little").view(np.bool_)
