"""The tables of the database: alike on both, brought up to date, and refused if too new."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from finetag_model.errors import CatalogueError
from indexer import Index, build
from indexer.layout import DATABASE
from indexer.schema import metadata
from tests.databases import sqlite_alone
from tests.indexer.rows import read_database

ROOT = Path(__file__).parents[2]

FIRST_FORMAT = (
    "CREATE TABLE catalogue (id INTEGER NOT NULL, root VARCHAR NOT NULL, "
    "schema_version INTEGER NOT NULL, current_generation INTEGER, PRIMARY KEY (id))",
    "CREATE TABLE embedding (content_hash VARCHAR NOT NULL, model_digest VARCHAR NOT NULL, "
    "width INTEGER NOT NULL, height INTEGER NOT NULL, scores BLOB NOT NULL, "
    "visual BLOB NOT NULL, PRIMARY KEY (content_hash, model_digest))",
    "CREATE TABLE failure (path VARCHAR NOT NULL, reason VARCHAR NOT NULL, PRIMARY KEY (path))",
    "CREATE TABLE image (id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, path VARCHAR NOT NULL, "
    "content_hash VARCHAR NOT NULL, bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, "
    "UNIQUE (path))",
    "CREATE INDEX ix_image_content_hash ON image (content_hash)",
)
EMBEDDINGS = "SELECT content_hash, model_digest, width, height, scores, visual FROM embedding"


@pytest.fixture
def first_format(catalogue: Path, index_dir: Path, color_embedder: Any) -> Path:
    """Make an index as FineTag's first version left it, with ids that tell it from a new one."""
    index_dir.mkdir()
    new = index_dir.parent / "new"
    build(catalogue, new, color_embedder)
    generation = index_dir / "generations" / "4"
    generation.mkdir(parents=True)
    (generation / "manifest.json").write_text(json.dumps({"schema_version": 1, "generation": 4}))
    with closing(sqlite3.connect(index_dir / DATABASE)) as database, database:
        for statement in FIRST_FORMAT:
            database.execute(statement)
        database.execute("INSERT INTO catalogue VALUES (1, ?, 1, 4)", [str(catalogue)])
        database.execute("INSERT INTO failure VALUES ('bad.png', 'the file is empty')")
        with closing(sqlite3.connect(new / DATABASE)) as made:
            for row in made.execute("SELECT * FROM image"):
                database.execute("INSERT INTO image VALUES (? + 100, ?, ?, ?, ?)", row)
            for row in made.execute(EMBEDDINGS):
                database.execute("INSERT INTO embedding VALUES (?, ?, ?, ?, ?, ?)", row)
    return index_dir


@sqlite_alone
def test_an_index_of_the_first_format_is_brought_up_to_date_by_a_build(
    first_format: Path, catalogue: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    with pytest.raises(CatalogueError, match="finetag-index build"):
        Index.open(first_format)
    successor = type(color_embedder)()
    report = build(catalogue, first_format, successor)
    assert (report.generation, report.published, report.unchanged) == (5, True, 5)
    assert (successor.embedded, report.stages.hash.images) == (0, 0)
    index = holds(first_format, catalogue, successor)
    assert [record.id for record in index.images(range(5))] == [101, 102, 103, 104, 105]
    assert not build(catalogue, first_format, successor).published


@sqlite_alone
def test_an_index_of_the_first_format_gives_no_id_again(
    first_format: Path, catalogue: Path, color_embedder: Any, paint: Any
) -> None:
    (catalogue / "sub" / "deeper" / "e.png").unlink()
    paint(catalogue / "z.png", "white", "white")
    build(catalogue, first_format, color_embedder)
    assert Index.open(first_format).images([4])[0].id == 106


@sqlite_alone
@pytest.mark.parametrize("statements", range(len(FIRST_FORMAT) + 1))
def test_an_index_killed_while_its_first_tables_were_made_is_made_by_the_next_build(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    statements: int,
) -> None:
    """The first version committed each table on its own."""
    index_dir.mkdir()
    with closing(sqlite3.connect(index_dir / DATABASE)) as database:
        for statement in FIRST_FORMAT[:statements]:
            database.execute(statement)
    with pytest.raises(CatalogueError, match=r"never finished.*finetag-index build"):
        Index.open(index_dir)
    build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)


KILLED = """
import os, runpy, signal, sys
from pathlib import Path
from alembic import op
from indexer import build

# Dies as the second migration is half done.
drop_table = op.drop_table
op.drop_table = lambda name: (drop_table(name), os.kill(os.getpid(), signal.SIGKILL))
embedder = runpy.run_path("tests/conftest.py")["ColorEmbedder"]()
build(Path(sys.argv[1]), Path(sys.argv[2]), embedder)
"""


def test_an_index_killed_while_its_tables_were_made_is_made_by_the_next_build(
    catalogue: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    program = [sys.executable, "-c", KILLED, str(catalogue), str(index_dir)]
    assert subprocess.run(program, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    with pytest.raises(CatalogueError, match=r"never finished.*finetag-index build"):
        Index.open(index_dir)
    build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)


def test_tables_made_by_a_newer_finetag_are_refused_and_its_generation_still_read(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with read_database(index_dir) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    with pytest.raises(CatalogueError, match=r"newer FineTag.*0999.*upgrade FineTag") as caught:
        build(catalogue, index_dir, color_embedder)
    assert "\n" not in str(caught.value)
    assert len(Index.open(index_dir).images(range(5))) == 5


def test_migrations_make_the_tables_that_the_code_expects(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with read_database(index_dir) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_rows_are_in_the_order_of_the_bytes_of_their_paths_on_both_databases(
    catalogue: Path, index_dir: Path, color_embedder: Any, paint: Any
) -> None:
    for name in ("A.png", "a b.png", "a-b.png", "ä.png", "Z.png", "_.png", "sub.png", "鳥.png"):
        paint(catalogue / name, "red", "red")
    build(catalogue, index_dir, color_embedder)
    index = Index.open(index_dir)
    paths = [record.path for record in index.images(range(index.rows))]
    assert paths == sorted(paths, key=str.encode)
