"""The PostgreSQL server of the tests answers, or says why there is none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from tests import postgres

if TYPE_CHECKING:
    from pathlib import Path


def test_answers(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        assert connection.scalar(text("select version()")).startswith("PostgreSQL ")
    engine.dispose()


def test_says_that_psycopg_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(postgres.Unavailable, match="psycopg"), postgres.server():
        pass


def test_says_that_postgresql_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(postgres, "VERSIONS", tmp_path)
    with pytest.raises(postgres.Unavailable, match="initdb is not installed"), postgres.server():
        pass


@pytest.mark.usefixtures("postgres_url")  # to skip where there is no server
def test_says_why_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "SETTINGS", "unix_socket_directories = '/nowhere'")
    with pytest.raises(postgres.Unavailable, match=r"FATAL: .*/nowhere"), postgres.server():
        pass
