"""A trunk to train on where no pretrained one is at hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import nn

from finetag_model.trunks import TRUNKS

if TYPE_CHECKING:
    from pathlib import Path


def random_trunk(seed: int = 0) -> nn.Sequential:
    """Return torchvision's MobileNetV2 features, random, with activations of ordinary size."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        features = TRUNKS["mobilenet_v2"].build().eval()
        for module in features.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / module.weight[0].numel()))
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.8, 1.2)
                nn.init.normal_(module.bias, std=0.1)
                nn.init.normal_(module.running_mean, std=0.1)
                nn.init.uniform_(module.running_var, 0.8, 1.2)
    return features


def write_random_trunk(path: Path) -> Path:
    """Write it as a safetensors file of torchvision's names."""
    state = random_trunk().state_dict()
    save_file({f"features.{name}": tensor.contiguous() for name, tensor in state.items()}, path)
    return path
