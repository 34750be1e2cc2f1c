"""Writing a generation: the database's rows turned into the files that searches read.

Reading them is the business of `index`. Memory does not grow with the number of images, but for
an id, an offset and a perceptual hash each, and the columns of imported fields.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, CursorResult, Row, Select, select

from finetag_model.embedder import ModelInfo
from finetag_model.vocabulary import Vocabulary
from indexer.approximation import Approximation
from indexer.columns import ColumnBuilder
from indexer.control import Progress
from indexer.layout import fsync, generation_dir, partial_dir
from indexer.manifest import (
    FIELDS,
    FILES,
    HASH_BYTES,
    IMAGE_IDS,
    IVF,
    MANIFEST,
    MASKS,
    OFFSETS,
    PERCEPTUAL,
    RECORDS,
    SCORES,
    STATE,
    VISUAL,
    Checksum,
    Manifest,
)
from indexer.quantise import cutoff
from indexer.records import encode
from indexer.schema import count_images, embedding, field, image
from indexer.state import read_state

BLOCK = 4096
"""Rows written at a time; a multiple of 8, for a byte of a mask holds 8 rows."""


def write_generation(
    connection: Connection,
    index_dir: Path,
    root: Path,
    number: int,
    model: ModelInfo,
    progress: Progress,
) -> None:
    """Write all images of the database, ordered by path, as a generation complete on disk.

    It becomes the current one only when the caller's transaction says so and is committed.

    Raises:
        OSError: there is no space, or the folder cannot be written.
    """
    partial, final = partial_dir(index_dir, number), generation_dir(index_dir, number)
    shutil.rmtree(final, ignore_errors=True)  # of a publication that was never committed
    partial.mkdir()
    try:
        rows = count_images(connection)
        write_files(connection, partial, model, rows, progress)
        progress(rows, rows, "preparing searches")
        approximation = _approximate(partial, index_dir, number - 1, model, rows)
        (partial / STATE).write_bytes(read_state(connection))
        names = [*FILES, IVF] if approximation else FILES
        files = {name: Checksum.of(partial / name) for name in names}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        Manifest(number, now, root, model, rows, files, approximation).save(partial)
        for name in (*files, MANIFEST):
            fsync(partial / name)
        fsync(partial)
        partial.rename(final)
        fsync(final.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_files(
    connection: Connection, folder: Path, model: ModelInfo, rows: int, progress: Progress
) -> None:
    """Write the files that follow from the database's rows, always the same to the last bit."""
    from indexer import vectors  # noqa: PLC0415  (brings FAISS)

    with ExitStack() as stack:
        tables = _Tables(stack, folder, model, rows)
        # Closed at once when something goes wrong, and not when the error is forgotten.
        result = stack.enter_context(connection.execute(_query(model)))
        filled = _fill(result, model, tables, progress)
        vectors.write_flat(folder / VISUAL, model.visual_dim, rows, filled)
    if tables.row != rows:
        raise RuntimeError(f"{rows - tables.row} images have no embedding")
    _save(folder / IMAGE_IDS, tables.ids)
    _save(folder / PERCEPTUAL, tables.perceptual)
    _save(folder / OFFSETS, tables.offsets)
    tables.columns.save(folder / FIELDS)


def _approximate(
    folder: Path, index_dir: Path, before: int, model: ModelInfo, rows: int
) -> Approximation | None:
    """Write an approximate index if it is worth having, from what the generation before learned."""
    from indexer import vectors  # noqa: PLC0415

    if rows < vectors.FLAT_ROWS:
        return None
    previous = generation_dir(index_dir, before)
    trained = None
    try:
        manifest = Manifest.load(previous)
        if manifest.model.digest == model.digest:
            trained = manifest.approximation
    except (ValueError, OSError):
        pass  # there is none, or it is damaged: all is learned anew
    flat = vectors.Vectors(folder / VISUAL, rows, model.visual_dim)
    return vectors.write_ivf(folder / IVF, flat, previous / IVF if trained else None, trained)


def _fill(
    result: CursorResult[*tuple[Any, ...]], model: ModelInfo, tables: _Tables, progress: Progress
) -> Iterator[NDArray[np.float32]]:
    """Write the rows of everything but the vectors, and yield those, block by block."""
    for block in result.partitions():
        tables.add(block)
        progress(tables.row, len(tables.ids), "writing rows")
        joined = b"".join(row.visual for row in block)
        yield np.frombuffer(joined, "<f4").reshape(len(block), model.visual_dim)


