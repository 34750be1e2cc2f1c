from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.explain import localisation
from finetag_model.checkpoint import read_checkpoint, write_checkpoint
from finetag_model.embedder import Grid, open_network
from finetag_model.errors import CheckpointError, UsageError
from finetag_model.explain import DAMPING, Explainer, HeatMap, evidence
from finetag_model.images import to_pixels
from finetag_model.inference import load_network
from finetag_model.overlay import overlay, side_by_side
from finetag_model.runtime_torch import TorchEmbedder
from finetag_model.trunks import grid, new_trunk

if TYPE_CHECKING:
    from finetag_model.checkpoint import Checkpoint


def noise(size: tuple[int, int] = (90, 60), seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def explainer(checkpoint: Checkpoint) -> Explainer:
    return Explainer(checkpoint, TorchEmbedder(checkpoint))


def test_evidence_adds_up_to_the_logit_less_its_bias(bilinear_checkpoint: Checkpoint) -> None:
    network = load_network(bilinear_checkpoint)
    names = bilinear_checkpoint.vocabulary.names
    pixels = torch.tensor(to_pixels(noise(), 64)[None])
    with torch.inference_mode():
        expected = (network(pixels)[0] - network.classify.bias).numpy()
    maps = explainer(bilinear_checkpoint).explain(noise(), names)
    assert [heat.attribute for heat in maps] == list(names)
    for heat, logit in zip(maps, expected, strict=True):
        assert heat.evidence.dtype == np.float32
        assert heat.evidence.shape == (2, 2)
        assert heat.evidence.sum() == pytest.approx(logit, abs=1e-4)


def test_it_is_the_naive_sum_over_locations_and_channels() -> None:
    random = np.random.default_rng(1)
    x, r = random.normal(size=(4, 2, 3)), random.normal(size=(2, 2, 3))
    w = random.normal(size=(5, 4 * 2))
    each = np.einsum("chw,jhw->cjhw", x, r).reshape(8, 2, 3) / 6
    z = each.sum(axis=(1, 2))
    root = np.sign(z) * np.sqrt(np.abs(z) + 1e-10)
    norm = np.sqrt((root**2).sum())
    expected = np.zeros((5, 2, 3))
    for k in range(8):
        a = np.abs(each[k]).sum()
        for row in range(2):
            for column in range(3):
                part = each[k, row, column]
                share = (z[k] * part + DAMPING**2 * a * abs(part)) / (
                    z[k] ** 2 + (DAMPING * a) ** 2
                )
                expected[:, row, column] += w[:, k] * root[k] / norm * share
    found = evidence(x, r, w)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), w @ root / norm, rtol=1e-9, atol=1e-12)


def test_channels_that_cancel_stay_bounded() -> None:
    x = np.array([[[1.0, -1.0 + 1e-9]]])
    found = evidence(x, np.ones_like(x), np.ones((1, 1)))
    assert np.abs(found).max() <= 1 / DAMPING
    assert float(found.sum()) == pytest.approx(1)


def test_a_map_of_zeros_has_no_evidence() -> None:
    assert not evidence(np.zeros((4, 2, 3)), np.zeros((2, 2, 3)), np.ones((1, 8))).any()


def test_the_probability_is_the_calibrated_one(bilinear_checkpoint: Checkpoint) -> None:
    name = bilinear_checkpoint.vocabulary.names[4]
    (heat,) = explainer(bilinear_checkpoint).explain(noise(), [name.upper()])
    with torch.inference_mode():
        logits = load_network(bilinear_checkpoint)(
            torch.tensor(to_pixels(noise(), 64)[None])
        ).numpy()
    expected = bilinear_checkpoint.calibration.probabilities(logits)[0, 4]
    assert heat.attribute == name
    assert heat.probability == pytest.approx(expected, abs=1e-5)


