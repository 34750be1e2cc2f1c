"""DuckDB without its extension vss, which it downloads at run time: a scan of the table."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray
from search_data import Data

from engines import conjunction


class DuckDb:
    """A table with an array column, and a boolean column a tag."""

    version = metadata.version("duckdb")
    how = "exact: table scan, array_inner_product, a boolean column a tag (vss not installed)"
    efforts = (0,)

    def build(self, folder: Path, data: Data) -> None:
        """Write the table by blocks."""
        with duckdb.connect(folder / "vectors.db", config={"threads": data.cores}) as connection:
            for number, block in enumerate(data.arrow_blocks()):  # noqa: B007  (found by name)
                into = "INSERT INTO item" if number else "CREATE TABLE item AS"
                connection.execute(f"{into} SELECT * FROM block")  # noqa: S608

    def open(self, folder: Path, data: Data) -> None:
        """Open the database for reading."""
        self._connection = duckdb.connect(
            folder / "vectors.db", read_only=True, config={"threads": data.cores}
        )

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Sort the rows that have the tags by their inner products."""
        del effort
        found = self._connection.execute(
            f"SELECT id FROM item WHERE {conjunction(tags)} ORDER BY "  # noqa: S608
            f"array_inner_product(vector, $1::FLOAT[{len(query)}]) DESC LIMIT {k}",
            [query.tolist()],
        )
        return np.array([row for (row,) in found.fetchall()], dtype=np.int64)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()
