"""Near duplicates are folded into the best of them, and no hit is lost by it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer import Index, build
from retrieval.catalog import Catalog


def grained(path: Path) -> Image.Image:
    """Give a painted picture something to be known by."""
    picture = Image.open(path)
    grain = np.random.default_rng(0).integers(-20, 20, (picture.height, picture.width, 1))
    pixels = np.clip(np.array(picture) + grain, 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(path)
    return picture


@pytest.fixture
def catalog(tmp_path: Path, paint: Callable[..., Path], color_embedder: Any) -> Catalog:
    """Eight pictures: three sizes of one, two files of another, three on their own."""
    root = tmp_path / "catalogue"
    red_blue = grained(paint(root / "red-blue-0.png", "red", "blue", size=(96, 72)))
    for i, size in enumerate([(64, 48), (48, 36)], start=1):
        red_blue.resize(size).save(root / f"red-blue-{i}.png")
    shutil.copy(paint(root / "red-red-0.png", "red", "red"), root / "red-red-1.png")
    paint(root / "blue-red.png", "blue", "red")
    paint(root / "green-blue.png", "green", "blue")
    paint(root / "white-white.png", "white", "white")
    build(root, tmp_path / "index", color_embedder)
    return Catalog(Index.open(tmp_path / "index"), embedder=color_embedder)


def test_of_pictures_that_look_the_same_the_first_is_shown(
    catalog: Catalog, tmp_path: Path, paint: Callable[..., Path]
) -> None:
    query = paint(tmp_path / "query.png", "red", "blue")
    plain = catalog.search(query, limit=3)
    assert {hit.name for hit in plain.hits} == {f"red-blue-{i}.png" for i in range(3)}
    answer = catalog.search(query, limit=5, dedup=True)
    best = plain.hits[0].name
    assert answer.hits[0].name == best
    assert {hit.name: hit.near_duplicates for hit in answer.hits} == {
        best: 2,
        "red-red-0.png": 1,
        "blue-red.png": 0,
        "green-blue.png": 0,
        "white-white.png": 0,
    }
    assert [hit.rank for hit in answer.hits] == [1, 2, 3, 4, 5]
    assert answer.total == 8


def test_enough_unlike_hits_are_found_behind_many_alike(
    catalog: Catalog, tmp_path: Path, paint: Callable[..., Path]
) -> None:
    query = paint(tmp_path / "query.png", "red", "blue")
    assert len(catalog.search(query, limit=1, dedup=True).hits) == 1
    assert len(catalog.search(query, limit=2, dedup=True).hits) == 2
    assert len(catalog.search(query, limit=50, dedup=True).hits) == 5


def test_attributes_alone_are_folded_too(catalog: Catalog) -> None:
    answer = catalog.search(where="upper=red", dedup=True)
    assert answer.total == 5
    assert len(answer.hits) == 2
    assert sum(hit.near_duplicates for hit in answer.hits) == 3


def test_nothing_found_stays_nothing(catalog: Catalog) -> None:
    answer = catalog.search(where=["upper=red", "upper=green"], dedup=True)
    assert (answer.hits, answer.total) == ((), 0)


def test_a_page_without_near_duplicates_is_the_plain_one(catalog: Catalog, tmp_path: Path) -> None:
    path = tmp_path / "q.png"
    Image.new("RGB", (8, 8), (250, 250, 250)).save(path)
    assert catalog.search(path, limit=1, dedup=True).hits == catalog.search(path, limit=1).hits
