"""The FineTag network (paper, section 3): a trunk, a reduced copy, bilinear pooling, one layer.

    image (B, 3, H, W)
      -> trunk                       X: (B, C, h, w), C = 512
      -> 1x1 convolution of a copy   R: (B, r, h, w), r = 20
      -> X R^T / (h w)               (B, C r), then signed square root and length 1
      -> one linear layer            logits: (B, N)

Training, preprocessing of files and calibration of the logits live elsewhere.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetag_model.config import FineTagConfig
from finetag_model.trunks import TRUNKS, new_trunk


class FineTag(nn.Module):
    """The network; `forward` is all of it, `head` the part after the trunk."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = new_trunk(config.trunk)
        channels = TRUNKS[config.trunk].channels
        self.narrow = (
            nn.Identity()
            if config.width == channels
            else nn.Conv2d(channels, config.width, 1, bias=False)
        )
        self.reduce = nn.Conv2d(config.width, config.reduced, 1)
        self.classify = nn.Linear(config.width * config.reduced, config.attributes)
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1), persistent=False)

    def below(self, pixels: Tensor, layer: int | None = None) -> Tensor:
        """Return the output of the trunk's layers before `layer` (None: all) of uint8 pixels.

        Layer 0 has the normalised images (B, 3, H, W) before it.
        """
        images = pixels.permute(0, 3, 1, 2).to(self.mean.dtype) / 255
        maps: Tensor = self.trunk[:layer]((images - self.mean) / self.std)
        return maps

    def above(self, maps: Tensor, layer: int) -> Tensor:
        """Return what enters the bilinear pooling, (B, C, h, w), given `below(..., layer)`."""
        features: Tensor = self.narrow(self.trunk[layer:](maps))
        return features

    def features(self, pixels: Tensor) -> Tensor:
        """Return what enters the bilinear pooling, (B, C, h, w), of uint8 pixels (B, H, W, 3)."""
        features: Tensor = self.narrow(self.below(pixels))
        return features

    def bilinear(self, features: Tensor) -> Tensor:
        """Return the bilinear feature (B, C r), of length 1, of the map from `features`."""
        x = features.flatten(2)  # (B, C, h w)
        r = self.reduce(features).flatten(2)  # (B, r, h w)
        pooled = torch.bmm(x, r.transpose(1, 2)) / x.shape[2]  # (B, C, r)
        return F.normalize(signed_sqrt(pooled.flatten(1)))

    def head(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) of the map from `features`."""
        logits: Tensor = self.classify(self.bilinear(features))
        return logits

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits (B, N) of uint8 pixels (B, H, W, 3)."""
        return self.head(self.features(pixels))


def signed_sqrt(x: Tensor) -> Tensor:
    """Return sign(x) sqrt(|x|), with a gradient that stays finite at 0."""
    return x.sign() * (x.abs() + 1e-10).sqrt()
