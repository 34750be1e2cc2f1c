"""hnswlib, filtered by a Python function that it calls for each candidate."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import hnswlib
import numpy as np
from numpy.typing import NDArray
from search_data import Data


class Hnswlib:
    """A graph over whole vectors."""

    version = metadata.version("hnswlib")
    how = "M = 16, ef_construction = 200, filter function over a mask; effort: ef"
    efforts = (10, 32, 100, 320, 1000, 3200, 10_000, 32_000)

    def build(self, folder: Path, data: Data) -> None:
        """Fill the graph on all cores and save it."""
        index = hnswlib.Index(space="ip", dim=data.dim)
        index.init_index(max_elements=data.rows, M=16, ef_construction=200)
        index.set_num_threads(data.cores)
        index.add_items(data.vectors, np.arange(data.rows))
        index.save_index(str(folder / "index.bin"))
        np.save(folder / "tags.npy", data.tags)

    def open(self, folder: Path, data: Data) -> None:
        """Read graph and tags into memory."""
        self._tags = np.load(folder / "tags.npy")
        self._index = hnswlib.Index(space="ip", dim=data.dim)
        self._index.load_index(str(folder / "index.bin"))

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Search with a function that looks the row up in the combined mask."""
        passing = np.logical_and.reduce([self._tags[tag] for tag in tags])
        k = min(k, int(np.count_nonzero(passing)))  # it raises if it finds fewer than k
        self._index.set_ef(max(effort, k))
        try:
            rows, _ = self._index.knn_query(
                query, k, num_threads=1, filter=passing.tobytes().__getitem__
            )
        except RuntimeError:  # "ef or M is too small": nothing at all is returned
            return np.empty(0, dtype=np.int64)
        return rows[0].astype(np.int64)

    def close(self) -> None:
        """Free the memory."""
        del self._index, self._tags
