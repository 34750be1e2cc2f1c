"""What a command found in the catalogue folder, as a temporary table beside the image table.

So the two are compared by SQL, and memory does not grow with the catalogue. Nothing here changes
the index itself; `publish` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    select,
    update,
)

from indexer.scan import Candidate, Failure
from indexer.schema import embedding, excluded, failure, found, image, is_below, reading
from indexer.writer import Writer

_AT_ONCE = 1000


def stage(connection: Connection, items: Iterable[Candidate | Failure]) -> list[Failure]:
    """Fill the table with the candidates of a scan; return what the scan skipped."""
    failures: list[Failure] = []

    def candidates() -> Iterator[Candidate]:
        for item in items:
            if isinstance(item, Failure):
                failures.append(item)
            else:
                yield item

    stream = candidates()
    with connection.begin():
        found.create(connection)
        while block := list(islice(stream, _AT_ONCE)):
            rows = [
                {"path": each.path, "bytes": each.bytes, "mtime_ns": each.mtime_ns}
                for each in block
            ]
            connection.execute(found.insert(), rows)
    return failures


def leave_out_excluded(connection: Connection) -> int:
    """Drop the files that were deleted from the index; return how many there were."""
    with connection.begin():
        is_excluded = exists().where(excluded.c.path == found.c.path)
        return connection.execute(delete(found).where(is_excluded)).rowcount


def leave_out_quarantined(connection: Connection) -> list[Failure]:
    """Drop the files that once hung or crashed their reader and have not changed; return them."""
    same = and_(failure.c.quarantined, *(failure.c[name] == found.c[name] for name in _SAME))
    with connection.begin():
        known = connection.execute(select(failure).join(found, same)).all()
        for row in known:
            connection.execute(delete(found).where(found.c.path == row.path))
    return [Failure(*row) for row in known]


def keep_unreachable(connection: Connection, model_digest: str, failures: list[Failure]) -> int:
    """Stage what the index holds below folders that could not be read; return how many.

    What cannot be seen for the moment is not gone.
    """
    kept = 0
    columns = [image.c[name] for name in (*_SAME, "content_hash")]
    with connection.begin():
        for folder in (each.path for each in failures if each.is_folder):
            rows = select(*columns).where(
                is_below(folder), _embedded(image.c.content_hash, model_digest)
            )
            insert = found.insert().from_select([*found.c], rows)
            counted = insert.execution_options(preserve_rowcount=True)
            kept += connection.execute(counted).rowcount
    return kept


def take_known(connection: Connection, model_digest: str) -> None:
    """Enter the hashes of files that need not be opened, since they were read before."""
    with connection.begin():
        for table in (image, reading):
            same = and_(
                *(table.c[name] == found.c[name] for name in _SAME),
                _embedded(table.c.content_hash, model_digest),
            )
            known = select(table.c.content_hash).where(same).scalar_subquery()
            unread = found.c.content_hash.is_(None)
            connection.execute(update(found).where(unread).values(content_hash=known))


def unread(connection: Connection) -> Iterator[Candidate]:
    """Yield the files that are to be opened, by path, a block at a time."""
    query = _unread(found.c.path, found.c.bytes, found.c.mtime_ns).order_by(found.c.path)
    last = ""
    while True:
        with connection.begin():
            block = connection.execute(query.where(found.c.path > last).limit(_AT_ONCE)).all()
        if not block:
            return
        last = block[-1].path
        yield from (Candidate(*row) for row in block)


def enter_hashes(connection: Connection, read: Sequence[Mapping[str, object]]) -> None:
    """Enter what reading files has shown, in the caller's transaction."""
    is_it = found.c.path == bindparam("at")
    statement = update(found).where(is_it).values(content_hash=bindparam("hash"))
    rows = [{"at": row["path"], "hash": row["content_hash"]} for row in read]
    connection.execute(statement, rows)


def take_back(writer: Writer, paths: Sequence[str]) -> None:
    """Let files that were deleted from the index be found again."""
    with writer.connection.begin():
        query = select(excluded.c.path).where(excluded.c.path.in_(paths))
        were_excluded = writer.connection.scalars(query).all()
    if were_excluded:
        with writer.changing() as connection:
            connection.execute(delete(excluded).where(excluded.c.path.in_(were_excluded)))


def count(connection: Connection) -> tuple[int, int]:
    """Return how many files are staged, and how many of those are unread."""
    with connection.begin():
        rows = connection.scalar(select(func.count()).select_from(found)) or 0
        return rows, connection.scalar(_unread(func.count())) or 0


def drop_failed(connection: Connection) -> None:
    """Drop the files that could not be read, once all have been tried."""
    with connection.begin():
        connection.execute(delete(found).where(found.c.content_hash.is_(None)))


def contents(connection: Connection) -> int:
    """Return how many different contents the staged files have."""
    with connection.begin():
        return connection.scalar(select(func.count(found.c.content_hash.distinct()))) or 0


def drop(connection: Connection) -> None:
    """Remove the table."""
    with connection.begin():
        found.drop(connection)


_SAME = ("path", "bytes", "mtime_ns")


def _embedded(content_hash: ColumnElement[str], model_digest: str) -> ColumnElement[bool]:
    return exists().where(
        embedding.c.content_hash == content_hash, embedding.c.model_digest == model_digest
    )


def _unread(*columns: ColumnElement[Any]) -> Select[*tuple[Any, ...]]:
    query: Select[*tuple[Any, ...]] = select(*columns)
    return query.select_from(found).where(found.c.content_hash.is_(None))
