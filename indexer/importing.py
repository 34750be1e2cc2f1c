"""Metadata brought by the merchant: price, brand, title, and attributes of their own.

A column named like a group of the model's attributes says what the image has of it, and outranks
what the network predicts; every other column is a field. What is said of a path that is not
indexed yet waits for it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, Text, cast, exists, select

from finetag_model.errors import CatalogueError, DataError, UsageError
from finetag_model.vocabulary import Vocabulary, fold
from indexer.control import Progress, no_progress
from indexer.import_report import KEPT, ImportReport
from indexer.index import Index
from indexer.manifest import model_of
from indexer.publish import publication
from indexer.schema import described, image
from indexer.schema import field as field_table
from indexer.tables import KEYS, Cell, read_table
from indexer.writer import Writer, open_writer

__all__ = ["SEPARATOR", "ImportReport", "import_fields"]

SEPARATOR = "|"
"""Between the values of one group in one cell."""
_AT_ONCE = 500


def import_fields(
    file: Path,
    index_dir: Path,
    *,
    key: str | None = None,
    database: str | None = None,
    progress: Progress = no_progress,
) -> ImportReport:
    """Read a table of metadata into an index, and publish it; all of it, or nothing.

    A column of the table takes the place of what an earlier import said in a column of the
    same name, row by row; an empty cell takes it away.

    Args:
        file: CSV, JSON lines or Parquet; see `read_table`. Of rows about one image, later ones
            outrank earlier ones.
        index_dir: the index.
        key: the column that says which image a row is about: `path` (relative to the catalogue
            folder) or `id`; None takes the one that the table has.
        database: see `build`.
        progress: called with the rows done, and None, for their number is not known.

    Raises:
        DataError: the table cannot be read or has no such column.
        CatalogueError: as `build`.
    """
    report = ImportReport(file, index_dir)
    with open_writer(index_dir, database=database, progress=progress) as writer:
        if writer.model is None:
            raise DataError(f"the index {index_dir} holds no image yet; run 'finetag-index build'")
        model = model_of(writer.model)
        rows = _Import(writer, model.vocabulary, _known_fields(index_dir), key, report)
        with rows.table():
            _prepare(rows, progress)
            if rows.changes_images:
                with publication(writer, model) as connection:
                    rows.write(connection)
                report.published = True
            elif rows.changes:
                with writer.changing() as connection:
                    rows.write(connection)
        report.generation = writer.generation or 0
    return report


def _known_fields(index_dir: Path) -> tuple[str, ...]:
    """Return the fields of the current generation; none if it cannot be read."""
    try:
        with Index.open(index_dir) as index:
            return index.columns.names
    except CatalogueError:
        return ()


def _prepare(rows: _Import, progress: Progress) -> None:
    """Read the table through."""
    table = read_table(rows.report.file, rows.report.remarks)
    while block := list(islice(table, _AT_ONCE)):
        rows.take(block)
        progress(rows.report.rows, None)


class _Import:
    """What one table says, by path; kept in a temporary table, for there may be a million.

    Attributes:
        changes: whether it says anything new.
        changes_images: whether it does of an image of the index.
    """

    def __init__(
        self,
        writer: Writer,
        vocabulary: Vocabulary,
        fields: Iterable[str],
        key: str | None,
        report: ImportReport,
    ) -> None:
        self.report = report
        self.changes = self.changes_images = False
        self._writer = writer
        self._vocabulary = vocabulary
        self._key = key
        self._column = ""
        self._groups: dict[str, str | None] = {}
        # Filters take a name however it is written, so there is one field for all that are alike.
        self._fields = {fold(name): name for name in fields} | {name: name for name in fields}

    def take(self, block: list[tuple[str, Mapping[str, Cell]]]) -> None:
        """Merge some rows of the table with what is known of their images."""
        names = list(block[0][1])
        columns = {**{name.lower(): name for name in names}, **dict(zip(names, names, strict=True))}
        if self._key is None:
            self._key = next((name for name in KEYS if name in columns), None)
        if self._key not in KEYS or self._key not in columns:
            raise DataError(
                f"{self.report.file} has no column {self._key or 'path'!r} to say which image a "
                f"row is about, only {', '.join(map(repr, names))}; name it path (or id) in "
                "the table"
            )
        self._column = columns[self._key]
        keys = [(where, self._key_of(where, row)) for where, row in block]
        paths = self._paths([key for _, key in keys])
        named = {*paths.values(), *(key for _, key in keys if isinstance(key, str))}
        known = {**self._said(field_table, named), **self._said(described, named)}
        said: dict[str, dict[str, Any]] = {}
        for (where, key), (_, row) in zip(keys, block, strict=True):
            self.report.rows += 1
            path = paths.get(key, key if isinstance(key, str) else None)
            if path is None:
                self.report.problems.append(f"{where}: there is no image with the id {key}")
                continue
            is_image = key in paths
            self.report.images += is_image
            self.report.waiting += not is_image
            if not is_image and self.report.waiting <= KEPT:
                self.report.waiting_paths.append(path)
            before = said.get(path, known.get(path, {}))
            after = self._merged(before, row, where)
            if after != before:
                said[path] = after
                self.changes_images |= is_image
        self._keep(said)

    @contextmanager
    def table(self) -> Iterator[None]:
        """Have the temporary table for the time of a block."""
        connection = self._writer.connection
        with connection.begin():
            described.create(connection)
        yield
        with connection.begin():
            described.drop(connection)

    def write(self, connection: Connection) -> None:
        """Write everything into the database, in the caller's transaction."""
        anew = exists().where(described.c.path == field_table.c.path)
        connection.execute(field_table.delete().where(anew))
        # An object without entries says that nothing is known any more.
        something = select(described).where(cast(described.c.fields, Text) != "{}")
        connection.execute(field_table.insert().from_select(["path", "fields"], something))

    def _keep(self, said: Mapping[str, Mapping[str, Any]]) -> None:
        if not said:
            return
        self.changes = True
        with self._writer.connection.begin():
            anew = described.c.path.in_(said)
            self._writer.connection.execute(described.delete().where(anew))
            rows = [{"path": path, "fields": fields} for path, fields in said.items()]
            self._writer.connection.execute(described.insert(), rows)

    def _key_of(self, where: str, row: Mapping[str, Cell]) -> str | int:
        value = row.get(self._column)
        if self._key == "id" and isinstance(value, int):
            return value
        if self._key == "path" and isinstance(value, str) and value:
            return _relative(value, self._writer.root)
        raise DataError(f"{where}: the {self._key} is {value!r}, which names no image")

    def _paths(self, keys: list[str | int]) -> dict[str | int, str]:
        """Return the path of each key that is an image of the index."""
        column = image.c.id if self._key == "id" else image.c.path
        with self._writer.connection.begin():
            query = select(column, image.c.path).where(column.in_(keys))
            return {row[0]: row[1] for row in self._writer.connection.execute(query)}

    def _said(self, table: Table, paths: Collection[str]) -> dict[str, dict[str, Any]]:
        query = select(table.c.path, table.c.fields).where(table.c.path.in_(paths))
        with self._writer.connection.begin():
            return {row.path: row.fields for row in self._writer.connection.execute(query)}

    def _merged(
        self, before: Mapping[str, Any], row: Mapping[str, Cell], where: str
    ) -> dict[str, Any]:
        after = dict(before)
        for column, cell in row.items():
            if column == self._column:
                continue
            group = self._group(column)
            name = self._field(column) if group is None else group
            value = cell if group is None else self._values(group, cell, where)
            if value is None or value == "":
                after.pop(name, None)
            else:
                after[name] = value
        return after

    def _group(self, column: str) -> str | None:
        """Return the group of attributes that a column is named like, if it is."""
        if column not in self._groups:
            try:
                position = self._vocabulary.group(column)[0]
            except UsageError:
                self._groups[column] = None
                self.report.fields.append(self._field(column))
            else:
                group = self._vocabulary.names[position].partition("=")[0]
                self._groups[column] = group
                self.report.attributes.append(group)
        return self._groups[column]

    def _field(self, column: str) -> str:
        """Return the field that a column is of: one that there is, if only its spelling differs."""
        if column in self._fields:
            return self._fields[column]
        return self._fields.setdefault(fold(column), column)

    def _values(self, group: str, cell: Cell, where: str) -> list[str] | None:
        """Return a group's values as the model names them; None if nothing is said."""
        if cell is None or cell == "":
            return None
        said = cell if isinstance(cell, list) else str(cell).split(SEPARATOR)
        values: list[str] = []
        for value in said:
            try:
                position = self._vocabulary.position(f"{group}={value}")
            except UsageError as error:
                self.report.problems.append(f"{where}: {error}")
            else:
                values.append(self._vocabulary.value(position))
        return values or (None if said else [])


def _relative(path: str, root: Path) -> str:
    normal = os.path.normpath(path)
    prefix = f"{root}{os.sep}"
    return Path(normal.removeprefix(prefix)).as_posix()
