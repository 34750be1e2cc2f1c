"""Fixtures shared by the tests of all packages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from finetag_model.embedder import Embedding, ModelInfo
from finetag_model.vocabulary import Vocabulary
from tests import postgres
from tests.databases import DATABASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

PALETTE = {
    "red": (200, 30, 30),
    "green": (30, 160, 60),
    "blue": (30, 60, 200),
    "grey": (128, 128, 128),
    "white": (250, 250, 250),
}


class ColorEmbedder:
    """A model small enough to reason about: it reads the mean colour of the two image halves.

    `upper=red` is near 1 when the upper half is near red; the visual vector is the two mean
    colours and a constant, normalised. It satisfies the `Embedder` protocol.
    """

    def __init__(self, digest: str = "c0" * 32) -> None:
        names = tuple(f"{half}={color}" for half in ("upper", "lower") for color in PALETTE)
        self.model = ModelInfo(
            name="color-halves",
            digest=digest,
            vocabulary=Vocabulary(names),
            thresholds=np.full(len(names), 0.5, dtype=np.float32),
            input_size=8,
            visual_dim=7,
        )
        self.embedded = 0

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        assert pixels.dtype == np.uint8
        assert pixels.shape[1:] == (8, 8, 3)
        self.embedded += len(pixels)
        halves = np.stack([pixels[:, :4], pixels[:, 4:]], axis=1).mean(axis=(2, 3)) / 255.0
        colors = np.array(list(PALETTE.values())) / 255.0
        distances = np.linalg.norm(halves[:, :, None] - colors, axis=-1)
        scores = np.exp(-8.0 * distances**2).reshape(len(pixels), -1)
        visual = np.concatenate([halves.reshape(len(pixels), 6), np.ones((len(pixels), 1))], axis=1)
        visual /= np.linalg.norm(visual, axis=1, keepdims=True)
        return Embedding(scores.astype(np.float32), visual.astype(np.float32))


@pytest.fixture
def color_embedder() -> ColorEmbedder:
    return ColorEmbedder()


@pytest.fixture
def paint() -> Callable[..., Path]:
    """Write an image whose upper and lower half have the named colours; return its path."""

    def write(path: Path, upper: str, lower: str, size: tuple[int, int] = (32, 24)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = size
        image = Image.new("RGB", size, PALETTE[upper])
        image.paste(PALETTE[lower], (0, height // 2, width, height))
        image.save(path)
        return path

    return write


@pytest.fixture
def make_cub() -> Callable[..., Path]:
    """Write a small data set in the layout of CUB-200-2011: plain coloured pictures.

    Every picture is of one of the CUB colours, which is its wing colour and its back colour;
    all other attributes are absent. Every third picture is a test image.
    """

    def write(folder: Path, names: tuple[str, ...], count: int = 160) -> Path:
        root = folder / "CUB_200_2011"
        (root / "attributes").mkdir(parents=True)
        (root / "images" / "001.Plain").mkdir(parents=True)
        cub_names = [f"has_{name.replace('=', '::')}" for name in names]
        _write_lines(folder / "attributes.txt", cub_names)
        files = [f"001.Plain/Plain_{i:04}.jpg" for i in range(1, count + 1)]
        labels = []
        for i, file in enumerate(files, start=1):
            color = list(PALETTE)[i % len(PALETTE)]
            Image.new("RGB", (40, 30), PALETTE[color]).save(root / "images" / file)
            present = {f"wing_color={color}", f"back_color={color}"}
            labels += [f"{i} {n} {int(name in present)} 4 1.0" for n, name in enumerate(names, 1)]
        _write_lines(root / "images.txt", files)
        _write_lines(root / "bounding_boxes.txt", ["2.0 2.0 30.0 20.0"] * count)
        _write_lines(root / "image_class_labels.txt", [str(1 + i % 2) for i in range(count)])
        _write_lines(root / "train_test_split.txt", [str(int(i % 3 > 0)) for i in range(count)])
        (root / "attributes" / "image_attribute_labels.txt").write_text("\n".join(labels))
        return root

    return write


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of an empty database, on a server that starts when the first test asks for it."""
    try:
        with postgres.server() as url:
            yield url
    except postgres.Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make every new index of a test keep its rows in SQLite, or else in PostgreSQL."""
    if request.param == "sqlite":
        monkeypatch.delenv("FINETAG_DATABASE", raising=False)
    else:
        monkeypatch.setenv("FINETAG_DATABASE", request.getfixturevalue("postgres_url"))
    return str(request.param)


def _write_lines(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{i} {line}\n" for i, line in enumerate(lines, start=1)))
