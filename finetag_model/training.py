"""Training of what lies above a layer of the trunk, on kept maps of what lies below it.

With all of the trunk below it only the head is trained; with layer 0, everything. Where the
maps come from is `features`; which pictures are trained on is decided by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from finetag_model.features import Maps
from finetag_model.loss import lsep_loss, presence_loss
from finetag_model.network import AttributeNetwork

EVALUATION_BATCH = 16


@dataclass(frozen=True)
class Stage:
    """One run of training.

    Attributes:
        layer: the trunk's layers from this one on are trained; all of the trunk's layers
            below means that only the head is.
        epochs: passes over the smallest source of pictures.
        trunk_rate: highest learning rate of the trunk's trained layers and the narrow one.
        descriptor_rate: highest learning rate of `AttributeNetwork.descriptor_layers`.
        classify_rate: highest learning rate of the linear layer.
        dropout: of `AttributeNetwork.descriptor`.
        presence_weight: of `presence_loss`, beside the ranking loss; 0 is the paper.
        shift: cells by which the maps are moved at most, each way, their edges repeated.
        mixed_precision: whether the trunk's trained layers compute in bfloat16, which is twice
            as fast on a CPU that has instructions for it; weights and losses stay float32.
        batch: images a step.
        weight_decay: of AdamW.
    """

    layer: int
    epochs: int
    trunk_rate: float = 7e-4
    descriptor_rate: float = 1e-3
    classify_rate: float = 1e-2
    dropout: float = 0.3
    presence_weight: float = 0.0
    shift: int = 0
    mixed_precision: bool = False
    batch: int = 64
    weight_decay: float = 1e-4


def initialise_head(network: AttributeNetwork, seed: int) -> None:
    """Give the head random weights from which a linear layer on unit vectors learns fast."""
    torch.manual_seed(seed)
    for layer in network.descriptor_layers:
        layer.reset_parameters()
    nn.init.normal_(network.classify.weight, std=0.01)
    nn.init.zeros_(network.classify.bias)


def train_stage(
    network: AttributeNetwork,
    maps: Maps,
    presence: NDArray[np.float32],
    sources: Sequence[NDArray[np.int64]],
    stage: Stage,
    seed: int,
    progress: Callable[[str], None],
) -> None:
    """Train the network in place.

    Args:
        network: its trunk below `stage.layer` is not touched.
        maps: (M, ...), what `network.below(..., stage.layer)` makes of M pictures.
        presence: float32 (M, N), as `lsep_loss` takes it.
        sources: the rows of both to train on, int64, by where they come from. An epoch takes
            as many of each source as the smallest has.
        stage: how.
        seed: of order, flips, shifts and dropout.
        progress: takes a line after every epoch.
    """
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    above = network.trunk[stage.layer :]
    groups = [
        *((layer.parameters(), stage.descriptor_rate) for layer in network.descriptor_layers),
        (network.classify.parameters(), stage.classify_rate),
    ]
    if len(above):
        groups += [
            (above.parameters(), stage.trunk_rate),
            (network.narrow.parameters(), stage.trunk_rate),
        ]
    trained = [list(parameters) for parameters, _ in groups]
    network.requires_grad_(False)  # no gradient is worked out for what stays as it is
    for parameter in chain.from_iterable(trained):
        parameter.requires_grad_()
    optimizer = torch.optim.AdamW(
        [{"params": parameters} for parameters in trained], weight_decay=stage.weight_decay
    )
    share = min(map(len, sources))
    batch_size = min(stage.batch, share * len(sources))
    steps = share * len(sources) // batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        [rate for _, rate in groups],
        total_steps=max(stage.epochs * steps, 6),  # of 5, pct_start makes it divide by 0
        pct_start=0.2,
    )
    for epoch in range(1, stage.epochs + 1):
        rows = order.permutation(
            np.concatenate([order.choice(source, share, replace=False) for source in sources])
        )
        total = 0.0
        for step in range(steps):
            # Ascending rows read a mapped file forwards.
            batch = np.sort(rows[step * batch_size : (step + 1) * batch_size])
            x = _tensor(_varied(maps[batch], stage.shift, order))
            with torch.autocast("cpu", torch.bfloat16, enabled=stage.mixed_precision):
                features = network.above(x, stage.layer)
            logits = network.classify(network.descriptor(features.float(), stage.dropout))
            target = torch.from_numpy(presence[batch])
            loss = lsep_loss(logits, target)
            if stage.presence_weight:
                loss = loss + stage.presence_weight * presence_loss(logits, target)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            total += loss.item()
        progress(f"epoch {epoch} of {stage.epochs}: loss {total / steps:.4f}")


def apply(
    network: AttributeNetwork, maps: Maps, layer: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the logits (M, N) and descriptors (M, F), of length 1, of kept maps; float32."""
    logits, descriptors = [], []
    with torch.inference_mode():
        for start in range(0, len(maps), EVALUATION_BATCH):
            x = _tensor(maps[start : start + EVALUATION_BATCH])
            descriptor = network.descriptor(network.above(x, layer))
            descriptors.append(F.normalize(descriptor).numpy())
            logits.append(network.classify(descriptor).numpy())
    return np.concatenate(logits), np.concatenate(descriptors)


def _varied(maps: Maps, shift: int, random: np.random.Generator) -> Maps:
    """Move the maps of a batch, and mirror half of the batches: neither changes an attribute."""
    rows, columns = (
        np.clip(np.arange(cells) + random.integers(-shift, shift + 1), 0, cells - 1)
        for cells in maps.shape[2:]
    )
    if random.random() < 0.5:
        columns = columns[::-1]
    # Several times faster than one fancy index over both axes.
    varied: Maps = maps.take(rows, axis=2).take(columns, axis=3)
    return varied


def _tensor(maps: Maps) -> Tensor:
    return torch.from_numpy(maps.astype(np.float32)).contiguous(memory_format=torch.channels_last)
