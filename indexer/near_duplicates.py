"""Which images show nearly the same picture: groups of rows whose visual vectors are alike.

Not files of the same bytes as such: these are in one group, since their vectors are equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from indexer.control import Progress, no_progress
from indexer.index import Index

THRESHOLD = 0.99
"""Cosine similarity from which two images are called near duplicates.

Measured with the model `finetag-mobilenet_v2`, whose vectors are made to tell species apart and
not photographs, on 360 photographs of 12 species of CUB-200-2011 (short side 320 pixels) and
altered copies of 50 of them, all in one catalogue. How many of the 50 copies of each kind were
in the group of their original, and how many of the 360 were in a group with another photograph:

    threshold                    0.95   0.97   0.98   0.99   0.995
    JPEG quality 90                50     50     50     49      47
    JPEG quality 75                49     49     45     35      24
    JPEG quality 50                47     44     38     25      10
    resized to 80%                 49     49     45     39      21
    resized to 50%                 38     29     20      9       4
    brightness 110% / 90%       50/50  49/49  42/43  30/31   17/19
    brightness 120% / 80%       49/49  44/47  36/40  25/24   13/11
    cropped by 2.5% a side         43     37     31     11       3
    with another photograph        48     27     16      9       2

The 2 at 0.995 are one picture taken from the archive twice, at 0.9975; the most alike of really
different photographs, two of a cardinal, are at 0.991; of different species, at 0.957. So no
threshold separates copies from photographs of the same species: 0.99 finds nearly all careful
copies at the price of 2% of the photographs; 0.995 is free of mistakes, 0.95 finds most copies.
"""

_BLOCK = 2048
"""Rows compared with as many others at a time: 16 MiB of similarities."""
_PAIRS = 1 << 22
"""Pairs kept, at most, before groups are joined."""


def groups(
    index: Index,
    threshold: float = THRESHOLD,
    *,
    progress: Progress = no_progress,
) -> NDArray[np.int32]:
    """Group the rows that are alike, directly or by way of others.

    All pairs are compared, not only each row's nearest: two rows are in one group exactly if a
    chain of rows leads from one to the other whose neighbours each have a similarity of at
    least `threshold`. Sums are of float32, so a pair within 1e-5 of it may go either way.
    Time grows with the square of the rows (256 dimensions, one core: 80 s for 100,000); memory
    is 12 bytes a row, 100 MiB, and up to 600 MiB where very many are alike.

    Args:
        index: the rows.
        threshold: the cosine similarity, above 0.
        progress: called with how many pairs are done and how many there are.

    Returns:
        int32 of shape (rows,): the smallest row in the group of each row.

    Raises:
        CatalogueError: the vector file is damaged or gone.
    """
    found = _Groups(index.rows)
    starts = range(0, index.rows, _BLOCK)
    done, total = 0, index.rows * (index.rows + 1) // 2
    for start in starts:
        block = _read(index, start)
        for other in starts[start // _BLOCK :]:
            others = block if other == start else _read(index, other)
            one, two = np.nonzero(block @ others.T >= threshold)
            found.join(start + one, other + two)
        # The rows of this block, each with itself and all rows after it.
        done += len(block) * (index.rows - start) - len(block) * (len(block) - 1) // 2
        progress(done, total)
    return found.of()


def _read(index: Index, start: int) -> NDArray[np.float32]:
    return index.vectors(start, min(start + _BLOCK, index.rows))


class _Groups:
    """Rows joined pair by pair; pairs pile up for a while, for joining them costs O(rows)."""

    def __init__(self, rows: int) -> None:
        self._of = np.arange(rows, dtype=np.int32)
        self._pairs: list[NDArray[np.int32]] = []
        self._waiting = 0

    def join(self, one: NDArray[np.int64], two: NDArray[np.int64]) -> None:
        """Put the rows of each pair into one group."""
        pairs = np.stack([self._of[one], self._of[two]])
        pairs = pairs[:, pairs[0] != pairs[1]]
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
