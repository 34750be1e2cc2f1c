from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models

from finetag_model.errors import CheckpointError
from finetag_model.trunks import TRUNKS, new_trunk, pretrained_trunk


def refusal(load: Callable[[], object]) -> str:
    """The message of the CheckpointError that loading must raise; one line."""
    with pytest.raises(CheckpointError) as error:
        load()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_vgg16_ends_in_its_last_relu_before_pool5() -> None:
    with torch.device("meta"):
        trunk = new_trunk("vgg16")
        maps = trunk(torch.zeros(1, 3, 224, 224))
    assert isinstance(trunk[-1], nn.ReLU)
    assert sum(isinstance(layer, nn.Conv2d) for layer in trunk) == 13
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in trunk) == 4
    assert maps.shape == (1, 512, 14, 14)


@pytest.mark.parametrize("kind", TRUNKS)
def test_channels_are_as_promised(kind: str) -> None:
    with torch.device("meta"):
        maps = new_trunk(kind)(torch.zeros(1, 3, 64, 64))
    assert maps.shape[1] == TRUNKS[kind].channels


def test_folding_batch_normalisation_changes_nothing(trunk_weights: Path) -> None:
    whole = TRUNKS["mobilenet_v2"].build().eval()
    weights = load_file(trunk_weights)
    whole.load_state_dict({name.removeprefix("features."): t for name, t in weights.items()})
    folded = pretrained_trunk("mobilenet_v2", trunk_weights)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = whole(images)
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(folded(images), expected, rtol=1e-3, atol=1e-3)
        # The statistics stay those of the pretraining in training, too.
        torch.testing.assert_close(folded.train()(images), expected, rtol=1e-3, atol=1e-3)


def test_a_whole_classifier_serves_as_well(tmp_path: Path) -> None:
    with torch.device("meta"):
        state = new_trunk("vgg16").state_dict()
    weights = {f"features.{name}": torch.rand(tensor.shape) for name, tensor in state.items()}
    path = tmp_path / "vgg16.safetensors"
    save_file({**weights, "classifier.6.bias": torch.zeros(1000)}, path)
    loaded = pretrained_trunk("vgg16", path).state_dict()
    assert loaded.keys() == state.keys()
    for name, tensor in loaded.items():
        assert torch.equal(tensor, weights[f"features.{name}"]), name


@pytest.mark.parametrize("load", [new_trunk, lambda kind: pretrained_trunk(kind, None)])
def test_an_unknown_trunk_is_refused(load: Callable[[str], object]) -> None:
    assert "unknown trunk 'alexnet'; known: mobilenet_v2" in refusal(lambda: load("alexnet"))


def test_weights_of_another_architecture_are_refused(tmp_path: Path, trunk_weights: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    message = refusal(lambda: pretrained_trunk("mobilenet_v2", path))
    assert message.startswith(f"{path} holds no weights for mobilenet_v2: ")
    thin = {**load_file(trunk_weights), "features.0.0.weight": torch.zeros(16, 3, 3, 3)}
    save_file(thin, path)
    message = refusal(lambda: pretrained_trunk("mobilenet_v2", path))
    assert message.startswith(f"{path} holds no weights for mobilenet_v2: ")
    assert "size mismatch" in message


@pytest.mark.parametrize("content", ["missing", "folder", "cut", b"", b"no weights", b"\x08" * 40])
def test_a_file_that_cannot_be_read(
    tmp_path: Path, trunk_weights: Path, content: str | bytes
) -> None:
    path = tmp_path / "trunk.safetensors"
    if content == "folder":
        path.mkdir()
    elif content == "cut":
        path.write_bytes(trunk_weights.read_bytes()[:5000])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    message = refusal(lambda: pretrained_trunk("mobilenet_v2", path))
    assert message.startswith(f"cannot read trunk weights {path}: ")


def test_without_a_file_torchvision_downloads_its_own(
    monkeypatch: pytest.MonkeyPatch, trunk_weights: Path
) -> None:
    asked = []

    def download(self: models.WeightsEnum, **options: object) -> dict[str, torch.Tensor]:
        asked.append((self, options["check_hash"]))
        return {**load_file(trunk_weights), "classifier.1.bias": torch.zeros(1000)}

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", download)
    downloaded = pretrained_trunk("mobilenet_v2", None).state_dict()
    assert asked == [(models.MobileNet_V2_Weights.IMAGENET1K_V1, True)]
    for name, tensor in pretrained_trunk("mobilenet_v2", trunk_weights).state_dict().items():
        assert torch.equal(downloaded[name], tensor), name


@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), TimeoutError("timed out"), RuntimeError("invalid hash value")],
)
def test_a_failed_download(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def download(self: models.WeightsEnum, **options: object) -> dict[str, torch.Tensor]:
        raise failure

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", download)
    message = refusal(lambda: pretrained_trunk("mobilenet_v2", None))
    assert message.startswith("cannot download MobileNet_V2_Weights.IMAGENET1K_V1: ")
    assert message.endswith("; name a file with --trunk-weights")
