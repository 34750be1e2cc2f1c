"""Which images show nearly the same picture, though their files differ; and groups of these.

Copies of a picture are told by their perceptual hashes, see `perceptual`. Visual vectors only have
a veto: they are made to tell kinds of things apart, and not photographs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from indexer.control import Progress, no_progress
from indexer.index import Index

DISTANCE = 15
"""Bits, of 128, in which the perceptual hashes of near duplicates differ at most.

Measured by `benchmarks/near_duplicates.py` with the model `finetag-mobilenet_v2` on 7,084
photographs of CUB-200-2011 (short side mostly 320 pixels) and altered copies of 50 of them. How
many of the 50 copies of each kind, and how many of the 25 million pairs of photographs, differ in
so many bits and have a similarity of `SIMILARITY`; in brackets, whatever their similarity:

    bits at most                  7        11        15        19        23        27
    JPEG quality 90              50        50        50        50        50        50
    JPEG quality 75 or 50        50        50        50        50        50        50
    PNG, or WebP quality 75      50        50        50        50        50        50
    resized to 80%               50        50        50        50        50        50
    resized to 50%          49 (50)   49 (50)   49 (50)   49 (50)   49 (50)   49 (50)
    brightness 90% to 110%       50        50        50        50        50        50
    brightness 120%              49        50        50        50        50        50
    brightness 80%               50        50        50        50        50        50
    cropped by 1% a side         32        47        50        50        50        50
    cropped by 2.5% a side        1         4        23        41        46        49
    grey                    13 (50)   13 (50)   13 (50)   13 (50)   13 (50)   13 (50)
    hue turned by 60 degrees
                            11 (32)   12 (44)   13 (46)   13 (48)   13 (49)   13 (49)
    pairs of photographs          2         2         4         4     5 (7)    7 (14)

The 4 pairs at 15 bits are one photograph twice (0 bits), one twice in other colours (7), and two
shots of one moment (13 and 15). So nothing is found that nobody would call nearly the same. 15 is
also the greatest distance for which no pair is missed in reasonable time, see `groups`.
"""
SIMILARITY = 0.7
"""Cosine similarity that the visual vectors of near duplicates have at least.

Of the copies above, but for the grey ones, 1 in 650 has less. It tells apart what has the same
outlines: goods in other colours, and things of simple form on plain white. Of 79,800 pairs of 400
drawn birds on white, 4 are within 15 bits; none of them has a similarity above 0.31.
"""

_PIECE = 16
"""Bits of a piece of a hash; of its 8 pieces, one differs in a bit at most if all do in 15."""
_AT_ONCE = 1 << 17
"""Pairs of hashes compared at a time: as many as the processor's cache holds."""
_VECTORS = 1 << 12
"""Pairs of vectors compared at a time."""
_PAIRS = 1 << 22
"""Pairs kept, at most, before groups are joined."""

Rows = NDArray[np.int64]


def are_alike(index: Index, one: Rows, two: Rows) -> NDArray[np.bool_]:
    """Say of each pair of rows whether they are near duplicates.

    They are if their hashes differ in `DISTANCE` bits at most and the cosine similarity of their
    vectors is at least `SIMILARITY`. Files of the same bytes always are.

    Args:
        index: the rows.
        one: int64 (n,).
        two: int64 (n,), the other rows of the pairs.

    Returns:
        bool (n,).

    Raises:
        CatalogueError: the vector file is damaged or gone.
    """
    hashes = index.perceptual
    differing = np.bitwise_count(hashes[one] ^ hashes[two]).sum(axis=1)
    alike: NDArray[np.bool_] = differing <= DISTANCE
    close = np.flatnonzero(alike)
    for start in range(0, len(close), _VECTORS):
        at = close[start : start + _VECTORS]
        ours, theirs = index.vectors_of(one[at]), index.vectors_of(two[at])
        alike[at] = np.einsum("nd,nd->n", ours, theirs) >= SIMILARITY
    return alike


def groups(index: Index, *, progress: Progress = no_progress) -> NDArray[np.int32]:
    """Group the rows that are near duplicates, directly or by way of others.

    None is missed: two rows are in one group exactly if a chain of rows leads from one to the
    other of which neighbours are alike, see `are_alike`. For two hashes that differ in 15 bits
    at most, one at least of their 8 pieces of 16 bits differs in one bit at most; so only rows
    with such a piece are compared. That still grows with the square of the rows, slowly: on one
    core, a million takes 17 s and 0.2 GB.

    Args:
        index: the rows.
        progress: called with how many steps are done and how many there are, all equally long.

    Returns:
        int32 of shape (rows,): the smallest row in the group of each row.

    Raises:
        CatalogueError: the index is damaged.
    """
    found = _Groups(index.rows)
    one = _first_of_the_same_bytes(index)
    found.join(one, np.arange(index.rows))
    rows = np.flatnonzero(one == np.arange(index.rows))
    for pairs in _close(np.asarray(index.perceptual)[rows], progress):
        one, two = found.apart(rows[pairs[0]], rows[pairs[1]])
        alike = are_alike(index, one, two)
        found.join(one[alike], two[alike])
    return found.of()


