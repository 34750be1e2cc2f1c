from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from finetag_model.errors import CheckpointError
from finetag_model.trunks import TRUNKS, pretrained_trunk


def test_folding_batch_normalisation_changes_nothing(trunk_weights: Path) -> None:
    from safetensors.torch import load_file  # noqa: PLC0415

    whole = TRUNKS["mobilenet_v2"].build().eval()
    whole.load_state_dict(
        {name.removeprefix("features."): t for name, t in load_file(trunk_weights).items()}
    )
    folded = pretrained_trunk("mobilenet_v2", trunk_weights)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(x), whole(x), rtol=1e-3, atol=1e-3)


def test_a_whole_classifier_serves_as_well(tmp_path: Path) -> None:
    state = models.mobilenet_v2().state_dict()
    save_file(state, tmp_path / "whole.safetensors")
    assert len(pretrained_trunk("mobilenet_v2", tmp_path / "whole.safetensors")) == 19


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\x08" + bytes(40)])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "trunk.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"trunk\.safetensors") as error:
        pretrained_trunk("mobilenet_v2", path)
    assert "\n" not in str(error.value)


def test_weights_of_another_architecture_are_refused(trunk_weights: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights for vgg16"):
        pretrained_trunk("vgg16", trunk_weights)


def test_without_a_file_torchvision_downloads(monkeypatch: pytest.MonkeyPatch) -> None:
    state = models.mobilenet_v2().state_dict()
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda *_, **__: state)
    trunk = pretrained_trunk("mobilenet_v2", None)
    assert sum(p.numel() for p in trunk.parameters()) < 2_230_000

    def fail(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", fail)
    with pytest.raises(CheckpointError, match="no route to host; name a file with --trunk-weights"):
        pretrained_trunk("mobilenet_v2", None)
