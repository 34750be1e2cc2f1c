"""What an index holds, for whoever looks after it: counts, duplicates, sizes, gaps.

What searches see comes from the generation; what they do not (failures, deleted files) comes from
the database, which is only read.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, func, select

from indexer.control import Progress, no_progress
from indexer.database import bytes_elsewhere, reading_connection
from indexer.index import Index
from indexer.layout import DATABASE, generation_dir
from indexer.manifest import FIELDS, IMAGE_IDS, IVF, MASKS, OFFSETS, RECORDS, SCORES, VISUAL
from indexer.near_duplicates import groups
from indexer.schema import excluded, failure, field, image
from indexer.selection import Selection
from indexer.statistics_report import Alike, Group, Quarantined, Statistics

_LARGEST = 5
"""Groups of duplicates of which the paths are given."""
_PATHS = 10
"""Paths given of one of these."""

_PARTS = {
    VISUAL: "vectors",
    IVF: "vectors",
    SCORES: "scores",
    MASKS: "masks",
    RECORDS: "records",
    OFFSETS: "records",
    IMAGE_IDS: "records",
    FIELDS: "records",
}


def statistics(
    index_dir: Path,
    *,
    database: str | None = None,
    progress: Progress = no_progress,
) -> Statistics:
    """Look through an index; it may be read-only, or be changed meanwhile.

    Args:
        index_dir: its folder.
        database: URL of its PostgreSQL database once more, for the password in it.
        progress: called with how many steps of the search for near duplicates are done, and
            how many there are.

    Raises:
        CatalogueError: there is no index, it is damaged, or its database cannot be read.
    """
    index = Index.open(index_dir)
    manifest = index.manifest
    with reading_connection(index_dir, database) as connection:
        duplicates = _duplicates(connection)
        contents = connection.scalar(select(func.count(image.c.content_hash.distinct()))) or 0
        failures = _failures(connection)
        quarantined = _quarantined(connection)
        deleted = connection.scalar(select(func.count()).select_from(excluded)) or 0
        fields = _fields(connection)
        sizes = _bytes(index_dir, manifest.generation, bytes_elsewhere(connection))
    kept = sum(sizes.values()) - sizes["other generations"]
    return Statistics(
        index=index_dir,
        catalogue=index.root,
        generation=manifest.generation,
        created=manifest.created,
        model=manifest.model.name,
        model_digest=manifest.model.digest,
        attributes=len(manifest.vocabulary),
        images=index.rows,
        contents=contents,
        duplicates=duplicates,
        near_duplicates=_near(index, progress),
        bytes=sizes,
        bytes_per_image=round(kept / index.rows, 1),
        failures=failures,
        quarantined=quarantined,
        excluded=deleted,
        fields=fields,
        groups={
            name: _with_a_value(index, positions)
            for name, positions in manifest.vocabulary.groups.items()
        },
    )


def _duplicates(connection: Connection) -> Alike:
    number = func.count().label("number")
    repeated = select(image.c.content_hash, number).group_by(image.c.content_hash)
    repeated = repeated.having(number > 1)
    every = repeated.subquery()
    count, images = connection.execute(
        select(func.count(), func.coalesce(func.sum(every.c.number), 0)).select_from(every)
    ).one()
    order = (number.desc(), func.min(image.c.path))
    largest = []
    for content_hash, size in connection.execute(repeated.order_by(*order).limit(_LARGEST)):
        same = select(image.c.path).where(image.c.content_hash == content_hash)
        paths = connection.scalars(same.order_by(image.c.path).limit(_PATHS))
        largest.append(Group(size, tuple(paths)))
    return Alike(count, int(images), tuple(largest))


def _near(index: Index, progress: Progress) -> Alike:
    of = groups(index, progress=progress)
    firsts, sizes = np.unique(of, return_counts=True)
    firsts, sizes = firsts[sizes > 1], sizes[sizes > 1]
    largest = [
        Group(int(sizes[at]), _paths(index, np.flatnonzero(of == firsts[at])))
        for at in np.argsort(-sizes, kind="stable")[:_LARGEST]
    ]
    return Alike(len(firsts), int(sizes.sum()), tuple(largest))


def _paths(index: Index, rows: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(record.path for record in index.images(rows[:_PATHS].tolist()))


def _failures(connection: Connection) -> dict[str, int]:
    number = func.count().label("number")
    query = select(failure.c.reason, number).group_by(failure.c.reason)
    rows = connection.execute(query.order_by(number.desc(), failure.c.reason))
    return {row.reason: row.number for row in rows}


def _quarantined(connection: Connection) -> tuple[Quarantined, ...]:
    query = select(failure.c.path, failure.c.reason).where(failure.c.quarantined)
    return tuple(Quarantined(*row) for row in connection.execute(query.order_by(failure.c.path)))


def _fields(connection: Connection) -> dict[str, int]:
    query = select(field.c.fields).join(image, image.c.path == field.c.path)
    streamed = connection.scalars(query.execution_options(yield_per=10_000))
    return dict(sorted(Counter(name for fields in streamed for name in fields).items()))


def _bytes(index_dir: Path, generation: int, database: int) -> dict[str, int]:
    parts = ("vectors", "scores", "masks", "records", "rest", "other generations")
    sizes = {"database": database, **dict.fromkeys(parts, 0)}
    current = generation_dir(index_dir, generation)
    for folder, _, names in os.walk(index_dir):
        for name in names:
            path = Path(folder, name)
            try:
                size = path.stat().st_size
            except FileNotFoundError:  # a writer is at work
                continue
            sizes[_part(path, index_dir, current)] += size
    return sizes


def _part(path: Path, index_dir: Path, current: Path) -> str:
    if path.parent == current:
        return _PARTS.get(path.name, "rest")
    if path.is_relative_to(current.parent):
        return "other generations"
    is_database = path.parent == index_dir and path.name.startswith(DATABASE)
    return "database" if is_database else "rest"


def _with_a_value(index: Index, positions: Sequence[int]) -> int:
    return Selection(np.bitwise_or.reduce([index.mask(each) for each in positions])).count
