"""sqlite-vec: a vec0 table, filtered by ids that a subquery selects from an ordinary table.

Columns of the vec0 table itself could be filters too, but it takes no more than sixteen.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import apsw  # Python's own sqlite3 is often made without loadable extensions
import numpy as np
import sqlite_vec
from numpy.typing import NDArray
from search_data import Data

from engines import conjunction

_BLOCK = 10_000


class SqliteVec:
    """Exact search by the extension, with a boolean column and a partial index a tag."""

    version = metadata.version("sqlite-vec")
    how = "exact: vec0, ids IN a subquery, a boolean column with a partial index a tag"
    efforts = (0,)

    def build(self, folder: Path, data: Data) -> None:
        """Fill both tables and index the tags."""
        connection = self._connect(folder)
        columns = ", ".join(f"t{tag} INTEGER" for tag in range(len(data.tags)))
        connection.execute(f"CREATE TABLE item (id INTEGER PRIMARY KEY, {columns})")
        connection.execute(
            "CREATE VIRTUAL TABLE vectors USING vec0("
            f"id INTEGER PRIMARY KEY, vector FLOAT[{data.dim}] distance_metric=cosine)"
        )
        marks = ", ".join("?" * (1 + len(data.tags)))
        for start in range(0, data.rows, _BLOCK):
            vectors = data.vectors[start : start + _BLOCK]
            tags = data.tags[:, start : start + _BLOCK].T.astype(int).tolist()
            with connection:
                connection.executemany(
                    "INSERT INTO vectors VALUES (?, ?)",
                    ((start + i, vector.tobytes()) for i, vector in enumerate(vectors)),
                )
                connection.executemany(
                    f"INSERT INTO item VALUES ({marks})",  # noqa: S608
                    ((start + i, *row) for i, row in enumerate(tags)),
                )
        for tag in range(len(data.tags)):
            connection.execute(f"CREATE INDEX has_t{tag} ON item (id) WHERE t{tag}")
        connection.execute("ANALYZE")
        connection.close()

    def open(self, folder: Path, data: Data) -> None:
        """Open the database."""
        del data
        self._connection = self._connect(folder)

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Search among the ids that have the tags."""
        del effort
        found = self._connection.execute(
            "SELECT id FROM vectors WHERE vector MATCH ? AND k = ? "  # noqa: S608
            f"AND id IN (SELECT id FROM item WHERE {conjunction(tags)})",
            (query.tobytes(), k),
        )
        return np.array([row for (row,) in found], dtype=np.int64)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _connect(self, folder: Path) -> apsw.Connection:
        connection = apsw.Connection(str(folder / "vectors.db"))
        connection.enable_load_extension(True)
        connection.load_extension(sqlite_vec.loadable_path())
        return connection
