"""An index held open to be changed: the lock, the database, and the generation that is current.

Every command that changes an index works inside `open_writer`. What was left undone by one that
was killed is finished or tidied when the next one begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update

from finetag_model.errors import CatalogueError
from indexer.control import Progress, no_progress
from indexer.database import connected, new_settings, plain_errors, read_settings
from indexer.layout import (
    BUILD,
    REPAIR,
    Pointer,
    generation_dir,
    is_index,
    prepare,
    sweep,
)
from indexer.lock import writer_lock
from indexer.manifest import MANIFEST, Checksum, Manifest
from indexer.schema import catalogue
from indexer.seal import break_seal, is_at_rest, is_intact, seal
from indexer.settings import Settings


@dataclass
class Writer:
    """An index that this process alone may change.

    Attributes:
        index_dir: its folder.
        connection: to its database; one and the same throughout.
        root: the catalogue folder, absolute.
        generation: the number of the current one; None before the first.
        model: what is known of its model; None before the first.
        progress: told how far a publication is.
    """

    index_dir: Path
    connection: Connection
    settings: Settings
    root: Path
    generation: int | None
    model: dict[str, Any] | None
    progress: Progress

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Run a block as one transaction on the database.

        Raises:
            CatalogueError: the database has changed by itself; to go on would hide it.
        """
        if self.settings.database is None:
            if is_intact(self.index_dir) is False:
                raise CatalogueError(
                    f"the database of the index {self.index_dir} is damaged; "
                    f"mend it with '{REPAIR}'"
                )
            break_seal(self.index_dir)
        with self.connection.begin():
            yield self.connection

    def wait_for_the_disk(self) -> None:
        """Have commits survive a power cut from now on, as one must that readers will see."""
        if self.settings.database is None:
            # Outside of any transaction, so not through SQLAlchemy.
            driver: Any = self.connection.connection.driver_connection
            driver.execute("PRAGMA synchronous=FULL")

    def point(self) -> None:
        """Make readers open the current generation, and remove those before it."""
        assert self.generation is not None  # noqa: S101
        manifest = generation_dir(self.index_dir, self.generation) / MANIFEST
        Pointer(self.generation, Checksum.of(manifest).sha256).write(self.index_dir)
        sweep(self.index_dir, {self.generation})


@contextmanager
def open_writer(
    index_dir: Path,
    *,
    root: Path | None = None,
    moved: bool = False,
    database: str | None = None,
    progress: Progress = no_progress,
) -> Iterator[Writer]:
    """Open an index to change it.

    Args:
        index_dir: its folder.
        root: the catalogue folder; the index is made if there is none. None takes the one
            that an existing index is of.
        moved: `root` is where the catalogue of this index lies now.
        database: URL of the PostgreSQL database for a new index; for an existing one it must
            be the same, and may add a password.
        progress: told how far a publication is.

    Raises:
        CatalogueError: there is no index, it belongs to another catalogue or a newer version,
            another process is changing it, or it cannot be written.
    """
    with plain_errors(index_dir):
        if root is None and not is_index(index_dir):
            raise CatalogueError(f"there is no index in {index_dir}; make one with '{BUILD}'")
        prepare(index_dir)
        with writer_lock(index_dir):
            known = read_settings(index_dir)
            settings = known or new_settings(database)
            if known:
                _check_database(index_dir, known, database)
            with connected(index_dir, settings, database) as connection:
                yield _recovered(_writer(index_dir, connection, settings, root, moved, progress))
            if settings.database is None and is_at_rest(index_dir):
                seal(index_dir)


def _check_database(index_dir: Path, settings: Settings, database: str | None) -> None:
    if database is not None and new_settings(database).database != settings.database:
        raise CatalogueError(
            f"the index {index_dir} keeps its database in "
            f"{settings.database or 'SQLite, in its folder'}; leave --database out, "
            "or name another folder with --index"
        )


def _writer(
    index_dir: Path,
    connection: Connection,
    settings: Settings,
    root: Path | None,
    moved: bool,
    progress: Progress,
) -> Writer:
    with connection.begin():
        row = connection.execute(select(catalogue)).one_or_none()
    writer = Writer(
        index_dir,
        connection,
        settings,
        Path(row.root) if row else Path(),
        row.current_generation if row else None,
        row.model if row else None,
        progress,
    )
    if row is None and root is None:
        raise CatalogueError(f"the index {index_dir} was never finished; run '{BUILD}'")
    if root is None or (row is not None and root == writer.root):
        return writer
    if row is not None and not moved:
        raise CatalogueError(
            f"{index_dir} is the index of {row.root}, not of {root}; if that folder has moved, "
            f"run 'finetag-index update --moved-to {root}', else name another with --index"
        )
    writer.root = root
    with writer.changing():
        if row is None:
            connection.execute(catalogue.insert().values(id=1, root=str(root)))
        else:
            connection.execute(update(catalogue).values(root=str(root)))
    return writer


def _recovered(writer: Writer) -> Writer:
    """Finish what a killed command had decided, and tidy what it had not."""
    pointed_to = _pointed_to(writer.index_dir)
    sweep(writer.index_dir, {writer.generation, pointed_to})
    if writer.generation is not None and writer.generation != pointed_to:
        try:
            Manifest.load(generation_dir(writer.index_dir, writer.generation))
        except (ValueError, OSError):
            return writer  # the next publication writes everything anew
        writer.point()
    return writer


def _pointed_to(index_dir: Path) -> int | None:
    try:
        pointer = Pointer.read(index_dir)
    except ValueError:
        return None
    return pointer.generation if pointer else None
