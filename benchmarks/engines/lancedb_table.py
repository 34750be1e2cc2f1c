"""LanceDB: its default vector index, and a bitmap index on every tag's column."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import lancedb
import numpy as np
from numpy.typing import NDArray
from search_data import Data

from engines import conjunction


class LanceDb:
    """A table with IVF_PQ, its best rows ranked again by whole vectors, filtered beforehand."""

    version = metadata.version("lancedb")
    how = "IVF_PQ, prefilter, boolean columns with BITMAP; effort: nprobes and refine factor"
    efforts = (5, 10, 20, 50, 100, 200, 500, 1000)

    def build(self, folder: Path, data: Data) -> None:
        """Write the table by blocks, then index vectors and tags."""
        table = lancedb.connect(folder).create_table("item", data.arrow_blocks())
        table.create_index(metric="dot", vector_column_name="vector")
        for tag in range(len(data.tags)):
            table.create_scalar_index(f"t{tag}", index_type="BITMAP")

    def open(self, folder: Path, data: Data) -> None:
        """Open the table."""
        del data
        self._table = lancedb.connect(folder).open_table("item")

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Search with the tags as a filter that comes first."""
        found = (
            self._table.search(query, vector_column_name="vector")
            .distance_type("dot")
            .where(conjunction(tags), prefilter=True)
            .nprobes(effort)
            .refine_factor(effort)
            .select(["id", "_distance"])
            .limit(k)
            .to_arrow()
        )
        return found["id"].to_numpy()

    def close(self) -> None:
        """Let the table go."""
        del self._table
