"""The tables of FineTag's first indexes."""

import sqlalchemy as sa
from alembic import op

from indexer.schema import PathText

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables that are missing.

    The first indexes had no version table, and one that was killed while it made its tables may
    have any number of them.
    """
    op.create_table(
        "catalogue",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("schema_version", sa.Integer, nullable=False),
        sa.Column("current_generation", sa.Integer),
        if_not_exists=True,
    )
    op.create_table(
        "image",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("path", PathText, nullable=False, unique=True),
        sa.Column("content_hash", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_index("ix_image_content_hash", "image", ["content_hash"], if_not_exists=True)
    op.create_table(
        "embedding",
        sa.Column("content_hash", sa.String(64), primary_key=True),
        sa.Column("model_digest", sa.String(64), primary_key=True),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("scores", sa.LargeBinary, nullable=False),
        sa.Column("visual", sa.LargeBinary, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "failure",
        sa.Column("path", PathText, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        if_not_exists=True,
    )
