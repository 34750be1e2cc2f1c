"""The networks: a trunk, what makes one descriptor of its map, and one linear layer.

    image (B, 3, H, W)
      -> trunk                       X: (B, C, h, w), C = 512
      -> descriptor                  (B, F)
      -> one linear layer            logits: (B, N)

FineTag (paper, section 3) makes its descriptor by bilinear pooling:

    X -> 1x1 convolution of a copy   R: (B, r, h, w), r = 20
      -> X R^T / (h w)               (B, C r), then signed square root and length 1

The paper's rival, VGG16+rank, makes it by the fully connected layers of VGG16. Training,
preprocessing of files and calibration of the logits live elsewhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetag_model.config import FineTagConfig
from finetag_model.errors import CheckpointError
from finetag_model.trunks import TRUNKS, new_trunk

POOLED = 7
"""Cells a side of the map that VGG16's fully connected layers expect."""


class AttributeNetwork(nn.Module, ABC):
    """What all networks share; `forward` is all of one, `head` the part after the trunk.

    A subclass adds the layers of its descriptor, and `classify`, the linear layer to N logits.
    """

    mean: Tensor
    std: Tensor
    classify: nn.Linear

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
        self.register_buffer("mean", torch.tensor(config.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(3, 1, 1), persistent=False)

    @property
    @abstractmethod
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """The layers with weights that `descriptor` runs."""

    @abstractmethod
    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return what the linear layer takes, (B, F), of the map from `features`.

        Args:
            features: (B, C, h, w).
            dropout: in training, the share left out of what each linear layer takes that
                does not take the map itself.
        """

    def below(self, pixels: Tensor, layer: int | None = None) -> Tensor:
        """Return the output of the trunk's layers before `layer` (None: all) of uint8 pixels.

        Layer 0 has the pixels themselves before it, as uint8 (B, 3, H, W): they take a
        quarter of the room of normalised images.
        """
        images = pixels.permute(0, 3, 1, 2)
        if layer == 0:
            return images
        maps: Tensor = self.trunk[:layer](self._normalised(images))
        return maps

    def above(self, maps: Tensor, layer: int) -> Tensor:
        """Return the map (B, C, h, w) that the descriptor is made of, given `below(..., layer)`."""
        if layer == 0:
            maps = self._normalised(maps)
        features: Tensor = self.narrow(self.trunk[layer:](maps))
        return features

    def features(self, pixels: Tensor) -> Tensor:
        """Return the map (B, C, h, w) that the descriptor is made of, of pixels (B, H, W, 3)."""
        features: Tensor = self.narrow(self.below(pixels))
        return features

    def head(self, features: Tensor) -> Tensor:
        """Return the logits (B, N) of the map from `features`."""
        logits: Tensor = self.classify(self.descriptor(features))
        return logits

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the logits (B, N) of uint8 pixels (B, H, W, 3)."""
        return self.head(self.features(pixels))

    def _normalised(self, images: Tensor) -> Tensor:
        return (images.to(self.mean.dtype) / 255 - self.mean) / self.std


class FineTag(AttributeNetwork):
    """The paper's network; its descriptor is the bilinear feature (B, C r), of length 1."""

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(config)
        self.reduce = nn.Conv2d(config.width, config.reduced, 1)
        self.classify = nn.Linear(config.width * config.reduced, config.attributes)

    @property
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """The 1x1 convolution."""
        return (self.reduce,)

    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the bilinear feature (B, C r), of length 1, of the map from `features`."""
        x = features.flatten(2)  # (B, C, h w)
        r = self.reduce(features).flatten(2)  # (B, r, h w)
        pooled = torch.bmm(x, r.transpose(1, 2)) / x.shape[2]  # (B, C, r)
        bilinear = F.normalize(signed_sqrt(pooled.flatten(1)))
        return F.dropout(bilinear, dropout, training=dropout > 0)


class Vgg16Rank(AttributeNetwork):
    """The rival; its descriptor is the activations (B, F) of fc7, F = 4096 in VGG16."""

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(config)
        self.fc6 = nn.Linear(config.width * POOLED * POOLED, config.hidden)
        self.fc7 = nn.Linear(config.hidden, config.hidden)
        self.classify = nn.Linear(config.hidden, config.attributes)

    @property
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """The two fully connected layers."""
        return (self.fc6, self.fc7)

    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the activations (B, F) of fc7 of the map from `features`."""
        pool5 = F.max_pool2d(features, 2)
        # As torchvision's VGG16 does, so that images need not have 224 pixels a side.
        x = F.adaptive_avg_pool2d(pool5, POOLED).flatten(1)
        for layer in self.descriptor_layers:
            x = F.dropout(F.relu(layer(x)), dropout, training=dropout > 0)
        return x


HEADS: Mapping[str, type[AttributeNetwork]] = {"bilinear": FineTag, "rank": Vgg16Rank}
"""The networks by `FineTagConfig.head`."""


def new_network(config: FineTagConfig) -> AttributeNetwork:
    """Return a randomly initialised network.

    Raises:
        CheckpointError: there is no such head or trunk.
    """
    if config.head not in HEADS:
        raise CheckpointError(f"unknown head {config.head!r}; known: {', '.join(HEADS)}")
    return HEADS[config.head](config)


def signed_sqrt(x: Tensor) -> Tensor:
    """Return sign(x) sqrt(|x|), with a gradient that stays finite at 0."""
    return x.sign() * (x.abs() + 1e-10).sqrt()
