"""The tables of the SQL database, the source of truth of an index.

The image table always describes the current generation, because both change in the same
transaction; a build in progress adds to `embedding` and `reading` only. Changes to these
tables are migrations, in `migrations/versions`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    func,
    select,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData()

# Rows are in the order of their paths' bytes, whatever the language of the server is.
PathText = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")

catalogue = Table(
    "catalogue",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("root", Text, nullable=False),
    Column("current_generation", Integer),
    Column("model", JSON),  # ModelInfo of the current generation, and the file it came from
)
"""The one catalogue an index is of."""

image = Table(
    "image",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", PathText, nullable=False, unique=True),
    Column("content_hash", String(64), nullable=False, index=True),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    sqlite_autoincrement=True,  # an id is never given again: it can never mean another image
)
"""An image file in the current generation; its rows are in the order of `path`."""

embedding = Table(
    "embedding",
    metadata,
    Column("content_hash", String(64), primary_key=True),
    Column("model_digest", String(64), primary_key=True),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("scores", LargeBinary, nullable=False),  # uint8 (N,)
    Column("visual", LargeBinary, nullable=False),  # float32 (D,), little-endian, as given
    Column("perceptual", LargeBinary),  # null if the picture is too plain, or of an older index
)
"""What one model made of one content, however many files have that content."""

field = Table(
    "field",
    metadata,
    Column("path", PathText, primary_key=True),
    Column("fields", JSON, nullable=False),
)
"""What `import` brought about the image at a path, whether there is such an image or not."""

failure = Table(
    "failure",
    metadata,
    Column("path", PathText, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("quarantined", Boolean, nullable=False),
)
"""A file that was skipped. The next update tries it again, unless it is quarantined (it
crashed or hung its reader) and has not changed since."""

excluded = Table("excluded", metadata, Column("path", PathText, primary_key=True))
"""A file that was deleted from the index, and is passed over though it lies in the folder."""

reading = Table(
    "reading",
    metadata,
    Column("path", PathText, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content_hash", String(64), nullable=False),
)
"""A file that a build not yet published has read; a build that was stopped goes on from here."""

found = Table(
    "found",
    MetaData(),
    Column("path", PathText, primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("content_hash", String(64)),  # null until it is known
    prefixes=["TEMPORARY"],
)
"""The files that the running command has found in the catalogue folder. Lives as long as its
connection does."""

described = Table(
    "described",
    MetaData(),
    Column("path", PathText, primary_key=True),
    Column("fields", JSON, nullable=False),
    prefixes=["TEMPORARY"],
)
"""What a table that is being imported says of each path, merged with what was known."""


def count_images(connection: Connection) -> int:
    """Return how many images there are, in the caller's transaction."""
    return connection.scalar(select(func.count()).select_from(image)) or 0


def is_below(folder: str) -> ColumnElement[bool]:
    """Return the condition that an image lies in a folder of the catalogue, or deeper."""
    return and_(image.c.path > f"{folder}/", image.c.path < f"{folder}0")  # 0 follows /
