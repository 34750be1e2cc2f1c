"""Giving back the space that an index no longer needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, exists, not_

from indexer.control import Progress, no_progress
from indexer.database import bytes_elsewhere
from indexer.layout import DAMAGED
from indexer.report import size_of
from indexer.schema import embedding, image, metadata, reading
from indexer.seal import break_seal
from indexer.writer import Writer, open_writer


@dataclass(frozen=True)
class CompactReport:
    """What was given back.

    Attributes:
        index: the index folder.
        before: bytes of the folder (and of the PostgreSQL tables) before.
        after: bytes of them now.
    """

    index: Path
    before: int
    after: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "index": str(self.index)}

    def as_text(self) -> str:
        """Return the report as a line for people."""
        return f"{self.index}: {size_of(self.before)} before, {size_of(self.after)} now"


def compact(
    index_dir: Path, *, database: str | None = None, progress: Progress = no_progress
) -> CompactReport:
    """Drop what no image needs, and shrink the database to what it holds.

    What a stopped build has embedded, and would go on from, is dropped too, as is the damaged
    database that a repair put aside.

    Args:
        index_dir: its folder.
        database: see `build`.
        progress: told what is being done; the database does not say how far it is.

    Raises:
        CatalogueError: as `build`.
    """
    with open_writer(index_dir, database=database) as writer:
        before = _bytes(writer)
        unused = not_(exists().where(image.c.content_hash == embedding.c.content_hash))
        progress(0, None, "dropping what no image needs")
        with writer.changing() as connection:
            connection.execute(delete(reading))
            connection.execute(delete(embedding).where(unused))
        progress(0, None, "writing the database anew")
        _vacuum(writer)
        (index_dir / DAMAGED).unlink(missing_ok=True)
        return CompactReport(index_dir, before, _bytes(writer))


def _vacuum(writer: Writer) -> None:
    # Outside of any transaction, so not through SQLAlchemy.
    driver: Any = writer.connection.connection.driver_connection
    if writer.settings.database is None:
        break_seal(writer.index_dir)
        driver.execute("VACUUM")
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    driver.autocommit = True
    for name in metadata.tables:
        driver.execute(f"VACUUM FULL ANALYZE {name}")
    driver.autocommit = False


def _bytes(writer: Writer) -> int:
    files = (path for path in writer.index_dir.rglob("*") if path.is_file())
    with writer.connection.begin():
        return sum(path.stat().st_size for path in files) + bytes_elsewhere(writer.connection)
