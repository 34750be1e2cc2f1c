from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from ablation_variants import AsymmetricTraining, Groups, ISqrt, Mirrored, shuffled_inside
from click.testing import CliRunner
from torch.nn import functional as F

from benchmarks.ablations import main
from finetag_model.config import FineTagConfig
from finetag_model.pictures import Picture
from tests.finetag_model.conftest import paint_bird

TINY = FineTagConfig(6, "tiny", width=4, input_size=16)


@pytest.mark.filterwarnings("ignore:No positive class")
def test_every_variant_is_trained_and_measured(
    cub_folder: Path, trunk_weights: Path, tmp_path: Path
) -> None:
    labels = cub_folder / "CUB_200_2011" / "attributes" / "image_attribute_labels.txt"
    arguments = f"--input-size 64 --epochs 1 --seeds 2 --data {cub_folder} --reference {labels}"
    result = CliRunner().invoke(
        main, [*arguments.split(), "--trunk-weights", str(trunk_weights)], env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    rows = [line.split("│") for line in result.stdout.splitlines() if "│" in line]
    assert len(rows) == 22
    for row in rows:
        means = [float(cell.split()[0]) for cell in row[2:5]]
        assert all(0 < mean <= 1 for mean in means), row
    assert "48 photographs to train on, 16 to measure on" in result.stdout


def test_shuffling_exchanges_rows_of_one_class_only() -> None:
    classes = np.array([3, 1, 3, 2, 1, 3, 1, 3])
    order = shuffled_inside(classes, seed=0)
    assert sorted(order) == list(range(8))
    assert (classes[order] == classes).all()
    assert (order != np.arange(8)).any()


def test_the_asymmetric_loss_is_the_slow_reference() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 5)) * 3
    presence = random.choice([0, 1, np.nan, 0.25], size=(3, 5))
    total = 0.0
    for f, y in zip(logits.ravel(), presence.ravel(), strict=True):
        if not np.isnan(y):
            p = 1 / (1 + math.exp(-f))
            shifted = max(p - 0.05, 0)
            total -= y * (1 - p) * math.log(p)
            total -= (1 - y) * shifted**4 * math.log(1 - shifted)
    loss = AsymmetricTraining.objective(
        AsymmetricTraining.__new__(AsymmetricTraining),
        torch.from_numpy(logits),
        torch.from_numpy(presence),
    )
    assert loss.item() == pytest.approx(total / 3)


def test_the_root_squared_is_the_covariance(tiny_trunk: str) -> None:
    network = ISqrt(TINY).double()
    features = torch.randn(2, 4, 30, 30, dtype=torch.float64)
    triangle = network.descriptor(features)
    rows, columns = torch.triu_indices(network.reduced, network.reduced)
    root = torch.zeros(2, network.reduced, network.reduced, dtype=torch.float64)
    root[:, rows, columns] = triangle
    root = root + root.triu(1).transpose(1, 2)
    x = network.reduce(features).flatten(2)
    x = x - x.mean(2, keepdim=True)
    squared = root @ root
    expected = x @ x.transpose(1, 2)
    cosine = F.cosine_similarity(squared.flatten(1), expected.flatten(1))
    assert (cosine > 0.999).all()


def test_attention_of_each_place_adds_up_to_one(tiny_trunk: str) -> None:
    network = Groups(TINY)
    constant = torch.ones(1, 4, 3, 3) * torch.tensor([1.0, 4.0, 9.0, 16.0])[:, None, None]
    seen = network.descriptor(constant).reshape(network.places, 4)
    torch.testing.assert_close(seen[0] / seen[0, 0], torch.tensor([1.0, 2.0, 3.0, 4.0]))
    torch.testing.assert_close(seen, seen[:1].expand_as(seen))


def test_a_mirrored_picture_is_the_picture_in_a_mirror(tmp_path: Path) -> None:
    path = tmp_path / "bird.png"
    paint_bird(path, 0, 1)
    plain = Picture(path, (2.0, 2.0, 30.0, 30.0))
    mirrored = Mirrored(plain.path, plain.box)
    np.testing.assert_array_equal(mirrored.pixels(20), plain.pixels(20)[:, ::-1])
