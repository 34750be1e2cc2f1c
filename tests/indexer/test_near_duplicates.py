"""Groups of images that look alike, against brute force."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer import Index, build, near_duplicates
from indexer.near_duplicates import groups


class Rows:
    """As much of an index as vectors are."""

    def __init__(self, vectors: NDArray[np.float64]) -> None:
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        self._vectors = unit.astype(np.float32)
        self.rows = len(vectors)

    def vectors(self, start: int, stop: int) -> NDArray[np.float32]:
        assert 0 <= start < stop <= self.rows
        return self._vectors[start:stop]


def brute_force(vectors: NDArray[np.float32], threshold: float) -> list[int]:
    alike = vectors.astype(np.float64) @ vectors.T.astype(np.float64) >= threshold
    of = list(range(len(vectors)))
    for row in range(len(vectors)):
        if of[row] == row:
            pending = [row]
            while pending:
                for other in np.flatnonzero(alike[pending.pop()]):
                    if of[other] == other and other > row:
                        of[other] = row
                        pending.append(int(other))
    return of


@pytest.mark.parametrize("pairs", [0, 10, 1 << 22])
@pytest.mark.parametrize("block", [7, 64, 2048])
@pytest.mark.parametrize("seed", range(2))
def test_groups_equal_brute_force(
    monkeypatch: pytest.MonkeyPatch, seed: int, block: int, pairs: int
) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK", block)
    monkeypatch.setattr(near_duplicates, "_PAIRS", pairs)
    random = np.random.default_rng(seed)
    centres = random.standard_normal((30, 8))
    spread = random.choice([0.0, 0.05, 0.2], 150)[:, np.newaxis]
    rows = Rows(centres[random.integers(0, 30, 150)] + spread * random.standard_normal((150, 8)))
    for threshold in (0.9, 0.97, 0.99):
        found = groups(cast("Index", rows), threshold)
        assert found.dtype == np.int32
        assert found.tolist() == brute_force(rows.vectors(0, 150), threshold)
        assert 1 < len(set(found.tolist())) < 150


def test_a_chain_is_one_group_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "_BLOCK", 5)
    angles = np.random.default_rng(0).permutation(np.arange(40)) * 0.03
    chain = cast("Index", Rows(np.stack([np.cos(angles), np.sin(angles)], axis=1)))
    assert groups(chain, np.cos(0.031)).tolist() == [0] * 40
    assert groups(chain, np.cos(0.029)).tolist() == list(range(40))


def test_more_alike_than_any_number_of_neighbours() -> None:
    rows = cast("Index", Rows(np.ones((3000, 2))))
    assert not groups(rows).any()


def test_groups_of_an_index_and_progress(
    tmp_path: Path, index_dir: Path, paint: Callable[..., Path], color_embedder: Any
) -> None:
    paint(tmp_path / "all" / "a.png", "red", "green")
    paint(tmp_path / "all" / "b.png", "blue", "green")
    paint(tmp_path / "all" / "c.png", "red", "green", size=(64, 48))
    build(tmp_path / "all", index_dir, color_embedder)
    seen: list[tuple[int, int]] = []
    found = groups(Index.open(index_dir), progress=lambda *each: seen.append(each))
    assert found.tolist() == [0, 1, 0]
    assert seen == [(6, 6)]
