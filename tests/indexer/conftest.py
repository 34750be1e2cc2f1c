"""A small catalogue, and the check that an index holds exactly what a catalogue's files say."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from finetag_model.errors import ImageError
from finetag_model.images import load_rgb, to_pixels
from indexer import Index
from indexer.schema import embedding, image
from tests.indexer.rows import check_generation, read_database


@pytest.fixture(autouse=True)
def no_index_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FINETAG_INDEX", "FINETAG_DATABASE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def index_dir(tmp_path: Path, database: str) -> Path:
    """Name the folder of an index whose rows are in SQLite, or else in PostgreSQL."""
    assert database
    return tmp_path / "index"


@pytest.fixture
def catalogue(tmp_path: Path, paint: Callable[..., Path]) -> Path:
    """Five different images, two of them in subfolders."""
    root = tmp_path / "catalogue"
    paint(root / "a.png", "red", "green")
    paint(root / "b.png", "green", "blue", size=(50, 20))
    paint(root / "c.png", "blue", "grey")
    paint(root / "sub" / "d.png", "grey", "white")
    paint(root / "sub" / "deeper" / "e.png", "white", "red")
    return root


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


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Make 50 different images: three full batches and a rest."""
    root = tmp_path / "many"
    root.mkdir()
    random = np.random.default_rng(1)
    for i in range(50):
        pixels = random.integers(0, 256, (2, 1, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16), 0).save(root / f"{i:02}.png")
    return root


@pytest.fixture
def holds() -> Callable[..., Index]:
    """Compare database and generation, row by row, with the files of a catalogue."""
    return _holds


def _holds(index_dir: Path, catalogue: Path, embedder: Any) -> Index:
    names, scores, visual, sizes = [], [], [], []
    files = (path.relative_to(catalogue).as_posix() for path in catalogue.rglob("*.*"))
    for name in sorted(files):
        try:
            picture = load_rgb(catalogue / name)
        except ImageError:
            continue
        size = embedder.model.input_size
        at_size = load_rgb(catalogue / name, at_least=size)
        made = type(embedder)().embed(to_pixels(at_size, size)[np.newaxis])
        names.append(name)
        scores.append(made.scores[0])
        visual.append(made.visual[0])
        sizes.append(picture.size)

    index = Index.open(index_dir)
    records = index.images(range(index.rows))
    assert [record.path for record in records] == names
    assert [(record.width, record.height) for record in records] == sizes
    assert [record.absolute for record in records] == [catalogue / name for name in names]
    assert index.root == catalogue
    assert index.manifest.model.digest == embedder.model.digest
    for record in records:
        status = record.absolute.stat()
        assert (record.bytes, record.mtime_ns) == (status.st_size, status.st_mtime_ns)
        content = record.absolute.read_bytes()
        assert record.content_hash == hashlib.sha256(content).hexdigest()

    with read_database(index_dir) as connection:
        check_generation(connection, index)
        rows = connection.execute(
            select(embedding.c.scores, embedding.c.visual)
            .join(image, image.c.content_hash == embedding.c.content_hash)
            .order_by(image.c.path)
        ).all()
    stored = np.array([np.frombuffer(row.scores, np.uint8) for row in rows], np.int64)
    assert np.abs(stored - np.rint(np.array(scores) * 255)).max() <= 1
    vectors = [np.frombuffer(row.visual, "<f4") for row in rows]
    np.testing.assert_allclose(vectors, visual, atol=1e-6)
    left = {path.name for path in (index_dir / "generations").iterdir()}
    assert left == {str(index.manifest.generation)}
    return index
