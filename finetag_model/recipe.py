"""From annotated pictures to a checkpoint: what is trained on, held out and calibrated with.

`cli_train` parses the options and calls `train`; the steps themselves live in their modules.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from finetag_model.annotations import read_annotations
from finetag_model.calibration import Calibration, fit_calibration
from finetag_model.cub import CubDataset
from finetag_model.errors import DataError
from finetag_model.features import fit_narrow, keep_maps
from finetag_model.images import image_size
from finetag_model.labels import estimate_unknown
from finetag_model.network import AttributeNetwork
from finetag_model.pictures import Picture, cropped
from finetag_model.projection import Projection, fit_projection
from finetag_model.training import Stage, apply, train_stage
from finetag_model.vocabulary import Vocabulary

WHOLE_SHARE = 0.8
"""A box that covers less than this share of its photograph gives a second, whole picture."""


@dataclass(frozen=True)
class TrainingSet:
    """Pictures and their labels, of one source.

    Attributes:
        pictures: M of them.
        presence: float32 (M, N), probability that the attribute is present, NaN unknown.
        subjects: int64 (M,); pictures of one subject are held out together. Photographs of
            CUB have their ids from 1, pictures of annotated folders -1, -2, ..., the same
            one the same in all of them.
    """

    pictures: Sequence[Picture]
    presence: NDArray[np.float32]
    subjects: NDArray[np.int64]


def photographs(
    cub: CubDataset,
    leave_out: NDArray[np.bool_],
    reference: NDArray[np.float32] | None,
) -> TrainingSet:
    """Take the photographs of CUB-200-2011 for training, cut to the bird and whole.

    Args:
        cub: the data set.
        leave_out: bool (M,), the images that metrics will be measured on.
        reference: float32 (K, N), full labels of images that are not in `cub`; if given, they
            fill in unknown labels with their probability, otherwise those stay unknown.
    """
    presence = cub.presence
    if reference is not None:
        presence = estimate_unknown(presence, reference, cub.vocabulary)
    rows = np.flatnonzero(~leave_out)
    areas = np.array([math.prod(image_size(cub.paths[row])) for row in rows.tolist()])
    with_margin = rows[cub.boxes[rows, 2:].prod(axis=1) < WHOLE_SHARE * areas]
    pictures = [cropped(cub, row) for row in rows.tolist()]
    pictures += [Picture(cub.paths[row]) for row in with_margin.tolist()]
    subjects = np.concatenate([rows, with_margin])
    return TrainingSet(pictures, presence[subjects], cub.image_ids[subjects])


def annotated(files: Sequence[Path], vocabulary: Vocabulary) -> list[TrainingSet]:
    """Take all pictures of annotated folders for training, each folder a source."""
    subjects: dict[Path, int] = {}
    sources = []
    for file in files:
        folder = read_annotations(file, vocabulary)
        numbers = [subjects.setdefault(path.resolve(), -1 - len(subjects)) for path in folder.paths]
        pictures = [Picture(path) for path in folder.paths]
        sources.append(TrainingSet(pictures, folder.presence, np.array(numbers, dtype=np.int64)))
    return sources


@dataclass(frozen=True)
class Recipe:
    """What decides a training besides its data.

    Attributes:
        stages: run one after the other.
        held_out: share of the subjects that the network is not trained on, for the
            calibration.
        visual_dim: D, the length of the visual vectors.
        seed: of everything random.
    """

    stages: Sequence[Stage]
    held_out: float = 0.1
    visual_dim: int = 128
    seed: int = 0


def train(
    network: AttributeNetwork,
    sources: Sequence[TrainingSet],
    recipe: Recipe,
    say: Callable[[str], None],
) -> tuple[Calibration, Projection]:
    """Train a network whose trunk is pretrained, in place.

    Calibration and thresholds are fitted on the held-out subjects.

    Args:
        network: as `pretrained_network` makes it.
        sources: what to train on; `Stage` says how several are balanced.
        recipe: how.
        say: takes a line of progress now and then.

    Raises:
        DataError: there are too few pictures.
        ImageError: a picture cannot be read.
    """
    pictures = [picture for source in sources for picture in source.pictures]
    presence = np.concatenate([source.presence for source in sources])
    held_out = _hold_out(np.concatenate([source.subjects for source in sources]), recipe)
    of_source = np.repeat(np.arange(len(sources)), [len(source.pictures) for source in sources])
    rows = [np.flatnonzero(~held_out & (of_source == i)) for i in range(len(sources))]
    if not held_out.any() or not all(map(len, rows)):
        raise DataError(
            f"{len(pictures):,} pictures are too few: each source must have some to train on, "
            "and some are held out to calibrate on"
        )
    if (~held_out).sum() < recipe.visual_dim:  # found out now, not after the training
        raise DataError(
            f"visual vectors of {recipe.visual_dim} dimensions need as many pictures to train "
            f"on, and there are {(~held_out).sum()}; lower --visual-dim"
        )
    say(f"{(~held_out).sum():,} pictures to train on, {held_out.sum():,} to calibrate on")
    network.to(memory_format=torch.channels_last)  # how convolutions on a CPU run fastest
    fit_narrow(network, pictures, recipe.seed)
    with tempfile.TemporaryDirectory() as folder:
        for number, stage in enumerate(recipe.stages):
            path = Path(folder) / f"stage-{number}.npy"
            maps = keep_maps(network, stage.layer, pictures, path, say)
            train_stage(network, maps, presence, rows, stage, recipe.seed + number, say)
        logits, descriptors = apply(network, maps, stage.layer)
        del maps  # Windows cannot remove a file that is mapped
    projection = fit_projection(descriptors[~held_out], recipe.visual_dim, recipe.seed)
    return fit_calibration(logits[held_out], presence[held_out]), projection


def _hold_out(subjects: NDArray[np.int64], recipe: Recipe) -> NDArray[np.bool_]:
    each = np.unique(subjects)
    chosen = np.random.default_rng(recipe.seed).random(len(each)) < recipe.held_out
    return np.isin(subjects, each[chosen])
