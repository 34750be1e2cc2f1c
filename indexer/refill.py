"""The way back: a database filled anew from a generation, which knows all of it.

For a snapshot that is restored, and for a database that is damaged; `salvage` is for a generation
that is damaged as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, delete, insert

from indexer.generation import BLOCK, of_bytes
from indexer.index import Index
from indexer.manifest import RECORDS, STATE
from indexer.records import ImageRecord, decode
from indexer.schema import embedding, excluded, failure, field, image, reading
from indexer.state import write_state


def refill(connection: Connection, source: Index) -> None:
    """Replace all rows but the catalogue's own, in the caller's transaction.

    Raises:
        CatalogueError: the source is damaged.
    """
    _clear(connection)
    done: set[bytes] = set()
    for start in range(0, source.rows, BLOCK):
        stop = min(start + BLOCK, source.rows)
        records = source.images(range(start, stop))
        _enter_images(connection, records)
        embeddings = list(_embeddings(source, start, stop, records, done))
        if embeddings:
            connection.execute(insert(embedding), embeddings)
    write_state(connection, (source.folder / STATE).read_bytes())


def salvage(connection: Connection, folder: Path, root: Path) -> None:
    """Do as `refill`, from the files of records and state alone, without embeddings."""
    _clear(connection)
    with (folder / RECORDS).open("rb") as lines:
        while block := [decode(line, root) for line in islice(lines, BLOCK)]:
            _enter_images(connection, block)
    write_state(connection, (folder / STATE).read_bytes())


def _clear(connection: Connection) -> None:
    for table in (image, embedding, field, failure, excluded, reading):
        connection.execute(delete(table))


def _enter_images(connection: Connection, records: Sequence[ImageRecord]) -> None:
    columns = [column.name for column in image.c]
    rows = [{name: getattr(record, name) for name in columns} for record in records]
    connection.execute(insert(image), rows)
    fields = [{"path": each.path, "fields": dict(each.fields)} for each in records if each.fields]
    if fields:
        connection.execute(insert(field), fields)


def _embeddings(
    source: Index, start: int, stop: int, records: Sequence[ImageRecord], done: set[bytes]
) -> Iterator[dict[str, object]]:
    """Yield the rows of the contents that are not `done`, and enter them there."""
    attributes = range(len(source.manifest.vocabulary))
    scores = np.stack([source.scores(position)[start:stop] for position in attributes], axis=1)
    visual = source.vectors(start, stop)
    perceptual = source.perceptual[start:stop]
    for i, record in enumerate(records):
        digest = bytes.fromhex(record.content_hash)
        if digest in done:
            continue
        done.add(digest)
        predicted = record.predicted
        own = perceptual[i].tobytes()
        yield {
            "content_hash": record.content_hash,
            "model_digest": source.manifest.model.digest,
            "width": record.width,
            "height": record.height,
            "scores": bytes.fromhex(predicted) if predicted else scores[i].tobytes(),
            "visual": visual[i].astype("<f4").tobytes(),
            "perceptual": None if own == of_bytes(record.content_hash) else own,
        }
