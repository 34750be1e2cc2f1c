"""The last step of every change: the database and the generation files change over together.

Everything happens in one transaction. Whatever goes wrong before its commit, the generation
that was current stays so; whatever goes wrong after it, the next writer finishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Subquery,
    Table,
    and_,
    delete,
    exists,
    func,
    insert,
    not_,
    or_,
    select,
    update,
)

from finetag_model.embedder import ModelInfo
from indexer.generation import write_generation
from indexer.layout import Pointer, generation_dir
from indexer.manifest import Manifest, model_fields
from indexer.scan import Failure
from indexer.schema import catalogue, count_images, embedding, failure, field, found, image, reading
from indexer.writer import Writer


@dataclass(frozen=True)
class Changes:
    """What publishing the staged files changes; the numbers are of images."""

    new: int = 0
    changed: int = 0
    moved: int = 0
    gone: int = 0

    def __bool__(self) -> bool:
        return any(vars(self).values())


@contextmanager
def publication(writer: Writer, model: ModelInfo) -> Iterator[Connection]:
    """Run a block that changes rows, then write them as a generation and make it current.

    Raises:
        OSError, SQLAlchemyError: nothing has changed.
    """
    number = (writer.generation or 0) + 1
    writer.wait_for_the_disk()
    with writer.changing() as connection:
        yield connection
        _drop_unused_embeddings(connection, model.digest)
        write_generation(connection, writer.index_dir, writer.root, number, model, writer.progress)
        fields = model_fields(model)
        connection.execute(update(catalogue).values(current_generation=number, model=fields))
    writer.generation, writer.model = number, fields
    writer.point()


def publish_found(
    writer: Writer, model: ModelInfo, failures: Iterable[Failure], *, partial: bool
) -> tuple[bool, Changes]:
    """Make the index describe the staged files, all of which have a content hash now.

    Args:
        writer: the index.
        model: what embedded them.
        failures: the files that were skipped.
        partial: the other files of the catalogue were not looked for, and stay as they are.

    Returns:
        Whether a new generation was published, and what is different in it. One is published
        too if the model has changed, or to mend damage.
    """
    skipped = _by_path(failures)
    moves = [] if partial else _moves(writer.connection)
    changes, touched = _compare(writer.connection, len(moves), partial)
    if changes or touched or not _serves(writer, model):
        with publication(writer, model) as connection:
            _move(connection, moves)
            _take_over(connection, partial)
            _enter_failures(connection, skipped, partial)
            _forget_readings(connection, partial)
        return True, changes
    record_failures(writer, failures, partial=partial)
    return False, changes


def record_failures(writer: Writer, failures: Iterable[Failure], *, partial: bool) -> None:
    """Write down which files were skipped, without a new generation; arguments as above."""
    skipped = _by_path(failures)
    if _failures_differ(writer.connection, skipped, partial) or _has_readings(writer.connection):
        with writer.changing() as connection:
            _enter_failures(connection, skipped, partial)
            _forget_readings(connection, partial)


def _by_path(failures: Iterable[Failure]) -> dict[str, Failure]:
    return {each.path: each for each in failures}  # two undecodable names may be shown alike


_is_gone = not_(exists().where(found.c.path == image.c.path))
_is_new = not_(exists().where(image.c.path == found.c.path))
_same_path = image.c.path == found.c.path
_COLUMNS = ("content_hash", "bytes", "mtime_ns")
_differs = and_(_same_path, or_(*(image.c[name] != found.c[name] for name in _COLUMNS)))


def _moves(connection: Connection) -> list[tuple[int, str, str]]:
    """Pair the paths that are gone with new ones of the same content: (id, old, new)."""

    def numbered(table: Table, is_one: ColumnElement[bool]) -> Subquery:
        content = table.c.content_hash
        number = func.row_number().over(partition_by=content, order_by=table.c.path)
        return select(table, number.label("number")).where(is_one).subquery()

    gone, new = numbered(image, _is_gone), numbered(found, _is_new)
    pair = and_(gone.c.content_hash == new.c.content_hash, gone.c.number == new.c.number)
    with connection.begin():
        if not connection.scalar(select(exists().select_from(image).where(_is_gone))):
            return []  # as of most updates; numbering all rows would take far longer
        query = select(gone.c.id, gone.c.path, new.c.path).join(new, pair)
        return [(id_, old, new_path) for id_, old, new_path in connection.execute(query)]


def _compare(connection: Connection, moved: int, partial: bool) -> tuple[Changes, int]:
    def number(table: FromClause, *conditions: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(table).where(*conditions)
        return connection.scalar(query) or 0

    with connection.begin():
        touched = number(image.join(found, _differs))
        changes = Changes(
            new=number(found, _is_new) - moved,
            changed=number(
                image.join(found, _same_path), image.c.content_hash != found.c.content_hash
            ),
            moved=moved,
            gone=0 if partial else number(image, _is_gone) - moved,
        )
    return changes, touched


def _move(connection: Connection, moves: list[tuple[int, str, str]]) -> None:
    """Give images their new paths; ids, and what was imported, go with them."""
    for id_, old, new in moves:
        connection.execute(update(image).where(image.c.id == id_).values(path=new))
        has_own = exists().where(field.alias().c.path == new)
        connection.execute(update(field).where(field.c.path == old, not_(has_own)).values(path=new))


def _take_over(connection: Connection, partial: bool) -> None:
    if not partial:
        connection.execute(delete(image).where(_is_gone))
    values = {name: select(found.c[name]).where(_same_path).scalar_subquery() for name in _COLUMNS}
    connection.execute(update(image).where(exists().where(_differs)).values(values))
    columns = [found.c[name] for name in ("path", *_COLUMNS)]
    new = select(*columns).where(_is_new).order_by(found.c.path)
    connection.execute(insert(image).from_select([column.name for column in columns], new))


def _enter_failures(connection: Connection, skipped: dict[str, Failure], partial: bool) -> None:
    if partial:
        read = exists().where(found.c.path == failure.c.path)
        connection.execute(delete(failure).where(or_(read, failure.c.path.in_(skipped))))
    else:
        connection.execute(delete(failure))
    if skipped:
        connection.execute(insert(failure), [_failure_row(each) for each in skipped.values()])


def _failures_differ(connection: Connection, skipped: dict[str, Failure], partial: bool) -> bool:
    with connection.begin():
        rows = [dict(row) for row in connection.execute(select(failure)).mappings()]
    if partial:
        rows = [row for row in rows if row["path"] in skipped]
    return sorted(rows, key=_path) != sorted(map(_failure_row, skipped.values()), key=_path)


def _failure_row(each: Failure) -> dict[str, object]:
    return {column.name: getattr(each, column.name) for column in failure.c}


def _path(row: dict[str, object]) -> str:
    return str(row["path"])


def _has_readings(connection: Connection) -> bool:
    with connection.begin():
        return connection.scalar(select(exists().select_from(reading))) or False


def _forget_readings(connection: Connection, partial: bool) -> None:
    if partial:
        connection.execute(delete(reading).where(exists().where(found.c.path == reading.c.path)))
    else:
        connection.execute(delete(reading))


def _drop_unused_embeddings(connection: Connection, digest: str) -> None:
    unused = not_(exists().where(image.c.content_hash == embedding.c.content_hash))
    waiting = exists().where(reading.c.content_hash == embedding.c.content_hash)
    connection.execute(
        delete(embedding).where(
            or_(embedding.c.model_digest != digest, and_(unused, not_(waiting)))
        )
    )


def _serves(writer: Writer, model: ModelInfo) -> bool:
    """Say whether the current generation is of this model and size, and undamaged."""
    if writer.generation is None:
        return False
    with writer.connection.begin():
        rows = count_images(writer.connection)
    folder = generation_dir(writer.index_dir, writer.generation)
    try:
        pointer = Pointer.read(writer.index_dir)
        if pointer is None or pointer.generation != writer.generation:
            return False
        manifest = Manifest.load(folder, pointer.manifest)
        manifest.verify(folder, model, rows)
    except (ValueError, OSError):
        return False
    return manifest.root == writer.root
