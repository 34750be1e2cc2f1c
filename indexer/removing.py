"""Deleting images from an index: for good, whether their files stay in the folder or not.

A file that stays is passed over by later updates, until `add` takes it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import delete, or_, select

from finetag_model.errors import DataError
from indexer.control import Progress, no_progress
from indexer.manifest import model_of
from indexer.publish import publication
from indexer.report import count
from indexer.schema import count_images, excluded, field, image, is_below
from indexer.writer import Writer, open_writer


@dataclass(frozen=True)
class DeleteReport:
    """What was deleted.

    Attributes:
        index: the index folder.
        generation: the number of the new generation.
        deleted: the images' paths, sorted.
        images: how many are left.
    """

    index: Path
    generation: int
    deleted: tuple[str, ...]
    images: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it; the keys are the names of the attributes."""
        return {**vars(self), "index": str(self.index), "deleted": list(self.deleted)}

    def as_text(self) -> str:
        """Return the report as a line for people."""
        return (
            f"{count(len(self.deleted), 'image')} deleted, {count(self.images, 'image')} left "
            f"(generation {self.generation}); 'finetag-index add' takes a file back"
        )


def delete_images(
    index_dir: Path,
    paths: Sequence[str] = (),
    ids: Sequence[int] = (),
    *,
    database: str | None = None,
    progress: Progress = no_progress,
) -> DeleteReport:
    """Delete images from an index, with all that is known of them; all that are named, or none.

    Args:
        index_dir: the index.
        paths: of files or folders, in the catalogue folder: relative to it, or else to the
            working folder, or absolute.
        ids: of images.
        database: see `build`.
        progress: told how far publishing is.

    Raises:
        DataError: there is no such image in the index, or none would be left.
        CatalogueError: as `build`.
    """
    with open_writer(index_dir, database=database, progress=progress) as writer:
        if writer.model is None:
            raise DataError(f"the index {index_dir} holds no image yet")
        with writer.connection.begin():
            deleted = sorted(_named(writer, paths, ids))
            left = count_images(writer.connection) - len(deleted)
        if not left:
            raise DataError(f"that would leave no image in {index_dir}; delete that folder instead")
        with publication(writer, model_of(writer.model)) as connection:
            for path in deleted:
                connection.execute(delete(image).where(image.c.path == path))
                connection.execute(delete(field).where(field.c.path == path))
                connection.execute(excluded.insert().values(path=path))
        assert writer.generation is not None  # noqa: S101
        return DeleteReport(index_dir, writer.generation, tuple(deleted), left)


def _named(writer: Writer, paths: Sequence[str], ids: Sequence[int]) -> set[str]:
    named: set[str] = set()
    for id_ in ids:
        found = writer.connection.scalar(select(image.c.path).where(image.c.id == id_))
        if found is None:
            raise DataError(f"there is no image with the id {id_} in {writer.index_dir}")
        named.add(found)
    for path in paths:
        some = _at(writer, path.rstrip("/")) or _at(writer, _as_seen_from_here(path, writer.root))
        if not some:
            raise DataError(
                f"there is no image {path} in {writer.index_dir}; "
                f"name it as it lies below {writer.root}"
            )
        named.update(some)
    return named


def _at(writer: Writer, relative: str | None) -> Sequence[str]:
    """Return the images at, or below, a path of the catalogue folder."""
    if relative is None:
        return []
    query = select(image.c.path).where(or_(image.c.path == relative, is_below(relative)))
    return writer.connection.scalars(query).all()


def _as_seen_from_here(path: str, root: Path) -> str | None:
    """Return a path as it lies below `root`, as `add` would; None if it does not, or names all."""
    # Only the folder is resolved: a link in the catalogue is named as it lies there.
    absolute = Path(path).parent.resolve() / Path(path).name
    if not Path(path).name or not absolute.is_relative_to(root):
        return None
    return absolute.relative_to(root).as_posix()
