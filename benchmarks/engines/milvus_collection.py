"""Milvus Lite through pymilvus: a collection in a local folder, filtered by an expression."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import milvus_lite  # noqa: F401  (pymilvus misses it only when it connects)
import numpy as np
from numpy.typing import NDArray
from pymilvus import DataType, MilvusClient
from search_data import Data

from engines import conjunction

_BLOCK = 5_000


class MilvusLite:
    """HNSW with boolean fields, each with an inverted index."""

    version = metadata.version("milvus-lite")
    how = "HNSW, M = 16, efConstruction = 200, boolean fields with INVERTED; effort: ef"
    efforts = (16, 64, 256, 1024, 4096, 32_768)

    def build(self, folder: Path, data: Data) -> None:
        """Insert all rows, index and flush."""
        client = _connect(folder)
        schema = client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=data.dim)
        fields = [f"t{tag}" for tag in range(len(data.tags))]
        indexes = client.prepare_index_params()
        indexes.add_index(
            "vector",
            index_type="HNSW",
            metric_type="IP",
            params={"M": 16, "efConstruction": 200},
        )
        for name in fields:
            schema.add_field(name, DataType.BOOL)
            indexes.add_index(name, index_type="INVERTED")
        client.create_collection("item", schema=schema)
        for start in range(0, data.rows, _BLOCK):
            vectors = data.vectors[start : start + _BLOCK]
            tags = data.tags[:, start : start + _BLOCK].T.tolist()
            rows = [
                {"id": start + i, "vector": vector, **dict(zip(fields, row, strict=True))}
                for i, (vector, row) in enumerate(zip(vectors, tags, strict=True))
            ]
            client.insert("item", rows)
        client.flush("item")
        client.create_index("item", indexes)
        client.load_collection("item")  # builds the indexes
        client.close()

    def open(self, folder: Path, data: Data) -> None:
        """Load the collection."""
        del data
        self._client = _connect(folder)
        self._client.load_collection("item")

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Search with the tags as a filter expression."""
        found = self._client.search(
            "item",
            data=[query],
            limit=k,
            filter=conjunction(tags, " and ", "t{} == true"),
            search_params={"metric_type": "IP", "params": {"ef": effort}},
        )
        return np.array([hit["id"] for hit in found[0]], dtype=np.int64)

    def close(self) -> None:
        """Stop the server, a thread of this process."""
        self._client.close()


def _connect(folder: Path) -> MilvusClient:
    return MilvusClient(str(folder / "vectors.db"))
