"""Near duplicates: no pair within the distance is missed, and what an index makes of pictures."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from finetag_model.drawn import draw_layers, sample_bird
from indexer import Index, build, near_duplicates
from indexer.near_duplicates import DISTANCE, SIMILARITY, are_alike, groups
from indexer.refill import refill
from indexer.verifying import verify
from indexer.writer import open_writer


class Rows:
    """As much of an index as near duplicates need."""

    def __init__(self, hashes: NDArray[np.uint8], vectors: NDArray[np.float64]) -> None:
        self.perceptual = hashes
        self._vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("f4")
        self.rows = len(hashes)

    def vectors_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._vectors[rows]

    def images(self, rows: list[int]) -> list[SimpleNamespace]:
        """Give rows of the same hash and vector the same bytes."""
        contents = (self.perceptual[row].tobytes() + self._vectors[row].tobytes() for row in rows)
        return [SimpleNamespace(content_hash=f"{hash(each) % (1 << 63):064x}") for each in contents]

    def brute_force(self) -> list[int]:
        apart = np.bitwise_count(self.perceptual[:, np.newaxis] ^ self.perceptual).sum(axis=2)
        alike = (apart <= DISTANCE) & (self._vectors @ self._vectors.T >= SIMILARITY)
        of = list(range(self.rows))
        for row in range(self.rows):
            if of[row] == row:
                pending = [row]
                while pending:
                    for other in np.flatnonzero(alike[pending.pop()]):
                        if of[other] == other and other > row:
                            of[other] = row
                            pending.append(int(other))
        return of


def flipped(one: NDArray[np.uint8], bits: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return a hash that differs from `one` in these bits."""
    other = np.unpackbits(one)
    other[bits] ^= 1
    return np.packbits(other)


@pytest.mark.parametrize("limits", [(1, 1, 0), (50, 7, 10), (1 << 17, 1 << 12, 1 << 22)])
@pytest.mark.parametrize("seed", range(2))
def test_groups_equal_brute_force(
    monkeypatch: pytest.MonkeyPatch, seed: int, limits: tuple[int, int, int]
) -> None:
    for name, limit in zip(("_AT_ONCE", "_VECTORS", "_PAIRS"), limits, strict=True):
        monkeypatch.setattr(near_duplicates, name, limit)
    random = np.random.default_rng(seed)
    hashes = list(random.integers(0, 256, (20, 16), dtype=np.uint8))
    vectors = list(random.standard_normal((20, 4)))
    for _ in range(100):
        of = random.integers(len(hashes))
        bits = random.choice(128, random.integers(0, 24), replace=False)
        hashes.append(flipped(hashes[of], bits))
        vectors.append(vectors[of] + random.choice([0, 0.2, 1]) * random.standard_normal(4))
    rows = Rows(np.stack(hashes), np.stack(vectors))
    found = groups(cast("Index", rows))
    assert found.dtype == np.int32
    assert found.tolist() == rows.brute_force()
    assert 20 < len(set(found.tolist())) < 120


def test_no_pair_within_the_distance_is_missed_and_none_beyond_is_found() -> None:
    random = np.random.default_rng(0)
    originals = random.integers(0, 256, (300, 16), dtype=np.uint8)
    spread = [random.permutation(128)[: DISTANCE + extra] for extra in (0, 1) for _ in range(100)]
    # As even as can be: of the 8 pieces all but one differ in two bits.
    even = np.array([piece * 16 + bit for bit in (3, 9) for piece in range(8)])
    spread += [(even + at)[:DISTANCE] % 128 for at in range(100)]
    copies = [flipped(one, bits) for one, bits in zip(originals, spread, strict=True)]
    rows = cast("Index", Rows(np.concatenate([originals, copies]), np.ones((600, 2))))
    found = groups(rows)
    expected = np.concatenate([np.arange(100), np.arange(400, 500), np.arange(200, 300)])
    np.testing.assert_array_equal(found[300:], expected)
    one, two = np.arange(300), np.arange(300, 600)
    assert are_alike(rows, one, two).tolist() == [True] * 100 + [False] * 100 + [True] * 100


