"""Compares what the database of an index holds with what its current generation says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import faiss
import numpy as np
from sqlalchemy import Connection, func, select

from indexer import Index
from indexer.database import connected
from indexer.layout import Pointer
from indexer.manifest import Checksum
from indexer.schema import catalogue, embedding, field, image, reading
from indexer.settings import Settings


@contextmanager
def read_database(index_dir: Path) -> Iterator[Connection]:
    """Connect to the database of an index, whichever it is."""
    settings = Settings.read(index_dir)
    assert settings is not None
    with connected(index_dir, settings, None) as connection, connection.begin():
        yield connection


def check_generation(connection: Connection, index: Index) -> None:
    """Check that the database and an index opened on it agree about every row."""
    folder = index.folder
    records = index.images(range(index.rows))
    query = (
        select(image, embedding, field.c.fields)
        .join(embedding, embedding.c.content_hash == image.c.content_hash)
        .join(field, field.c.path == image.c.path, isouter=True)
        .order_by(image.c.path)
    )
    rows = connection.execute(query).mappings().all()
    names = ("id", "path", "width", "height", "content_hash", "bytes", "mtime_ns")
    said = [(*(getattr(record, name) for name in names), record.fields) for record in records]
    assert said == [(*(row[name] for name in names), row["fields"] or {}) for row in rows]
    assert [row["path"] for row in rows] == sorted(row["path"] for row in rows)
    assert {row["model_digest"] for row in rows} == {index.manifest.model.digest}
    assert np.load(folder / "image_ids.npy").tolist() == [row["id"] for row in rows]

    vectors = faiss.read_index(str(folder / "visual.faiss")).reconstruct_n(0, index.rows)
    assert vectors.tobytes() == b"".join(row["visual"] for row in rows)
    scores = np.array([np.frombuffer(row["scores"], np.uint8) for row in rows])
    passes = scores >= np.ceil(255 * index.manifest.model.thresholds.astype(float) - 1e-4)
    for position in range(len(index.manifest.vocabulary)):
        if not any(row["fields"] for row in rows):
            assert index.scores(position).tolist() == scores[:, position].tolist()
            assert index.matching([position]).tolist() == passes[:, position].nonzero()[0].tolist()

    contents = connection.scalar(select(func.count(image.c.content_hash.distinct())))
    assert connection.scalar(select(func.count()).select_from(embedding)) == contents
    assert connection.scalar(select(func.count()).select_from(reading)) == 0
    manifest = Checksum.of(folder / "manifest.json").sha256
    pointer = Pointer(index.manifest.generation, manifest)
    assert pointer == Pointer.read(folder.parents[1])
    assert connection.scalar(select(catalogue.c.current_generation)) == pointer.generation
    assert index.manifest.damaged(folder) == []
