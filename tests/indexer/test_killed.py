"""A hundred builds killed with SIGKILL at random moments: nothing lost, nothing half-done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from indexer import Index, build

ROOT = Path(__file__).parents[2]


def test_after_a_hundred_kills_the_index_equals_an_uninterrupted_one(
    tmp_path: Path, index_dir: Path, color_embedder: Any
) -> None:
    catalogue = tmp_path / "catalogue"
    catalogue.mkdir()
    random = np.random.default_rng(5)
    for i in range(200):
        pixels = random.integers(0, 256, (2, 1, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16), 0).save(catalogue / f"{i:03}.png")
    done = subprocess.run(
        [sys.executable, "tests/indexer/killed_builds.py", catalogue, index_dir, "100", "0"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("100 killed, ")

    build(catalogue, tmp_path / "uninterrupted", color_embedder)
    with Index.open(index_dir) as killed, Index.open(tmp_path / "uninterrupted") as whole:
        for name in ("visual.faiss", "scores.npy", "masks.npy"):
            assert (killed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
        rows = range(whole.rows)
        known = [(each.path, each.content_hash, each.bytes) for each in killed.images(rows)]
        assert known == [(each.path, each.content_hash, each.bytes) for each in whole.images(rows)]
        assert len({each.id for each in killed.images(rows)}) == whole.rows
    left = {path.name for path in (index_dir / "generations").iterdir()}
    assert left == {str(Index.open(index_dir).manifest.generation)}
