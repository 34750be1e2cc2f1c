"""The runtime for a CPU: ONNX Runtime, several times faster there than torch.

The graph is exported from the checkpoint at first use, which needs torch and some seconds, and
kept in the user's cache folder under the checkpoint's digest; after that torch is not imported.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from platformdirs import user_cache_path

from finetag_model.checkpoint import Checkpoint
from finetag_model.cores import cores
from finetag_model.embedder import Embedding, FeatureMap, Grid, ModelInfo
from finetag_model.errors import CheckpointError

GRAPH_VERSION = 3
"""Raised whenever `InferenceNetwork` changes, so that graphs of the old one are not used."""
GRID_FIRST, GRID_STEP = "grid_first", "grid_step"
"""What a graph's metadata call the parts of its `Grid`."""

CORES = cores()
PIECE = 2
"""Images that a core takes at a time where each works by itself."""


class OnnxEmbedder:
    """Embeds with ONNX Runtime on the CPU."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._model = checkpoint.model
        graph = exported_graph(checkpoint)
        try:
            self._network = OnnxNetwork(graph)
        except Exception:  # a damaged file in the cache; ONNX Runtime's errors share no base
            graph.unlink()
            self._network = OnnxNetwork(exported_graph(checkpoint))

    @property
    def model(self) -> ModelInfo:
        """The model behind the vectors."""
        return self._model

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, input_size, input_size, 3)."""
        return self._network.embed(pixels)

    def feature_map(self, pixels: NDArray[np.uint8]) -> FeatureMap:
        """Run on one image, uint8 pixels of shape (input_size, input_size, 3)."""
        return self._network.feature_map(pixels)

    @property
    def grid(self) -> Grid:
        """Where the locations of its feature map lie."""
        return self._network.grid


class OnnxNetwork:
    """An exported network.

    A few images go through it in one run on all cores, which is the soonest. Of many, each core
    takes pieces by itself, which is the most a second: the threads of one run wait for each other
    after every layer, all the longer where other work has one of their cores. An image has the
    same numbers, to the bit, either way.
    """

    def __init__(self, graph: Path) -> None:
        """Open a file of the inputs and outputs that `export_onnx` gives; it must stay there."""
        self._graph = graph
        self._on_all_cores = cpu_session(graph)
        self._on_one_core: onnxruntime.InferenceSession | None = None
        self._cores = ThreadPoolExecutor(CORES)
        self._lock = Lock()

    def embed(self, pixels: NDArray[np.uint8]) -> Embedding:
        """Embed B images given as uint8 pixels of shape (B, side, side, 3)."""
        if len(pixels) < CORES * PIECE:
            return _run(self._on_all_cores, pixels)
        session = self._one_core_session()
        pieces = [pixels[at : at + PIECE] for at in range(0, len(pixels), PIECE)]
        made = list(self._cores.map(lambda piece: _run(session, piece), pieces))
        return Embedding(
            np.concatenate([each.scores for each in made]),
            np.concatenate([each.visual for each in made]),
        )

    def feature_map(self, pixels: NDArray[np.uint8]) -> FeatureMap:
        """Run on one image, uint8 pixels of shape (side, side, 3)."""
        scores, features = self._on_all_cores.run(
            ["scores", "features"], {"pixels": pixels[np.newaxis]}
        )
        return FeatureMap(scores[0], features[0])

    @property
    def grid(self) -> Grid:
        """Where the locations of its feature map lie."""
        metadata = self._on_all_cores.get_modelmeta().custom_metadata_map
        return Grid(float(metadata[GRID_FIRST]), int(metadata[GRID_STEP]))

    def _one_core_session(self) -> onnxruntime.InferenceSession:
        with self._lock:
            if self._on_one_core is None:  # a search for one image never needs it
                self._on_one_core = cpu_session(self._graph, threads=1)
            return self._on_one_core


def _run(session: onnxruntime.InferenceSession, pixels: NDArray[np.uint8]) -> Embedding:
    scores, visual = session.run(["scores", "visual"], {"pixels": pixels})
    return Embedding(scores, visual)


def cpu_session(graph: Path, *, threads: int = 0) -> onnxruntime.InferenceSession:
    """Open an ONNX file to run on a CPU, shared with the threads that read pictures.

    Args:
        graph: the file.
        threads: how many one run takes; 0 is one for each core.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # By default a thread without work spins, on a core that would be decoding the next pictures.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def exported_graph(checkpoint: Checkpoint) -> Path:
    """Return the checkpoint's ONNX file in the cache; export it if it is not there.

    Raises:
        CheckpointError: the cache folder cannot be written.
        ValueError: the checkpoint was not read from a file, so that nothing tells it from others.
    """
    if not checkpoint.digest:
        raise ValueError("only a checkpoint that was read from a file has a graph in the cache")
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
