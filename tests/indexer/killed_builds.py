"""Builds that are killed with SIGKILL at random moments; run by `test_killed`.

    python killed_builds.py CATALOGUE INDEX KILLS SEED

Each build is a process of its own, forked from this one, which has imported everything already.
Between builds the catalogue changes. After every kill the index must be whole, or not there yet.
"""

from __future__ import annotations

import os
import random
import runpy
import signal
import sys
import time
from pathlib import Path

import indexer.building
import indexer.vectors
import indexer.verifying
from finetag_model.errors import CatalogueError
from indexer import Index, build

ColorEmbedder = runpy.run_path(str(Path(__file__).parents[1] / "conftest.py"))["ColorEmbedder"]


def start(catalogue: Path, index_dir: Path) -> int:
    """Build in a new process; return its number."""
    child = os.fork()
    if child:
        return child
    try:
        build(catalogue, index_dir, ColorEmbedder())
        os._exit(0)
    except BaseException as error:
        print(f"a build failed: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def change(catalogue: Path, random_: random.Random, step: int) -> None:
    """Rename, copy over, remove and bring back some images."""
    for path in random_.sample(sorted(catalogue.iterdir()), 12):
        moved = path.with_name(f"{step:03}-{random_.randrange(10**6):06}.png")
        if path.name.startswith("."):
            path.rename(moved)
        else:
            path.rename(random_.choice([moved, path.with_name(f".{path.name}")]))


def main() -> None:
    """Kill builds until enough were killed, then let one finish."""
    catalogue, index_dir = Path(sys.argv[1]), Path(sys.argv[2])
    kills, random_ = int(sys.argv[3]), random.Random(int(sys.argv[4]))
    begun = time.monotonic()
    _, status = os.waitpid(start(catalogue, index_dir), 0)
    assert status == 0
    whole_build = time.monotonic() - begun
    killed = published = 0
    generation = 1
    while killed < kills:
        change(catalogue, random_, killed)
        child = start(catalogue, index_dir)
        time.sleep(random_.uniform(0, 0.8 * whole_build))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        assert os.WIFSIGNALED(status) or status == 0, status
        with Index.open(index_dir) as index:
            assert not index.manifest.damaged(index.folder)
            assert index.manifest.generation >= generation
            published += index.manifest.generation > generation
            generation = index.manifest.generation
            index.images(range(index.rows))
    _, status = os.waitpid(start(catalogue, index_dir), 0)
    assert status == 0
    found = indexer.verifying.verify(index_dir)
    assert found.is_whole, found
    print(f"{killed} killed, {published} published")


if __name__ == "__main__":
    try:
        main()
    except CatalogueError as error:
        sys.exit(f"{error}")
