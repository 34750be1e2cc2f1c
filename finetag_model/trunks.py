"""The convolutional trunks FineTag can stand on, and what each expects of its input.

A trunk is a torchvision classifier cut after its last ReLU: VGG16 without pool5 (the paper),
MobileNetV2 without its pooling. Batch normalisation is folded into the convolutions: its
statistics stay those of the pretraining, and the network is smaller and faster, in training
too. Heads live in `network`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision import models

from finetag_model.embedder import Grid
from finetag_model.errors import CheckpointError


@dataclass(frozen=True)
class Trunk:
    """A trunk by name.

    Attributes:
        channels: of the feature map (B, channels, H / stride, W / stride).
        build: makes the randomly initialised module `features` as torchvision has it.
        pretrained: the weights torchvision downloads where no file is given.
    """

    channels: int
    build: Callable[[], nn.Sequential]
    pretrained: models.WeightsEnum


TRUNKS: Mapping[str, Trunk] = {
    "mobilenet_v2": Trunk(
        channels=1280,
        build=lambda: models.mobilenet_v2(weights=None).features,
        pretrained=models.MobileNet_V2_Weights.IMAGENET1K_V1,
    ),
    "vgg16": Trunk(
        channels=512,
        # The last layer of torchvision's features is pool5, which the paper leaves out.
        build=lambda: models.vgg16(weights=None).features[:-1],
        pretrained=models.VGG16_Weights.IMAGENET1K_V1,
    ),
}


def new_trunk(kind: str) -> nn.Sequential:
    """Return a randomly initialised trunk, batch normalisation folded away.

    Raises:
        CheckpointError: there is no such trunk.
    """
    if kind not in TRUNKS:
        raise CheckpointError(f"unknown trunk {kind!r}; known: {', '.join(TRUNKS)}")
    return _folded(TRUNKS[kind].build())


def grid(trunk: nn.Sequential) -> Grid:
    """Return where the output of a trunk lies in its input.

    Branches of a residual block agree with each other, so its layers count as if in a row.
    """
    first, step = 0.0, 1
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            size, stride, padding = (
                value if isinstance(value, int) else int(value[0])
                for value in (layer.kernel_size, layer.stride, layer.padding)
            )
            first += step * ((size - 1) / 2 - padding)
            step *= stride
    return Grid(first, step)


def pretrained_trunk(kind: str, path: Path | None) -> nn.Sequential:
    """Return a trunk with the weights `features.*` of a torchvision model.

    Args:
        kind: a key of `TRUNKS`.
        path: a safetensors file; None lets torchvision download its own.

    Raises:
        CheckpointError: there is no such trunk; the file is missing, damaged, or of another
            architecture; or the download failed.
    """
    if kind not in TRUNKS:
        raise CheckpointError(f"unknown trunk {kind!r}; known: {', '.join(TRUNKS)}")
    trunk = TRUNKS[kind].build()
    own = trunk.state_dict()
    tensors = torchvision_weights(kind, path)
    weights = {name.removeprefix("features."): tensor for name, tensor in tensors.items()}
    try:
        trunk.load_state_dict({name: weights[name] for name in own if name in weights})
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path or 'the download'} holds no weights for {kind}: {detail}"
        ) from None
    return _folded(trunk)


def torchvision_weights(kind: str, path: Path | None) -> dict[str, Tensor]:
    """Return all weights, by torchvision's names, in a file or of torchvision's own download.

    Args:
        kind: a key of `TRUNKS`.
        path: a safetensors file; None lets torchvision download its own.

    Raises:
        CheckpointError: the file is missing or damaged, or the download failed.
    """
    return _downloaded(TRUNKS[kind].pretrained) if path is None else _read(path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read trunk weights {path}: {error}") from None


def _downloaded(weights: models.WeightsEnum) -> dict[str, Tensor]:
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True, weights_only=True))
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"cannot download {weights}: {error}; name a file with --trunk-weights"
        ) from None


def _folded(trunk: nn.Sequential) -> nn.Sequential:
    """Put every batch normalisation that follows a convolution into its weights."""
    trunk.eval()
    for block in [module for module in trunk.modules() if isinstance(module, nn.Sequential)]:
        for i, (layer, following) in enumerate(pairwise(list(block))):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                block[i] = fuse_conv_bn_eval(layer, following)
                block[i + 1] = nn.Identity()
    return trunk