def _query(model: ModelInfo) -> Select[*tuple[Any, ...]]:
    return (
        select(image, embedding, field.c.fields)
        .join(embedding, embedding.c.content_hash == image.c.content_hash)
        .join(field, field.c.path == image.c.path, isouter=True)
        .where(embedding.c.model_digest == model.digest)
        .order_by(image.c.path)
        .execution_options(yield_per=BLOCK)
    )


class _Tables:
    """Scores, masks and records, open for writing; ids, offsets, hashes and fields, in memory."""

    def __init__(self, stack: ExitStack, folder: Path, model: ModelInfo, rows: int) -> None:
        def opened(name: str) -> BinaryIO:
            return stack.enter_context((folder / name).open("wb"))

        attributes = len(model.vocabulary)
        self.row = 0
        self.ids = np.empty(rows, dtype=np.int64)
        self.offsets = np.zeros(rows + 1, dtype=np.int64)
        self.perceptual = np.empty((rows, HASH_BYTES), dtype=np.uint8)
        self.columns = ColumnBuilder(rows, model.vocabulary.groups)
        self._vocabulary = model.vocabulary
        self._cutoffs = np.array([cutoff(float(each)) for each in model.thresholds])
        self._scores = _Columns(opened(SCORES), attributes, rows)
        self._masks = _Columns(opened(MASKS), attributes, (rows + 7) // 8)
        self._records = opened(RECORDS)

    def add(self, block: Sequence[Row[*tuple[Any, ...]]]) -> None:
        part = slice(self.row, self.row + len(block))
        self.ids[part] = [row.id for row in block]
        hashes = b"".join(row.perceptual or of_bytes(row.content_hash) for row in block)
        self.perceptual[part] = np.frombuffer(hashes, np.uint8).reshape(len(block), HASH_BYTES)
        joined = b"".join(row.scores for row in block)
        scores = np.frombuffer(joined, np.uint8).reshape(len(block), -1).T.copy()
        passes = scores >= self._cutoffs[:, np.newaxis]
        lines = []
        for i, row in enumerate(block):
            outranked = False
            if row.fields:
                outranked = outrank(scores[:, i], passes[:, i], row.fields, self._vocabulary)
                self.columns.add(self.row + i, row.fields)
            lines.append(_line(row, outranked))
        self._scores.write(self.row, scores)
        self._masks.write(self.row // 8, np.packbits(passes, axis=1, bitorder="little"))
        lengths = [len(line) for line in lines]
        self.offsets[self.row + 1 : part.stop + 1] = self.offsets[self.row] + np.cumsum(lengths)
        self._records.writelines(lines)
        self.row = part.stop


class _Columns:
    """A uint8 array file of shape (columns, length), written a few rows of all columns at a time.

    Not a mapped file, for a full disk would kill a process that maps it.
    """

    def __init__(self, file: BinaryIO, columns: int, length: int) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (columns, length)}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        self._file = file
        self._start = file.tell()
        self._length = length

    def write(self, row: int, values: NDArray[np.uint8]) -> None:
        for column, part in enumerate(values):
            at = self._start + column * self._length + row
            if os.pwrite(self._file.fileno(), part.tobytes(), at) != len(part):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # a part was written


def of_bytes(content_hash: str) -> bytes:
    """Return what stands in for a perceptual hash that is missing: only a copy's is near it."""
    return bytes.fromhex(content_hash)[:HASH_BYTES]


def outrank(
    scores: NDArray[np.uint8],
    passes: NDArray[np.bool_],
    fields: dict[str, Any],
    vocabulary: Vocabulary,
) -> bool:
    """Let the merchant's own values of a group take the place of all predicted ones of it.

    Args:
        scores: uint8 (N,), changed in place: 255 for what the merchant says, else 0.
        passes: bool (N,), changed in place.
        fields: by name; a group's is a list of its values.
        vocabulary: the N attributes.

    Returns:
        Whether there was such a group.
    """
    # What was imported as a field stays one, though a later model has a group of that name.
    groups = [name for name in fields.keys() & vocabulary.groups if isinstance(fields[name], list)]
    for group in groups:
        said = set(fields[group])
        for position in vocabulary.groups[group]:
            passes[position] = vocabulary.value(position) in said
            scores[position] = 255 * passes[position]
    return bool(groups)


def _line(row: Row[*tuple[Any, ...]], outranked: bool) -> bytes:
    return encode(
        {
            "id": row.id,
            "path": row.path,
            "width": row.width,
            "height": row.height,
            "content_hash": row.content_hash,
            "bytes": row.bytes,
            "mtime_ns": row.mtime_ns,
            "fields": row.fields or {},
            **({"predicted": row.scores.hex()} if outranked else {}),
        }
    )


def _save(path: Path, array: NDArray[Any]) -> None:
    """Do as `np.save`, which would not notice a disk that fills up with its last few bytes."""
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)
