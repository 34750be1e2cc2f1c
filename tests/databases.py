"""On which databases the tests of an index run: on both, but for those about SQLite's own file."""

from __future__ import annotations

import pytest

DATABASES = ("sqlite", "postgresql")

sqlite_alone = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""Marks a test about the database file in the index folder."""
