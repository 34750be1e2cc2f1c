"""Writes a checkpoint as an ONNX graph, preprocessing and calibration included."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from finetag_model.checkpoint import Checkpoint
from finetag_model.inference import InferenceNetwork


def export_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write the graph: `pixels` uint8 (B, S, S, 3) to `scores` (B, N) and `visual` (B, D)."""
    size = checkpoint.config.input_size
    export_module(InferenceNetwork(checkpoint), size, path, outputs=["scores", "visual"])


def export_module(module: nn.Module, size: int, path: Path, outputs: Sequence[str]) -> None:
    """Write a module that takes uint8 pixels (B, size, size, 3), for any B, as ONNX."""
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # The exporter prints its progress and warns of its own internals; neither helps a user.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (pixels,),
            path,
            input_names=["pixels"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            dynamo=True,
        )
