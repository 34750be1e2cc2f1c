"""Readers beside a build, readers that may not write, and a database killed while it is made."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from finetag_model.errors import CatalogueError
from indexer import Index, build
from indexer.layout import DATABASE

ROOT = Path(__file__).parents[2]
NOBODY = 65534

READ = """
import os, sys
from pathlib import Path
import numpy as np
import faiss, indexer.index, mmap, sqlalchemy.dialects.sqlite  # while this may still read them
if os.getuid() == 0:
    os.setuid(int(sys.argv[2]))
from indexer import Index
index = Index.open(Path(sys.argv[1]))
rows, _ = index.search(np.eye(2, 7, dtype=np.float32), 3)
print(*[image.path for image in index.images(index.matching([]))])
"""


@pytest.fixture
def readable() -> Iterator[Path]:
    """Make a folder that every user may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


def read_without_the_right_to_write(index_dir: Path) -> str:
    """Make an index read-only, and have it read by somebody whom that keeps out."""
    for path in (index_dir, *index_dir.rglob("*")):
        path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o555 | 0o444)
    run = subprocess.run(
        [sys.executable, "-c", READ, str(index_dir), str(NOBODY)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def test_who_may_not_write_may_read(catalogue: Path, readable: Path, color_embedder: Any) -> None:
    build(catalogue, readable / "index", color_embedder)
    assert not (readable / "index" / f"{DATABASE}-wal").exists()
    paths = read_without_the_right_to_write(readable / "index")
    assert paths == "a.png b.png c.png sub/d.png sub/deeper/e.png"
    assert not (readable / "index" / f"{DATABASE}-wal").exists()


def test_who_may_not_write_reads_what_is_in_the_log_too(
    catalogue: Path, readable: Path, color_embedder: Any
) -> None:
    index_dir = readable / "index"
    build(catalogue, index_dir, color_embedder)
    # Somebody who holds the database open keeps what a build writes in its log.
    with closing(sqlite3.connect(index_dir / DATABASE)) as database:
        database.execute("SELECT count(*) FROM image").fetchone()
        (catalogue / "a.png").unlink()
        build(catalogue, index_dir, color_embedder)
        assert (index_dir / f"{DATABASE}-wal").stat().st_size > 0
        paths = read_without_the_right_to_write(index_dir)
    assert paths == "b.png c.png sub/d.png sub/deeper/e.png"


@pytest.mark.parametrize("statements", range(8))
def test_a_database_killed_while_it_was_made_is_made_by_the_next_build(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    monkeypatch: pytest.MonkeyPatch,
    statements: int,
) -> None:
    """SQLite commits each CREATE on its own, so a kill can leave any number of them."""
    monkeypatch.chdir(catalogue.parent)
    build(catalogue, Path("whole"), color_embedder)
    with closing(sqlite3.connect(Path("whole") / DATABASE)) as database:
        made = "SELECT sql FROM sqlite_master WHERE sql LIKE 'CREATE%' AND name NOT LIKE 'sqlite%'"
        creates = [sql for (sql,) in database.execute(f"{made} ORDER BY rowid")]
    assert len(creates) >= 4
    index_dir.mkdir()
    with closing(sqlite3.connect(index_dir / DATABASE)) as database:
        for create in creates[:statements]:
            database.execute(create)
    with pytest.raises(CatalogueError, match=r"never finished.*finetag-index build"):
        Index.open(index_dir)
    build(catalogue, index_dir, color_embedder)
    holds(index_dir, catalogue, color_embedder)


def test_readers_beside_builds_see_one_generation_or_say_that_it_is_old(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    extra = (catalogue / "c.png").rename(catalogue / "x.png")
    build(catalogue, index_dir, color_embedder)
    allowed = [
        ["a.png", "b.png", "sub/d.png", "sub/deeper/e.png"],
        ["a.png", "b.png", "sub/d.png", "sub/deeper/e.png", "x.png"],
    ]
    stop, wrong, seen = Event(), list[object](), list[int]()

    def read() -> None:
        query = np.eye(1, 7, dtype=np.float32)
        while not stop.is_set():
            try:
                index = Index.open(index_dir)
                rows, _ = index.search(query, 9)
                paths = [record.path for record in index.images(sorted(rows[0]))]
            except CatalogueError as error:
                if "open it again" not in str(error):
                    wrong.append(error)
            except Exception as error:
                wrong.append(error)
            else:
                seen.append(len(paths))
                if paths not in allowed:
                    wrong.append(paths)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(12):
        hidden = extra.rename(catalogue / ".x.png")
        build(catalogue, index_dir, color_embedder)
        hidden.rename(extra)
        build(catalogue, index_dir, color_embedder)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert set(seen) <= {4, 5}
    assert seen


def test_what_a_killed_build_left_is_swept_and_nothing_else(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    generations = index_dir / "generations"
    for name in (".2.partial", ".7.partial", "2", "99"):
        (generations / name).mkdir()
        (generations / name / "visual.faiss").write_bytes(b"half")
    (generations / "mine").mkdir()
    report = build(catalogue, index_dir, color_embedder)
    assert not report.published
    assert sorted(path.name for path in generations.iterdir()) == ["1", "mine"]
