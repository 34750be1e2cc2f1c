"""The model file: one safetensors file that holds all that is needed to use a network.

Tensors are the network's weights (float16), the calibration of its logits, and the projection
of its descriptor; the metadata are one JSON text with configuration, vocabulary, training
and metrics. Nothing is ever unpickled, and nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from finetag_model.calibration import Calibration
from finetag_model.config import FineTagConfig
from finetag_model.embedder import ModelInfo
from finetag_model.errors import CheckpointError, DataError
from finetag_model.files import replacing
from finetag_model.projection import Projection
from finetag_model.vocabulary import Vocabulary

FORMAT = 1
SHIPPED = Path(__file__).parent / "weights" / "finetag-mobilenet_v2.safetensors"
"""The checkpoint that comes with the package."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained network with what turns its outputs into scores and visual vectors.

    Attributes:
        name: for people, such as `finetag-mobilenet_v2`.
        weights: the network's state, floating point arrays by parameter name.
        notes: what the makers say of it: training data, seed, metrics. Plain JSON values.
        digest: SHA-256 of the file it was read from; empty for one not yet written.
    """

    name: str
    config: FineTagConfig
    vocabulary: Vocabulary
    weights: Mapping[str, NDArray[Any]]
    calibration: Calibration
    projection: Projection
    notes: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""

    @cached_property
    def model(self) -> ModelInfo:
        """The part of it that an index needs to know."""
        return ModelInfo(
            name=self.name,
            digest=self.digest,
            vocabulary=self.vocabulary,
            thresholds=self.calibration.thresholds,
            input_size=self.config.input_size,
            visual_dim=len(self.projection.components),
        )


def write_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, weights and projection in float16, by one atomic replace.

    Raises:
        CheckpointError: the file cannot be written.
    """
    header = {
        "format": FORMAT,
        "name": checkpoint.name,
        "config": asdict(checkpoint.config),
        "vocabulary": checkpoint.vocabulary.names,
        "notes": checkpoint.notes,
    }
    tensors = {
        **{f"network.{name}": _compact(array) for name, array in checkpoint.weights.items()},
        "calibration.slope": checkpoint.calibration.slope,
        "calibration.offset": checkpoint.calibration.offset,
        "calibration.thresholds": checkpoint.calibration.thresholds,
        "projection.mean": checkpoint.projection.mean,
        "projection.components": _compact(checkpoint.projection.components),
    }
    # safetensors writes an array's memory as it lies, so every array must be contiguous.
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(save(contiguous, metadata={"finetag": json.dumps(header)}))
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror}") from None


def read_checkpoint(path: Path | None = None) -> Checkpoint:
    """Read a checkpoint, by default the one shipped; all arrays come as float32.

    Raises:
        CheckpointError: the file is missing, damaged, or not a FineTag checkpoint.
    """
    path = path or SHIPPED
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"model {path} does not exist") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"model {path} cannot be read: {error}") from None
    if "finetag" not in metadata:
        raise CheckpointError(f"{path} is a safetensors file, but not a FineTag checkpoint")
    try:
        return _assemble(json.loads(metadata["finetag"]), tensors, digest)
    except (AttributeError, DataError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"model {path} is damaged or of another FineTag version: {error}"
        ) from None


def _assemble(
    header: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]], digest: str
) -> Checkpoint:
    if header["format"] != FORMAT:
        raise ValueError(f"its format is {header['format']}, this version reads {FORMAT}")
    arrays = {name: _full(array) for name, array in tensors.items()}
    settings: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value  # JSON knows no tuples
        for name, value in header["config"].items()
    }
    config = FineTagConfig(**settings)
    checkpoint = Checkpoint(
        name=header["name"],
        config=config,
        vocabulary=Vocabulary(tuple(header["vocabulary"])),
        weights={
            name.removeprefix("network."): array
            for name, array in arrays.items()
            if name.startswith("network.")
        },
        calibration=Calibration(
            slope=arrays["calibration.slope"],
            offset=arrays["calibration.offset"],
            thresholds=arrays["calibration.thresholds"],
        ),
        projection=Projection(arrays["projection.mean"], arrays["projection.components"]),
        notes=header["notes"],
        digest=digest,
    )
    if not len(checkpoint.vocabulary) == config.attributes == len(checkpoint.calibration.slope):
        raise ValueError("vocabulary, calibration and network differ in size")
    return checkpoint


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    floating = np.issubdtype(array.dtype, np.floating)
    return array.astype(np.float16) if floating else array


def _full(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if np.issubdtype(array.dtype, np.floating) else array
