"""Verifying an index: every bit of it, and whether database and generation say the same.

The generation is right if its files have their checksums, and the database would give these
very files again. Nothing is changed here; `repairing` mends.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from finetag_model.console import printable
from finetag_model.errors import CatalogueError, FineTagError
from indexer.control import Progress, no_progress
from indexer.database import connected, plain_errors
from indexer.generation import write_files
from indexer.index import Index
from indexer.layout import (
    BUILD,
    DATABASE,
    GENERATIONS,
    REPAIR,
    SEAL,
    Pointer,
    generation_dir,
    is_index,
)
from indexer.lock import writer_lock
from indexer.manifest import MANIFEST, STATE, Checksum, Manifest, model_fields
from indexer.report import count, first_of
from indexer.schema import catalogue
from indexer.seal import is_intact
from indexer.settings import Settings
from indexer.state import read_state

_SCRATCH = ".0.partial"  # swept by the next writer if this command is killed


@dataclass
class Verification:
    """What is wrong with an index.

    Attributes:
        index: the index folder.
        generation: the number of its current generation; None if that cannot be known.
        images: how many it holds.
        database: what is wrong with the SQL database.
        files: what is wrong with the generation's files, and with those that point to them.
        catalogue: which image files are no longer what was indexed (only if asked for).
    """

    index: Path
    generation: int | None = None
    images: int = 0
    database: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    catalogue: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong with the index itself."""
        return not self.database and not self.files

    def as_dict(self) -> dict[str, Any]:
        """Return the findings as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "index": str(self.index), "whole": self.is_whole}

    def as_text(self, *, advise: bool = True) -> str:
        """Return the findings as lines for people, with or without what to do about them."""
        where = printable(str(self.index))
        number = "no generation" if self.generation is None else f"generation {self.generation}"
        lines = [f"{where}: {number}, {count(self.images, 'image')}"]
        wrong = [*self.database, *self.files]
        if not wrong:
            lines.append("  every file and every row is as it was written")
        lines += first_of([printable(each) for each in wrong])
        if wrong and advise:
            begun = f"; if it was never finished, run '{BUILD}'" * (self.generation is None)
            lines.append(f"mend it with '{REPAIR}'{begun}")
        if self.catalogue:
            lines.append(f"{count(len(self.catalogue), 'image file')} not as indexed:")
            lines += first_of([printable(each) for each in self.catalogue])
            lines.append("bring the index up to date with 'finetag-index update'")
        return "\n".join(lines)


def verify(
    index_dir: Path,
    *,
    catalogue_files: bool = False,
    database: str | None = None,
    progress: Progress = no_progress,
) -> Verification:
    """Read an index through and say what is wrong with it.

    Args:
        index_dir: the index.
        catalogue_files: read the images' files too, and compare them with what was indexed.
        database: as in `build`.
        progress: told how many rows are compared, and then how many image files.

    Raises:
        CatalogueError: there is no index, or another command is changing it.
    """
    if not is_index(index_dir):
        raise CatalogueError(f"there is no index in {index_dir}; make one with '{BUILD}'")
    with plain_errors(index_dir), writer_lock(index_dir):
        found = Verification(index_dir)
        manifest = _check_files(found)
        _check_database(found, manifest, database, progress)
    if catalogue_files and manifest is not None and not found.files:
        with Index.open(index_dir) as index:
            found.catalogue += _check_images(index, progress)
    return found


def _check_files(found: Verification) -> Manifest | None:
    """Check the generation; return its manifest if that can be read."""
    try:
        pointer = Pointer.read(found.index)
    except ValueError as error:
        found.files.append(str(error))
        return None
    if pointer is None:
        found.files.append("there is no current generation")
        return None
    found.generation = pointer.generation
    folder = generation_dir(found.index, pointer.generation)
    try:
        manifest = Manifest.load(folder, pointer.manifest)
    except (ValueError, OSError) as error:
        found.files.append(f"generation {pointer.generation}: {error}")
        return None
    found.images = manifest.rows
    found.files += [
        f"generation {pointer.generation}: {name} is damaged" for name in manifest.damaged(folder)
    ]
    return manifest


def _check_database(
    found: Verification, manifest: Manifest | None, database: str | None, progress: Progress
) -> None:
    try:
        settings = Settings.read(found.index)
    except (ValueError, TypeError) as error:
        found.database.append(str(error))
        return
    if settings is None:
        found.database.append("its settings and its database are missing")
        return
    if settings.database is None:
        found.database += _check_sqlite(found.index)
    if found.database:
        return
    try:
        with connected(found.index, settings, database) as connection, connection.begin():
            row = connection.execute(catalogue.select()).one_or_none()
            if row is None:
                found.database.append("the database knows no catalogue")
            elif manifest is not None and not found.files:
                found.database += _compare(connection, row, manifest, found.index, progress)
    except CatalogueError:
        raise
    except OperationalError:  # a server that cannot be reached is not damaged
        if settings.database is not None:
            raise
        found.database.append("the database cannot be read")
    except (SQLAlchemyError, FineTagError, RuntimeError, ValueError, TypeError) as error:
        found.database.append(f"the database cannot be read: {' '.join(str(error).split())}")


def _check_sqlite(index_dir: Path) -> Iterator[str]:
    path = index_dir / DATABASE
    if not path.is_file():
        yield f"{DATABASE} is missing"
        return
    if is_intact(index_dir) is False:
        yield f"{DATABASE} is not what {SEAL} says it was"
        return
    try:
        with closing(sqlite3.connect(path)) as connection:
            answers = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.Error as error:
        answers = [str(error)]
    if answers != ["ok"]:
        yield f"{DATABASE} is damaged: {'; '.join(' '.join(each.split()) for each in answers)}"


def _compare(
    connection: Connection,
    row: Row[*tuple[Any, ...]],
    manifest: Manifest,
    index_dir: Path,
    progress: Progress,
) -> Iterator[str]:
    """Write what the database would give, and compare it with what is published."""
    said = (row.current_generation, Path(row.root), row.model)
    if said != (manifest.generation, manifest.root, model_fields(manifest.model)):
        yield f"the database and {MANIFEST} name another generation, folder or model"
        return
    scratch = index_dir / GENERATIONS / _SCRATCH
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        write_files(connection, scratch, manifest.model, manifest.rows, progress)
        for name, checksum in manifest.files.items():
            if (scratch / name).exists() and Checksum.of(scratch / name) != checksum:
                yield f"the database does not give {name} as it is published"
    except (RuntimeError, ValueError, IndexError) as error:
        yield f"the database does not give the rows that are published ({error})"
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    published = json.loads((generation_dir(index_dir, manifest.generation) / STATE).read_bytes())
    now = json.loads(read_state(connection))
    # Failures may have changed since, for they alone do not ask for a new generation.
    for name in ("excluded", "last_id"):
        if published[name] != now[name]:
            yield f"the database does not give {STATE} ({name}) as it is published"


def _check_images(index: Index, progress: Progress) -> Iterator[str]:
    for row in range(index.rows):
        record = index.images([row])[0]
        try:
            with record.absolute.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != record.content_hash:
                    yield f"{record.path} has changed"
        except OSError as error:
            yield f"{record.path}: {(error.strerror or str(error)).lower()}"
        progress(row + 1, index.rows, "reading images")
