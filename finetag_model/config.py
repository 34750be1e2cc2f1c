"""What makes one FineTag network differ from another; plain data, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class FineTagConfig:
    """The shape of a network and what it expects of its input.

    Attributes:
        attributes: N, how many logits.
        trunk: a key of `trunks.TRUNKS`.
        width: C, the channels that enter the bilinear pooling. A trunk with another number
            is brought to it by a 1x1 convolution, so that every trunk gives the bilinear
            feature its size in the paper, 512 x 20.
        reduced: r, the channels of the reduced copy.
        input_size: side in pixels of the square input.
        mean, std: per RGB channel, for pixels in 0..1, as the trunk was trained.
    """

    attributes: int
    trunk: str = "mobilenet_v2"
    width: int = 512
    reduced: int = 20
    input_size: int = 224
    mean: Channels = (0.485, 0.456, 0.406)
    std: Channels = (0.229, 0.224, 0.225)


NORMALISATIONS: Mapping[str, tuple[Channels, Channels]] = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "unit": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation that trunks expect of pixels in 0..1; `unit` is the range -1 to 1."""
