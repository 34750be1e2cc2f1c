"""FAISS's HNSW and IVF, filtered by a bitmap selector."""

from __future__ import annotations

import math
from importlib import metadata
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from search_data import Data


class _Filtered:
    """An index file, and a bitmap a tag."""

    version = metadata.version(
        metadata.packages_distributions()["faiss"][0]
    )  # faiss-gpu or faiss-cpu

    def build(self, folder: Path, data: Data) -> None:
        """Train and fill the index, and write it."""
        index = self._empty(data.rows, data.dim)
        index.train(data.vectors)
        index.add(data.vectors)
        faiss.write_index(index, str(folder / "index.faiss"))
        np.save(folder / "bitmaps.npy", np.packbits(data.tags, axis=1, bitorder="little"))

    def open(self, folder: Path, data: Data) -> None:
        """Read index and bitmaps into memory."""
        del data
        self._index = faiss.read_index(str(folder / "index.faiss"))
        self._bitmaps = np.load(folder / "bitmaps.npy")

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Combine the bitmaps and search with them as a selector."""
        bitmap = np.bitwise_and.reduce([self._bitmaps[tag] for tag in tags])
        parameters = self._parameters(faiss.IDSelectorBitmap(bitmap), effort)
        rows = self._index.search(query[np.newaxis], k, params=parameters)[1][0]
        return rows[rows >= 0]  # FAISS fills up with -1

    def close(self) -> None:
        """Free the memory."""
        del self._index, self._bitmaps


class Hnsw(_Filtered):
    """A graph over whole vectors."""

    how = "IndexHNSWFlat, M = 32, IDSelectorBitmap; effort: efSearch"
    efforts = (16, 32, 64, 128, 256, 512, 1024, 4096, 16_384, 65_536, 262_144)

    def _empty(self, rows: int, dim: int) -> faiss.Index:
        del rows
        return faiss.IndexHNSWFlat(dim, 32, faiss.METRIC_INNER_PRODUCT)

    def _parameters(
        self, selector: faiss.IDSelectorBitmap, effort: int
    ) -> faiss.SearchParametersHNSW:
        return faiss.SearchParametersHNSW(sel=selector, efSearch=effort)


class Ivf(_Filtered):
    """Inverted lists of whole vectors."""

    how = "IndexIVFFlat, 4 sqrt(rows) lists, IDSelectorBitmap; effort: nprobe"
    efforts = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

    def _empty(self, rows: int, dim: int) -> faiss.Index:
        lists = min(round(4 * math.sqrt(rows)), max(rows // 39, 1))  # FAISS wants 39 rows a list
        return faiss.index_factory(dim, f"IVF{lists},Flat", faiss.METRIC_INNER_PRODUCT)

    def _parameters(
        self, selector: faiss.IDSelectorBitmap, effort: int
    ) -> faiss.SearchParametersIVF:
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort)
