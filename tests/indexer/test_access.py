"""Readers beside a build, readers that may not write, and what is swept."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest

from indexer import Index, build
from indexer.layout import DATABASE
from tests.databases import sqlite_alone

ROOT = Path(__file__).parents[2]
NOBODY = 65534

READ = """
import os, sys
from pathlib import Path
import numpy as np
import indexer.index, indexer.vectors, mmap, sqlalchemy.dialects.sqlite  # while it still may
if os.getuid() == 0:
    os.setuid(int(sys.argv[2]))
from indexer import Index
index = Index.open(Path(sys.argv[1]))
rows, _ = index.search(np.eye(2, 7, dtype=np.float32), 3)
print(*[image.path for image in index.images(index.matching([]))])
"""

READ_LATER = """
import sys
from pathlib import Path
import numpy as np
from indexer import Index
index = Index.open(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
rows, _ = index.search(np.eye(1, 7, dtype=np.float32), 9)
print(rows.size, *[image.path for image in index.images(range(index.rows))])
"""
QUERY = np.eye(1, 7, dtype=np.float32)


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


@pytest.mark.usefixtures("database")
def test_who_may_not_write_may_read(catalogue: Path, readable: Path, color_embedder: Any) -> None:
    build(catalogue, readable / "index", color_embedder)
    assert not (readable / "index" / f"{DATABASE}-wal").exists()
    paths = read_without_the_right_to_write(readable / "index")
    assert paths == "a.png b.png c.png sub/d.png sub/deeper/e.png"
    assert not (readable / "index" / f"{DATABASE}-wal").exists()


@pytest.mark.usefixtures("database")
@sqlite_alone
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


def test_readers_beside_builds_see_one_generation_whole(
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
            except Exception as error:
                wrong.append((error, error.__cause__))
            else:
                seen.append(len(paths))
                if paths not in allowed:
                    wrong.append(paths)

    readers = [Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(6):
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


def test_a_reader_finishes_on_the_generation_it_began_with(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    searched, fresh = Index.open(index_dir), Index.open(index_dir)
    before, (rows, similarities) = searched.images(range(5)), searched.search(QUERY, 5)
    assert searched.is_current()
    (catalogue / "a.png").unlink()
    build(catalogue, index_dir, color_embedder)
    for old in (searched, fresh):
        assert not old.is_current()
        assert old.images(range(5)) == before
        found, as_near = old.search(QUERY, 5)
        assert (found.tolist(), as_near.tolist()) == (rows.tolist(), similarities.tolist())
    with closing(Index.open(index_dir)) as new:
        assert new.is_current()
        assert new.images(range(4)) == before[1:]


def generations(index_dir: Path) -> list[str]:
    return sorted(path.name for path in (index_dir / "generations").iterdir())


def test_an_old_generation_goes_when_its_last_reader_is_gone_and_a_command_writes(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    first, second = Index.open(index_dir), Index.open(index_dir)
    (catalogue / "a.png").unlink()
    build(catalogue, index_dir, color_embedder)
    first.close()
    build(catalogue, index_dir, color_embedder)
    assert generations(index_dir) == ["1", "2"]
    second.close()
    build(catalogue, index_dir, color_embedder)
    assert generations(index_dir) == ["2"]


def test_a_generation_that_another_process_reads_is_left_to_it(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with subprocess.Popen(
        [sys.executable, "-c", READ_LATER, str(index_dir)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        (catalogue / "a.png").unlink()
        build(catalogue, index_dir, color_embedder)
        assert generations(index_dir) == ["1", "2"]
        said, _ = reader.communicate("now\n")
    assert said == "5 a.png b.png c.png sub/d.png sub/deeper/e.png\n"
    build(catalogue, index_dir, color_embedder)
    assert generations(index_dir) == ["2"]


def test_what_a_killed_build_left_is_swept_and_nothing_else(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    folder = index_dir / "generations"
    for name in (".2.partial", ".7.partial", "2", "99"):
        (folder / name).mkdir()
        (folder / name / "visual.faiss").write_bytes(b"half")
    (folder / "mine").mkdir()
    report = build(catalogue, index_dir, color_embedder)
    assert not report.published
    assert generations(index_dir) == ["1", "mine"]
