"""USearch; its Python interface takes no filter, so more is asked for and then filtered."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from search_data import Data
from usearch.index import Index


class Usearch:
    """A graph over whole vectors."""

    version = metadata.version("usearch")
    how = "default graph of float32; no filter in Python: rows found are filtered; effort: rows"
    efforts = (10, 32, 100, 320, 1000, 3200, 10_000, 32_000, 100_000, 320_000)

    def build(self, folder: Path, data: Data) -> None:
        """Fill the graph on all cores and save it."""
        index = Index(ndim=data.dim, metric="ip", dtype="f32")
        index.add(np.arange(data.rows), np.asarray(data.vectors), threads=data.cores)
        index.save(str(folder / "index.usearch"))
        np.save(folder / "tags.npy", data.tags)

    def open(self, folder: Path, data: Data) -> None:
        """Read graph and tags into memory."""
        del data
        self._index = Index.restore(str(folder / "index.usearch"))
        self._tags = np.load(folder / "tags.npy")

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Find many rows and keep the first k that have the tags."""
        rows = self._index.search(query, max(effort, k), threads=1).keys.astype(np.int64)
        passing = np.logical_and.reduce([self._tags[tag, rows] for tag in tags])
        return rows[passing][:k]

    def close(self) -> None:
        """Free the memory."""
        del self._index, self._tags
