"""The commands of docs/paper.md run at small scale, and its tables are those of the code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from benchmarks.table1 import SYSTEMS, parameters
from finetag_model.checkpoint import read_checkpoint
from finetag_model.config import FineTagConfig
from finetag_model.config_file import SHIPPED_CONFIGS
from tests.pages import ROOT, commands, run_well

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PAGE = ROOT / "docs" / "paper.md"
HIDDEN = 8
SMALL = f"--hidden {HIDDEN} --input-size 64 --head-epochs 1 --epochs 1 --visual-dim 4"
SMALL_SCALE = {
    "--trunk-weights vgg16.safetensors": f"--trunk-weights vgg16.safetensors {SMALL}",
    "benchmarks/": f"{ROOT}/benchmarks/",
}


@pytest.fixture
def folder(tmp_path: Path, make_cub: Callable[..., Path]) -> Path:
    """What the page takes for granted; VGG16 is random, its fully connected layers are thin."""
    make_cub(tmp_path, read_checkpoint().vocabulary.names, count=48)
    weights = {f"features.{key}": t for key, t in models.vgg16().features.state_dict().items()}
    for name, layer in (("0", nn.Linear(25_088, HIDDEN)), ("3", nn.Linear(HIDDEN, HIDDEN))):
        weights |= {f"classifier.{name}.{key}": t for key, t in layer.state_dict().items()}
    save_file(weights, tmp_path / "vgg16.safetensors")
    return tmp_path


def test_its_commands_train_and_measure_all_three_systems(folder: Path) -> None:
    printed = "".join(run_well(line, folder) for line in commands(PAGE, SMALL_SCALE))
    for config in SYSTEMS:
        checkpoint = read_checkpoint(folder / "runs" / "table1" / f"{config}.safetensors")
        assert checkpoint.name == config
        assert checkpoint.config.trunk == "vgg16"
        assert [stage["layer"] for stage in checkpoint.notes["recipe"]["stages"]] == [30, 0]
    assert "finetag-vgg16 on 16 images" in printed
    table = printed[printed.index("Table 1, on 16 images") :]
    for label in (*SYSTEMS.values(), "FineTag, as printed", "wing_color", "back_color"):
        assert f"│ {label} " in table


def test_each_system_has_its_configuration() -> None:
    assert {path.stem for path in (SHIPPED_CONFIGS / "table1").iterdir()} == set(SYSTEMS)
    for config in SYSTEMS:
        assert f"| `table1/{config}` |" in PAGE.read_text()


def test_its_parameters_are_counted() -> None:
    rival, finetag = (
        parameters(FineTagConfig(attributes=312, trunk="vgg16", head=head))
        for head in ("rank", "bilinear")
    )
    assert rival == (120_824_120, 135_538_808)
    assert finetag == (3_205_452, 17_920_140)
    for system, counts in (("VGG16+rank", rival), ("FineTag", finetag)):
        cells = (
            f"{count:,} | {count / reference:.1f}x"
            for count, reference in zip(counts, finetag, strict=True)
        )
        assert f"| {system} | {' | '.join(cells)} |" in PAGE.read_text()


def test_a_picture_takes_as_much_room_as_it_says() -> None:
    pixels, maps = 448 * 448 * 3, torch.Size([512, 28, 28]).numel() * 2
    for kept in (pixels, maps):
        assert f"| {kept / 1e6:.2f} MB | {kept * 2 * 5994 / 1e9:.1f} GB |" in PAGE.read_text()
