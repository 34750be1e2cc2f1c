"""The runtime for a CPU: ONNX Runtime, several times faster there than torch.

The graph is exported from the checkpoint at first use, which needs torch and some seconds, and
kept in the user's cache folder under the checkpoint's digest; after that torch is not imported.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from platformdirs import user_cache_path

from finetag_model.checkpoint import Checkpoint
from finetag_model.embedder import Embedding, ModelInfo
from finetag_model.errors import CheckpointError

GRAPH_VERSION = 2
"""Raised whenever `InferenceNetwork` changes, so that graphs of the old one are not used."""


class OnnxEmbedder:
    """Embeds with ONNX Runtime on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        graph = exported_graph(checkpoint)
        try:
            self._session = cpu_session(graph)
        except Exception:  # a damaged file in the cache; ONNX Runtime's errors share no base
            graph.unlink()
            self._session = cpu_session(exported_graph(checkpoint))

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        return self._model

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, input_size, input_size, 3)."""
        scores, visual = self._session.run(["scores", "visual"], {"pixels": pixels})
        return Embedding(scores, visual)


def cpu_session(graph: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file to run on all cores, shared with the threads that read pictures."""
    options = onnxruntime.SessionOptions()
    # By default a thread without work spins, on a core that would be decoding the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def exported_graph(checkpoint: Checkpoint) -> Path:
    """Return the checkpoint's ONNX file in the cache; export it if it is not there.

    Raises:
        CheckpointError: the cache folder cannot be written.
    """
    folder = Path(os.environ.get("FINETAG_CACHE") or user_cache_path("finetag")) / "onnx"
    path = folder / f"{checkpoint.digest}-v{GRAPH_VERSION}.onnx"
    if path.is_file():
        return path
    from finetag_model.export import export_onnx  # noqa: PLC0415  (imports torch)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            partial = Path(temporary) / "graph.onnx"
            export_onnx(checkpoint, partial)
            partial.replace(path)
    except OSError as error:
        raise CheckpointError(
            f"cannot write the ONNX graph to {folder}: {error.strerror}; "
            "set FINETAG_CACHE to a folder that can be written"
        ) from None
    return path
