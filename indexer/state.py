"""What a generation keeps of the database beside its images, so that it can be made anew from it.

That is the deleted files, the quarantined ones, and metadata of files that are not there yet.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Select, select, text

from indexer.schema import excluded, failure, field, image


def read_state(connection: Connection) -> bytes:
    """Return it as a file."""
    absent = field.c.path.not_in(select(image.c.path))
    state = {
        "last_id": _last_id(connection),
        "excluded": list(connection.scalars(select(excluded.c.path).order_by(excluded.c.path))),
        "failures": _rows(connection, select(failure).order_by(failure.c.path)),
        "fields": _rows(connection, select(field).where(absent).order_by(field.c.path)),
    }
    return json.dumps(state, ensure_ascii=False).encode() + b"\n"


def write_state(connection: Connection, data: bytes) -> None:
    """Put it back into a database whose tables are empty."""
    state = json.loads(data)
    rows = {
        excluded: [{"path": path} for path in state["excluded"]],
        failure: state["failures"],
        field: state["fields"],
    }
    for table, some in rows.items():
        if some:
            connection.execute(table.insert(), some)
    _set_last_id(connection, state["last_id"])


def _last_id(connection: Connection) -> int:
    """Return the greatest id an image ever had, for it must not be given again."""
    if connection.dialect.name == "sqlite":
        query = "SELECT seq FROM sqlite_sequence WHERE name = 'image'"
    else:
        query = "SELECT last_value FROM image_id_seq"
    return connection.scalar(text(query)) or 0


def _set_last_id(connection: Connection, last: int) -> None:
    if connection.dialect.name == "sqlite":
        # The row is there since images were inserted, and SQLite raises it by itself.
        query = "UPDATE sqlite_sequence SET seq = :last WHERE name = 'image'"
    else:
        query = "SELECT setval('image_id_seq', :last)"
    connection.execute(text(query), {"last": last})


def _rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]
