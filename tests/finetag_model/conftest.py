"""What the tests of the model share: made-on-the-spot data sets, trunks and a checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from torch import nn

from finetag_model.calibration import Calibration
from finetag_model.checkpoint import Checkpoint, write_checkpoint
from finetag_model.cli_train import main as finetag_train
from finetag_model.config import FineTagConfig, Head
from finetag_model.network import FineTag, Vgg16Rank, new_network
from finetag_model.projection import Projection
from finetag_model.trunks import TRUNKS, Trunk, pretrained_trunk
from finetag_model.vocabulary import Vocabulary
from tests.trunks import write_random_trunk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

COLORS = {"red": (210, 30, 30), "green": (30, 170, 50), "blue": (40, 60, 220)}
ATTRIBUTES = [f"has_{half}_color::{color}" for half in ("upper", "lower") for color in COLORS]
NAMES = tuple(f"{half}_color={color}" for half in ("upper", "lower") for color in COLORS)


def paint_bird(path: Path, upper: int, lower: int, shade: int = 0) -> None:
    """Write a 48 x 40 photograph of a two-coloured block, grey around its box (8, 8, 32, 24)."""
    picture = Image.new("RGB", (48, 40), (120 + shade, 120 + shade, 120 + shade))
    colors = list(COLORS.values())
    picture.paste(tuple(c + shade for c in colors[upper]), (8, 8, 40, 20))
    picture.paste(tuple(c + shade for c in colors[lower]), (8, 20, 40, 32))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def write_cub(folder: Path, images: int = 12) -> Path:
    """Write a data set in the official layout, `attributes.txt` beside `CUB_200_2011`.

    Image i (from 1) has the upper colour i mod 3 and the lower colour i // 3 mod 3, all six
    labels known; every fourth image is in the test split.
    """
    root = folder / "CUB_200_2011"
    (root / "attributes").mkdir(parents=True)
    numbered = "".join(f"{i} {name}\n" for i, name in enumerate(ATTRIBUTES, start=1))
    (folder / "attributes.txt").write_text(numbered)
    ids = range(1, images + 1)
    names = {i: f"{1 + i % 2:03d}.Kind/bird {i:04d}.png" for i in ids}
    for i, name in names.items():
        paint_bird(root / "images" / name, i % 3, i // 3 % 3, shade=i % 11)
    lines: dict[str, list[str]] = {
        "images.txt": [f"{i} {names[i]}" for i in ids],
        "image_class_labels.txt": [f"{i} {1 + i % 2}" for i in ids],
        "bounding_boxes.txt": [f"{i} 8.0 8.0 32.0 24.0" for i in ids],
        "train_test_split.txt": [f"{i} {int(i % 4 != 0)}" for i in ids],
        "attributes/image_attribute_labels.txt": [
            f"{i} {attribute} {int(present)} {2 + i % 3} 1.5"
            for i in ids
            for attribute, present in enumerate(
                [*(i % 3 == c for c in range(3)), *(i // 3 % 3 == c for c in range(3))], start=1
            )
        ],
    }
    for file, content in lines.items():
        (root / file).write_text("\n".join(content) + "\n")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep exported graphs out of the user's cache folder."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETAG_CACHE", str(folder))
        yield folder


@pytest.fixture
def make_cub(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small CUB folder (see `write_cub`) and returns it."""
    return lambda images=12: write_cub(tmp_path / "cub", images)


@pytest.fixture(scope="session")
def cub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CUB folder of 64 images, to be read only."""
    return write_cub(tmp_path_factory.mktemp("data"), 64)


@pytest.fixture(scope="session")
def trunk_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a random MobileNetV2 as a safetensors file of torchvision's names."""
    return write_random_trunk(tmp_path_factory.mktemp("trunk") / "mobilenet_v2.safetensors")


