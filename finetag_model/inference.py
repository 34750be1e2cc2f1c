"""A checkpoint as one torch module: pixels in, scores, visual vectors and feature maps out.

Both runtimes run this module, `runtime_torch` itself and `runtime_onnx` its exported graph,
so calibration and projection cannot differ between them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from finetag_model.checkpoint import Checkpoint
from finetag_model.errors import CheckpointError
from finetag_model.network import AttributeNetwork, new_network


class InferenceNetwork(nn.Module):
    """The trained network followed by calibration and projection, ready to run."""

    slope: Tensor
    offset: Tensor
    components: Tensor
    shift: Tensor

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.network = load_network(checkpoint)
        projection, calibration = checkpoint.projection, checkpoint.calibration
        self.register_buffer("slope", torch.from_numpy(calibration.slope))
        self.register_buffer("offset", torch.from_numpy(calibration.offset))
        self.register_buffer("components", torch.from_numpy(projection.components))
        shift = -projection.components @ projection.mean
        self.register_buffer("shift", torch.from_numpy(shift))
        self.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return scores (B, N), visual vectors (B, D) and the maps (B, C, h, w) behind both.

        Args:
            pixels: uint8 (B, H, W, 3).
        """
        features = self.network.features(pixels)
        descriptor = self.network.descriptor(features)
        scores = torch.sigmoid(self.network.classify(descriptor) * self.slope + self.offset)
        unit = F.normalize(descriptor)
        visual = F.normalize(F.linear(unit, self.components, self.shift))
        return scores, visual, features


def load_network(checkpoint: Checkpoint) -> AttributeNetwork:
    """Build the network of a checkpoint, in evaluation mode.

    Raises:
        CheckpointError: weights and configuration do not fit together.
    """
    network = new_network(checkpoint.config)
    try:
        network.load_state_dict(
            {name: torch.from_numpy(array) for name, array in checkpoint.weights.items()}
        )
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:200]
        raise CheckpointError(f"the weights do not fit the network: {detail}") from None
    return network.eval()
