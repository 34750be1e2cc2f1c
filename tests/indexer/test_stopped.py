"""A build that is stopped anywhere: nothing half-done is served, and the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from finetag_model.embedder import Embedding
from finetag_model.errors import CatalogueError
from indexer import Index, build

ROOT = Path(__file__).parents[2]

# Runs a build that kills itself, as a power cut would, at the moment named.
KILLED = """
import os, runpy, signal, sys
from pathlib import Path
import indexer.building, indexer.generation, indexer.publish
from indexer import build

moment, catalogue, index_dir = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
embedder = runpy.run_path("tests/conftest.py")["ColorEmbedder"]()
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
if moment == "embedding":
    embed = embedder.embed
    embedder.embed = lambda pixels: die() if embedder.embedded == 32 else embed(pixels)
elif moment == "writing":
    indexer.generation.Manifest.save = die
elif moment == "before renaming":
    Path.rename = die
elif moment == "before commit":
    indexer.publish.write_generation = (
        lambda *args, write=indexer.publish.write_generation: (write(*args), die())
    )
elif moment == "before sweeping":
    indexer.publish.sweep = die
build(catalogue, index_dir, embedder)
"""


def build_and_be_killed(moment: str, catalogue: Path, index_dir: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(catalogue), str(index_dir)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL, run.stderr


def contents(index_dir: Path) -> dict[str, bytes]:
    folder = index_dir / "generations" / "1"
    return {name: (folder / name).read_bytes() for name in ("visual.faiss", "scores.npy")}


def test_after_a_kill_the_next_build_embeds_only_the_rest(
    many: Path,
    tmp_path: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
) -> None:
    build_and_be_killed("embedding", many, index_dir)
    with pytest.raises(CatalogueError, match=r"never finished.*finetag-index build"):
        Index.open(index_dir)
    report = build(many, index_dir, color_embedder)
    assert (report.images, report.embedded) == (50, 18)
    holds(index_dir, many, color_embedder)
    build(many, tmp_path / "uninterrupted", color_embedder)
    assert contents(index_dir) == contents(tmp_path / "uninterrupted")


@pytest.mark.parametrize("moment", ["writing", "before renaming", "before commit"])
def test_a_kill_during_publication_leaves_the_old_generation_serving(
    many: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index], moment: str
) -> None:
    late = [path.rename(many / f".{path.name}") for path in sorted(many.iterdir())[:20]]
    gone = many / "49.png"
    build(many, index_dir, color_embedder)
    for path in late:
        path.rename(many / path.name[1:])
    gone.unlink()
    build_and_be_killed(moment, many, index_dir)
    old = Index.open(index_dir)
    assert (old.manifest.generation, old.rows) == (1, 30)
    assert old.images([29])[0].path == gone.name
    report = build(many, index_dir, color_embedder)
    assert (report.generation, report.new, report.gone, report.embedded) == (2, 20, 1, 0)
    holds(index_dir, many, color_embedder)


def test_a_kill_after_publication_leaves_only_tidying_undone(
    many: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(many, index_dir, color_embedder)
    (many / "00.png").unlink()
    build_and_be_killed("before sweeping", many, index_dir)
    assert Index.open(index_dir).rows == 49
    assert not build(many, index_dir, color_embedder).published
    holds(index_dir, many, color_embedder)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_build_keeps_the_batches_it_finished(
    many: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    error: type[BaseException],
) -> None:
    embed = color_embedder.embed

    def stop_at_the_third_batch(pixels: Any) -> Embedding:
        if color_embedder.embedded == 32:
            raise error
        made: Embedding = embed(pixels)
        return made

    color_embedder.embed = stop_at_the_third_batch
    with pytest.raises(error):
        build(many, index_dir, color_embedder)
    color_embedder.embed = embed
    assert build(many, index_dir, color_embedder).embedded == 18
    holds(index_dir, many, color_embedder)


def test_a_change_of_model_that_is_killed_leaves_the_old_model_serving(
    many: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    build(many, index_dir, type(color_embedder)(digest="d1" * 32))
    build_and_be_killed("embedding", many, index_dir)
    old = Index.open(index_dir)
    assert old.manifest.model.digest == "d1" * 32
    assert len(old.images(range(50))) == 50
    report = build(many, index_dir, color_embedder)
    assert (report.generation, report.embedded) == (2, 18)
    holds(index_dir, many, color_embedder)