def test_thousands_of_the_same_file_are_one_group() -> None:
    rows = cast("Index", Rows(np.full((30_000, 16), 7, np.uint8), np.ones((30_000, 2))))
    assert not groups(rows).any()


@cache
def bird(seed: int) -> Image.Image:
    """Draw a bird on plain white, as shops show their goods."""
    drawing = draw_layers(sample_bird(seed), 160)
    pixels = np.array(drawing.image)
    pixels[~np.any(list(drawing.parts.values()), axis=0)] = 255
    return Image.fromarray(pixels)


def paths(index: Index) -> list[list[str]]:
    """Return the groups of two or more, by name."""
    of = groups(index)
    names = [record.path for record in index.images(range(index.rows))]
    found = [[names[row] for row in np.flatnonzero(of == first)] for first in np.unique(of)]
    return [group for group in found if len(group) > 1]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Twelve goods on white, copies of one of them, and plain pictures."""
    root = tmp_path / "shop"
    root.mkdir()
    for seed in range(12):
        bird(seed).save(root / f"{seed:02}.jpg", quality=92)
    first = Image.open(root / "00.jpg")
    first.save(root / "00-poor.jpg", quality=50)
    first.resize((80, 60)).save(root / "00-small.png")
    first.save(root / "00.webp", quality=80)
    first.transpose(Image.Transpose.ROTATE_90).save(
        root / "00-turned.jpg", exif=orientation(6), quality=92
    )
    for name, colour in (("white", "white"), ("cream", (250, 250, 240))):
        Image.new("RGB", (300, 200), colour).save(root / f"{name}.png")
    shutil.copy(root / "white.png", root / "white-again.png")
    return root


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


COPIES = [
    ["00-poor.jpg", "00-small.png", "00-turned.jpg", "00.jpg", "00.webp"],
    ["white-again.png", "white.png"],
]


def test_copies_of_goods_on_white_are_found_and_no_others(
    shop: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(shop, index_dir, color_embedder)
    seen: list[tuple[int, int | None]] = []
    index = Index.open(index_dir)
    assert paths(index) == COPIES
    groups(index, progress=lambda *each: seen.append(each))
    assert seen == [(step, 136) for step in range(1, 137)]


def test_goods_of_another_colour_are_others(
    tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    texture = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    grey = Image.fromarray(texture).resize((64, 64), Image.Resampling.NEAREST)
    black = Image.new("L", grey.size)
    for name, bands in (("red", (grey, black, black)), ("blue", (black, black, grey))):
        Image.merge("RGB", bands).save(root / f"{name}.png")
        Image.merge("RGB", bands).resize((48, 48)).save(root / f"{name}-small.png")
    build(root, index_dir, color_embedder)
    assert paths(Index.open(index_dir)) == [
        ["blue-small.png", "blue.png"],
        ["red-small.png", "red.png"],
    ]


def test_a_database_filled_anew_gives_the_same_hashes(
    shop: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(shop, index_dir, color_embedder)
    query = "SELECT content_hash, perceptual FROM embedding ORDER BY 1"
    with open_writer(index_dir) as writer, writer.changing() as connection:
        before = connection.exec_driver_sql(query).fetchall()
        refill(connection, Index.open(index_dir))
        assert connection.exec_driver_sql(query).fetchall() == before
    assert sum(hashed is None for _, hashed in before) == 2  # white and cream
    assert verify(index_dir).is_whole


def test_what_an_older_index_holds_is_grouped_by_its_bytes(
    shop: Path, index_dir: Path, color_embedder: Any
) -> None:
    build(shop, index_dir, color_embedder)
    with open_writer(index_dir) as writer, writer.changing() as connection:
        connection.exec_driver_sql("UPDATE embedding SET perceptual = NULL")
    shutil.copy(shop / "03.jpg", shop / "03-again.jpg")
    build(shop, index_dir, color_embedder)
    assert paths(Index.open(index_dir)) == [["03-again.jpg", "03.jpg"], COPIES[1]]
