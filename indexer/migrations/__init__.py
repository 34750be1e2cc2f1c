"""Numbered changes of the database's tables, applied by Alembic when an index is opened."""
