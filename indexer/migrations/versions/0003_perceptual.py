"""A perceptual hash beside each embedding, by which near duplicates are told."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column; what is embedded already stays without a hash."""
    op.add_column("embedding", sa.Column("perceptual", sa.LargeBinary))
