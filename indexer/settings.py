"""The small file in an index folder that says where the index keeps its SQL database."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from indexer.layout import DATABASE, SETTINGS, write_durably


@dataclass(frozen=True)
class Settings:
    """Where the database is.

    Attributes:
        database: URL of a PostgreSQL database, without password; None for SQLite in the folder.
        schema: the schema in it that is this index's own; None for SQLite.
    """

    database: str | None = None
    schema: str | None = None

    def write(self, index_dir: Path) -> None:
        """Write the file, by one atomic replace."""
        body = json.dumps(asdict(self))
        # Its own checksum, for a flipped bit could send a writer to another database.
        text = f"{body}\n{zlib.crc32(body.encode()):08x}\n"
        write_durably(index_dir / SETTINGS, text.encode())

    @classmethod
    def read(cls, index_dir: Path) -> Settings | None:
        """Read the file; None if the folder is not an index yet.

        Raises:
            ValueError: the file is damaged, or is gone from an index that had one.
        """
        try:
            text = (index_dir / SETTINGS).read_bytes()
        except FileNotFoundError:
            # The first indexes had no such file, and SQLite always.
            return cls() if (index_dir / DATABASE).exists() else None
        body, _, checksum = text.partition(b"\n")
        if checksum != f"{zlib.crc32(body):08x}\n".encode():
            raise ValueError(f"the file {SETTINGS} is damaged")
        return cls(**json.loads(body))