@pytest.fixture
def tiny_trunk(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register a trunk of two convolutions, (B, 8, H / 4, W / 4), and return its name."""

    def build() -> nn.Sequential:
        convolutions = [nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU()]
        return nn.Sequential(*convolutions)

    monkeypatch.setitem(TRUNKS, "tiny", Trunk(8, build, TRUNKS["vgg16"].pretrained))
    return "tiny"


@pytest.fixture
def tiny_network(tiny_trunk: str) -> FineTag:
    """A network small enough to train and export in a moment: 16 px in, 4 x 2 bilinear."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = FineTagConfig(len(NAMES), tiny_trunk, width=4, reduced=2, input_size=16)
        return FineTag(config).eval()


@pytest.fixture
def tiny_rival(tiny_trunk: str) -> Vgg16Rank:
    """The same with fully connected layers of 8."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = FineTagConfig(
            len(NAMES), tiny_trunk, width=4, input_size=16, head="rank", hidden=8
        )
        return Vgg16Rank(config).eval()


@pytest.fixture(scope="session", params=get_args(Head))
def tiny_checkpoint(request: pytest.FixtureRequest, trunk_weights: Path) -> Checkpoint:
    """A checkpoint with a random MobileNetV2: six attributes, 64 px, 8 visual dimensions."""
    return make_checkpoint(request.param, trunk_weights)


@pytest.fixture(scope="session")
def bilinear_checkpoint(trunk_weights: Path) -> Checkpoint:
    """The one of them that is FineTag."""
    return make_checkpoint("bilinear", trunk_weights)


def make_checkpoint(head: Head, trunk_weights: Path) -> Checkpoint:
    config = FineTagConfig(len(NAMES), width=32, reduced=4, input_size=64, head=head, hidden=24)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = new_network(config)
        nn.init.normal_(network.narrow.weight, std=0.03)
        nn.init.normal_(network.classify.weight, std=3.0)
    network.trunk = pretrained_trunk("mobilenet_v2", trunk_weights)
    random = np.random.default_rng(0)
    n = len(NAMES)
    size = network.classify.in_features
    basis, _ = np.linalg.qr(random.normal(size=(size, 8)))
    return Checkpoint(
        name="tiny",
        config=config,
        vocabulary=Vocabulary(NAMES),
        weights={name: tensor.numpy() for name, tensor in network.state_dict().items()},
        calibration=Calibration(
            slope=random.uniform(0.5, 2, n).astype(np.float32),
            offset=random.normal(size=n).astype(np.float32),
            thresholds=random.uniform(0.3, 0.7, n).astype(np.float32),
        ),
        projection=Projection(
            mean=random.normal(size=size).astype(np.float32) / 100,
            components=basis.T.astype(np.float32),
        ),
        notes={"seed": 1},
    )


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Checkpoint) -> Path:
    """The tiny checkpoint as a file."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    write_checkpoint(tiny_checkpoint, path)
    return path


@pytest.fixture(scope="session")
def annotated_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An annotated folder of 45 pictures, with the vocabulary of `cub_folder`; its CSV file."""
    path = tmp_path_factory.mktemp("annotated") / "attributes.csv"
    colors = list(COLORS)
    lines = ["image,group,value"]
    for i in range(45):
        paint_bird(path.parent / f"{i}.png", i % 3, i // 3 % 3, shade=i % 7)
        lines += [
            f"{i}.png,upper_color,{colors[i % 3]}",
            f"{i}.png,lower_color,{colors[i // 3 % 3]}",
        ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    cub_folder: Path,
    annotated_csv: Path,
    trunk_weights: Path,
) -> tuple[Result, Path]:
    """What `finetag-train` answered, trained head first and then from layer 17, and its file."""
    output = tmp_path_factory.mktemp("trained") / "birds.safetensors"
    sizes = "--input-size 64 --head-epochs 12 --thaw 17 --epochs 3 --visual-dim 16 --seed 3 "
    sizes += "--shift 1 --mixed-precision"
    result = CliRunner().invoke(
        finetag_train,
        [
            *("--data", str(cub_folder), "--annotated", str(annotated_csv)),
            *("--trunk-weights", str(trunk_weights), "--name", "birds", *sizes.split()),
            *("--output", str(output)),
        ],
    )
    return result, output
