from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer import Index, build, readers


@pytest.fixture
def new_readers() -> Iterator[None]:
    """Start the decoding processes anew, and again for the tests that follow."""
    for reader in readers._all:
        reader.stop()
    yield
    for reader in readers._all:
        reader.stop()


def test_heic_without_its_plugin_is_skipped_with_what_to_do(
    catalogue: Path,
    index_dir: Path,
    color_embedder: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    new_readers: None,
) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pillow_heif.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path / "without")  # where the decoding processes look too
    (catalogue / "photo.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    report = build(catalogue, index_dir, color_embedder)
    assert [(each.path, each.reason) for each in report.skipped] == [
        ("photo.HEIC", "the image is a HEIC/HEIF image; to read it: pip install 'finetag[heif]'")
    ]


def test_heic_is_indexed_with_its_plugin(
    catalogue: Path, index_dir: Path, color_embedder: Any
) -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.new("RGB", (80, 40), "red").save(catalogue / "photo.heic")
    assert build(catalogue, index_dir, color_embedder).skipped == ()
    index = Index.open(index_dir)
    sizes = {each.path: (each.width, each.height) for each in index.images(range(index.rows))}
    assert sizes["photo.heic"] == (80, 40)
