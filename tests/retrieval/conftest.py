"""A small real index: every pair of colours once, and some images of colours in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from finetag_model.embedder import Embedder
from finetag_model.images import load_rgb, to_pixels
from indexer import Index, build
from retrieval import Catalog
from retrieval.cli import main
from tests.retrieval.internet import Internet

COLORS = ("red", "green", "blue", "grey", "white")


@dataclass(frozen=True)
class Reference:
    """What each image of a catalogue becomes, computed again without the index."""

    names: list[str]
    scores: NDArray[np.uint8]
    visual: NDArray[np.float32]

    @classmethod
    def of(cls, root: Path, embedder: Embedder) -> Reference:
        paths = sorted(root.rglob("*.png"), key=lambda path: path.relative_to(root).as_posix())
        size = embedder.model.input_size
        made = embedder.embed(np.stack([to_pixels(load_rgb(path), size) for path in paths]))
        return cls(
            [path.relative_to(root).as_posix() for path in paths],
            np.rint(made.scores * 255).astype(np.uint8),
            made.visual,
        )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hold what `root` and `index_dir` make for the first test that asks; no test changes it."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def root(shared: Path, paint: Callable[..., Path]) -> Path:
    folder = shared / "catalogue"
    if folder.exists():
        return folder
    for upper in COLORS:
        for lower in COLORS:
            paint(folder / upper / f"{upper}_{lower}.png", upper, lower)
    random = np.random.default_rng(7)
    for i in range(40):
        halves = random.integers(0, 256, (2, 1, 3), dtype=np.uint8)
        Image.fromarray(halves).resize((32, 24), 0).save(folder / f"mixed_{i:02}.png")
    return folder


@pytest.fixture
def index_dir(shared: Path, root: Path, database: str, color_embedder: Any) -> Path:
    folder = shared / f"index-{database}"
    if not folder.exists():
        build(root, folder, color_embedder)
    return folder


@pytest.fixture
def catalog(index_dir: Path, color_embedder: Any) -> Catalog:
    return Catalog(Index.open(index_dir), embedder=color_embedder)


@pytest.fixture
def reference(root: Path, color_embedder: Any) -> Reference:
    return Reference.of(root, color_embedder)


@pytest.fixture
def search(
    index_dir: Path, color_embedder: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Result]]:
    """Run `finetag-search` on the index, with the colour model in place of the shipped one."""
    monkeypatch.setattr("retrieval.catalog.load_embedder", lambda *_: color_embedder)
    monkeypatch.setenv("FINETAG_INDEX", str(index_dir))

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def internet() -> Iterator[Internet]:
    with pytest.MonkeyPatch.context() as patch:
        internet = Internet(patch)
        yield internet
        internet.close()
