"""An index opened for reading: scores, filters, fields, nearest neighbours and image records.

It shows one generation, whole, for as long as it is open, whatever is published meanwhile. The
database is not needed for it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from finetag_model.errors import CatalogueError, UsageError
from indexer.approximation import Plan
from indexer.arrays import mapped
from indexer.columns import Columns
from indexer.counting import Counts, KeptCounts, Positions
from indexer.layout import Pointer, current_pointer, damaged, generation_dir, hold
from indexer.manifest import (
    FIELDS,
    HASH_BYTES,
    IMAGE_IDS,
    IVF,
    MANIFEST,
    MASKS,
    OFFSETS,
    PERCEPTUAL,
    RECORDS,
    SCORES,
    VISUAL,
    Manifest,
)
from indexer.records import ImageRecord, Records
from indexer.selection import Mask, Selection

if TYPE_CHECKING:
    from indexer.vectors import Vectors


class Index:
    """One generation of an index; row numbers run from 0 in the order of the images' paths.

    Attributes:
        manifest: the generation and the model that filled it.
        root: the catalogue folder, absolute.
        folder: where the generation's files are.
    """

    def __init__(self, index_dir: Path, pointer: Pointer) -> None:
        """Prefer `Index.open`."""
        self._index_dir = index_dir
        self.folder = generation_dir(index_dir, pointer.generation)
        # Held until this object is gone, so that a writer does not remove the folder meanwhile.
        held = os.open(self.folder / MANIFEST, os.O_RDONLY)
        self._finalizer = weakref.finalize(self, os.close, held)
        try:
            hold(held)
            self._load(pointer)
        except BaseException:
            self.close()  # an error that is kept would keep this object
            raise

    def _load(self, pointer: Pointer) -> None:
        folder = self.folder
        self._pointer = pointer
        self.manifest = Manifest.load(folder, pointer.manifest)
        self.root = self.manifest.root
        rows, attributes = self.manifest.rows, len(self.manifest.vocabulary)
        self._ids = mapped(folder / IMAGE_IDS, np.int64, (rows,))
        self._scores = mapped(folder / SCORES, np.uint8, (attributes, rows))
        self._masks = mapped(folder / MASKS, np.uint8, (attributes, (rows + 7) // 8))
        self._perceptual = mapped(folder / PERCEPTUAL, np.uint8, (rows, HASH_BYTES))
        offsets = mapped(folder / OFFSETS, np.int64, (rows + 1,))
        lines = np.memmap(folder / RECORDS, np.uint8, mode="r")
        self._listed_masks: dict[int, Mask] = {}
        self._counts = KeptCounts(self._masks)
        self._records = Records(np.asarray(lines), offsets, self.root)

    @classmethod
    def open(cls, index_dir: Path) -> Index:
        """Open the current generation of an index; cheap, whatever its size.

        Raises:
            CatalogueError: there is no index, or it is damaged.
        """
        index_dir = index_dir.absolute()  # the vectors are opened later, perhaps from elsewhere
        while True:
            pointer = current_pointer(index_dir)
            try:
                return cls(index_dir, pointer)
            except (ValueError, FileNotFoundError) as error:
                # A writer may have published, and swept, between the two steps.
                if current_pointer(index_dir) == pointer:
                    raise damaged(index_dir, error) from error
            except OSError as error:
                raise CatalogueError(
                    f"cannot read the index {index_dir}: {(error.strerror or str(error)).lower()}"
                ) from error

    def close(self) -> None:
        """Let the generation go; a writer may remove its files from now on."""
        self._finalizer()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_current(self) -> bool:
        """Say whether no other generation has been published, nor the index made anew.

        Raises:
            CatalogueError: the index is damaged or gone.
        """
        return current_pointer(self._index_dir) == self._pointer

    @property
    def rows(self) -> int:
        """The number of images."""
        return self.manifest.rows

    def scores(self, position: int) -> NDArray[np.uint8]:
        """Return round(255 * probability) of one attribute; uint8 (rows,), memory-mapped.

        Of a group that the merchant gave values of, these have 255 and the others 0.
        """
        scores: NDArray[np.uint8] = self._scores[position]
        return scores

    def scores_of(self, row: int) -> NDArray[np.uint8]:
        """Return what `scores` has of one row in all attributes; uint8 (attributes,)."""
        scores: NDArray[np.uint8] = self._scores[:, row]
        return scores

    def mask(self, position: int) -> NDArray[np.uint8]:
        """Return which rows pass one attribute's default threshold, memory-mapped.

        Returns:
            uint8 ((rows + 7) // 8,): row r is bit r % 8, from the lowest, of byte r // 8; the
            bits after the last row are 0.
        """
        mask: NDArray[np.uint8] = self._masks[position]
        return mask

    def matching(self, positions: Sequence[int]) -> NDArray[np.int64]:
        """Return the rows, ascending, that pass all these attributes' default thresholds."""
        every = self.all_rows.mask
        return Selection(reduce(np.bitwise_and, map(self.mask, positions), every)).rows

    @cached_property
    def all_rows(self) -> Selection:
        """Every row."""
        return Selection.all(self.rows)

    def counts(self, groups: Sequence[Positions], among: Selection) -> list[Counts]:
        """Return how many of some rows pass the default thresholds of groups of attributes.

        Counts are kept, so that the same rows are quickly counted again, and rows `without` a few
        where the whole was counted.
        """
        return self._counts.count(groups, among)

    def row_of(self, id_: int) -> int:
        """Return the row of an image.

        Raises:
            UsageError: there is no image with the id.
        """
        # A build numbers images in the order of their paths; what came later may be anywhere.
        row = int(np.searchsorted(self._ids, id_))
        if row < self.rows and self._ids[row] == id_:
            return row
        rows = np.flatnonzero(self._ids == id_)
        if not len(rows):
            raise UsageError(f"there is no image with the id {id_} in the index")
        return int(rows[0])

    def plan(self, passing: int, k: int, queries: int = 1) -> Plan:
        """Return the way to search that is expected to be the quickest, by what was measured.

        Args:
            passing: how many rows pass the filter.
            k: how many are wanted of each query.
            queries: how many are searched for in one call.
        """
        known = self.manifest.approximation
        return known.plan(passing, k, queries) if known else Plan()

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        among: Selection | None = None,
        plan: Plan | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the nearest rows.

        Args:
            vectors: float32 of shape (Q, D), each of length 1.
            k: how many to find for each, at least 0.
            among: the rows that pass a filter; None: all.
            plan: how, see `plan`; None: by exact search.

        Returns:
            Row numbers, int64, and cosine similarities, float32; both of shape
            (Q, min(k, number of rows searched)), best first, of equals the smaller row first.
            The similarities are exact, and there are never fewer, whatever the plan.

        Raises:
            ValueError: the vectors have another length than the index's.
            CatalogueError: the files of the vectors are damaged or gone.
        """
        dim = self.manifest.model.visual_dim
        if vectors.ndim != 2 or vectors.shape[1] != dim:
            raise ValueError(f"vectors of shape {vectors.shape}, but the index needs (Q, {dim})")
        opened = self._vectors
        with self._sound_lists():
            return opened.search(vectors, k, among, plan)

    def similarities(
        self, vector: NDArray[np.float32], rows: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Return the cosine similarity of rows to a vector of length 1; float32 (n,)."""
        return self._vectors.similarities(vector, rows)

    def listed_mask(self, position: int) -> Mask:
        """Return an attribute's mask in the order of the inverted lists, and keep it."""
        if position not in self._listed_masks:
            self._listed_masks[position] = self.in_lists(self.mask(position))
        return self._listed_masks[position]

    def in_lists(self, mask: Mask) -> Mask:
        """Bring a mask into the order of the inverted lists; only if there are some."""
        opened = self._vectors
        with self._sound_lists():
            return opened.lists.listed(mask)

    def preload(self) -> None:
        """Bring what searches read into memory, all of it; for a process that searches for long.

        Raises:
            CatalogueError: the files of the vectors are damaged or gone.
        """
        opened = self._vectors
        with self._sound_lists():
            opened.preload()
        for array in (self._masks, self._scores):
            array[:, :: 1 << 12].max(initial=0)
        for positions in self.manifest.vocabulary.groups.values():
            self._counts.prepare(positions)

    def images(self, rows: Iterable[int]) -> list[ImageRecord]:
        """Return the records of these rows, in their order.

        Raises:
            CatalogueError: the index is damaged.
        """
        try:
            return [self._record(row) for row in rows]
        except ValueError as error:
            raise damaged(self._index_dir, error) from error

    def _record(self, row: int) -> ImageRecord:
        record = self._records[row]
        if record.id != self._ids[row]:
            raise ValueError(f"{RECORDS} and {IMAGE_IDS} disagree about row {row}")
        return record

    def vectors(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return the visual vectors of consecutive rows; float32 of shape (stop - start, D)."""
        return self._vectors.read(start, stop)

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the visual vectors of some rows; float32 of shape (number of rows, D)."""
        return self._vectors.take(rows)

    @property
    def perceptual(self) -> NDArray[np.uint8]:
        """The perceptual hashes of all rows; uint8 (rows, 16), memory-mapped.

        Rows that have none, see `perceptual`, have a hash of their file's bytes instead.
        """
        hashes: NDArray[np.uint8] = self._perceptual
        return hashes

    @cached_property
    def columns(self) -> Columns:
        """The imported fields, to filter and sort by.

        Raises:
            CatalogueError: their file is damaged or gone.
        """
        return Columns(self.folder / FIELDS, self.rows, self._index_dir)

    @contextmanager
    def _sound_lists(self) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise damaged(self._index_dir, f"{IVF}: {error}") from error

    @cached_property
    def _vectors(self) -> Vectors:
        from indexer.vectors import Vectors  # noqa: PLC0415  (brings FAISS)

        approximation = self.manifest.approximation
        ivf = (self.folder / IVF, approximation) if approximation else None
        try:
            return Vectors(self.folder / VISUAL, self.rows, self.manifest.model.visual_dim, ivf)
        except ValueError as error:
            raise damaged(self._index_dir, f"{VISUAL}: {error}") from error
