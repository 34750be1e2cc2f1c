"""How many of some rows have each of several attributes, counted often: for facets.

What is rare is counted at the few bytes where it is, and the rest by whole words of bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.selection import FEW, Mask, Selection


class Counter:
    """The masks of some attributes, prepared."""

    def __init__(self, masks: Sequence[Mask]) -> None:
        """Take masks in the order of the rows, one at least."""
        rare: dict[int, NDArray[np.int64]] = {}
        for number, mask in enumerate(masks):
            places = np.flatnonzero(mask)
            if FEW * len(places) < len(mask):
                rare[number] = places
        self._number = len(masks)
        self._often = {at: mask for at, mask in enumerate(masks) if at not in rare}
        self._any = np.bitwise_or.reduce(masks)
        # The bytes of all rare ones, end to end; where each one's begin; whose they are.
        self._rare = [number for number, places in rare.items() if len(places)]
        of_each = [rare[number] for number in self._rare]
        self._places = np.concatenate([np.empty(0, dtype=np.int64), *of_each])
        self._bytes = np.concatenate(
            [
                np.empty(0, dtype=np.uint8),
                *(masks[number][rare[number]] for number in self._rare),
            ]
        )
        self._starts = np.cumsum([0, *map(len, of_each)])[:-1]

    def count(self, among: Selection) -> tuple[list[int], int]:
        """Return how many of some rows each mask has, and how many are in any of them."""
        counts = np.zeros(self._number, dtype=np.int64)
        if self._rare:
            bits = np.bitwise_count(among.mask.take(self._places) & self._bytes)
            counts[self._rare] = np.add.reduceat(bits, self._starts, dtype=np.int64)
        shared = among.counts([*self._often.values(), self._any])
        counts[list(self._often)] = shared[:-1]
        return counts.tolist(), shared[-1]
