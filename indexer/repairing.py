"""Mending an index: what is damaged is made anew from what is not.

The generation from the database; the database from the generation; embeddings that both have
lost from the images themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from finetag_model.embedder import Embedder
from finetag_model.errors import CatalogueError
from indexer.building import update
from indexer.control import Progress, ShouldStop, never, no_progress
from indexer.database import plain_errors
from indexer.index import Index
from indexer.layout import BUILD, DAMAGED, DATABASE, GENERATIONS, SEAL, SETTINGS
from indexer.lock import writer_lock
from indexer.manifest import RECORDS, STATE, Manifest, model_fields, model_of
from indexer.publish import publication
from indexer.refill import refill, salvage
from indexer.schema import catalogue, embedding
from indexer.seal import break_seal
from indexer.settings import Settings
from indexer.verifying import Verification, verify
from indexer.writer import open_writer


@dataclass(frozen=True)
class RepairReport:
    """What was wrong, and what was done about it.

    Attributes:
        before: what `verify` had found.
        done: what was made anew, as sentences; empty if nothing was wrong.
        after: what `verify` finds now.
    """

    before: Verification
    done: tuple[str, ...]
    after: Verification

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {
            "before": self.before.as_dict(),
            "done": list(self.done),
            "after": self.after.as_dict(),
        }

    def as_text(self) -> str:
        """Return the report as lines for people."""
        if not self.done:
            return self.before.as_text()
        return "\n".join([self.before.as_text(advise=False), *self.done, self.after.as_text()])


def repair(
    index_dir: Path,
    load_embedder: Callable[[], Embedder],
    *,
    database: str | None = None,
    progress: Progress = no_progress,
    should_stop: ShouldStop = never,
) -> RepairReport:
    """Find what is wrong with an index and mend it.

    Args:
        index_dir: the index.
        load_embedder: gives the network, should images have to be embedded again.
        database: as in `build`.
        progress: told how far it is.
        should_stop: as in `build`.

    Raises:
        CatalogueError: nothing is left to mend it from.
    """
    before = verify(index_dir, database=database, progress=progress)
    if before.is_whole:
        return RepairReport(before, (), before)
    if not before.database:
        done = [_new_generation(index_dir, database, progress)]
    elif not before.files:
        done = [_new_database(index_dir, database, progress)]
    else:
        done = [_salvage(index_dir, database)]
        report = update(
            index_dir,
            load_embedder(),
            database=database,
            progress=progress,
            should_stop=should_stop,
        )
        done.append(f"{report.embedded:,} of {report.images:,} images were embedded again")
    return RepairReport(
        before, tuple(done), verify(index_dir, database=database, progress=progress)
    )


def _new_generation(index_dir: Path, database: str | None, progress: Progress) -> str:
    with open_writer(index_dir, database=database, progress=progress) as writer:
        if writer.model is None:
            raise CatalogueError(f"the index {index_dir} was never finished; run '{BUILD}'")
        with publication(writer, model_of(writer.model)):
            pass
        return f"generation {writer.generation} was written from the database"


def _new_database(index_dir: Path, database: str | None, progress: Progress) -> str:
    with Index.open(index_dir) as source:
        _put_aside(index_dir)
        root = source.root
        with open_writer(
            index_dir, root=root, moved=True, database=database, progress=progress
        ) as writer:
            writer.generation = source.manifest.generation  # numbers go on from there
            with publication(writer, source.manifest.model) as connection:
                refill(connection, source)
        return f"the database was filled anew from generation {source.manifest.generation}"


def _salvage(index_dir: Path, database: str | None) -> str:
    """Leave a database that knows the images and what was imported, and no embedding."""
    folder, manifest = _newest(index_dir)
    if manifest is not None and all(manifest.is_whole(folder, each) for each in (RECORDS, STATE)):
        _put_aside(index_dir)
        root = manifest.root
        model = model_fields(manifest.model)
        with (
            open_writer(index_dir, root=root, moved=True, database=database) as writer,
            writer.changing() as connection,
        ):
            salvage(connection, folder, root)
            connection.execute(
                catalogue.update().values(current_generation=manifest.generation, model=model)
            )
        return f"the database was filled anew from the records of generation {folder.name}"
    break_seal(index_dir)  # broken by the damage already
    try:
        with open_writer(index_dir, database=database) as writer, writer.changing() as connection:
            connection.execute(delete(embedding))
    except CatalogueError as error:
        raise CatalogueError(
            f"neither the database nor a generation of {index_dir} can be read ({error}); "
            f"restore a snapshot, or delete that folder and run '{BUILD}'"
        ) from error
    return "the images were taken from the database"


def _newest(index_dir: Path) -> tuple[Path, Manifest | None]:
    """Return the newest generation whose manifest can be read, if there is one."""
    folders = [each for each in (index_dir / GENERATIONS).iterdir() if each.name.isdecimal()]
    for folder in sorted(folders, key=lambda each: -int(each.name)):
        try:
            return folder, Manifest.read(folder)
        except (ValueError, OSError):
            continue
    return index_dir, None


def _put_aside(index_dir: Path) -> None:
    """Make room for a new database; the damaged one stays beside it until `compact`."""
    with plain_errors(index_dir), writer_lock(index_dir):
        if (index_dir / DATABASE).exists():
            (index_dir / DATABASE).replace(index_dir / DAMAGED)
        for name in (SEAL, f"{DATABASE}-wal", f"{DATABASE}-shm"):
            (index_dir / name).unlink(missing_ok=True)
        try:
            settings = Settings.read(index_dir)
        except (ValueError, TypeError):
            settings = None
        if settings is None:
            (index_dir / SETTINGS).unlink(missing_ok=True)
