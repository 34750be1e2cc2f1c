"""What turns pixels into vectors: the interface that the index and the search are written to.

The two runtimes behind it are `runtime_onnx` (CPU) and `runtime_torch` (GPU); `load_embedder`
chooses. Importing this module imports neither.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from finetag_model.vocabulary import Vocabulary

if TYPE_CHECKING:
    from finetag_model.checkpoint import Checkpoint

Runtime = Literal["auto", "onnx", "torch"]


@dataclass(frozen=True)
class ModelInfo:
    """What an index must know of the model that filled it.

    Attributes:
        name: for people, such as `finetag-mobilenet_v2`.
        digest: SHA-256 of the checkpoint file, hexadecimal; two models are the same if equal.
        vocabulary: the N attributes, in score order.
        thresholds: float32 of shape (N,); an image has an attribute if its score reaches it.
        input_size: side in pixels of the square images the network takes.
        visual_dim: D, the length of a visual vector.
    """

    name: str
    digest: str
    vocabulary: Vocabulary
    thresholds: NDArray[np.float32]
    input_size: int
    visual_dim: int


@dataclass(frozen=True)
class Embedding:
    """What B images become.

    Attributes:
        scores: float32 of shape (B, N), the calibrated probability of each attribute.
        visual: float32 of shape (B, D), rows of length 1; their inner product is the
            cosine similarity of two images' looks.
    """

    scores: NDArray[np.float32]
    visual: NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """Where the locations of a feature map lie in the image, the same across and down.

    Attributes:
        first: the pixel at the middle of location 0's receptive field; whole at its centre.
        step: how many pixels further the next location lies.
    """

    first: float
    step: int


@dataclass(frozen=True)
class FeatureMap:
    """What the scores of one image are made of.

    Attributes:
        scores: float32 of shape (N,), as of `Embedding`.
        features: float32 of shape (C, h, w), the map that the network's descriptor is made of.
    """

    scores: NDArray[np.float32]
    features: NDArray[np.float32]


class Embedder(Protocol):
    """A network ready to embed images; both runtimes give the same numbers to 1e-4."""

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        ...

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, input_size, input_size, 3)."""
        ...


class Network(Embedder, Protocol):
    """An embedder whose scores can be explained; see `explain`."""

    @property
    def grid(self) -> Grid:
        """Where the locations of its feature map lie."""
        ...

    def feature_map(self, pixels: NDArray[np.uint8]) -> FeatureMap:
        """Run on one image, uint8 pixels of shape (input_size, input_size, 3)."""
        ...


def load_embedder(checkpoint: Path | None = None, runtime: Runtime = "auto") -> Network:
    """Open a checkpoint, by default the one shipped, for embedding.

    Args:
        checkpoint: a FineTag safetensors file; None is the shipped model.
        runtime: `auto` takes torch where there is a GPU and ONNX Runtime elsewhere.

    Raises:
        CheckpointError: the file is missing, damaged or not a FineTag checkpoint.
    """
    from finetag_model.checkpoint import read_checkpoint  # noqa: PLC0415

    return open_network(read_checkpoint(checkpoint), runtime)


def open_network(checkpoint: Checkpoint, runtime: Runtime = "auto") -> Network:
    """Do as `load_embedder` with a checkpoint that was read."""
    if runtime == "torch" or (runtime == "auto" and has_cuda_gpu()):
        from finetag_model.runtime_torch import TorchEmbedder  # noqa: PLC0415

        return TorchEmbedder(checkpoint)
    from finetag_model.runtime_onnx import OnnxEmbedder  # noqa: PLC0415

    return OnnxEmbedder(checkpoint)


def has_cuda_gpu() -> bool:
    """Ask the NVIDIA driver, if any, for a GPU; importing torch to ask it takes seconds."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    answered = driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
    return answered and count.value > 0
