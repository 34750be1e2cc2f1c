"""An index opened for reading: scores, filters, nearest neighbours and image records.

It shows one generation. After the next build it says that it is out of date instead of
mixing that generation's rows with newer records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from finetag_model.errors import CatalogueError
from indexer.layout import generation_dir
from indexer.manifest import IMAGE_IDS, SCORES, VISUAL, Manifest
from indexer.quantise import cutoff
from indexer.store import (
    BUILD,
    EmbeddingRow,
    ImageRow,
    open_for_reading,
    plain_errors,
    the_catalogue,
)

if TYPE_CHECKING:
    from indexer.vectors import Vectors

_IDS_AT_ONCE = 500


@dataclass(frozen=True)
class ImageRecord:
    """What is known of one image.

    Attributes:
        id: the same for as long as the file keeps its path; never given to another image.
        path: relative to the catalogue folder, with forward slashes.
        absolute: the file.
        width: in pixels, upright.
        height: in pixels, upright.
        content_hash: SHA-256 of the file, hexadecimal.
    """

    id: int
    path: str
    absolute: Path
    width: int
    height: int
    content_hash: str


class Index:
    """One generation of an index; row numbers run from 0 in the order of the images' paths.

    Attributes:
        manifest: the generation and the model that filled it.
        root: the catalogue folder, absolute.
    """

    def __init__(self, index_dir: Path, engine: Engine, root: Path, generation: int) -> None:
        """Prefer `Index.open`."""
        folder = generation_dir(index_dir, generation)
        self.manifest = Manifest.load(folder)
        self.root = root
        self._index_dir = index_dir
        self._folder = folder
        self._engine = engine
        rows, attributes = self.manifest.rows, len(self.manifest.vocabulary)
        self._ids = _mapped(folder / IMAGE_IDS, np.dtype(np.int64), (rows,))
        self._scores = _mapped(folder / SCORES, np.dtype(np.uint8), (attributes, rows))

    @classmethod
    def open(cls, index_dir: Path) -> Index:
        """Open the current generation of an index; cheap, whatever its size.

        Raises:
            CatalogueError: there is no index, or it is damaged.
        """
        index_dir = index_dir.absolute()  # the vectors are opened later, perhaps from elsewhere
        with plain_errors(index_dir):
            engine = open_for_reading(index_dir)
            while True:
                root, generation = _current(engine, index_dir)
                if generation is None:
                    raise CatalogueError(f"the index {index_dir} was never finished; run '{BUILD}'")
                try:
                    return cls(index_dir, engine, root, generation)
                except (ValueError, FileNotFoundError) as error:
                    # A build may have published, and swept, between the two steps.
                    if _current(engine, index_dir)[1] == generation:
                        raise _damaged(index_dir, error) from error

    @property
    def rows(self) -> int:
        """The number of images."""
        return self.manifest.rows

    def scores(self, position: int) -> NDArray[np.uint8]:
        """Return round(255 * probability) of one attribute; uint8 (rows,), memory-mapped."""
        scores: NDArray[np.uint8] = self._scores[position]
        return scores

    def matching(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows, ascending, that pass all these attributes' default thresholds."""
        passing = np.ones(self.rows, dtype=np.bool_)
        for position in positions:
            threshold = float(self.manifest.model.thresholds[position])
            passing &= self.scores(position) >= cutoff(threshold)
        return np.flatnonzero(passing).astype(np.int64, copy=False)

    def search(
        self, vectors: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest rows by exact search.

        Args:
            vectors: float32 of shape (Q, D), each of length 1.
            k: how many to find for each, at least 0.
            rows: search these only, int64, ascending; None searches all.

        Returns:
            Row numbers, int64, and cosine similarities, float32; both of shape
            (Q, min(k, number of rows searched)), best first, of equals the smaller row first.

        Raises:
            ValueError: the vectors have another length than the index's.
            CatalogueError: the vector file is damaged or gone.
        """
        dim = self.manifest.model.visual_dim
        if vectors.ndim != 2 or vectors.shape[1] != dim:
            raise ValueError(f"vectors of shape {vectors.shape}, but the index needs (Q, {dim})")
        return self._vectors.search(vectors, k, rows)

    def images(self, rows: Iterable[int]) -> list[ImageRecord]:
        """Return the records of these rows, in their order.

        Raises:
            CatalogueError: the index has been rebuilt since it was opened, or is damaged.
        """
        ids = [int(self._ids[row]) for row in rows]
        records: dict[int, ImageRecord] = {}
        query = select(
            ImageRow.id,
            ImageRow.path,
            EmbeddingRow.width,
            EmbeddingRow.height,
            ImageRow.content_hash,
        ).join(EmbeddingRow, EmbeddingRow.content_hash == ImageRow.content_hash)
        query = query.where(EmbeddingRow.model_digest == self.manifest.model.digest)
        with plain_errors(self._index_dir):
            with Session(self._engine) as session:
                for start in range(0, len(ids), _IDS_AT_ONCE):
                    some = query.where(ImageRow.id.in_(ids[start : start + _IDS_AT_ONCE]))
                    for id_, path, width, height, content_hash in session.execute(some):
                        records[id_] = ImageRecord(
                            id_, path, self.root / path, width, height, content_hash
                        )
            # Records change with the generation only, so they were ours if it still is.
            self._check_current()
        if missing := set(ids) - set(records):
            raise _damaged(self._index_dir, f"image {min(missing)} is not in the database")
        return [records[id_] for id_ in ids]

    @cached_property
    def _vectors(self) -> Vectors:
        from indexer.vectors import Vectors  # noqa: PLC0415  (brings FAISS)

        try:
            return Vectors(self._folder / VISUAL, self.rows, self.manifest.model.visual_dim)
        except ValueError as error:
            with plain_errors(self._index_dir):
                self._check_current()
            raise _damaged(self._index_dir, f"{VISUAL}: {error}") from error

    def _check_current(self) -> None:
        current = _current(self._engine, self._index_dir)[1]
        if current != self.manifest.generation:
            raise CatalogueError(
                f"the index {self._index_dir} has been rebuilt since it was opened; open it again"
            )


def _current(engine: Engine, index_dir: Path) -> tuple[Path, int | None]:
    with Session(engine) as session:
        catalogue = the_catalogue(session, index_dir)
        return Path(catalogue.root), catalogue.current_generation


def _damaged(index_dir: Path, what: object) -> CatalogueError:
    return CatalogueError(f"the index {index_dir} is damaged: {what}; mend it with '{BUILD}'")


def _mapped(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:  # not damage, but a file that is gone or may not be read
        raise
    except Exception as error:  # numpy's header parser raises nearly anything on damaged data
        raise ValueError(f"{path.name} cannot be read") from error
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{path.name} does not hold what the manifest announces")
    return np.asarray(array)
