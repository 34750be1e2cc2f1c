"""Writes a checkpoint as an ONNX graph, preprocessing and calibration included."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from finetag_model.checkpoint import Checkpoint
from finetag_model.inference import InferenceNetwork
from finetag_model.runtime_onnx import GRID_FIRST, GRID_STEP
from finetag_model.trunks import grid


def export_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write the graph, with the grid of its feature maps among its metadata.

    It takes `pixels` uint8 (B, S, S, 3) to `scores` (B, N), `visual` (B, D) and `features`
    (B, C, h, w).
    """
    module, size = InferenceNetwork(checkpoint), checkpoint.config.input_size
    where = grid(module.network.trunk)
    metadata = {GRID_FIRST: str(where.first), GRID_STEP: str(where.step)}
    export_module(module, size, path, ["scores", "visual", "features"], metadata)


def export_module(
    module: nn.Module,
    size: int,
    path: Path,
    outputs: Sequence[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a module that takes uint8 pixels (B, size, size, 3), for any B, as ONNX."""
    pixels = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    # The exporter prints its progress and warns of its own internals; neither helps a user.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (pixels,),
            input_names=["pixels"],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
        )
        assert program is not None  # noqa: S101  (it is with dynamo)
        program.model.metadata_props.update(metadata or {})
        program.save(path, external_data=False)
