"""Writing a generation: the database's embeddings turned into the files that searches read.

Reading them is the business of `index`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from finetag_model.embedder import ModelInfo
from indexer.layout import fsync, generation_dir, partial_dir
from indexer.manifest import IMAGE_IDS, MANIFEST, SCORES, VISUAL, Checksum, Manifest
from indexer.store import EmbeddingRow, ImageRow

_BLOCK = 4096  # rows


def write_generation(session: Session, index_dir: Path, number: int, model: ModelInfo) -> None:
    """Write all images of the database, ordered by path, as a generation complete on disk.

    It becomes the current one only when the caller's transaction says so and is committed.

    Raises:
        OSError: there is no space, or the folder cannot be written.
    """
    from indexer import vectors  # noqa: PLC0415  (brings FAISS)

    partial, final = partial_dir(index_dir, number), generation_dir(index_dir, number)
    partial.mkdir()
    try:
        rows = session.scalar(select(func.count()).select_from(ImageRow)) or 0
        ids = np.empty(rows, dtype=np.int64)
        # In memory and not in a mapped file: a full disk would kill a process that maps it.
        scores = np.empty((len(model.vocabulary), rows), dtype=np.uint8)
        vectors.write(partial / VISUAL, model.visual_dim, _fill(session, model, ids, scores))
        _save(partial / SCORES, scores)
        _save(partial / IMAGE_IDS, ids)
        files = {name: Checksum.of(partial / name) for name in (VISUAL, SCORES, IMAGE_IDS)}
        now = datetime.now(UTC).isoformat(timespec="seconds")
        Manifest(number, now, model, rows, files).save(partial)
        for name in (*files, MANIFEST):
            fsync(partial / name)
        fsync(partial)
        partial.rename(final)
        fsync(final.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _save(path: Path, array: NDArray[Any]) -> None:
    """Do as `np.save`, which would not notice a disk that fills up with its last few bytes."""
    with path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.data)


def _fill(
    session: Session, model: ModelInfo, ids: NDArray[np.int64], scores: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    """Fill `ids` and the columns of `scores` row by row; yield the vectors of the same rows."""
    query = (
        select(ImageRow.id, EmbeddingRow.scores, EmbeddingRow.visual)
        .join(EmbeddingRow, EmbeddingRow.content_hash == ImageRow.content_hash)
        .where(EmbeddingRow.model_digest == model.digest)
        .order_by(ImageRow.path)
    )
    row = 0
    for block in session.execute(query).partitions(_BLOCK):
        part = slice(row, row := row + len(block))
        ids[part] = [image.id for image in block]
        joined = b"".join(image.scores for image in block)
        scores[:, part] = np.frombuffer(joined, np.uint8).reshape(len(block), -1).T
        joined = b"".join(image.visual for image in block)
        yield np.frombuffer(joined, "<f4").reshape(len(block), model.visual_dim)
    if row != len(ids):
        raise RuntimeError(f"{len(ids) - row} images have no embedding")
