"""Metadata, deleted files, quarantine, and builds that go on without reading files again."""

import sqlalchemy as sa
from alembic import op

from indexer.schema import PathText

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add what an index needs to live for years."""
    op.drop_column("catalogue", "schema_version")
    op.add_column("catalogue", sa.Column("model", sa.JSON))
    op.create_table(
        "field",
        sa.Column("path", PathText, primary_key=True),
        sa.Column("fields", sa.JSON, nullable=False),
    )
    op.drop_table("failure")  # the next update finds them again
    op.create_table(
        "failure",
        sa.Column("path", PathText, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("quarantined", sa.Boolean, nullable=False),
    )
    op.create_table("excluded", sa.Column("path", PathText, primary_key=True))
    op.create_table(
        "reading",
        sa.Column("path", PathText, primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
    )
