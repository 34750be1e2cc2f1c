"""The SQL database of an index, which is its source of truth: tables and how to open them.

The image table always describes the current generation, because both change in the same
transaction; a build in progress adds to the embedding table only. Everything in the
generation's folder can be rebuilt from here without opening an image.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import BigInteger, Engine, create_engine, inspect
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool, QueuePool

from finetag_model.errors import CatalogueError
from indexer.layout import DATABASE, SCHEMA_VERSION

BUILD = "finetag-index build CATALOGUE"
_LOCK_TIMEOUT = 30.0  # seconds


class _Base(DeclarativeBase):
    pass


class CatalogueRow(_Base):
    """The one catalogue an index is of."""

    __tablename__ = "catalogue"

    id: Mapped[int] = mapped_column(primary_key=True)
    root: Mapped[str]
    schema_version: Mapped[int]
    current_generation: Mapped[int | None]


class ImageRow(_Base):
    """An image file in the current generation; rows are in the order of `path`."""

    __tablename__ = "image"
    # An id is never given again, so it can never come to mean another image.
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(unique=True)
    content_hash: Mapped[str] = mapped_column(index=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)


class EmbeddingRow(_Base):
    """What one model made of one content, however many files have that content.

    Width and height belong to the content too, and must survive a killed build.
    """

    __tablename__ = "embedding"

    content_hash: Mapped[str] = mapped_column(primary_key=True)
    model_digest: Mapped[str] = mapped_column(primary_key=True)
    width: Mapped[int]
    height: Mapped[int]
    scores: Mapped[bytes]
    """uint8 of shape (N,)."""
    visual: Mapped[bytes]
    """float32 of shape (D,), little-endian: as the network gave it, so that a generation
    rebuilt from here is the same to the last bit."""


class FailureRow(_Base):
    """A file that the last build skipped; the next one tries it again."""

    __tablename__ = "failure"

    path: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]


@contextmanager
def open_for_writing(index_dir: Path, root: Path) -> Iterator[Engine]:
    """Open the database of the index of a catalogue folder, or create it; close it at the end.

    Raises:
        CatalogueError: it is of another catalogue folder or another version of FineTag.
    """
    database = index_dir / DATABASE
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(database, timeout=_LOCK_TIMEOUT),
        # SQLite tidies its files when the last connection closes: not after every batch.
        poolclass=QueuePool,
    )
    try:
        _take_over(engine, index_dir, root)
        yield engine
    finally:
        engine.dispose()


def _take_over(engine: Engine, index_dir: Path, root: Path) -> None:
    """Check that a database is ours to write, or make it so."""
    with Session(engine) as session, session.begin():
        row = _catalogue_row(session)
        if row is None:  # a new database, or a build was killed while it made one
            # Readers go on reading the old state while a build writes.
            session.connection().exec_driver_sql("PRAGMA journal_mode=WAL")
            _Base.metadata.create_all(session.connection())
            session.add(CatalogueRow(id=1, root=str(root), schema_version=SCHEMA_VERSION))
            return
        _check_version(row, index_dir)
        if row.root != str(root):
            raise CatalogueError(
                f"{index_dir} is the index of {row.root}, not of {root}; "
                "name another folder with --index, or delete this one to start anew"
            )


def open_for_reading(index_dir: Path) -> Engine:
    """Open the database of an existing index; it cannot be written to.

    Raises:
        CatalogueError: there is none, or it is of another version of FineTag.
    """
    database = index_dir / DATABASE
    if not database.is_file():
        raise CatalogueError(f"there is no index in {index_dir}; make one with '{BUILD}'")
    uri = f"{database.absolute().as_uri()}?mode=ro"

    def connect() -> sqlite3.Connection:
        # To read a WAL database, SQLite makes two more files beside it. Where it may not, and
        # there are none, nobody is writing, and the database alone is complete.
        is_still = not os.access(index_dir, os.W_OK) and not Path(f"{database}-wal").exists()
        return sqlite3.connect(uri + "&immutable=1" * is_still, uri=True, timeout=_LOCK_TIMEOUT)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    with Session(engine) as session:
        _check_version(the_catalogue(session, index_dir), index_dir)
    return engine


def the_catalogue(session: Session, index_dir: Path) -> CatalogueRow:
    """Return the one row of the catalogue table.

    Raises:
        CatalogueError: a build was killed before it could write that row.
    """
    row = _catalogue_row(session)
    if row is None:
        raise CatalogueError(f"the index {index_dir} was never finished; run '{BUILD}'")
    return row


def _catalogue_row(session: Session) -> CatalogueRow | None:
    is_there = inspect(session.connection()).has_table(CatalogueRow.__tablename__)
    return session.get(CatalogueRow, 1) if is_there else None


@contextmanager
def plain_errors(index_dir: Path) -> Iterator[None]:
    """Turn errors of the disk and the database into one line for users."""
    try:
        yield
    except OperationalError as error:
        raise CatalogueError(_cannot(index_dir, str(error.orig))) from error
    except DBAPIError as error:
        raise CatalogueError(
            f"the database of the index {index_dir} is damaged ({error.orig}); "
            f"delete that folder and run '{BUILD}'"
        ) from error
    except SQLAlchemyError as error:
        raise CatalogueError(_cannot(index_dir, str(error))) from error
    except OSError as error:
        raise CatalogueError(_cannot(index_dir, error.strerror or str(error))) from error


def _cannot(index_dir: Path, reason: str) -> str:
    return (
        f"cannot use the index {index_dir}: {' '.join(reason.lower().split())}; "
        "what was indexed before is unharmed, so mend that and run the command again"
    )


def _check_version(row: CatalogueRow, index_dir: Path) -> None:
    if row.schema_version != SCHEMA_VERSION:
        raise CatalogueError(
            f"the index {index_dir} has format {row.schema_version}, and this FineTag reads "
            f"{SCHEMA_VERSION}; delete that folder and run '{BUILD}'"
        )
