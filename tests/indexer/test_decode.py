from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from finetag_model import images
from indexer import Index, build


def test_heic_without_its_plugin_is_skipped_with_what_to_do(
    catalogue: Path, index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(images, "_have_heif", images._have_heif.__wrapped__)
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
