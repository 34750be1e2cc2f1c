"""All passing rows compared by NumPy: what a filter costs without any index."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search_data import Data


class Exact:
    """Vectors and tags in memory, a matrix-vector product."""

    version = metadata.version("numpy")
    how = "exact: masks combined, passing rows gathered, one product"
    efforts = (0,)

    def build(self, folder: Path, data: Data) -> None:
        """Copy vectors and tags."""
        np.save(folder / "vectors.npy", data.vectors)
        np.save(folder / "tags.npy", data.tags)

    def open(self, folder: Path, data: Data) -> None:
        """Read both into memory."""
        del data
        self._vectors = np.load(folder / "vectors.npy")
        self._tags = np.load(folder / "tags.npy")

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Compare the query with every passing row."""
        del effort
        rows = np.flatnonzero(np.logical_and.reduce([self._tags[tag] for tag in tags]))
        alike = (
            self._vectors @ query
            if len(rows) == len(self._vectors)
            else self._vectors[rows] @ query
        )
        if k < len(rows):
            rows = rows[np.argpartition(-alike, k)[:k]]
        return rows

    def close(self) -> None:
        """Free the memory."""
        del self._vectors, self._tags
