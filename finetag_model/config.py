"""What makes one FineTag network differ from another; plain data, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Channels = tuple[float, float, float]

Head = Literal["bilinear", "rank"]
"""What follows the trunk: FineTag's bilinear pooling, or VGG16's fully connected layers."""

Pretrained = Literal["convolutions", "all"]
"""What a training takes from ImageNet: the trunk, or VGG16's fully connected layers too."""


@dataclass(frozen=True)
class FineTagConfig:
    """The shape of a network and what it expects of its input.

    Attributes:
        attributes: N, how many logits.
        trunk: a key of `trunks.TRUNKS`.
        width: C, the channels that enter the head. A trunk with another number
            is brought to it by a 1x1 convolution, so that every trunk gives the bilinear
            feature its size in the paper, 512 x 20.
        reduced: r, the channels of the reduced copy; of head `bilinear` only.
        input_size: side in pixels of the square input.
        head: a key of `network.HEADS`.
        hidden: F, the outputs of each of VGG16's fully connected layers; of head `rank` only.
        mean, std: per RGB channel, for pixels in 0..1, as the trunk was trained.
    """

    attributes: int
    trunk: str = "mobilenet_v2"
    width: int = 512
    reduced: int = 20
    input_size: int = 224
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)
    head: Head = "bilinear"
    hidden: int = 4096


NORMALISATIONS: Mapping[str, tuple[Channels, Channels]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation that trunks expect of pixels in 0..1; `unit` is the range -1 to 1."""