def test_both_runtimes_give_the_same_to_explain(
    bilinear_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    path = tmp_path / "bilinear.safetensors"
    write_checkpoint(bilinear_checkpoint, path)
    checkpoint = read_checkpoint(path)
    onnx, on_torch = (open_network(checkpoint, runtime) for runtime in ("onnx", "torch"))
    assert onnx.grid == on_torch.grid == Grid(0.0, 32)
    for seed in range(5):
        pixels = to_pixels(noise(seed=seed), 64)
        one, other = (network.feature_map(pixels) for network in (onnx, on_torch))
        np.testing.assert_allclose(one.features, other.features, atol=1e-4)
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        np.testing.assert_allclose(one.scores, onnx.embed(pixels[np.newaxis]).scores[0], atol=1e-6)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from PIL import Image\n"
        "from finetag_model.checkpoint import read_checkpoint\n"
        "from finetag_model.embedder import open_network\n"
        "from finetag_model.explain import Explainer\n"
        "from finetag_model.overlay import overlay\n"
        "checkpoint = read_checkpoint(Path(sys.argv[1]))\n"
        "picture = Image.new('RGB', (80, 60), 'red')\n"
        "explainer = Explainer(checkpoint, open_network(checkpoint, 'onnx'))\n"
        "(heat,) = explainer.explain(picture, [checkpoint.vocabulary.names[0]])\n"
        "print(overlay(picture, heat).size)\n"
        "assert not {'torch', 'torchvision'} & set(sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "(80, 60)\n"), ran.stderr


def test_a_checkpoint_without_a_file_has_no_graph(bilinear_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="read from a file"):
        open_network(bilinear_checkpoint, "onnx")


@pytest.mark.parametrize("tiny_checkpoint", ["rank"], indirect=True)
def test_only_a_bilinear_head_is_explained(tiny_checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="tiny has no bilinear head"):
        Explainer(tiny_checkpoint)


def test_unknown_attributes_are_told_apart(bilinear_checkpoint: Checkpoint) -> None:
    with pytest.raises(UsageError, match="nearest: red"):
        explainer(bilinear_checkpoint).explain(noise(), ["upper_color=redd"])


@pytest.mark.parametrize(
    ("kind", "expected"), [("mobilenet_v2", Grid(0.0, 32)), ("vgg16", Grid(7.5, 16))]
)
def test_the_grid_is_where_a_location_looks(kind: str, expected: Grid) -> None:
    assert grid(new_trunk(kind)) == expected


@pytest.mark.parametrize("found", [Grid(0.0, 8), Grid(3.5, 8)])
def test_support_lies_at_its_location(found: Grid) -> None:
    spot = np.zeros((4, 4), dtype=np.float32)
    spot[1, 2] = 3.0
    spot[3, 3] = -5.0
    support = HeatMap("a=b", 0.5, spot, 32, found).support((320, 160))
    assert support.shape == (160, 320)
    assert support.min() == 0
    row, column = np.unravel_index(support.argmax(), support.shape)
    centre = [found.first + 0.5 + found.step * place for place in (1, 2)]
    assert row == pytest.approx(centre[0] / 32 * 160, abs=4)
    assert column == pytest.approx(centre[1] / 32 * 320, abs=4)


def test_the_overlay_is_bright_where_it_is_hot_and_the_picture_elsewhere() -> None:
    spot = np.zeros((4, 4), dtype=np.float32)
    spot[0, 0] = 2.0
    picture = Image.new("RGB", (64, 48), (20, 40, 90))
    painted = overlay(picture, HeatMap("a=b", 0.5, spot, 32, Grid(3.5, 8)))
    assert (painted.mode, painted.size) == ("RGB", picture.size)
    assert painted.getpixel((60, 44)) == (20, 40, 90)
    assert sum(painted.getpixel((5, 4))) > 400
    nothing = HeatMap("a=b", 0.5, -spot, 32, Grid(3.5, 8))
    assert overlay(picture, nothing).tobytes() == picture.tobytes()


def test_pictures_stand_side_by_side() -> None:
    picture = noise()
    assert side_by_side([picture]).tobytes() == picture.tobytes()
    assert side_by_side([picture] * 3).size == (3 * 90 + 2 * 8, 60)


def test_the_shipped_model_sees_bills_on_bills() -> None:
    seeds = range(1_020_001, 1_020_021)
    own, _ = localisation(Explainer(read_checkpoint()), seeds, ["bill"])
    assert len(own["bill"]) >= 15
    assert np.median(own["bill"]) > 2  # 9.2 over 60 birds of seed 102
