"""How many of some rows have each of several attributes, counted often: for facets.

What is rare is counted at the few bytes where it is, and the rest by whole words of bits. Counts of
the same rows are asked for again and again, so they are kept for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from indexer.selection import FEW, Mask, Selection

MOST_KEPT = 1000
"""Selections whose counts are kept; each takes some 6 KB with 312 attributes in 28 groups."""

Positions: TypeAlias = tuple[int, ...]
"""Of the attributes that are counted together."""


@dataclass(frozen=True)
class Counts:
    """How many rows there are.

    Attributes:
        each: that have each attribute; int64, in the order of the positions.
        any: that have one at least.
    """

    each: NDArray[np.int64]
    any: int


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

    def count(self, among: Selection) -> Counts:
        """Count some rows."""
        counts = np.zeros(self._number, dtype=np.int64)
        if self._rare:
            bits = np.bitwise_count(among.mask.take(self._places) & self._bytes)
            counts[self._rare] = np.add.reduceat(bits, self._starts, dtype=np.int64)
        shared = among.counts([*self._often.values(), self._any])
        counts[list(self._often)] = shared[:-1]
        return Counts(counts, shared[-1])


class KeptCounts:
    """Counts by the masks of an index, kept of the last selections; threads may share them."""

    def __init__(self, masks: NDArray[np.uint8], most: int = MOST_KEPT) -> None:
        """Take all masks, uint8 (attributes, bytes), and how many selections' counts to keep."""
        self._masks, self._most = masks, most
        self._counters: dict[Positions, Counter] = {}
        self._kept: OrderedDict[bytes, dict[Positions, Counts]] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, positions: Positions) -> Counter:
        """Return what counts attributes; made once."""
        if positions not in self._counters:
            self._counters[positions] = Counter([self._masks[each] for each in positions])
        return self._counters[positions]

    def count(self, groups: Sequence[Positions], among: Selection) -> list[Counts]:
        """Count some rows; quick if they, or those that they were taken from, were counted."""
        if not groups:
            return []
        with self._lock:
            known = self._kept.setdefault(among.whole.digest, {})
            self._kept.move_to_end(among.whole.digest)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        # Two threads may count the same at once; they come to the same.
        for positions in groups:
            if positions not in known:
                known[positions] = self.prepare(positions).count(among.whole)
        counted = [known[positions] for positions in groups]
        return self._less(groups, counted, among.left_out) if among.left_out else counted

    def _less(
        self, groups: Sequence[Positions], counted: Sequence[Counts], rows: Sequence[int]
    ) -> list[Counts]:
        """Take rows off that were counted too."""
        each, any_ = [counts.each for counts in counted], [counts.any for counts in counted]
        starts = np.cumsum([0, *map(len, groups)])[:-1]
        positions = np.concatenate(groups)
        for row in rows:
            has = self._masks[positions, row // 8] >> row % 8 & 1
            parts = np.split(has, starts[1:])
            each = [counts - part for counts, part in zip(each, parts, strict=True)]
            has_any = np.bitwise_or.reduceat(has, starts).tolist()
            any_ = [counts - one for counts, one in zip(any_, has_any, strict=True)]
        return [Counts(*both) for both in zip(each, any_, strict=True)]
