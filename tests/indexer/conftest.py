"""A small catalogue, and the check that an index holds exactly what a catalogue's files say."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from PIL import Image

from finetag_model.errors import ImageError
from finetag_model.images import load_rgb, to_pixels
from indexer import Index


@pytest.fixture(autouse=True)
def no_index_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINETAG_INDEX", raising=False)


@pytest.fixture
def index_dir(tmp_path: Path) -> Path:
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
            image = load_rgb(catalogue / name)
        except ImageError:
            continue
        size = embedder.model.input_size
        at_size = load_rgb(catalogue / name, at_least=size)
        made = type(embedder)().embed(to_pixels(at_size, size)[np.newaxis])
        names.append(name)
        scores.append(made.scores[0])
        visual.append(made.visual[0])
        sizes.append(image.size)
    expected = np.rint(np.array(scores) * 255)

    index = Index.open(index_dir)
    records = index.images(range(index.rows))
    assert [record.path for record in records] == names
    assert [(record.width, record.height) for record in records] == sizes
    assert [record.absolute for record in records] == [catalogue / name for name in names]
    assert index.manifest.model.digest == embedder.model.digest
    for position in range(len(index.manifest.vocabulary)):
        difference = index.scores(position) - expected[:, position]
        assert np.abs(difference).max() <= 1
    folder = index_dir / "generations" / str(index.manifest.generation)
    vectors = faiss.read_index(str(folder / "visual.faiss")).reconstruct_n(0, index.rows)
    np.testing.assert_allclose(vectors, visual, atol=1e-6)

    database = sqlite3.connect(index_dir / "catalogue.db")
    rows = database.execute(
        "SELECT id, path, scores, visual FROM image JOIN embedding USING (content_hash)"
        " ORDER BY path"
    ).fetchall()
    contents = database.execute("SELECT count(DISTINCT content_hash) FROM image").fetchone()
    assert database.execute("SELECT count(*) FROM embedding").fetchone() == contents
    database.close()
    assert [row[:2] for row in rows] == [(record.id, record.path) for record in records]
    assert np.load(folder / "image_ids.npy").tolist() == [row[0] for row in rows]
    assert np.load(folder / "scores.npy").T.tobytes() == b"".join(row[2] for row in rows)
    assert vectors.tobytes() == b"".join(row[3] for row in rows)
    left = {path.name for path in (index_dir / "generations").iterdir()}
    assert left == {str(index.manifest.generation)}
    return index
