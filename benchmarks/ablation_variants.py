"""Heads, a loss and a control that `ablations` compares with what the package has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from finetag_model.config import FineTagConfig
from finetag_model.network import AttributeNetwork, FineTag, Vgg16Rank, signed_sqrt
from finetag_model.pictures import Picture
from finetag_model.training import StageTraining


class Pooled(AttributeNetwork):
    """Mean over the map, signed square root, length 1; one linear layer."""

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(config)
        self.classify = nn.Linear(config.width, config.attributes)

    @property
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """None has weights."""
        return ()

    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the pooled map (B, C), of length 1."""
        pooled = F.normalize(signed_sqrt(features.mean((2, 3))))
        return F.dropout(pooled, dropout, training=dropout > 0)


class Rank(Vgg16Rank):
    """VGG16+rank with layers of 512: those of 4096 would be 120 M weights on 6,000 pictures."""

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(
            FineTagConfig(
                config.attributes,
                config.trunk,
                config.width,
                input_size=config.input_size,
                head="rank",
                hidden=512,
            )
        )


class ISqrt(AttributeNetwork):
    """Matrix square root of the covariance (Li et al. 2018, iSQRT-COV), of a reduced copy."""

    reduced, iterations = 128, 5

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(config)
        self.reduce = nn.Conv2d(config.width, self.reduced, 1)
        self.classify = nn.Linear(self.reduced * (self.reduced + 1) // 2, config.attributes)

    @property
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """The 1x1 convolution."""
        return (self.reduce,)

    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return the upper triangle (B, d (d + 1) / 2) of the root, of length 1."""
        x = self.reduce(features).flatten(2)
        x = x - x.mean(2, keepdim=True)
        identity = torch.eye(self.reduced, dtype=x.dtype, device=x.device)
        covariance = x @ x.transpose(1, 2) / x.shape[2] + 1e-5 * identity
        trace = covariance.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
        y, z = covariance / trace, identity.expand_as(covariance)
        for _ in range(self.iterations):  # Newton-Schulz
            t = (3 * identity - z @ y) / 2
            y, z = y @ t, t @ z
        rows, columns = torch.triu_indices(self.reduced, self.reduced)
        root = F.normalize((y * trace.sqrt())[:, rows, columns])
        return F.dropout(root, dropout, training=dropout > 0)


class Groups(AttributeNetwork):
    """One map of attention for each of 28 places, each pooling the map on its own."""

    places = 28

    def __init__(self, config: FineTagConfig) -> None:
        super().__init__(config)
        self.attend = nn.Conv2d(config.width, self.places, 1)
        self.classify = nn.Linear(config.width * self.places, config.attributes)

    @property
    def descriptor_layers(self) -> Sequence[nn.Conv2d | nn.Linear]:
        """The 1x1 convolution that attends."""
        return (self.attend,)

    def descriptor(self, features: Tensor, dropout: float = 0.0) -> Tensor:
        """Return what each place sees (B, 28 C), of length 1."""
        attention = self.attend(features).flatten(2).softmax(2)
        pooled = attention @ features.flatten(2).transpose(1, 2)
        seen = F.normalize(signed_sqrt(pooled.flatten(1)))
        return F.dropout(seen, dropout, training=dropout > 0)


HEADS: Mapping[str, type[AttributeNetwork]] = {
    "bilinear": FineTag,
    "pooled": Pooled,
    "rank": Rank,
    "isqrt": ISqrt,
    "groups": Groups,
}


class AsymmetricTraining(StageTraining):
    """With the asymmetric loss (Ridnik et al. 2021) in place of ranking and cross-entropy."""

    absent_power, margin = 4, 0.05

    def objective(self, logits: Tensor, presence: Tensor) -> Tensor:
        """Return the loss summed over an image's known labels, mean over the batch."""
        known = ~presence.isnan()
        present = torch.where(known, presence, 0)
        p = logits.sigmoid()
        shifted = (p - self.margin).clamp_min(0)
        hit = present * (1 - p) * p.clamp_min(1e-8).log()
        miss = (1 - present) * shifted**self.absent_power * (1 - shifted).clamp_min(1e-8).log()
        return -torch.where(known, hit + miss, 0).sum(1).mean()


def beside_species(count: int, weight: float = 1.0) -> type[StageTraining]:
    """Return a training whose last `count` logits say the species, by cross-entropy."""

    class BesideSpecies(StageTraining):
        def objective(self, logits: Tensor, presence: Tensor) -> Tensor:
            """Return the loss of the attributes plus `weight` times that of the species."""
            species = F.cross_entropy(logits[:, -count:], presence[:, -count:])
            attributes = super().objective(logits[:, :-count], presence[:, :-count])
            return attributes + weight * species

    return BesideSpecies


class Mirrored(Picture):
    """A picture seen in a mirror."""

    def pixels(self, size: int) -> NDArray[np.uint8]:
        """Return uint8 (size, size, 3)."""
        return np.ascontiguousarray(super().pixels(size)[:, ::-1])


def shuffled_inside(classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Return an order of the rows, int64 (M,), that only exchanges rows of one class."""
    random = np.random.default_rng(seed)
    order = np.arange(len(classes))
    for each in np.unique(classes):
        rows = np.flatnonzero(classes == each)
        order[rows] = random.permutation(rows)
    return order
