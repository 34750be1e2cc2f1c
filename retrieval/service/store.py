"""The small SQL database of a service: who may use it, and what it was asked to change.

Every process of a service opens it. The tables are those that importing modules have put into
`metadata` by the time it is opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.exc import DatabaseError

from finetag_model.errors import FineTagError

DATABASE = "service.db"

_BUSY_SECONDS = 10.0  # to wait for another process's transaction; each takes milliseconds

metadata = MetaData()


def open_store(state: Path) -> Engine:
    """Open the database in a state folder; make both, for their owner alone, if there are none.

    Read in `engine.connect()`, change in `changing`.

    Raises:
        FineTagError: it cannot be made or read.
    """
    path = state / DATABASE
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made here for its mode, which SQLite gives to the files of its log too. One that is there
        # is let alone: to close it would free the locks that other connections of this process
        # have on it, and another process could then throw away the log that they write to.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"timeout": _BUSY_SECONDS, "isolation_level": None},
        )
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
        with changing(engine) as connection:
            metadata.create_all(connection)
    except OSError as error:
        reason = error.strerror or str(error)
    except DatabaseError as error:
        reason = str(error.orig)
    else:
        return engine
    raise FineTagError(
        f"cannot use {path}: {reason.lower()}; name another folder with --state"
    ) from None


@contextmanager
def changing(engine: Engine) -> Iterator[Connection]:
    """Run a block as one transaction that nobody else's changes come between."""
    with engine.connect().execution_options(finetag_changes=True) as connection, connection.begin():
        yield connection


def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401  (the driver's own)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    # A transaction that reads first, and then finds that it may not write, would fail at once
    # instead of waiting.
    changes = connection.get_execution_options().get("finetag_changes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if changes else "BEGIN")
