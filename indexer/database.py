"""The SQL database of an index: where it is, how it is opened, and errors as users read them.

SQLite in the index folder, or PostgreSQL, where each index has a schema of its own. Only who
writes an index (or asks for its statistics) comes here; who searches reads generations.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.pool import StaticPool

from finetag_model.errors import CatalogueError, UsageError
from indexer.layout import BUILD, DATABASE, REPAIR, SETTINGS
from indexer.seal import break_seal
from indexer.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config

REVISION = "0003"
"""The newest migration."""

_LOCK_TIMEOUT = 30.0  # seconds


def new_settings(database: str | None) -> Settings:
    """Say where a new index keeps its database: at a PostgreSQL URL, or in its folder.

    Args:
        database: the URL; None takes FINETAG_DATABASE from the environment, or else SQLite.

    Raises:
        UsageError: the URL is not one of a PostgreSQL database.
    """
    database = database or os.environ.get("FINETAG_DATABASE")
    if not database:
        return Settings()
    # A password is never written down; libpq takes it from PGPASSWORD or ~/.pgpass.
    kept = _without_password(_postgresql(database)).render_as_string(hide_password=False)
    return Settings(kept, f"finetag_{uuid.uuid4().hex[:12]}")


def read_settings(index_dir: Path) -> Settings | None:
    """Say where an index keeps its database; None if the folder is not an index yet.

    Raises:
        CatalogueError: the file that says so is damaged.
    """
    try:
        return Settings.read(index_dir)
    except ValueError as error:
        raise CatalogueError(
            f"the index {index_dir} is damaged: {error}; mend it with '{REPAIR}'"
        ) from error


@contextmanager
def connected(index_dir: Path, settings: Settings, database: str | None) -> Iterator[Connection]:
    """Connect to an index's database to write to it, or create it; bring its tables up to date.

    The settings of a new index are written down as soon as its database answers.

    Args:
        index_dir: the folder of the index.
        settings: where its database is.
        database: the same URL once more, for the password in it; None takes the one in
            FINETAG_DATABASE, if that is the same.

    Raises:
        CatalogueError: it was made by a newer FineTag.
        SQLAlchemyError: it cannot be reached; see `plain_errors`.
    """
    engine = _engine(index_dir, settings, database, _sqlite_to_write)
    try:
        with engine.connect() as connection:
            if not (index_dir / SETTINGS).exists():  # and not before the database has answered
                settings.write(index_dir)
            _migrate(connection, index_dir, settings)
            yield connection
    finally:
        engine.dispose()


@contextmanager
def reading_connection(index_dir: Path, database: str | None = None) -> Iterator[Connection]:
    """Connect to an index's database to read it, whoever writes it, in a transaction.

    The folder of the index need not be writable; nothing is brought up to date.

    Args:
        index_dir: the folder of the index.
        database: as for `connected`.

    Raises:
        CatalogueError: there is no index, it cannot be read, or its tables are of another
            FineTag's.
    """
    with plain_errors(index_dir):
        settings = read_settings(index_dir)
        if settings is None:
            raise CatalogueError(f"there is no index in {index_dir}; make one with '{BUILD}'")
        engine = _engine(index_dir, settings, database, _sqlite_to_read)
        try:
            with engine.connect() as connection, connection.begin():
                _check_version(index_dir, _version(connection))
                yield connection
        finally:
            engine.dispose()


def _engine(
    index_dir: Path,
    settings: Settings,
    database: str | None,
    sqlite: Callable[[Path], sqlite3.Connection],
) -> Engine:
    if settings.database is None:
        path = index_dir / DATABASE
        # One connection: SQLite tidies its files when that closes.
        engine = create_engine("sqlite://", creator=lambda: sqlite(path), poolclass=StaticPool)
        # Python's own way begins a transaction late: changes of tables would not be in it.
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return engine
    url = _postgresql(settings.database)
    if again := database or os.environ.get("FINETAG_DATABASE"):
        with_password = _postgresql(again)
        if _without_password(with_password) == url:
            url = with_password
    options = {"options": f"-csearch_path={settings.schema}", "application_name": "finetag"}
    return create_engine(url, connect_args=options, poolclass=StaticPool)


def _sqlite_to_write(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT, isolation_level=None)
    # Who reads the database and who writes it do not wait for each other.
    connection.execute("PRAGMA journal_mode=WAL")
    # A commit does not wait for the disk; a power cut may lose the last ones, and no more.
    connection.execute("PRAGMA synchronous=NORMAL")
    # What is deleted is overwritten, not only forgotten.
    connection.execute("PRAGMA secure_delete=ON")
    # In KiB: rows are looked up by hashes, in no order, so what is read once is read again.
    connection.execute("PRAGMA cache_size=-65536")
    return connection


def _sqlite_to_read(path: Path) -> sqlite3.Connection:
    mode = "mode=ro"
    # Even to read, SQLite makes the two files of its log. Where it may not, nobody writes.
    if not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists():
        mode += "&immutable=1"
    uri = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT, isolation_level=None)


def _postgresql(text_: str) -> URL:
    try:
        url = make_url(text_)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() != "postgresql":
        raise UsageError(
            "--database is not the URL of a PostgreSQL database, such as "
            "postgresql+psycopg://user@host/name; without it, the index keeps its own SQLite file"
        )
    try:
        import psycopg  # noqa: F401, PLC0415  (an extra)
    except ImportError:
        raise UsageError(
            "an index in PostgreSQL needs psycopg: pip install 'finetag[postgresql]'"
        ) from None
    return url.set(drivername="postgresql+psycopg")


def _without_password(url: URL) -> URL:
    # Not by `URL.set`, which takes None for: leave it as it is.
    return url._replace(password=None).difference_update_query(["password", "sslpassword"])


def _migrate(connection: Connection, index_dir: Path, settings: Settings) -> None:
    with connection.begin():
        if settings.schema is not None:
            connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{settings.schema}"'))
        version = _version(connection)
    if version == REVISION:
        return
    _refuse_newer(index_dir, version)
    from alembic import command  # noqa: PLC0415  (slow, and rarely needed)

    config = _alembic(connection)
    if settings.schema is None:
        break_seal(index_dir)
    with connection.begin():
        command.upgrade(config, "head")


def _refuse_newer(index_dir: Path, version: str | None) -> None:
    if version is not None and version > REVISION:
        raise CatalogueError(
            f"the index {index_dir} was made by a newer FineTag (its tables are of version "
            f"{version}, this one knows {REVISION}); upgrade FineTag"
        )


def _check_version(index_dir: Path, version: str | None) -> None:
    _refuse_newer(index_dir, version)
    if version != REVISION:
        raise CatalogueError(
            f"the index {index_dir} was made by an older FineTag, or never finished; "
            "bring it up to date with 'finetag-index update'"
        )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return version


def _alembic(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def bytes_elsewhere(connection: Connection) -> int:
    """Return the size of the tables in PostgreSQL; 0 for SQLite, whose file is in the folder."""
    if connection.dialect.name != "postgresql":
        return 0
    size = text(
        "SELECT sum(pg_total_relation_size(oid)) FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
    )
    return int(connection.scalar(size) or 0)


@contextmanager
def plain_errors(index_dir: Path) -> Iterator[None]:
    """Turn errors of the disk and the database into one line for users."""
    try:
        yield
    except OperationalError as error:
        raise CatalogueError(_cannot(index_dir, str(error.orig))) from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # its kinds are about what was asked for
            raise
        raise CatalogueError(
            f"the database of the index {index_dir} is damaged ({_line(error.orig)}); "
            f"mend it with '{REPAIR}'"
        ) from error
    except OSError as error:
        raise CatalogueError(_cannot(index_dir, error.strerror or str(error))) from error


def _cannot(index_dir: Path, reason: str) -> str:
    return (
        f"cannot use the index {index_dir}: {_line(reason).lower()}; "
        "what was indexed before is unharmed, so mend that and run the command again"
    )


def _line(reason: object) -> str:
    return " ".join(str(reason).split())
