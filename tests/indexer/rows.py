"""Compares what the database of an index holds with what its current generation says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from sqlalchemy import Connection, func, select

from indexer import Index
from indexer.columns import Columns
from indexer.database import connected
from indexer.layout import Pointer
from indexer.manifest import Checksum
from indexer.schema import catalogue, embedding, field, image, reading
from indexer.settings import Settings


def check_columns(
    columns: Columns, fields: Sequence[Mapping[str, Any]], groups: Collection[str]
) -> None:
    """Check that columns say of every row what its fields say, but for groups."""
    said = [
        {name: _held(each) for name, each in row.items() if name not in groups and each != []}
        for row in fields
    ]
    assert columns.names == tuple(sorted({name for row in said for name in row}))
    for name in (*columns.names, "no field"):
        cells = [row.get(name) for row in said]
        numbers = [None if isinstance(cell, str | tuple) else cell for cell in cells]
        held = [cell if isinstance(cell, str | tuple) else None for cell in cells]
        every = [(cell,) if isinstance(cell, str) else cell or () for cell in held]
        found = columns.numbers(name)
        assert (found.dtype, found.shape) == (np.float64, (len(fields),))
        assert [None if np.isnan(number) else number for number in found] == numbers
        texts = columns.texts(name)
        assert (texts.codes.dtype, texts.codes.shape) == (np.int32, (len(fields),))
        assert texts.known == tuple(sorted({text for some in every for text in some}))
        assert [None if code == -1 else texts.held[code] for code in texts.codes] == held
        assert set(texts.held) == set(held) - {None}
        for at, text in enumerate(texts.known):
            which = np.arange(len(texts.known)) == at
            assert texts.holding(which).tolist() == [text in some for some in every]
            assert texts.counts(None)[at] == sum(text in some for some in every)
        assert columns.has_numbers(name) == any(number is not None for number in numbers)
        assert columns.has_texts(name) == bool(texts.held)


def _held(cell: Any) -> Any:
    """Return a cell as columns hold it: a list as the set of its texts, and one text alone."""
    if not isinstance(cell, list):
        return cell
    texts = tuple(sorted(set(cell)))
    return texts if len(texts) > 1 else texts[0]


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

    groups = index.manifest.vocabulary.groups
    check_columns(index.columns, [(row["fields"] or {}) for row in rows], groups)

    contents = connection.scalar(select(func.count(image.c.content_hash.distinct())))
    assert connection.scalar(select(func.count()).select_from(embedding)) == contents
    assert connection.scalar(select(func.count()).select_from(reading)) == 0
    manifest = Checksum.of(folder / "manifest.json").sha256
    pointer = Pointer(index.manifest.generation, manifest)
    assert pointer == Pointer.read(folder.parents[1])
    assert connection.scalar(select(catalogue.c.current_generation)) == pointer.generation
    assert index.manifest.damaged(folder) == []
