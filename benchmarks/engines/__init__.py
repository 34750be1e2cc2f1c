"""The engines that benchmarks/search.py compares: one small module each, one interface.

Each is used as its own documentation recommends for filtered search, with default settings for
building. An engine is built in one process and opened in another, as in life. Modules of engines
are imported only when they run, since most of what they need is the extra `bench-search`.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from search_data import Data


class Engine(Protocol):
    """A way to find the nearest of the rows that have some tags, by inner product.

    Attributes:
        version: what it says its version is; known at the latest when it is open.
        how: the index, its settings, and how it is filtered, in one line.
        efforts: values of the one setting that buys recall for time, from cheap to dear; an
            engine that has none, such as an exact one, has a single 0.
    """

    version: str
    how: str
    efforts: tuple[int, ...]

    def build(self, folder: Path, data: Data) -> None:
        """Index all rows in an empty folder, and leave there what `open` needs."""

    def open(self, folder: Path, data: Data) -> None:
        """Get ready to search what `build` left of the same data."""

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Return at most k rows that have all the tags; query is float32 (D,) of length 1."""

    def close(self) -> None:
        """Let go of files and processes."""


_CLASSES = {
    "finetag": "finetag_index:FineTag",
    "numpy": "exact_numpy:Exact",
    "faiss-hnsw": "faiss_filtered:Hnsw",
    "faiss-ivf": "faiss_filtered:Ivf",
    "hnswlib": "hnswlib_filtered:Hnswlib",
    "usearch": "usearch_filtered:Usearch",
    "lancedb": "lancedb_table:LanceDb",
    "chroma": "chroma_collection:Chroma",
    "milvus-lite": "milvus_collection:MilvusLite",
    "sqlite-vec": "sqlite_vec_table:SqliteVec",
    "duckdb": "duckdb_table:DuckDb",
    "pgvector": "pgvector_table:PgVector",
}

NAMES = tuple(_CLASSES)


def load(name: str) -> Engine:
    """Make an engine, neither built nor open.

    Raises:
        ImportError: something it needs is not installed.
    """
    module, made = _CLASSES[name].split(":")
    engine: Engine = getattr(import_module(f"engines.{module}"), made)()
    return engine


def conjunction(tags: tuple[int, ...], word: str = " AND ", form: str = "t{}") -> str:
    """Return the condition that a row has all the tags, of columns named t0, t1 and so on."""
    return word.join(form.format(tag) for tag in tags)
