from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from finetag_model.checkpoint import read_checkpoint, write_checkpoint
from finetag_model.config import FineTagConfig
from finetag_model.errors import CheckpointError, UsageError
from finetag_model.pretrained import continued_network, pretrained_network, read_averaged
from finetag_model.trunks import new_trunk
from finetag_model.vocabulary import Vocabulary

if TYPE_CHECKING:
    from pathlib import Path

    from finetag_model.checkpoint import Checkpoint

RIVAL = FineTagConfig(6, "vgg16", input_size=64, head="rank", hidden=8)


@pytest.fixture(scope="module")
def vgg16_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the names and shapes of torchvision's VGG16, with 8 for 4096."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = {f"features.{key}": t.shape for key, t in new_trunk("vgg16").state_dict().items()}
    for name, inputs, outputs in (("0", 25_088, 8), ("3", 8, 8), ("6", 8, 1000)):
        shapes[f"classifier.{name}.weight"] = torch.Size([outputs, inputs])
        shapes[f"classifier.{name}.bias"] = torch.Size([outputs])
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.safetensors"
    save_file({key: torch.rand(s, generator=generator) for key, s in shapes.items()}, path)
    return path


def test_all_takes_the_fully_connected_layers_too(vgg16_weights: Path) -> None:
    weights = load_file(vgg16_weights)
    state = pretrained_network(RIVAL, vgg16_weights, "all", seed=0).state_dict()
    for own, theirs in (
        ("fc6", "classifier.0"),
        ("fc7", "classifier.3"),
        ("trunk.0", "features.0"),
    ):
        for key in ("weight", "bias"):
            assert torch.equal(state[f"{own}.{key}"], weights[f"{theirs}.{key}"])
    assert state["classify.weight"].shape == (6, 8)


def test_convolutions_leaves_the_rest_to_the_seed(vgg16_weights: Path) -> None:
    weights = load_file(vgg16_weights)
    first, same, other = (
        pretrained_network(RIVAL, vgg16_weights, "convolutions", seed).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(first["trunk.28.weight"], weights["features.28.weight"])
    for key in ("fc6.weight", "fc7.weight", "classify.weight"):
        assert torch.equal(first[key], same[key])
        assert not torch.equal(first[key], other[key])
    assert not torch.equal(first["fc6.weight"], weights["classifier.0.weight"])


@pytest.mark.parametrize("change", [{"head": "bilinear"}, {"trunk": "mobilenet_v2"}])
def test_only_vgg16_has_more_than_convolutions(change: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only VGG16 has fully connected layers"):
        pretrained_network(replace(RIVAL, **change), tmp_path, "all", seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hidden", "without", "reason"),
    [(8, "classifier.3.bias", "there is no classifier.3.bias"), (9, None, "size mismatch")],
)
def test_weights_without_these_layers(
    vgg16_weights: Path, tmp_path: Path, hidden: int, without: str | None, reason: str
) -> None:
    weights = load_file(vgg16_weights)
    path = tmp_path / "part.safetensors"
    save_file({key: tensor for key, tensor in weights.items() if key != without}, path)
    start = re.escape(f"{path} holds no fully connected layers of this network: ")
    with pytest.raises(CheckpointError, match=f"^{start}.*{reason}") as error:
        pretrained_network(replace(RIVAL, hidden=hidden), path, "all", seed=0)
    assert "\n" not in str(error.value)


def test_attributes_known_by_name_go_on_and_new_ones_begin(tiny_checkpoint: Checkpoint) -> None:
    old = tiny_checkpoint.vocabulary.names
    vocabulary = Vocabulary((old[4], "strap=chain", old[0]))
    networks = [continued_network(tiny_checkpoint, vocabulary, seed) for seed in (0, 0, 1)]
    before = {name: torch.from_numpy(x) for name, x in tiny_checkpoint.weights.items()}
    for network in networks:
        state = network.state_dict()
        for name, tensor in before.items():
            if not name.startswith("classify."):
                assert torch.equal(state[name], tensor), name
        for kind in ("weight", "bias"):
            new, known = state[f"classify.{kind}"], before[f"classify.{kind}"]
            assert len(new) == 3
            assert torch.equal(new[[0, 2]], known[[4, 0]])
    first, same, other = (network.classify.weight[1] for network in networks)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_nothing_in_common_leaves_the_trunk(tiny_checkpoint: Checkpoint) -> None:
    network = continued_network(tiny_checkpoint, Vocabulary(("strap=chain", "strap=none")), 0)
    assert network.config.attributes == 2
    assert network.classify.weight.abs().max() < 0.1


def test_several_checkpoints_are_averaged(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    shifted = {name: array + 3 for name, array in tiny_checkpoint.weights.items()}
    paths = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    for path, weights in zip(paths, (tiny_checkpoint.weights, shifted), strict=True):
        write_checkpoint(replace(tiny_checkpoint, weights=weights), path)
    mean = read_averaged(paths)
    assert mean.config == tiny_checkpoint.config
    for name, array in tiny_checkpoint.weights.items():
        np.testing.assert_allclose(mean.weights[name], array + 1.5, atol=4e-3, err_msg=name)
    one = read_averaged(paths[:1]).weights
    for name, array in read_checkpoint(paths[0]).weights.items():
        np.testing.assert_array_equal(one[name], array)


def test_what_differs_is_not_averaged(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    write_checkpoint(tiny_checkpoint, first)
    reversed_names = Vocabulary(tiny_checkpoint.vocabulary.names[::-1])
    write_checkpoint(replace(tiny_checkpoint, vocabulary=reversed_names), second)
    with pytest.raises(CheckpointError, match=f"^{second} cannot be averaged with {first}: "):
        read_averaged([first, second])
