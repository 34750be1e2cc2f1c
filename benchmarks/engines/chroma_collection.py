"""Chroma: a persistent collection, filtered by its metadata."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
from chromadb.config import Settings
from numpy.typing import NDArray
from search_data import Data

_BLOCK = 5_000  # Chroma takes 5,461 at a time


class Chroma:
    """The default HNSW of a collection; of each row only the tags that it has are stored."""

    version = metadata.version("chromadb")
    how = "default HNSW, `where` on boolean metadata; effort: ef_search"
    efforts = (10, 100, 1000, 10_000)

    def build(self, folder: Path, data: Data) -> None:
        """Add all rows with their tags."""
        collection = _open(folder).create_collection(
            "item", configuration={"hnsw": {"space": "ip"}}, embedding_function=None
        )
        for start in range(0, data.rows, _BLOCK):
            stop = min(start + _BLOCK, data.rows)
            tags = data.tags[:, start:stop]
            collection.add(
                ids=[str(row) for row in range(start, stop)],
                embeddings=np.array(data.vectors[start:stop]),
                metadatas=[{f"t{tag}": True for tag in np.flatnonzero(row)} for row in tags.T],
            )

    def open(self, folder: Path, data: Data) -> None:
        """Open the collection."""
        del data
        self._folder = folder
        self._load()
        self._effort = 0

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Query with the tags as `where`."""
        if effort != self._effort:
            self._collection.modify(configuration={"hnsw": {"ef_search": effort}})
            self.close()
            self._load()  # the graph that is open keeps the effort that it was opened with
            self._effort = effort
        conditions: list[dict[str, Any]] = [{f"t{tag}": True} for tag in tags]
        where = conditions[0] if len(conditions) == 1 else {"$and": conditions}
        found = self._collection.query(
            query_embeddings=query[np.newaxis], n_results=k, where=where, include=[]
        )
        return np.array(found["ids"][0], dtype=np.int64)

    def close(self) -> None:
        """Close the database."""
        self._client.close()

    def _load(self) -> None:
        self._client = _open(self._folder)
        self._collection = self._client.get_collection("item", embedding_function=None)


def _open(folder: Path) -> chromadb.ClientAPI:
    return chromadb.PersistentClient(str(folder), Settings(anonymized_telemetry=False))
