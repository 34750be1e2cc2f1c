"""Measures a model: on photographs of CUB-200-2011 or on an annotated folder of anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from finetag_model.annotations import read_annotations
from finetag_model.cub import CubDataset
from finetag_model.embedder import Embedder
from finetag_model.errors import DataError
from finetag_model.metrics import Metrics, evaluate, evaluate_groups
from finetag_model.pictures import Picture, cropped

BATCH = 16


@dataclass(frozen=True)
class Measured:
    """What a model says of M images with known labels, and how well it ranks attributes.

    Attributes:
        scores: float32 (M, N), calibrated probabilities.
        presence: float32 (M, N), 0 or 1, NaN unknown.
        overall: over all attributes.
        groups: over the attributes of each group.
    """

    scores: NDArray[np.float32]
    presence: NDArray[np.float32]
    overall: Metrics
    groups: Mapping[str, Metrics]


def measure(
    embedder: Embedder, cub: CubDataset, validation: Path | None, *, whole: bool = False
) -> Measured:
    """Measure a model on photographs of CUB-200-2011 whose labels are all known.

    Args:
        embedder: the model.
        cub: the data set.
        validation: as `CubDataset.validation` takes it.
        whole: show whole photographs, not the bird's box.

    Raises:
        DataError: model and data differ in their attributes, or a label is unknown.
        ImageError: a photograph cannot be read.
    """
    if embedder.model.vocabulary != cub.vocabulary:
        raise DataError(f"the data and the model {embedder.model.name} differ in their attributes")
    rows = np.flatnonzero(cub.validation(validation))
    presence = cub.presence[rows]
    unknown = np.isnan(presence).any(axis=1)
    if unknown.any():
        raise DataError(
            f"{unknown.sum():,} of the {len(rows):,} images have unknown labels; "
            "list fully labelled ones with --validation"
        )
    pictures = [Picture(cub.paths[row]) if whole else cropped(cub, row) for row in rows.tolist()]
    return _measure(embedder, pictures, presence)


def measure_annotated(embedder: Embedder, path: Path) -> Measured:
    """Measure a model on an annotated folder, as `read_annotations` reads it.

    Raises:
        DataError: as `read_annotations` with the model's vocabulary, or no image has an attribute.
        ImageError: an image cannot be read.
    """
    folder = read_annotations(path, embedder.model.vocabulary)
    if not (folder.presence == 1).any():
        raise DataError(f"no image of {path} has any attribute; there is nothing to measure")
    return _measure(embedder, [Picture(image) for image in folder.paths], folder.presence)


def _measure(
    embedder: Embedder, pictures: Sequence[Picture], presence: NDArray[np.float32]
) -> Measured:
    size = embedder.model.input_size
    scores = np.concatenate(
        [
            embedder.embed(np.stack([picture.pixels(size) for picture in batch])).scores
            for batch in (pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH))
        ]
    )
    return Measured(
        scores=scores,
        presence=presence,
        overall=evaluate(scores, presence),
        groups=evaluate_groups(scores, presence, embedder.model.vocabulary),
    )
