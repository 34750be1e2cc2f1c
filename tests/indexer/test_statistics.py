"""What an index says about itself, and its database opened by those who only read."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from finetag_model.errors import CatalogueError
from indexer import build
from indexer.database import reading_connection
from indexer.layout import DATABASE
from indexer.schema import image
from indexer.statistics import statistics
from indexer.writer import open_writer
from tests.databases import sqlite_alone

ROOT = Path(__file__).parents[2]
NOBODY = 65534
READ = """
import os, sys
from pathlib import Path
import faiss, mmap, sqlalchemy.dialects.sqlite, scipy.sparse.csgraph
from indexer.statistics import statistics
if os.getuid() == 0:
    os.setuid(int(sys.argv[2]))
print(statistics(Path(sys.argv[1])).as_text())
"""


@pytest.fixture
def copies(catalogue: Path) -> Path:
    """Make files of the same bytes, and files that show the same at another size."""
    for name in ("a1.png", "a2.png"):
        shutil.copy(catalogue / "a.png", catalogue / name)
    shutil.copy(catalogue / "b.png", catalogue / "z.png")
    return catalogue


@sqlite_alone
def test_counts_and_duplicates(copies: Path, index_dir: Path, color_embedder: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), dtype=np.uint8)
    Image.fromarray(noise).save(copies / "noise.png")
    Image.fromarray(noise).resize((64, 64)).save(copies / "noise.webp", quality=70)
    (copies / "broken.jpg").write_bytes(b"not an image")
    (copies / "empty.jpg").touch()
    (copies / "void.jpg").touch()
    build(copies, index_dir, color_embedder)
    found = statistics(index_dir)
    assert (found.images, found.contents) == (10, 7)
    assert (found.generation, found.catalogue, found.index) == (1, copies, index_dir)
    assert (found.model, found.model_digest) == ("color-halves", "c0" * 32)
    assert found.attributes == 10
    assert (found.duplicates.groups, found.duplicates.images) == (2, 5)
    assert [group.paths for group in found.duplicates.largest] == [
        ("a.png", "a1.png", "a2.png"),
        ("b.png", "z.png"),
    ]
    assert (found.near_duplicates.groups, found.near_duplicates.images) == (3, 7)
    assert [group.paths for group in found.near_duplicates.largest] == [
        ("a.png", "a1.png", "a2.png"),
        ("b.png", "z.png"),
        ("noise.png", "noise.webp"),
    ]
    assert found.failures["the file is empty"] == 2
    assert next(iter(found.failures)) == "the file is empty"
    assert sum(found.failures.values()) == 3
    assert found.quarantined == ()
    assert found.groups == {"upper": 10, "lower": 10}
    assert found.fields == {}

    assert json.loads(json.dumps(found.as_dict()))["duplicates"]["largest"][1] == {
        "images": 2,
        "paths": ["b.png", "z.png"],
    }
    text = found.as_text()
    for part in ("10 images", "7 different", "2 groups (5 images)", "3 groups (7 images)"):
        assert part in text
    assert "the file is empty" in text


@sqlite_alone
def test_every_byte_of_the_folder_is_counted_once(
    catalogue: Path, index_dir: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    old = index_dir / "generations" / "1"
    kept = shutil.copytree(old, index_dir / "kept")
    paint(catalogue / "f.png", "white", "white")
    build(catalogue, index_dir, color_embedder)
    shutil.move(kept, old)

    def size(folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    before = size(index_dir)
    found = statistics(index_dir)
    assert sum(found.bytes.values()) - before in (0, 32768)  # SQLite's shared memory
    assert found.bytes["other generations"] == size(old)
    current = index_dir / "generations" / "2"
    assert found.bytes["vectors"] == (current / "visual.faiss").stat().st_size
    assert found.bytes["scores"] == (current / "scores.npy").stat().st_size
    assert found.bytes["masks"] == (current / "masks.npy").stat().st_size
    assert found.bytes["records"] > (current / "records.jsonl").stat().st_size
    assert found.bytes["database"] >= (index_dir / DATABASE).stat().st_size
    per_image = (sum(found.bytes.values()) - size(old)) / 6
    assert found.bytes_per_image == pytest.approx(per_image, abs=0.1)


@sqlite_alone
def test_what_only_the_database_knows(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with closing(sqlite3.connect(index_dir / DATABASE)) as database, database:
        database.execute("INSERT INTO failure VALUES ('x.jpg', 'it hung', 1, 2, 1)")
        database.execute("INSERT INTO failure VALUES ('w.jpg', 'it is bad', 1, 2, 0)")
        database.execute("INSERT INTO excluded VALUES ('y.jpg')")
        rows = [
            ("a.png", {"price": 3, "upper": ["red"]}),
            ("b.png", {"price": 4}),
            ("not-there.png", {"price": 5, "brand": "x"}),
        ]
        for path, fields in rows:
            database.execute("INSERT INTO field VALUES (?, ?)", (path, json.dumps(fields)))
    found = statistics(index_dir)
    assert found.failures == {"it hung": 1, "it is bad": 1}
    assert [(each.path, each.reason) for each in found.quarantined] == [("x.jpg", "it hung")]
    assert found.excluded == 1
    assert found.fields == {"price": 2, "upper": 1}
    assert "price  2 (40%)" in found.as_text()
    assert "quarantined: x.jpg: it hung" in found.as_text()


@sqlite_alone
def test_statistics_while_a_writer_writes(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with open_writer(index_dir) as writer, writer.changing() as connection:
        connection.execute(image.delete())
        assert statistics(index_dir).contents == 5
        connection.rollback()


@sqlite_alone
def test_the_connection_is_for_reading_alone(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(catalogue, index_dir, color_embedder)
    with (
        pytest.raises(CatalogueError, match="readonly database"),
        reading_connection(index_dir) as connection,
    ):
        connection.execute(image.delete())


def test_who_may_not_write_may_ask(catalogue: Path, readable: Path, color_embedder: Any) -> None:
    index_dir = readable / "index"
    build(catalogue, index_dir, color_embedder)
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
    assert "5 images" in run.stdout
    assert not (index_dir / f"{DATABASE}-wal").exists()


@sqlite_alone
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (shutil.rmtree, "there is no index"),
        (lambda index_dir: (index_dir / DATABASE).unlink(), "unable to open"),
        (lambda index_dir: (index_dir / DATABASE).write_bytes(b"x" * 9000), "is damaged"),
        (lambda index_dir: (index_dir / "index.json").write_bytes(b"x"), "is damaged"),
        (lambda index_dir: of_version(index_dir, "0001"), "older FineTag"),
        (lambda index_dir: of_version(index_dir, "9999"), "newer FineTag"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    damage: Callable[[Path], None],
    reason: str,
) -> None:
    build(catalogue, index_dir, color_embedder)
    damage(index_dir)
    with (
        pytest.raises(CatalogueError, match=reason) as caught,
        reading_connection(index_dir) as connection,
    ):
        connection.execute(select(image)).all()
    assert "\n" not in str(caught.value)
    assert str(index_dir) in str(caught.value)


def of_version(index_dir: Path, version: str) -> None:
    with closing(sqlite3.connect(index_dir / DATABASE)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = ?", (version,))


@sqlite_alone
def test_statistics_of_an_index_in_postgresql(
    catalogue: Path, index_dir: Path, color_embedder: Any, postgres_url: str
) -> None:
    build(catalogue, index_dir, color_embedder, database=postgres_url)
    found = statistics(index_dir, database=postgres_url)
    assert (found.images, found.contents) == (5, 5)
    assert found.bytes["database"] > 8192
