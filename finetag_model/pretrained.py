"""The network that a training starts from: weights from ImageNet, or of a FineTag checkpoint.

The rest is random. The trunks themselves, and the reading of their weights, live in `trunks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from finetag_model.checkpoint import Checkpoint, read_checkpoint
from finetag_model.config import FineTagConfig, Pretrained
from finetag_model.errors import CheckpointError, UsageError
from finetag_model.inference import load_network
from finetag_model.network import AttributeNetwork, Vgg16Rank, new_network
from finetag_model.training import initialise_head
from finetag_model.trunks import pretrained_trunk, torchvision_weights
from finetag_model.vocabulary import Vocabulary


def pretrained_network(
    config: FineTagConfig, path: Path | None, pretrained: Pretrained, seed: int
) -> AttributeNetwork:
    """Return a network to train, in evaluation mode.

    Args:
        config: of the network.
        path: a safetensors file of a torchvision model; None lets torchvision download its own.
        pretrained: `convolutions` takes the trunk from there; `all` fc6 and fc7 of VGG16, too.
        seed: of the random weights of all other layers.

    Raises:
        CheckpointError: the weights are missing, damaged, or of another architecture.
        UsageError: `all`, and the network is not VGG16 with its fully connected layers.
    """
    network = new_network(config).eval()
    initialise_head(network, seed)
    if pretrained == "all":
        if not isinstance(network, Vgg16Rank) or config.trunk != "vgg16":
            raise UsageError(
                "only VGG16 has fully connected layers to take from ImageNet: "
                "pretrained = all needs the head rank and the trunk vgg16"
            )
        _load_fully_connected(network, path)
    network.trunk = pretrained_trunk(config.trunk, path)
    return network


def read_averaged(paths: Sequence[Path]) -> Checkpoint:
    """Read checkpoints; return the first with the mean of the weights of all.

    The mean of networks that were trained on from one network is often better than each
    (Wortsman et al. 2022, "Model soups"). The calibration of the first does not fit it.

    Raises:
        CheckpointError: one cannot be read, or they differ in shape or vocabulary.
    """
    checkpoints = [read_checkpoint(path) for path in paths]
    first = checkpoints[0]
    for path, other in zip(paths, checkpoints, strict=True):
        if other.config != first.config or other.vocabulary != first.vocabulary:
            raise CheckpointError(
                f"{path} cannot be averaged with {paths[0]}: network or vocabulary is another"
            )
    weights = {
        name: np.stack([each.weights[name] for each in checkpoints]).mean(axis=0, dtype="float32")
        for name in first.weights
    }
    return replace(first, weights=weights)


def continued_network(
    checkpoint: Checkpoint, vocabulary: Vocabulary, seed: int
) -> AttributeNetwork:
    """Return the network of a checkpoint, for a vocabulary that may be another than its own.

    Attributes that the checkpoint knows keep their weights, wherever they stand; those of new
    ones are random.

    Args:
        checkpoint: to go on from.
        vocabulary: of the new network.
        seed: of the random weights.

    Raises:
        CheckpointError: weights and configuration do not fit together.
    """
    before = load_network(checkpoint)
    network = new_network(replace(checkpoint.config, attributes=len(vocabulary))).eval()
    initialise_head(network, seed)
    kept = {
        name: tensor
        for name, tensor in before.state_dict().items()
        if not name.startswith("classify.")
    }
    network.load_state_dict(kept, strict=False)
    known = {name: row for row, name in enumerate(checkpoint.vocabulary.names)}
    shared = [(row, known[name]) for row, name in enumerate(vocabulary.names) if name in known]
    if shared:
        to, of = (list(rows) for rows in zip(*shared, strict=True))
        with torch.no_grad():
            network.classify.weight[to] = before.classify.weight[of]
            network.classify.bias[to] = before.classify.bias[of]
    return network


def _load_fully_connected(network: Vgg16Rank, path: Path | None) -> None:
    """Take fc6 and fc7 from torchvision's `classifier.0` and `classifier.3`."""
    weights = torchvision_weights("vgg16", path)
    try:
        for layer, name in ((network.fc6, "classifier.0"), (network.fc7, "classifier.3")):
            layer.load_state_dict(
                {key: weights[f"{name}.{key}"] for key in ("weight", "bias")}, strict=True
            )
    except KeyError as error:
        detail = f"there is no {error.args[0]}"
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
    else:
        return
    raise CheckpointError(
        f"{path or 'the download'} holds no fully connected layers of this network: {detail}"
    )