def _first_of_the_same_bytes(index: Index) -> Rows:
    """Return the smallest row of each row's content; only rows of equal hashes are looked at."""
    first = np.arange(index.rows)
    whole = np.ascontiguousarray(index.perceptual).view(f"V{index.perceptual.shape[1]}").ravel()
    _, number, count = np.unique(whole, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(count[number] > 1)
    contents = np.empty(len(rows), dtype="S64")
    for start in range(0, len(rows), _VECTORS):
        records = index.images(rows[start : start + _VECTORS].tolist())
        contents[start : start + len(records)] = [each.content_hash for each in records]
    _, smallest, number = np.unique(contents, return_index=True, return_inverse=True)
    first[rows] = rows[smallest[number]]
    return first


def _close(hashes: NDArray[np.uint8], progress: Progress) -> Iterator[NDArray[np.int32]]:
    """Yield all pairs of hashes that differ in `DISTANCE` bits at most, some several times.

    Args:
        hashes: uint8 (n, 16).
        progress: called with steps done and the number of steps.

    Yields:
        int32 (2, any): the places of the hashes.
    """
    pieces = hashes.view("<u2")
    flips = [0, *(1 << bit for bit in range(_PIECE))]
    steps = pieces.shape[1] * len(flips)
    for step in range(steps):
        piece, flip = divmod(step, len(flips))
        if flip == 0:
            order = np.argsort(pieces[:, piece], kind="stable").astype(np.int32)
            keys = pieces[order, piece].astype(np.int32)
            words = hashes[order].view("<u8").T.copy()
            # Hashes with the piece k are at places from starts[k] to starts[k + 1].
            starts = np.searchsorted(keys, np.arange((1 << _PIECE) + 1))
        bit = flips[flip]
        ours = np.flatnonzero(keys & bit == 0)
        theirs = keys[ours] | bit
        begin = starts[theirs] if bit else ours + 1
        for one, two in _product(ours, begin, starts[theirs + 1] - begin):
            left, right = _within(words, one, two)
            yield np.stack([order[left], order[right]])
        progress(step + 1, steps)


def _product(ours: Rows, begin: Rows, count: Rows) -> Iterator[tuple[Rows, Rows]]:
    """Pair each of our places with `count` of theirs from `begin`, a limited number at a time."""
    before = np.concatenate([[0], np.cumsum(count)])
    start = 0
    while start < len(ours):
        stop = int(np.searchsorted(before, before[start] + _AT_ONCE, side="right")) - 1
        part = slice(start, max(stop, start + 1))
        one = np.repeat(ours[part], count[part])
        offset = begin[part] - (before[part] - before[start])
        yield one, np.repeat(offset, count[part]) + np.arange(len(one))
        start = part.stop


def _within(words: NDArray[np.uint64], one: Rows, two: Rows) -> tuple[Rows, Rows]:
    """Keep the pairs of hashes, here the columns of `words`, that are close enough."""
    # By the first half nearly all pairs are told to be too far apart.
    differing = np.bitwise_count(words[0, one] ^ words[0, two])
    near = np.flatnonzero(differing <= DISTANCE)
    one, two = one[near], two[near]
    close = differing[near] + np.bitwise_count(words[1, one] ^ words[1, two]) <= DISTANCE
    return one[close], two[close]


class _Groups:
    """Rows joined pair by pair; pairs pile up for a while, for joining them costs O(rows)."""

    def __init__(self, rows: int) -> None:
        self._of = np.arange(rows, dtype=np.int32)
        self._pairs: list[NDArray[np.int32]] = []
        self._waiting = 0

    def apart(self, one: Rows, two: Rows) -> tuple[Rows, Rows]:
        """Leave out pairs whose rows are known to be in one group."""
        apart = self._of[one] != self._of[two]
        return one[apart], two[apart]

    def join(self, one: Rows, two: Rows) -> None:
        """Put the rows of each pair into one group."""
        one, two = self.apart(one, two)
        pairs = np.stack([self._of[one], self._of[two]])
        self._pairs.append(pairs)
        self._waiting += pairs.shape[1]
        if self._waiting > _PAIRS:
            self._settle()

    def of(self) -> NDArray[np.int32]:
        """Return the smallest row of each row's group."""
        self._settle()
        return self._of

    def _settle(self) -> None:
        pairs = np.concatenate([np.empty((2, 0), dtype=np.int32), *self._pairs], axis=1)
        rows = len(self._of)
        links = coo_array((np.ones(pairs.shape[1], dtype=np.bool_), pairs), shape=(rows, rows))
        _, label = connected_components(links, directed=False)
        _, first, number = np.unique(label[self._of], return_index=True, return_inverse=True)
        self._of = first[number].astype(np.int32)
        self._pairs, self._waiting = [], 0
