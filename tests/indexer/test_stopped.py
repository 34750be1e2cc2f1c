"""A build that is stopped anywhere: nothing half-done is served, and the next one goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from finetag_model.embedder import Embedding
from finetag_model.errors import CatalogueError, Stopped
from indexer import Index, build

ROOT = Path(__file__).parents[2]

# Runs a build that kills itself, as a power cut would, at the moment named.
KILLED = """
import os, runpy, signal, sys
from pathlib import Path
import indexer.building, indexer.generation, indexer.layout, indexer.publish
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
elif moment == "before pointing":
    indexer.layout.Pointer.write = die
elif moment == "before sweeping":
    point = indexer.layout.Pointer.write
    indexer.layout.Pointer.write = lambda *args: (point(*args), die())
build(catalogue, index_dir, embedder, reembed=True)
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
    names = ("visual.faiss", "scores.npy", "masks.npy", "image_ids.npy", "records.jsonl")
    return {name: (folder / name).read_bytes() for name in names}


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
    assert report.stages.hash.images == 18  # nor are finished files read again
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
    old.close()
    report = build(many, index_dir, color_embedder)
    assert (report.generation, report.new, report.gone, report.embedded) == (2, 20, 1, 0)
    holds(index_dir, many, color_embedder)


@pytest.mark.parametrize(("moment", "serving"), [("before pointing", 50), ("before sweeping", 49)])
def test_a_kill_after_publication_leaves_only_tidying_undone(
    many: Path,
    index_dir: Path,
    color_embedder: Any,
    holds: Callable[..., Index],
    moment: str,
    serving: int,
) -> None:
    build(many, index_dir, color_embedder)
    (many / "00.png").unlink()
    build_and_be_killed(moment, many, index_dir)
    with closing(Index.open(index_dir)) as index:
        assert (index.rows, len(index.images(range(serving)))) == (serving, serving)
    assert not build(many, index_dir, color_embedder).published
    holds(index_dir, many, color_embedder)


def test_a_build_asked_to_stop_keeps_every_file_it_finished(
    many: Path, index_dir: Path, color_embedder: Any, holds: Callable[..., Index]
) -> None:
    done = iter(range(1, 100))
    with pytest.raises(Stopped, match="20 of 50 files done and kept; run the same command again"):
        build(many, index_dir, color_embedder, should_stop=lambda: next(done) == 20)
    with pytest.raises(CatalogueError, match="never finished"):
        Index.open(index_dir)
    report = build(many, index_dir, color_embedder)
    assert (report.images, report.embedded, report.stages.hash.images) == (50, 30, 30)
    holds(index_dir, many, color_embedder)


def test_a_file_that_changed_after_it_was_read_is_read_again(
    many: Path, index_dir: Path, color_embedder: Any, paint: Any, holds: Callable[..., Index]
) -> None:
    build_and_be_killed("embedding", many, index_dir)
    paint(many / "00.png", "red", "red")
    report = build(many, index_dir, color_embedder)
    assert (report.embedded, report.stages.hash.images) == (19, 19)
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
    old.close()
    report = build(many, index_dir, color_embedder, reembed=True)
    assert (report.generation, report.embedded) == (2, 18)
    holds(index_dir, many, color_embedder)
