"""The runtime for a GPU: torch, without a graph of gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetag_model.checkpoint import Checkpoint
from finetag_model.embedder import Embedding, FeatureMap, Grid, ModelInfo
from finetag_model.inference import InferenceNetwork
from finetag_model.trunks import grid


class TorchEmbedder:
    """Embeds with torch, on the GPU where there is one."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = InferenceNetwork(checkpoint).to(self._device)

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        return self._model

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, input_size, input_size, 3)."""
        scores, visual, _ = self._run(pixels)
        return Embedding(scores.cpu().numpy(), visual.cpu().numpy())

    @property
    def grid(self) -> Grid:
        """Where the locations of its feature map lie."""
        return grid(self._network.network.trunk)

    def feature_map(self, pixels: NDArray[np.uint8]) -> FeatureMap:
        """Run on one image, uint8 pixels of shape (input_size, input_size, 3)."""
        scores, _, features = self._run(pixels[np.newaxis])
        return FeatureMap(scores[0].cpu().numpy(), features[0].cpu().numpy())

    def _run(self, pixels: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
        # A GPU's convolutions keep 10 bits of a number unless told otherwise, and an index would
        # tell by which runtime each of its images was embedded.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            made: tuple[Tensor, Tensor, Tensor] = self._network(
                torch.tensor(pixels, device=self._device)
            )
        return made
