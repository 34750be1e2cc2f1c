"""Snapshots: an index as one file, and an index made from such a file.

A snapshot is a tar archive of the current generation. It is taken without stopping anybody, and
holds everything: the database is filled anew from it.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from finetag_model.errors import CatalogueError, UsageError
from finetag_model.files import replacing
from indexer.control import Progress, no_progress
from indexer.database import plain_errors
from indexer.index import Index
from indexer.layout import CURRENT, GENERATIONS, damaged, fsync, prepare
from indexer.manifest import FILES, IVF, MANIFEST
from indexer.publish import publication
from indexer.refill import refill
from indexer.report import count, size_of
from indexer.writer import open_writer

_COMPRESSED = (".tar.gz", ".tgz")


@dataclass(frozen=True)
class SnapshotReport:
    """What was taken or restored.

    Attributes:
        index: the index folder.
        file: the snapshot.
        generation: the number of the index's current generation.
        images: how many it holds.
        bytes: size of the snapshot.
        restored: whether the index was made from the file, and not the file from the index.
    """

    index: Path
    file: Path
    generation: int
    images: int
    bytes: int
    restored: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "index": str(self.index), "file": str(self.file)}

    def as_text(self) -> str:
        """Return the report as a line for people."""
        size = size_of(self.bytes)
        if self.restored:
            return (
                f"{count(self.images, 'image')} restored from {self.file} ({size}) "
                f"to {self.index} (generation {self.generation})"
            )
        return (
            f"{count(self.images, 'image')} of {self.index} (generation {self.generation}) "
            f"in {self.file} ({size})"
        )


def snapshot(index_dir: Path, file: Path, *, progress: Progress = no_progress) -> SnapshotReport:
    """Write the current generation of an index to a file; an existing one is replaced.

    A name that ends in `.tar.gz` or `.tgz` gets a compressed file.

    Raises:
        UsageError: the name has none of these ends, nor `.tar`.
        CatalogueError: there is no index, it is damaged, or the file cannot be written.
    """
    if not file.name.lower().endswith((".tar", *_COMPRESSED)):
        raise UsageError(f"{file} does not end in .tar, .tar.gz or .tgz; snapshots are such files")
    index = Index.open(index_dir)
    folder, number = index.folder, index.manifest.generation
    if changed := index.manifest.damaged(folder):
        raise damaged(index_dir, changed[0])
    try:
        with replacing(file) as partial:
            mode: Literal["w:gz", "w"] = "w:gz" if file.name.lower().endswith(_COMPRESSED) else "w"
            with tarfile.open(partial, mode) as archive:
                names = (MANIFEST, *index.manifest.files)
                for i, name in enumerate(names):
                    progress(i, len(names))
                    archive.add(folder / name, f"{GENERATIONS}/{number}/{name}")
                archive.add(index_dir / CURRENT, CURRENT)
            fsync(partial)
        size = file.stat().st_size
    except OSError as error:
        raise CatalogueError(
            f"cannot write {file}: {(error.strerror or str(error)).lower()}"
        ) from None
    return SnapshotReport(index_dir, file, number, index.rows, size, restored=False)


def restore(
    file: Path,
    index_dir: Path,
    *,
    root: Path | None = None,
    database: str | None = None,
    progress: Progress = no_progress,
) -> SnapshotReport:
    """Make an index what a snapshot says, in one step; what it served before goes on until then.

    Args:
        file: the snapshot.
        index_dir: a new index, or one that is replaced.
        root: where the catalogue folder is now; None: where it was.
        database: as in `build`.
        progress: told how far publishing is.

    Raises:
        CatalogueError: the file is not a whole snapshot, or the index cannot be written.
    """
    with plain_errors(index_dir):
        prepare(index_dir)
        unpacked = Path(tempfile.mkdtemp(dir=index_dir, suffix=".partial"))
        try:
            _unpack(file, unpacked)
            with Index.open(unpacked) as source:
                if changed := source.manifest.damaged(source.folder):
                    raise CatalogueError(f"the snapshot {file} is damaged: {changed[0]}")
                place = (root or source.root).resolve()
                with (
                    open_writer(
                        index_dir, root=place, moved=True, database=database, progress=progress
                    ) as writer,
                    publication(writer, source.manifest.model) as connection,
                ):
                    refill(connection, source)
                assert writer.generation is not None  # noqa: S101
                size = file.stat().st_size
                return SnapshotReport(
                    index_dir, file, writer.generation, source.rows, size, restored=True
                )
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)


def _unpack(file: Path, folder: Path) -> None:
    """Unpack what a snapshot holds, and nothing else that the file may hold."""
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                name = Path(member.name)
                is_ours = member.name == CURRENT or (
                    name.name in {MANIFEST, *FILES, IVF}
                    and name.parts[0] == GENERATIONS
                    and len(name.parts) == 3
                    and name.parts[1].isdecimal()
                )
                if not is_ours or not member.isreg():
                    raise CatalogueError(f"{file} is not a snapshot (it holds {member.name!r})")
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = archive.extractfile(member)
                assert source is not None  # noqa: S101
                _copy(source, target)
    except FileNotFoundError:
        raise CatalogueError(f"there is no snapshot {file}") from None
    except (tarfile.TarError, EOFError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise CatalogueError(f"{file} is no whole snapshot: {reason}") from None


def _copy(source: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(source, file)
